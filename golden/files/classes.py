"""classes.json of a build: what the classes of its network are called. They are no part of the
network, whose bytes are the same whatever they mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import canonical_json, parse_json, read_bytes, write_atomic

__all__ = ["CLASSES", "class_name", "read_classes", "write_classes"]

CLASSES = "classes.json"
_FORMAT = "sterna-classes"
_LIMIT = 1 << 26


def write_classes(folder: Path, names: Sequence[str]) -> None:
    """Write the names by class; without any, a file of before is taken away."""
    path = folder / CLASSES
    if names:
        body = {"format": _FORMAT, "version": 1, "classes": list(names)}
        write_atomic(path, canonical_json(body).encode())
    else:
        path.unlink(missing_ok=True)


def read_classes(folder: Path, outputs: int) -> tuple[str, ...]:
    """The names by class, () where nothing says them. FileError where the file is damaged or of a
    network with fewer than that many ``outputs``."""
    path = folder / CLASSES
    if not path.is_file():
        return ()
    again = "run `sterna quantize` again, or delete it"
    body: Any = parse_json(read_bytes(path, _LIMIT, again), path, again)
    names = body.get("classes") if isinstance(body, dict) else None
    right = isinstance(names, list) and all(isinstance(n, str) and n for n in names)
    if not right or body.get("format") != _FORMAT or body.get("version") != 1:
        raise FileError(f"{path}: altered, it is no file of class names; {again}")
    assert names is not None
    if len(names) > outputs or len(set(names)) < len(names):
        raise FileError(
            f"{path}: has {len(names)} classes, some twice or more than the network's {outputs}; "
            f"{again}"
        )
    return tuple(names)


def class_name(names: Sequence[str], label: int) -> str:
    """What a class is called: its number, where it has no name."""
    return names[label] if label < len(names) else str(label)
