"""Single-spike networks: times and their derivatives, learning by both rules, exact integers."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron, FloatPool
from sterna.gen.quantize.quantize import quantize, quantize_run
from sterna.gen.quantize.reference import float_logits
from sterna.golden.coding import encode
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run as golden_run
from sterna.golden.network import Input
from sterna.train.data import datasets
from sterna.train.methods import timing
from sterna.train.methods.stidi import Stidi, make_module, rescaled
from sterna.train.methods.timing import encode_latency, firing_times, has_fired, membranes, ramp
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run import trainer
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 3
batch = 64
shift = 1
{top}
[network]
shape = [1, 8, 8]
steps = {steps}
kind = "{kind}"
coding = "latency"
neuron = {{ reset = "once", synapse = "ramp", threshold = 0.5{neuron} }}
readout = {{ mode = "first_spike", synapse = "ramp", threshold = {fire} }}
layers = ["12C3p1", "P2{pool}", "16C3p1", "FC10"]
[stidi]
{stidi}
[[stage]]
epochs = {epochs}
steps = {steps}
"""
FOLDED = "[[stage]]\nepochs = 1\nsteps = 8\nfolded = true\nlr = 2e-4\nlr_rest = 1e-4\n"


def recipe(
    folder: Path,
    stidi: str = 'rule = "exact"',
    epochs: int = 15,
    kind: str = "binary",
    steps: int = 8,
    pool: str = "first",
    neuron: str = "",
    fire: float = 1.0,
    top: str = "",
    more: str = "",
    file: str = "recipe.toml",
) -> Path:
    path = folder / file
    path.write_text(
        RECIPE.format(
            stidi=stidi,
            epochs=epochs,
            kind=kind,
            steps=steps,
            pool=pool,
            neuron=neuron,
            fire=fire,
            top=top,
        )
        + more
    )
    return path


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("steps", [1, 4, 8, 13, 16])
def test_pixels_have_fired_when_golden_says_so(steps: int) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(2, 1, 8, 16)
    spikes = encode(Input("image", (1, 8, 16), "latency", 8, 0), images, steps)
    want = torch.from_numpy(spikes.astype(np.float32)).cumsum(0)
    assert torch.equal(encode_latency(torch.from_numpy(images), steps), want)


