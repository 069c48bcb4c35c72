"""What a build is made of and by: versions, hashes, and the commands that make it again."""

import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sterna.gen.build.folder import STAGE_NAMES, Build
from sterna.gen.build.generator import generator_id

__all__ = ["commands", "history", "provenance"]

_OPTIONS = {
    "family": "--family",
    "clock_mhz": "--clock",
    "fps": "--fps",
    "latency": "--latency",
    "luts": "--luts",
    "board": "--board",
    "memory": "--memory",
}


def provenance(build: Build) -> dict[str, Any]:
    """``sterna`` (its version), ``generator`` (the hash of its sources), ``network`` (of structure,
    tensors and name) and ``verilog``, None where it is not written yet."""
    try:
        own = version("sterna")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "sterna": own,
        "generator": generator_id(),
        "network": build.network.digest,
        "verilog": build.hash(build.verilog.name),
    }


def commands(build: Build, board: str | None) -> dict[str, str]:
    """The command that makes each part of a report, by its name, of this very folder."""
    folder = shlex.quote(str(build.folder))
    recipe = folder if (build.folder / "recipe.toml").is_file() else "RECIPE"
    on = board or "BOARD"
    return {
        "report": f"sterna report {folder}",
        "fold": f"sterna fold {folder}",
        "refold": f"sterna fold {folder} --board {on}",
        "verilog": f"sterna verilog {folder}",
        "eval": f"sterna eval {folder}",
        "sim": f"sterna sim {folder}",
        "synth": f"sterna synth {folder}",
        "bitstream": f"sterna bitstream {folder} --board {on}",
        "power": f"sterna power {folder}" + (f" --board {board}" if board else ""),
        "frontier": f"sterna report {folder} --frontier",
        "training": f"sterna train {recipe} -o RUN && sterna quantize RUN -o {folder}",
    }


def history(
    build: Build, measured: Mapping[str, Mapping[str, Any]], placed: Mapping[str, Any] | None
) -> list[dict[str, str]]:
    """The commands that made what is here, in the order in which they can be run again: ``command``
    and what it ``made``."""
    folder, record = shlex.quote(str(build.folder)), build.record()
    out = []
    for stage in STAGE_NAMES:
        if stage in record and stage != "sim":  # the commands that measure make it on their way
            said = record[stage]["options"]
            words = [f"{_OPTIONS[k]} {_text(said[k])}" for k in _OPTIONS if said.get(k) is not None]
            words += ["--patchable"] * (said.get("patchable") is True)
            words += ["--folding folding.json"] * ("folding" in said)
            out.append({"command": " ".join([f"sterna {stage} {folder}", *words]), "made": stage})
    for name, found in measured.items():
        kind, _, which = name.partition("_")
        words = {
            "eval": [_said("--data", found), _said("--split", found), _said("--images", found)],
            "sim": [f"--engine {shlex.quote(which)}", _said("--images", found)],
            "synth": [f"--target {shlex.quote(which)}"],
            "power": [_said(f"--{k}", found.get("run") or {}) for k in ("board", "images")],
        }.get(kind, [])
        line = " ".join([f"sterna {kind} {folder}", *filter(None, words)])
        out.append({"command": line, "made": f"measured/{name}.json"})
    if placed is not None:
        line = f"sterna bitstream {folder} --board {shlex.quote(str(placed['board']))}"
        seeds = placed["seeds"]
        out.append(
            {"command": line + (f" --seeds {seeds}" if seeds != 1 else ""), "made": "the bitstream"}
        )
    return out


def _said(option: str, found: Mapping[str, Any]) -> str:
    value = found.get(option.removeprefix("--"))
    return "" if value is None or value == "own" else f"{option} {_text(value)}"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))
