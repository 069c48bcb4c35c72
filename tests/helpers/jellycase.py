"""Small networks of SpikingJelly: every wrapper, block and way to run that its users have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

__all__ = ["NETS", "images", "ternary"]

SIDE = 8


def ternary(model: nn.Module, seed: int, dyadic: bool) -> nn.Module:
    """Random trits, of a size k/2**n a channel (``dyadic``) or of any, of the last layer of one
    size; norms with statistics."""
    rng = np.random.default_rng(seed)
    *_, last = (m for m in model.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, nn.Conv2d | nn.Linear | nn.Conv1d):
                w = rng.choice([-1.0, 0.0, 1.0], m.weight.shape)
                w.reshape(len(w), -1)[:, 0] = 1
                size = 2.0 ** rng.integers(-3, 1, len(w)) if dyadic else rng.uniform(0.1, 1, len(w))
                size = size.max().repeat(len(w)) if m is last else size
                m.weight.copy_(torch.tensor(w * size.reshape(-1, *[1] * (w.ndim - 1))))
                if m.bias is not None:
                    b = rng.integers(-4, 5, len(w)) / 16 if dyadic else rng.normal(0, 0.2, len(w))
                    m.bias.copy_(torch.tensor(b))
            elif isinstance(m, nn.BatchNorm2d):
                for part, least in ((m.weight, 0.5), (m.bias, -0.2), (m.running_mean, -0.2)):
                    part.copy_(torch.tensor(rng.uniform(least, least + 0.5, len(part))))
                m.running_var.copy_(torch.tensor(rng.uniform(0.5, 1.5, len(m.running_var))))
    return model


def images(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE)).astype(np.uint8)


class Repeated(nn.Module):
    """Repeats an image over T steps in forward(), as SpikingJelly's examples do."""

    def __init__(self, body: nn.Module, steps: int, mean: bool = True) -> None:
        super().__init__()
        self.body, self.steps, self.mean = body, steps, mean
        functional.set_step_mode(body, "m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.body(x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1))
        return out.mean(0) if self.mean else out


class Sew(nn.Module):
    """A SEW block: spikes of a shortcut and of two layers, joined by ADD, AND or IAND."""

    def __init__(self, kind: str, channels: int = 4, **node: Any) -> None:
        super().__init__()
        self.kind = kind
        self.conv1 = layer.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.sn1 = layer.BatchNorm2d(channels), neuron.IFNode(**node)
        self.conv2 = layer.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2, self.sn2 = layer.BatchNorm2d(channels), neuron.IFNode(**node)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.sn2(self.bn2(self.conv2(self.sn1(self.bn1(self.conv1(x))))))
        if self.kind == "ADD":
            return out + x
        return out * x if self.kind == "AND" else x * (1.0 - out)


def stem(node: Any, channels: int = 4) -> list[nn.Module]:
    return [layer.Conv2d(1, channels, 3, padding=1, bias=False), node]


def head(node: Any = None, features: int = 64) -> list[nn.Module]:
    last = neuron.IFNode(0.25, None) if node is None else node
    return [layer.Flatten(), layer.Linear(features, 5, bias=False), last]


def plain(node: Any, steps: int = 4) -> nn.Module:
    return Repeated(nn.Sequential(*stem(node), layer.MaxPool2d(2), *head()), steps)


def sew(kind: str, steps: int = 4) -> nn.Module:
    body = [*stem(neuron.IFNode()), Sew(kind), layer.AvgPool2d(2), *head()]
    return Repeated(nn.Sequential(*body), steps)


def containers() -> nn.Module:
    body = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
        neuron.LIFNode(v_reset=None, v_threshold=0.5),
        layer.SeqToANNContainer(nn.MaxPool2d(2), nn.Flatten()),
        layer.SeqToANNContainer(nn.Linear(64, 5)),
        neuron.IFNode(),
    )
    return Repeated(body, 5)


