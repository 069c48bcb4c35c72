"""Carry chains of a family's own cells, for the modules that are `hw.dot.carry_chain.CarryChain`.

NAME.v has such a module as sums that any tool takes, with what they are in an attribute. Before
synthesis for a family whose carry chain has LUTs in it, modules of the same names and ports take
their place (``read_verilog -overwrite``). `sim.proofs.chains` proves them equal with yosys' model
of the cell.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sterna.golden.device.adder_rows import ABSENT, ATTRIBUTE, INPUTS, MINUS, PLAIN, PLUS
from sterna.golden.errors import DesignError
from sterna.golden.files.disk import read_bytes, write_atomic

__all__ = ["CELLS", "ccu2c", "ccu2c_luts", "free_ends"]

_MODULE = re.compile(rf'^\(\* {ATTRIBUTE} = "([^"]*)" \*\)\s*\nmodule (\\\S+ |\w+)', re.M)
CELLS = 12
"""Cells of a chain, three tiles: nextpnr sees a path through all of it, though carries end at each
adder (docs/measured.md has what longer and shorter ones do)."""
_ONE = "1'b1"


@dataclass
class _Slot:
    """Half a CCU2C: what its LUT is made of, its four inputs, what its sum is."""

    init: int
    inputs: list[str] = field(default_factory=lambda: [_ONE] * 4)
    sum: str = ""


_FUNCTIONS = {
    ABSENT: lambda a, b: 0,
    PLAIN: lambda a, b: a,
    PLUS: lambda a, b: a & b,
    MINUS: lambda a, b: 1 - (a & b),
}


def _add(one: str, two: str) -> int:
    """INIT of a slot that adds bits of these kinds. Its LUT4 is the exclusive or; where it is 0,
    the carry out is its LUT2, of A and B alone, which has the entries of C = D = 0: so the second
    bit is 0 there. A pin that a bit does not use is 1."""
    init = 0
    for row in range(16):
        a, b, c, d = (row >> k & 1 for k in range(4))
        second = _FUNCTIONS[two](c, d)
        if not (c or d):
            if INPUTS[two] == 2 and second:
                raise DesignError(f"carry chain: a bit '{two}' cannot be the second of its column")
            second = 0
        init |= (_FUNCTIONS[one](a, b) ^ second) << row
    return init


def _inject(kind: str) -> int:
    """INIT of a slot whose sum is the carry that comes in, and whose carry out a bit of a kind: its
    LUT4 is 0 where D is 1."""
    return sum(_FUNCTIONS[kind](row & 1, row >> 1) << row for row in range(4))


@dataclass(frozen=True)
class _Adder:
    """A word of the attribute: kinds of its bits, the number of its first input and digit."""

    carry: str
    columns: str
    top: bool
    x: int
    y: int

    @property
    def slots(self) -> int:
        return len(self.columns) // 2 + 1

    @property
    def ends(self) -> tuple[int, int]:
        """Numbers of the next one's."""
        inputs = sum(INPUTS[kind] for kind in self.carry + self.columns)
        return self.x + inputs, self.y + self.slots - 1 + self.top

    def pins(self, tree: int) -> list[list[str]]:
        """Of each bit, the first that of the carry: its two pins."""
        pins, x = [], self.x
        for kind in self.carry + self.columns:
            used = [f"x{n}[{tree}]" for n in range(x, x + INPUTS[kind])]
            pins.append(used + [_ONE] * (2 - len(used)))
            x += len(used)
        return pins


def _adders(words: Sequence[str]) -> list[_Adder]:
    made, at = [], (0, 0)
    for word in words:
        carry, columns, *top = word.split(":")
        made.append(_Adder(carry, columns, bool(top), *at))
        at = made[-1].ends
    return made


def _packed(adders: Sequence[_Adder], trees: int, cells: int) -> list[list[tuple[_Adder, int]]]:
    """Adders, each with its tree, by chains of at most so many cells (or one adder): each where it
    leaves least room. Each chain begins with a slot that brings the first carry in."""
    order = sorted(adders, key=lambda a: -a.slots)
    rooms: dict[int, list[list[tuple[_Adder, int]]]] = {}
    chains: list[list[tuple[_Adder, int]]] = []
    for adder in order:
        for tree in range(trees):
            room = min((r for r, c in rooms.items() if c and r >= adder.slots), default=None)
            if room is None:
                chains.append(chain := [])
                room = 2 * cells - 1
            else:
                chain = rooms[room].pop()
            chain.append((adder, tree))
            rooms.setdefault(room - adder.slots, []).append(chain)
    return chains


