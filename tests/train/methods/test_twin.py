"""Twin networks: the loss is the paper's, both learn, one is kept, and runs resume exactly."""

from pathlib import Path

import pytest
import torch

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.errors import UsageError
from sterna.train.methods.twin import Twin
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 3
batch = 64
[network]
shape = [1, 8, 8]
steps = 2
kind = "ternary"
layers = ["6C3p1", "P2sum", "FC10"]
[twin]
{twin}
[[stage]]
epochs = 6
steps = 1
[[stage]]
epochs = 1
steps = 2
[[stage]]
epochs = 1
steps = 2
folded = true
lr = 2e-4
lr_rest = 1e-4
"""


def recipe(folder: Path, twin: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(twin=twin))
    return path


def quiet(_: str) -> None:
    pass


def test_the_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    base, twin = (torch.randn(4, 10, requires_grad=True) for _ in range(2))
    labels = torch.tensor([1, 2, 3, 4])
    cross = torch.nn.functional.cross_entropy(twin, labels)
    squares = ((base - twin) ** 2).sum(1).mean()
    loss = Twin(alpha=0.05).loss(base, twin, labels, 0.0)
    torch.testing.assert_close(loss, cross + 0.005 * squares)
    loss.backward()
    gradient = 0.05 * 2 * (base - twin).detach() / 40
    torch.testing.assert_close(base.grad, gradient)
    both = twin.grad
    twin.grad = None
    Twin(alpha=0.05, mode="distill").loss(base, twin, labels, 0.0).backward()
    torch.testing.assert_close(both - twin.grad, -gradient)


@pytest.mark.parametrize("mode", ["twin", "distill"])
def test_base_and_twin_learn_and_the_base_is_kept(tmp_path: Path, mode: str) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, f'mode = "{mode}"')
    done = train(path, tmp_path / "run", progress=quiet)
    assert done["validation_folded"] > 0.8
    trainer = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)
    assert trainer.twin is not None
    kept = FloatNetwork.load(tmp_path / "run")
    weights = {n.name: n.weight for n in kept.nodes if hasattr(n, "weight")}
    own = {n.name: n.weight for n in trainer.module.export().nodes if hasattr(n, "weight")}
    other = {n.name: n.weight for n in trainer.twin.export().nodes if hasattr(n, "weight")}
    assert all((weights[k] == own[k]).all() for k in weights)
    assert any((weights[k] != other[k]).any() for k in weights)
    trainer.twin.steps = 2
    trainer.twin.eval()
    images, labels = trainer.validation
    with torch.no_grad():
        assert (trainer.twin(images).argmax(1) == labels).float().mean() > 0.8


def test_a_twin_changes_what_the_base_learns_and_runs_resume_exactly(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, "alpha = 0.05")
    train(path, tmp_path / "whole", progress=quiet)
    sliced = Trainer(read_recipe(path), tmp_path / "sliced", None, quiet, None)
    sliced.run(0.3)
    for _ in range(500):
        if train(path, tmp_path / "sliced", max_minutes=0.005, progress=quiet)["done"]:
            break
    files = [(tmp_path / run / "checkpoint.safetensors") for run in ("whole", "sliced")]
    one, two = (Trainer(read_recipe(path), f.parent, None, quiet, None) for f in files)
    for (name, a), (_, b) in zip(one._parameters(), two._parameters(), strict=True):
        assert torch.equal(a, b), name
    (tmp_path / "alone").mkdir()
    none = recipe(tmp_path / "alone", "alpha = 0.0")
    alone = Trainer(read_recipe(none), tmp_path / "alone" / "run", None, quiet, None)
    alone.run(1e9)
    pairs = zip(one.module.parameters(), alone.module.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("twin", "sentence"),
    [
        ("beta = 1", "takes alpha, mode, seed_step"),
        ("alpha = -1", "alpha -1 is not a number"),
        ('mode = "triplet"', "mode 'triplet' is not twin or distill"),
        ("seed_step = 0", "seed_step 0 is not"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, twin: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_recipe(recipe(tmp_path, twin))
