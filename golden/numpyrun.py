"""The exact model in numpy alone, for a few images: what the vectors of a bench are made with, so
that a design is built without torch. ``golden.exact`` is the model for many images.

Streams are int64 [T,B,C,H,W], or [1,B,C,H,W] where nothing depends on t.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sterna.golden.bounds import RANK_BITS, node_bounds
from sterna.golden.coding import check_images, encode
from sterna.golden.network import Network
from sterna.golden.nodes import (
    Input,
    Neuron,
    NeuronNode,
    Readout,
    StreamNode,
    WeightedNode,
)
from sterna.golden.result import Result
from sterna.golden.rule import NeuronRule
from sterna.golden.step import State

__all__ = ["run_arrays"]

WINDOWS = 1 << 24
"""Values of convolution windows that are gathered at a time."""


def run_arrays(network: Network, images: Any) -> Result:
    """Logits and classes as ``golden.exact.run`` gives them, without spikes.

    ``images``: see ``golden.coding.check_images``. NetworkError where a register could pass 32
    bits, UsageError for images that do not fit.
    """
    pixels = check_images(network.input, images, network.steps)
    for name in network.order:
        if isinstance(network[name], NeuronNode):
            node_bounds(network, name)
    streams: dict[str, np.ndarray] = {}
    for name in network.order:
        node = network[name]
        if isinstance(node, Input):
            streams[name] = encode(node, pixels, network.steps).astype(np.int64)
        else:
            inputs = [streams[i] for i in node.inputs]
            compute = next(f for kind, f in _ARITHMETIC.items() if isinstance(node, kind))
            streams[name] = compute(network, node, inputs)
    logits = streams[network.readout.name].astype(np.int32)
    return Result(logits, np.argmax(logits, axis=1).astype(np.int64))


def _stream(_: Network, node: StreamNode, inputs: list[np.ndarray]) -> np.ndarray:
    return node.compute(np, inputs).astype(np.int64)


def _weighted(_: Network, node: WeightedNode, inputs: list[np.ndarray]) -> np.ndarray:
    """Weighted sums. In float64, whose integers are exact far above the 2**31 of a register."""
    (x,) = inputs
    weight = node.weight.reshape(len(node.weight), -1).astype(np.float64)
    out = _conv(node, weight, x.reshape(-1, *node.reads_map(x.shape[2:])))
    return out.astype(np.int64).reshape(*x.shape[:2], *out.shape[1:])


def _conv(node: WeightedNode, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    if node.flattens:
        return (x.reshape(len(x), -1).astype(np.float64) @ weight.T)[..., None, None]
    size = weight.size // len(weight) * node.groups * x.shape[2] * x.shape[3]
    step = max(1, WINDOWS // max(1, size))
    parts = [_conv_part(node, weight, x[k : k + step]) for k in range(0, len(x), step)]
    return np.concatenate(parts)


def _conv_part(node: WeightedNode, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    top, bottom, left, right = node.padding
    (sh, sw), groups = node.stride, node.groups
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))).astype(np.float64)
    win = sliding_window_view(x, node.extent, axis=(2, 3))[:, :, ::sh, ::sw]
    win = win[..., :: node.dilation[0], :: node.dilation[1]]
    n, c, oh, ow, kh, kw = win.shape
    win = win.reshape(n, groups, c // groups, oh, ow, kh, kw).transpose(0, 1, 3, 4, 2, 5, 6)
    flat = win.reshape(n, groups, oh * ow, -1)
    out = flat @ weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    return out.transpose(0, 1, 3, 2).reshape(n, len(weight), oh, ow)


def _scan(
    network: Network, node: NeuronNode, inputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(spikes after the delay [T,B,..], membranes after each step [T,B,..], the last of them) of
    the rule as ``NeuronRule`` describes it."""
    rule: NeuronRule = node.rule
    column = lambda a: np.asarray(a, np.int64).reshape(-1, 1, 1)  # noqa: E731
    pairs = list(zip(node.inputs, inputs))
    weighted = [a for i, a in pairs if network.is_weighted(i)]
    spikes = [a for i, a in pairs if not network.is_weighted(i)]
    driven = [a << s for a, s in zip(weighted, rule.shifts, strict=True)]
    driven += [a * column(c) for a, c in zip(spikes, rule.coef, strict=True)]
    shape = (network.steps, *driven[0].shape[1:])
    out, seen = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    state = State(
        np.zeros(shape[1:], np.int64) + column(rule.v_init), np.int64(0), np.zeros(shape[1:], bool)
    )
    step = rule.step(np.where, column, lambda register, decay: decay(register))
    for t in range(network.steps):
        total = sum((a[t % len(a)] for a in driven[1:]), driven[0][t % len(driven[0])])
        _, fired = step(state, (total << rule.fraction_bits) + column(rule.bias_at(t)))
        seen[t] = state.v
        if t + rule.delay < network.steps:
            out[t + rule.delay] = fired
    return out, seen, state.v


def _neurons(network: Network, node: Neuron, inputs: list[np.ndarray]) -> np.ndarray:
    return _scan(network, node, inputs)[0]


def _logits(network: Network, node: Readout, inputs: list[np.ndarray]) -> np.ndarray:
    fired, after, v = (a.reshape(*a.shape[:-2]) for a in _scan(network, node, inputs))
    if node.mode == "membrane":
        return v
    if node.mode == "count":
        return fired.sum(0)
    steps = network.steps
    first = np.where(fired.any(0), fired.argmax(0), steps)
    at = np.minimum(first, steps - 1)[None]
    rank = np.take_along_axis(after, at, 0)[0] + (1 << (RANK_BITS - 1))
    return np.where(first < steps, (steps - first) << RANK_BITS, 0) + rank


_ARITHMETIC: dict[type, Callable[..., np.ndarray]] = {
    StreamNode: _stream,
    WeightedNode: _weighted,
    Neuron: _neurons,
    Readout: _logits,
}
"""Of all kinds but the input."""
