"""Verilog beside a design that says what its streams and neurons hold: image, step, pixel, channel.

The design stays as it is. The beats of a stream and the steps of a neuron come in a fixed order
(docs/streams.md), so that counters tell where each belongs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sterna.golden.network import Network
from sterna.golden.nodes.node import Shape
from sterna.sim.taps import Tap
from sterna.sim.verilate import Port, ports

__all__ = ["DESIGN", "WAVES", "Bank", "Signal", "banks_of", "beside"]

WAVES, DESIGN = "SternaWaves", "DESIGN"
"""The module around the design and the layers, and the design's instance in it: no node has
capitals."""
_COUNT = 32  # bits of what counts without end
_NAMELESS = re.compile(r"^ *(?:wire|reg) (?:signed )?(?:\[\d+:\d+\] )?_\w*_\b.*;$", re.M)


@dataclass(frozen=True)
class Signal:
    """One that the instance of a node shows: its name, its bits, its value in Verilog; ``kind``:
    'stream', 'place' (numbers that say where), 'spikes' or 'membrane' (signed)."""

    name: str
    width: int
    value: str
    kind: str


@dataclass(frozen=True)
class Bank:
    """Neurons side by side in a design: the path of their module below the design's, how many, bits
    of a membrane, the register of their flags (valid, first, last), and which of how many."""

    path: str
    neurons: int
    width: int
    flags: str
    number: int
    of: int

    @property
    def prefix(self) -> str:
        """What the names of its signals begin with."""
        return f"bank{self.number}_" if self.of > 1 else ""


def banks_of(verilog: str, top: str, core: str) -> list[Bank]:
    """The banks of a core's neurons, by the names that `hw.neuron.scan` gives registers."""
    name = rf"{re.escape(top)}\.({re.escape(core)}(?:\.\w+)*\.scan(?:_\d+)?)"
    found = []
    for match in re.finditer(rf"^module \\{name} \((.*?)^endmodule", verilog, re.M | re.S):
        path, text = match[1], match[2]
        membranes = re.findall(r"^ *reg (?:\[(\d+):0\] )?u_\d+\b", text, re.M)
        flags = [int(k) for k in re.findall(r"^ *reg \[2:0\] flags_(\d+)\b", text, re.M)]
        if membranes and flags:
            number = int(re.sub(r"\D", "", path.rpartition(".")[2]) or 0)
            width = int(membranes[0] or 0) + 1
            found.append((number, path, len(membranes), width, f"flags_{max(flags)}"))
    return [Bank(*bank[1:], number=k, of=len(found)) for k, bank in enumerate(sorted(found))]


def beside(
    verilog: str, top: str, network: Network, taps: Sequence[Tap], cores: Mapping[str, str]
) -> tuple[str, dict[str, list[Signal]]]:
    """The Verilog with module `WAVES` around ``top``, of the same ports, and what it shows.

    Args:
        taps: streams that the top has ports for.
        cores: the core of each node of neurons.

    Returns:
        text, and the signals of each node's instance in `WAVES`, in network order.
    """
    by_node = {tap.node: tap for tap in taps}
    modules: list[str] = []
    instances: list[str] = []
    shown: dict[str, list[Signal]] = {}
    for n, node in enumerate(network.order):
        tap = by_node.get(node)
        banks = banks_of(verilog, top, cores[node]) if node in cores else []
        if tap is None and not banks:
            continue
        links = {"clk": ("clk", 1), "rst": ("rst", 1)}
        body, signals = [], []
        if tap is not None:
            for part, width in (("valid", 1), ("ready", 1), ("data", tap.beat_bits)):
                links[part] = f"{tap.port}_{part}", width
            body, signals = _stream(tap)
        for bank in banks:
            place = f"{DESIGN} ." + "".join(f"\\{part} ." for part in bank.path.split("."))
            links[f"{bank.prefix}flags"] = place + bank.flags, 3
            for p in range(bank.neurons):
                links[f"{bank.prefix}u_{p}"] = f"{place}u_{p}", bank.width
            more = _neurons(bank, network.shape[node])
            body, signals = body + more[0], signals + more[1]
        modules += _module(f"{WAVES}_{n}", {k: width for k, (_, width) in links.items()}, body)
        given = ", ".join(f".{name}({value})" for name, (value, _) in links.items())
        # A node's name may be a word of Verilog's, which escaped it is not.
        instances.append(f"  {WAVES}_{n} \\{node} ({given});")
        shown[node] = signals
    around = _around(top, ports(verilog, top), instances)
    # yosys' intermediate results have no names: more than half of all signals.
    named = _NAMELESS.sub(r"/*verilator tracing_off*/ \g<0> /*verilator tracing_on*/", verilog)
    return "\n".join([named, *modules, *around, ""]), shown


def _module(name: str, inputs: Mapping[str, int], body: Sequence[str]) -> list[str]:
    given = [f"  input {_range(width)}{port};" for port, width in inputs.items()]
    return [f"module {name}({', '.join(inputs)});", *given, *body, "endmodule", ""]


