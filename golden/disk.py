"""How every file is written and read: wholly or not at all, and refused in one sentence."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError

__all__ = ["StrPath", "write_atomic", "read_bytes", "sha256", "canonical_json", "parse_json"]

StrPath = str | os.PathLike[str]


def write_atomic(path: StrPath, data: bytes) -> None:
    """Write a file wholly or not at all: temporary name in the same folder, fsync, rename.

    Makes the folder if needed. FileError where that fails (disk full, no permission); then, and
    when interrupted, the temporary file is removed and an older file stays as it was.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide build files from other users
        os.replace(temporary, path)
        temporary = None
    except (FileExistsError, NotADirectoryError) as e:
        raise FileError(
            f"{path}: cannot be written, since {path.parent} is a file, or below one; choose "
            "another folder"
        ) from e
    except OSError as e:
        raise FileError(
            f"{path}: cannot be written ({e.strerror or e}); free some space or choose another "
            "folder"
        ) from e
    finally:
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass


def read_bytes(path: StrPath, limit: int, again: str = "make it again") -> bytes:
    """The bytes of a file of at most ``limit`` bytes. FileError where it cannot be read or is
    larger; ``again`` is the next step named in the message."""
    try:
        with open(path, "rb") as f:
            large = os.fstat(f.fileno()).st_size > limit  # never reads what it will refuse
            data = b"" if large else f.read(limit + 1)
    except FileNotFoundError as e:
        raise FileError(f"{path}: does not exist; {again}") from e
    except OSError as e:
        raise FileError(f"{path}: cannot be read ({e.strerror or e}); {again}") from e
    if large or len(data) > limit:
        raise FileError(f"{path}: is larger than the {limit} bytes it can have; {again}")
    return data


def sha256(data: bytes) -> str:
    """sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, two spaces, ASCII, newline at the end."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def parse_json(data: bytes, path: StrPath, again: str = "make it again") -> Any:
    """Strict JSON (no repeated keys, NaN or infinity); FileError names ``path``."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            raise ValueError("a key is used twice")
        return out

    def refuse(text: str) -> Any:
        raise ValueError(f"{text} is not a number")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=refuse)
    except (ValueError, RecursionError) as e:  # UnicodeDecodeError and JSONDecodeError included
        raise FileError(f"{path}: truncated or altered, not valid JSON ({e}); {again}") from e
