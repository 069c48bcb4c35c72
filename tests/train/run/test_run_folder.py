"""Run folders: nothing is lost, taken for another run's, or written by two at a time."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sterna import cli
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.errors import FileError, UsageError
from sterna.train.data import datasets
from sterna.train.data.sets import DataSet
from sterna.train.run.checkpoint import read_checkpoint, write_checkpoint
from sterna.train.run.run import train
from sterna.train.run.run_lock import LOCK

RECIPE = """
name = "tiny"
data = "digits"
seed = 1
batch = 128
[network]
shape = [1, 8, 8]
steps = 2
layers = ["4C3p1", "P2sum", "FC10"]
[[stage]]
epochs = 2
steps = 1
[[stage]]
epochs = 1
steps = 2
folded = true
lr = 2e-4
"""
FILES = (
    "checkpoint.safetensors",
    "float.json",
    "float.safetensors",
    "log.jsonl",
    "recipe.toml",
    "run.json",
)


def recipe(folder: Path, old: str = "", new: str = "", file: str = "recipe.toml") -> Path:
    path = folder / file
    path.write_text(RECIPE.replace(old, new, 1) if old else RECIPE)
    return path


def quiet(_: str) -> None:
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    train(recipe(folder), folder / "run", progress=quiet)
    assert sorted(contents(folder / "run")) == sorted(FILES)  # and no lock is left
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """A folder with recipe.toml and a finished ``run`` of it."""
    shutil.copytree(_trained, tmp_path / "made")
    return tmp_path / "made"


# --- a run that is over ---------------------------------------------------------------------------


def test_a_finished_run_needs_no_checkpoint(trained: Path) -> None:
    """It is known to be done, and stays as it is whatever else is asked for."""
    run = trained / "run"
    (run / "checkpoint.safetensors").unlink()
    before, lines = contents(run), list[str]()
    done = train(trained / "recipe.toml", run, progress=lines.append)
    assert done["done"] and done == json.loads(before["run.json"]) | {"rank": 0} and not lines
    with pytest.raises(UsageError, match="was trained; give another folder"):
        train(trained / "recipe.toml", run, untrained=True, progress=quiet)
    other = recipe(trained, "4C3p1", "6C3p1", "other.toml")
    big = recipe(trained, "batch = 128", "batch = 5000", "big.toml")
    for path, seed in ((other, None), (big, None), (trained / "recipe.toml", 5)):
        for untrained in (False, True):
            with pytest.raises(UsageError, match="run.json: was made by another recipe or seed"):
                train(path, run, seed=seed, max_minutes=0, untrained=untrained, progress=quiet)
    assert contents(run) == before
    # An earlier Sterna did not note the recipe in run.json: the one beside it counts.
    old = json.loads(before["run.json"])
    del old["recipe_sha256"], old["data"]
    (run / "run.json").write_text(json.dumps(old))
    assert train(trained / "recipe.toml", run, progress=quiet)["done"]
    with pytest.raises(UsageError, match="another recipe or seed"):
        train(other, run, progress=quiet)
    # One that was corrected in its place is another recipe too.
    (run / "run.json").write_bytes(before["run.json"])
    shutil.copy(other, run / "recipe.toml")
    with pytest.raises(UsageError, match="another recipe or seed"):
        train(run / "recipe.toml", run, progress=quiet)


def test_a_refused_recipe_changes_nothing(trained: Path) -> None:
    """Also where only the log and the network of an earlier run are left."""
    run = trained / "run"
    (run / "checkpoint.safetensors").unlink()
    (run / "run.json").unlink()
    big = recipe(trained, "batch = 128", "batch = 5000", "big.toml")
    before = contents(run)
    with pytest.raises(UsageError, match="recipe.toml: is another recipe; give another folder"):
        train(big, run, progress=quiet)
    assert contents(run) == before
    (run / "recipe.toml").unlink()
    before = contents(run)
    with pytest.raises(UsageError, match="a batch of 5000 is more than"):
        train(big, run, progress=quiet)
    assert contents(run) == before
    with pytest.raises(UsageError, match="a batch of 5000 is more than"):
        train(big, trained / "new", progress=quiet)
    assert not (trained / "new").exists()
    lines = len(before["log.jsonl"].splitlines())
    assert train(recipe(trained), run, progress=quiet)["done"]
    assert len((run / "log.jsonl").read_text().splitlines()) == lines == 3


@pytest.mark.parametrize("name", ["float.json", "float.safetensors", "recipe.toml"])
def test_what_is_lost_or_damaged_is_restored(trained: Path, name: str) -> None:
    run = trained / "run"
    whole = contents(run)
    flipped = bytearray(whole[name])
    flipped[len(flipped) // 2] ^= 1
    for damage in (None, bytes(flipped), whole[name][:-9]):
        (run / name).unlink()
        if damage is not None:
            (run / name).write_bytes(damage)
        if name != "recipe.toml":
            with pytest.raises(FileError, match="the same .?sterna train.? command"):
                quantize_run(run, trained / "build", datasets.load("digits").train[0][:8])
        lines: list[str] = []
        assert train(trained / "recipe.toml", run, progress=lines.append)["done"]
        assert len(lines) == 1 and name in lines[0] and "restored" in lines[0]
        assert contents(run) == whole


def test_without_a_checkpoint_nothing_can_be_restored(trained: Path) -> None:
    run = trained / "run"
    for name in ("checkpoint.safetensors", "float.safetensors"):
        (run / name).unlink()
    before = contents(run)
    with pytest.raises(FileError, match="no checkpoint to restore it from; delete .*run.json to"):
        train(trained / "recipe.toml", run, progress=quiet)
    assert contents(run) == before
    (run / "run.json").unlink()
    assert train(trained / "recipe.toml", run, progress=quiet)["done"]
    assert (run / "float.safetensors").is_file()


@pytest.mark.parametrize("text", ["garbage", "[]", "{}", '{"done": true}', '"x"', "\xff"])
def test_a_damaged_record_is_named(
    trained: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = str(trained / "recipe.toml"), trained / "run"
    (run / "run.json").write_bytes(text.encode("latin-1"))
    images = datasets.load("digits").train[0][:8]
    with pytest.raises(FileError, match="run.json: .*altered.*`sterna train` command writes it"):
        quantize_run(run, trained / "build", images)
    assert cli.main(["quantize", str(run), "-o", str(trained / "build")]) == 1
    assert "`sterna train` command writes it" in capsys.readouterr().err
    assert cli.main(["train", path, "-o", str(run), "--untrained"]) == 2
    assert "holds a run that was trained" in capsys.readouterr().err
    (run / "checkpoint.safetensors").unlink()
    before = contents(run)
    for more in ([], ["--untrained"]):
        assert cli.main(["train", path, "-o", str(run), *more]) == 1
        assert "run.json: " in (said := capsys.readouterr().err) and "internal error" not in said
        assert "delete it, or give another folder" in said
    assert contents(run) == before


def test_random_weights_stay_apart_from_training(tmp_path: Path) -> None:
    path, run = recipe(tmp_path), tmp_path / "run"
    train(path, run, untrained=True, progress=quiet)
    for record in (None, b"[]"):
        (run / "run.json").unlink()
        if record is not None:
            (run / "run.json").write_bytes(record)
        with pytest.raises(UsageError, match="holds random weights; give another folder"):
            train(path, run, progress=quiet)
        assert train(path, run, untrained=True, progress=quiet)["untrained"]
    assert json.loads((run / "run.json").read_bytes())["untrained"]


# --- checkpoints ----------------------------------------------------------------------------------


def test_no_flipped_bit_of_a_checkpoint_is_accepted(tmp_path: Path) -> None:
    path, run = recipe(tmp_path), tmp_path / "run"
    assert not train(path, run, max_minutes=0, progress=quiet)["done"]
    file = run / "checkpoint.safetensors"
    whole = file.read_bytes()
    head, size = read_checkpoint(file)[0], 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(1)
    start = whole.index(b"__metadata__")  # the head is dearest: all its bytes, one bit each
    end = whole.index(b"}", start)
    places = [*range(start, end), *rng.sample(range(size), 200)]
    places += rng.sample(range(size, len(whole)), 50)
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        file.write_bytes(flipped)
        try:
            assert read_checkpoint(file)[0] == head  # a space more or less between two tensors
        except FileError as e:
            assert "truncated or altered" in str(e) and "delete it to start again" in str(e)
        else:
            assert not start <= place < end
    file.write_bytes(whole)
    for change in ({"position": [0, 1]}, {"adam_steps": None}, {"recipe": 3}):
        write_checkpoint(file, head | change, read_checkpoint(file)[1])
        with pytest.raises(FileError, match="truncated or altered"):
            train(path, run, progress=quiet)
        file.write_bytes(whole)


def test_checkpoints_of_version_1_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their digest was of the tensors only, or was not there at all; the network is the same."""
    from safetensors.numpy import save as save_tensors

    from sterna.train.run import checkpoint

    torch.set_num_threads(1)
    path = recipe(tmp_path)
    train(path, tmp_path / "whole", progress=quiet)
    want = (tmp_path / "whole" / "float.safetensors").read_bytes()
    for digest in (True, False):
        run = tmp_path / f"run{digest}"
        train(path, run, max_minutes=0, progress=quiet)
        file = run / "checkpoint.safetensors"
        head, tensors = read_checkpoint(file)
        for key in ("data", "losses", "seconds", "untrained"):
            del head[key]
        head["version"] = 1
        if digest:
            head["digest"] = checkpoint._digest(None, tensors)
        old = save_tensors(tensors, {"checkpoint": json.dumps(head, sort_keys=True)})
        file.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
        if digest:
            with pytest.raises(FileError, match="truncated or altered"):
                train(path, run, progress=quiet)
        file.write_bytes(old)
        assert train(path, run, progress=quiet)["done"]
        assert (run / "float.safetensors").read_bytes() == want
        assert read_checkpoint(file)[0]["version"] == 2
    head, tensors = read_checkpoint(file)
    monkeypatch.setattr(checkpoint, "VERSION", 3)
    write_checkpoint(file, head, tensors)
    monkeypatch.undo()
    with pytest.raises(FileError, match="version 3 is not 1 or 2; update sterna"):
        train(path, run, progress=quiet)


