"""Names and ports of the Verilog's modules, as a reader of the sources expects them.

Amaranth makes ports of nets: a value that was made in two places crosses a module's border as two
ports with the numbers of cells as names, and a signal of a sub-module takes a number where another
signal has its name. Here, behind Amaranth's netlist and before it is written, each module gets the
ports of its component's signature, in that order, and each signal a plain name. The order: clock
and reset, the signature's, then what is read from outside of it.
"""

import re
from collections.abc import Iterator
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Fragment, Signal, _ir, _nir  # pyright: ignore[reportPrivateUsage]
from amaranth.lib import wiring

from sterna.gen.verilog.once import Part, Parts, ports_of
from sterna.golden.words.names import Scope
from sterna.golden.words.reserved import VERILOG

__all__ = ["parts", "rtlil_text"]

_Ports = list[tuple[Any, bool]]  # (signal, whether it is an input)


def rtlil_text(top: "wiring.Component[Any]", name: str, parts: Parts | None = None) -> str:
    """RTLIL of a top, whose module is ``name``; those below are ``name.submodule`` and so on.

    With ``parts``, what these may elaborate apart is no module of it but theirs."""
    if parts is not None:
        parts.begin(top)
    return _made(top, name, parts).text


def parts() -> Parts:
    """For `rtlil_text`."""
    return Parts(lambda component, place: _made(component, place, None))


def _made(top: "wiring.Component[Any]", name: str, parts: Parts | None) -> Part:
    direction = {wiring.In: _ir.PortDirection.Input, wiring.Out: _ir.PortDirection.Output}
    ports = {path: (value, direction[member.flow]) for path, member, value in ports_of(top)}
    design = Fragment.get(top, parts).prepare(ports=ports, hierarchy=(name,))
    tree = _Tree(design)
    tree.name_modules(design.fragment, (name,))
    tree.name_signals()
    if parts is not None:
        parts.name(tree.info)
    netlist = _ir.build_netlist(design)
    by_name = {tree.info[f].name: f for f in tree.modules}
    for module in netlist.modules:
        fragment = by_name[module.name]
        whole = bool(tree.attributes(fragment))
        _give_ports(netlist, module, tree.interface(fragment), tree.scope[fragment], whole)
    # As `rtlil.convert_fragment` does, which makes a netlist of its own.
    empty = rtlil.EmptyModuleChecker(netlist)
    out = rtlil.Design(emit_src=False)
    for number, module in enumerate(netlist.modules):
        if not empty.is_empty(number):
            builder = out.module(".".join(module.name), attrs=tree.attributes(by_name[module.name]))
            emitter = _Emitter(
                builder, netlist, module, type(module.signal_names)(), empty_checker=empty
            )
            emitter.scope = tree.scope[by_name[module.name]]
            emitter.emit()
    inputs = {n: flow.value == "input" for n, (_, flow) in netlist.modules[0].ports.items()}
    border = {id(value) for value, _ in ports.values()}
    used = [s for info in tree.info.values() for s in info.used_signals]
    return Part(name, str(out), inputs, {id(s): s for s in used if id(s) not in border})


class _Emitter(rtlil.ModuleEmitter):
    """Amaranth's, but for what it does not expect of ports, and for the names of fields."""

    scope: Scope

    def emit_submodule_wires(self) -> None:
        """A wire for each output: bits of a repeated sign are one net, which must not be driven
        twice, and zeros in front are constants, which nothing drives."""
        self.outputs: dict[tuple[int, str], str] = {}
        for number in self.module.submodules:
            for name, (value, flow) in self.netlist.modules[number].ports.items():
                if flow.value == "output":
                    self.outputs[number, name] = self.emit_driven_wire(value).name

    def emit_submodules(self) -> None:
        for number in self.module.submodules:
            below = self.netlist.modules[number]
            if not self.empty_checker.is_empty(number):
                ports = {
                    name: self.outputs.get((number, name)) or self.sigspec(value)
                    for name, (value, _) in below.ports.items()
                }
                ports |= {n: self.io_sigspec(pins) for n, (pins, _) in below.io_ports.items()}
                self.builder.cell(f"\\{'.'.join(below.name)}", below.name[-1], ports=ports)

    def emit_signal_fields(self) -> None:
        """With names that need no escape."""
        for signal, name in self.module.signal_names.items():
            for path, field in self.netlist.signal_fields[signal].items():
                if path:
                    found = self.scope.name("__".join([name, *map(str, path)]))
                    wire = self.builder.wire(len(field.value), signed=field.signed, name=found)
                    self.builder.connect(wire.name, self.sigspec(field.value))


