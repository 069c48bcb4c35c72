"""Kinds of weights: real ones are trained and reported, and never reach hardware."""

from pathlib import Path

import pytest
import torch

from sterna.gen.quantize.float_network import FloatConv2d, FloatNetwork
from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.errors import NetworkError, UsageError
from sterna.train.data import datasets
from sterna.train.module.module import SpikingModule
from sterna.train.module.weights import discretize, straight_through, switching
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.run import train

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


def recipe(
    folder: Path, kind: str = "real", epochs: int = 8, extra: str = "", more: str = ""
) -> Path:
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
    images = datasets.load("digits").test[0][:20]
    with torch.no_grad():
        again = SpikingModule(network).eval()(torch.tensor(images))
    assert again.shape == (20, 10)
    with pytest.raises(NetworkError, match="'conv1': has real weights.*ternary or binary"):
        quantize_run(tmp_path / "run", tmp_path / "build", images)


def test_real_weights_have_no_folded_epochs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="real weights have no integer form.*folded stage"):
        read_recipe(recipe(tmp_path, more=FOLDED))


def test_a_learned_threshold_is_pulled_by_the_weights_near_it() -> None:
    w = torch.tensor([[1.0, -1.0, 0.5, -2.0, 0.1, 0.9]])  # mean size 5.5 / 6
    factor = torch.tensor(0.7, requires_grad=True)
    q, _ = discretize(w, "ternary", False, factor)
    assert q.tolist() == [[1, -1, 0, -1, 0, 1]]
    assert discretize(w, "ternary", False, 0.5)[0].tolist() == [[1, -1, 1, -1, 0, 1]]
    moved = switching(w, factor, False)
    assert torch.equal(moved, torch.zeros_like(w))
    loss = torch.tensor([[1.0, 10.0, 100.0, 1000.0, 1e4, 1e5]])
    (moved * loss).sum().backward()
    # sizes over their mean: 1.09, 1.09, 0.55, 2.18, 0.11, 0.98; within 0.5 of 0.7 are four
    assert factor.grad is not None and factor.grad.item() == -(1 - 10 + 100 + 1e5)


LEARNED = 'weight_threshold = "learned"'


def test_thresholds_learn_and_are_shipped(tmp_path: Path) -> None:
    """They move apart, a run resumes exactly, and the folded integers are what was trained."""
    torch.set_num_threads(1)
    path = recipe(tmp_path, "ternary", 10, LEARNED, FOLDED)
    done = train(path, tmp_path / "run", progress=quiet)
    factors = done["weight_thresholds"]
    assert set(factors) == {"conv1", "full3"}
    assert all(0.1 <= f <= 1.5 and abs(f - 0.7) > 0.01 for f in factors.values())
    assert abs(factors["conv1"] - factors["full3"]) > 0.01
    assert done["validation_folded"] > 0.8
    parts = datasets.load("digits")
    _, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    assert report.accuracy_integer == done["test_folded"]
    for _ in range(500):
        if train(path, tmp_path / "cut", max_minutes=0.001, progress=quiet)["done"]:
            break
    a, b = [(tmp_path / n / "float.safetensors").read_bytes() for n in ("run", "cut")]
    assert a == b


def test_a_threshold_is_learned_down_to_weights_that_matter() -> None:
    """A layer whose small weights carry the target gets a smaller threshold, and the reverse."""
    torch.manual_seed(0)
    x = torch.randn(256, 8)
    w = torch.tensor([[0.5, -0.5, 0.5, -0.5, 1.0, -1.0, 1.0, -1.0]])  # means 0.75: at 0.67 and 1.33
    for target, low, high in ((w.sign(), 0.1, 0.66), (w.sign() * (w.abs() > 0.7), 0.66, 1.5)):
        factor = torch.tensor(0.9 if low == 0.1 else 0.4, requires_grad=True)
        optimizer = torch.optim.Adam([factor], lr=0.02)
        for _ in range(100):
            q, _ = discretize(w, "ternary", False, factor)
            loss = ((x @ (q + switching(w, factor, False) - target).T) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert low < factor.item() < high


@pytest.mark.parametrize(
    ("kind", "extra", "sentence"),
    [
        ("binary", LEARNED, "weight_threshold is for ternary weights"),
        ("ternary", 'weight_threshold = "free"', "'free' is not one of fixed, learned"),
        ("ternary", f'{LEARNED}\n[stidi]\nrule = "exact"', "not trained with .stidi. or"),
    ],
)
def test_thresholds_that_cannot_be_learned(tmp_path, kind, extra, sentence) -> None:
    path = recipe(tmp_path, kind, extra=extra)
    with pytest.raises(UsageError, match=sentence):
        build_network(read_recipe(path), 1)