@pytest.mark.parametrize("pool", [1, 2, 3])
@pytest.mark.parametrize("side", [6, 7])
def test_the_compiled_membranes_are_the_torch_ones(pool: int, side: int, monkeypatch) -> None:
    assert timing.library() is not None
    torch.manual_seed(pool)
    x = torch.randn(5, 3, 4, side, side)
    weight = torch.randn(5, 3, 4, side // pool, side // pool)
    found = []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(timing, "library", lambda: None)
        gain, offset = torch.tensor([1.0, -0.5, 2.0, 0.3]), torch.tensor([0.1, -0.2, 0.0, 0.5])
        leaves = [p.clone().requires_grad_() for p in (x, gain, offset)]
        best = membranes(leaves[0], leaves[1], leaves[2], pool)
        (best * weight).sum().backward()
        found.append([best.detach(), *[p.grad for p in leaves]])
    assert (found[0][0][1:] > found[0][0][:-1]).any()
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_the_exact_rule_is_the_closed_form_on_a_grid() -> None:
    """A membrane that grows by ``slope`` a step fires at t = (threshold - v0) / slope: averaged
    over starts, minus the sum of dS[t]/dv is dt/dv = -1/slope."""
    for slope in (0.05, 0.125, 0.3):
        start = -torch.linspace(0.5, 0.5 + slope, 101)[:-1]
        v = (start + slope * torch.arange(60)[:, None]).view(60, 100, 1, 1, 1).requires_grad_()
        one = torch.ones(1)
        fired = has_fired(v, 0.5 * one, 0.4 * one, False)
        (-fired.sum(0)).mean().backward()
        assert v.grad is not None
        torch.testing.assert_close(v.grad.sum(), torch.tensor(-1 / slope), rtol=0.02, atol=0)


def test_the_local_rule_moves_each_neuron_at_its_own_time() -> None:
    """One gradient for each neuron, at its firing step (silent: the last): its demand around it
    times how near the threshold its membrane is, of length 1 over an image's layer."""
    v = torch.tensor([[0.1, 0.1, 0.0], [0.6, 0.2, 0.0], [0.9, 0.3, -9.0]])
    v = v.view(3, 1, 3, 1, 1).requires_grad_()
    one = torch.ones(3)
    fired = has_fired(v, 0.5 * one, one, True)
    assert fired.flatten(1).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    demand = torch.tensor([[2.0, 9.0, 7.0], [4.0, 5.0, 7.0], [7.0, 4.0, 7.0]])
    fired.backward(demand.view(3, 1, 3, 1, 1))
    assert v.grad is not None
    want = torch.zeros(3, 3)  # demands 3 and 4.5, 0.1 and 0.2 away; the third is out of reach
    want[1, 0], want[2, 1] = 3 * 0.9, 4.5 * 0.8
    torch.testing.assert_close(v.grad.flatten(1), want / want.norm())


def test_outputs_are_linearised_at_their_times() -> None:
    v = torch.tensor([[0.0, 0.2], [0.5, 0.3], [1.5, 0.31]]).view(3, 1, 2).requires_grad_()
    times = firing_times(v, 1.0, 0.05)
    assert times.tolist() == [[2.0, 3.0]]  # the second one is silent
    times.sum().backward()
    assert v.grad is not None
    torch.testing.assert_close(v.grad[:, 0], torch.tensor([[0, 0], [0, 0], [-1.0, -1 / 0.05]]))


def test_targets_are_the_earliest_time_and_gamma_later() -> None:
    times = torch.tensor([[0.5, 0.25, 0.75, 0.4]], requires_grad=True)
    Stidi(gamma=0.3).distance(times, torch.tensor([0])).backward()
    error = torch.tensor([[0.25, -0.3, 0.0, -0.15]])
    assert times.grad is not None
    torch.testing.assert_close(times.grad, error / error.norm())


@pytest.mark.parametrize(
    ("kind", "rule", "least"),
    [
        ("binary", "exact", 0.8),
        ("ternary", "exact", 0.85),
        ("real", "exact", 0.85),
        ("binary", "local", 0.75),
        ("binary", 'local"\ntargets = true #', 0.6),
    ],
)
def test_learns_by_firing_times(tmp_path: Path, kind: str, rule: str, least: float) -> None:
    """15 epochs reach what a broken derivative never does (chance is 10%)."""
    torch.set_num_threads(1)
    done = train(recipe(tmp_path, f'rule = "{rule}"', kind=kind), tmp_path / "run", progress=quiet)
    assert done["validation_real"] > least


def test_ships_what_it_learned(tmp_path: Path) -> None:
    """Every spike and class of the folded forward pass is golden's; so are the accuracies."""
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=8, fire=0.4, more=FOLDED)
    done = train(path, tmp_path / "run", progress=quiet)
    parts = datasets.load("digits")
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    assert report.accuracy_integer == done["test_folded"] > 0.7
    assert report.accuracy_float == pytest.approx(done["test_real"], abs=0.01)
    module = Trainer(read_recipe(path), tmp_path / "run", None, quiet, None).module.eval()
    module.fraction_bits = done["fraction_bits"]
    images = parts.test[0]
    logits, streams = module.trace(torch.tensor(images), ("pool2", "spike3"))
    result = golden_run(network, images, trace=("pool2", "spike3"))
    for name, stream in streams.items():
        want = torch.from_numpy(result.spikes[name].astype(np.int64))
        assert 0.01 < want.float().mean() < 0.2 and want.sum(0).max() == 1
        assert torch.equal(stream.long(), want)
    assert np.array_equal(logits.argmax(1).numpy(), result.classes)
    fired = result.logits.max(1) >= 1 << 24  # decided by a spike, and not all of them
    assert 0.2 < fired.mean() < 1


def test_a_tie_is_broken_by_the_membrane(tmp_path: Path) -> None:
    """At T = 1 all classes that fire do so at once: the decision is still golden's."""
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=10, steps=1, fire=0.05)
    done = train(path, tmp_path / "run", progress=quiet)
    parts = datasets.load("digits")
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    result = golden_run(network, parts.test[0])
    several = (result.logits >= 1 << 24).sum(1) > 1
    assert several.mean() > 0.5
    assert report.accuracy_integer == pytest.approx(done["test_real"], abs=0.01)
    assert done["test_real"] > 0.3


