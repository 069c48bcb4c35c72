"""The curves of a training: what log.jsonl says of every epoch, as a table for other programs."""

import csv
import io
import math
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import parse_json, read_bytes, write_atomic

__all__ = ["curve", "read_history", "write_curves"]

_LIMIT = 1 << 28
_DRAWN = ("loss", "validation", "test")
"""How columns begin that a report draws."""
_MOST = 1000
"""Epochs that it has."""


def read_history(run: Path) -> list[dict[str, Any]]:
    """A dictionary for each epoch of a run folder, those of earlier slices too; damaged lines are
    left out."""
    path, out = run / "log.jsonl", []
    for line in read_bytes(path, _LIMIT).splitlines() if path.is_file() else ():
        try:
            found = parse_json(line, path)
        except FileError:
            continue
        if isinstance(found, dict) and isinstance(found.get("epoch"), int):
            out.append(found)
    return out


def curve(run: Path) -> dict[str, Any] | None:
    """Of a run's history what a report draws: ``epochs`` (how many there are), ``columns``, and
    ``history``, of long runs the epochs at even distances and the last; None without one."""
    lines = read_history(run)
    said = {k: v for line in lines for k, v in line.items() if _is_number(v)}
    columns = [k for k in said if k.startswith(_DRAWN)]
    if not columns:
        return None
    every = -(-len(lines) // _MOST)
    kept = lines[(len(lines) - 1) % every :: every]
    rows = [{k: h[k] for k in ("epoch", *columns) if _is_number(h.get(k))} for h in kept]
    return {"epochs": len(lines), "columns": columns, "history": rows}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def write_curves(path: Path, run: Path) -> None:
    """A CSV file of a run's history, a column a key."""
    history = read_history(run)
    heads = list(dict.fromkeys(key for line in history for key in line))
    text = io.StringIO()
    table = csv.DictWriter(text, heads or ["epoch"], lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    write_atomic(path, text.getvalue().encode())
