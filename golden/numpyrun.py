"""The exact model in numpy alone, for a few images: what the vectors of a bench are made with, so
that a design is built without torch. ``golden.exact`` is the model for many images.

Streams are int64 [T,B,C,H,W], or [1,B,C,H,W] where nothing depends on t.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sterna.golden.bounds import RANK_BITS, node_bounds
from sterna.golden.coding import check_images, encode
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.result import Result
from sterna.golden.rule import Decay, NeuronRule

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
        if isinstance(network[name], Neuron | Readout):
            node_bounds(network, name)
    streams: dict[str, np.ndarray] = {}
    logits = np.empty(0, np.int64)
    for name in network.order:
        node = network[name]
        inputs = [streams[i] for i in node.inputs]
        if isinstance(node, Input):
            streams[name] = encode(node, pixels, network.steps).astype(np.int64)
        elif isinstance(node, Conv2d | Linear):
            streams[name] = _weighted(node, inputs[0])
        elif isinstance(node, Pool):
            streams[name] = _pool(node, inputs[0])
        elif isinstance(node, Merge):
            streams[name] = _merge(node, inputs)
        elif isinstance(node, Neuron):
            streams[name] = _scan(network, node, inputs)[0]
        else:
            logits = _logits(network, node, inputs)
    logits = logits.astype(np.int32)
    return Result(logits, np.argmax(logits, axis=1).astype(np.int64))


def _weighted(node: Conv2d | Linear, x: np.ndarray) -> np.ndarray:
    """Weighted sums. In float64, whose integers are exact far above the 2**31 of a register."""
    weight = node.weight.reshape(len(node.weight), -1).astype(np.float64)
    flat = x.reshape(-1, *x.shape[2:])
    if isinstance(node, Linear):
        out = (flat.reshape(len(flat), -1).astype(np.float64) @ weight.T)[..., None, None]
    else:
        size = weight.size // len(weight) * node.groups * flat.shape[2] * flat.shape[3]
        step = max(1, WINDOWS // max(1, size))
        parts = [_conv(node, weight, flat[k : k + step]) for k in range(0, len(flat), step)]
        out = np.concatenate(parts)
    return out.astype(np.int64).reshape(*x.shape[:2], *out.shape[1:])


def _conv(node: Conv2d, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    top, bottom, left, right = node.padding
    (sh, sw), groups = node.stride, node.groups
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))).astype(np.float64)
    win = sliding_window_view(x, node.kernel, axis=(2, 3))[:, :, ::sh, ::sw]
    n, c, oh, ow, kh, kw = win.shape
    win = win.reshape(n, groups, c // groups, oh, ow, kh, kw).transpose(0, 1, 3, 4, 2, 5, 6)
    flat = win.reshape(n, groups, oh * ow, -1)
    out = flat @ weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    return out.transpose(0, 1, 3, 2).reshape(n, len(weight), oh, ow)


def _pool(node: Pool, x: np.ndarray) -> np.ndarray:
    assert node.stride is not None
    win = sliding_window_view(x, node.kernel, axis=(3, 4))
    win = win[:, :, :, :: node.stride[0], :: node.stride[1]]
    if node.mode == "sum":
        return win.sum((-1, -2))
    out = win.max((-1, -2))
    return out * (out.cumsum(0) == 1) if node.mode == "first" else out


def _merge(node: Merge, inputs: list[np.ndarray]) -> np.ndarray:
    if node.mode in ("add", "concat"):
        scaled = [a << s for a, s in zip(inputs, node.shifts, strict=True)]
        if node.mode == "concat":
            return np.concatenate(scaled, axis=2)
        return sum(scaled[1:], start=scaled[0])
    out = inputs[0]
    for a in inputs[1:]:
        out = {"andnot": out & (1 - a), "or": out | a, "and": out & a}[node.mode]
    return out


def _decay(how: Decay | str | None, x: np.ndarray) -> np.ndarray:
    return how(x) if isinstance(how, Decay) else x


def _scan(
    network: Network, node: Neuron | Readout, inputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(spikes after the delay [T,B,..], membranes before the reset [T,B,..], the last membrane)
    of the rule as ``NeuronRule`` describes it."""
    rule: NeuronRule = node.rule
    column = lambda a: np.asarray(a, np.int64).reshape(-1, 1, 1)  # noqa: E731
    pairs = list(zip(node.inputs, inputs))
    weighted = [a for i, a in pairs if network.is_weighted(i)]
    spikes = [a for i, a in pairs if not network.is_weighted(i)]
    driven = [a << s for a, s in zip(weighted, rule.shifts, strict=True)]
    driven += [a * column(c) for a, c in zip(spikes, rule.coef, strict=True)]
    shape = (network.steps, *driven[0].shape[1:])
    out, seen = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    v, i = np.zeros(shape[1:], np.int64) + column(rule.v_init), np.zeros(shape[1:], np.int64)
    silenced = np.zeros(shape[1:], bool)
    for t in range(network.steps):
        total = sum((a[t % len(a)] for a in driven[1:]), driven[0][t % len(driven[0])])
        drive = (total << rule.fraction_bits) + column(rule.bias_at(t))
        i = drive if rule.synapse is None else _decay(rule.synapse, i) + drive
        u = np.where(silenced, v, _decay(rule.leak, v) + i)
        fired = (u >= column(rule.threshold)) & ~silenced
        v = u
        if rule.reset == "subtract":
            v = u - column(rule.reset_by) * fired
        elif rule.reset == "zero":
            v = np.where(fired, 0, u)
        elif rule.reset == "once":
            silenced = silenced | fired
        seen[t] = u
        if t + rule.delay < network.steps:
            out[t + rule.delay] = fired
    return out, seen, v


def _logits(network: Network, node: Readout, inputs: list[np.ndarray]) -> np.ndarray:
    fired, u, v = (a.reshape(*a.shape[:-2]) for a in _scan(network, node, inputs))
    if node.mode == "membrane":
        return v
    if node.mode == "count":
        return fired.sum(0)
    steps = network.steps
    first = np.where(fired.any(0), fired.argmax(0), steps)
    at = np.minimum(first, steps - 1)[None]
    rank = np.take_along_axis(u, at, 0)[0] + (1 << (RANK_BITS - 1))
    return np.where(first < steps, (steps - first) << RANK_BITS, 0) + rank
