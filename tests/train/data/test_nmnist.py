"""N-MNIST: events to frames, damaged recordings, and a network of frames from file to accuracy."""

import hashlib
import json
import urllib.error
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from repo import EXAMPLES, ROOT

from sterna.cli import main
from sterna.golden.errors import FileError, UsageError
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.train.data import datasets, events, nmnist
from sterna.train.data.augment import augment
from sterna.train.data.sets import Wanted
from sterna.train.module.frames import check_fits
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

BINNING = events.Binning((2, 34, 34), 4)
RECIPE = """
name = "events"
data = "{data}"
seed = 2
batch = 20
shift = 1
[network]
shape = [2, 34, 34]
steps = 4
coding = "{coding}"
layers = ["6C5s4", "FC10"]
{extra}
[[stage]]
epochs = 10
steps = {steps}
[[stage]]
epochs = 1
steps = {steps}
folded = true
lr = 2e-4
lr_rest = 1e-4
"""


def recipe(folder: Path, **change: str) -> Path:
    path = folder / "recipe.toml"
    words = {"data": "nmnist_4", "coding": "frames", "extra": "", "steps": "4"} | change
    path.write_text(RECIPE.format(**words))
    return path


def quiet(_: str) -> None:
    pass


def pack(x, y, polarity, time) -> bytes:
    """The bytes of events, as the data set's authors write them."""
    x, y, polarity, time = (np.asarray(a, np.int64) for a in (x, y, polarity, time))
    columns = [x, y, polarity << 7 | time >> 16, time >> 8 & 255, time & 255]
    return np.stack(columns, 1).astype(np.uint8).tobytes()


def write_set(folder: Path, train_each: int, test_each: int) -> None:
    """Recordings of which digit d has its events on a square of its own, the rest is noise."""
    rng = np.random.default_rng(0)
    number = 0
    for part, each in (("Train", train_each), ("Test", test_each)):
        for k in range(10 * each):
            digit, number = k % 10, number + 1
            count = 200
            x, y = rng.integers(0, 34, (2, count))
            own = rng.random(count) < 0.4
            x[own] = digit % 5 * 6 + rng.integers(0, 6, own.sum())
            y[own] = digit // 5 * 16 + rng.integers(0, 8, own.sum())
            polarity, time = rng.integers(0, 2, count), np.sort(rng.integers(0, 300_000, count))
            path = folder / part / str(digit) / f"{number:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pack(x, y, polarity, time))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An N-MNIST of 20 train and 5 test recordings a digit, in $STERNA_DATA."""
    write_set(tmp_path / "sets" / "nmnist", 20, 5)
    monkeypatch.setenv("STERNA_DATA", str(tmp_path / "sets"))
    return tmp_path / "sets" / "nmnist"


def test_events_are_read_as_they_were_written() -> None:
    want = ([0, 33, 5], [33, 0, 7], [0, 1, 1], [3, 8_000_000, 70_000])  # times may go back
    found = events.read_bin(pack(*want), "a", 34, 34)
    assert [a.tolist() for a in found] == list(want)


def test_an_overflow_is_no_event_and_moves_later_times() -> None:
    x, y, _, time = events.read_bin(
        pack([1, 0, 2], [1, 240, 3], [0, 0, 1], [9, 10, 5]), "a", 34, 34
    )
    assert x.tolist() == [1, 2] and y.tolist() == [1, 3] and time.tolist() == [9, 5 + 8192]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (pack([1, 2], [1, 2], [0, 1], [1, 2])[:-1], "a: truncated .9 bytes.*copy it again"),
        (b"", "a: truncated .0 bytes"),
        (pack([1, 34], [1, 2], [0, 1], [1, 2]), "a: altered .event 1 is at x 34, y 2"),
        (pack([1, 3], [1, 34], [0, 1], [1, 2]), "a: altered .event 1 is at x 3, y 34"),
        (pack([0], [240], [0], [0]), "a: holds no events"),
    ],
)
def test_damaged_recordings_are_refused(raw: bytes, sentence: str) -> None:
    with pytest.raises(FileError, match=sentence):
        events.read_bin(raw, "a", 34, 34)


