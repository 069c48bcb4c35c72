"""Conversion with the residual error as noise: the clip is what IF neurons count, and it pays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.errors import FileError, NetworkError, UsageError
from sterna.golden.exact import run as golden_run
from sterna.train.data import datasets
from sterna.train.module.nq import NQ, clip, measure_noise
from sterna.train.module.scan import ScanSpec, scan
from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.checkpoint import read_checkpoint
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 3
batch = 64
[network]
shape = [1, 8, 8]
steps = 4
kind = "ternary"
layers = [{layers}]
{extra}
[nq]
{nq}
[[stage]]
epochs = {epochs}
steps = 1
nq = true
"""
PLAIN = '"12C3p1", "P2avg", "12C3p1", "FC10"'
RESIDUAL = (
    '"8C3p1", { residual = ["8C3p1", "8C3p1"] }, { residual = ["16C3s2p1", "16C3p1"] }, "FC10"'
)
SKIPS = (
    '"8C3p1", { block = ["8C3p1", "8C3p1", "8C3p1"], skips = [[0, 2, "ASC"], [1, 3, "DSC"]] }, '
    '"FC10"'
)
FOLDED = "[[stage]]\nepochs = 1\nsteps = 4\nfolded = true\nlr = 2e-4\nlr_rest = 1e-4\n"


def recipe(
    folder: Path,
    nq: str = "up = 2.0",
    epochs: int = 15,
    layers: str = PLAIN,
    extra: str = "",
    more: str = "",
) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(nq=nq, epochs=epochs, layers=layers, extra=extra) + more)
    return path


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16])
def test_the_clip_of_L_levels_is_an_if_neuron_over_L_steps(steps: int) -> None:
    torch.manual_seed(steps)
    x = torch.linspace(-1.2, 3.4, 977).view(1, 1, 1, 1, -1)
    up = torch.tensor(2.0)
    one = torch.ones(1) * up
    count = scan(x, one, one, one / 2, ScanSpec(steps)).sum(0)
    assert torch.equal(count, torch.floor(steps * x[0] / up + 0.5).clamp(0, steps))
    torch.testing.assert_close(clip(x[0], up, steps, None), up * count / steps)


def test_gradients_reach_the_input_inside_the_clip_and_up_outside() -> None:
    x = torch.tensor([-1.0, 0.3, 0.9, 5.0], requires_grad=True)
    up = torch.tensor(2.0, requires_grad=True)
    clip(x, up, 4, None).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 0]
    # d a/d up: stairs - z inside, 1 above.
    stairs = torch.tensor([0.25, 0.5])
    inside = (stairs - torch.tensor([0.15, 0.45])).sum()
    assert up.grad is not None
    torch.testing.assert_close(up.grad, inside + 1)


def test_the_clip_is_the_same_with_channels_last() -> None:
    torch.manual_seed(0)
    x, g = torch.randn(1, 4, 6, 5, 7) * 2, torch.randn(1, 4, 6, 5, 7)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        y = x[0].contiguous(memory_format=order).unsqueeze(0).requires_grad_()
        up = torch.tensor(1.7, requires_grad=True)
        a = clip(y, up, 4, None)
        a.backward(g)
        found.append((a.detach(), y.grad, up.grad))
        assert a.stride() == y.stride()  # no copy to another order
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other)
    torch.manual_seed(1)
    noisy = clip(y, up, 4, torch.tensor(0.3)).detach() - a
    assert noisy.stride() == y.stride() and float(noisy.std()) == pytest.approx(0.3, rel=0.1)
    cut = x.transpose(1, 2)  # neither order: copied, and right
    torch.testing.assert_close(clip(cut, up, 4, None), clip(x, up, 4, None).transpose(1, 2))


