"""The nodes of a float network: what front ends and training write down.

As they are given; ``FloatNetwork`` converts and checks them (`floatconvert`). numpy only: no torch.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

__all__ = [
    "BatchNorm",
    "FloatInput",
    "FloatConv2d",
    "FloatLinear",
    "FloatNeuron",
    "FloatPool",
    "FloatMerge",
    "FloatReadout",
    "FloatNode",
    "Weighted",
    "sources",
]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, every array (O,), or a number for all.

    ``gamma`` or ``beta`` None: 1 or 0 (torch's affine=False)."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    eps: float = 1e-5

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """(gain, offset), float64 (O,), with y = gain*x + offset."""
        gain = self.gamma.astype(np.float64) / np.sqrt(self.var.astype(np.float64) + self.eps)
        return gain, self.beta.astype(np.float64) - self.mean.astype(np.float64) * gain


@dataclass(frozen=True, eq=False)
class FloatInput:
    """Where images enter. Real value of a direct pixel p: (p * scale - mean) / std.

    ``mean`` and ``std`` (a number or one for each channel) are recorded as a front end found
    them; ``quantize`` says which of them can be built.
    """

    name: str
    shape: tuple[int, int, int]
    coding: str = "direct"
    bits: int = 8
    seed: int = 0
    scale: float = 1 / 255
    mean: Any = None
    std: Any = None


@dataclass(frozen=True, eq=False)
class FloatConv2d:
    """A convolution with real effective weights (O, C/groups, Kh, Kw), zero padding.

    ``kind`` is 'ternary' (values -a, 0, +a) or 'binary' (-a, +a), with a >= 0 for each output
    channel; training starts from arbitrary values, ``quantize`` refuses them. ``kind`` 'real' is
    for training and comparison only; ``quantize`` refuses it.
    ``padding`` is (top, bottom, left, right), also a number or torch's (y, x). ``unit``: the one
    size ``a`` of all channels, where training must keep it (neurons with several inputs); None:
    each channel has its own.
    """

    name: str
    input: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    kind: str = "ternary"
    bias: np.ndarray | None = None
    norm: BatchNorm | None = None
    unit: float | None = None


@dataclass(frozen=True, eq=False)
class FloatLinear:
    """A full connection of a (C, H, W) map: weight (O, C*H*W), torch's (c, y, x) order."""

    name: str
    input: str
    weight: np.ndarray
    kind: str = "ternary"
    bias: np.ndarray | None = None
    norm: BatchNorm | None = None
    unit: float | None = None


@dataclass(frozen=True, eq=False)
class FloatNeuron:
    """Neurons in real numbers; the same steps as ``golden.rule.NeuronRule`` without rounding.

    ``leak`` and ``synapse`` are factors (leak 1 = none; synapse None = none, 'ramp' = 1);
    ``strict`` fires at v > threshold instead of >=; ``amplitude`` is the real value of a spike.
    ``threshold``, ``reset_by``, ``v_init`` are a number or (C,), ``bias`` also (T, C).
    ``norm`` is a batch norm over the sum of all inputs: what meets there keeps its ratios.
    """

    name: str
    inputs: tuple[str, ...]
    threshold: Any = 1.0
    strict: bool = False
    reset: str = "subtract"
    reset_by: Any = None
    bias: Any = None
    v_init: Any = 0.0
    leak: float = 1.0
    synapse: float | str | None = None
    delay: int = 0
    amplitude: float = 1.0
    norm: BatchNorm | None = None


@dataclass(frozen=True, eq=False)
class FloatPool:
    """Pooling of spikes: 'sum', 'avg' (a sum with a smaller amplitude), 'or' (max), 'first'.

    ``stride``: default the kernel."""

    name: str
    input: str
    mode: str
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = cast("tuple[int, int]", None)

    def __post_init__(self) -> None:
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel)


@dataclass(frozen=True, eq=False)
class FloatMerge:
    """Several spike streams into one: 'add', 'or', 'and', 'andnot', 'concat'."""

    name: str
    inputs: tuple[str, ...]
    mode: str


@dataclass(frozen=True, eq=False)
class FloatReadout:
    """The output: 'membrane' (v after T steps), 'count' (spikes) or 'first_spike'.

    Reads weighted nodes. ``threshold`` and ``reset`` matter for 'count' and 'first_spike'.
    """

    name: str
    inputs: tuple[str, ...]
    mode: str = "membrane"
    threshold: Any = 1.0
    strict: bool = False
    reset: str = "none"
    reset_by: Any = None
    bias: Any = None
    v_init: Any = 0.0
    leak: float = 1.0
    synapse: float | str | None = None


FloatNode = (
    FloatInput | FloatConv2d | FloatLinear | FloatNeuron | FloatPool | FloatMerge | FloatReadout
)
Weighted = FloatConv2d | FloatLinear


def sources(node: FloatNode) -> tuple[str, ...]:
    """Names of the nodes a node reads."""
    if isinstance(node, FloatInput):
        return ()
    if isinstance(node, FloatNeuron | FloatMerge | FloatReadout):
        return node.inputs
    return (node.input,)
