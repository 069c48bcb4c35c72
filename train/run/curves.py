"""The curves of a training: what log.jsonl says of every epoch, as a table for other programs."""

import csv
import io
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import parse_json, read_bytes, write_atomic

__all__ = ["read_history", "write_curves"]

_LIMIT = 1 << 28


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


def write_curves(path: Path, run: Path) -> None:
    """A CSV file of a run's history, a column a key."""
    history = read_history(run)
    heads = list(dict.fromkeys(key for line in history for key in line))
    text = io.StringIO()
    table = csv.DictWriter(text, heads or ["epoch"], lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    write_atomic(path, text.getvalue().encode())