def _slots(chain: Sequence[tuple[_Adder, int]]) -> list[_Slot]:
    """Those of a chain, whole cells."""
    slots = [_Slot(0)]
    for adder, tree in chain:
        carry, *bits = adder.pins(tree)
        digits = [f"y{n}[{tree}]" for n in range(adder.y, adder.ends[1])]
        slots[-1].init = _inject(adder.carry)
        slots[-1].inputs[:2] = carry
        for k in range(0, len(bits), 2):
            init = _add(adder.columns[k], adder.columns[k + 1])
            slots.append(_Slot(init, [*bits[k], *bits[k + 1]], digits[k // 2]))
        slots.append(_Slot(0, sum=digits[-1] if adder.top else ""))
    return slots + [_Slot(0)] * (len(slots) % 2)


def ccu2c_luts(words: Sequence[str], trees: int, cells: int = CELLS) -> int:
    """LUTs of the chains of a module, which are whole cells."""
    chains = _packed(_adders(words), trees, cells)
    return sum(-(-(1 + sum(adder.slots for adder, _ in chain)) // 2) * 2 for chain in chains)


def ccu2c(verilog: str, cells: int = CELLS) -> str:
    """Modules of CCU2C for those of a text by Sterna that are carry chains; no text if none is."""
    made = []
    for match in _MODULE.finditer(verilog):
        trees, *words = match[1].split()
        made.append(_module(match[2], words, int(trees), cells))
    return "\n".join(made)


def _module(name: str, words: Sequence[str], trees: int, cells: int) -> str:
    adders = _adders(words)
    inputs, outputs = adders[-1].ends
    ports = [f"input [{trees - 1}:0] x{n}" for n in range(inputs)]
    ports += [f"output [{trees - 1}:0] y{n}" for n in range(outputs)]
    lines = [f"module {name}({', '.join(ports)});"]
    for n, chain in enumerate(_packed(adders, trees, cells)):
        slots = _slots(chain)
        lines.append(f"  wire [{len(slots) // 2}:0] c{n};")
        lines.append(f"  assign c{n}[0] = 1'b0;")
        lines += [_cell(slots[k : k + 2], n, k // 2) for k in range(0, len(slots), 2)]
    return "\n".join([*lines, "endmodule", ""])


def _cell(slots: Sequence[_Slot], chain: int, at: int) -> str:
    settings = [
        f'.INIT{i}(16\'h{slot.init:04x}), .INJECT1_{i}("NO")' for i, slot in enumerate(slots)
    ]
    pins = [f".CIN(c{chain}[{at}])", f".COUT(c{chain}[{at + 1}])"]
    for i, slot in enumerate(slots):
        pins += [f".{pin}{i}({net})" for pin, net in zip("ABCD", slot.inputs)]
        pins.append(f".S{i}({slot.sum})")
    return f"  CCU2C #({', '.join(settings)}) s{chain}_{at} ({', '.join(pins)});"


def free_ends(path: Path, top: str) -> int:
    """Take from CCU2C of a netlist (JSON of yosys, flat module ``top``, for nextpnr alone) the nets
    at the ends of chains that say nothing; returns how many.

    nextpnr makes a further CCU2C for each: to bring a carry out to a net, though nothing reads it,
    and to bring a constant in, though the first slot makes its carry of its own inputs.
    """
    netlist = json.loads(read_bytes(path, 1 << 31))
    module = netlist["modules"][top]
    used = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) != "output":
                used.update(bits)
    freed = 0
    for cell in module["cells"].values():
        if cell["type"] == "CCU2C":
            for port in _idle(cell, used):
                cell["connections"][port] = ["x"]
                freed += 1
    if freed:
        write_atomic(path, json.dumps(netlist).encode())
    return freed


def _idle(cell: dict[str, Any], used: Counter[Any]) -> list[str]:
    """Carry ports of a CCU2C that may be left open."""
    wires, init = cell["connections"], cell["parameters"]["INIT0"]
    out = wires.get("COUT") or ["x"]
    idle = ["COUT"] if out != ["x"] and not used[out[0]] else []
    # Its LUT4 is 0, for D is 1: the carry out is its LUT2, and only its sum shows the carry in.
    own = int(init, 2) < 1 << 4 and wires["D0"] == ["1"] and wires["C0"] == ["1"]
    seen = any(used[bit] for bit in wires.get("S0", []))
    if own and not seen and wires["CIN"] == ["0"] and cell["parameters"]["INJECT1_0"] == "NO":
        idle.append("CIN")
    return idle
