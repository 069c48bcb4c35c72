"""Decoded pictures, kept in the user's cache: a large folder is decoded once, not by each command.

The key is a hash of the files' bytes, in order, and of all that decides what they become; what is
kept is the finished array and what was told of it. Only what took some seconds is kept, within a
limit of its own, and only with this installation's seal is it read again (`gen.tools.cache`).
"""

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sterna.gen.tools.cache import Cache, cache_folder, key_of
from sterna.golden.errors import FileError
from sterna.golden.files.arrays import parse_npy
from sterna.golden.files.disk import parse_json, read_bytes

__all__ = ["kept_or_decoded"]

_FEW = 200  # files that are decoded at once, whatever they are
_WORTH = 2.0  # seconds
_ENTRY, _ALL = 1 << 29, 1 << 31  # bytes of one set, and of all
_IMAGES, _NOTES = "images.npy", "notes.json"

Found = tuple[np.ndarray, list[str]]


def kept_or_decoded(
    hashes: Sequence[str | None], how: Sequence[object], decode: Callable[[list[str]], Found]
) -> Found:
    """The images and notes of files with these ``hashes`` (sha256, None of one that cannot be
    read): as kept, else by ``decode``, which fills a list with the hashes of what it read.

    ``how``: what else the result depends on. A cache that cannot be used is as none.
    """
    if len(hashes) < _FEW or None in hashes:  # what cannot be read is refused there
        return decode([])
    cache = Cache(cache_folder() / "pictures", "picture cache", _ALL)
    there = cache.there(_key([h for h in hashes if h], how))
    if there is not None:
        with contextlib.suppress(FileError):
            return _read(there)
    read: list[str] = []
    start = time.monotonic()
    images, notes = decode(read)
    if time.monotonic() - start > _WORTH and images.nbytes <= _ENTRY:
        with contextlib.suppress(FileError):  # the disk is full, or cannot be written
            cache.entry(_key(read, how), lambda folder: _write(folder, images, notes))
    return images, notes


def _key(hashes: Sequence[str], how: Sequence[object]) -> str:
    return key_of("pictures 1", *map(str, how), *hashes)


def _write(folder: Path, images: np.ndarray, notes: list[str]) -> None:
    data = io.BytesIO()
    np.save(data, images, allow_pickle=False)
    (folder / _IMAGES).write_bytes(data.getbuffer())
    (folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")


def _read(folder: Path) -> Found:
    images = parse_npy(read_bytes(folder / _IMAGES, 2 * _ENTRY), folder / _IMAGES)
    return images, parse_json(read_bytes(folder / _NOTES, 1 << 20), folder / _NOTES)
