"""Recordings of one's own, in every file that they come in, binned into frames of bits."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sterna.golden.errors import FileError, SternaError, ToolMissing, UsageError
from sterna.train.data import datasets, events
from sterna.train.data.loose import read_loose
from sterna.train.data.sets import Wanted

WANTED = Wanted((2, 6, 8), 4, True)


def recording(label: int, k: int) -> np.ndarray:
    """int64 [N,4] of x, y, t, p: class 0 is left and dark, class 1 right and bright."""
    rng = np.random.default_rng((label, k))
    x = rng.integers(0, 4, 30) + 4 * label
    y, t = rng.integers(0, 6, 30), np.sort(rng.integers(0, 999, 30))
    return np.stack([x, y, t, 0 * x + label], 1)


def write(root: Path, end: str, label: int, k: int) -> Path:
    path = root / f"c{label}" / f"{k}.{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, t, p = recording(label, k).T
    if end == "bin":
        rows = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], 1).astype(np.uint8)
        path.write_bytes(rows.tobytes())
    elif end == "npy":
        np.save(path, recording(label, k))
    else:
        np.savez(path, x=x, y=y, t=t, p=2 * p - 1)
    return path


def folder(root: Path, end: str) -> str:
    for label in range(2):
        for k in range(10):
            write(root, end, label, k)
    return f"folder:{root}"


@pytest.mark.parametrize("end", ["bin", "npy", "npz"])
def test_recordings_become_frames(tmp_path: Path, end: str) -> None:
    found = datasets.load(folder(tmp_path, end), None, WANTED)
    frames, labels = found.test
    assert frames.shape == (4, 4, 2, 6, 8) and frames.max() == 1 and found.classes == ("c0", "c1")
    for k, (label, name) in enumerate(zip(labels, found.files["test"])):
        x, y, t, p = recording(int(label), int(Path(name).stem)).T
        want = np.zeros((4, 2, 6, 8), np.uint8)
        want[(t - t.min()) * 4 // (t.max() - t.min() + 1), p, y, x] = 1
        assert np.array_equal(frames[:, k], want)
    one = datasets.load(folder(tmp_path, end), None, Wanted((1, 6, 8), 4, True))
    assert one.train[0].shape == (4, 14, 1, 6, 8)
    several = datasets.load(f"{folder(tmp_path, end)}?steps=3&size=7x9")
    assert several.train[0].shape == (3, 14, 2, 7, 9)


def test_what_does_not_say_its_frames_is_refused(tmp_path: Path) -> None:
    name = folder(tmp_path, "npy")
    with pytest.raises(UsageError, match="holds recordings of events; give --size HxW"):
        datasets.load(name)
    with pytest.raises(UsageError, match="give the number of frames"):
        datasets.load(f"{name}?size=6x8")
    with pytest.raises(UsageError, match="2 polarities, or 1 for both; the input has 3"):
        datasets.load(name, None, Wanted((3, 6, 8), 4, True))
    with pytest.raises(FileError, match="outside of 5 x 8; give the sensor's size"):
        datasets.load(f"{name}?size=5x8", None, WANTED)
    with pytest.raises(UsageError, match="takes no scale"):
        datasets.load(f"{name}?scale=2", None, WANTED)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((0, 4), int), "holds no events"),
        (np.zeros((3, 5), int), r"is no \[N, 4\]"),
        (np.zeros((3, 4)), "x, y, t and p are whole numbers"),
        (np.array([[0, 0, 0, 2]]), "a polarity is none of"),
        (np.array([[-1, 0, 0, 0]]), "event 0 is at x -1"),
        (np.array([[0, 0, -(2**62), 0], [0, 0, 2**62, 0]]), "span more than 2"),
        (np.full((1, 4), 2**64 - 1, np.uint64), "numbers above 2"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, rows: np.ndarray, sentence: str) -> None:
    name = folder(tmp_path, "npy")
    np.save(tmp_path / "c1" / "3.npy", rows)
    with pytest.raises(SternaError, match=f"c1/3.npy: .*{sentence}"):
        datasets.load(name, None, WANTED)


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    name = folder(tmp_path, "npy")
    (tmp_path / "c1" / "x.png").write_bytes(b"")
    with pytest.raises(UsageError, match="x.png is a picture and .* a recording; give one kind"):
        datasets.load(name, None, WANTED)


def test_a_recording_by_itself_and_frames(tmp_path: Path) -> None:
    path = write(tmp_path, "npy", 1, 0)
    images, files, _ = read_loose(str(path), WANTED)
    assert images.shape == (4, 1, 2, 6, 8) and files == ("0.npy",)
    for shape in ((4, 3, 2, 6, 8), (3, 4, 2, 6, 8)):
        given = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
        np.save(tmp_path / "f.npy", given)
        images, files, _ = read_loose(str(tmp_path / "f.npy"), WANTED)
        want = given if shape[0] == 4 else given.swapaxes(0, 1)
        assert np.array_equal(images, want) and len(files) == 3


class Recordings:
    """As a data set of tonic: structured events and a label."""

    sensor_size = (8, 6, 2)
    classes = ("left", "right")

    def __init__(self, save_to: str, train: bool) -> None:
        self.first = 0 if train else 100

    def __len__(self) -> int:
        return 20

    def __getitem__(self, k: int) -> tuple[Any, int]:
        rows = [tuple(r) for r in recording(k % 2, self.first + k)]
        kind = [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")]
        return np.array(rows, kind), k % 2


def test_tonics_data_sets_are_binned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(ToolMissing, match="needs tonic, .*pip install tonic"):
        datasets.load("tonic:Left")
    module = ModuleType("tonic.datasets")
    module.Left = Recordings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tonic", ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", module)
    found = datasets.load("tonic:Left?steps=4")
    assert found.test[0].shape == (4, 20, 2, 6, 8) and found.classes == ("left", "right")
    x, y, t, p = recording(1, 101).T
    four = events.columns([x, y, t, p], "", 6, 8)
    assert np.array_equal(found.test[0][:, 1], events.to_frames(four, events.Binning((2, 6, 8), 4)))
    with pytest.raises(UsageError, match="tonic has no data set 'Right'"):
        datasets.load("tonic:Right")
    module.Left = lambda **_: SimpleNamespace()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="tonic has no data set"):
        datasets.load("tonic:Left?steps=4")