class ByFunction(nn.Module):
    """The two functions that wrap single-step and stateless layers."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.conv, self.bn = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.sn1, self.sn2 = neuron.LIFNode(tau=4.0), neuron.LIFNode(tau=4.0, v_reset=None)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seq = functional.seq_to_ann_forward(x, [self.conv, self.bn])
        seq = functional.multi_step_forward(seq.unsqueeze(0).repeat(1, 1, 1, 1, 1)[0], self.sn1)
        seq = functional.seq_to_ann_forward(seq, [self.pool, nn.Flatten(), self.fc])
        return functional.multi_step_forward(seq, (self.sn2,)).sum(0)


class Merged(nn.Module):
    """A step a call, in a loop over T."""

    def __init__(self, body: nn.Module, steps: int) -> None:
        super().__init__()
        self.body, self.steps = body, steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = 0.0
        for _ in range(self.steps):
            total = total + self.body(x)
        return total / self.steps


def votes() -> nn.Module:
    body = [
        *stem(neuron.LIFNode(tau=2.0)),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(64, 10, bias=False),
        neuron.LIFNode(tau=2.0),
        layer.VotingLayer(2),
    ]
    return Repeated(nn.Sequential(*body), 4)


def strided() -> nn.Module:
    body = [
        layer.Conv2d(1, 4, 3, stride=2, padding=1, bias=True),
        neuron.ParametricLIFNode(2.0),
        layer.Conv2d(4, 4, 3, padding=1, groups=2),
        layer.BatchNorm2d(4),
        neuron.LIFNode(4.0, v_threshold=0.125),
        layer.AvgPool2d(2),
        *head(features=16),
    ]
    return Repeated(nn.Sequential(*body), 6)


Net = Callable[[], nn.Module]
NETS: dict[str, Net] = {
    "if": lambda: plain(neuron.IFNode()),
    "if soft": lambda: plain(neuron.IFNode(v_reset=None), 16),
    "if v_reset": lambda: plain(neuron.IFNode(v_reset=0.25, v_threshold=0.75), 8),
    "lif": lambda: plain(neuron.LIFNode()),
    "lif whole input": lambda: plain(neuron.LIFNode(4.0, decay_input=False), 7),
    "lif v_reset": lambda: plain(neuron.LIFNode(2.0, v_reset=-0.25, v_threshold=0.5), 8),
    "lif soft, one step": lambda: plain(neuron.LIFNode(2.0, v_reset=None, v_threshold=0.25), 1),
    "plif": lambda: plain(neuron.ParametricLIFNode(4.0, v_reset=None), 6),
    "half threshold": lambda: plain(neuron.HalfThresholdIFNode(0.5)),
    "simple if": lambda: plain(neuron.SimpleIFNode(v_reset=0.25)),
    "simple lif": lambda: plain(neuron.SimpleLIFNode(2.0, True, v_reset=-0.5, v_threshold=0.25)),
    "cuba": lambda: plain(single(neuron.CUBALIFNode(0.5, 0.75)), 8),
    "sew add": lambda: sew("ADD"),
    "sew and": lambda: sew("AND"),
    "sew iand": lambda: sew("IAND", 6),
    "containers": containers,
    "a step a call": lambda: Merged(nn.Sequential(*stem(neuron.LIFNode()), *head(features=256)), 3),
    "votes": votes,
    "strides, groups": strided,
    "membrane": lambda: Repeated(
        nn.Sequential(
            *stem(neuron.IFNode()),
            layer.MaxPool2d(2),
            *head(neuron.NonSpikingLIFNode(2.0, "last_mem")),
        ),
        4,
        mean=False,
    ),
    "membranes": lambda: Repeated(
        nn.Sequential(*stem(neuron.IFNode()), layer.MaxPool2d(2), *head(neuron.NonSpikingIFNode())),
        4,
        mean=False,
    ),
}


def single(node: nn.Module) -> nn.Module:
    """A node that has no step_mode to give, run by MultiStepContainer."""
    return layer.MultiStepContainer(node)
