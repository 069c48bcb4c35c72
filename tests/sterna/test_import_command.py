"""`sterna import`, `train --from` and `quantize` of what came in, at the shell's level."""

import json
from pathlib import Path

import numpy as np
import pytest
from owncase import CLASSES, picture_folder
from qonnxcase import Writer

pytest.importorskip("snntorch")

from sterna.cli import main
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.files import network_files as files
from sterna.golden.files.classes import read_classes
from sterna.golden.files.sources import data_of_folder

SCRIPT = """
import snntorch as snn, torch, torch.nn as nn
def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), snn.Leaky(0.5, init_hidden=True, threshold=0.3), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(36, 10), snn.Leaky(0.5, init_hidden=True, output=True))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("import")
    (folder / "mine.py").write_text(SCRIPT)
    words = ["import", f"{folder / 'mine.py'}:make_model", "--data", "digits", "--steps", "3"]
    assert main([*words, "-o", str(folder / "run")]) == 0
    return folder / "run"


def test_an_import_has_verdicts_and_a_check(imported: Path) -> None:
    record = json.loads((imported / "import.json").read_text())
    assert record["name"] == "run" and record["data"] == "digits" and record["check"]["exact"]
    paths = [v["path"] for v in record["verdicts"]]
    assert {"0", "1", "2", "4", "5"} <= set(paths)


def test_what_came_in_becomes_integers(imported: Path, tmp_path: Path) -> None:
    assert main(["quantize", str(imported), "-o", str(tmp_path / "build")]) == 0
    network = files.load(tmp_path / "build")
    assert network.name == "run" and network.steps == 3


COUNTS = """
import snntorch as snn, torch, torch.nn as nn
def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), snn.Leaky(0.5, init_hidden=True, threshold=0.3), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(24, 2), snn.Leaky(0.5, init_hidden=True, output=True))
"""


def test_a_model_of_event_counts_comes_in(tmp_path: Path, monkeypatch, capsys) -> None:
    """From recordings to classes: as many bits as are asked for, in every command."""
    monkeypatch.chdir(tmp_path)
    for label in range(2):
        for k in range(12):
            rng = np.random.default_rng((label, k))
            x, y, t = rng.integers(0, 2, 90) + 4 * label, rng.integers(0, 6, 90), np.arange(90)
            path = tmp_path / "events" / f"c{label}" / f"{k}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.stack([x, y, t, t % 2], 1))
    (tmp_path / "mine.py").write_text(COUNTS)
    data = "folder:events?steps=3&size=6x8"
    words = ["import", "mine.py:make_model", "--steps", "3", "--scale", "1/2", "-o"]
    assert main([*words, "one", "--data", data]) == 0
    assert FloatNetwork.load("one").input.bits == 1
    assert main([*words, "two", "--data", data, "--bits", "2"]) == 0
    assert "counts, those above 3 as 3" in capsys.readouterr().err
    network = FloatNetwork.load("two")
    assert network.input.bits == 2 and network.amplitude["input"] == 0.5
    assert json.loads(Path("two/import.json").read_text())["check"]["exact"]
    assert main(["quantize", "two", "-o", "build"]) == 0
    assert files.load("build").input.bits == 2
    assert main(["eval", "build", "--json"]) == 0
    assert main(["eval", "build", "--file", "events/c1", "--json"]) == 0
    assert "counts, those above 3 as 3" in capsys.readouterr().err
    assert main(["new", "mine", "--data", data, "--bits", "2"]) == 0
    text = Path("mine/recipe.toml").read_text()
    assert "bits = 2  # the input is a number up to 3 a pixel and step" in text


def test_it_is_tuned_from_there_and_goes_on(imported: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "--from", str(imported), "-o", str(tmp_path / "run"), "--epochs", "20"]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    # random weights have a tenth
    assert answer["done"] and answer["test_folded"] > 0.25, answer
    assert main(words) == 0  # nothing left to do
    assert main(["quantize", str(tmp_path / "run"), "-o", str(tmp_path / "build")]) == 0
    capsys.readouterr()
    assert main([*words[:-1], "21"]) == 2
    assert "is another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "-o", "r"], "give a recipe, or --from"),
        (["train", "x.toml", "--epochs", "3", "-o", "r"], "--epochs goes with --from"),
        (["train", "--from", ".", "-o", "r"], "has no import.json"),
        (["train", "x.toml", "--force", "-o", "r"], "--force goes with --from"),
        (["import", "no.py:f", "--data", "digits", "-o", "r"], "no.py: does not exist"),
    ],
)
def test_wrong_words_have_their_sentence(words, sentence, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


MOODY = """
import snntorch as snn, torch, torch.nn as nn
class Moody(nn.Module):
    # computes something else after its first three calls: no recording can know
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.calls = 0
        self.conv, self.sn = nn.Conv2d(1, 4, 3), snn.Leaky(0.5, init_hidden=True, threshold=0.3)
        self.full, self.out = nn.Linear(144, 10), snn.Leaky(0.5, init_hidden=True)
    def forward(self, x):
        self.calls += 1
        x = self.conv(x) * (1.0 if self.calls <= 3 else 1.5)
        return self.out(self.full(self.sn(x).flatten(1)))
def make_model():
    return Moody()
