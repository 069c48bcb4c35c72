"""Data sets by name: scikit-learn's digits (bundled), MNIST and Fashion-MNIST (IDX files),
CIFAR-10, N-MNIST, random images of any shape for networks that nobody trained, and one's own.

Every set has three parts that never overlap: train, validation (for choosing anything) and
test (reported, never chosen by). numpy only, so that reading images does not import torch.
"""

import gzip
import io
import math
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import read_bytes, write_atomic
from sterna.golden.files.sources import KINDS, read_source
from sterna.golden.words.names import meant, show
from sterna.golden.words.packages import packages
from sterna.train.data.cifar import read_cifar
from sterna.train.data.fetch import check_md5, fetch
from sterna.train.data.nmnist import read_nmnist
from sterna.train.data.own import read_own
from sterna.train.data.sets import DataSet, Wanted

__all__ = [
    "class_names",
    "load",
    "digits",
    "mnist",
    "fashion_mnist",
    "cifar10",
    "nmnist",
    "random_images",
    "read_idx",
    "find_file",
]

# File name, MD5 published with the data set, its bytes, and where the official site keeps it.
_MNIST = {
    "train-images-idx3-ubyte.gz": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
    "train-labels-idx1-ubyte.gz": ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    "t10k-images-idx3-ubyte.gz": ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
    "t10k-labels-idx1-ubyte.gz": ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
}
_MNIST_URLS = (
    "http://yann.lecun.com/exdb/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",  # the mirror that PyTorch keeps
)
_FASHION = {
    "train-images-idx3-ubyte.gz": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    "train-labels-idx1-ubyte.gz": ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
    "t10k-images-idx3-ubyte.gz": ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    "t10k-labels-idx1-ubyte.gz": ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
}
_FASHION_URLS = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
_FILES = {"mnist": (_MNIST, _MNIST_URLS), "fashion-mnist": (_FASHION, _FASHION_URLS)}
_CLASSES = {
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}
_NMNIST = re.compile(r"nmnist(?:_([1-9]\d?))?\Z")
_RANDOM = re.compile(r"random_(\d+)x(\d+)x(\d+)\Z")
_LARGEST_IDX = 1 << 28  # bytes; the largest that there is has 47 million
_LARGEST = 1 << 20  # values of a random image: the set of them has 1,640


def load(
    name: str, folder: str | os.PathLike[str] | None = None, wanted: Wanted | None = None
) -> DataSet:
    """A data set by its name (`sterna.golden.files.sources`); ``random_3x32x32`` makes images of
    that shape, ``nmnist_16`` has recordings of 16 frames (``nmnist``: 8).

    folder: where relative paths begin (None: where the program runs). wanted: what the network
    takes, for one's own data, which is made to fit where that changes nothing else, and for the
    bits of N-MNIST's frames. UsageError for an unknown name; FileError, UsageError: one's own data
    cannot be used.
    """
    source = read_source(name)
    if source.own:
        return read_own(source, None if folder is None else Path(folder), wanted or Wanted())
    sets: dict[str, Callable[[], DataSet]] = {
        "digits": digits,
        "mnist": mnist,
        "fashion_mnist": fashion_mnist,
        "cifar10": cifar10,
    }
    if (m := _RANDOM.match(name)) and min(map(int, m.groups())):
        return random_images(int(m[1]), int(m[2]), int(m[3]))
    if m := _NMNIST.match(name):
        return nmnist(int(m[1] or 8), (wanted or Wanted()).frame_bits)
    if name not in sets:
        raise UsageError(
            f"data set {show(name)} is unknown{meant(name, sets)}; choose one of "
            f"{', '.join(sorted(sets))}, nmnist_T, random_CxHxW, or give your own as {KINDS} "
            "(docs/data.md)"
        )
    _check_shape(name, wanted)
    return sets[name]()


SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
"""Of the images of sets of one shape, (C, H, W)."""


def _check_shape(name: str, wanted: Wanted | None) -> None:
    """UsageError where a set cannot fit: before anything of it is read, or downloaded."""
    shape = wanted.shape if wanted is not None else None
    if shape is not None and tuple(shape) != SHAPES[name]:
        raise UsageError(
            f"{name}: the data set's images are {list(SHAPES[name])}, the network's input is "
            f"{list(shape)}; choose another data set, or write shape = {list(SHAPES[name])} in a "
            "recipe of its own"
        )


def class_names(name: str) -> tuple[str, ...]:
    """What the classes of a data set that is known by name are called; () where by their number."""
    return _CLASSES.get(name, ())