def _around(top: str, found: Sequence[Port], instances: Sequence[str]) -> list[str]:
    lines = [f"module {WAVES}({', '.join(port.name for port in found)});"]
    for p in found:
        # As yosys writes it: `sim.verilate.ports` reads it again.
        lines.append(f"  {p.direction} {_range(p.width)}{p.name};")
    links = ", ".join(f".{port.name}({port.name})" for port in found)
    return [*lines, f"  {top} {DESIGN} ({links});", *instances, "endmodule"]


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _wires(signals: Sequence[Signal]) -> list[str]:
    return [f"  wire {_range(s.width)}{s.name} = {s.value};" for s in signals]


def _bits(most: int) -> int:
    return max(1, most.bit_length())


def _stream(tap: Tap) -> tuple[list[str], list[Signal]]:
    """Counters of a stream's beats, and what the beat that is there holds."""
    nest = {  # innermost first
        "part": tap.plane_beats,
        "group": tap.groups,
        "x": tap.width,
        "y": tap.height,
        "image": 1 << _COUNT,
    }
    body, carry = ["  wire taken = valid & ready;"], "taken"
    for name, count in nest.items():
        wide = _bits(count - 1)
        last = f"{name} == {count - 1}"
        body += [
            f"  reg {_range(wide)}{name} = 0;",
            f"  always @(posedge clk) if (rst) {name} <= 0;",
            f"    else if ({carry}) {name} <= ({last}) ? 0 : {name} + 1;",
            f"  wire {name}_ends = {carry} & ({last});",
        ]
        carry = f"{name}_ends"
    signals = [Signal(name, 1, "", "stream") for name in ("valid", "ready")]
    signals.append(Signal("data", tap.beat_bits, "", "stream"))
    signals += [Signal(name, _bits(nest[name] - 1), "", "place") for name in ("image", "y", "x")]
    channels = Signal("channel", _bits(tap.channels), f"group * {tap.lanes}", "place")
    step = Signal(
        "t", _bits(tap.planes), f"part * {tap.pb} / {tap.bits_per_step}", "place"
    )  # of the first planes of the beat
    held = _held(tap)
    named = [channels, step, *held]
    return body + _wires(named), signals + named


def _held(tap: Tap) -> list[Signal]:
    """The spikes of a beat: of each of its steps, a bit a lane; where a spike has several bits, a
    value of each lane. None where a step does not fit a beat: t and data are there."""
    steps, rest = divmod(tap.pb, tap.bits_per_step)
    if rest:
        return []
    whole = tap.plane_beats == 1  # all steps: their number is their name
    out = []
    for step in range(min(steps, tap.planes // tap.bits_per_step)):
        name = f"t{step}" if whole else f"t_plus_{step}" if step else "t_now"
        at = step * tap.bits_per_step * tap.lanes
        if tap.bits_per_step == 1:
            # A port of one bit has no range.
            value = f"data[{at} +: {tap.lanes}]" if tap.beat_bits > 1 else "data"
            out.append(Signal(f"spikes_{name}", tap.lanes, value, "spikes"))
            continue
        for lane in range(tap.lanes):
            bits = [f"data[{at + k * tap.lanes + lane}]" for k in range(tap.bits_per_step)]
            value = "{" + ", ".join(reversed(bits)) + "}"
            out.append(Signal(f"spikes_{name}_{lane}", tap.bits_per_step, value, "spikes"))
    return out


def _neurons(bank: Bank, shape: Shape) -> tuple[list[str], list[Signal]]:
    """Which step of which visit a bank's membranes are of: visits of a pixel go through its
    channels, and banks take visits in turns."""
    channels, height, width = shape
    p, groups = bank.prefix, channels // bank.neurons
    at = f"({p}visits * {bank.of} + {bank.number})"
    body = [
        f"  reg [{_COUNT - 1}:0] {p}visits = 0, {p}steps = 0;",
        f"  always @(posedge clk) if (rst) {p}visits <= 0;",
        f"    else if ({p}flags[0] & {p}flags[2]) {p}visits <= {p}visits + 1;",
        f"  always @(posedge clk) if ({p}flags[0]) {p}steps <= {p}neuron_t + 1;",
    ]
    pixel = f"{at} / {groups}"
    signals = [
        Signal(f"{p}neuron_valid", 1, f"{p}flags[0]", "place"),
        Signal(f"{p}neuron_image", _COUNT, f"{pixel} / {height * width}", "place"),
        Signal(f"{p}neuron_y", _bits(height), f"{pixel} / {width} % {height}", "place"),
        Signal(f"{p}neuron_x", _bits(width), f"{pixel} % {width}", "place"),
        Signal(f"{p}neuron_channel", _bits(channels), f"{at} % {groups} * {bank.neurons}", "place"),
        Signal(f"{p}neuron_t", _COUNT, f"{p}flags[1] ? 0 : {p}steps", "place"),
    ]
    signals += [
        Signal(f"{p}membrane_{k}", bank.width, f"{p}u_{k}", "membrane") for k in range(bank.neurons)
    ]
    return body + _wires(signals), signals