def test_one_set_of_parameters_serves_every_number_of_steps(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=10)
    done = train(path, tmp_path / "a", progress=quiet)
    other = recipe(tmp_path, epochs=1, steps=16, file="b.toml", top='warm_start = "a"\nimages = 64')
    trainer = Trainer(read_recipe(other), tmp_path / "b", None, quiet, None)
    images = torch.tensor(datasets.load("digits").validation[0])
    labels = datasets.load("digits").validation[1]
    trainer.measure()  # of the readout, which a warm start leaves out
    trainer.module.eval()
    share = float((trainer.module(images).argmax(1).numpy() == labels).mean())
    assert share > done["validation_real"] - 0.15 > 0.5


def test_case_folded_firing_times_hold_14_fraction_bits(tmp_path: Path) -> None:
    """Membranes beyond 2**24, where float32 has no whole numbers between: spikes are golden's."""
    module = make_module(build_network(read_recipe(recipe(tmp_path)), 3), Stidi())
    images = datasets.load("digits").train[0][:60]
    module.train()
    module.momentum = 1.0
    module(torch.tensor(images))
    module.eval()
    neurons = [n.name for n in module.network.nodes if isinstance(n, FloatNeuron)]
    bits = dict.fromkeys([*neurons, module.network.readout.name], 14)
    bits[module.network.readout.name] = 6  # 24-bit membranes
    network, _ = quantize(module.export(), images, fraction_bits=bits)
    module.fraction_bits = bits
    logits, streams = module.trace(torch.tensor(images), tuple(neurons))
    result = golden_run(network, images, trace="all")
    for node in module.network.nodes:  # pools have the names of what pooled, in the module
        if isinstance(node, FloatPool):
            want = result.spikes[node.name]
            assert want.any() and np.array_equal(streams[node.input].numpy(), want)
    assert np.array_equal(logits.argmax(1).numpy(), result.classes)


def test_rescaling_keeps_what_is_computed(tmp_path: Path) -> None:
    network = build_network(read_recipe(recipe(tmp_path)), 3)
    module = make_module(network, Stidi())
    module.train()
    module.momentum = 1.0
    images = datasets.load("digits").train[0][:100]
    module(torch.tensor(images))
    module.eval()
    exported = module.export()
    assert exported.steps == 8
    want = float_logits(exported, images).argmax(1)
    assert len(set(want)) > 4
    assert np.array_equal(module(torch.tensor(images)).argmax(1).numpy(), want)
    back = rescaled(rescaled(exported, 8, 5), 5, 8)
    for a, b in zip(exported.nodes, back.nodes, strict=True):
        for key in ("gamma", "beta", "mean", "var"):
            one, two = getattr(a, "norm", None), getattr(b, "norm", None)
            if one is not None:
                np.testing.assert_allclose(getattr(one, key), getattr(two, key), rtol=1e-5)
    assert isinstance(back, FloatNetwork)
    torch.testing.assert_close(ramp(4, torch.device("cpu")), torch.tensor([1.0, 3, 6, 10]))


def test_slices_give_the_same_network(tmp_path: Path, monkeypatch) -> None:
    torch.set_num_threads(1)
    path = recipe(tmp_path, epochs=1, top="images = 640", more=FOLDED)
    train(path, tmp_path / "whole", progress=quiet)
    clock = itertools.count()  # a second goes by whenever training looks: slices of a few batches
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    slices = 1
    while not train(path, tmp_path / "cut", max_minutes=8 / 60, progress=quiet)["done"]:
        slices += 1
    a, b = [(tmp_path / n / "float.safetensors").read_bytes() for n in ("whole", "cut")]
    assert a == b and slices > 2


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"stidi": "width = 0"}, UsageError, "width 0 is not possible"),
        ({"stidi": 'rule = "global"'}, UsageError, "rule 'global' is not possible"),
        ({"stidi": "targets = true"}, UsageError, "targets True is not possible"),
        ({"stidi": "tau = 1"}, UsageError, "takes gamma, rule"),
        ({"more": "[twin]\nalpha = 0.1\n"}, UsageError, "is not trained with"),
        ({"pool": "or"}, NetworkError, "trains pools P2first"),
        ({"neuron": ", leak = 0.5"}, NetworkError, "trains neurons with reset"),
        ({"fire": 0.0}, NetworkError, "a positive threshold"),
    ],
)
def test_what_is_not_of_single_spikes_is_refused(tmp_path, change, error, sentence) -> None:
    path = recipe(tmp_path, **change)
    with pytest.raises(error, match=sentence):
        Trainer(read_recipe(path), tmp_path / "run", None, quiet, None)
