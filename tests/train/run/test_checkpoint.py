"""A checkpoint that no run of its recipe can have left is refused, whoever signed it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.golden.errors import FileError
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.checkpoint import read_checkpoint, write_checkpoint
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "random_1x4x4"
batch = 256
[network]
shape = [1, 4, 4]
steps = 2
layers = ["2C3p1", "P2sum", "FC10"]
[[stage]]
epochs = 2
steps = 1
[[stage]]
epochs = 1
steps = 2
folded = true
"""


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made")
    (folder / "recipe.toml").write_text(RECIPE)
    assert not train(folder / "recipe.toml", folder / "run", max_minutes=0, progress=quiet)["done"]
    return folder


@pytest.fixture
def made(_made: Path, tmp_path: Path) -> Path:
    shutil.copytree(_made, tmp_path / "made")
    return tmp_path / "made"


def quiet(_: str) -> None:
    pass


def opened(folder: Path) -> Trainer:
    return Trainer(read_recipe(folder / "recipe.toml"), folder / "run", None, quiet, None)


HEADS = [
    ({"position": [99, 0, 0]}, "position stage 99, epoch 0, batch 0 of 2 stages"),
    ({"position": [3, 0, 0]}, "of 2 stages"),
    ({"position": [2, 0, 0]}, "position stage 2, epoch 0, batch 0, which no run ends at"),
    ({"position": [2, 1, 0]}, "which no run ends at"),
    ({"position": [0, 3, 0]}, "of 2 epochs of 2 batches"),
    ({"position": [0, 2, 1]}, "of 2 epochs of 2 batches"),
    ({"position": [0, 0, 2]}, "of 2 epochs of 2 batches"),
    ({"position": [0, 0, -1]}, "position"),
    ({"position": [0, 0, True]}, "position"),
    ({"position": [0, 0, 1.0]}, "position"),
    ({"position": [0, 0]}, "position"),
    ({"position": [0, 0, 1 << 70]}, "batch"),
    ({"position": [1, 0, 1]}, "no fraction bits in a folded stage"),
    ({"adam_steps": 2}, "2 steps of the optimiser at stage 0, epoch 0, batch 1"),
    ({"adam_steps": 0}, "0 steps of an optimiser with"),
    ({"adam_steps": -1}, "adam_steps -1"),
    ({"adam_steps": True}, "no right 'adam_steps'"),
    ({"spent": -1.0}, "spent -1.0"),
    ({"spent": "1"}, "no right 'spent'"),
    ({"seconds": -1}, "seconds -1"),
    ({"seconds": 1 << 70}, "a number"),
    ({"seed": -1}, "seed -1"),
    ({"fraction": {"spike1": 17}}, "fraction"),
    ({"fraction": {"ghost": 3}}, "fraction bits of 'ghost', which the network has not"),
    ({"fraction": []}, "no right 'fraction'"),
    ({"losses": [0.1, 0.2]}, "2 losses of 1 batches"),
    ({"losses": ["0"]}, "losses or conversion that are no numbers"),
    ({"conversion": {"a": "b"}}, "losses or conversion that are no numbers"),
    ({"untrained": True}, "of random weights"),
    ({"untrained": 1}, "no right 'untrained'"),
    ({"ghost": 1}, "its head has 'ghost'"),
    ({"data": 3}, "no right 'data'"),
]


@pytest.mark.parametrize(("change", "cause"), HEADS, ids=[str(c)[:40] for c, _ in HEADS])
def test_an_impossible_head_is_refused(made: Path, change: dict, cause: str) -> None:
    """S11: position 99 was taken as done."""
    file = made / "run" / "checkpoint.safetensors"
    head, tensors = read_checkpoint(file)
    assert head["position"] == [0, 0, 1] and head["adam_steps"] == 1
    if change.get("seconds") == 1 << 70:
        change, cause = {"seconds": 1 << 70}, "seconds 1180591620717411303424"
    write_checkpoint(file, head | change, tensors)
    before = {p.name: p.read_bytes() for p in (made / "run").iterdir()}
    with pytest.raises(FileError) as error:
        opened(made)
    text = str(error.value)
    assert text.startswith(f"{file}: ") and text.endswith("; delete it to start again")
    assert cause in text and "\n" not in text, text
    assert {p.name: p.read_bytes() for p in (made / "run").iterdir()} == before


def without(name):
    return lambda t: {k: v for k, v in t.items() if k != name}


W, M = "module.conv1__weight", "adam.conv1__weight.exp_avg"
TENSORS = [
    (without(W), f"tensor '{W}' is missing"),
    (lambda t: t | {W: t[W].astype(np.float64)}, f"tensor '{W}' is float64"),
    (lambda t: t | {W: t[W][:1]}, "is float32 (1, 1, 3, 3), not float32 (2, 1, 3, 3)"),
    (lambda t: t | {W: t[W] * np.nan}, f"tensor '{W}' has values that are no numbers"),
    (lambda t: t | {"module.ghost": t[W]}, "tensor 'module.ghost' is of nothing"),
    (lambda t: t | {"twin.conv1__weight": t[W]}, "tensor 'twin.conv1__weight' is of nothing"),
    (without(M), "of 'adam.conv1__weight' one moment is missing"),
    (lambda t: t | {M: t[M].reshape(-1)[:3]}, f"tensor '{M}' has another type or size"),
    (lambda t: t | {f"{M}_sq": t[f"{M}_sq"] - 1}, f"tensor '{M}_sq' has squares below 0"),
    (lambda t: {k: v for k, v in t.items() if not k.startswith("adam")}, "with 0 tensors"),
]


@pytest.mark.parametrize(("change", "cause"), TENSORS, ids=[c[:40] for _, c in TENSORS])
def test_impossible_tensors_are_refused(made: Path, change, cause: str) -> None:
    file = made / "run" / "checkpoint.safetensors"
    head, tensors = read_checkpoint(file)
    assert W in tensors and M in tensors, sorted(tensors)
    write_checkpoint(file, head, change(tensors))
    with pytest.raises(FileError) as error:
        opened(made)
    assert cause in str(error.value) and str(error.value).endswith("; delete it to start again")


def test_every_checkpoint_of_a_run_is_taken(made: Path) -> None:
    """In slices of a batch: each position that there is, the last one too."""
    seen = []
    while not train(made / "recipe.toml", made / "run", max_minutes=0, progress=quiet)["done"]:
        seen.append(tuple(opened(made).position))
    assert seen == [(0, 1, 1), (1, 0, 1)] or len(seen) >= 2, seen
    assert tuple(opened(made).position) == (2, 0, 0)
    head, tensors = read_checkpoint(made / "run" / "checkpoint.safetensors")
    assert head["fraction"] and not any(k.startswith("adam") for k in tensors)


def test_other_files_in_its_place_are_refused(made: Path, tmp_path: Path) -> None:
    import os

    file = made / "run" / "checkpoint.safetensors"
    for data in (b"", b"{}", b"\0" * 8, (2).to_bytes(8, "little") + b"{}"):
        file.write_bytes(data)
        with pytest.raises(FileError, match="delete it to start again"):
            opened(made)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(FileError, match="it is a pipe, not a file"):
        read_checkpoint(file)