class _Tree:
    """The fragments of a design; ``modules`` are those that become modules."""

    def __init__(self, design: Any):
        self.info = design.fragments
        self.modules = [f for f in self.info if type(f) is Fragment]  # others are cells
        self.below: dict[Any, list[Any]] = {f: [] for f in self.info}
        for f, info in self.info.items():
            if info.parent is not None:
                self.below[info.parent].append(f)
        self.ports = {name: value for name, value, _ in design.ports}
        self.scope: dict[Any, Scope] = {}
        self._known: dict[Any, _Ports] = {}

    def interface(self, fragment: Any) -> _Ports:
        """Clocks and resets of a module, and the ports of the components that it was made of."""
        if fragment not in self._known:
            domains = sorted(fragment.domains.values(), key=lambda d: (d.name != "sync", d.name))
            found = [(s, True) for d in domains for s in (d.clk, d.rst) if s is not None]
            for origin in fragment.origins or ():
                if isinstance(origin, wiring.Component):
                    found += [
                        (value, member.flow == wiring.In) for _, member, value in ports_of(origin)
                    ]
            self._known[fragment] = [(s, i) for s, i in found if isinstance(s, Signal)]
        return self._known[fragment]

    def attributes(self, fragment: Any) -> dict[str, str]:
        """Of the component that a module was made of."""
        found = [getattr(origin, "attributes", {}) for origin in fragment.origins or ()]
        return {name: text for one in found for name, text in one.items()}

    def name_modules(self, fragment: Any, path: tuple[str, ...]) -> None:
        info = self.info[fragment]
        info.name = path
        scope = self.scope[fragment] = Scope(() if info.parent else self.ports)
        for f in self.below[fragment]:
            self.name_modules(f, (*path, scope.name(_plain(self.info[f].name[-1]))))

    def name_signals(self) -> None:
        """Each is called as in the sources, after the sub-module that it is of, where it is of one:
        ``conv1__o__payload``."""
        own = {f: {id(s) for s, _ in self.interface(f)} for f in self.modules}
        for fragment in self.modules:
            info, scope = self.info[fragment], self.scope[fragment]
            names = type(info.signal_names)()
            if info.parent is None:
                for name, value in self.ports.items():
                    names[value] = name
            ports = [s for s, _ in self.interface(fragment) if s in info.used_signals]
            for signal in [*ports, *info.used_signals]:  # its ports have the first choice
                if signal.name != "" and signal not in names:
                    path = "__".join([*self._way(fragment, signal, own), signal.name])
                    names[signal] = scope.name(_plain(path))
            info.signal_names = names

    def _way(self, fragment: Any, signal: Any, own: dict[Any, set[int]]) -> Iterator[str]:
        """Names of the modules down to the one that a signal is of: it is among its ports, or more
        than one module below it reads it, or none."""
        while id(signal) not in own[fragment]:
            users = [f for f in self.below[fragment] if signal in self.info[f].used_signals]
            if len(users) != 1:
                return
            fragment = users[0]
            yield self.info[fragment].name[-1]
            if fragment not in own:  # a memory
                return


def _plain(name: str) -> str:
    """An identifier that Verilog takes without an escape."""
    found = re.sub(r"\W", "_", name.replace("$signature", "port"))  # of a port without a name
    found = found if found[0].isalpha() else f"n{found}"
    return f"{found}_" if found in VERILOG else found


def _give_ports(netlist: Any, module: Any, interface: _Ports, scope: Scope, whole: bool) -> None:
    """Put the ports of a module in order; those of the top are there already. ``whole``: all of its
    interface are ports, whatever they are connected to."""
    if module.parent is None:
        places = {module.signal_names.get(s): n for n, (s, _) in enumerate(interface)}
        found = dict(sorted(module.ports.items(), key=lambda p: places.get(p[0], len(places))))
    else:
        found = (
            _interface(netlist, module, interface)
            if whole
            else _crossing(netlist, module, interface, scope)
        )
    # Amaranth numbers ports from 0 on, and yosys puts the port with the number 0 at the end.
    last = list(found)[-1:]
    module.ports = {n: found[n] for n in [*last, *list(found)[:-1]]}


def _interface(netlist: Any, module: Any, interface: _Ports) -> dict[str, Any]:
    """Every signal of an interface, whole: also where some of its bits are another's, or nothing
    reads it."""
    ports: dict[str, Any] = {}
    for signal, is_input in interface:
        if signal not in module.signal_names:  # a clock
            continue
        value = netlist.signals[signal]
        flow = _nir.ModuleNetFlow.Input if is_input else _nir.ModuleNetFlow.Output
        ports[module.signal_names[signal]] = value, flow
    return ports


_WAYS = {True: {"input"}, False: {"output"}, None: {"input", "output"}}


def _crossing(netlist: Any, module: Any, interface: _Ports, scope: Scope) -> dict[str, Any]:
    """Ports of a module by name, as (nets, flow): the signals of its interface whole, then those
    that it shares with the module around it, then whatever else has to cross.

    A signal that only passes through, whose nets are driven outside of an output, is no port: the
    module around knows both ends.
    """
    names, flows = module.signal_names, module.net_flow
    around = netlist.modules[module.parent].signal_names
    shared = [(s, None) for s in names if s in around]
    left = {net for net, flow in flows.items() if flow.value != "internal"}
    ports: dict[str, Any] = {}
    for signal, is_input in [*interface, *shared, *[(s, None) for s in names]]:
        if not left or signal not in names:
            continue
        value = netlist.signals[signal]
        nets = {net for net in value if not net.is_const}
        ways = {flows[net].value for net in nets}
        if nets & left and len(ways) == 1 and ways <= _WAYS[is_input]:
            ports[names[signal]] = value, flows[next(iter(nets))]
            left -= nets
    return ports | _rest(netlist, module, left, scope)


def _rest(netlist: Any, module: Any, left: set[Any], scope: Scope) -> dict[str, Any]:
    """Ports for nets that no signal has as a whole: parts of one, with the number of their bit."""
    flows, runs = module.net_flow, []
    for net in sorted(left):
        last = runs[-1][-1] if runs else None
        if last is None or net != last + 1 or flows[net] != flows[last]:
            runs.append([])
        runs[-1].append(net)
    place: dict[Any, tuple[str, int]] = {}
    for signal, name in module.signal_names.items() if runs else ():
        for bit, net in enumerate(netlist.signals[signal]):
            place.setdefault(net, (name, bit))
    ports = {}
    for run in runs:
        name, bit = place.get(run[0], ("part", 0))
        ports[scope.name(f"{name}_{bit}")] = _nir.Value(run), flows[run[0]]
    return ports
