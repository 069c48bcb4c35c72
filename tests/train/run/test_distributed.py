"""Two processes train one network: they end with the same weights, and go on where they stopped."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from sterna.golden.errors import UsageError
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.distributed import Group, join
from sterna.train.run.run import train
from sterna.train.run.run_lock import locked
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 3
batch = {batch}
shift = 1
[network]
shape = [1, 8, 8]
steps = 4
layers = ["6C3p1", "P2sum", "FC10"]
[[stage]]
epochs = 4
steps = 1
[[stage]]
epochs = 1
steps = 4
folded = true
lr = 2e-4
lr_rest = 1e-4
"""
PROGRAM = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
from sterna.train.run.distributed import join
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.trainer import Trainer
torch.set_num_threads(1)
folder = Path(sys.argv[1])
group = join()

def run(recipe, name, seconds):
    read = read_recipe(folder / recipe)
    trainer = Trainer(read, folder / name, None, lambda _: None, None, group)
    answer = trainer.run(seconds)
    state = {k: v.contiguous() for k, v in trainer.module.state_dict().items()}
    save_file(state, folder / f"{name}{group.rank}.safetensors")
    torch.distributed.barrier()  # the folder is read again only when it is written
    return answer["done"]

run("recipe.toml", "whole", 1e9)
slices = 1
while not run("recipe.toml", "cut", 0.15):
    slices += 1
run("folded.toml", "two", 1e9)
print("slices", slices)
group.leave()
threads = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").iterdir()]
assert not [t for t in threads if "gloo" in t], threads  # else they abort the interpreter's end
"""


def recipe(folder: Path, batch: int = 64) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(batch=batch))
    return path


def quiet(_: str) -> None:
    pass


def together(*command: str, code: int = 0) -> list[str]:
    """Run a program as ranks 0 and 1 of two, as torchrun would; what each wrote to stdout, or to
    stderr where they are to fail with ``code``."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    both = [
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(2)
    ]
    answers = [p.communicate(timeout=300) for p in both]
    for p, (_, errors) in zip(both, answers, strict=True):
        assert p.returncode == code, errors
    return [errors if code else out for out, errors in answers]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs by two processes: whole, cut into slices, and folded epochs only (two)."""
    folder = tmp_path_factory.mktemp("two")
    text = recipe(folder).read_text()
    path = folder / "folded.toml"
    path.write_text(text.split("[[stage]]", 1)[0] + "[[stage]]" + text.rsplit("[[stage]]", 1)[1])
    for name in ("two", "one"):  # batch norms of images, which folded epochs do not change
        made = Trainer(read_recipe(path), folder / name, None, quiet, None)
        made.measure()
        made._save()
    lines = together("-c", PROGRAM, str(folder))
    assert lines[0] == lines[1] and int(lines[0].split()[1]) > 2
    return folder


def test_both_end_with_the_same_network(trained: Path) -> None:
    for name in ("whole", "cut", "two"):
        states = [load_file(trained / f"{name}{k}.safetensors") for k in range(2)]
        assert all(np.array_equal(states[0][k], states[1][k]) for k in states[0])
    done = json.loads((trained / "whole" / "run.json").read_bytes())
    assert done["processes"] == 2 and done["validation_folded"] > 0.6
    assert len((trained / "whole" / "log.jsonl").read_text().splitlines()) == 5


def test_slices_give_the_same_network(trained: Path) -> None:
    a, b = [(trained / n / "float.safetensors").read_bytes() for n in ("whole", "cut")]
    assert a == b


def test_the_steps_of_two_are_those_of_one_with_the_whole_batch(trained: Path) -> None:
    """Means over shares are the mean over the batch; batch norms do not count when folded."""
    torch.set_num_threads(1)
    train(trained / "folded.toml", trained / "one", progress=quiet)
    one, two = [load_file(trained / n / "float.safetensors") for n in ("one", "two")]
    start = SpikingModule(build_network(read_recipe(trained / "folded.toml"), 3)).state_dict()
    for key in ("conv1.norm.beta", "conv1.norm.gamma", "full3.bias"):
        moved = np.abs(one[key] - start[key.replace(".norm", "").replace(".", "__")].numpy())
        assert moved.max() > 3e-4 and np.abs(one[key] - two[key]).max() < 1e-3 * moved.max()


def test_the_command_speaks_once(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    out = together(
        "-m",
        "sterna.cli",
        "train",
        str(path),
        "-o",
        str(tmp_path / "run"),
        "--json",
        "--max-minutes",
        "0",
    )
    assert json.loads(out[0])["done"] is False and out[1] == ""


def test_a_folder_that_is_taken_is_refused_by_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with locked(run, Group(0, 1, torch.device("cpu")), quiet):
        said = together("-m", "sterna.cli", "train", str(recipe(tmp_path)), "-o", str(run), code=2)
    assert "another sterna train is at work" in said[0] and "first process was refused" in said[1]
    assert not run.exists()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    group = Group(0, 2, torch.device("cpu"))
    with pytest.raises(UsageError, match="batch of 63 cannot be shared by 2 processes"):
        Trainer(read_recipe(recipe(tmp_path, 63)), tmp_path / "run", None, quiet, None, group)


def test_an_incomplete_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for name in ("RANK", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="MASTER_PORT, RANK is not set; start with torchrun"):
        join()