# --- data sets and sources ------------------------------------------------------------------------


def test_a_run_keeps_its_data_set(tmp_path: Path) -> None:
    path, run = recipe(tmp_path), tmp_path / "run"
    command = ["train", str(path), "-o", str(run), "--max-minutes", "0"]
    assert cli.main([*command, "--data", "random_1x8x8"]) == 0
    before = contents(run)
    with pytest.raises(UsageError, match="was trained on random_1x8x8, not on digits; train on"):
        train(path, run, progress=quiet)
    parts = datasets.load("digits")
    first = [(x[:300], y[:300]) for x, y in (parts.train, parts.validation, parts.test)]
    few = DataSet(*first)
    with pytest.raises(UsageError, match="not on images with sha256"):
        train(path, run, data=few, progress=quiet)
    assert contents(run) == before
    assert cli.main([*command[:-2], "--data", "random_1x8x8"]) == 0
    assert json.loads((run / "run.json").read_bytes())["data"] == "random_1x8x8"
    (run / "checkpoint.safetensors").unlink()
    with pytest.raises(UsageError, match="was trained on random_1x8x8"):
        train(path, run, progress=quiet)
    train(path, tmp_path / "few", data=few, max_minutes=0, progress=quiet)
    train(path, tmp_path / "few", data=few, max_minutes=0, progress=quiet)
    with pytest.raises(UsageError, match="was trained on images with sha256"):
        train(path, tmp_path / "few", progress=quiet)