"""


def test_an_import_that_is_another_network_is_kept_and_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "moody.py").write_text(MOODY)
    run = str(tmp_path / "run")
    words = ["import", f"{tmp_path / 'moody.py'}:make_model", "--data", "digits", "--steps", "3"]
    assert main([*words, "--images", "40", "-o", run]) == 1
    told = capsys.readouterr()
    assert "FAILED: sn differ from the model" in told.out
    assert "no --state: the weights are those that the function gives" in told.err
    assert json.loads((tmp_path / "run" / "import.json").read_text())["check"]["failed"] == ["sn"]
    assert main(["quantize", run, "-o", str(tmp_path / "build")]) == 2
    assert "its check found that sn differ" in capsys.readouterr().err
    assert main(["train", "--from", run, "-o", str(tmp_path / "tuned")]) == 2
    assert "or go on with it by --force" in capsys.readouterr().err
    assert not (tmp_path / "build").exists() and not (tmp_path / "tuned").exists()
    assert main(["quantize", run, "-o", str(tmp_path / "build"), "--force"]) == 0
    tuned = ["train", "--from", run, "-o", str(tmp_path / "tuned"), "--max-minutes", "0"]
    assert main([*tuned, "--force"]) == 0


@pytest.mark.parametrize(("folded", "worse"), [(0.5, True), (0.75, False), (0.9, False)])
def test_a_tuning_that_made_it_worse_says_so(folded, worse, tmp_path, monkeypatch, capsys) -> None:
    scores = {"validation_folded": folded, "test_folded": folded, "validation_start": 0.75}
    answer = {"name": "n", "epoch": 4, "epochs": 4, "done": True, "rank": 0, **scores}
    monkeypatch.setattr("sterna.train.run.run.train", lambda *_, **__: dict(answer))
    assert main(["train", "x.toml", "-o", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "validation start: 75.00%" in text
    assert ("this is worse than what it began with (75.00%): train longer" in text) == worse


def test_an_import_hands_on_data_of_ones_own(imported: Path, tmp_path: Path, monkeypatch) -> None:
    """Its path leads from the import, the tuned run and the build to the same folder, and so go
    the names of its classes; what does not fit leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    picture_folder(tmp_path / "png", side=9)
    words = ["import", f"{imported.parent / 'mine.py'}:make_model", "--steps", "3"]
    words += ["--data", "folder:png", "--size", "8x8", "--images", "40", "--check", "8"]
    assert main([*words, "-o", "runs/in"]) == 0
    record = json.loads(Path("runs/in/import.json").read_bytes())
    assert record["data"] == "folder:../../png?size=8x8" and record["classes"] == list(CLASSES)
    assert main(["quantize", "runs/in", "-o", "build/in"]) == 0
    assert read_classes(Path("build/in"), 10) == CLASSES
    tuned = ["train", "--from", "runs/in", "-o", "tuned"]
    assert main([*tuned, "--data", "folder:png"]) == 2
    assert not Path("tuned").exists()
    monkeypatch.chdir(tmp_path / "runs")
    tuned[-1] = "../tuned"
    tuned[2] = "in"
    assert main(tuned) == 0  # 42 images, in batches that they fill
    assert data_of_folder("../tuned") == "folder:../png?size=8x8"
    assert json.loads(Path("../tuned/run.json").read_bytes())["classes"] == list(CLASSES)


def qonnx_file(folder: Path) -> Path:
    w = Writer((1, 8, 8), 3)
    w = w.conv(4, 3).norm().bipolar()
    w.add("Flatten", axis=1)
    path = folder / "small.onnx"
    path.write_bytes(w.matmul(10, 144).model().SerializeToString())
    return path


def test_a_qonnx_file_comes_in_with_a_check(tmp_path: Path, capsys) -> None:
    path, run = qonnx_file(tmp_path), tmp_path / "run"
    words = ["import", str(path), "--data", "digits", "--scale", "1/16", "--check", "8"]
    assert main([*words, "-o", str(run), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["check"]["exact"] and not answer["calibrated"]
    assert main(["quantize", str(run), "-o", str(tmp_path / "build")]) == 0
    assert main(["import", str(path), "-o", str(tmp_path / "bare")]) == 0
    assert "no --data to compare on: nothing was checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--scale", "0"], "--scale '0' is not a number above 0"),
        (["--scale", "1/x"], "--scale '1/x' is not a number"),
        (["--steps", "4"], "is a network of one step"),
        (["--dt", "0.1"], "--dt goes with a .nir file"),
        (["--state", "w.pt"], "--state goes with a model of PyTorch"),
    ],
)
def test_words_that_a_qonnx_file_does_not_know(words, says, tmp_path: Path, capsys) -> None:
    path = qonnx_file(tmp_path)
    assert main(["import", str(path), "-o", str(tmp_path / "r"), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_build_of_what_came_in_trained_knows_its_images(tmp_path: Path, capsys) -> None:
    path, run, build = qonnx_file(tmp_path), tmp_path / "run", tmp_path / "build"
    words = ["import", str(path), "--data", "digits", "--check", "4", "-o", str(run)]
    assert main(words) == 0
    assert main(["quantize", str(run), "-o", str(build)]) == 0
    assert data_of_folder(build) == "digits"
    assert main(["eval", str(build), "-o", str(tmp_path / "other")]) == 0
