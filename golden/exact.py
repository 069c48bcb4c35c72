"""The exact model: what every design must reproduce bit for bit (docs/arithmetic.md).

Two ways to the same numbers: the oracle (int32 convolutions on the CPU) and the fast path
(float32 convolutions, whose every partial sum is an integer below 2**22). Tests compare them.
"""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.golden.bounds import RANK_BITS, RuleBounds, node_bounds
from sterna.golden.coding import check_images, encode
from sterna.golden.errors import UsageError
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
from sterna.golden.rule import Decay, NeuronRule
from sterna.golden.step import State
from sterna.golden.words import values
from sterna.golden.words.given import images_of
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages

with packages():
    import torch
    import torch.nn.functional as F

__all__ = ["run", "scan", "Scan", "decay", "full_precision"]

FAST_LIMIT = 1 << 22
"""The float32 path is used below this sum of absolute values: 2 bits inside the 24-bit mantissa."""
CHUNK = 1 << 24
"""Most values of one traced stream held at a time; larger batches are cut."""

Tensor = torch.Tensor


def decay(x: Tensor, d: Decay) -> Tensor:
    """``(num*x + 2**(shift-1)) >> shift`` for integers held in any int or float type."""
    if not x.is_floating_point():
        return d(x)
    return torch.floor((x * d.num + (1 << (d.shift - 1))) / (1 << d.shift))


@dataclass(eq=False)
class Scan:
    """spikes uint8 [T,B,C,...] after the delay; v the membrane after T; ``record`` the registers
    asked for, each [T,B,C,...]."""

    spikes: Tensor
    v: Tensor
    record: dict[str, Tensor] = field(default_factory=dict)


def scan(
    x: Tensor | Sequence[Tensor],
    rule: NeuronRule,
    steps: int,
    spikes: Sequence[Tensor] = (),
    record: Iterable[str] = (),
) -> Scan:
    """The neuron's software: the whole rule of ``NeuronRule`` on tensors.

    x : the weighted sums, one tensor or one for each of ``rule.shifts``, [T,B,C,...] or, the same
        at every step, [1,B,C,...]; int32, int64, or float64 holding integers (the caller sees to
        it that no register passes the type: ``bounds.node_bounds`` says how large they get)
    spikes : the spike inputs, one for each of ``rule.coef``, same axes, any type
    record : of 'x', 'drive', 'current', 'u' (before the reset), 'fired' (before the delay), 'v'

    UsageError where the number or shape of the inputs does not fit the rule.
    """
    xs = [x] if isinstance(x, Tensor) else list(x)
    if not xs or len(xs) != len(rule.shifts) or len(spikes) != len(rule.coef):
        raise UsageError(
            f"scan: {len(xs)} weighted and {len(spikes)} spike inputs for a rule with "
            f"{len(rule.shifts)} shifts and {len(rule.coef)} coefficients"
        )
    for a in (*xs, *spikes):
        if a.ndim < 3 or len(a) not in (1, steps) or a.shape[1:] != xs[0].shape[1:]:
            raise UsageError(
                f"scan: input of shape {tuple(a.shape)} beside {tuple(xs[0].shape)}; "
                f"all need [{steps} or 1, B, {rule.channels}, ...]"
            )
    if xs[0].shape[2] != rule.channels:
        raise UsageError(f"scan: {xs[0].shape[2]} channels for a rule of {rule.channels}")
    dtype, device = xs[0].dtype, xs[0].device

    def channel(a: Any) -> Tensor:
        shape = (rule.channels,) + (1,) * (xs[0].ndim - 3)
        return torch.tensor(np.asarray(a), dtype=dtype, device=device).reshape(shape)

    shifted = [a * (1 << s) for a, s in zip(xs, rule.shifts)]
    shifted += [s.to(dtype) * channel(c) for s, c in zip(spikes, rule.coef)]
    state = State(
        channel(rule.v_init).expand(xs[0].shape[1:]),
        torch.zeros((), dtype=dtype, device=device),
        torch.zeros(xs[0].shape[1:], dtype=torch.bool, device=device),
    )
    step = rule.step(torch.where, channel, decay)
    out = torch.zeros((steps, *xs[0].shape[1:]), dtype=torch.uint8, device=device)
    seen: dict[str, list[Tensor]] = {name: [] for name in record}
    constant = all(len(a) == 1 for a in shifted) and rule.bias_at(0) is rule.bias
    drive = total = None
    for t in range(steps):
        if drive is None or total is None or not constant:  # pixels: the current comes once
            total = sum((a[t % len(a)] for a in shifted[1:]), start=shifted[0][t % len(shifted[0])])
            drive = total * (1 << rule.fraction_bits) + channel(rule.bias_at(t))
        u, fired = step(state, drive)
        if t + rule.delay < steps:
            out[t + rule.delay] = fired
        now = {"x": total, "drive": drive, "current": state.i, "u": u, "fired": fired, "v": state.v}
        for name, kept in seen.items():
            kept.append(now[name].expand(out.shape[1:]))
    return Scan(out, state.v, {name: torch.stack(kept) for name, kept in seen.items()})


