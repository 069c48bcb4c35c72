"""Fmax of a module alone on an ECP5: placed and routed between shift registers."""

import functools
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sterna.gen.device.carry_cells import free_ends
from sterna.gen.device.family import FAMILIES
from sterna.gen.tools.block_ram_registers import use_output_registers
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.programs import Stop, side_by_side
from sterna.gen.tools.yosys import bring, module_ports, synth
from sterna.golden.errors import DesignError, UsageError

__all__ = ["ROUTERS", "fmax_ecp5"]

ROUTERS = ("router1", "router2")
CLOCK_PIN = ("CABGA381", "P3")
"""A package that ECP5s of every size come in, and a pin of it that drives a global clock."""
WRAPPER = "fmax_wrapper"
_ECP5 = FAMILIES["ecp5"]
assert _ECP5.nextpnr is not None
_CELLS = _ECP5.nextpnr.cells


def fmax_ecp5(
    verilog: Sequence[str | Path],
    top: str,
    build_dir: str | Path,
    *,
    clock: str = "clk",
    device: str = "25k",
    target_mhz: float = 150.0,
    seeds: Sequence[int] = (1, 2, 3),
    router: str = "router1",
    options: Sequence[str] = (),
    output_registers: bool = True,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Fmax of module ``top`` alone on an ECP5 of speed grade 6: the median over ``seeds``. Placed
    as a board's design is, `Nextpnr.options` and, with ``output_registers``,
    `gen.tools.block_ram_registers` included.

    Ports are wrapped by shift registers (see `_wrapper`). ``device``: '12k', '25k', '45k', '85k'.
    ``router``: of nextpnr; 'router2' ended on designs that 'router1' did not end with, at less MHz.

    Returns ``mhz`` (median), ``all`` (MHz by seed, in order), ``critical`` (the worst path of the
    median run: ``from``, ``to``, ``ns`` of logic and routing, ``cells``), ``luts`` and ``ff`` of
    the core with its wrapper, ``placed_luts`` by nextpnr's count (LUT RAM and carries included),
    ``device`` and ``target_mhz``.
    """
    if router not in ROUTERS:
        raise UsageError(f"no router {router!r}; use {' or '.join(ROUTERS)}")
    folder = Path(build_dir)
    names = bring(verilog, folder)
    text = _wrapper(_ports(folder, names, top, clock), top, clock)
    (folder / f"{WRAPPER}.v").write_text(text, encoding="utf-8")
    files = [folder / name for name in [*names, f"{WRAPPER}.v"]]
    used = synth(
        files, WRAPPER, _ECP5.name, folder, json_netlist=True, options=options, timeout=timeout
    )
    netlist = folder / f"{WRAPPER}_ecp5.json"
    moved = use_output_registers(netlist, WRAPPER) if output_registers else 0
    free_ends(netlist, WRAPPER)
    settings = [f"--{device}", "--freq", str(target_mhz), *_routing(folder, clock, router)]
    runs = side_by_side(
        [functools.partial(_placed, folder, settings, seed, timeout) for seed in seeds]
    )
    middle = statistics.median_low([mhz for mhz, _ in runs])
    chosen = next(placed for mhz, placed in runs if mhz == middle)
    return {
        "mhz": round(middle, 1),
        "all": [round(mhz, 1) for mhz, _ in runs],
        "critical": _critical(chosen),
        "luts": used["luts"],
        "ff": used["ff"] - moved,
        "placed_luts": chosen["utilization"][_CELLS["luts"]]["used"],
        "device": f"ECP5 {device}, speed grade 6",
        "target_mhz": target_mhz,
    }


def _ports(folder: Path, names: Sequence[str], top: str, clock: str) -> list[tuple[str, str, int]]:
    ports: list[tuple[str, str, int]] = []
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        if re.search(rf"^module \\?{re.escape(top)}\s*\(", text, re.M):
            ports = module_ports(text, top)
    if not any(name == clock for _, name, _ in ports):
        raise DesignError(f"module {top!r} has no clock port {clock!r}; give its name")
    return ports


def _routing(folder: Path, clock: str, router: str) -> list[str]:
    """Options of nextpnr; a constraints file where the router needs one."""
    if router != "router2":
        return ["--router", router]
    # it did not converge with the pin that nextpnr chose
    text = f'LOCATE COMP "{clock}" SITE "{CLOCK_PIN[1]}";\n'
    (folder / "fmax.lpf").write_text(text, encoding="utf-8")
    return ["--router", router, "--package", CLOCK_PIN[0], "--lpf", "fmax.lpf"]


def _placed(
    folder: Path, settings: Sequence[str], seed: int, timeout: float | None, stop: Stop
) -> tuple[float, dict[str, Any]]:
    """(MHz, report) of one seed."""
    placer, report = _ECP5.nextpnr, f"fmax_{seed}.json"
    assert placer is not None
    arguments = ["--json", f"{WRAPPER}_ecp5.json", "--report", report, "--seed", str(seed)]
    arguments += ["--speed", "6", "--timing-allow-fail", "--lpf-allow-unconstrained", "--quiet"]
    # The constraints, where there are any, follow from the arguments.
    run_kept(
        placer.program,
        [*arguments, *placer.options, *settings],
        folder,
        reads=[f"{WRAPPER}_ecp5.json"],
        makes=[report],
        log=f"fmax_{seed}.log",
        timeout=timeout,
        stop=stop,
    )
    placed = json.loads((folder / report).read_text(encoding="utf-8"))
    return min(float(entry["achieved"]) for entry in placed["fmax"].values()), placed


def _wrapper(ports: list[tuple[str, str, int]], top: str, clock: str) -> str:
    """A module of four pins around ``top``: inputs from a shift register, outputs into another.

    Every port sees exactly one flip-flop, as it would next to another core, so the wrapper's own
    paths (one XOR at most) are never the longest.
    """
    lines = ["module fmax_wrapper(input clk, input si, output so);"]
    inputs = [
        (name, width) for direction, name, width in ports if direction == "input" and name != clock
    ]
    outputs = [(name, width) for direction, name, width in ports if direction == "output"]
    n_in, n_out = sum(w for _, w in inputs), sum(w for _, w in outputs)
    lines += [
        f"  reg [{n_in}:0] shift_in;",
        f"  always @(posedge clk) shift_in <= {{shift_in[{n_in - 1}:0], si}};",
        f"  wire [{n_out}:0] result;",
        f"  reg [{n_out}:0] shift_out;",
        f"  always @(posedge clk) shift_out <= {{shift_out[{n_out - 1}:0], 1'b0}} ^ result;",
        f"  assign so = shift_out[{n_out}];",
        f"  assign result[{n_out}] = 1'b0;",
        f"  {top} core (.{clock}(clk)",
    ]
    for vector, members in (("shift_in", inputs), ("result", outputs)):
        at = 0
        for name, width in members:
            lines.append(f"    , .{name}({vector}[{at + width - 1}:{at}])")
            at += width
    return "\n".join([*lines, "  );", "endmodule", ""])


def _critical(report: dict[str, Any]) -> dict[str, Any]:
    """The worst clock-to-clock path of a nextpnr report, shortened to what a person reads."""
    paths = [p for p in report.get("critical_paths", []) if p["from"] == p["to"]]
    if not paths:
        return {}
    path = paths[0]["path"]
    cells: list[str] = []
    for step in path:
        cell = step["to"].get("cell", "")
        if not cells or cells[-1] != cell:
            cells.append(cell)
    delays = {"logic": 0.0, "routing": 0.0}
    for step in path:
        kind = "routing" if step["type"] == "routing" else "logic"
        delays[kind] += float(step["delay"])
    return {
        "from": path[0]["from"].get("cell", ""),
        "to": path[-1]["to"].get("cell", ""),
        "ns": {kind: round(value, 2) for kind, value in delays.items()},
        "cells": cells,
    }
