"""Parts of a design that are alike, elaborated once: `sterna.hw.once`.

While the design around is elaborated, an instance stands for each of them. Its module is made
as a design of its own, which yosys sees once; the Verilog of the others is its text with another
name, so that every module is still called by its way down from the top.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal
from amaranth.lib import wiring

from sterna.golden.errors import DesignError
from sterna.hw.once import made_of

__all__ = ["Part", "Parts", "copied", "ports_of"]

_PLACE = "sterna_part_"
"""What a part, and a use of one, is called until its way is known."""
_CLOCKS = {"clk": ClockSignal, "rst": ResetSignal}


@dataclass(frozen=True)
class Part:
    """A component that was elaborated apart.

    text: RTLIL of its module, which is called ``place``, and of those below. ports: of the module,
    by name whether it is an input. inner: its signals but for the ports, by id.
    """

    place: str
    text: str
    ports: dict[str, bool]
    inner: dict[int, Signal]


class Parts:
    """The platform of a design and what it found; ``make(component, place)`` makes a `Part`.

    One object may serve several designs, one after the other: what one of them has made the next
    need not make again.
    """

    def __init__(self, make: Callable[["wiring.Component[Any]", str], Part]) -> None:
        self._make = make
        self._top: Any = None
        self._made: dict[Any, Part] = {}
        self._uses: list[tuple[Any, Part]] = []
        self._paths: dict[str, list[str]] = {}

    def begin(self, top: "wiring.Component[Any]") -> None:
        """Another design begins."""
        self._top = top
        self._uses, self._paths = [], {}

    def apart(self, component: "wiring.Component[Any]") -> Instance | None:
        """An instance of the module that is the component's; None for the design itself."""
        if component is self._top:
            return None
        key = made_of(component)
        if key not in self._made:
            self._made[key] = self._make(component, f"{_PLACE}{len(self._made)}")
        part = self._made[key]
        values = {name: value for name, _, value in ports_of(component)}
        ports = [
            ("i" if is_input else "o", name, values[name] if name in values else _CLOCKS[name]())
            for name, is_input in part.ports.items()
        ]
        self._uses.append((component, part))
        return Instance(f"{_PLACE}{len(self._uses) - 1}", *ports)

    def name(self, fragments: dict[Any, Any]) -> None:
        """Call the instances by their ways: ``fragments`` of the design, with their names."""
        plain = [i for f, i in fragments.items() if type(f) is not Instance]
        outside = {id(s) for info in plain for s in info.used_signals}
        instances: list[tuple[Any, Any]] = [
            (f, info) for f, info in fragments.items() if isinstance(f, Instance)
        ]
        for fragment, info in instances:
            if str(fragment.type).startswith(_PLACE):
                component, part = self._uses[int(str(fragment.type).removeprefix(_PLACE))]
                ports = {id(value) for *_, value in ports_of(component)}
                own = {id(v): v for v in vars(component).values() if isinstance(v, Signal)}
                own = {number: v for number, v in own.items() if number not in ports}
                for number, signal in (part.inner | own).items():
                    if number in outside:
                        raise DesignError(
                            f"{'.'.join(info.name)}: its signal {signal.name} is used from outside "
                            "and is no port; report this"
                        )
                fragment.type = ".".join(info.name)
                self._paths.setdefault(part.place, []).append(fragment.type)

    def text(self) -> str:
        """RTLIL of the parts in use, each once, called as the first that is like it."""
        return "".join(
            re.sub(rf"\\{part.place}(?=[.\s])", lambda _, p=paths[0]: f"\\{p}", part.text)
            for part in self._made.values()
            if (paths := self._paths.get(part.place))
        )

    def alike(self) -> dict[str, list[str]]:
        """Ways to those that are the same, by the first."""
        return {paths[0]: paths[1:] for paths in self._paths.values()}


def ports_of(component: "wiring.Component[Any]") -> list[tuple[str, Any, Any]]:
    """Ports of the signature: the name in a module, the member, the value or signal."""
    found = component.signature.flatten(component)
    return [
        ("__".join(map(str, path)), member, v.as_value() if hasattr(v, "as_value") else v)
        for path, member, v in found
    ]


def copied(verilog: str, alike: dict[str, list[str]]) -> str:
    """The Verilog with a copy for each of ``alike``: of the module of that name and those below.

    Modules are in the order of their names, as yosys writes them."""
    head, *modules = _BEGINS.split(verilog)
    texts = {_MODULE.search(text)[1]: text for text in modules}  # type: ignore[index]
    for first, others in alike.items():
        old = re.compile(rf"\\{re.escape(first)}(?=[. ])")
        found = [n for n in texts if n == first or n.startswith(f"{first}.")] if others else []
        for name, other in ((n, o) for n in found for o in others):
            texts[other + name[len(first) :]] = old.sub(lambda _, o=other: f"\\{o}", texts[name])
    return head + "\n".join(texts[name].rstrip("\n") + "\n" for name in sorted(texts))


_MODULE = re.compile(r"^module \\?([^\s(]+)", re.M)
_BEGINS = re.compile(r"(?<!\*\)\n)^(?=(?:\(\*.*\*\)\n)*module )", re.M)
"""A module begins with its attributes, a line each."""
