"""run.json, what training says of a run that is over: written by training, read by quantize too."""

from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import parse_json, read_bytes

__all__ = ["RECORD", "CHECKPOINT", "read_record", "finished_record"]

RECORD = "run.json"
CHECKPOINT = "checkpoint.safetensors"

_LIMIT = 1 << 20  # bytes
_KEYS = {"name": str, "done": bool, "seed": int, "epoch": int, "epochs": int}


def read_record(folder: Path) -> dict[str, Any] | None:
    """run.json of a run folder, None where there is none. FileError where it is damaged."""
    path = folder / RECORD
    if not path.exists():
        return None
    again = "delete it, or give another folder"
    if (folder / CHECKPOINT).is_file():
        again = "the same `sterna train` command writes it again"
    record = parse_json(read_bytes(path, _LIMIT, again), path, again)
    bits = record.get("fraction_bits") if isinstance(record, dict) else None
    if (
        not isinstance(record, dict)
        or not all(type(record.get(key)) is kind for key, kind in _KEYS.items())
        or not record["done"]
        or not (bits is None or isinstance(bits, dict))
        or not all(type(n) is int for n in (bits or {}).values())
    ):
        raise FileError(f"{path}: altered, it is not what training says of a finished run; {again}")
    return record


def finished_record(folder: Path) -> dict[str, Any]:
    """run.json of a run that is over; {} where ``folder`` holds a float network but no run.
    FileError where it is damaged or training is not finished."""
    record = read_record(folder)
    if record is None and (folder / CHECKPOINT).is_file():
        raise FileError(f"{folder}: training is not finished; run `sterna train` again to go on")
    return record or {}
