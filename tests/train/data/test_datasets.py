"""Data sets: fixed parts that never overlap, and damaged files that are refused."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.golden.errors import FileError, UsageError
from sterna.train.data import cifar, datasets
from sterna.train.data.augment import augment, shift


def test_digits_parts() -> None:
    parts = datasets.load("digits")
    sizes = [len(y) for _, y in (parts.train, parts.validation, parts.test)]
    assert sizes == [1257, 180, 360]
    for images, labels in (parts.train, parts.validation, parts.test):
        assert images.dtype == np.uint8 and images.shape[1:] == (1, 8, 8)
        assert labels.dtype == np.int64 and set(labels) == set(range(10))
        assert images.max() == 255 and images.min() == 0
    joined = np.concatenate([p[0] for p in (parts.train, parts.validation, parts.test)])
    assert len(joined) == 1797
    assert len({a.tobytes() for a in parts.test[0]} & {a.tobytes() for a in parts.train[0]}) < 5


def test_unknown_set() -> None:
    with pytest.raises(UsageError, match="'imagenet' is unknown; .* cifar10, digits, .*_CxHxW"):
        datasets.load("imagenet")


def _idx(path: Path, array: np.ndarray, cut: int = 0) -> Path:
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    body = head + array.tobytes()
    path.write_bytes(gzip.compress(body[: len(body) - cut]))
    return path


def test_idx_round_trip(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    assert np.array_equal(datasets.read_idx(_idx(tmp_path / "a.gz", array)), array)


@pytest.mark.parametrize("cut", [1, 30, 60, 72, 75])
def test_idx_truncated(tmp_path: Path, cut: int) -> None:
    path = _idx(tmp_path / "a.gz", np.zeros((5, 4, 3), np.uint8), cut)
    with pytest.raises(FileError, match="download it again"):
        datasets.read_idx(path)


def test_gzip_truncated_or_foreign(tmp_path: Path) -> None:
    path = _idx(tmp_path / "a.gz", np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileError, match="truncated or not gzip"):
        datasets.read_idx(path)
    path.write_bytes(b"PNG")
    with pytest.raises(FileError, match="truncated or not gzip"):
        datasets.read_idx(path)


def test_altered_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    _idx(tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz", np.zeros(10, np.uint8))
    monkeypatch.setenv("STERNA_DATA", str(tmp_path))
    with pytest.raises(FileError, match="truncated or altered .*delete it and run again"):
        datasets.find_file("mnist", "t10k-labels-idx1-ubyte.gz")


def test_shift_moves_whole_images_only() -> None:
    images = torch.zeros(200, 1, 5, 5, dtype=torch.uint8)
    images[:, 0, 2, 2] = torch.arange(1, 201).to(torch.uint8)
    moved = shift(images, 1, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape and moved.dtype == torch.uint8
    assert torch.equal(moved.amax((1, 2, 3)), images.amax((1, 2, 3)))
    places = {tuple(p[2:].tolist()) for p in moved.nonzero()}
    assert places == {(y, x) for y in (1, 2, 3) for x in (1, 2, 3)}


def test_warp_is_repeatable_and_keeps_the_middle() -> None:
    images = torch.zeros(8, 1, 9, 9, dtype=torch.uint8)
    images[:, 0, 3:6, 3:6] = 200
    a, b = [augment(images, 0, 20.0, 0.1, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(a, b) and not torch.equal(a, images)
    assert (a[:, 0, 4, 4] > 150).all() and (a[:, 0, 0, 0] == 0).all()


def test_random_images_are_always_the_same() -> None:
    one, two = datasets.load("random_3x7x5"), datasets.load("random_3x7x5")
    assert one.test[0].shape == (1000, 3, 7, 5) and one.test[0].dtype == np.uint8
    assert np.array_equal(one.test[0], two.test[0]) and set(one.test[1]) == set(range(10))
    with pytest.raises(UsageError, match="'random_0x7x5' is unknown"):
        datasets.load("random_0x7x5")


def _cifar_file(path: Path, count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).integers(0, 256, (count, cifar.ROW), np.uint8)
    rows[:, 0] %= 10
    path.write_bytes(rows.tobytes())
    return rows


def test_cifar_from_official_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rows = [_cifar_file(folder / n, 1100, k) for k, n in enumerate(cifar.TRAIN_FILES)]
    test = _cifar_file(folder / cifar.TEST_FILE, 3, 9)
    monkeypatch.setenv("STERNA_DATA", str(tmp_path))
    parts = datasets.load("cifar10")
    assert [len(y) for _, y in (parts.train, parts.validation, parts.test)] == [500, 5000, 3]
    assert np.array_equal(parts.train[0][0].reshape(-1), rows[0][0, 1:])
    assert np.array_equal(parts.validation[1][-1100:], rows[4][:, 0])
    assert np.array_equal(parts.test[0][2].reshape(-1), test[2, 1:])
    (folder / cifar.TEST_FILE).write_bytes(test.tobytes()[:-1])
    with pytest.raises(FileError, match="test_batch.bin: truncated .*copy it again"):
        datasets.load("cifar10")
    (folder / cifar.TEST_FILE).write_bytes(b"\x0b" + test.tobytes()[1:])
    with pytest.raises(FileError, match="test_batch.bin: altered .label 11"):
        datasets.load("cifar10")


def test_mirror_flips_about_half_of_the_images():
    images = torch.randint(0, 255, (64, 1, 3, 5), dtype=torch.uint8)
    found = augment(images, 0, 0.0, 0.0, torch.Generator().manual_seed(0), flips=True)
    same = (found == images).flatten(1).all(1)
    flipped = (found == images.flip(3)).flatten(1).all(1)
    assert (same | flipped).all() and 16 < int(flipped.sum()) < 48