def test_a_warm_start_reads_its_source_once(trained: Path) -> None:
    (trained / "run").rename(trained / "src")
    path = recipe(trained, "seed = 1", 'seed = 2\nwarm_start = "src"', "warm.toml")
    train(path, trained / "whole", progress=quiet)
    train(path, trained / "cut", max_minutes=0, progress=quiet)
    (trained / "src").rename(trained / "gone")
    assert train(path, trained / "cut", progress=quiet)["done"]
    assert train(path, trained / "whole", progress=quiet)["done"]
    a, b = [(trained / n / "float.safetensors").read_bytes() for n in ("whole", "cut")]
    assert a == b
    (trained / "whole" / "checkpoint.safetensors").unlink()
    assert train(path, trained / "whole", progress=quiet)["done"]
    with pytest.raises(FileError, match="src.*does not exist"):
        train(path, trained / "new", progress=quiet)
    assert not (trained / "new").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            '"4C3p1"',
            '"4C5p2"',
            "'conv1' is conv2d of 4 x 1 x 3 x 3 weights, 4 x 8 x 8 values there "
            "and conv2d of 4 x 1 x 5 x 5 weights",
        ),
        ('"P2sum"', '"P4sum"', "'pool2' is pool of 4 x 4 x 4 there and pool of 4 x 2 x 2 here"),
        ('"4C3p1"', '"4C3p1", "4C3p1"', "'conv2' is absent there"),
        ('"P2sum", ', "", "'full2' is absent there"),
    ],
)
def test_a_source_of_other_layers_is_refused(
    trained: Path, old: str, new: str, sentence: str
) -> None:
    path = recipe(trained, old, new, "other.toml")
    path.write_text('warm_start = "run"\n' + path.read_text())
    with pytest.raises(UsageError, match=f"run has other layers, {sentence}.*same layers"):
        train(path, trained / "new", max_minutes=0, progress=quiet)
    assert not (trained / "new").exists()


