"""What a FloatNetwork computes, in plain numpy: the reference that quantize is measured against.

Slow and simple on purpose. Streams are [T,B,C,H,W] ([1,B,C,H,W] where nothing depends on t) in
integer units of their amplitude: a spike is 1, a pixel 0..255; weighted sums come out real, in
float64: what float32 would make of a sum depends on the order it is added in, the rule for ties
(``gen.quantize.ties``) does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sterna.gen.quantize.float_network import (
    FloatInput,
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatReadout,
    StreamMaker,
    Weighted,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.ties import InUnits, in_units, levels_of, ranks, tie_width
from sterna.golden.coding import check_images, encode
from sterna.golden.errors import NetworkError
from sterna.golden.rule import step_of
from sterna.golden.step import State

__all__ = [
    "Worth",
    "at_decision",
    "float_classes",
    "float_logits",
    "input_stream",
    "order_of",
    "raw_images",
    "real_drive",
    "reference",
    "scan_real",
    "walk",
    "weighted_sum",
    "windows",
    "worth_of",
]

MOST_WORTH = 1e200  # what float64 can still be multiplied and divided by
CHUNK = 32  # images whose windows are gathered at a time


def raw_images(node: FloatInput, images: Any, steps: int) -> np.ndarray:
    """Images as uint8, checked as ``golden.exact.run`` checks them, by the same sentences."""
    return check_images(node.integer(), images, steps)


def input_stream(node: FloatInput, images: Any, steps: int) -> np.ndarray:
    """Pixels [1,B,C,H,W] of a direct input, else the coded spikes [T,B,C,H,W]; uint8.

    UsageError or NetworkError where the images are not what ``golden.exact.run`` takes.
    """
    return encode(node.integer(), images, steps)


def weighted_sum(node: Weighted, weight: np.ndarray, stream: np.ndarray) -> np.ndarray:
    """sum of weight * stream over the window, zero padding; float64 [T,B,O,OH,OW].

    Exact where the weights of each channel are -a, 0, +a: whole sums times a. ``weight`` stands
    in for the node's own (trits instead of real values).
    """
    t, b = stream.shape[:2]
    w = np.asarray(weight, np.float64).reshape(len(weight), -1)
    size = np.abs(w).max(1, keepdims=True)
    size[size == 0] = 1.0
    whole = bool(np.all((w == 0) | (np.abs(w) == size)))
    if whole:  # float32, twice as fast, holds whole sums below 2**24
        w = w / size
    most = np.abs(w).sum(1).max() * float(stream.max(initial=0))
    w = w.astype(np.float32 if whole and most < 1 << 24 else np.float64)
    if node.flattens:
        out = (stream.reshape(t * b, -1).astype(w.dtype) @ w.T)[:, :, None, None]
    else:
        flat = stream.reshape(t * b, *stream.shape[2:])
        parts = [_conv(node, w, flat[k : k + CHUNK]) for k in range(0, t * b, CHUNK)]
        out = np.concatenate(parts)
    out = out.astype(np.float64)
    if whole:
        out *= size[:, :, None]
    return out.reshape(t, b, *out.shape[1:])


def windows(node: Weighted, x: np.ndarray) -> np.ndarray:
    """(G, N*OH*OW, n): what the weights (G, O/G, n) of a layer meet in images x [N,C,H,W], zero
    padding and all; of a linear layer its inputs (1,N,n)."""
    if node.flattens:
        return x.reshape(1, len(x), -1)
    top, bottom, left, right = node.padding
    kh, kw = node.kernels(node.weight).shape[2:]
    (sh, sw), g = node.stride, node.groups
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    win = sliding_window_view(x, node.extent, axis=(2, 3))[:, :, ::sh, ::sw]
    win = win[..., :: node.dilation[0], :: node.dilation[1]]
    n, c, oh, ow = win.shape[:4]
    win = win.reshape(n, g, c // g, oh, ow, kh, kw).transpose(1, 0, 3, 4, 2, 5, 6)
    return win.reshape(g, n * oh * ow, -1)


def _conv(node: Weighted, w: np.ndarray, x: np.ndarray) -> np.ndarray:
    g, n = node.groups, len(x)
    out = windows(node, x.astype(w.dtype)) @ w.reshape(g, len(w) // g, -1).transpose(0, 2, 1)
    shape = node.shape_of([x.shape[1:]])
    return out.reshape(g, n, *shape[1:], -1).transpose(1, 0, 4, 2, 3).reshape(n, *shape)


@dataclass(frozen=True)
class Worth:
    """What one integer unit of each input of a neuron is worth, real and signed (O,), and the real
    ``offset`` (O,) that every step adds (biases and batch norms, without the neuron's own bias)."""

    weighted: dict[str, np.ndarray]
    spikes: dict[str, np.ndarray]
    offset: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """The smallest unit of each channel, > 0; the usual one where nothing counts."""
        known = np.abs([*self.weighted.values(), *self.spikes.values()])
        least = np.min(np.where(known > 0, known, np.inf), axis=0)
        some = np.isfinite(least)
        return np.where(some, least, np.median(least[some]) if some.any() else 1.0)


def worth_of(network: FloatNetwork, node: FloatNeurons) -> Worth:
    """The ``Worth`` of a neuron's inputs, behind its own batch norm. NetworkError without inputs
    that are weighted, or where numbers multiply to more, or to less, than can be computed with."""
    with np.errstate(over="ignore", invalid="ignore"):
        worth = _worth_of(network, node)
    for a in (*worth.weighted.values(), *worth.spikes.values(), worth.offset):
        size = np.abs(a)
        if not np.all(size <= MOST_WORTH):
            raise NetworkError(
                f"node '{node.name}': weights, scales and batch norms in front of it make "
                f"{size.max():.3g} of one unit; give numbers of ordinary size"
            )
    channel = int(np.argmin(worth.size))
    if worth.size[channel] * MOST_WORTH < 1:
        raise NetworkError(
            f"node '{node.name}': weights, scales and batch norms in front of it make "
            f"{worth.size[channel]:.3g} of one unit of channel {channel}; set a gain that is "
            "almost zero to 0"
        )
    return worth


def _worth_of(network: FloatNetwork, node: FloatNeurons) -> Worth:
    weighted, spikes = {}, {}
    offset: np.ndarray | float = 0.0
    channels = network.shape[node.name][0]
    for name in node.inputs:
        if (sums := network.sums(name)) is not None:
            source, pool = sums
            flat = np.abs(np.asarray(source.weight, np.float64)).reshape(len(source.weight), -1)
            gain, start = source.affine()
            gain = gain * network.amplitude[name]
            weighted[name] = network.amplitude[source.input] * flat.max(1) * gain
            offset = offset + (start if pool is None else start * pool.shares)
        else:
            spikes[name] = np.full(channels, network.amplitude[name])
    if not weighted:
        raise NetworkError(f"node '{node.name}': needs a Conv2d or Linear; connect one")
    offset = np.asarray(offset)
    if isinstance(node, FloatNeuron) and node.norm is not None:
        gain, start = node.norm.affine()
        weighted = {name: w * gain for name, w in weighted.items()}
        spikes = {name: w * gain for name, w in spikes.items()}
        offset = gain * offset + start
    return Worth(weighted, spikes, offset)


def scan_real(
    x: np.ndarray,
    node: FloatNeurons,
    steps: int,
    potentials: list[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(spikes uint8 [T,B,C,H,W], last membrane [B,C,H,W]) of float neurons driven by x (real).

    Knows nothing of units: a tie is a membrane within 1e-6 of its threshold. ``potentials`` gets
    the membrane of each step, before it resets.
    """
    cols = lambda p: np.broadcast_to(np.asarray(p, np.float64), x.shape[2])  # noqa: E731
    levels = {name: cols(value) for name, value in levels_of(node).items()}
    bias = np.asarray(0.0 if node.bias is None else node.bias, np.float64)
    bias = bias if bias.ndim == 2 else cols(bias)
    tie = tie_width(levels["threshold"], unit=np.inf)
    return _scan(x, InUnits(levels, bias, tie), node, steps, potentials)


def _scan(
    x: np.ndarray,
    c: InUnits,
    node: FloatNeurons,
    steps: int,
    potentials: list[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """``scan_real`` with the layer's constants, all in the same units."""
    cols = lambda p: p.reshape(-1, 1, 1)  # noqa: E731
    level = cols(c.threshold + c.tie if node.strict else c.threshold - c.tie)
    step = step_of(
        vars(node) | c.levels,
        np.where,
        lambda u: u > level if node.strict else u >= level,
        cols,
        lambda register, factor: factor * register,
    )
    shape = x.shape[1:]
    state = State(np.zeros(shape) + cols(c.levels["v_init"]), 0.0, np.zeros(shape, bool))
    fired = np.zeros((steps, *shape), np.uint8)
    for t in range(steps):
        drive = x[t if len(x) > 1 else 0] + cols(c.bias[t] if c.bias.ndim == 2 else c.bias)
        u, fired[t] = step(state, drive)
        if potentials is not None:
            potentials.append(u)
    if isinstance(node, FloatNeuron) and node.delay:
        fired = np.concatenate([np.zeros_like(fired[:1]), fired[:-1]])
    return fired, state.v


def reference(
    network: FloatNetwork,
    node: FloatNeurons,
    streams: dict[str, np.ndarray],
    size: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(spikes uint8 [T,B,C,H,W], last membrane [B,C,H,W] in units) of a layer of the float network
    on integer streams, ties as ``gen.quantize.ties`` says.

    ``size`` (C,): the real value of a unit, default ``Worth.size``. Membranes of classes that are
    compared are all in the first class's.
    """
    worth = worth_of(network, node)
    size = worth.size if size is None else size
    if isinstance(node, FloatReadout) and node.mode != "count":
        size = np.full_like(size, size[0])
    constants = in_units(node, size, worth.offset, network.steps)
    x = _drive(network, node, streams)
    x /= size.reshape(-1, 1, 1)
    return _scan(x, constants, node, network.steps)


def real_drive(
    network: FloatNetwork, node: FloatNeurons, streams: dict[str, np.ndarray]
) -> np.ndarray:
    """The real input x of a neuron: weighted sums behind bias and batch norm, plus spikes, behind
    the neuron's own batch norm."""
    return _drive(network, node, streams) + worth_of(network, node).offset.reshape(-1, 1, 1)


def _drive(network: FloatNetwork, node: FloatNeurons, streams: dict[str, np.ndarray]) -> np.ndarray:
    """The real input without what is added at every step."""
    total: np.ndarray | None = None
    for name in node.inputs:
        if (sums := network.sums(name)) is not None:
            source, pool = sums
            x = weighted_sum(source, source.weight, streams[source.input])
            x *= (network.amplitude[source.input] * source.affine()[0]).reshape(-1, 1, 1)
            if pool is not None:
                x = pool.pooled(x) * network.amplitude[name]
        else:
            x = streams[name] * network.amplitude[name]
        total = x if total is None else total + x
    if total is None:
        raise NetworkError(f"node '{node.name}': has no inputs; connect it")
    if isinstance(node, FloatNeuron) and node.norm is not None:
        total = total * node.norm.affine()[0].reshape(-1, 1, 1)
    return total


def float_logits(network: FloatNetwork, images: Any, batch: int = 64) -> np.ndarray:
    """Logits [B,n] of integer images, as ``golden.exact.run`` takes them: real membranes, counts,
    or, for first_spike, numbers in the order of (steps left, membrane): the exact order."""
    return _by_batch(network, images, batch)[0]


def float_classes(network: FloatNetwork, images: Any, batch: int = 64) -> np.ndarray:
    """Classes (B,) of the float network: the lowest index of the largest logit, where logits that
    tie (``gen.quantize.ties``) are equal."""
    return _by_batch(network, images, batch)[1]


def _by_batch(network: FloatNetwork, images: Any, batch: int) -> tuple[np.ndarray, np.ndarray]:
    network = plain_input(network)
    axis = 1 if network.input.coding == "frames" else 0
    images = raw_images(network.input, images, network.steps)
    count = images.shape[axis]
    parts = [
        _logits(network, np.take(images, range(k, min(k + batch, count)), axis))
        for k in range(0, count, batch)
    ]
    logits, classes = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(classes)


def _logits(network: FloatNetwork, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for node, streams in walk(network, images):
        if isinstance(node, FloatReadout):
            fired, v = reference(network, at_decision(node), streams)
            order = order_of(node, fired, v)
            if node.mode != "membrane":
                return order, order.argmax(1)
            real = v.reshape(len(v), -1) * worth_of(network, node).size[0]
            return real, order.argmax(1)
    raise AssertionError("a FloatNetwork ends in a readout")


def at_decision(node: FloatReadout) -> FloatReadout:
    """The readout whose last membrane decides: of first_spike it is the one at the first spike."""
    return replace(node, reset="once") if node.mode == "first_spike" else node


def order_of(
    node: FloatReadout, fired: np.ndarray, v: np.ndarray, exact: bool = False
) -> np.ndarray:
    """Numbers [B,n] in the order of the classes, equal where they tie, of a readout's spikes
    [T,B,n,1,1] and its membranes [B,n,1,1] in units, at the decision; ``exact``: of integers,
    which tie only where they are equal."""
    steps, (b, n) = len(fired), v.shape[:2]
    if node.mode == "count":
        return fired.sum(0, dtype=np.int64).reshape(b, n).astype(np.float64)
    place = ranks(v.reshape(b, n), exact)
    if node.mode == "membrane":
        return place
    first = np.where(fired.any(0), fired.argmax(0), steps).reshape(b, n)
    return (steps - first) * float(n) + place  # places are 0 .. n - 1: they never reach a step


def walk(
    network: FloatNetwork, images: np.ndarray
) -> Iterator[tuple[FloatNeurons, dict[str, np.ndarray]]]:
    """Each neuron layer and readout with the streams computed so far (integer units)."""
    streams: dict[str, np.ndarray] = {}
    for node in network.nodes:
        if isinstance(node, FloatInput):
            streams[node.name] = input_stream(node, images, network.steps)
        elif isinstance(node, StreamMaker) and network.sums(node.name) is None:
            made = node.stream(network.amplitudes(node))
            parts = [streams[i].astype(np.uint32) for i in node.inputs]
            stream = made.compute(np, parts)
            streams[node.name] = stream.astype(np.min_scalar_type(int(stream.max(initial=0))))
        elif isinstance(node, FloatReadout):
            yield node, streams
        elif isinstance(node, FloatNeuron):
            yield node, streams
            if node.name not in streams:  # the caller may put the integer neuron's spikes here
                streams[node.name], _ = reference(network, node, streams)
