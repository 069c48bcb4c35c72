"""Compiled programs, kept by what they were made from.

An entry is a folder named after a hash of everything that went into it. It appears whole or not at
all: it is built beside its final place and renamed. A manifest with the SHA-256 of each file, under
this installation's seal (`gen.tools.trust`), is checked at every use, so an interrupted build
leaves nothing, and an entry that is damaged, or that somebody else put there, is built again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from sterna.gen.tools.trust import cache_folder, is_sealed, seal
from sterna.golden.errors import FileError
from sterna.golden.files import flock
from sterna.golden.files.disk import parse_json, read_bytes
from sterna.golden.words.telling import detail

__all__ = ["Cache", "cache_folder", "key_of"]

_MANIFEST = "manifest.json"
_LIMIT = 4 << 30
_MANIFEST_LIMIT = 1 << 24
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
        what: the cache's name in messages.
        limit: bytes; the entries unused for longest are removed above it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        what: str = "simulator cache",
        limit: int = _LIMIT,
    ):
        self.folder = Path(folder).absolute() if folder is not None else cache_folder()
        self.what, self.limit = what, limit

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
                if self.there(key) is None:
                    _remove(place)
                    if flock.THERE:  # of a build that was killed: its lock is ours now
                        for left in self.folder.glob(f"{key}.*.new"):
                            shutil.rmtree(left, ignore_errors=True)
                    work = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".new", dir=self.folder))
                    try:
                        build(work)
                        _write_manifest(work)
                        os.rename(work, place)
                    finally:
                        shutil.rmtree(work, ignore_errors=True)
                    self._prune(keep=key)
                else:
                    detail(f"{place}: is kept")
        except OSError as error:
            raise FileError(
                f"the {self.what} {self.folder} cannot be used: {error.strerror or error}; "
                "set STERNA_CACHE to a folder with free space"
            ) from error
        return place

    def there(self, key: str) -> Path | None:
        """The folder of ``key``; None where there is no whole one."""
        place = self.folder / key
        if not _whole(place):
            return None
        with contextlib.suppress(OSError):
            os.utime(place / _MANIFEST)
        return place

    @contextlib.contextmanager
    def _lock(self, key: str) -> Generator[None]:
        # One lock file a key, never removed: removing it would let two holders in.
        with (self.folder / f"{key}.lock").open("ab") as handle:
            flock.lock(handle, wait=True)
            yield

    def _prune(self, keep: str) -> None:
        for left in self.folder.glob("*.new"):  # of a build that was killed
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(left)
        found = []
        for manifest in self.folder.glob(f"*/{_MANIFEST}"):
            with contextlib.suppress(OSError, FileError, LookupError, TypeError, AttributeError):
                sizes = _manifest(manifest)["files"].values()
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
        if path.is_symlink():
            raise ValueError("a link is no part of an entry")
        if path.is_file() and path.name != _MANIFEST:
            data = read_bytes(path, _LIMIT)
            found[path.relative_to(folder).as_posix()] = {
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
    return found


def _write_manifest(folder: Path) -> None:
    files = _files(folder)
    body = {"format": "sterna-cache", "version": 2, "files": files}
    text = json.dumps(body | {"seal": seal("cache", files)})
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


def _manifest(path: Path) -> dict[str, Any]:
    return parse_json(read_bytes(path, _MANIFEST_LIMIT), path)


def _whole(folder: Path) -> bool:
    try:
        wanted = _manifest(folder / _MANIFEST)
        same = wanted["version"] == 2 and wanted["files"] == _files(folder)
        return same and is_sealed("cache", wanted["files"], wanted["seal"])
    except (FileError, OSError, ValueError, LookupError, TypeError):
        return False


def _remove(place: Path) -> None:
    """Whatever stands where an entry belongs; of a link only itself."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)
