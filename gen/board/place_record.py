"""The record of a build's last place and route, under this installation's seal.

Whoever fills weights into a bitstream goes by it: which bits of which block RAM are which bits of
which memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sterna.gen.build.folder import PLACED
from sterna.gen.tools.trust import is_sealed, seal
from sterna.golden.files.disk import canonical_json, hash_file, parse_json, read_bytes, write_atomic

__all__ = ["keep_placed", "placed_record"]

VERSION = 2  # 1: without a seal


def keep_placed(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record, sealed: last, once the ``files`` that it has hashes of are there."""
    body = {**record, "version": VERSION}
    sealed = body | {"seal": seal("placed", body)}
    write_atomic(folder / PLACED, canonical_json(sealed).encode())


def placed_record(folder: Path) -> dict[str, Any] | None:
    """What `keep_placed` left of its last place and route in ``folder``; None where there is
    nothing, or it is not as this installation made it."""
    path = folder / PLACED
    if not path.exists():
        return None
    record = parse_json(read_bytes(path, 1 << 28), path, "run `sterna bitstream` again")
    if not isinstance(record, dict) or record.get("version") != VERSION:
        return None
    found = record.pop("seal", None)
    right = is_sealed("placed", record, found) and all(
        hash_file(folder / name) == value for name, value in record["files"].items()
    )
    return record if right else None
