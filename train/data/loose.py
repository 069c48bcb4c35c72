"""Images in files by themselves: a picture, an array, a recording, or a folder of them."""

import numpy as np

from sterna.golden.errors import UsageError
from sterna.golden.files.arrays import parse_npy
from sterna.golden.files.disk import read_bytes
from sterna.golden.files.sources import Source
from sterna.golden.words.values import path as path_of
from sterna.train.data import events, listing, own, picture
from sterna.train.data.arrays_file import as_images
from sterna.train.data.sets import Wanted

__all__ = ["read_loose"]

_LARGEST = 1 << 30


def read_loose(
    place: str, wanted: Wanted, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """(images as `sterna.run` takes them, a name for each, notes).

    A .npy holds images as the network takes them: [H,W], [C,H,W], [N,C,H,W], frames [T,N,C,H,W] or,
    where T is not the first axis, [N,T,C,H,W]; or, for a network of frames, one recording [N,4] of
    x, y, t, p. Of a folder all pictures or recordings are taken, also those below, by name.
    """
    path = path_of("--file", place)
    source = Source("folder", place, size)
    if path.is_dir():
        known = (*picture.SUFFIXES, *events.SUFFIXES)
        found = [f for f in listing.list_files(path, path, place) if f[1].suffix.lower() in known]
        if not found:
            raise UsageError(f"{place}: holds no pictures and no recordings; give another folder")
        images, notes = own.read_files(found, place, wanted, source)
        return own.engine(images), tuple(name for name, _ in found), notes
    if path.suffix.lower() == ".npy":
        array = parse_npy(read_bytes(path, _LARGEST, "give a .npy file of at most 1 GB"), place)
        if not (wanted.frames and array.ndim == 2):
            return _array(array, place, wanted, size)
    elif path.suffix.lower() not in (*picture.SUFFIXES, *events.SUFFIXES):
        # A file without a picture's name may be an array, as it always could.
        array = parse_npy(read_bytes(path, _LARGEST, "give a .npy file or a picture"), place)
        return _array(array, place, wanted, size)
    images, notes = own.read_files([(path.name, path)], place, wanted, source)
    return own.engine(images), (path.name,), notes


def _array(
    array: np.ndarray, place: str, wanted: Wanted, size: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    if size is not None:
        raise UsageError(f"{place}: takes no size, which is for pictures; leave it out")
    if array.ndim == 5 and not (len(array) != wanted.steps and array.shape[1] == wanted.steps):
        array = array.swapaxes(0, 1)
    elif array.ndim == 2:
        array = array[None, None]
    elif array.ndim == 3 and array.shape == wanted.shape:
        array = array[None]
    images, notes = as_images(array, place, wanted)
    return own.engine(images), tuple(map(str, range(len(images)))), notes
