"""What a FloatNetwork computes, in plain numpy: the reference that quantize is measured against.

Slow and simple on purpose. Streams are [T,B,C,H,W] ([1,B,C,H,W] where nothing depends on t) in
integer units of their amplitude: a spike is 1, a pixel 0..255; weighted sums come out real.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sterna.gen.floatnet import (
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.golden.errors import NetworkError
from sterna.golden.network import Input
from sterna.golden.rule import MAX_SHIFT

__all__ = [
    "affine", "float_logits", "input_stream", "join", "merge_shifts", "pool", "real_drive",
    "scan_real", "walk", "weighted_sum",
]  # fmt: skip

Weighted = FloatConv2d | FloatLinear
SAME_AMPLITUDE = 1e-6  # relative difference up to which two amplitudes are one
CHUNK = 32  # images whose windows are gathered at a time


def input_stream(node: FloatInput, images: np.ndarray, steps: int) -> np.ndarray:
    """Pixels [1,B,C,H,W] of a direct input, else the coded spikes [T,B,C,H,W]; uint8."""
    from sterna.golden.coding import encode

    if node.coding == "direct":
        return images[None]
    return encode(Input(node.name, node.shape, node.coding, node.bits, node.seed), images, steps)


def weighted_sum(node: Weighted, weight: np.ndarray, stream: np.ndarray) -> np.ndarray:
    """sum of weight * stream over the window, zero padding; float32 [T,B,O,OH,OW].

    Exact for integer weights while the sums stay under 2**24. ``weight`` stands in for the
    node's own (trits instead of real values).
    """
    t, b = stream.shape[:2]
    w = weight.reshape(len(weight), -1).astype(np.float32)
    if isinstance(node, FloatLinear):
        return (stream.reshape(t * b, -1).astype(np.float32) @ w.T).reshape(t, b, -1, 1, 1)
    flat = stream.reshape(t * b, *stream.shape[2:])
    parts = [_conv(node, w, flat[k : k + CHUNK]) for k in range(0, t * b, CHUNK)]
    out = np.concatenate(parts)
    return out.reshape(t, b, *out.shape[1:])


def _conv(node: FloatConv2d, w: np.ndarray, x: np.ndarray) -> np.ndarray:
    top, bottom, left, right = node.padding
    kh, kw = node.weight.shape[2:]
    (sh, sw), g = node.stride, node.groups
    x = np.pad(x.astype(np.float32), ((0, 0), (0, 0), (top, bottom), (left, right)))
    win = sliding_window_view(x, (kh, kw), axis=(2, 3))[:, :, ::sh, ::sw]
    n, c, oh, ow = win.shape[:4]
    win = win.reshape(n, g, c // g, oh, ow, kh, kw).transpose(0, 1, 3, 4, 2, 5, 6)
    flat = win.reshape(n, g, oh * ow, -1)
    out = flat @ w.reshape(g, len(w) // g, -1).transpose(0, 2, 1)
    return out.transpose(0, 1, 3, 2).reshape(n, len(w), oh, ow)


def pool(node: FloatPool, stream: np.ndarray) -> np.ndarray:
    """Pooled stream in integer units ('avg' is the sum, its divisor is in the amplitude)."""
    win = sliding_window_view(stream, node.kernel, axis=(3, 4))
    win = win[:, :, :, :: node.stride[0], :: node.stride[1]]
    if node.mode in ("sum", "avg"):
        return win.sum((-2, -1), dtype=np.uint32)
    out = win.max((-2, -1))
    if node.mode == "first":  # the earliest step in which any of the window fires, only
        out = out * (np.cumsum(out, 0) == 1)
    return out.astype(np.uint8)


def merge_shifts(network: FloatNetwork, node: FloatMerge) -> tuple[int, ...]:
    """Left shift that brings each input of a merge to the smallest amplitude among them.

    NetworkError where two amplitudes are no power of two apart, or differ in a boolean merge.
    """
    amplitudes = [network.amplitude[n] for n in node.inputs]
    least = node.inputs[int(np.argmin(amplitudes))]
    out = []
    for name, amplitude in zip(node.inputs, amplitudes, strict=True):
        ratio = amplitude / network.amplitude[least]
        shift = round(float(np.log2(ratio)))
        meets = shift <= MAX_SHIFT and abs(ratio / 2.0**shift - 1) <= SAME_AMPLITUDE
        if not meets or (shift and node.mode not in ("add", "concat")):
            powers = "" if node.mode in ("add", "concat") else f", and '{node.mode}' needs 1 : 1"
            raise NetworkError(
                f"node '{node.name}': inputs '{least}' and '{name}' have amplitudes 1 : {ratio:g}, "
                f"not a power of two up to 2**{MAX_SHIFT}{powers}; tie the amplitudes in training"
            )
        out.append(shift)
    return tuple(out)


def join(node: FloatMerge, streams: list[np.ndarray], shifts: tuple[int, ...]) -> np.ndarray:
    """Merged stream in integer units of the smallest amplitude; ``shifts``: ``merge_shifts``."""
    scaled = [s.astype(np.uint32) << k for s, k in zip(streams, shifts, strict=True)]
    if node.mode == "add":
        return np.asarray(np.sum(scaled, axis=0, dtype=np.uint32))
    if node.mode == "concat":
        return np.concatenate(scaled, axis=2)
    out = streams[0] > 0
    for s in streams[1:]:
        out = {"or": out | (s > 0), "and": out & (s > 0), "andnot": out & (s == 0)}[node.mode]
    return out.astype(np.uint8)


def scan_real(
    x: np.ndarray, node: FloatNeuron | FloatReadout, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """(spikes uint8 [T,B,C,H,W], last membrane [B,C,H,W]) of float neurons driven by x (real)."""
    synapse = 1.0 if node.synapse == "ramp" else node.synapse
    cols = lambda p: np.asarray(p, np.float64).reshape(-1, 1, 1)  # noqa: E731
    threshold = cols(node.threshold)
    back = threshold if node.reset_by is None else cols(node.reset_by)
    bias = np.asarray(0.0 if node.bias is None else node.bias, np.float64)
    v = np.zeros(x.shape[1:]) + cols(node.v_init)
    i: np.ndarray | None = None
    done = np.zeros(x.shape[1:], bool)
    fired = np.zeros((steps, *x.shape[1:]), np.uint8)
    for t in range(steps):
        drive = x[t if len(x) > 1 else 0] + cols(bias[t] if bias.ndim == 2 else bias)
        if synapse is not None:
            drive = i = drive if i is None else float(synapse) * i + drive
        u = np.where(done, v, node.leak * v + drive)
        spike = (u > threshold if node.strict else u >= threshold) & ~done
        fired[t] = spike
        v = u
        if node.reset == "subtract":
            v = u - back * spike
        elif node.reset == "zero":
            v = np.where(spike, 0.0, u)
        elif node.reset == "once":
            done |= spike
    if isinstance(node, FloatNeuron) and node.delay:
        fired = np.concatenate([np.zeros_like(fired[:1]), fired[:-1]])
    return fired, v


def real_drive(network: FloatNetwork, node: FloatNeuron | FloatReadout,
               streams: dict[str, np.ndarray]) -> np.ndarray:  # fmt: skip
    """The real input x of a neuron: weighted sums behind bias and batch norm, plus spikes, behind
    the neuron's own batch norm."""
    total: np.ndarray | None = None
    for name in node.inputs:
        source = network.by_name[name]
        if isinstance(source, Weighted):
            unit = network.amplitude[source.input]
            x = weighted_sum(source, source.weight, streams[source.input]).astype(np.float64) * unit
            gain, offset = affine(source)
            x = x * gain.reshape(-1, 1, 1) + offset.reshape(-1, 1, 1)
        else:
            x = streams[name] * network.amplitude[name]
        total = x if total is None else total + x
    if total is None:
        raise NetworkError(f"node '{node.name}': has no inputs; connect it")
    if isinstance(node, FloatNeuron) and node.norm is not None:
        gain, offset = node.norm.affine()
        total = total * gain.reshape(-1, 1, 1) + offset.reshape(-1, 1, 1)
    return total


