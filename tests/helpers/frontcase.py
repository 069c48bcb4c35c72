"""Small networks of snnTorch with ternary weights, and what `from_torch` is held to on them."""

from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["LAYERS", "NETS", "Loop", "images", "sequential", "ternary"]


def ternary(model: nn.Module, seed: int, dyadic: bool) -> nn.Module:
    """Weights -a, 0, +a of each channel (a power of two where ``dyadic``), any norms."""
    rng = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=rng)  # noqa: E731
    readout = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    for m in model.modules():
        if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear):
            q = torch.randint(-1, 2, m.weight.shape, generator=rng).float()
            q.flatten(1)[:, 0] = 1.0  # no channel of zeros
            count = 1 if m is readout else len(q)
            a = (
                0.5 ** torch.randint(1, 4, (count,), generator=rng)
                if dyadic
                else draw(count) / 2 + 0.1
            )
            m.weight.data = q * a.expand(len(q)).reshape(-1, *[1] * (q.ndim - 1))
            if m.bias is not None:
                m.bias.data = draw(len(q)) / 4
                if dyadic:
                    m.bias.data = torch.round(m.bias.data * 64) / 64
        elif isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            n = len(m.running_mean)
            m.running_mean, m.running_var = draw(n) - 0.5, draw(n) + 0.5
            m.weight.data, m.bias.data = draw(n) + 0.5, draw(n) - 0.3
    return model.eval()


