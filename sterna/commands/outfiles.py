"""Files that commands write beside a build: which older file each of them may replace.

Only one of the command's own kind, known by what is in it: a name that was mistyped must cost
nobody a design.json, or a table of somebody's own. Nothing of weight is imported.
"""

import contextlib
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

from sterna.golden.errors import FileError
from sterna.golden.files.disk import check_new_file, read_bytes

__all__ = ["KINDS", "check_replaced"]

_LIMIT = 1 << 20
_FST = b"\0" + (329).to_bytes(8, "big")
"""A block of the header, and its length."""


def _begins(*starts: bytes) -> Callable[[Path], bool]:
    return lambda path: _beginning(path).startswith(starts)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 12)


def _is_report(path: Path) -> bool:
    whole = path.stat().st_size <= _LIMIT
    return whole and b'"format": "sterna-selftest"' in read_bytes(path, _LIMIT)


def _is_curves(path: Path) -> bool:
    return b"epoch" in _beginning(path).partition(b"\n")[0].split(b",")


def _is_results(path: Path) -> bool:
    with zipfile.ZipFile(path) as found:
        return {"logits.npy", "classes.npy"} <= {*found.namelist()}


KINDS: dict[str, Callable[[Path], bool]] = {
    "report of a selftest": _is_report,
    "table of predictions": _begins(b"file,class,name"),
    "table of curves": _is_curves,
    "logits and classes": _is_results,
    "waveform": _begins(b"$", _FST),
    "bitstream": _begins(b"\xff\x00"),
}
"""What a command writes -> whether a file is such a one."""


def check_replaced(path: str, kind: str) -> None:
    """FileError where no file can be written there, or one is there that is none of the kind, or is
    protected against writing."""
    check_new_file(path)
    place = Path(path)
    if not place.is_file() or not place.stat().st_size:
        return
    own = False
    with contextlib.suppress(OSError, FileError, zipfile.BadZipFile):
        own = KINDS[kind](place)
    if not own:
        raise FileError(
            f"{path}: is there already and is no {kind}; give another name, or remove it first"
        )
    if not place.stat().st_mode & stat.S_IWUSR:
        raise FileError(f"{path}: is protected against writing; give another name")
