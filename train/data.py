"""Image sets as uint8 arrays: scikit-learn's digits (bundled) and MNIST (IDX files).

Every set has three parts that never overlap: train, validation (for choosing anything) and
test (reported, never chosen by). numpy only, so that reading images does not import torch.
"""

import gzip
import hashlib
import os
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.disk import write_atomic
from sterna.golden.errors import FileError, ToolMissing, UsageError

__all__ = ["ImageSet", "load", "digits", "mnist", "read_idx", "find_file"]

# File name, MD5 published with the data set, and where the official site keeps it.
_MNIST = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST_URLS = (
    "http://yann.lecun.com/exdb/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",  # the mirror that PyTorch keeps
)


@dataclass(frozen=True)
class ImageSet:
    """images uint8 [B,C,H,W] and labels int64 [B], for the parts train, validation and test."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def load(name: str) -> ImageSet:
    """An image set by its name. UsageError for an unknown one."""
    sets: dict[str, Callable[[], ImageSet]] = {"digits": digits, "mnist": mnist}
    if not isinstance(name, str) or name not in sets:  # a recipe may hold anything
        raise UsageError(f"data set '{name}' is unknown; choose one of {', '.join(sorted(sets))}")
    return sets[name]()


def digits() -> ImageSet:
    """scikit-learn's 1,797 8x8 digits, bundled with it; pixels 0..16 become p * 255 // 16.

    Fixed split by position: every fifth image (360) is the test part, 180 of the rest are the
    validation part, 1,257 train.
    """
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    except ImportError as e:
        raise ToolMissing("digits: scikit-learn is missing; pip install scikit-learn") from e
    raw: Any = load_digits()
    images = (raw.images.astype(np.int64) * 255 // 16).astype(np.uint8)[:, None]
    labels = raw.target.astype(np.int64)
    k = np.arange(len(labels))
    test, val = k % 5 == 0, k % 10 == 1
    parts = (~test & ~val, val, test)
    train, validation, held_out = [(images[p], labels[p]) for p in parts]
    return ImageSet(train, validation, held_out)


def mnist() -> ImageSet:
    """The 70,000 MNIST images: 55,000 train, the last 5,000 of the official train part for
    validation, and the 10,000 official test images. FileError where a file is altered."""
    images, labels, test_images, test_labels = [read_idx(find_file("mnist", f)) for f in _MNIST]
    train, val = slice(None, -5000), slice(-5000, None)
    images, labels = images[:, None], labels.astype(np.int64)
    return ImageSet(
        (images[train], labels[train]),
        (images[val], labels[val]),
        (test_images[:, None], test_labels.astype(np.int64)),
    )


def find_file(folder: str, name: str) -> Path:
    """A checked data file: $STERNA_DATA/FOLDER/NAME, ../shared/data/FOLDER/NAME beside the
    repository, the user's cache, or downloaded there. FileError where none is right."""
    repository = Path(__file__).resolve().parents[1]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sterna"
    roots = [repository.parent / "shared" / "data", cache]
    if os.environ.get("STERNA_DATA"):
        roots.insert(0, Path(os.environ["STERNA_DATA"]))
    for root in roots:
        path = root / folder / name
        if path.is_file():
            _check(path, path.read_bytes(), _MNIST[name])
            return path
    return _download(cache / folder / name, name)


def _check(path: Path | str, data: bytes, md5: str) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise FileError(
            f"{path}: truncated or altered (MD5 {found}, published {md5}); delete it and run again"
        )


def _download(path: Path, name: str) -> Path:
    cause = ""
    for url in _MNIST_URLS:
        try:
            with urllib.request.urlopen(url + name, timeout=60) as answer:
                data = answer.read()
            _check(url + name, data, _MNIST[name])
            write_atomic(path, data)
            return path
        except (urllib.error.URLError, OSError, FileError) as e:
            cause = str(e)
    raise FileError(
        f"{name}: not in $STERNA_DATA/mnist and the download failed ({cause}); "
        "put the file there or set STERNA_DATA"
    )


def read_idx(path: Path) -> np.ndarray:
    """A gzip-compressed IDX file of unsigned bytes as a uint8 array. FileError if truncated."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as e:
        raise FileError(f"{path}: truncated or not gzip ({e}); download it again") from e
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise FileError(f"{path}: is not an IDX file of bytes; download it again")
    axes = data[3]
    if len(data) < 4 + 4 * axes:
        raise FileError(f"{path}: truncated in its header; download it again")
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if body.size != int(np.prod(shape, dtype=np.int64)):
        raise FileError(f"{path}: holds {body.size} bytes for the shape {shape}; download it again")
    return body.reshape(shape).copy()  # writable: torch warns of arrays that are not
