"""Checks on the emitted hardware: no combinational path through a core, Verilator lint clean."""

import json
import shutil
import tempfile
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil, verilog

from sterna.gen.tools import programs

__all__ = ["comb_paths", "assert_no_comb_path", "assert_lint_clean"]

# Simplemap leaves arithmetic and memories as cells; every other cell is then one bit wide.
_SCRIPT = """
read_rtlil <<rtlil
{text}
rtlil
hierarchy -top {top}
proc
flatten
opt_clean
memory_collect
simplemap
opt_clean
write_json
"""
_STATE = ("$_DFF", "$_SDFF", "$_ALDFF", "$_DLATCH", "$_SR", "$_FF_", "$dff", "$sdff")
_CLOCKS = {"clk", "rst"}
# What Amaranth's emitter writes by design: registers with an initial value, a second name for a
# signal that has two, all modules in one file, the shortest constant in a comparison, "! x" of a
# whole vector for "x == 0", and a field of a vector as a shift.
_EMITTER = ("PROCASSINIT", "UNUSEDSIGNAL", "DECLFILENAME", "WIDTHEXPAND", "WIDTHTRUNC")


def comb_paths(component) -> list[tuple[str, str]]:
    """Pairs (input port, output port) with a combinational path between them, on the netlist.

    Clock and reset are not counted. Paths go through logic, arithmetic cells (any input bit to
    any output bit) and asynchronous memory reads (address to data).
    """
    text = rtlil.convert(component, name="dut", emit_src=False)
    out = find_yosys(lambda v: v >= (0, 40)).run(
        ["-q", "-"], _SCRIPT.format(text=text, top="\\dut")
    )
    module = json.loads(out[out.index("{") :])["modules"]["dut"]

    drives: dict[int, set[int]] = {}

    def edge(sources, sinks) -> None:
        sinks = {bit for bit in sinks if isinstance(bit, int)}
        for bit in sources:
            if isinstance(bit, int):
                drives.setdefault(bit, set()).update(sinks)

    for cell in module["cells"].values():
        kind, pins = cell["type"], cell["connections"]
        if kind.startswith(_STATE):
            continue
        if kind.startswith("$mem"):
            _memory_edges(cell, edge)
            continue
        if kind in ("$print", "$check", "$assert", "$assume", "$cover", "$scopeinfo"):
            continue
        directions = cell["port_directions"]
        sources = [b for pin, bits in pins.items() if directions[pin] == "input" for b in bits]
        sinks = [b for pin, bits in pins.items() if directions[pin] == "output" for b in bits]
        edge(sources, sinks)

    outputs: dict[int, set[str]] = {}
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            for bit in port["bits"]:
                outputs.setdefault(bit, set()).add(name)
    found = []
    for name, port in module["ports"].items():
        if port["direction"] != "input" or name in _CLOCKS:
            continue
        seen = {bit for bit in port["bits"] if isinstance(bit, int)}
        todo = list(seen)
        while todo:
            fresh = drives.get(todo.pop(), set()) - seen
            seen |= fresh
            todo.extend(fresh)
        reached = set().union(*(outputs.get(bit, set()) for bit in seen)) if seen else set()
        found += [(name, output) for output in sorted(reached)]
    return found


def _memory_edges(cell, edge) -> None:
    pins, parameters = cell["connections"], cell["parameters"]
    ports = int(parameters["RD_PORTS"], 2)
    clocked = parameters["RD_CLK_ENABLE"][::-1]
    address, width = int(parameters["ABITS"], 2), int(parameters["WIDTH"], 2)
    for port in range(ports):
        if clocked[port] == "0":
            edge(
                pins["RD_ADDR"][port * address : (port + 1) * address] + [pins["RD_EN"][port]],
                pins["RD_DATA"][port * width : (port + 1) * width],
            )


def assert_no_comb_path(component) -> None:
    """Fail, naming the ports, if any output of the component follows an input within a clock."""
    found = comb_paths(component)
    assert not found, "combinational path: " + ", ".join(f"{i} -> {o}" for i, o in found)


def assert_lint_clean(component, waivers: tuple[str, ...] = ()) -> None:
    """Fail with Verilator's words if ``verilator --lint-only -Wall`` says anything.

    Args:
        component: a fresh (not yet elaborated) component.
        waivers: names of further warnings to leave out, such as ``"UNUSEDPARAM"``.
    """
    text = verilog.convert(component, name="dut", strip_internal_attrs=True)
    folder = Path(tempfile.mkdtemp(prefix="lint-"))
    try:
        (folder / "dut.v").write_text(text)
        off = [f"-Wno-{name}" for name in (*_EMITTER, *waivers)]
        done = programs.run_tool(
            "verilator", ["--lint-only", "-Wall", *off, "dut.v"], folder, check=False
        )
        assert done.returncode == 0 and "%Warning" not in done.text, done.text
    finally:
        shutil.rmtree(folder)
