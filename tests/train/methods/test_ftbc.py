"""Bias of each time step after conversion: means meet, and integers compute what was corrected."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron
from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.exact import run as golden_run
from sterna.golden.network import Neuron
from sterna.train.data import datasets
from sterna.train.methods.convert import settle
from sterna.train.methods.ftbc import correct_bias
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 5
batch = 64
[network]
shape = [1, 8, 8]
steps = 3
layers = [{layers}]
{extra}
[nq]
up = 2.0
steps = 3
bias_correction = {correct}
[[stage]]
epochs = {epochs}
steps = 1
nq = true
"""
FOLDED = "[[stage]]\nepochs = 1\nsteps = 3\nfolded = true\nlr = 2e-4\nlr_rest = 1e-4\n"
PLAIN = '"6C3p1", "P2avg", "6C3p1", "FC10"'
RESIDUAL = '"6C3p1", { residual = ["6C3p1", "6C3p1"] }, "FC10"'
NAMES = ("spike1", "spike3")


def recipe(
    folder: Path,
    epochs: int,
    more: str = "",
    correct: str = "true",
    layers: str = PLAIN,
    extra: str = "",
) -> Path:
    path = folder / "recipe.toml"
    text = RECIPE.format(epochs=epochs, correct=correct, layers=layers, extra=extra)
    path.write_text(text + more)
    return path


def quiet(_: str) -> None:
    pass


@pytest.fixture(
    params=[(PLAIN, ""), (RESIDUAL, ""), (RESIDUAL, "neuron = { amplitude = 4.0 }")],
    ids=["plain", "residual", "amplitude"],
)
def trainer(tmp_path: Path, request: pytest.FixtureRequest) -> Trainer:
    """A network whose batch norms have seen images, not trained."""
    torch.set_num_threads(1)
    path = recipe(tmp_path, 1, layers=request.param[0], extra=request.param[1])
    made = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)
    made.measure()
    made.module.eval()
    return made


def gaps(module: SpikingModule, images: torch.Tensor, steps: int) -> dict[str, torch.Tensor]:
    """Mean activation of each channel less that of its spikes, for each step: (T,C)."""
    module.clipping, module.steps = True, 1
    wanted = module.trace(images, NAMES)[1]
    module.clipping, module.steps = False, steps
    found = module.trace(images, NAMES)[1]
    return {n: wanted[n][0].mean((0, 2, 3)) - found[n].mean((1, 3, 4)) for n in NAMES}


def test_mean_outputs_come_nearer_at_every_step(trainer: Trainer) -> None:
    module, images = trainer.module, trainer.noise_images
    before = gaps(module, images, 4)
    correct_bias(module, images)
    module.corrected = True
    after = gaps(module, images, 4)
    for name, most in zip(NAMES, (0.5, 0.85), strict=True):
        assert after[name].abs().mean() < most * before[name].abs().mean()
        table = module.get(name, "table")
        assert table is not None and table.shape == (16, 6)
        assert (table[0] - table[3]).abs().max() > 0.01  # steps differ


def test_a_smaller_T_needs_no_other_table(trainer: Trainer) -> None:
    """What neurons do at a step depends on no later bias."""
    module, images = trainer.module, trainer.noise_images[:32]
    correct_bias(module, images)
    module.corrected, module.clipping, module.steps = True, False, 16
    all_ = module.trace(images, NAMES)[1]
    module.steps = 2
    few = module.trace(images, NAMES)[1]
    for name in NAMES:
        assert torch.equal(all_[name][:2], few[name])


def test_settled_neurons_keep_their_corrections(trainer: Trainer) -> None:
    module, images = trainer.module, trainer.noise_images[:32]
    correct_bias(module, images)
    module.corrected, module.clipping, module.steps = True, False, 3
    logits, spikes = module.trace(images, NAMES)
    settle(module)
    again, same = module.trace(images, NAMES)
    torch.testing.assert_close(logits, again)
    for name in NAMES:
        assert (spikes[name] != same[name]).float().mean() < 1e-3
        node = module.network.by_name[name]
        assert isinstance(node, FloatNeuron) and np.shape(node.bias) == (3, 6)


def test_corrected_networks_are_shipped_and_resume(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, 8, FOLDED)
    done = train(path, tmp_path / "run", progress=quiet)
    found = done["conversion"]
    # One step loses much here (not so for every seed), and biases bring most of it back.
    lost = found["validation_ann"] - found["validation_T1"]
    assert lost > 0.05
    assert found["validation_ann"] - found["validation_corrected_T1"] < lost / 2
    assert done["validation_folded"] > 0.8
    parts = datasets.load("digits")
    images = parts.test[0]
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    assert report.accuracy_integer == done["test_folded"]
    node = network["spike3"]
    assert isinstance(node, Neuron) and node.rule.bias is not None
    assert node.rule.bias.shape == (3, 6) and len({row.tobytes() for row in node.rule.bias}) > 1
    trained = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None).module.eval()
    trained.steps, trained.fraction_bits = 3, done["fraction_bits"]
    spikes = trained.trace(torch.tensor(images), NAMES)[1]
    golden = golden_run(network, images, trace=NAMES)
    for name in NAMES:
        assert np.array_equal(spikes[name].numpy(), golden.spikes[name])
    loaded = SpikingModule(FloatNetwork.load(tmp_path / "run")).eval()
    trained.fraction_bits = None
    with torch.no_grad():
        torch.testing.assert_close(loaded(torch.tensor(images)), trained(torch.tensor(images)))
    for _ in range(500):
        if train(path, tmp_path / "cut", max_minutes=0.003, progress=quiet)["done"]:
            break
    a, b = [(tmp_path / n / "float.safetensors").read_bytes() for n in ("run", "cut")]
    assert a == b


def test_without_it_nothing_is_corrected(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    done = train(recipe(tmp_path, 1, correct="false"), tmp_path / "run", progress=quiet)
    assert not any("corrected" in k for k in done["conversion"])
    node = FloatNetwork.load(tmp_path / "run").by_name["spike1"]
    assert isinstance(node, FloatNeuron) and node.bias is None
