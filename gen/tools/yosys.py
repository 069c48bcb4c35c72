"""Synthesis out of context with yosys: resources for three families, netlists, Fmax on ECP5.

How resources are counted (`synth`):

===========  =============================  ==========================  ==========================
field        ecp5                           xilinx7                     ice40
===========  =============================  ==========================  ==========================
lut          LUT4 + 2 for each CCU2C        LUT1 .. LUT6 + INV          SB_LUT4
carry        CCU2C                          CARRY4                      SB_CARRY
ff           TRELLIS_FF                     FD*                         SB_DFF*
bram         DP16KD                         RAMB36 (a RAMB18 is half)   SB_RAM40_4K
lutram       6 LUT4 a TRELLIS_DPR16X4       LUTs of RAM* and SRL*       0 (the family has none)
dsp          MULT18X18D                     DSP48E1                     SB_MAC16
===========  =============================  ==========================  ==========================

``lut`` does not contain ``lutram``. A 7-series LUT is counted as one whatever its inputs: what a
vendor's packer saves by placing two small ones in one LUT6 is only in ``lut_packed_estimate``.
"""

import json
import re
import shutil
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sterna.gen.device.family import FAMILIES, TARGETS
from sterna.gen.tools.block_ram_registers import use_output_registers
from sterna.gen.tools.programs import Stop, provenance, run_tool, side_by_side
from sterna.golden.errors import DesignError, FileError, UsageError

__all__ = ["ROUTERS", "synth", "fmax_ecp5", "count", "module_ports"]

ROUTERS = ("router1", "router2")
CLOCK_PIN = ("CABGA381", "P3")
"""A package that ECP5s of every size come in, and a pin of it that drives a global clock."""
_ECP5 = FAMILIES["ecp5"]