@contextmanager
def full_precision() -> Generator[None]:
    """float32 means float32: no autocast, TF32, bfloat16 or Winograd, whatever the caller set.

    Without cuDNN a convolution is im2col and a matrix product: sums of products in some order,
    which is exact for small integers; Winograd and FFT, which cuDNN may choose, are not.
    """
    b: Any = torch.backends
    if hasattr(b.mkldnn, "conv"):  # torch >= 2.9
        spots = [
            (m, "fp32_precision", "ieee") for m in (b.mkldnn.conv, b.mkldnn.matmul, b.cuda.matmul)
        ]
    else:
        spots = [(b.cuda.matmul, "allow_tf32", False)]
    saved = [getattr(module, name) for module, name, _ in spots]
    try:
        for module, name, value in spots:
            setattr(module, name, value)
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            b.cudnn.flags(enabled=False),
            b.nnpack.flags(enabled=False),
        ):
            yield
    finally:
        for (module, name, _), value in zip(spots, saved):
            setattr(module, name, value)


def run(
    network: Network,
    images: Any,
    trace: Iterable[str] | str = (),
    exact: bool = False,
    device: str | torch.device | None = None,
    batch: int = 256,
) -> Result:
    """Compute the network on images, exactly.

    Parameters
    ----------
    network : Network
    images : integers [B,C,H,W], or [T,B,C,H,W] for 'frames'
        Pixels 0 .. 2**bits - 1, of any integer type; also an `ImageSet`, or (images, labels).
    trace : names, or 'all'
        Neuron, Pool or Merge nodes whose spikes are kept.
    exact : bool
        Use the oracle (int32 on the CPU) for every layer, not only where float32 could round.
    device : str or torch.device, optional
        Of the fast path; default the CPU.
    batch : int
        Images computed at a time; the result does not depend on it.

    Returns
    -------
    Result
        Its spikes are uint8, or wider where the stream's maximum is above 255.

    Raises
    ------
    NetworkError
        A register could pass 32 bits, or a pixel is outside the declared range.
    UsageError
        Images or names do not fit.
    """
    if not isinstance(network, Network):
        raise UsageError(f"run: {show(network)} is not a Network; give sterna.load(FOLDER)")
    names = _traced(network, trace)
    refusal = f"run: batch {show(batch)} must be at least 1"
    batch = values.integer(refusal, batch, 1, 1 << 62, UsageError)
    exact = values.flag(f"run: exact {show(exact)} must be True or False", exact, UsageError)
    place = torch.device("cpu") if exact or device is None else _usable(device)
    pixels = check_images(network.input, images_of(images)[0], network.steps)
    axis = 1 if network.input.coding == "frames" else 0
    neurons = [n for n in network.order if isinstance(network[n], NeuronNode)]
    bounds = {n: node_bounds(network, n) for n in neurons}
    largest = max(math.prod(s) for s in network.shape.values())
    batch = min(batch, max(1, CHUNK // (largest * network.steps)))
    total = pixels.shape[axis]
    spikes = {
        n: np.empty(
            (network.steps, total, *network.shape[n]), np.min_scalar_type(network.maximum[n])
        )
        for n in names
    }
    logits = np.empty((total, network.shape[network.readout.name][0]), np.int32)
    model = _Model(network, bounds, exact, place)
    with full_precision():
        for start in range(0, total, batch):
            part = slice(start, min(total, start + batch))
            cut = pixels[:, part] if axis else pixels[part]
            logits[part] = model(cut, {n: a[:, part] for n, a in spikes.items()})
    return Result(logits, np.argmax(logits, axis=1).astype(np.int64), spikes)


def _usable(device: Any) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(1, device=place).item()  # 'meta', or a GPU that is not there, ends here
    except Exception as error:  # torch has no base for what its devices raise
        text = " ".join(str(error).split())[:120]
        raise UsageError(
            f"run: device {show(device)} cannot be used here ({text}); leave it out"
        ) from None
    return place


def _traced(network: Network, trace: Iterable[str] | str) -> list[str]:
    spiking = [n for n in network.order if network.makes(n) == "spikes" and network[n].inputs]
    if isinstance(trace, str) and trace == "all":
        return spiking
    asked = values.names(
        trace,
        lambda given: f"run: trace {given} must be 'all' or names of nodes",
        UsageError,
        ordered=False,
    )
    for name in asked:
        if name not in spiking:
            raise UsageError(
                f"run: cannot trace '{name}'; nodes with spikes are {', '.join(spiking) or 'none'}"
            )
    return [n for n in spiking if n in asked]


class _Model:
    """One network on one device; calling it runs one chunk of images."""

    def __init__(
        self,
        network: Network,
        bounds: dict[str, RuleBounds],
        exact: bool,
        device: torch.device,
    ) -> None:
        self.network, self.bounds, self.exact, self.device = network, bounds, exact, device
        self.last_reader = {i: n for n in network.order for i in network[n].inputs}

    def __call__(self, images: np.ndarray, spikes: dict[str, np.ndarray]) -> np.ndarray:
        streams: dict[str, Tensor] = {}
        for name in self.network.order:
            node = self.network[name]
            if isinstance(node, Input):
                # A copy: torch takes no negative strides, and warns of what is read-only.
                coded = np.array(encode(node, images, self.network.steps), order="C")
                streams[name] = torch.from_numpy(coded).to(self.device)
            else:
                inputs = [streams[i] for i in node.inputs]
                compute = next(f for kind, f in _ARITHMETIC.items() if isinstance(node, kind))
                streams[name] = compute(self, node, inputs)
            if name in spikes:
                spikes[name][...] = streams[name].cpu().numpy()
            for i in set(node.inputs):
                if self.last_reader[i] == name:
                    del streams[i]
        return streams[self.network.readout.name].to(torch.int32).cpu().numpy()

    def weighted(self, node: WeightedNode, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        weight = torch.from_numpy(node.weight.copy())
        largest = int(weight.reshape(len(weight), -1).abs().sum(1, dtype=torch.int64).max())
        fast = not self.exact and largest * self.network.maximum[node.input] < FAST_LIMIT
        kind = torch.float32 if fast else torch.int32
        place = self.device if fast else torch.device("cpu")
        weight, folded = weight.to(place, kind), x.flatten(0, 1).to(place, kind)
        y = _sums(node, folded, weight)
        return y.to(self.device, torch.int32).unflatten(0, x.shape[:2])

    def _scan(self, node: NeuronNode, inputs: list[Tensor], record: Sequence[str] = ()) -> Scan:
        wide = torch.int32 if _fits_int32(node.rule, self.bounds[node.name]) else torch.int64
        pairs = list(zip(node.inputs, inputs))
        weighted = [a.to(wide) for i, a in pairs if self.network.is_weighted(i)]
        spikes = [a for i, a in pairs if not self.network.is_weighted(i)]
        return scan(weighted, node.rule, self.network.steps, spikes, record)

    def readout(self, node: Readout, inputs: list[Tensor]) -> Tensor:
        steps = self.network.steps
        if node.mode == "first_spike":
            done = self._scan(node, inputs, ("fired", "v"))
            fired = done.record["fired"].flatten(2).to(torch.int64)
            first = (fired.cumsum(0) == 0).sum(0, keepdim=True)  # T where it never fired
            after = done.record["v"].flatten(2).to(torch.int64)
            v = after.gather(0, first.clamp(max=steps - 1))
            rank = v + (1 << (RANK_BITS - 1))
            early = ((steps - first) << RANK_BITS) + rank
            return torch.where(first < steps, early, rank)[0]
        if node.mode == "count":
            return self._scan(node, inputs).spikes.sum(0, dtype=torch.int64).flatten(1)
        return self._scan(node, inputs).v.flatten(1)

    def neurons(self, node: Neuron, inputs: list[Tensor]) -> Tensor:
        return self._scan(node, inputs).spikes

    def stream(self, node: StreamNode, inputs: list[Tensor]) -> Tensor:
        small = not self.network.is_weighted(node.name) and self.network.maximum[node.name] < 256
        held = torch.uint8 if small else torch.int32
        return node.compute(torch, [a.to(held) for a in inputs]).to(held)


def _sums(node: WeightedNode, x: Tensor, weight: Tensor) -> Tensor:
    if node.flattens:
        return (x.flatten(1) @ weight.T)[..., None, None]
    weight = node.kernels(weight)
    top, bottom, left, right = node.padding
    x = F.pad(x, (left, right, top, bottom))
    if node.dilation != (1, 1):  # torch has no dilated convolution of integers: zeros between
        wide = weight.new_zeros(*weight.shape[:2], *node.extent)
        wide[..., :: node.dilation[0], :: node.dilation[1]] = weight
        weight = wide
    return F.conv2d(x, weight, stride=node.stride, groups=node.groups)


_ARITHMETIC: dict[type, Callable[..., Tensor]] = {
    StreamNode: _Model.stream,
    WeightedNode: _Model.weighted,
    Neuron: _Model.neurons,
    Readout: _Model.readout,
}
"""Of all kinds but the input."""


def _fits_int32(rule: NeuronRule, b: RuleBounds) -> bool:
    """No intermediate of ``scan`` passes 32 bits (its registers never do: ``node_bounds``)."""
    size = lambda span: max(abs(span[0]), abs(span[1]))  # noqa: E731
    times = lambda d: d.num if isinstance(d, Decay) else 1  # noqa: E731
    assert rule.bias is not None
    largest = (
        (size(b.x) << rule.fraction_bits) + int(np.abs(rule.bias.astype(np.int64)).max()),
        size(b.current) * times(rule.synapse) + 4096 + size(b.drive),
        max(size(b.v), size(b.u)) * times(rule.leak) + 4096 + size(b.current),
        size(b.u) + size(b.reset),
    )
    return max(largest) < 2**31
