"""Kinds of weights: real ones are trained and reported, and never reach hardware."""

from pathlib import Path

import pytest
import torch

from sterna.gen.floatnet import FloatConv2d, FloatNetwork
from sterna.gen.quantize import quantize_run
from sterna.golden.errors import NetworkError, UsageError
from sterna.train import data
from sterna.train.module import SpikingModule
from sterna.train.recipe import read_recipe
from sterna.train.run import train
from sterna.train.weights import discretize, straight_through

RECIPE = """
name = "tiny"
data = "digits"
seed = 3
batch = 64
[network]
shape = [1, 8, 8]
steps = 4
kind = "{kind}"
layers = ["6C3p1", "P2sum", "FC10"]
{extra}
[[stage]]
epochs = {epochs}
steps = 1
[[stage]]
epochs = 1
steps = 4
lr = 3e-3
"""
FOLDED = "[[stage]]\nepochs = 1\nsteps = 4\nfolded = true\nlr = 2e-4\nlr_rest = 1e-4\n"


def recipe(folder: Path, kind: str = "real", epochs: int = 8, extra: str = "",
           more: str = "") -> Path:  # fmt: skip
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(kind=kind, epochs=epochs, extra=extra) + more)
    return path


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("one_scale", [False, True])
def test_real_weights_are_left_as_they_are(one_scale: bool) -> None:
    w = torch.randn(3, 2, 2, 2, requires_grad=True)
    q, a = discretize(w, "real", one_scale)
    assert torch.equal(q, w) and a.shape == ((1 if one_scale else 3), 1, 1, 1) and (a == 1).all()
    forward = straight_through(w, q, a, unit=False)
    assert torch.equal(forward, w)
    (forward * 3).sum().backward()
    assert w.grad is not None and (w.grad == 3).all()


def test_a_network_of_real_weights_is_trained_and_reported_but_not_built(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    done = train(recipe(tmp_path), tmp_path / "run", progress=quiet)
    assert done["validation_real"] > 0.8 and done["test_real"] > 0.8
    assert done["fraction_bits"] is None and "test_folded" not in done
    network = FloatNetwork.load(tmp_path / "run")
    conv = network.by_name["conv1"]
    assert isinstance(conv, FloatConv2d) and conv.kind == "real"
    assert len(set(abs(conv.weight).ravel().tolist())) > 20
    images = data.load("digits").test[0][:20]
    with torch.no_grad():
        again = SpikingModule(network).eval()(torch.tensor(images))
    assert again.shape == (20, 10)
    with pytest.raises(NetworkError, match="'conv1': has real weights.*ternary or binary"):
        quantize_run(tmp_path / "run", tmp_path / "build", images)


def test_real_weights_have_no_folded_epochs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="real weights have no integer form.*folded stage"):
        read_recipe(recipe(tmp_path, more=FOLDED))
