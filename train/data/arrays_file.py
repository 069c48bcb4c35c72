"""Arrays of one's own, from a .npz or from Python, as uint8 images and int64 labels.

Images are raw unsigned pixels, [N,H,W], [N,C,H,W] or [N,H,W,C], or frames [N,T,C,H,W]. Which of
the two orders of four axes it is, the network's input says; where both fit, or no network is known
and the last axis is not 1 or 3, it is [N,C,H,W]. Real numbers need a stated scale: what 1 stands
for.
"""

from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.arrays import parse_npz
from sterna.golden.files.disk import read_bytes
from sterna.golden.words.names import show
from sterna.golden.words.values import plain
from sterna.train.data.sets import Wanted

__all__ = ["as_images", "as_labels", "read_arrays"]

_LARGEST = 1 << 33  # bytes of a file, and unpacked
_PAIRS = {
    "train": ("x_train", "y_train"),
    "validation": ("x_val", "y_val"),
    "test": ("x_test", "y_test"),
    "": ("images", "labels"),
}
_SAID = "x_train and y_train (x_val, y_val, x_test, y_test), or images and labels"


def read_arrays(
    path: Path, where: str, wanted: Wanted, scale: float | None
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], list[str]]:
    """((images, labels) by part, '' for the whole; notes) of a .npz file. FileError, UsageError:
    it is damaged, holds objects, or other arrays."""
    again = "write it with numpy.savez, of plain arrays"
    arrays = parse_npz(read_bytes(path, _LARGEST, "correct the path"), path, _LARGEST, again)
    arrays = {k.replace("_validation", "_val"): v for k, v in arrays.items()}
    known = {name for pair in _PAIRS.values() for name in pair}
    if not arrays or set(arrays) - known:
        other = show(min(set(arrays) - known)) if arrays else "nothing"
        raise FileError(f"{where}: holds {other}, where {_SAID} are wanted; rename the arrays")
    out, notes = {}, []
    for part, (x, y) in _PAIRS.items():
        if x not in arrays and y not in arrays:
            continue
        if x not in arrays or y not in arrays:
            lacks = x if x not in arrays else y
            raise FileError(f"{where}: has no {lacks}; add it, or take the other away")
        images, said = as_images(arrays[x], f"{where}: {x}", wanted, scale)
        out[part] = images, as_labels(arrays[y], f"{where}: {y}", images)
        notes += [n for n in said if n not in notes]
    if "" in out and len(out) > 1:
        raise FileError(f"{where}: has images beside x_...; keep one of them")
    return out, notes


def as_images(
    given: Any, where: str, wanted: Wanted, scale: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """(uint8 [N,C,H,W] or [N,T,C,H,W], notes). UsageError says what is wrong with them."""
    try:
        a = np.asarray(plain(given))
    except Exception as error:  # ragged lists, foreign objects
        text = " ".join(str(error).split())[:120]
        raise UsageError(f"{where}: {show(given)} is no array ({text}); give uint8") from None
    notes: list[str] = []
    if a.dtype.kind == "f":
        a = _scaled(a, where, scale)
        notes.append(f"images were multiplied by {scale:g} and rounded")
    elif scale is not None:
        raise UsageError(f"{where}: {a.dtype} needs no scale; leave scale out")
    if a.dtype.kind not in "iub":
        raise UsageError(f"{where}: {a.dtype} is no type of pixels; give raw unsigned ones, uint8")
    if a.ndim not in (3, 4, 5) or not a.size or max(a.shape[1:]) > 65535:
        raise UsageError(
            f"{where}: shape {a.shape} is none of images [N,C,H,W] or frames [N,T,C,H,W]; reshape "
            "them"
        )
    low, high = int(a.min()), int(a.max())
    if low < 0 or high > 255:
        bad = low if low < 0 else high
        raise UsageError(f"{where}: value {bad} is outside 0 .. 255; bring pixels to 8 bits")
    if high <= 1 and a.ndim < 5 and not wanted.frames:
        kind = "False and True" if a.dtype.kind == "b" else "0 and 1"
        notes.append(f"all pixels are {kind}, of 0 .. 255: multiply by 255 if 1 is white")
    a = a.astype(np.uint8, copy=False)
    if a.ndim == 3:
        a = a[:, None]
    elif a.ndim == 4 and _is_last(a.shape, wanted):
        a = np.ascontiguousarray(a.transpose(0, 3, 1, 2))
        notes.append("images were taken as [N,H,W,C]")
    return a, notes


def _scaled(a: np.ndarray, where: str, scale: float | None) -> np.ndarray:
    if not np.isfinite(a).all():
        raise UsageError(f"{where}: holds NaN or infinity; repair it")
    if scale is None:
        raise UsageError(
            f"{where}: {a.dtype} is not an integer type; give raw unsigned pixels as uint8, or say "
            "what 1 stands for with ?scale=255 behind the name (scale = 255 in Python and recipes)"
        )
    return np.rint(a.astype(np.float64) * scale).clip(-1, 1 << 20).astype(np.int64)


def _is_last(shape: tuple[int, ...], wanted: Wanted) -> bool:
    """Whether channels are the last axis of [N,?,?,?]."""
    _, first, second, last = shape
    if wanted.shape is not None and not wanted.frames:
        if (first, second, last) == wanted.shape:
            return False
        if (last, first, second) == wanted.shape:
            return True
    return last in (1, 3) and first not in (1, 2, 3)


def as_labels(given: Any, where: str, images: np.ndarray) -> np.ndarray:
    """int64 (N,). UsageError where they are not one whole number from 0 on an image."""
    count = len(images)
    try:
        a = np.asarray(plain(given))
    except Exception:  # ragged lists, foreign objects
        a = np.zeros((0, 0))
    if a.ndim == 2 and a.shape == (count, 1):
        a = a[:, 0]
    if a.ndim == 2 and len(a) == count and a.shape[1] > 1:
        raise UsageError(f"{where}: are of shape {a.shape}; give the class's number, argmax(1)")
    if images.ndim == 5 and a.shape == images.shape[1:2] != (count,):
        raise UsageError(
            f"{where}: are {len(a)}, the second axis of images of shape {images.shape}; transpose: "
            "frames are [N,T,C,H,W] here, images.swapaxes(0, 1)"
        )
    if a.shape != (count,) or a.dtype.kind not in "iu":
        raise UsageError(
            f"{where}: {a.dtype} of shape {a.shape} is not one whole number for each of {count} "
            "images; give that"
        )
    if count and (int(a.min()) < 0 or int(a.max()) > 65534):
        bad = int(a.min()) if int(a.min()) < 0 else int(a.max())
        raise UsageError(f"{where}: label {bad} is outside 0 .. 65534; number classes from 0 on")
    return a.astype(np.int64)
