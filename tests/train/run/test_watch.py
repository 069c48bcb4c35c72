"""Who watches a training: callbacks, curves, and a bar on a terminal only."""

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sterna
from sterna.cli import main
from sterna.data import ImageSet
from sterna.golden.errors import UsageError
from sterna.golden.files.sources import data_of_folder
from sterna.train.run.curves import read_history
from sterna.train.run.run import train
from sterna.train.run.watch import Watch

RECIPE = """
name = "tiny"
data = "digits"
batch = 20
[network]
shape = [1, 4, 4]
steps = 2
layers = ["4C3p1", "FC3"]
[[stage]]
epochs = 2
steps = 1
[[stage]]
epochs = 1
steps = 2
folded = true
"""


def data() -> ImageSet:
    labels = np.arange(90) % 3
    images = np.random.default_rng(0).integers(0, 60, (90, 1, 4, 4), np.uint8)
    images[np.arange(90), 0, labels, labels] = 250
    return ImageSet((images, labels))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


class Seen(list[dict[str, Any]]):
    def on_epoch(self, metrics: dict[str, Any]) -> None:
        self.append(metrics)


def test_callbacks_get_every_epoch_of_images_given_in_python(recipe: Path, tmp_path: Path) -> None:
    seen, lines, run = Seen(), list[str](), tmp_path / "run"
    also: list[int] = []
    both = [seen, lambda m: also.append(m["epoch"])]
    done = train(recipe, run, data=data(), callbacks=both, progress=lines.append)
    assert done["done"] and also == [1, 2, 3] and "split by content" in lines[0]
    history = read_history(run)
    assert [m["epochs"] for m in seen] == [3, 3, 3]
    assert [{k: v for k, v in m.items() if k != "epochs"} for m in seen] == history
    assert [m["folded"] for m in seen] == [False, False, True]
    assert done["data_hash"] == data().parts().hash
    # What it was trained on has no name that a recipe could say.
    assert "images with sha256" in str(data_of_folder(run))
    for wrong in (3, "word", [None]):
        with pytest.raises(UsageError, match="must be functions, or have on_epoch"):
            train(recipe, run, data=data(), callbacks=wrong, progress=lines.append)


def test_the_library_trains_sets_pairs_and_datasets_alike(recipe: Path, tmp_path: Path) -> None:
    given, seen = data(), Seen()
    assert given.labels is not None

    class Foreign:
        def __len__(self) -> int:
            return len(given)

        def __getitem__(self, k: int) -> tuple[np.ndarray, int]:
            return given.images[k], int(labels[k])

    labels = given.labels
    found = []
    for k, own in enumerate((given, (given.images, labels), Foreign(), given.parts())):
        run = sterna.train(recipe, own, tmp_path / f"run{k}", callbacks=seen)
        found.append((tmp_path / f"run{k}" / "float.safetensors").read_bytes())
        assert run.done and [h["epoch"] for h in run.history] == [1, 2, 3]
    assert len(set(found)) == 1 and len(seen) == 12


def test_curves_are_a_table(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("[1, 4, 4]", "[1, 8, 8]").replace("FC3", "FC10"))
    out = tmp_path / "curves.csv"
    words = ["train", str(recipe), "-o", str(tmp_path / "run"), "--curves", str(out)]
    assert main([*words, "--max-minutes", "0"]) == 0
    assert out.read_text() == "epoch\n"
    assert main(words) == 0
    rows = list(csv.DictReader(out.open()))
    assert [r["epoch"] for r in rows] == ["1", "2", "3"]
    assert [float(r["loss"]) for r in rows] == [h["loss"] for h in read_history(tmp_path / "run")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_stands_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        lines: list[str] = []
        watch = Watch(lines.append)
        watch.begin("tiny", 10, 4)
        watch.epoch("a line", {"validation": 0.5}, 3)
        watch.batch(0.25)
        watch.end()
        said = stream.getvalue()
        assert lines == ["a line"] and bool(said) == shown
        if shown:
            assert "tiny" in said and "40%" in said
