"""What this installation made itself, and so may run or put into a board.

Verilog, netlists, bitstreams and compiled libraries can do whatever their author liked, and a
build folder says of itself only what it was told. Such files are therefore taken only with a seal:
an HMAC-SHA256, with a secret of this user, over what made them and their hashes. Whatever has none
of ours is made again from the network, or refused where it cannot be.
"""

import functools
import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import canonical_json, read_bytes

__all__ = ["cache_folder", "is_sealed", "kept", "keep", "seal"]

_DIGITS = 64


def cache_folder() -> Path:
    """Where what was built is kept: ``$STERNA_CACHE``, else the user's cache folder."""
    given = os.environ.get("STERNA_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sterna"


def seal(what: str, value: Any) -> str:
    """The seal of a JSON value as a ``what``: 64 hexadecimal digits."""
    message = f"{what}\0{canonical_json(value)}".encode()
    return hmac.new(_secret(cache_folder()), message, "sha256").hexdigest()


def is_sealed(what: str, value: Any, found: Any) -> bool:
    """Whether ``found`` is the seal that this installation gave ``value`` as a ``what``."""
    if not isinstance(found, str) or len(found) != _DIGITS or not found.isascii():
        return False
    try:
        return hmac.compare_digest(seal(what, value), found)
    except (TypeError, ValueError, RecursionError):  # no JSON: not what was sealed
        return False


def keep(key: str, text: str) -> str:
    """``text`` with a first line by which :func:`kept` knows it again."""
    return f"// {key} {seal('text', [key, text])}\n{text}"


def kept(path: Path, key: str, limit: int = 1 << 30) -> str | None:
    """The text that :func:`keep` gave for ``key`` and that was left at ``path``; None where there
    is none, or another, or it was changed, or is not of this installation."""
    try:
        head, _, text = read_bytes(path, limit).decode("utf-8").partition("\n")
    except (FileError, UnicodeDecodeError):
        return None
    words = head.split(" ")
    right = len(words) == 3 and words[1] == key and is_sealed("text", [key, text], words[2])
    return text if right else None


@functools.cache
def _secret(folder: Path) -> bytes:
    """This user's secret, made once. Where none can be kept, one for this process: nothing that it
    seals is known again."""
    path = folder / "secret"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            if (found := _read(path)) is not None:
                return found
            handle, name = tempfile.mkstemp(prefix=".secret-", dir=folder)  # mode 0600
            try:
                with os.fdopen(handle, "wb") as f:
                    f.write(secrets.token_hex(_DIGITS // 2).encode())
                    f.flush()
                    os.fsync(f.fileno())
                try:
                    os.link(name, path)  # of several at once the first one's
                except FileExistsError:
                    if _read(path) is None:  # others can read it, or it is cut: worth nothing
                        os.replace(name, path)
                except OSError:  # a disk without such links
                    os.replace(name, path)
            finally:
                Path(name).unlink(missing_ok=True)
    except OSError:
        pass
    return secrets.token_hex(_DIGITS // 2).encode()


def _read(path: Path) -> bytes | None:
    """The secret; None where there is none, or one that others know."""
    try:
        found = path.lstat()
        data = read_bytes(path, _DIGITS)
    except (OSError, FileError):
        return None
    alone = not hasattr(os, "getuid") or (
        found.st_uid == os.getuid() and not found.st_mode & 0o077 and stat.S_ISREG(found.st_mode)
    )
    return data if alone and len(data) == _DIGITS else None
