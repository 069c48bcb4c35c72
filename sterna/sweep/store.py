"""The folder of a sweep: a file for each result, written wholly or not at all.

A file says which task it is of, and ends in a sum of all that it says: one that was cut, edited or
renamed is noticed, named, and its task done again. That is against accidents; who wants to forge a
result can.
"""

import os
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import (
    canonical_json,
    make_folder,
    parse_json,
    read_bytes,
    sha256,
    write_atomic,
)
from sterna.golden.words.telling import tell
from sterna.sweep.task import Task

__all__ = ["DONE", "FAILED", "Store"]

DONE, FAILED = "done", "failed"
_MARK = "sweep.json"
_FOLDER = "results"
_LIMIT = 1 << 26
_FORMAT = {"format": "sterna-sweep", "version": 1}


class Store:
    """The results below ``folder``, which is made here, or is of a sweep already. UsageError: it
    holds something else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / _FOLDER
        mark = folder / _MARK
        if not mark.is_file() and folder.is_dir() and any(_visible(folder)):
            raise UsageError(f"{folder}: is no sweep, and not empty; give another folder with -o")
        if mark.is_file():
            found = parse_json(read_bytes(mark, _LIMIT), mark, "give another folder with -o")
            if found != _FORMAT:
                raise FileError(
                    f"{mark}: is not of a sweep that this Sterna reads; give another folder with -o"
                )
        else:
            write_atomic(mark, canonical_json(_FORMAT).encode())
        make_folder(self.results)

    def path(self, task: Task) -> Path:
        return self.results / f"{task.id}.json"

    def take(self, task: Task) -> dict[str, Any] | None:
        """The filed result: ``state``, ``row`` or ``error``, ``made``; None where there is none, or
        none that is whole, which is told of."""
        path = self.path(task)
        if not os.path.lexists(path):
            return None
        try:
            found = parse_json(read_bytes(path, _LIMIT), path)
            body = {k: v for k, v in found.items() if k != "sha256"}
            whole = found.get("sha256") == _sum(body) and body.get("task") == task.as_dict()
        except (FileError, AttributeError):
            whole, body = False, {}
        if not whole:
            tell(f"{path}: was cut or altered since it was filed; its task is done again")
            return None
        return body

    def file(self, task: Task, result: dict[str, Any]) -> dict[str, Any]:
        """Write the result of a task; returns what `take` will. FileError."""
        body = {**_FORMAT, "task": task.as_dict(), **result}
        data = canonical_json({**body, "sha256": _sum(body)}).encode()
        write_atomic(self.path(task), data)
        return parse_json(data, self.path(task))


def _sum(body: dict[str, Any]) -> str:
    return sha256(canonical_json(body).encode())


def _visible(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if not name.startswith(".")]