def test_frames_cut_the_span_into_equal_parts() -> None:
    time = [1000, 1099, 1100, 1399, 1050]  # 400 microseconds: parts of 100
    frames = events.to_frames(
        events.read_bin(pack([1, 2, 3, 4, 1], [5] * 5, [0, 1, 0, 1, 0], time), "a", 34, 34),
        BINNING,
    )
    assert frames.shape == (4, 2, 34, 34) and frames.dtype == np.uint8
    assert np.argwhere(frames).tolist() == [[0, 0, 5, 1], [0, 1, 5, 2], [1, 0, 5, 3], [3, 1, 5, 4]]
    assert frames.max() == 1


def test_parts_do_not_overlap_and_keep_their_labels(folder: Path) -> None:
    parts = datasets.load("nmnist_4")
    for (frames, labels), count in zip((parts.train, parts.validation, parts.test), (18, 2, 5)):
        assert frames.shape == (4, 10 * count, 2, 34, 34) and frames.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count] * 10
    last = folder / "Train" / "3" / f"{200 - 6:05d}.bin"
    assert parts.validation[1][-7] == 3
    want = events.to_frames(events.read_bin(last.read_bytes(), "", 34, 34), BINNING)
    assert np.array_equal(parts.validation[0][:, -7], want)
    assert datasets.load("nmnist").test[0].shape[0] == 8


def test_a_network_of_several_bits_gets_counts(folder: Path, tmp_path: Path) -> None:
    """Recipe, data and trained network agree: no key but the network's ``bits``."""
    path = recipe(tmp_path, extra="bits = 3")
    trainer = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)
    assert trainer.module.network.input.bits == 3
    counts = datasets.load("nmnist_4", None, Wanted(frames=True, bits=3))
    assert np.array_equal(counts.train[0], trainer.data.parts.train[0])
    one = datasets.load("nmnist_4")
    assert np.array_equal(np.minimum(counts.train[0], 1), one.train[0])
    assert 1 < counts.train[0].max() <= 7
    with pytest.raises(UsageError, match="values reach .* the input's are up to 1; write bits = "):
        check_fits("here", replace(trainer.module.network.input, bits=1), 4, counts.train[0])


def test_archives_are_read_and_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = datasets.load("nmnist_4")
    for part in ("Train", "Test"):
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            for path in sorted((folder / part).rglob("*.bin"), reverse=True):
                archive.write(path, path.relative_to(folder))
        (folder / part).rename(folder / f"away{part}")
    with pytest.raises(FileError, match=r"Train.zip: truncated or altered .*delete it"):
        datasets.load("nmnist_4")
    sums = {
        p: ("", hashlib.md5((folder / f"{p}.zip").read_bytes()).hexdigest())
        for p in ("Train", "Test")
    }
    monkeypatch.setattr(nmnist, "_ARCHIVES", sums)
    found = datasets.load("nmnist_4")
    assert np.array_equal(found.train[0], want.train[0])
    assert np.array_equal(found.test[1], want.test[1])


def test_a_missing_set_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(FileError, match="not in .STERNA_DATA/nmnist .*no route.*Train.zip"):
        nmnist.read_nmnist([tmp_path / "none"], tmp_path, 4)


