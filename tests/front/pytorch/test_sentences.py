"""What a stranger's model is told: who, the cause and a way out that is true; and what looks as if
it could not be built and can."""

import pytest

pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly")

from collections.abc import Callable
from typing import Any

import frontcase
import numpy as np
import snntorch as snn
import torch
from snntorch import spikegen
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn import functional as F

from sterna.front.pytorch.model import from_torch
from sterna.gen.quantize.reference import float_logits
from sterna.golden.errors import NetworkError

STEPS = 4
EXAMPLE = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))


class Net(nn.Module):
    """conv, [before], Leaky, [between], linear, Leaky; [end] of the output's spikes by step."""

    def __init__(
        self,
        before: Callable[..., Any] = lambda z, t: z,
        between: Callable[..., Any] = lambda s: s,
        end: Callable[..., Any] = lambda rows: torch.stack(rows).sum(0),
        size: int = 108,
    ) -> None:
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(1, 3, 3), snn.Leaky(0.5)
        self.full, self.out = nn.Linear(size, 4, bias=False), snn.Leaky(0.5)
        self.before, self.between, self.end = before, between, end

    def forward(self, x):
        mem, out_mem, rows = self.hidden.reset_mem(), self.out.reset_mem(), []
        for t in range(STEPS):
            s, mem = self.hidden(self.before(self.conv(x), t), mem)
            out, out_mem = self.out(self.full(self.between(s).flatten(1)), out_mem)
            rows.append(out)
        return self.end(rows)


class Carried(Net):
    """What forward() carries from step to step itself."""

    def __init__(self, what: str, steps: int = STEPS) -> None:
        super().__init__()
        self.what, self.steps = what, steps
        self.loop = nn.Linear(4, 4)

    def forward(self, x):
        mem, out_mem, total = self.hidden.reset_mem(), self.out.reset_mem(), 0
        h, last = torch.zeros(len(x), 3, 6, 6), torch.zeros(len(x), 4)
        for t in range(self.steps):
            z = self.conv(torch.zeros_like(x) if self.what == "first step" and t else x)
            if self.what in ("sums", "trace"):
                h = h * 0.9 + z
            s, mem = self.hidden(h if self.what == "sums" else z, mem)
            if self.what == "spikes":
                h = h * 0.5 + s
            read = {"spikes": h, "delay": h}.get(self.what, s)
            h = s if self.what == "delay" else h
            fed = self.loop(last) if self.what == "feedback" else 0
            last, out_mem = self.out(self.full(read.flatten(1)) + fed, out_mem)
            total = total + last
        return total


def _view(z, t):
    z.view(3, -1).mul_(2)
    return z


def _zeroed(z, t):
    z = z.clone()
    z[z < 0] = 0
    return z


def _branch(test: Callable[..., Any]) -> Net:
    return Net(lambda z, t: z * 2 if test(z) else z)


