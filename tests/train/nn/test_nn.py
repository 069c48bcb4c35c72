"""sterna.nn in a loop of one's own: trained, imported exactly, quantized, computed in integers."""

import copy
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import sterna
import sterna.nn as own
from sterna.front.cell import ARGUMENTS, CELLS
from sterna.golden.errors import UsageError
from sterna.train.module.weights import discretize

STEPS = 5


class Net(nn.Module):
    """What a user writes: no class of ours around it."""

    def __init__(self, binary: bool = False, mode: str = "membrane") -> None:
        super().__init__()
        conv = own.BinaryConv2d if binary else own.TernaryConv2d
        full = own.BinaryLinear if binary else own.TernaryLinear
        self.conv = conv(1, 8, 3, padding=1, norm=True)
        self.one = own.LIF(0.75, threshold=0.7, steps=STEPS)
        self.pool = own.OverTime(nn.MaxPool2d(2))
        self.deep = conv(8, 8, 3, padding=1, groups=2, norm=True)
        self.two = own.IF(reset="zero")
        self.full = full(8 * 16, 4, bias=True, one_scale=True)
        self.out = own.Readout(mode, leak=0.9, threshold=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.one(self.conv(x.unsqueeze(0)))  # [T,B,C,H,W]: the image is the same
        spikes = self.two(self.deep(self.pool(spikes)))
        return self.out(self.full(spikes))


def bars(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Four classes: where a bright bar of two rows lies."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    images = rng.integers(0, 120, (count, 1, 8, 8))
    for k, label in enumerate(labels):
        images[k, 0, 2 * label : 2 * label + 2] += 130
    return images.astype(np.uint8), labels


def trained(model: nn.Module, steps: int = 20) -> nn.Module:
    """A plain loop, and the last steps folded."""
    torch.manual_seed(2)
    images, labels = bars(64 * steps)
    x, y = torch.tensor(images / 255).float(), torch.tensor(labels)
    adam = torch.optim.Adam(model.parameters(), 3e-2)
    model.train()
    for k in range(steps):
        if k == steps - 3:
            own.fold_(model)
            adam = torch.optim.Adam(model.parameters(), 1e-3)
        batch = slice(64 * k, 64 * k + 64)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("mode", ["membrane", "count"])
def test_a_plain_loop_ends_in_integers(binary: bool, mode: str) -> None:
    torch.manual_seed(1)
    model = trained(Net(binary, mode))
    images, labels = bars(200, 9)
    real = torch.tensor(images / 255).float()
    with torch.no_grad():
        classes = model(real).argmax(1).numpy()
    # a quarter by chance; so short a loop does not go far through counts
    assert (classes == labels).mean() > (0.6 if mode == "membrane" else 0.35)

    found = sterna.from_torch(model, real[:2])
    assert found.network.steps == STEPS and not found.report.approximated
    kinds = {n.kind for n in found.network.nodes if hasattr(n, "kind")}
    assert kinds == {"binary" if binary else "ternary"}
    check = found.check((images, labels))
    assert check.exact and check.classes == 1, check.table()
    assert all(s.spikes or s.what == "membranes" for s in check.layers), check.table()

    network, report = sterna.quantize(found, images)
    evaluation = sterna.evaluate(network, (images, labels))
    assert (evaluation.classes == classes).mean() > 0.98, report.table()
    own_spikes = found.replay(images, "float64").spikes["two"]
    result = sterna.run(network, images, trace="all")
    assert (result.spikes["two"] != own_spikes).mean() < 2e-3


def test_it_conducts_itself_as_any_module() -> None:
    """state_dict, deepcopy, .to(), parameters: what Lightning and others ask for."""
    torch.manual_seed(1)
    model, x = Net(), torch.rand(3, 1, 8, 8)
    model.eval()
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))
    other = Net()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(x), model(x))
    double = copy.deepcopy(model).to(torch.float64)
    assert double(x.double()).dtype == torch.float64
    assert not any(b.requires_grad for b in model.buffers())
    named = dict(model.named_parameters())
    assert {"conv.weight", "conv.norm.weight", "full.weight", "full.bias"} <= set(named)
    model.train()(x).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in named.values())
    assert torch.equal(model(x), model(x))  # no state between calls


def test_weights_are_those_of_training() -> None:
    torch.manual_seed(3)
    for kind, one in (
        (own.TernaryConv2d, True),
        (own.TernaryConv2d, False),
        (own.BinaryConv2d, False),
    ):
        layer = kind(2, 4, 3, one_scale=one).eval()
        q, scale = discretize(layer.weight, kind.kind, one)
        assert torch.equal(layer.effective(), q * scale)
        assert torch.allclose(layer.train().effective(), q * scale, atol=1e-6)


