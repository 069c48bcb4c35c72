"""How every file is written and read: wholly or not at all, and refused in one sentence.

A reader takes a plain file of bounded size: of a FIFO, a device or a folder nothing is read, so
that nothing hangs. Text is UTF-8 (a BOM is left out) whatever the locale. A writer's temporary
file is locked while it lives, so that `sweep` knows those of killed writers.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files import flock

__all__ = [
    "StrPath",
    "check_new_file",
    "check_new_folder",
    "is_part",
    "write_atomic",
    "sweep",
    "read_bytes",
    "read_text",
    "hash_file",
    "sha256",
    "canonical_json",
    "parse_json",
    "parse_toml",
    "decode",
]

StrPath = str | os.PathLike[str]

TEMPORARY = ".sterna-"
_PART = ".part"
_ABANDONED = 86_400  # s; where there are no locks, an older temporary file is nobody's
_CHUNK = 1 << 16
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_DEEP = 2  # of a build folder or a run
DEEPEST = 64
"""Objects and lists inside each other, in JSON and TOML."""
_DIGITS = 40  # of a number; the largest that any of our files needs has 20
_DOTTED = r"""(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}"""
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def make_folder(path: Path) -> None:
    """A folder and those above it, where they are not there. FileError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as e:
        raise FileError(f"{path}: {_no_folder(path)}; choose another folder") from e
    except NotADirectoryError as e:
        raise FileError(f"{path}: is below a file; choose another folder") from e
    except (OSError, ValueError) as e:
        raise FileError(f"{path}: cannot be made ({_fault(e)}); choose another folder") from e


def _no_folder(path: Path) -> str:
    """What is there instead of a folder."""
    if path.is_symlink() and not path.exists():
        return "is a link to what is not there, where a folder is needed"
    return "is a file where a folder is needed"


def check_new_folder(path: StrPath) -> None:
    """FileError where no folder could be made or written there; nothing of the trial is left."""
    place = Path(path)
    _check_name(place)
    if os.path.lexists(place) and not place.is_dir():
        raise FileError(f"{place}: {_no_folder(place)}; choose another folder")
    there = next((p for p in (place, *place.parents) if os.path.lexists(p)), Path())
    if not there.is_dir():
        above = "a link to what is not there" if there.is_symlink() else "a file"
        raise FileError(f"{place}: is below {above}; choose another folder")
    try:  # a file: permissions do not tell of /proc, of quotas, of some mounts
        handle, name = _temporary(there)
        os.close(handle)
        os.unlink(name)
    except OSError as e:
        raise FileError(f"{place}: cannot be written ({_fault(e)}); choose another folder") from e


def check_new_file(path: StrPath) -> None:
    """FileError where no file could be written there; nothing of the trial is left."""
    place = Path(path)
    _check_name(place)
    if place.is_dir():
        raise FileError(f"{place}: is a folder where a file is needed; give the name of a file")
    _check_plain(place)
    check_new_folder(place.parent)


def _check_name(path: Path) -> None:
    """FileError for what no file system takes as a name, too long, with a zero in it; and for line
    breaks and the like, which would break every list and script that names it."""
    if re.search(r"[\x01-\x1f\x7f]", str(path)):
        raise FileError(
            f"{str(path)!r}: has a line break or another control character in it; choose another "
            "name"
        )
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as e:
        raise FileError(f"{path}: cannot be written ({_fault(e)}); choose another name") from e


def _check_plain(path: Path) -> None:
    """FileError for devices, pipes and sockets, and links to them."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # nothing there: whoever writes says what is wrong
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(
            f"{path}: is a device, a pipe or a socket, which a file would replace; give the name "
            "of a file"
        )


def _is_device(path: Path) -> bool:
    """Not links to one, nor pipes: those are of their folder, devices of the whole system."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def write_atomic(path: StrPath, data: bytes) -> None:
    """Write a file wholly or not at all: temporary name in the same folder, fsync, rename.

    Makes the folder if needed. FileError where that fails (disk full, no permission); then, and
    when interrupted, the temporary file is removed and an older file stays as it was. A link at
    ``path``, a pipe or a socket is replaced, not followed; a device is refused.
    """
    path = Path(path)
    if _is_device(path):
        _check_plain(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _temporary(path.parent)
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
    except IsADirectoryError as e:
        raise FileError(
            f"{path}: is a folder where a file is needed; remove it, or choose another folder"
        ) from e
    except (OSError, ValueError) as e:  # ValueError: a zero in the name
        space = "free some space or " if getattr(e, "errno", None) in _FULL else ""
        raise FileError(
            f"{path}: cannot be written ({_fault(e)}); {space}choose another folder"
        ) from e
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _temporary(folder: Path) -> tuple[int, str]:
    """(handle, name) of a new file that is locked while the handle is open."""
    while True:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=_PART, dir=folder)
        if not flock.THERE:
            return handle, name
        with contextlib.suppress(OSError):  # a disk without locks
            flock.lock(handle, wait=True)
        try:
            if os.path.samestat(os.fstat(handle), os.stat(name)):
                return handle, name
        except FileNotFoundError:  # swept before it was locked
            pass
        os.close(handle)


def is_part(name: str) -> bool:
    """Whether a file is called as those that writers write into before they rename them."""
    return name.startswith(TEMPORARY) and name.endswith(_PART)


def sweep(folder: StrPath) -> None:
    """Remove the temporary files, down to two folders below, whose writers ended without it."""
    root = os.fspath(folder)
    for place, folders, names in os.walk(root):  # links to folders are not followed
        deep = place[len(root) :].count(os.sep) >= _DEEP
        folders[:] = [] if deep else [f for f in folders if not f.startswith(".")]
        for name in names:
            if is_part(name):
                with contextlib.suppress(OSError):
                    _sweep(os.path.join(place, name))