def test_conversion_is_measured_behind_norms_of_each_T_and_changes_nothing(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    runs = []
    for extra in ("", "\nmeasure_norms = true"):
        path = recipe(tmp_path, nq=f"up = 2.0{extra}", epochs=4)
        run = tmp_path / f"run{len(runs)}"
        done = train(path, run, progress=quiet)
        runs.append((done, read_checkpoint(run / "checkpoint.safetensors")))
    (plain, a), (normed, b) = runs
    assert all(np.array_equal(a[1][k], b[1][k]) for k in a[1])
    more = {k: v for k, v in normed["conversion"].items() if "normed" in k}
    assert normed["conversion"].items() - more.items() == plain["conversion"].items()
    # at T = 1 the statistics of clips are furthest from those of spikes
    assert more["validation_normed_T1"] > plain["conversion"]["validation_T1"]
    assert len(more) == 10 and more["validation_normed_T16"] > 0.7


def test_noise_is_measured_on_what_conversion_does(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    trainer = Trainer(read_recipe(recipe(tmp_path)), tmp_path / "run", None, quiet, None)
    trainer.measure()  # batch norms of images, so that every layer has something to say
    images = trainer.noise_images
    assert len(images) == int(0.1 * (len(images) + len(trainer.train_set[0])))
    found = measure_noise(trainer.module, images, NQ(up=2.0), batch=32)
    # The first layer's input is constant: at T = L there is no error at all.
    assert found["spike1"] == 0 and found["spike3"] > 0
    assert measure_noise(trainer.module, images, NQ(up=2.0, steps=2), batch=32)["spike1"] > 0
    sigma = trainer.module.get("spike3", "sigma")
    assert sigma is not None and sigma > 0


@pytest.mark.parametrize(
    "layers, extra",
    [
        (PLAIN, ""),
        (RESIDUAL, ""),
        (RESIDUAL, "neuron = { amplitude = 4.0 }"),
    ],
)
def test_the_noise_put_in_is_as_large_as_measured(tmp_path, layers, extra) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, layers=layers, extra=extra)
    trainer = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)
    module = trainer.module
    assert module.nq is not None
    sigma = module.get("spike1", "sigma")
    assert sigma is not None
    module.train()
    module.clipping, module.steps = True, 1
    out = {}
    for size in (0.0, 0.3):
        sigma.fill_(size)
        out[size] = module.trace(trainer.noise_images, ("spike1",))[1]["spike1"]
    assert float((out[0.3] - out[0.0]).std()) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("layers", [PLAIN, RESIDUAL, SKIPS], ids=["plain", "residual", "skips"])
def test_a_converted_network_loses_little_and_is_shipped_in_integers(tmp_path, layers) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, layers=layers, more=FOLDED)
    done = train(path, tmp_path / "run", progress=quiet)
    found = done["conversion"]
    assert found["validation_ann"] > 0.85
    # Conversion costs most at T = 1 and nearly nothing at T = 16; a wrong v_init costs far more.
    assert found["validation_T16"] > found["validation_ann"] - 0.03
    assert found["validation_T16"] >= found["validation_T1"]
    assert done["validation_folded"] > found["validation_ann"] - 0.05
    parts = datasets.load("digits")
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    assert report.accuracy_integer == done["test_folded"]
    result = golden_run(network, parts.test[0])
    assert float((result.classes == parts.test[1]).mean()) == done["test_folded"]


def test_runs_resume_exactly_before_and_after_the_conversion(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=3, more=FOLDED)
    whole = train(path, tmp_path / "whole", progress=quiet)
    for _ in range(500):
        done = train(path, tmp_path / "sliced", max_minutes=0.004, progress=quiet)
        if done["done"]:
            break
    assert done["conversion"] == whole["conversion"]
    assert done["test_folded"] == whole["test_folded"]
    runs = [tmp_path / n / "checkpoint.safetensors" for n in ("whole", "sliced")]
    a, b = [read_checkpoint(path)[1] for path in runs]
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert a["module.spike3__sigma"] > 0  # there was noise, and it was the same


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"nq": "levels = 0"}, UsageError, "levels 0 is not possible"),
        ({"nq": "noise = 1"}, UsageError, "noise 1 is not possible"),
        ({"nq": "gamma = 1"}, UsageError, "takes .*levels, measure_norms, noise"),
        ({"more": "[twin]\nalpha = 0.1\n"}, UsageError, "are not trained together"),
        ({"nq": "share = 0.6"}, UsageError, "half of the images or more"),
        ({"extra": "neuron = { leak = 0.5 }"}, NetworkError, "conversion needs IF neurons"),
    ],
)
def test_what_cannot_be_converted_is_refused(tmp_path, change, error, sentence) -> None:
    path = recipe(tmp_path, **change)
    with pytest.raises(error, match=sentence):
        Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)


def test_an_untrained_or_unfinished_network_is_not_shipped(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=1)
    with pytest.raises(UsageError, match="has nothing to convert before training"):
        train(path, tmp_path / "random", untrained=True, progress=quiet)
    train(path, tmp_path / "run", max_minutes=0, progress=quiet)
    with pytest.raises(FileError, match="training is not finished"):
        main_quantize(tmp_path / "run", tmp_path / "build")


def main_quantize(run: Path, build: Path) -> None:
    from sterna.cli import parser
    from sterna.commands import training

    training.quantize(parser().parse_args(["quantize", str(run), "-o", str(build)]))
