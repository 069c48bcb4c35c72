"""fastscan.cpp, compiled once and called through ctypes; about twice the speed of the
torch loop on a CPU. Where no C++ compiler is found, training goes on without it.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sterna.gen.tools import native_cpp
from sterna.golden.errors import SternaError

__all__ = ["RESETS", "library", "forward", "backward", "Clip", "SumPool", "is_dense"]

RESETS = {"subtract": 0, "zero": 1, "none": 2}
"""Those of ``golden.step`` that it knows, by their numbers in fastscan.cpp."""
# What -ffast-math stands for, flag by flag: by that name GCC also links a start-up that makes every
# float of the whole process lose its subnormals.
FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-freciprocal-math",
    "-ffinite-math-only",
)


class _Spec(ctypes.Structure):
    _fields_ = [
        (n, ctypes.c_int64)
        for n in (
            "steps",
            "batch",
            "channels",
            "sites",
            "constant",
            "reset",
            "rounding",
            "membrane",
        )
    ] + [("leak", ctypes.c_float)]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel, None where it cannot be compiled."""
    try:
        return native_cpp.library(Path(__file__).with_name("fastscan.cpp"), FLAGS)
    except SternaError:
        return None


def _spec(x: Tensor, steps: int, reset: str, leak: float, rounding: bool, emit: str) -> _Spec:
    return _Spec(
        steps,
        x.shape[1],
        x.shape[2],
        x[0, 0, 0].numel(),
        x.shape[0] == 1,
        RESETS[reset],
        rounding,
        emit == "membrane",
        leak,
    )


def _at(*tensors: Tensor) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(t.data_ptr()) for t in tensors]


def forward(
    x: Tensor, params: list[Tensor], steps: int, reset: str, leak: float, rounding: bool, emit: str
) -> Tensor:
    """Spikes like [T,B,C,H,W], or the last membrane [B,C,H,W]; x contiguous float32."""
    spec = _spec(x, steps, reset, leak, rounding, emit)
    out = x.new_empty(x.shape[1:] if emit == "membrane" else (steps, *x.shape[1:]))
    lib = library()
    assert lib is not None
    lib.scan_forward(ctypes.byref(spec), *_at(x, *params, out))
    return out


def backward(
    x: Tensor,
    params: list[Tensor],
    grad: Tensor,
    steps: int,
    reset: str,
    leak: float,
    rounding: bool,
    emit: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(gradient of x, of threshold, reset_by and v_init, the last three (C,))."""
    spec = _spec(x, steps, reset, leak, rounding, emit)
    gx = torch.empty_like(x)
    sums = [torch.zeros(x.shape[2], dtype=torch.float64) for _ in range(3)]
    lib = library()
    assert lib is not None
    grad = grad.contiguous()
    lib.scan_backward(ctypes.byref(spec), *_at(x, *params, grad, gx, *sums))
    a, b, c = (s.float() for s in sums)
    return gx, a, b, c


def is_dense(x: Tensor) -> bool:
    """Whether the values of a stream [T,B,C,H,W] are one block of memory, which ``empty_like``
    then makes another of in the same order."""
    last = x.ndim == 5 and x.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    return x.is_contiguous() or (last and x.flatten(0, 1).data_ptr() == x.data_ptr())


class SumPool(torch.autograd.Function):
    """Sums of k x k blocks of float32 [N,C,H,W]; several times faster than avg_pool2d."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int) -> Tensor:
        n, c, h, w = x.shape
        ctx.shape, ctx.k = (n, c, h, w), k
        out = x.new_empty(n, c, h // k, w // k)
        lib = library()
        assert lib is not None
        size = [ctypes.c_int64(v) for v in (n * c, h, w, k)]
        x = x.contiguous()  # a name, so that it lives through the call
        lib.pool_forward(*size, *_at(x, out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        n, c, h, w = ctx.shape
        gx = grad.new_empty(n, c, h, w)
        lib = library()
        assert lib is not None
        size = [ctypes.c_int64(v) for v in (n * c, h, w, ctx.k)]
        grad = grad.contiguous()
        lib.pool_backward(*size, *_at(grad, gx))
        return gx, None


class Clip(torch.autograd.Function):
    """``train.module.nq.clip`` of float32 without noise, in one pass each way; channels may be
    last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, levels: int) -> Tensor:
        x = x if is_dense(x) else x.contiguous()
        ctx.save_for_backward(x)
        ctx.how = (ctypes.c_int64(x.numel()), *map(ctypes.c_float, (float(up), float(levels))))
        out = torch.empty_like(x)
        lib = library()
        assert lib is not None
        lib.clip_forward(*ctx.how, *_at(x, out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        (x,) = ctx.saved_tensors
        gx = torch.empty_like(x)  # in the order of x, so the gradient, too
        grad = grad if grad.stride() == x.stride() else torch.empty_like(x).copy_(grad)
        lib = library()
        assert lib is not None
        lib.clip_backward.restype = ctypes.c_double
        g_up = lib.clip_backward(*ctx.how, *_at(x, grad, gx))
        return gx, grad.new_tensor(g_up), None