CARRIED = "forward.. carries a value of its own from step to step"
BRANCH = r"^forward\(\): takes numbers out of a tensor that depends on the input \({}.* branch"
TOLD = {
    "state by hand": (lambda: Carried("sums"), f"'hidden': reads at step 1 .* {CARRIED}"),
    "state, two steps": (lambda: Carried("sums", 2), f"'hidden': .* either {CARRIED}.*, or a numb"),
    "feedback": (lambda: Carried("feedback"), "'out': what it gives at step 0 is read at step 1"),
    "trace": (lambda: Carried("spikes"), "'hidden': .* or a trace over time, which is not built"),
    "delay": (lambda: Carried("delay"), "'out': at its step 0 its input does not .* a delay of"),
    "first step": (lambda: Carried("first step"), "'hidden': at its step 1 its input does not dep"),
    "if mean": (lambda: _branch(lambda z: z.mean() > 0), BRANCH.format("if")),
    "if sum": (lambda: _branch(lambda z: z.sum() > 0), BRANCH.format("if")),
    "if max": (lambda: _branch(lambda z: z.max() > 0), BRANCH.format("if")),
    "if any": (lambda: _branch(lambda z: (z > 0).any()), BRANCH.format("if")),
    "if norm": (lambda: _branch(lambda z: z.norm() > 1), BRANCH.format("if")),
    "if item": (lambda: _branch(lambda z: z[0, 0, 0, 0].item() > 0), BRANCH.format(".item")),
    "if equal": (lambda: _branch(lambda z: torch.equal(z, z.abs())), BRANCH.format("torch.equal")),
    "if numpy": (lambda: _branch(lambda z: np.asarray(z).any()), BRANCH.format("numpy")),
    "mean used": (lambda: Net(lambda z, t: z - z.mean()), r"^forward\(\): a mean over axes"),
    "max used": (
        lambda: Net(lambda z, t: z / z.max()),
        "torch's max cannot be built: only a max p",
    ),
    "noise": (lambda: Net(lambda z, t: z + torch.randn_like(z)), "randn_like, .* cannot be rep"),
    "noise by shape": (lambda: Net(lambda z, t: z + torch.randn(z.shape)), "torch's randn, as in"),
    "noise a class": (lambda: Net(end=lambda r: sum(r) + torch.randn(4)), "torch's randn, as in"),
    "rate": (lambda: Net(lambda z, t: spikegen.rate(z, 1)[0]), "bernoulli, as in spikegen.rate"),
    "a batch": (lambda: Net(lambda z, t: z + torch.arange(3.0).view(3, 1, 1, 1)), "from image to"),
    "first step alone": (lambda: Net(end=lambda rows: rows[0]), "only step 0 of 4 steps"),
    "dropout": (lambda: Net(between=lambda s: F.dropout(s, 0.5)), "training=self.training"),
    "norm": (lambda: Net(lambda z, t: F.layer_norm(z, z.shape[1:])), "layer_norm .* BatchNorm2d"),
    "compared": (lambda: Net(lambda z, t: (z > 0).float()), "torch's gt .* put a neuron of"),
    "masked": (lambda: Net(_zeroed), "torch's lt cannot be built"),
    "view": (lambda: Net(_view), "changed in place through a view of it"),
    "time": (lambda: Net(lambda z, t: z + 0.1 * t), "'hidden': .* forward.. changes with t"),
    "1 - s": (
        lambda: Net(between=lambda s: F.max_pool2d(1 - s, 2), size=27),
        "a max pool of spikes with a negative factor .* needs their minimum",
    ),
    "part": (
        lambda: Net(between=lambda s: s[:, :, 1:5, 1:5], size=48),
        r"takes a part of a stream \(\[:, :, 1:5, 1:5\]\)",
    ),
    "places by a list": (lambda: Net(between=lambda s: s[:, [2, 1, 0]]), "all of it in another o"),
    "places by a tensor": (
        lambda: Net(between=lambda s: s[:, :, torch.arange(5, -1, -1)]),
        "all of it in another order",
    ),
    "whole numbers": (lambda: Net(lambda z, t: z.to(torch.int32).float()), "stream of torch.int32"),
    "half a float": (lambda: Net(lambda z, t: z.half().float()), "makes a stream of torch.float16"),
    "a type": (lambda: Net(lambda z, t: z.type(torch.int16).float()), "stream of torch.int16"),
    "like another": (
        lambda: Net(lambda z, t: z.type_as(torch.ones(1, dtype=torch.bfloat16)).float()),
        "makes a stream of torch.bfloat16, .*; keep it",
    ),
    "rounded": (
        lambda: Net(lambda z, t: torch.div(z, 0.25, rounding_mode="floor")),
        "torch's div with rounding_mode='floor' cannot be built; leave that out",
    ),
    "summed as another type": (
        lambda: Net(end=lambda rows: torch.stack(rows).sum(0, dtype=torch.float64)),
        "torch's sum with dtype=torch.float64 cannot be built",
    ),
    "softmax of images": (
        lambda: Net(end=lambda rows: sum(rows).softmax(0)),
        "a softmax over another axis",
    ),
    "softmax of steps": (
        lambda: Net(end=lambda rows: torch.stack(rows).softmax(0).sum(0)),
        "a softmax over another axis than the classes'",
    ),
    "a pool of padding": (
        lambda: Net(between=lambda s: F.max_pool2d(F.pad(s, (1, 1, 1, 1)), 2), size=48),
        r"^forward\(\): reads padded maps, .* right in front of one",
    ),
    "padding as it is": (
        lambda: Net(between=lambda s: F.pad(s, (1, 1, 1, 1)), size=192),
        "reads padded maps",
    ),
    "padded sums": (lambda: Net(lambda z, t: F.pad(z, (1, 1, 1, 1)), size=192), "reads padded"),
    "a pool of a row": (
        lambda: Net(between=lambda s: F.max_pool1d(s.flatten(1)[:, None], 3), size=36),
        "cannot be built",
    ),
    "a norm of a row": (
        lambda: Net(lambda z, t: F.batch_norm(z.flatten(1), torch.arange(108.0), torch.ones(108))),
        r"acts on axes \(108,\) of a map of \(3, 6, 6\)",
    ),
    "constants of a row": (
        lambda: Net(lambda z, t: z.flatten(1) + torch.arange(108.0)),
        r"acts on axes \(108,\) of a map of \(3, 6, 6\)",
    ),
    "another channel": (
        lambda: Net(
            lambda z, t: F.batch_norm(
                z.mean((2, 3)).reshape(-1, 1, 3, 1), torch.ones(1), torch.ones(1)
            ),
            size=3,
        ),
        r"acts on axes \(1, 3, 1\) of a map of \(3, 1, 1\)",
    ),
    "stretched": (
        lambda: Net(between=lambda s: s + s.mean((2, 3), keepdim=True)),
        "joins streams of|adds .* and ",
    ),
    "factors": (
        lambda: Net(between=lambda s: s + 0.5 * s),
        "^module 'full': reads spikes that are added with factors or constants",
    ),
    "one step": (
        lambda: Net(end=lambda rows: rows[-1]),
        "'out': gives the output of only the last",
    ),
    "joined": (lambda: Net(end=lambda rows: torch.cat(rows, 1)), "joins its 4 steps side by side"),
    "largest": (lambda: Net(end=lambda rows: sum(rows).argmax(1)), "argmax .* return the sum or"),
    "dict": (lambda: Net(end=lambda rows: {"out": rows}), "returns a dict; return a tensor"),
    "-softmax": (
        lambda: Net(end=lambda rows: -sum(rows).softmax(1)),
        "changes the order of the cla",
    ),
    "decays": (
        lambda: Net(end=lambda rows: sum(0.5**t * r for t, r in enumerate(rows))),
        "^the output: reads something else at step 1",
    ),
    "a factor a class": (
        lambda: Net(end=lambda r: torch.stack(r).mean(0) * torch.arange(1.0, 5)),
        r"different scales \(0.25 to 1\).* ONE scale or factor",
    ),
    "half": (lambda: Net().half(), "weights of torch.float16, .* give model.float()"),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_stranger_is_told_who_why_and_what_to_do(name: str) -> None:
    make, sentence = TOLD[name]
    with pytest.raises(NetworkError, match=sentence) as told:
        from_torch(make().eval(), EXAMPLE)
    text = str(told.value)
    assert "module ''" not in text and "\n" not in text
    assert any(mark in text for mark in (";", ": ")), "no way out"


def _weighted(model: nn.Module) -> nn.Module:
    return frontcase.ternary(model, 4, False)


class Ends(Net):
    """Ends without a neuron: sums of each step."""

    def __init__(self, end: Callable[..., Any], bias: bool = False) -> None:
        super().__init__(end=end)
        self.full = nn.Linear(108, 4, bias)

    def forward(self, x):
        mem, rows = self.hidden.reset_mem(), []
        for _ in range(STEPS):
            s, mem = self.hidden(self.conv(x), mem)
            rows.append(self.full(s.flatten(1)))
        return self.end(rows)


class Counted(Ends):
    """A layer behind the count, or the rate, of the spikes."""

    def forward(self, x):
        mem, rows = self.hidden.reset_mem(), []
        for _ in range(STEPS):
            s, mem = self.hidden(self.conv(x), mem)
            rows.append(s)
        return self.full(self.end(rows).flatten(1))


class Kept(Net):
    """Keeps statistics that decide nothing."""

    def forward(self, x):
        x = x + 0
        self.largest, self.rate = x.max(), (x > 0.5).float().mean()
        return super().forward(x)


class Padded(Net):
    """Pads its image itself, in two goes."""

    def forward(self, x):
        return super().forward(F.pad(F.pad(x, (1, 0, 0, 1)), (0, 1, 1, 0)))


def _decayed(rows):
    total = 0
    for r in rows:
        total = total * 0.75 + r
    return total


TAKEN = {
    "-sum": lambda: Net(end=lambda rows: -sum(rows)),
    "sum of -s": lambda: Net(end=lambda rows: sum(-r for r in rows)),
    "an offset a class": lambda: Net(end=lambda rows: sum(rows) + torch.arange(4.0)),
    "batch first": lambda: Net(end=lambda rows: torch.stack(rows, 1)),
    "time last": lambda: Net(end=lambda rows: torch.stack(rows, -1)),
    "a list": lambda: Net(end=lambda rows: rows),
    "lists": lambda: Net(end=lambda rows: (rows, rows)),
    "sums": lambda: Ends(torch.stack, True),
    "a list of sums": lambda: Ends(list, True),
    "a trace of sums": lambda: Ends(_decayed, True),
    "a trace of spikes": lambda: Net(end=_decayed),
    "a layer of counts": lambda: Counted(sum, True),
    "a layer of rates": lambda: Counted(lambda rows: torch.stack(rows).mean(0), True),
    "statistics": lambda: Kept(),
    "its type by name": lambda: Net(lambda z, t: z.float() + torch.zeros(1)),
    "a factor of what is added": lambda: Net(lambda z, t: torch.add(z, 1.0, alpha=0.25)),
    "a factor of what is taken": lambda: Net(lambda z, t: torch.rsub(z, torch.ones(1), alpha=3)),
    "padded twice": lambda: Padded(size=192),
    "all of a stream": lambda: Net(between=lambda s: s[:, 0:3, ...]),
    "probabilities": lambda: Net(end=lambda rows: torch.stack(rows).sum(0).log_softmax(1)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_outputs_of_many_kinds_are_read_as_they_are_meant(name: str) -> None:
    model = _weighted(TAKEN[name]())
    found = from_torch(model, EXAMPLE)
    images = frontcase.images((1, 8, 8), 24)
    check = found.check(images)
    assert check.exact and check.classes == 1.0, (name, str(check))
    own, ours = found.replay(images, "float64").output, float_logits(found.network, images)
    assert len(np.unique(own, axis=0)) > 3, "all images give the same: nothing was compared"
    if name != "probabilities":
        line = np.polyfit(own.ravel(), ours.ravel(), 1)
        assert line[0] > 0 and np.allclose(np.polyval(line, own), ours)


def test_an_output_a_step_is_summed() -> None:
    """SpikingJelly's votes, and a last layer without a neuron: a step a call."""
    torch.manual_seed(0)  # votes may tie, which the rounding of 3/5 decides there
    for end in ((neuron.IFNode(), layer.VotingLayer(5)), (nn.Linear(20, 4),)):
        layers = nn.Flatten(), nn.Linear(64, 20, bias=False), neuron.IFNode(), *end
        found = from_torch(nn.Sequential(*layers), EXAMPLE, steps=6)
        check = found.check(frontcase.images((1, 8, 8), 24))
        assert check.exact and check.classes == 1.0, str(check)


def test_a_compiled_model_is_the_model() -> None:
    model = _weighted(Net())
    assert from_torch(torch.compile(model), EXAMPLE).check(frontcase.images((1, 8, 8))).exact