def test_a_binary_network_and_other_pools_may_start_from_it(trained: Path) -> None:
    path = recipe(trained, "steps = 2", 'kind = "binary"\nsteps = 2', "binary.toml")
    text = path.read_text().replace("P2sum", "P2avg").replace("epochs = 2", "epochs = 1")
    path.write_text('warm_start = "run"\n' + text)
    train(path, trained / "new", max_minutes=0, progress=quiet)
    one, two = (FloatNetwork.load(trained / n).by_name["conv1"].weight for n in ("run", "new"))
    assert np.mean(np.sign(two)[one != 0] == np.sign(one)[one != 0]) > 0.95


# --- two at a time --------------------------------------------------------------------------------


def test_only_one_training_works_in_a_folder(tmp_path: Path) -> None:
    """The second is told so; the lock of a process that was killed holds nobody up."""
    path, run = recipe(tmp_path, "epochs = 2", "epochs = 2000"), tmp_path / "run"
    command = [sys.executable, "-m", "sterna.cli", "train", str(path), "-o", str(run)]
    first = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        end = time.monotonic() + 120
        while not (run / "checkpoint.safetensors").is_file() and time.monotonic() < end:
            time.sleep(0.1)
        sentence = "another sterna train is at work in this folder; wait for it"
        for untrained in (False, True):
            with pytest.raises(UsageError, match=sentence):
                train(path, run, max_minutes=0, untrained=untrained, progress=quiet)
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    assert (run / LOCK).is_file()
    epoch = train(path, run, max_minutes=0, progress=quiet)["epoch"]
    assert epoch >= 1 and not (run / LOCK).exists()
    lines = [json.loads(x)["epoch"] for x in (run / "log.jsonl").read_text().splitlines()]
    assert lines[:epoch] == list(range(1, epoch + 1))


def test_a_line_of_the_log_is_written_once(tmp_path: Path) -> None:
    """Where a process ended between an epoch's line and its checkpoint."""
    path, run = recipe(tmp_path), tmp_path / "run"
    train(path, run, max_minutes=0, progress=quiet)
    (run / "log.jsonl").write_text('{"epoch": 1, "loss": 0}\nhalf a li')
    train(path, run, progress=quiet)
    lines = [json.loads(x) for x in (run / "log.jsonl").read_text().splitlines()]
    assert [x["epoch"] for x in lines] == [1, 2, 3] and lines[0]["loss"] > 0


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(FileError, match="run: is a file, no run folder"):
        train(recipe(tmp_path), tmp_path / "run", progress=quiet)
    assert (tmp_path / "run").read_text() == "mine"
