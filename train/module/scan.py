"""The neuron over all T steps as one autograd function.

The forward pass is ``golden.exact.scan`` in floating point (with ``rounding`` it is the integer
arithmetic itself, on integer-valued floats); the backward pass is written by hand and needs only
the saved membranes, which makes an epoch about twice as fast as autograd through the loop.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sterna.train.module import fastscan

__all__ = ["ScanSpec", "scan", "triangle"]


@dataclass(frozen=True)
class ScanSpec:
    """What is the same for all channels. ``leak`` and ``synapse`` are factors (synapse None: no
    filter); ``rounding``: decays round half up, as in hardware; ``count``: steps to run;
    ``emit``: 'spikes' or 'membrane' (the membrane after the last step)."""

    count: int
    reset: str = "subtract"
    leak: float = 1.0
    synapse: float | None = None
    delay: int = 0
    strict: bool = False
    rounding: bool = False
    emit: str = "spikes"


def triangle(margin: Tensor, width: Tensor) -> Tensor:
    """Surrogate of d spike / d v: a triangle of area 1, ``width`` = half its base; margin = v -
    threshold. Width 1 threshold is the usual choice (METHODS: 1)."""
    return (1 - (margin / width).abs()).clamp_(min=0) / width


def _decay(x: Tensor, factor: float, rounding: bool) -> Tensor:
    if factor == 1.0:
        return x
    y = x * factor
    return torch.floor_(y + 0.5) if rounding else y


def scan(
    x: Tensor,
    threshold: Tensor,
    reset_by: Tensor,
    v_init: Tensor,
    spec: ScanSpec,
    floor: Tensor | None = None,
) -> Tensor:
    """Spikes [T,B,C,H,W] (or the last membrane [B,C,H,W]) of neurons driven by x; levels and the
    fields of ``spec`` have the names that they have in a rule.

    x is [T,B,C,H,W], or [1,B,C,H,W] for a constant current (computed once); it already holds the
    bias. Levels are (C,). Gradients: triangular surrogate for the spikes, none through the reset;
    they reach x and all levels.
    """
    levels = threshold, reset_by, v_init
    if floor is None and _can_be_fast(x, spec) and fastscan.library() is not None:
        out: Tensor = _FastScan.apply(x, *levels, spec)  # pyright: ignore
    else:
        out = _Scan.apply(x, *levels, floor, spec)  # pyright: ignore
    return out


def _can_be_fast(x: Tensor, spec: ScanSpec) -> bool:
    plain = (
        spec.synapse is None
        and not spec.delay
        and not spec.strict
        and spec.reset in fastscan.RESETS
    )
    return plain and x.device.type == "cpu" and x.dtype == torch.float32


class _FastScan(torch.autograd.Function):
    """``_Scan`` by fastscan.cpp, which saves x instead of the membranes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, threshold: Tensor, reset_by: Tensor, v_init: Tensor, spec: ScanSpec
    ):
        x = x.contiguous()
        params = [p.detach().contiguous() for p in (threshold, reset_by, v_init)]
        ctx.save_for_backward(x, *params)
        ctx.how = (spec.count, spec.reset, spec.leak, spec.rounding, spec.emit)
        return fastscan.forward(x, params, *ctx.how)

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        x, *params = ctx.saved_tensors
        return (*fastscan.backward(x, params, grad, *ctx.how), None)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        threshold: Tensor,
        reset_by: Tensor,
        v_init: Tensor,
        floor: Tensor | None,
        spec: ScanSpec,
    ):
        threshold, reset_by, v_init = (p.view(1, -1, 1, 1) for p in (threshold, reset_by, v_init))
        floor = None if floor is None else floor.view(1, -1, 1, 1)
        steps, shape = spec.count, x.shape[1:]
        # before the reset; like x, whose channels may come last
        membranes = torch.empty_like(x) if len(x) == steps else x.new_empty(steps, *shape)
        spikes = torch.zeros_like(membranes) if spec.delay else torch.empty_like(membranes)
        v: Tensor = v_init.expand(shape)
        i: Tensor | None = None
        alive: Tensor | None = None
        for t in range(steps):
            drive = x[t if x.shape[0] > 1 else 0]
            if spec.synapse is not None:
                drive = drive if i is None else _decay(i, spec.synapse, spec.rounding) + drive
                i = drive
            u = membranes[t]
            torch.add(_decay(v, spec.leak, spec.rounding), drive, out=u)
            if alive is not None:  # frozen once fired
                u.copy_(torch.where(alive, u, v))
            if spec.reset == "none":
                v = _not_below(floor, u)
                if spec.emit == "membrane":
                    continue
            fire = u > threshold if spec.strict else u >= threshold
            if alive is not None:
                fire &= alive
            if t + spec.delay < steps:
                spikes[t + spec.delay] = fire
            if spec.reset == "subtract":
                v = torch.where(fire, u - reset_by, u)
            elif spec.reset == "zero":
                v = u.masked_fill(fire, 0.0)
            elif spec.reset == "once":
                alive = ~fire if alive is None else alive & ~fire
                v = u
            v = _not_below(floor, v)
        ctx.spec, ctx.constant = spec, x.shape[0] == 1 and steps > 1
        ctx.save_for_backward(membranes, threshold, reset_by, floor)
        return _not_below(floor, membranes[-1]).clone() if spec.emit == "membrane" else spikes

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        spec: ScanSpec = ctx.spec
        membranes, threshold, reset_by, floor = ctx.saved_tensors
        steps = spec.count
        width = threshold.abs().clamp(min=1e-6)
        gx = torch.empty_like(membranes)
        gv = torch.zeros_like(membranes[0])  # d loss / d v after the reset of step t
        gi = torch.zeros_like(gv) if spec.synapse is not None else None
        gthr = torch.zeros_like(threshold) if ctx.needs_input_grad[1] else None
        gback = torch.zeros_like(reset_by) if ctx.needs_input_grad[2] else None
        gfloor = torch.zeros_like(floor) if ctx.needs_input_grad[4] else None
        first = _first_fire(membranes, threshold, spec) if spec.reset == "once" else None
        for t in reversed(range(steps)):
            u = membranes[t]
            margin = u - threshold
            fire = (margin > 0 if spec.strict else margin >= 0).to(u.dtype)
            last = spec.emit == "membrane" and t == steps - 1
            if floor is not None:
                after = u - reset_by * fire if spec.reset == "subtract" else u
                after = u * (1 - fire) if spec.reset == "zero" else after
                below = after < floor
                ends = grad * (u < floor) if last else 0.0
                if gfloor is not None:
                    gfloor += (gv * below + ends).sum((0, 2, 3), keepdim=True)
                gv = gv * ~below
            if spec.reset == "subtract" and gback is not None:
                gback -= (gv * fire).sum((0, 2, 3), keepdim=True)
            gu = gv * (1 - fire) if spec.reset == "zero" else gv
            if first is not None:  # a frozen membrane passes its gradient on, unchanged
                gu = gv * (t <= first)
            if spec.emit == "membrane":
                if last:
                    gu = gu + (grad if floor is None else grad * (u >= floor))
            elif t + spec.delay < steps:
                gs = grad[t + spec.delay]
                if first is not None:
                    gs = gs * (t <= first)
                surrogate = triangle(margin, width).mul_(gs)
                if gthr is not None:
                    gthr -= surrogate.sum((0, 2, 3), keepdim=True)
                gu = gu + surrogate
            if gi is not None:
                assert spec.synapse is not None
                gi = gi * spec.synapse + gu
                gx[t] = gi
            else:
                gx[t] = gu
            gv = gu * spec.leak if spec.leak != 1.0 else gu
        gv_init = gv.sum((0, 2, 3), keepdim=True) if ctx.needs_input_grad[3] else None
        if ctx.constant:
            gx = gx.sum(0, keepdim=True)
        sums = [None if g is None else g.flatten() for g in (gthr, gback, gv_init, gfloor)]
        return (gx, *sums, None)


def _not_below(floor: Tensor | None, v: Tensor) -> Tensor:
    return v if floor is None else torch.maximum(v, floor)


def _first_fire(membranes: Tensor, threshold: Tensor, spec: ScanSpec) -> Tensor:
    """Step of the first spike, T where none, [B,C,H,W]."""
    fired = membranes > threshold if spec.strict else membranes >= threshold
    return torch.where(fired.any(0), fired.to(torch.uint8).argmax(0), spec.count)