def affine(node: Weighted) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset) float64 (O,) between the weighted sum and the neuron: bias, batch norm."""
    channels = len(node.weight)
    bias = np.zeros(channels) if node.bias is None else np.asarray(node.bias, np.float64)
    if node.norm is None:
        return np.ones(channels), bias
    gain, offset = node.norm.affine()
    return gain, gain * bias + offset


def float_logits(network: FloatNetwork, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Real logits [B,n] of uint8 images (frames: [T,B,C,H,W])."""
    axis = 1 if network.input.coding == "frames" else 0
    count = images.shape[axis]
    parts = [
        _logits(network, np.take(images, range(k, min(k + batch, count)), axis))
        for k in range(0, count, batch)
    ]
    return np.concatenate(parts)


def _logits(network: FloatNetwork, images: np.ndarray) -> np.ndarray:
    for node, streams in walk(network, images):
        if isinstance(node, FloatReadout):
            x = real_drive(network, node, streams)
            if node.mode == "first_spike":  # membranes are compared as they are at the first spike
                node = replace(node, reset="once")
            fired, v = scan_real(x, node, network.steps)
            if node.mode == "membrane":
                return v.reshape(len(v), -1)
            if node.mode == "count":
                return fired.sum(0).reshape(fired.shape[1], -1).astype(np.float64)
            return _first_spike(fired, v)
    raise AssertionError("a FloatNetwork ends in a readout")


def _first_spike(fired: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Earlier is larger; classes that never fire rank below by their membrane."""
    steps = len(fired)
    first = np.where(fired.any(0), fired.argmax(0), steps)
    rank = np.where(first < steps, 10.0 * (steps - first), 0.0)
    return (rank + 1 / (1 + np.exp(-v))).reshape(fired.shape[1], -1)


def walk(
    network: FloatNetwork, images: np.ndarray
) -> Iterator[tuple[FloatNeuron | FloatReadout, dict[str, np.ndarray]]]:
    """Each neuron layer and readout with the streams computed so far (integer units)."""
    streams: dict[str, np.ndarray] = {}
    for node in network.nodes:
        if isinstance(node, FloatInput):
            streams[node.name] = input_stream(node, images, network.steps)
        elif isinstance(node, FloatPool):
            streams[node.name] = pool(node, streams[node.input])
        elif isinstance(node, FloatMerge):
            parts = [streams[n] for n in node.inputs]
            streams[node.name] = join(node, parts, merge_shifts(network, node))
        elif isinstance(node, FloatReadout):
            yield node, streams
        elif isinstance(node, FloatNeuron):
            yield node, streams
            if node.name not in streams:  # the caller may put the integer neuron's spikes here
                x = real_drive(network, node, streams)
                streams[node.name], _ = scan_real(x, node, network.steps)
