"""Synthesis out of context with yosys: resources of three families, netlists.

How resources are counted (`synth`):

===========  =============================  ==========================  ==========================
field        ecp5                           xilinx7                     ice40
===========  =============================  ==========================  ==========================
logic        LUT4 + 2 for each CCU2C        LUT1 .. LUT6 + INV          SB_LUT4
carry        CCU2C                          CARRY4                      SB_CARRY
ff           TRELLIS_FF                     FD*                         SB_DFF*
bram         DP16KD                         RAMB36 (a RAMB18 is half)   SB_RAM40_4K
lutram       6 LUT4 a TRELLIS_DPR16X4       LUTs of RAM* and SRL*       0 (the family has none)
dsp          MULT18X18D                     DSP48E1                     SB_MAC16
===========  =============================  ==========================  ==========================

``luts`` is ``logic`` and ``lutram`` together. A 7-series LUT is counted as one whatever its inputs:
what a vendor's packer saves by placing two small ones in one LUT6 is only in
``lut_packed_estimate``.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sterna.gen.device.family import TARGETS
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.programs import provenance
from sterna.golden.errors import DesignError, FileError, UsageError
from sterna.golden.files.disk import read_text, write_atomic

__all__ = ["LARGEST", "bring", "count", "module_ports", "reading", "synth"]

LARGEST = 1 << 31
"""Bytes of a file that a program of the flow writes."""


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
    parts: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Synthesise ``verilog`` (module ``top``) for ``target`` and count what it takes.

    ``target``: one of `TARGETS`. ``netlist`` also writes
    ``<top>_<target>.v``, a gate-level netlist for simulation with the vendor's cell models;
    ``json_netlist`` writes ``<top>_<target>.json`` for nextpnr. ``options`` are added to yosys'
    synthesis command (``-nobram`` where block RAM has no simulation model). Files are written to
    ``build_dir`` (created), the log to ``<top>_<target>.log``. ``parts``: by name, instances of the
    top; what their cells are is counted, too.

    Returns ``luts, logic, carry, ff, bram, lutram, dsp`` (ints, see the module's table; half a
    RAMB36 is 0.5), ``target``, ``cells`` (count by vendor cell), ``tool`` (yosys version),
    ``tools`` (version and kind, 'native' or 'wasm', of what was run) and for xilinx7
    ``lut_packed_estimate`` (yosys' own estimate with small LUTs sharing a site); with ``parts``
    also ``layers``: of each the resources, and ``rest``, what is in
    none. A cell is where its name says, which a LUT has from a signal that it drives.
    Raises UsageError, FileError, ToolMissing, or ToolFailed naming the log.
    """
    if target not in TARGETS:
        raise UsageError(f"no synthesis for target {target!r}; use one of {', '.join(TARGETS)}")
    how = TARGETS[target]
    folder = Path(build_dir)
    stem = f"{top}_{target}"
    sources = bring(verilog, folder)
    script, reads = reading(folder, sources, target)
    more = "".join(f" {option}" for option in options)
    script += [command.format(top=top, options=more) for command in how.script]
    script.append(f"tee -q -o {stem}_stat.json stat -json {how.stat}")
    makes = [f"{stem}_stat.json"]
    if netlist:
        makes.append(f"{stem}.v")
        script.append(f"write_verilog -noattr {stem}.v")
    if json_netlist:
        makes.append(f"{stem}.json")
        if how.selected:
            script += ["autoname", f"select {top}", f"write_json -selected {stem}.json"]
        else:
            script.append(f"write_json {stem}.json")
    counted = {name: f"{stem}_part{n}.json" for n, name in enumerate(parts or {})}
    if counted and how.selected:  # what the other two do themselves
        script.append("autoname")
    for name, file in counted.items():
        wanted = " ".join(f"{top}/c:{instance}.*" for instance in (parts or {})[name])
        script.append(f"tee -q -o {file} stat -json {wanted}")
        makes.append(file)
    (folder / f"{stem}.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    run_kept(
        "yosys",
        ["-Q", "-s", f"{stem}.ys"],
        folder,
        reads=[f"{stem}.ys", *reads],
        makes=makes,
        log=f"{stem}.log",
        timeout=timeout,
    )
    found = _counted(folder / f"{stem}_stat.json", target)
    layers = {name: _part(folder / file, target) for name, file in counted.items()}
    if layers:
        whole = {k: found[k] for k in ("luts", *how.counts)}
        rest = {k: n - sum(part[k] for part in layers.values()) for k, n in whole.items()}
        found |= {"layers": layers, "rest": rest}
    return {"target": target, "top": top, **found, "tools": provenance("yosys")}


def _part(file: Path, target: str) -> dict[str, Any]:
    """What yosys' ``stat -json`` says of some cells."""
    report = _json(file)
    cells: dict[str, int] = {}
    for module in report["modules"].values():  # the top, or none where no cell has such a name
        for name, number in module["num_cells_by_type"].items():
            cells[name] = cells.get(name, 0) + int(number)
    found = count(cells, target)
    return found


def _json(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    return json.loads(text[text.index("{") :])


def _counted(file: Path, target: str) -> dict[str, Any]:
    """What yosys' ``stat -json`` says of a design."""
    report = _json(file)
    design = report["design"]
    cells = {
        name: int(number)
        for name, number in design["num_cells_by_type"].items()
        if name != "$scopeinfo"  # names of flattened modules, no hardware
    }
    result: dict[str, Any] = dict(count(cells, target))
    if "estimated_num_lc" in design:
        result["lut_packed_estimate"] = int(design["estimated_num_lc"])
    return {**result, "cells": dict(sorted(cells.items())), "tool": report.get("creator", "yosys")}


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
    found = {"luts": found["logic"] + found["lutram"], **found}
    return {k: int(n) if n == int(n) else n for k, n in found.items()}


CHAINS = "chains.v"
"""What stands for carry chains, beside the sources."""


def reading(folder: Path, sources: Sequence[str], target: str) -> tuple[list[str], list[str]]:
    """Commands that read ``sources``, files of ``folder``, for a target, and the files that they
    read: also the carry chains of its cells, which are written there."""
    commands, chains = [f"read_verilog {name}" for name in sources], TARGETS[target].chains
    if chains is None:
        return commands, [*sources]
    texts = [read_text(folder / name, LARGEST, "run the command again") for name in sources]
    made = "\n".join(text for text in map(chains, texts) if text)
    if not made:
        return commands, [*sources]
    write_atomic(folder / CHAINS, made.encode())
    return [*commands, f"read_verilog -overwrite {CHAINS}"], [*sources, CHAINS]


def bring(verilog: Iterable[str | Path], folder: Path) -> list[str]:
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
    """Ports of module ``top`` in text written by Sterna, yosys or Amaranth, which has one a line:
    (direction, name, width). DesignError: there is no such module."""
    match = re.search(
        rf"^\s*module \\?{re.escape(top)}\s*[(;].*?^\s*endmodule", verilog, re.M | re.S
    )
    if match is None:
        raise DesignError(f"module {top!r} is not in the Verilog text; check the name of the top")
    found = re.findall(
        r"^\s*(input|output)\s+(?:(?:wire|reg)\s+)?(?:\[(\d+):(\d+)\]\s*)?\\?([^\s;,]+)\s*(?:=[^;,\n]*)?[;,]?$",
        match[0],
        re.M,
    )
    return [
        (direction, name, int(high) - int(low) + 1 if high else 1)
        for direction, high, low, name in found
    ]
