"""CIFAR-10 from the official binary files, a folder of lossless mosaics, or the official site."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sterna.golden.errors import FileError
from sterna.golden.files.arrays import parse_npy
from sterna.golden.files.disk import read_bytes, write_atomic
from sterna.golden.words.packages import packages
from sterna.train.data.fetch import fetch

__all__ = ["TRAIN_FILES", "TEST_FILE", "read_cifar", "read_batch"]

TRAIN_FILES = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST_FILE = "test_batch.bin"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
LARGEST = 180_000_000  # bytes of it, and of all that is read here
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # published beside the file
ROW = 1 + 3 * 32 * 32
MOSAICS = 51  # images_00..49: train, 1,000 each; 50: test


Part = tuple[np.ndarray, np.ndarray]


def read_cifar(folders: Iterable[Path], cache: Path) -> tuple[Part, Part]:
    """((train images uint8 [50000,3,32,32], labels int64), (test images, labels)).

    ``folders`` are tried in order, then the archive is downloaded into ``cache``. A folder of
    mosaics has 1,000 test images, the official files 10,000.
    """
    for folder in folders:
        for place in (folder, folder / "cifar-10-batches-bin"):
            if (place / TEST_FILE).is_file():
                return _read_binary(place)
        if (folder / "images_00.webp").is_file():
            return _read_mosaics(folder)
    _download(cache)
    return _read_binary(cache)


def read_batch(path: Path) -> Part:
    """(images, labels) of one official binary file. FileError where it is damaged."""
    data = np.frombuffer(read_bytes(path, LARGEST, "copy all six files"), np.uint8)
    if not data.size or data.size % ROW:
        raise FileError(f"{path}: truncated ({data.size} bytes); copy it again")
    rows = data.reshape(-1, ROW)
    if rows[:, 0].max() > 9:
        raise FileError(f"{path}: altered (label {rows[:, 0].max()}); copy it again")
    return rows[:, 1:].reshape(-1, 3, 32, 32).copy(), rows[:, 0].astype(np.int64)


def _read_binary(folder: Path) -> tuple[Part, Part]:
    parts = [read_batch(folder / name) for name in TRAIN_FILES]
    images, labels = (np.concatenate(p) for p in zip(*parts, strict=True))
    return (images, labels), read_batch(folder / TEST_FILE)


def _read_mosaics(folder: Path) -> tuple[Part, Part]:
    """Mosaics of 25 x 40 images, row major, and labels.npy, train part first."""
    with packages():
        from PIL import Image
    path, again = folder / "labels.npy", "copy the folder again"
    labels = parse_npy(read_bytes(path, LARGEST, again), path, again).astype(np.int64)
    if labels.shape != (MOSAICS * 1000,) or labels.min() < 0 or labels.max() > 9:
        raise FileError(f"{path}: altered, it is not {MOSAICS * 1000} labels 0..9; {again}")
    images = np.empty((MOSAICS, 1000, 3, 32, 32), np.uint8)
    for k in range(MOSAICS):
        path = folder / f"images_{k:02d}.webp"
        try:
            with Image.open(io.BytesIO(read_bytes(path, LARGEST, again))) as mosaic:
                tiles = np.array(mosaic.convert("RGB")).reshape(25, 32, 40, 32, 3)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
            raise FileError(f"{path}: truncated or altered ({e}); {again}") from e
        images[k] = tiles.transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32)
    train = images[:-1].reshape(-1, 3, 32, 32)
    return (train, labels[: len(train)]), (images[-1], labels[len(train) :])


def _download(cache: Path) -> None:
    try:
        data = fetch(URL, MD5, LARGEST)
    except FileError as e:
        raise FileError(
            f"cifar10: not in $STERNA_DATA/cifar10 and the download failed ({e}); put the six "
            "official .bin files there"
        ) from e
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = Path(member.name).name  # never a path from the archive
            wanted = name in (*TRAIN_FILES, TEST_FILE) and member.isreg()
            if wanted and (body := archive.extractfile(member)):
                write_atomic(cache / name, body.read())
