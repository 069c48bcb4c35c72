"""Neurons that fire once, seen as firing times.

A stream is kept as planes S[t] = 1 where the neuron has fired at or before step t: T minus their
sum is the firing time, a weighted sum of them is the current of a ramp synapse, the largest of a
window is the earliest of a pool, and nothing that comes after the first spike has to be removed.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from sterna.gen.tools import native_cpp
from sterna.golden.errors import SternaError

__all__ = ["encode_latency", "fire", "firing_times", "has_fired", "library", "membranes", "ramp"]

FLAGS = ("-O3", "-march=native", "-fno-trapping-math")  # sums keep their order: resumed = whole


def encode_latency(images: Tensor, steps: int) -> Tensor:
    """``golden.coding``'s latency code of uint8 images [B,C,H,W] as has-fired planes [T,B,C,H,W]:
    pixel p fires at ((255-p)*T) >> 8, p = 0 never."""
    p = images.int()
    time = torch.where(p > 0, ((255 - p) * steps) >> 8, steps)
    at = torch.arange(steps, device=images.device).view(-1, 1, 1, 1, 1)
    return (time <= at).float()


def ramp(steps: int, device: torch.device) -> Tensor:
    """What a constant drive of 1 adds to the membrane by each step: (t+1)(t+2)/2, float32 (T,)."""
    t = torch.arange(steps, device=device, dtype=torch.float32)
    return (t + 1) * (t + 2) / 2


class _Spec(ctypes.Structure):
    _fields_ = [
        (n, ctypes.c_int64)
        for n in (
            "steps",
            "batch",
            "channels",
            "height",
            "width",
            "pool",
        )
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """fasttime.cpp compiled, None where it cannot be."""
    try:
        return native_cpp.library(Path(__file__).with_name("fasttime.cpp"), FLAGS)
    except SternaError:
        return None


def membranes(x: Tensor, gain: Tensor, offset: Tensor, pool: int = 1) -> Tensor:
    """The largest membrane of each window so far, [T,B,C,H/pool,W/pool].

    x: currents [T,B,C,H,W] of has-fired planes; the membrane is gain * cumsum(x) + offset * ramp.
    gain (not zero) and offset are (C,). A pool of neurons that fire once passes the earliest
    spike, which is that of the largest membrane: gradients go to the neuron and step it is of.
    """
    fast = x.device.type == "cpu" and x.dtype == torch.float32 and library() is not None
    if fast and x.shape[0] * pool * pool < 1 << 15:
        return cast("Tensor", _Membranes.apply(x, gain, offset, pool))
    t, b, c, h, w = x.shape
    start = offset.view(1, -1) * ramp(t, x.device).view(-1, 1)
    v = x.cumsum(0) * gain.view(-1, 1, 1) + start.view(t, 1, c, 1, 1).to(x.dtype)
    if pool > 1:
        v = F.max_pool2d(v.flatten(0, 1), pool).view(t, b, c, h // pool, w // pool)
    return v.cummax(0).values


def _at(*tensors: Tensor) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(t.data_ptr()) for t in tensors]


class _Membranes(torch.autograd.Function):
    """``membranes`` by fasttime.cpp."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, pool: int) -> Tensor:
        t, b, c, h, w = x.shape
        x = x.contiguous()
        gain, offset = gain.float().contiguous(), offset.float().contiguous()
        best = x.new_empty(t, b, c, h // pool, w // pool)
        where = torch.empty(best.shape, dtype=torch.int16)
        lib = library()
        assert lib is not None
        spec = _Spec(t, b, c, h, w, pool)
        lib.time_forward(ctypes.byref(spec), *_at(x, gain, offset, best, where))
        ctx.save_for_backward(best, where, gain, offset)
        ctx.spec = spec
        return best

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        best, where, gain, offset = ctx.saved_tensors
        s = ctx.spec
        grad = grad.contiguous()
        gx = grad.new_empty(s.steps, s.batch, s.channels, s.height, s.width)
        by_best, by_ramp = [torch.zeros(s.channels, dtype=torch.float64) for _ in range(2)]
        lib = library()
        assert lib is not None
        lib.time_backward(ctypes.byref(s), *_at(grad, best, where, gain, gx, by_best, by_ramp))
        ggain = (by_best - offset * by_ramp) / gain  # sum of grad * cumsum(x)
        return gx, ggain.float(), by_ramp.float(), None


def has_fired(best: Tensor, threshold: Tensor, width: Tensor, local: bool) -> Tensor:
    """Has-fired planes 0/1 of membranes [T,B,C,H,W] and thresholds (C,).

    Backward: for each neuron the demand dL/dS[t], by how much the loss falls if it has fired by t.

    exact (``local`` false): dS[t]/dv[t] is a triangle of area 1 and half-width ``width`` (C,)
    around the threshold. Summed over t it is 1 / (dv/dt): the closed form dt/dv = -1/slope of a
    firing time, on a grid and without its pole.

    local: the neuron's wanted displacement is its demand around its own firing step only (silent
    ones fire at T-1), where the membrane is within ``width`` of the threshold and a displacement
    can be had; brought to length 1 over the layer and image. Nothing else passes, and dt/dv is a
    constant, as in S4NN (STiDi-BP, arXiv 2108.13621; window and length are our choice).
    """
    return cast("Tensor", _HasFired.apply(best, threshold, width, local))


class _HasFired(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, best: Tensor, threshold: Tensor, width: Tensor, local: bool) -> Tensor:
        shape = (-1, 1, 1)
        fired = (best >= threshold.view(shape)).to(best.dtype)
        ctx.save_for_backward(best, threshold, width, fired)
        ctx.local = local
        return fired

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        best, threshold, width, fired = ctx.saved_tensors
        per = (1 / width).view(-1, 1, 1)
        over = (best - threshold.view(-1, 1, 1)).mul_(per)
        if ctx.local:
            g = _displacement(grad, fired, over)
        else:
            g = over.abs_().neg_().add_(1).clamp_(min=0).mul_(per).mul_(grad)
        gthr = -g.sum((0, 1, 3, 4)) if ctx.needs_input_grad[1] else None
        return g, gthr, None, None


def _displacement(grad: Tensor, fired: Tensor, over: Tensor) -> Tensor:
    """The gradient of the membranes under the local rule, zero but at the firing steps; ``over``:
    membranes above threshold, in widths."""
    steps = len(grad)
    at = (steps - fired.sum(0, keepdim=True)).long().clamp_(max=steps - 1)
    before = (at - 1).clamp_(min=0)
    near = over.gather(0, at).abs_().neg_().add_(1).clamp_(min=0)
    wanted = (grad.gather(0, at) + grad.gather(0, before)).mul_(near)
    length = wanted[0].flatten(1).norm(dim=1).clamp(min=1e-20)
    return torch.zeros_like(grad).scatter_(0, at, wanted / length.view(1, -1, 1, 1, 1))


def fire(
    x: Tensor,
    gain: Tensor,
    offset: Tensor,
    threshold: Tensor,
    width: Tensor,
    pool: int,
    local: bool,
) -> Tensor:
    """Has-fired planes of (pooled) neurons driven by currents x: ``has_fired`` of ``membranes``."""
    return has_fired(membranes(x, gain, offset, pool), threshold, width, local)


def firing_times(v: Tensor, threshold: float, least_slope: float) -> Tensor:
    """First steps at which v [T,B,n] reaches ``threshold``, T where it never does; float [B,n].

    Backward: dt/dv = -1/slope at that step (the last one of silent neurons)."""
    return cast("Tensor", _Times.apply(v, threshold, least_slope))


class _Times(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, threshold: float, least_slope: float) -> Tensor:
        first = ((v >= threshold).to(torch.int32).cumsum(0) == 0).sum(0, keepdim=True)
        at = first.clamp(max=len(v) - 1)
        before = (at - 1).clamp_(min=0)
        slope = (v.gather(0, at) - v.gather(0, before)).clamp_(min=least_slope)
        ctx.save_for_backward(at, slope)
        ctx.steps = len(v)
        return first[0].to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        at, slope = ctx.saved_tensors
        out = grad.new_zeros(ctx.steps, *grad.shape)
        return out.scatter_(0, at, -grad[None] / slope), None, None