def synth(
    verilog: Sequence[str | Path],
    top: str,
    target: str,
    build_dir: str | Path,
    *,
    netlist: bool = False,
    json_netlist: bool = False,
    options: Sequence[str] = (),
    timeout: float | None = None,
) -> dict[str, Any]:
    """Synthesise ``verilog`` (module ``top``) for ``target`` and count what it takes.

    ``target``: one of `TARGETS`. ``netlist`` also writes
    ``<top>_<target>.v``, a gate-level netlist for simulation with the vendor's cell models;
    ``json_netlist`` writes ``<top>_<target>.json`` for nextpnr. ``options`` are added to yosys'
    synthesis command (``-nobram`` where block RAM has no simulation model). Files are written to
    ``build_dir`` (created), the log to ``<top>_<target>.log``.

    Returns ``lut, carry, ff, bram, lutram, dsp`` (ints, see the module's table; half a RAMB36 is
    0.5), ``target``, ``cells`` (count by vendor cell), ``tool`` (yosys version), ``tools`` (version
    and kind, 'native' or 'wasm', of what was run) and for xilinx7
    ``lut_packed_estimate`` (yosys' own estimate with small LUTs sharing a site).
    Raises UsageError, FileError, ToolMissing, or ToolFailed naming the log.
    """
    if target not in TARGETS:
        raise UsageError(f"no synthesis for target {target!r}; use one of {', '.join(TARGETS)}")
    how = TARGETS[target]
    folder = Path(build_dir)
    stem, more = f"{top}_{target}", "".join(f" {option}" for option in options)
    script = [f"read_verilog {name}" for name in _bring(verilog, folder)]
    script += [command.format(top=top, options=more) for command in how.script]
    script.append(f"tee -q -o {stem}_stat.json stat -json {how.stat}")
    if netlist:
        script.append(f"write_verilog -noattr {stem}.v")
    if json_netlist:
        if how.selected:
            script += ["autoname", f"select {top}", f"write_json -selected {stem}.json"]
        else:
            script.append(f"write_json {stem}.json")
    (folder / f"{stem}.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    run_tool("yosys", ["-Q", "-s", f"{stem}.ys"], folder, log=f"{stem}.log", timeout=timeout)
    text = (folder / f"{stem}_stat.json").read_text(encoding="utf-8")
    report = json.loads(text[text.index("{") :])
    design = report["design"]
    cells = {
        name: int(number)
        for name, number in design["num_cells_by_type"].items()
        if name != "$scopeinfo"  # names of flattened modules, no hardware
    }
    result = {"target": target, "top": top, **count(cells, target)}
    if "estimated_num_lc" in design:
        result["lut_packed_estimate"] = int(design["estimated_num_lc"])
    result["cells"] = dict(sorted(cells.items()))
    result["tool"] = report.get("creator", "yosys")
    result["tools"] = provenance("yosys")
    return result


def count(cells: dict[str, int], target: str) -> dict[str, Any]:
    """Resources of a count of vendor cells (as `synth` returns them), e.g. sums over modules."""
    how = TARGETS[target]
    found = {
        resource: sum(
            number * each
            for cell, number in cells.items()
            for pattern, each in patterns.items()
            if re.fullmatch(pattern, cell)
        )
        for resource, patterns in how.counts.items()
    }
    return {k: int(n) if n == int(n) else n for k, n in found.items()}


def _bring(verilog: Iterable[str | Path], folder: Path) -> list[str]:
    """Copies the sources into ``folder``: yosys sees nothing of /tmp but the current folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for path in map(Path, verilog):
        if not path.is_file():
            raise FileError(f"Verilog file {path} does not exist; run sterna verilog first")
        if path.resolve() != (folder / path.name).resolve():
            if path.name in names:
                raise FileError(f"two Verilog files are called {path.name}; rename one")
            shutil.copyfile(path, folder / path.name)
        names.append(path.name)
    if not names:
        raise UsageError("nothing to synthesise: no Verilog file was given")
    return names


def module_ports(verilog: str, top: str) -> list[tuple[str, str, int]]:
    """Ports of module ``top`` in text written by yosys or Amaranth: (direction, name, width)."""
    match = re.search(rf"^module \\?{re.escape(top)}\s*\(.*?^endmodule", verilog, re.M | re.S)
    if match is None:
        raise DesignError(f"module {top!r} is not in the Verilog text; check the name of the top")
    found = re.findall(
        r"^\s*(input|output)\s+(?:wire|reg)?\s*(?:\[(\d+):(\d+)\])?\s*\\?([^\s;]+)\s*;",
        match[0],
        re.M,
    )
    return [
        (direction, name, int(high) - int(low) + 1 if high else 1)
        for direction, high, low, name in found
    ]


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
    median run: ``from``, ``to``, ``ns`` of logic and routing, ``cells``), ``lut`` and ``ff`` of
    the core with its wrapper, ``device`` and ``target_mhz``.
    """
    if router not in ROUTERS:
        raise UsageError(f"no router {router!r}; use {' or '.join(ROUTERS)}")
    placer, folder = _ECP5.nextpnr, Path(build_dir)
    assert placer is not None
    names = _bring(verilog, folder)
    ports: list[tuple[str, str, int]] = []
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        if re.search(rf"^module \\?{re.escape(top)}\s*\(", text, re.M):
            ports = module_ports(text, top)
    if not any(name == clock for _, name, _ in ports):
        raise DesignError(f"module {top!r} has no clock port {clock!r}; give its name")
    (folder / "fmax_wrapper.v").write_text(_wrapper(ports, top, clock), encoding="utf-8")
    used = synth(
        [*(folder / name for name in names), folder / "fmax_wrapper.v"],
        "fmax_wrapper",
        _ECP5.name,
        folder,
        json_netlist=True,
        options=options,
        timeout=timeout,
    )
    netlist = folder / "fmax_wrapper_ecp5.json"
    moved = use_output_registers(netlist, "fmax_wrapper") if output_registers else 0
    routing = ["--router", router]
    if router == "router2":  # did not converge with the pin that nextpnr chose
        text = f'LOCATE COMP "{clock}" SITE "{CLOCK_PIN[1]}";\n'
        (folder / "fmax.lpf").write_text(text, encoding="utf-8")
        routing += ["--package", CLOCK_PIN[0], "--lpf", "fmax.lpf"]

    def run(seed: int, stop: Stop) -> tuple[float, dict[str, Any]]:
        report = f"fmax_{seed}.json"
        run_tool(
            placer.program,
            [
                f"--{device}",
                "--speed",
                "6",
                "--json",
                "fmax_wrapper_ecp5.json",
                "--report",
                report,
                "--seed",
                str(seed),
                "--freq",
                str(target_mhz),
                "--timing-allow-fail",
                "--lpf-allow-unconstrained",
                "--quiet",
                *placer.options,
                *routing,
            ],
            folder,
            log=f"fmax_{seed}.log",
            timeout=timeout,
            stop=stop,
        )
        placed = json.loads((folder / report).read_text(encoding="utf-8"))
        return min(float(entry["achieved"]) for entry in placed["fmax"].values()), placed

    runs = side_by_side([lambda stop, seed=seed: run(seed, stop) for seed in seeds])
    middle = statistics.median_low([mhz for mhz, _ in runs])
    chosen = next(placed for mhz, placed in runs if mhz == middle)
    return {
        "mhz": round(middle, 1),
        "all": [round(mhz, 1) for mhz, _ in runs],
        "critical": _critical(chosen),
        "lut": used["lut"],
        "ff": used["ff"] - moved,
        "device": f"ECP5 {device}, speed grade 6",
        "target_mhz": target_mhz,
    }


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