def images(shape: tuple[int, int, int], count: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


class Loop(nn.Module):
    """conv, neuron, [what is between], linear, Leaky; T steps in forward(), states by hand."""

    def __init__(
        self, hidden: nn.Module, steps: int, norm: bool = False, between: str = "", wide: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=wide, dilation=wide, bias=not norm)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.hidden, self.steps, self.between = hidden, steps, between
        size = 4 * (16 if between else 64)
        self.full = nn.Linear(size, 5, bias=False)
        self.out = snn.Leaky(beta=0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.hidden.reset_mem()
        state = state if isinstance(state, tuple) else (state,)
        mem, record = self.out.reset_mem(), []
        for _ in range(self.steps):
            spikes, *state = self.hidden(self.norm(self.conv(x)), *state)
            if self.between == "max":
                spikes = F.max_pool2d(spikes, 2)
            elif self.between == "resnet":
                spikes = F.max_pool2d(spikes, 3, 2, 1)
            elif self.between == "avg":
                spikes = F.avg_pool2d(spikes, 2)
            out, mem = self.out(self.full(spikes.flatten(1)), mem)
            record.append(out)
        return torch.stack(record)


class Tutorial(nn.Module):
    """The convolutional network of snnTorch's tutorials 5 and 6: each pool in front of its
    neurons. ``size``: channels and kernels of the convolutions, side of the last map."""

    def __init__(
        self, steps: int, pool: Any = F.max_pool2d, size: tuple[int, ...] = (4, 6, 3, 2, 1)
    ) -> None:
        super().__init__()
        first, second, one, two, side = size
        level = 0.125 if pool is F.avg_pool2d else 1.0
        self.steps, self.pool = steps, pool
        self.conv1, self.lif1 = nn.Conv2d(1, first, one), snn.Leaky(0.5, level)
        self.conv2, self.lif2 = nn.Conv2d(first, second, two), snn.Leaky(0.5, level)
        self.fc1, self.lif3 = nn.Linear(second * side * side, 10), snn.Leaky(beta=0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2, mem3 = (lif.reset_mem() for lif in (self.lif1, self.lif2, self.lif3))
        record = []
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(self.pool(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(self.pool(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.flatten(1)), mem3)
            record.append(spk3)
        return torch.stack(record)


class Skip(nn.Module):
    """An addition before the neuron, one of spikes, AND, IAND and a concatenation."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.one, self.two, self.out = snn.Leaky(0.5), snn.Leaky(0.75), snn.Leaky(0.5)
        self.full = nn.Linear(4 * 64 * (2 if join == "cat" else 1), 5)
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        m1, m2, m3 = self.one.reset_mem(), self.two.reset_mem(), self.out.reset_mem()
        total = 0
        for _ in range(4):
            s, m1 = self.one(self.a(x), m1)
            z = self.b(s) + s if self.join == "sum" else self.b(s)
            y, m2 = self.two(z, m2)
            if self.join == "add":
                y = y + s
            elif self.join == "and":
                y = y * s
            elif self.join == "iand":
                y = s * (1.0 - y)
            elif self.join == "cat":
                y = torch.cat([y, s], dim=1)
            out, m3 = self.out(self.full(y.flatten(1)), m3)
            total = total + out
        return total


def sequential() -> nn.Module:
    """As snnTorch's tutorials: one step a call, states inside."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        snn.Leaky(beta=0.75, init_hidden=True, reset_mechanism="zero"),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(36, 5),
        snn.Leaky(beta=0.5, init_hidden=True, output=True),
    )


class Frames(nn.Module):
    """Reads a frame a step, for as many as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one = nn.Conv2d(2, 3, 3, stride=2), snn.Leaky(0.5)
        self.full, self.out = nn.Linear(27, 5), snn.Leaky(0.875)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m1, m2 = self.one.reset_mem(), self.out.reset_mem()
        spikes, membranes = [], []
        for t in range(x.size(0)):
            s, m1 = self.one(self.conv(x[t]), m1)
            out, m2 = self.out(self.full(s.flatten(1)), m2)
            spikes.append(out)
            membranes.append(m2)
        return torch.stack(spikes), torch.stack(membranes)


class Own(nn.Module):
    """A layer of one's own, whose trits are made in forward()."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 1, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        w = torch.sign(self.weight) * (self.weight.abs() > 0.5) * 0.25
        return F.conv2d(x, w, None, stride=1, padding=1)


def _own() -> nn.Module:
    net = Loop(snn.Leaky(0.5), 3)
    net.conv = Own()  # type: ignore[assignment]
    return net


NETS = {
    "leaky_subtract": lambda: Loop(snn.Leaky(0.5, threshold=0.5), 6),
    "leaky_subtract_norm": lambda: Loop(snn.Leaky(0.75, threshold=0.75), 4, norm=True),
    "leaky_one_step": lambda: Loop(snn.Leaky(0.5), 1),
    "leaky_sixteen_steps": lambda: Loop(snn.Leaky(0.875), 16, between="max"),
    "leaky_zero": lambda: Loop(snn.Leaky(0.5, reset_mechanism="zero"), 8, between="avg"),
    "leaky_zero_at_once": lambda: Loop(
        snn.Leaky(0.5, reset_mechanism="zero", reset_delay=False), 5
    ),
    "leaky_none": lambda: Loop(snn.Leaky(0.5, reset_mechanism="none", threshold=2.0), 4),
    "leaky_memoryless": lambda: Loop(snn.Leaky(0.0, reset_mechanism="zero"), 3),
    "integrator": lambda: Loop(snn.Leaky(1.0, threshold=2.0), 6),
    "clamped_beta": lambda: Loop(snn.Leaky(1.5, threshold=2.0), 4),
    "graded": lambda: Loop(snn.Leaky(0.5, graded_spikes_factor=0.5), 4),
    "thresholds_of_channels": lambda: Loop(
        snn.Leaky(0.5, threshold=torch.tensor([0.5, 0.75, 1.0, 1.25]).reshape(4, 1, 1)), 4
    ),
    "synaptic": lambda: Loop(snn.Synaptic(0.5, 0.75, threshold=2.0), 6),
    "synaptic_zero_at_once": lambda: Loop(
        snn.Synaptic(0.5, 0.5, reset_mechanism="zero", reset_delay=False), 5
    ),
    "lapicque": lambda: Loop(snn.Lapicque(R=2.0, C=2.0, threshold=0.5), 5),
    "skip_sum": lambda: Skip("sum"),
    "skip_add": lambda: Skip("add"),
    "skip_and": lambda: Skip("and"),
    "skip_iand": lambda: Skip("iand"),
    "skip_concat": lambda: Skip("cat"),
    "dilated": lambda: Loop(snn.Leaky(0.5), 4, wide=2),
    "padded_pool": lambda: Loop(snn.Leaky(0.5), 4, between="resnet"),
    "max_of_sums": lambda: Tutorial(5),
    "padded_max_of_sums": lambda: Tutorial(5, lambda x, _: F.max_pool2d(x, 3, 2, 1)),
    "mean_of_sums": lambda: Tutorial(4, F.avg_pool2d),
    "divided_sum_of_sums": lambda: Tutorial(4, lambda x, k: F.avg_pool2d(x, k, divisor_override=2)),
    "own_layer": _own,
}
"""Nets whose forward() computes all steps, of images 1 x 8 x 8."""
LAYERS = Frames