def test_recordings_move_as_a_whole() -> None:
    images = torch.zeros(3, 40, 2, 9, 9, dtype=torch.uint8)
    for t in range(3):  # a cross in another row at each step
        images[t, :, :, 3 + t, 2:7] = 1
    found = augment(images, 2, 0.0, 0.0, torch.Generator().manual_seed(0))
    assert found.shape == images.shape and found.dtype == torch.uint8 and found.max() == 1
    rows = found[:, :, 0].amax(3).float().argmax(2)  # [T,B]
    assert torch.equal(rows[1] - rows[0], torch.ones(40, dtype=torch.long))
    assert torch.equal(rows[2] - rows[0], torch.full((40,), 2))
    assert set(rows[0].tolist()) == {1, 2, 3, 4, 5}
    turned = augment(images, 0, 20.0, 0.1, torch.Generator().manual_seed(0))
    assert turned.max() == 1 and not torch.equal(turned, images)
    assert 0.7 < turned.sum() / images.sum() < 1.3
    assert torch.equal(turned[:, :, 0], turned[:, :, 1])


@pytest.mark.parametrize("top", [1, 3, 7, 15, 127, 255])
def test_counts_move_as_pixels_do(top: int) -> None:
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, top + 1, (3, 40, 2, 9, 9), generator=rng, dtype=torch.uint8)
    draw = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    moved = augment(images, 2, 0.0, 0.0, draw(), True)
    for t in range(3):  # as each frame by itself
        assert torch.equal(moved[t], augment(images[t], 2, 0.0, 0.0, draw(), True))
    flat = torch.full_like(images, top)
    turned = augment(flat, 0, 20.0, 0.1, draw())
    assert turned.max() == top and turned[..., 4, 4].min() == top  # the middle stays full
    assert augment(images, 0, 20.0, 0.1, draw()).max() <= top


def test_from_events_to_the_accuracy_of_integers(folder: Path, tmp_path: Path, capsys) -> None:
    """A network learns from frames, resumes exactly, and every command agrees on its accuracy."""
    torch.set_num_threads(1)
    path, out, build = recipe(tmp_path), tmp_path / "run", tmp_path / "build"
    done = train(path, out, progress=quiet)
    assert done["validation_folded"] > 0.7
    for _ in range(300):
        if train(path, tmp_path / "cut", max_minutes=0.002, progress=quiet)["done"]:
            break
    assert (out / "float.safetensors").read_bytes() == (
        tmp_path / "cut" / "float.safetensors"
    ).read_bytes()
    assert main(["quantize", str(out), "-o", str(build), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == 180 and report["evaluated"] == 50
    assert report["accuracy_integer"] == done["test_folded"]
    assert main(["eval", str(build), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 50 and found["accuracy"] == done["test_folded"]


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_a_class_without_recordings_is_refused(folder: Path, part: str) -> None:
    """Else a network would learn nine digits, and nobody be told."""
    (folder / part / "3").rename(folder / "away")
    with pytest.raises(FileError, match=f"{part}/3: holds no recordings .*; copy it again"):
        datasets.load("nmnist_4")
    (folder / part / "3").mkdir()
    with pytest.raises(FileError, match=f"{part}/3: holds no recordings .*; copy it again"):
        datasets.load("nmnist_4")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"coding": "direct"}, 'has recordings, the coding is direct; write coding = "frames"'),
        ({"data": "nmnist_8"}, '8 frames for 4 time steps; write data = "nmnist_4"'),
        ({"data": "digits"}, r"images are \[1, 8, 8\], the network's input is \[2, 34, 34\]"),
        ({"steps": "1"}, "one number of time steps, the network's; remove a stage of 1 time steps"),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, change, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        Trainer(read_recipe(recipe(tmp_path, **change)), tmp_path / "run", None, quiet, None)


def test_the_shipped_network_classifies_as_said() -> None:
    """99 of the first 100 test recordings, of the real set: where it is at hand."""
    if not (ROOT.parent / "shared" / "data" / "nmnist").is_dir():
        pytest.skip("N-MNIST is not in ../shared/data/nmnist")
    images, labels = datasets.load("nmnist_8").test
    if len(labels) != 100:
        pytest.skip(f"{len(labels)} test recordings, the figure is of 100")
    network = files.load(EXAMPLES / "nmnist")
    assert int((run(network, images).classes == labels).sum()) == 99