def digits() -> DataSet:
    """scikit-learn's 1,797 8x8 digits, bundled with it; pixels 0..16 become p * 255 // 16.

    Fixed split by position: every fifth image (360) is the test part, 180 of the rest are the
    validation part, 1,257 train.
    """
    with packages():
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    raw: Any = load_digits()
    images = (raw.images.astype(np.int64) * 255 // 16).astype(np.uint8)[:, None]
    labels = raw.target.astype(np.int64)
    k = np.arange(len(labels))
    test, val = k % 5 == 0, k % 10 == 1
    parts = (~test & ~val, val, test)
    train, validation, held_out = [(images[p], labels[p]) for p in parts]
    return DataSet(train, validation, held_out)


def mnist() -> DataSet:
    """The 70,000 MNIST images: 55,000 train, the last 5,000 of the official train part for
    validation, and the 10,000 official test images. FileError where a file is altered."""
    return _idx_set("mnist")


def fashion_mnist() -> DataSet:
    """The 70,000 Fashion-MNIST images, split as ``mnist``."""
    return _idx_set("fashion-mnist")


def cifar10() -> DataSet:
    """CIFAR-10: 45,000 train, the last 5,000 of the official train part for validation, and the
    official test images that are there (10,000, or the first 1,000)."""
    train, test = read_cifar([r / "cifar10" for r in _roots()], _cache() / "cifar10")
    return _held_out(*train, test)


def nmnist(steps: int, bits: int = 1) -> DataSet:
    """N-MNIST as recordings of ``steps`` frames of ``bits`` (1: whether there were events; else
    how many, up to what these hold): of each class's train recordings the last tenth is
    for validation; the official test recordings, or those of them that are there."""
    roots = [r / "nmnist" for r in _roots()]
    return DataSet(*read_nmnist(roots, _cache() / "nmnist", steps, bits))


def random_images(channels: int, height: int, width: int) -> DataSet:
    """Random pixels and labels, always the same: 512 train, 128 validation, 1,000 test.
    UsageError for images that would not fit into memory."""
    if channels * height * width > _LARGEST:
        raise UsageError(
            f"data set 'random_{channels}x{height}x{width}': has images of more than {_LARGEST} "
            "values; make them smaller"
        )
    rng = np.random.default_rng(0)
    parts = []
    for count in (512, 128, 1000):
        images = rng.integers(0, 256, (count, channels, height, width), np.uint8)
        parts.append((images, rng.integers(0, 10, count)))
    return DataSet(*parts)


def _idx_set(folder: str) -> DataSet:
    images, labels, test, test_labels = [read_idx(find_file(folder, f)) for f in _MNIST]
    return _held_out(
        images[:, None], labels.astype(np.int64), (test[:, None], test_labels.astype(np.int64))
    )


def _held_out(
    images: np.ndarray, labels: np.ndarray, test: tuple[np.ndarray, np.ndarray]
) -> DataSet:
    """The last 5,000 images of the train part are for validation."""
    train, val = slice(None, -5000), slice(-5000, None)
    return DataSet((images[train], labels[train]), (images[val], labels[val]), test)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sterna"


def _roots() -> list[Path]:
    """Folders that may hold data sets, best first."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    own = os.environ.get("STERNA_DATA")
    return [*([Path(own)] if own else []), shared, _cache()]


def places() -> dict[str, Path | None]:
    """Of each set that is not installed with a package: the folder that holds it, or None where it
    would be downloaded."""
    folders = {"mnist": "mnist", "fashion_mnist": "fashion-mnist", "cifar10": "cifar10"}
    folders["nmnist"] = "nmnist"
    found = {}
    for name, folder in folders.items():
        held = [r / folder for r in _roots() if (r / folder).is_dir()]
        found[name] = next((place for place in held if any(place.iterdir())), None)
    return found


def find_file(folder: str, name: str) -> Path:
    """A checked data file: $STERNA_DATA/FOLDER/NAME, ../shared/data/FOLDER/NAME beside the
    repository, the user's cache, or downloaded there. FileError where none is right."""
    md5, size = _FILES[folder][0][name]
    for root in _roots():
        path = root / folder / name
        if path.is_file():
            check_md5(path, read_bytes(path, size, "delete it and run again"), md5)
            return path
    return _download(_cache() / folder / name, folder, name)


def _download(path: Path, folder: str, name: str) -> Path:
    cause = ""
    files, urls = _FILES[folder]
    for url in urls:
        try:
            write_atomic(path, fetch(url + name, *files[name]))
            return path
        except FileError as e:
            cause = str(e)
    raise FileError(
        f"{name}: not in $STERNA_DATA/{folder} and the download failed ({cause}); "
        "put the file there or set STERNA_DATA"
    )


def read_idx(path: Path) -> np.ndarray:
    """A gzip-compressed IDX file of unsigned bytes as a uint8 array. FileError if truncated."""
    again = "download it again"
    packed = read_bytes(path, _LARGEST_IDX, again)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            data = file.read(_LARGEST_IDX + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise FileError(f"{path}: truncated or not gzip ({e}); {again}") from e
    if len(data) > _LARGEST_IDX:
        raise FileError(f"{path}: has more than {_LARGEST_IDX} bytes unpacked; {again}")
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise FileError(f"{path}: is not an IDX file of bytes; download it again")
    axes = data[3]
    if len(data) < 4 + 4 * axes:
        raise FileError(f"{path}: truncated in its header; download it again")
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if body.size != math.prod(shape) or axes > 8:
        raise FileError(f"{path}: holds {body.size} bytes for the shape {shape}; download it again")
    return body.reshape(shape).copy()  # writable: torch warns of arrays that are not
