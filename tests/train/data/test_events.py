"""Recordings of one's own, in every file that they come in, binned into frames of bits."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sterna.golden.errors import FileError, SternaError, ToolMissing, UsageError
from sterna.train.data import datasets, events
from sterna.train.data.image_set import ImageSet
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


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_recordings_become_counts_where_there_are_bits_for_them(tmp_path: Path, bits: int) -> None:
    """As many as fell, up to the largest that the bits hold; the network's, or as is asked."""
    name, top = folder(tmp_path, "npy"), 2**bits - 1
    rows = np.stack([[3] * 40, [1] * 40, np.arange(40), [1] * 40], 1)  # 10 in each frame
    np.save(tmp_path / "c1" / "0.npy", rows)
    node = SimpleNamespace(shape=(2, 6, 8), coding="frames", bits=bits)
    like = Wanted.by(SimpleNamespace(input=node, steps=4))
    one, _, notes = read_loose(str(tmp_path / "c1" / "0.npy"), like)
    want = np.zeros((4, 2, 6, 8), int)
    want[:, 1, 1, 3] = min(10, top)
    assert np.array_equal(one[:, 0], want)
    said = "bits" if bits == 1 else f"counts, those above {top} as {top}"
    assert notes == [f"events were binned into 4 frames of 6 x 8 {said}"]
    both = [
        datasets.load(name, None, like),
        datasets.load(f"{name}?steps=4&size=6x8&bits={bits}"),
    ]
    for part in ("train", "validation", "test"):
        a, b = (found.part(part)[0] for found in both)
        assert np.array_equal(a, b)
    assert max(int(both[0].part(p)[0].max()) for p in ("train", "test")) == min(10, top)
    assert both[0].notes == both[1].notes and both[0].notes[0] == notes[0]


def test_bits_of_counts_are_looked_at(tmp_path: Path) -> None:
    name = folder(tmp_path, "npy")
    pixels = Wanted((2, 6, 8), 4, False, 8)  # of a network that reads no frames
    assert datasets.load(name, None, pixels).train[0].max() == 1
    assert ImageSet(name, steps=1, size=(6, 8), bits=2).images.max() == 3
    for text in (f"{name}?bits=9", f"{name}?bits=0", f"{name}?bits=2.0"):
        with pytest.raises(UsageError, match="bits '.*' is not a number from 1 to 8"):
            datasets.load(text)
    with pytest.raises(UsageError, match="bits 9 is not a whole number from 1 to 8"):
        ImageSet(name, bits=9)
    with pytest.raises(UsageError, match="mine.npz.*takes no bits, which is for other data"):
        datasets.load("mine.npz?bits=2")


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
