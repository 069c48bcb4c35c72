"""How a simulated board is known for one: beside its port lies a note that says what it is.

A simulated board's Verilog is that of a real one, so nothing in the link tells them apart; whoever
simulates says it here. The note is a small JSON file in a folder of the user's own among the
temporary files, named after the port; it holds while the process that wrote it lives. Standard
library only.
"""

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import canonical_json, parse_json, read_bytes, write_atomic

__all__ = ["announce", "announced", "withdraw"]

_LIMIT = 1 << 16


def _folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"sterna-boards-{user}"


def _note(port: str) -> Path:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", os.path.realpath(port)).strip("_")
    return _folder() / f"{plain}.json"


def announce(port: str, facts: dict[str, Any]) -> None:
    """Say that a simulated board of this process is behind ``port``. ``facts``: more about it,
    plain values. Where nothing can be written it stays unsaid: the port is a pseudo-terminal all
    the same, which no board has."""
    note = _note(port)
    with contextlib.suppress(FileError, OSError):
        note.parent.mkdir(mode=0o700, exist_ok=True)
        body = {"simulated": True, "process": os.getpid(), **facts}
        write_atomic(note, canonical_json(body).encode())


def withdraw(port: str) -> None:
    """The board behind ``port`` is gone."""
    with contextlib.suppress(OSError):
        _note(port).unlink(missing_ok=True)


def announced(port: str) -> dict[str, Any] | None:
    """What is said of the simulated board behind ``port``; None where nobody says that it is one,
    or the process that said it has ended."""
    note = _note(port)
    try:
        _own(note.parent)
        body = parse_json(read_bytes(note, _LIMIT), note)
    except (FileError, OSError):
        return None
    if not isinstance(body, dict) or body.get("simulated") is not True:
        return None
    process = body.pop("process", None)
    del body["simulated"]
    return body if type(process) is int and _lives(process) else None


def _own(folder: Path) -> None:
    """OSError where the folder is somebody else's, who could say what he likes of our ports."""
    found = folder.lstat()
    foreign = hasattr(os, "getuid") and found.st_uid != os.getuid()
    if foreign or not stat.S_ISDIR(found.st_mode):
        raise OSError("not ours")


def _lives(process: int) -> bool:
    if process <= 0 or process >= 1 << 31:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, or Windows
        return True
    return True
