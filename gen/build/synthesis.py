"""What yosys counts of a build's Verilog, out of context, beside what was estimated."""

import re
from pathlib import Path
from typing import Any

from sterna.gen.build.folder import Build
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.report import core_rows, estimated
from sterna.gen.build.stage_list import MEMORY_FOLDER
from sterna.gen.build.stages import Options, ensure
from sterna.gen.design.instances import core_instances
from sterna.gen.device.family import RESOURCES, TARGETS, family_of
from sterna.gen.tools.programs import find
from sterna.gen.tools.progress import Progress, progress_of
from sterna.gen.tools.yosys import synth
from sterna.golden.errors import UsageError
from sterna.golden.files.disk import make_folder, write_atomic
from sterna.golden.words.names import not_one_of

__all__ = ["COUNTED", "bring_verilog", "synthesise"]

COUNTED = RESOURCES | {"lanes": "lanes", "luts_per_lane": "LUTs a lane"}
"""What is counted and its word, in the order in which it is told."""


_ENDS = ("control", "image_input", "result")


def _parts(build: Build) -> dict[str, list[str]]:
    """The instances of each core: its own, and the gearboxes and buffers in front of it, as
    `hw.top.network_top` calls them. None where names of some are those of others."""
    out: dict[str, list[str]] = {}
    for core in core_instances(build.network, build.design):
        inputs = [core.name, *(f"{core.name}_{n}" for n in range(1, len(core.branches)))]
        between = [f"{kind}_{name}" for kind in ("gear", "ahead", "wait") for name in inputs]
        out[core.name] = [core.name, *between]
    every = [*_ENDS, *(name for names in out.values() for name in names)]
    return out if len(set(every)) == len(every) else {}


def synthesise(
    build: Build,
    target: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Synthesise a build, whose missing stages are run, or read what yosys said of the very same
    Verilog; the counts are kept for the report.

    ``target``: one of `TARGETS`; default the design's family, ecp5 where it has none. Returns
    `COUNTED`, ``layers`` (of each core with its gearboxes and buffers), ``estimate`` (of the cost
    model, None for a family without one) and what `gen.tools.yosys.synth` tells. UsageError,
    ToolMissing, ToolFailed.
    """
    if target is not None and (not isinstance(target, str) or target not in TARGETS):
        raise UsageError(f"synth: target {not_one_of(target, TARGETS)}")
    find("yosys")
    progress = progress_of(progress)
    progress.expect(1)
    built = ensure(build, "verilog", options, progress=progress)
    target = target or family_of(built.design.family).target
    with progress.step(f"yosys for {target}"), built.held("synth"):
        folder, name = built.workshop("synth"), built.verilog.name
        bring_verilog(built, folder)
        found = synth([folder / name], built.name, target, folder, parts=_parts(built))
    lanes = sum(row["lanes"] for row in core_rows(built.network, built.design))
    found = {"lanes": lanes, "luts_per_lane": found["luts"] / lanes, **found}
    answer = {k: found[k] for k in COUNTED} | {k: v for k, v in found.items() if k not in COUNTED}
    answer |= {"estimate": estimated(built, target)}
    keep_measurement(built, f"synth_{target}", answer)
    return answer


def bring_verilog(build: Build, folder: Path) -> bytes:
    """Put the Verilog of a build, as this installation made it, into ``folder``, and the files that
    its memories are read from; returns the bytes of both. FileError."""
    name = build.verilog.name
    data = {name: build.made("verilog", name)}
    for file in sorted(set(_FILE.findall(data[name]))):
        path = f"{MEMORY_FOLDER}{file.decode()}"
        data[path] = build.made("pack", path)
    for path, content in data.items():
        make_folder((folder / path).parent)
        write_atomic(folder / path, content)
    return b"".join(data.values())


_FILE = re.compile(rb'\$readmemh\(\{`\w+, "(\w+\.mem)"\}')
