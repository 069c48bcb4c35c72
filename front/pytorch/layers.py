"""torch's convolutions, linear layers, norms and pools, as expressions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sterna.front.expression import Expr, at
from sterna.front.pytorch.functions import axes_of, bound, constant, handles, lifted
from sterna.golden.errors import NetworkError

__all__: list[str] = []


def _conv(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a = bound(
        "input weight bias stride padding dilation groups",
        args,
        kwargs,
        bias=None,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
    )
    weight = constant(a["weight"])
    flat = weight.ndim == 3  # a Conv1d is a map of height 1
    if flat:
        weight = weight[:, :, None, :]
    kernel = weight.shape[2:]
    dilation, stride = axes_of(a["dilation"], flat, 1), axes_of(a["stride"], flat, 1)
    padding = a["padding"]
    if padding == "valid":
        edges = (0, 0, 0, 0)
    elif padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        edges = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    else:
        y, x = axes_of(padding, flat, 0)
        edges = (y, y, x, x)
    values = {
        "weight": weight,
        "bias": constant(a["bias"]),
        "stride": stride,
        "padding": edges,
        "dilation": dilation,
        "groups": int(a["groups"]),
    }
    return Expr("conv", path, (a["input"],), values, tuple(shape))


handles("conv2d", "conv1d")(lifted(_conv))


@handles("linear")
@lifted
def _linear(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a = bound("input weight bias", args, kwargs, bias=None)
    if len(shape) != 2:
        raise NetworkError(
            f"{at(path)}: a linear layer of {len(shape)} axes works along the last one only; "
            "flatten its input first"
        )
    values = {"weight": constant(a["weight"]), "bias": constant(a["bias"])}
    return Expr("linear", path, (a["input"],), values, tuple(shape))


@handles("matmul", "__matmul__", "mm")
@lifted
def _matmul(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a, b = bound("input other", args, kwargs).values()
    if not isinstance(a, Expr) or isinstance(b, Expr) or len(shape) != 2:
        raise NetworkError(
            f"{at(path)}: only a stream [B, n] times a matrix of constants can be built, x @ w; "
            "use nn.Linear"
        )
    return Expr("linear", path, (a,), {"weight": constant(b).T, "bias": None}, tuple(shape))


@handles("batch_norm")
@lifted
def _batch_norm(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a = bound(
        "input running_mean running_var weight bias training momentum eps cudnn_enabled",
        args,
        kwargs,
        weight=None,
        bias=None,
        training=False,
        eps=1e-5,
    )
    if a["training"] or a["running_mean"] is None:
        raise NetworkError(
            f"{at(path)}: its batch norm has no running mean; train it with "
            "track_running_stats, and call model.eval()"
        )
    mean, var = constant(a["running_mean"]), constant(a["running_var"])
    gamma = np.ones_like(mean) if a["weight"] is None else constant(a["weight"])
    beta = np.zeros_like(mean) if a["bias"] is None else constant(a["bias"])
    values = {"gamma": gamma, "beta": beta, "mean": mean, "var": var, "eps": float(a["eps"])}
    return Expr("norm", path, (a["input"],), values, tuple(shape))


def _pool(op: str, names: str) -> Callable[..., Expr]:
    def handle(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
        a = bound(
            names,
            args,
            kwargs,
            stride=None,
            padding=0,
            dilation=1,
            ceil_mode=False,
            count_include_pad=True,
            divisor_override=None,
            return_indices=False,
        )
        source = a["input"]
        flat = len(source.shape) == 3
        kernel = axes_of(a["kernel_size"], flat, 1)
        stride = kernel if a["stride"] in (None, (), []) else axes_of(a["stride"], flat, 1)
        pad = axes_of(a["padding"], flat, 0)
        if axes_of(a["dilation"], flat, 1) != (1, 1) or a["return_indices"]:
            raise NetworkError(f"{at(path)}: a dilated pool, or its indices, cannot be built")
        h, w = source.shape[-2:] if not flat else (1, source.shape[-1])
        even = all((n + 2 * p - k) % s == 0 for n, p, k, s in zip((h, w), pad, kernel, stride))
        if a["ceil_mode"] and not even:
            raise NetworkError(
                f"{at(path)}: ceil_mode=True gives windows over the edge, which cannot be "
                "built; pad, or leave it False"
            )
        if op == "avg" and any(pad) and not a["count_include_pad"]:
            raise NetworkError(
                f"{at(path)}: count_include_pad=False divides by another number at the edge, "
                "which cannot be built; use True or no padding"
            )
        values = {
            "op": op,
            "kernel": kernel,
            "stride": stride,
            "padding": pad,
            "divisor": a["divisor_override"],
        }
        return Expr("pool", path, (source,), values, tuple(shape))

    return lifted(handle)


handles("max_pool2d", "max_pool1d")(
    _pool("max", "input kernel_size stride padding dilation ceil_mode return_indices")
)
handles("avg_pool2d")(
    _pool("avg", "input kernel_size stride padding ceil_mode count_include_pad divisor_override")
)


def _adaptive(op: str) -> Callable[..., Expr]:
    def handle(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
        source = bound("input output_size", args, kwargs)["input"]
        (h, w), (oh, ow) = source.shape[-2:], shape[-2:]
        if h % oh or w % ow:
            raise NetworkError(
                f"{at(path)}: an adaptive pool of {h} x {w} to {oh} x {ow} has windows of "
                "different sizes, which cannot be built; choose sizes that divide"
            )
        size = (h // oh, w // ow)
        values = {"op": op, "kernel": size, "stride": size, "padding": (0, 0), "divisor": None}
        return Expr("pool", path, (source,), values, tuple(shape))

    return lifted(handle)


handles("adaptive_avg_pool2d")(_adaptive("avg"))
handles("adaptive_max_pool2d")(_adaptive("max"))


@handles("avg_pool1d")
@lifted
def _vote(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    """Of (B, C) or (B, 1, C): votes of neighbouring outputs, a linear layer of constant weights."""
    names = "input kernel_size stride padding ceil_mode count_include_pad"
    a = bound(names, args, kwargs, stride=None, padding=0, ceil_mode=False)
    source, size = a["input"], int(np.ravel(a["kernel_size"])[0])
    step = size if a["stride"] in (None, (), []) else int(np.ravel(a["stride"])[0])
    count, classes = source.shape[-1], shape[-1]
    if len(source.shape) == 3 and source.shape[1] != 1 or int(np.ravel(a["padding"])[0]):
        raise NetworkError(f"{at(path)}: avg_pool1d of a map cannot be built; use avg_pool2d")
    if a["ceil_mode"] and (count - size) % step:
        raise NetworkError(
            f"{at(path)}: ceil_mode=True gives a window over the edge, which cannot be built; "
            "leave it False"
        )
    weight = np.zeros((classes, count))
    for k in range(classes):
        weight[k, k * step : k * step + size] = 1 / size
    return Expr("linear", path, (source,), {"weight": weight, "bias": None}, tuple(shape))
