"""torch's sums, products and totals over time, as expressions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sterna.front.expression import Expr, at
from sterna.front.pytorch.functions import FUNCTIONS, bound, constant, handles, lifted, stack
from sterna.golden.errors import NetworkError

__all__: list[str] = []


def affine(path: str, source: Expr, gain: Any, offset: Any, shape: Any) -> Expr:
    return Expr("affine", path, (source,), {"gain": gain, "offset": offset}, tuple(shape))


def _constant(path: str, source: Expr, value: Any) -> Any:
    """A number, or (C,), of a constant that meets a stream."""
    array = constant(value)
    if array.size and (array == array.flat[0]).all():
        return float(array.flat[0])
    axes = len(source.shape)
    if array.ndim == axes and len(array) == source.shape[0]:  # of each image
        if (array != array[:1]).any():
            raise NetworkError(
                f"{at(path)}: a constant differs from image to image of the example (random, or "
                "made for this batch), which cannot be built; use one for all images"
            )
        array = array[:1]
    full = (1,) * (axes - array.ndim) + array.shape
    if axes >= 2 and full[1] == source.shape[1] and array.size == source.shape[1]:
        return array.reshape(-1)
    raise NetworkError(
        f"{at(path)}: a constant of shape {array.shape} meets a stream of {source.shape[1:]}, "
        "which cannot be built; only a number, or one for each channel, can"
    )


@handles("add", "add_", "__add__", "__radd__", "__iadd__")
@lifted
def _add(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b, alpha = bound("input other alpha", args, kwargs, alpha=1).values()
    return _added(path, a, b, float(alpha), shape)


def _added(path: str, a: Any, b: Any, factor: float, shape: Any) -> Expr:
    """a + factor*b, of which one at least is a stream."""
    if isinstance(b, Expr):
        b = b if factor == 1 else affine(path, b, factor, 0.0, shape)
        if isinstance(a, Expr):
            return Expr("add", path, (a, b), {}, tuple(shape))
        stream, value = b, _constant(path, b, a)
    else:
        stream, value = a, np.multiply(factor, _constant(path, a, b))
    if np.all(value == 0) and tuple(stream.shape) == tuple(shape):
        return stream
    return affine(path, stream, 1.0, value, shape)


@handles("sub", "sub_", "__sub__", "__isub__", "subtract")
@lifted
def _sub(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b, alpha = bound("input other alpha", args, kwargs, alpha=1).values()
    return _added(path, a, b, -float(alpha), shape)


@handles("rsub", "__rsub__")
@lifted
def _rsub(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b, alpha = bound("input other alpha", args, kwargs, alpha=1).values()
    return _added(path, b, a, -float(alpha), shape)


@handles("neg", "__neg__")
@lifted
def _neg(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    return affine(path, bound("input", args, kwargs)["input"], -1.0, 0.0, shape)


@handles("mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply")
@lifted
def _mul(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b = bound("input other", args, kwargs).values()
    if isinstance(a, Expr) and isinstance(b, Expr):
        return Expr("mul", path, (a, b), {}, tuple(shape))
    stream, constant = (a, b) if isinstance(a, Expr) else (b, a)
    return affine(path, stream, _constant(path, stream, constant), 0.0, shape)


@handles("div", "div_", "__truediv__", "__itruediv__", "true_divide")
@lifted
def _div(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b = bound("input other", args, kwargs).values()
    if isinstance(b, Expr):
        raise NetworkError(
            f"{at(path)}: a division by a stream cannot be built; divide by a constant, or use "
            "BatchNorm2d"
        )
    gain = 1.0 / np.asarray(_constant(path, a, b), np.float64)
    return affine(path, a, float(gain) if gain.ndim == 0 else gain, 0.0, shape)


def _reduce(mean: bool) -> Callable[..., Expr]:
    def handle(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
        a = bound("input dim keepdim", args, kwargs, dim=None, keepdim=False)
        source = a["input"]
        axes = len(source.shape)
        dims = range(axes) if a["dim"] is None else np.ravel(a["dim"]).tolist()
        dims = tuple(sorted(int(d) % axes for d in dims))
        if (
            source.kind == "stack"
            and not source.values["merged"]
            and dims == (source.values["dim"],)
        ):
            return Expr("total", path, source.args, {"mean": mean}, tuple(out.shape))
        if source.kind != "stack" and axes == 4 and dims == (2, 3):
            size = tuple(source.shape[2:])
            divisor = None if mean else 1
            values = {
                "op": "avg",
                "kernel": size,
                "stride": size,
                "padding": (0, 0),
                "divisor": divisor,
            }
            return Expr("pool", path, (source,), values, tuple(out.shape))
        if source.kind == "stack" and not source.values["merged"] and dims == (3, 4):
            each = [handle(rec, path, out[0], [s, (2, 3)], {}) for s in source.args]
            return stack(path, each, tuple(out.shape))
        raise NetworkError(
            f"{at(path)}: a {'mean' if mean else 'sum'} over axes {dims} of {source.shape} "
            "cannot be built; one over time, or over the whole map (2, 3), can"
        )

    return handle


FUNCTIONS["sum"], FUNCTIONS["mean"] = _reduce(False), _reduce(True)