def test_folding_changes_nothing_but_who_holds_the_numbers() -> None:
    torch.manual_seed(4)
    rows = [
        own.TernaryConv2d(1, 4, 3, norm=True),
        own.LIF(steps=3),
        own.TernaryConv2d(4, 4, 3),
        own.OverTime(nn.BatchNorm2d(4)),
        own.LIF(),
        own.TernaryLinear(64, 3, norm=True),
        own.IF(),
    ]
    model = nn.Sequential(*rows).double()
    x = torch.rand(1, 16, 1, 8, 8, dtype=torch.float64)
    for _ in range(3):
        model(x)
    model.eval()
    sums = [m(x) if k == 0 else None for k, m in enumerate(model)][0]
    before = model(x)
    assert own.fold_(model) is model
    assert torch.allclose(model[0](x), sums) and torch.equal(model(x), before)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in model.modules())
    assert isinstance(model[3], nn.Identity) and model[0].gain is not None
    again = own.fold_(copy.deepcopy(model))
    assert torch.equal(again(x), before)


def test_recordings_are_sequences() -> None:
    torch.manual_seed(6)
    model = nn.Sequential(
        own.TernaryConv2d(2, 6, 3),
        own.LIF(0.5, 0.3, synapse=0.25),
        own.TernaryLinear(96, 3),
        own.LIF(0.5, 0.2, reset="once", strict=True),
        own.TernaryLinear(3, 3, one_scale=True),
        own.Readout("membrane", synapse=0.5),
    ).eval()
    frames = torch.randint(0, 2, (6, 5, 2, 6, 6)).float()
    found = sterna.from_torch(model, frames, input="frames")
    check = found.check(frames.numpy().astype(np.uint8))
    assert check.exact and all(s.spikes or s.what == "membranes" for s in check.layers), check


# --- arguments ----------------------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "leak": [0.0, 0.3, 1.0],
    "threshold": [0.25, 1.5],
    "reset": ["subtract", "zero", "once"],
    "reset_by": [0.5],
    "v_init": [0.4, -0.3],
    "synapse": [0.0, 0.6, 1.0],
    "strict": [True],
    "steps": [None],
}


@pytest.mark.parametrize("name", ["LIF", "IF"])
def test_no_argument_is_dropped(name: str) -> None:
    kind = getattr(own, name)
    arguments = [n for n in inspect.signature(kind.__init__).parameters if n != "self"]
    assert set(arguments) <= set(ARGUMENTS[f"sterna.{name}"]) and "sterna.Membrane" in CELLS
    for argument in arguments:
        for value in VALUES[argument]:
            torch.manual_seed(6)
            node = kind(**{argument: value})
            last = own.TernaryLinear(8, 3, one_scale=True)
            model = nn.Sequential(own.TernaryLinear(12, 8), node, last, own.Readout()).eval()
            model[0].weight.data *= 4
            frames = torch.randint(0, 2, (7, 9, 12)).float()
            found = sterna.from_torch(model, frames, input="frames")
            check = found.check(frames.numpy().astype(np.uint8).reshape(7, 9, 12, 1, 1))
            assert check.exact and check.layers[0].spikes, (argument, value, check.table())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: own.LIF(leak=1.5), "LIF: leak 1.5 must be a number from 0 to 1"),
        (lambda: own.LIF(reset="none"), "LIF: reset 'none' is not one of subtract"),
        (lambda: own.IF(threshold="x"), "IF: threshold 'x' is no number"),
        (lambda: own.LIF(steps=0), "LIF: steps 0 must be a whole number"),
        (lambda: own.Readout("max"), "Readout: mode 'max' is not one of"),
        (lambda: own.TernaryLinear(3, 2, norm=True, one_scale=True), "use one of them"),
        (
            lambda: own.LIF()(torch.rand(2, 3, 4, 4)),
            r"LIF: input of shape \(2, 3, 4, 4\); give all",
        ),
        (lambda: own.TernaryConv2d(1, 2, 3)(torch.rand(4, 4)), "TernaryConv2d: input of shape"),
        (lambda: own.fold_(3), "fold_: 3 is no torch.nn.Module"),
        (
            lambda: own.fold_(
                nn.Sequential(
                    own.TernaryConv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)
                )
            ),
            "fold_: '1': its batch norm has no running mean",
        ),
    ],
)
def test_wrong_arguments_have_their_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make()


def test_a_layer_of_a_scale_a_class_is_refused_in_front_of_membranes() -> None:
    model = nn.Sequential(
        own.TernaryLinear(12, 8), own.LIF(), own.TernaryLinear(8, 3), own.Readout()
    ).eval()
    frames = torch.randint(0, 2, (4, 9, 12)).float()
    sentence = "^module '2': its classes have different scales .* bring it in with real"
    with pytest.raises(sterna.NetworkError, match=sentence):
        sterna.from_torch(model, frames, input="frames")
