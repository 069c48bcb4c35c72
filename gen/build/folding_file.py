"""A folding file: a design.json, a folding with settings beside it, or only core -> folding."""

from pathlib import Path
from typing import Any

from sterna.gen.build.folder import LIMIT
from sterna.gen.design.design import FORMAT, VERSION
from sterna.gen.design.folding import KEYS
from sterna.golden.errors import DesignError, FileError
from sterna.golden.files.disk import parse_json, read_bytes
from sterna.golden.words.names import meant

__all__ = ["read_folding"]

SETTINGS = ("family", "clock_mhz", "axis_width", "patchable")
"""Options that a folding file may give beside the folding."""


def read_folding(path: str | Path) -> dict[str, Any]:
    """A folding file: a design.json; an object with its folding block and, if wanted, `SETTINGS`;
    or only core -> folding, with them beside. FileError for anything else beside a block."""
    body = parse_json(read_bytes(Path(path), LIMIT, "give a folding file"), path)
    if not isinstance(body, dict):
        raise FileError(f"{path}: is not a folding; give core -> {', '.join(KEYS)}")
    # A core may be called as a setting is: its folding is an object, no setting is one.
    out = {k: body[k] for k in SETTINGS if k in body and not isinstance(body[k], dict)}
    if body.get("format") == FORMAT:
        if body.get("version", VERSION) != VERSION:
            raise FileError(
                f"{path}: has version {body.get('version')!r}, this Sterna reads {VERSION}; give "
                "only its 'folding' block, or fold again"
            )
        out |= _patchable(body.get("cores"))
        body = {"folding": body.get("folding")}
    if "folding" not in body:
        return out | {"folding": {k: v for k, v in body.items() if k not in out}}
    if unknown := set(body) - {"folding", *SETTINGS}:
        raise FileError(
            f"{path}: {', '.join(map(repr, sorted(unknown)))} beside 'folding' is not one of "
            f"{', '.join(SETTINGS)}{meant(min(unknown), SETTINGS)}; correct the name, "
            "or move a core into 'folding'"
        )
    if not isinstance(body["folding"], dict):
        raise DesignError(f"{path}: 'folding' is not an object; give core -> {', '.join(KEYS)}")
    return out | {"folding": body["folding"]}


def _patchable(cores: Any) -> dict[str, bool]:
    """What the cores of a design.json say of that option; nothing where none has fixed weights."""
    found = [c for c in cores if isinstance(c, dict)] if isinstance(cores, list) else []
    fixed = [c for c in found if c.get("op") == "conv" and c.get("memory") == "rom"]
    return {"patchable": any(c.get("patchable") is True for c in fixed)} if fixed else {}