def _sweep(path: str) -> None:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return
    handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        free = time.time() - os.fstat(handle).st_mtime > _ABANDONED
        if free or (flock.THERE and flock.lock(handle)):  # else its writer lives
            os.unlink(path)
    finally:
        os.close(handle)


def _fault(error: OSError | ValueError) -> str:
    """Why a file cannot be opened, in the same words under every Python: they name a zero in its
    name, a ValueError, differently."""
    cause = getattr(error, "strerror", None) or str(error)
    return "embedded null byte" if "embedded null" in cause else cause


def _open(path: StrPath, again: str) -> tuple[int, int]:
    """(handle, size) of a plain file; a pipe without a writer does not stop it."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as e:
        raise FileError(f"{path}: does not exist; {again}") from e
    except (OSError, ValueError) as e:
        raise FileError(f"{path}: cannot be read ({_fault(e)}); {again}") from e
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "a device")
        raise FileError(f"{path}: cannot be read (it is {kind}, not a file); {again}")
    return handle, found.st_size


def read_bytes(path: StrPath, limit: int, again: str = "make it again") -> bytes:
    """The bytes of a plain file of at most ``limit`` bytes. FileError where it cannot be read, is
    no plain file or is larger; ``again`` is the next step named in the message. Takes the memory
    that the file has, not that of the limit."""
    handle, size = _open(path, again)
    try:
        with open(handle, "rb") as f:
            large = size > limit  # never reads what it will refuse
            data = b"" if large else f.read(size + 1)
            while not large and len(data) <= limit and (more := f.read(_CHUNK)):
                data += more  # it grew, or its size is not known beforehand
    except OSError as e:
        raise FileError(f"{path}: cannot be read ({_fault(e)}); {again}") from e
    if large or len(data) > limit:
        raise FileError(f"{path}: is larger than the {limit} bytes it can have; {again}")
    return data


def hash_file(path: StrPath) -> str | None:
    """sha256 of a plain file; None where there is none or it cannot be read."""
    try:
        handle, _ = _open(path, "")
        with open(handle, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except (FileError, OSError):
        return None


def decode(data: bytes, path: StrPath, again: str = "make it again") -> str:
    """UTF-8 text, without a BOM, line ends as they are."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise FileError(f"{path}: {_cause(e)}; {again}") from e


def read_text(path: StrPath, limit: int, again: str = "make it again") -> str:
    """``decode`` of ``read_bytes``; line ends become newlines, as Python's text files have them."""
    text = decode(read_bytes(path, limit, again), path, again)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def sha256(data: bytes) -> str:
    """sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, two spaces, ASCII, newline at the end."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def parse_json(data: bytes, path: StrPath, again: str = "make it again") -> Any:
    """Strict JSON: no repeated keys, no NaN or infinity, no number of more than 40 digits, nothing
    deeper than 64 levels, no half of a character. FileError names ``path``."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            raise ValueError("a key is used twice")
        return out

    def whole(text: str) -> int:
        if len(text) > _DIGITS:
            raise ValueError(f"a number has {len(text)} digits")
        return int(text)

    def real(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text[:_DIGITS]} is not a number")
        return value

    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text, object_pairs_hook=pairs, parse_constant=real, parse_int=whole, parse_float=real
        )
        _check(value)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:  # Unicode's and JSONDecodeError included
        cause = f"truncated or altered, is not JSON ({_cause(e)})"
        raise FileError(f"{path}: {cause}; {again}") from e
    return value


def parse_toml(
    data: bytes, path: StrPath, again: str = "correct it", finite: bool = True
) -> dict[str, Any]:
    """A TOML file, within the bounds of ``parse_json``; TOML has nan and inf, which are refused but
    where the caller says which key has one (``finite`` False). FileError names ``path``."""
    import tomllib  # PYNQ's Python 3.10 has none (nor ``++`` in patterns), and PynqBoard no TOML

    try:
        text = data.decode("utf-8-sig")
        if re.search(_DOTTED, text):  # quadratic in Python's reader
            raise ValueError(f"deeper than {DEEPEST} levels")
        value = tomllib.loads(text.replace("\r\n", "\n"))
        _check(value, finite)
    except (ValueError, RecursionError, OverflowError) as e:  # TOMLDecodeError included
        raise FileError(f"{path}: is not TOML ({_cause(e)}); {again}") from e
    return value


def _cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"deeper than {DEEPEST} levels"
    if isinstance(error, UnicodeDecodeError):
        wide = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        why = "it is UTF-16" if wide else f"byte {error.start} is no part of a character"
        return f"is not UTF-8 text, {why}"
    if isinstance(error, UnicodeEncodeError):
        return "half of a character"
    text = str(error)
    # int() says which function of Python lifts its limit.
    return "a number of thousands of digits" if "int_max_str_digits" in text else text


def _check(value: Any, finite: bool = True) -> None:
    """ValueError where a value is too deep, or a number in it too long or none."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, dict | list):
            if depth > DEEPEST:
                raise ValueError(f"deeper than {DEEPEST} levels")
            inside = item.values() if isinstance(item, dict) else item
            left += [(v, depth + 1) for v in inside if not isinstance(v, str)]
        elif isinstance(item, float) and finite and not math.isfinite(item):
            raise ValueError(f"{item} is not a number")
        elif isinstance(item, int) and not -(10**_DIGITS) < item < 10**_DIGITS:
            raise ValueError(f"a number has more than {_DIGITS} digits")
