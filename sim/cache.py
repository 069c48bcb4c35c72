"""Built simulators, kept by what they were built from.

An entry is a folder named after a hash of everything that went into it. It appears whole or not at
all: it is built beside its final place and renamed, and a manifest with the SHA-256 of each file is
checked at every use, so an interrupted build leaves nothing and a damaged entry is built again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sterna.gen.native import cache_folder
from sterna.golden.errors import FileError

__all__ = ["Cache", "cache_folder", "key_of"]

_MANIFEST = "manifest.json"
_LIMIT = 4 << 30
_ABANDONED = 86_400  # seconds


def key_of(*parts: str | bytes) -> str:
    """24 hex digits that differ when any part, or the split into parts, differs."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


class Cache:
    """A folder of built entries, shared by all processes of this machine.

    Args:
        folder: created when first needed; default :func:`cache_folder`.
        limit: bytes; the entries unused for longest are removed above it.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int = _LIMIT):
        self.folder = Path(folder).absolute() if folder is not None else cache_folder()
        self.limit = limit

    def entry(self, key: str, build: Callable[[Path], None]) -> Path:
        """The folder of ``key``, built by ``build(folder)`` unless a whole one is there.

        ``build`` fills an empty folder with its final files; anything it raises passes through
        and leaves no entry. Two processes asking for the same key build it once.

        Raises:
            FileError: the cache folder cannot be written.
        """
        place = self.folder / key
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(key):
                if not _whole(place):
                    shutil.rmtree(place, ignore_errors=True)
                    work = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".new", dir=self.folder))
                    try:
                        build(work)
                        _write_manifest(work)
                        os.rename(work, place)
                    finally:
                        shutil.rmtree(work, ignore_errors=True)
                    self._prune(keep=key)
                else:
                    with contextlib.suppress(OSError):
                        os.utime(place / _MANIFEST)
        except OSError as error:
            raise FileError(
                f"the simulator cache {self.folder} cannot be used: {error.strerror or error}; "
                "set STERNA_CACHE to a folder with free space"
            ) from error
        return place

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        # One lock file a key, never removed: removing it would let two holders in.
        with (self.folder / f"{key}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _prune(self, keep: str) -> None:
        for left in self.folder.glob("*.new"):  # of a build that was killed
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(left)
        found = []
        for manifest in self.folder.glob(f"*/{_MANIFEST}"):
            with contextlib.suppress(OSError, ValueError):
                sizes = json.loads(manifest.read_text())["files"].values()
                size = sum(item["bytes"] for item in sizes)
                found.append((manifest.stat().st_mtime, size, manifest.parent))
        total = sum(size for _, size, _ in found)
        for _, size, place in sorted(found):
            if total <= self.limit:
                break
            if place.name == keep:
                continue
            # An entry in use stays mapped in its process: removing the file does not disturb it.
            shutil.rmtree(place, ignore_errors=True)
            total -= size


def _files(folder: Path) -> dict[str, dict[str, str | int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _MANIFEST:
            data = path.read_bytes()
            found[path.relative_to(folder).as_posix()] = {
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
    return found


def _write_manifest(folder: Path) -> None:
    text = json.dumps({"format": "sterna-simulator", "version": 1, "files": _files(folder)})
    (folder / _MANIFEST).write_text(text)


def _whole(folder: Path) -> bool:
    try:
        wanted = json.loads((folder / _MANIFEST).read_text())
        return wanted["version"] == 1 and wanted["files"] == _files(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
