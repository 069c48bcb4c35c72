"""Registers behind a block RAM of ECP5 move into the block, where its outputs go nowhere else.

yosys leaves the output register of DP16KD unused. With it data are there 4 ns earlier in the clock,
and each block needs up to 36 flip-flops less. A register moves where it takes every output of its
port that is used, in the port's clock, is 0 at the start, and has no reset: the block's reset
would clear the read latch before it, too. Anything that is not as yosys makes it stays where it is.
Done on the netlist between synthesis and placement. The block's OCE is independent of its CE, as in
sim/models/dp16kd.v; docs/bitstreams.md says who else says so.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from sterna.golden.files.disk import read_bytes, write_atomic

__all__ = ["use_output_registers"]

Cell = dict[str, Any]
Sinks = dict[int, list[tuple[str, str]]]  # of a net: (cell, port); ("", "") is outside


def use_output_registers(path: Path, top: str) -> int:
    """Rewrite the netlist ``path`` (JSON of yosys, flat module ``top``); returns how many
    flip-flops have gone into block RAMs."""
    netlist = json.loads(read_bytes(path, 1 << 31))
    module = netlist["modules"][top]
    cells, sinks = module["cells"], _sinks(module)
    gone = 0
    for cell in [c for c in cells.values() if c["type"] == "DP16KD"]:
        for port, letters in _ports(cell).items():
            gone += _move(cells, cell, port, letters, sinks)
    if gone:
        write_atomic(path, json.dumps(netlist).encode())
    return gone


def _sinks(module: Cell) -> Sinks:
    sinks: Sinks = defaultdict(list)
    for name, cell in module["cells"].items():
        directions = cell.get("port_directions", {})
        for port, bits in cell["connections"].items():
            if directions.get(port) != "output":
                for bit in bits:
                    sinks[bit].append((name, port))
    for port in module["ports"].values():
        if port["direction"] != "input":
            for bit in port["bits"]:
                sinks[bit].append(("", ""))
    return sinks


def _ports(cell: Cell) -> dict[str, str]:
    """Read ports, and the outputs of each: a port of 36 bits reads to those of both."""
    width = int(cell["parameters"].get("DATA_WIDTH_B", "0"), 2)
    return {"B": "AB"} if width == 36 else {"A": "A", "B": "B"}


def _free(ram: Cell, port: str, letters: str) -> bool:
    """The output registers are unused, and nothing resets them."""
    wires, parameters = ram["connections"], ram["parameters"]
    return parameters.get(f"CLK{port}MUX") == f"CLK{port}" and all(
        parameters.get(f"REGMODE_{x}") == "NOREG"
        and wires.get(f"RST{x}") == ["0"]
        and wires.get(f"OCE{x}") in (["0"], ["1"])
        for x in letters
    )


def _move(cells: dict[str, Cell], ram: Cell, port: str, letters: str, sinks: Sinks) -> int:
    """Move the registers of a port, all or none; returns how many."""
    wires, parameters = ram["connections"], ram["parameters"]
    if not _free(ram, port, letters):
        return 0
    found: dict[str, str] = {}  # output: its flip-flop
    enables = set()
    for name, bits in wires.items():
        if not (name.startswith("DO") and name[2] in letters and bits and sinks.get(bits[0])):
            continue
        users = sinks[bits[0]]
        cell = cells.get(users[0][0])
        if len(users) > 1 or cell is None or users[0][1] != "DI" or not _plain(cell):
            return 0
        if cell["connections"]["CLK"] != wires[f"CLK{port}"]:
            return 0
        found[name] = users[0][0]
        enables.add(_enable(cell))
    if len(enables) != 1:
        return 0
    for letter in letters:
        parameters[f"REGMODE_{letter}"] = "OUTREG"
        wires[f"OCE{letter}"] = list(enables)
    for name, register in found.items():
        wires[name] = cells.pop(register)["connections"]["Q"]
    return len(found)


def _plain(cell: Cell) -> bool:
    """A flip-flop that the block's register can stand for."""
    if cell["type"] != "TRELLIS_FF" or "keep" in cell.get("attributes", {}):
        return False
    p = {key: value.strip() for key, value in cell["parameters"].items()}
    reset = cell["connections"].get("LSR", ["0"])
    return (
        p.get("REGSET") == "RESET"
        and p.get("CLKMUX", "CLK") == "CLK"
        and reset == ["0"]
        and p.get("LSRMUX", "LSR") == "LSR"
        and p.get("CEMUX") in ("1", "CE")
        and not cell["connections"].get("M")
    )


def _enable(cell: Cell) -> Any:
    """The net of its clock enable, or "1"."""
    always = cell["parameters"]["CEMUX"].strip() == "1"
    return "1" if always else cell["connections"]["CE"][0]
