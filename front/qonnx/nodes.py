"""QONNX's operations (qonnx 1.0.0) on activations, as expressions and neurons of one step.

An activation quantizer is a sum of steps, one for each of its levels above the lowest: a neuron
that never resets, at T = 1, is one such step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr
from sterna.front.qonnx.constants import number
from sterna.front.qonnx.file import Node
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import show

__all__ = ["ATTRIBUTES", "NODES", "Steps", "Stream", "Walk", "affine", "handles", "refused"]


@dataclass(frozen=True)
class Stream:
    """An activation: its expression, and its shape without the batch: (n,) or (C, H, W)."""

    expr: Expr
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """What a quantizer's tensor is worth to its neurons: neuron k of ``paths`` (from 0) fires where
    the tensor's whole value, ``(value - low) / size``, is above k."""

    tensor: str
    low: Any
    size: Any
    paths: tuple[str, ...]


@dataclass
class Walk:
    """What is known so far: arrays and streams by tensor, neurons by path, quantizers, and what is
    only approximated, by path. ``pixels``: every number that one can be, as the graph sees it."""

    arrays: dict[str, np.ndarray]
    pixels: np.ndarray
    streams: dict[str, Stream] = field(default_factory=dict)
    cells: dict[str, tuple[Cell, Expr]] = field(default_factory=dict)
    steps: list[Steps] = field(default_factory=list)
    approximated: dict[str, str] = field(default_factory=dict)

    def stream(self, node: Node, k: int = 0) -> Stream:
        """The activation that a node reads."""
        name = node.inputs[k] if k < len(node.inputs) else ""
        if name not in self.streams:
            raise refused(node, f"reads {show(name)}, which is no activation")
        return self.streams[name]

    def array(self, node: Node, k: int, missing: Any = None) -> Any:
        """A parameter of a node; ``missing`` where it is left out."""
        name = node.inputs[k] if k < len(node.inputs) else ""
        if name in self.streams:
            raise refused(node, f"its input {k} is computed from the image; it must be stored")
        if name in self.arrays:
            return self.arrays[name]
        if missing is None:
            raise refused(node, f"its input {k} {show(name)} is not in the file")
        return missing


def refused(node: Node, why: str) -> NetworkError:
    return NetworkError(f"node {show(node.path)}: {node.kind}: {why}")


Handler = Callable[[Walk, Node], Stream]
NODES: dict[str, Handler] = {}
ATTRIBUTES: dict[str, frozenset[str]] = {}


def handles(kinds: str, attributes: str = "") -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for kind in kinds.split():
            NODES[kind] = handler
            ATTRIBUTES[kind] = frozenset(attributes.split())
        return handler

    return register


# ------------------------------------------------------------------------- weights and constants


@handles("MatMul")
def _matmul(w: Walk, node: Node) -> Stream:
    read, weight = w.stream(node), np.asarray(w.array(node, 1), np.float64)
    return _linear(node, read, weight.T if weight.ndim == 2 else weight, None)


@handles("Gemm", "alpha beta transA transB")
def _gemm(w: Walk, node: Node) -> Stream:
    v = node.values
    if v.get("transA", 0) or v.get("alpha", 1.0) != 1 or v.get("beta", 1.0) != 1:
        raise refused(node, "with transA, alpha or beta is not built; fold them into the weights")
    weight = np.asarray(w.array(node, 1), np.float64)
    bias = np.asarray(w.array(node, 2, np.zeros(1)), np.float64)
    return _linear(node, w.stream(node), weight if v.get("transB", 0) else weight.T, bias)


def _linear(node: Node, read: Stream, weight: np.ndarray, bias: np.ndarray | None) -> Stream:
    if weight.ndim != 2 or len(read.shape) != 1 or weight.shape[1] != read.shape[0]:
        raise refused(
            node,
            f"weights of shape {weight.shape} on an activation of {read.shape}; flatten it first",
        )
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), len(weight)).copy()
    values = {"weight": weight, "bias": bias}
    shape = (len(weight),)
    return Stream(Expr("linear", node.path, (read.expr,), values, (1, *shape)), shape)


@handles("Conv", "auto_pad dilations group kernel_shape pads strides")
def _conv(w: Walk, node: Node) -> Stream:
    read, weight = w.stream(node), np.asarray(w.array(node, 1), np.float64)
    v, flat = node.values, weight.ndim == 3
    if weight.ndim not in (3, 4) or len(read.shape) != weight.ndim - 1:
        raise refused(node, f"weights of shape {weight.shape} on an activation of {read.shape}")
    weight = weight[:, :, None, :] if flat else weight
    size = _map(read.shape)
    groups = int(v.get("group", 1))
    if groups < 1 or size[0] != weight.shape[1] * groups or len(weight) % groups:
        raise refused(node, f"reads {size[0]} channels, its weights {weight.shape[1]} x {groups}")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    stride, dilation, pads = _window(node, kernel, flat)
    ends = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(size[1:], pads, dilation, kernel, stride, strict=True)
    ]
    if min(ends) < 1:
        raise refused(node, f"its kernel {kernel} does not fit a map of {size[1:]}")
    bias = w.array(node, 2, np.zeros(0))
    values = {
        "weight": weight,
        "bias": np.asarray(bias, np.float64).reshape(-1) if np.size(bias) else None,
        "stride": stride,
        "padding": (*pads[0], *pads[1]),
        "dilation": dilation,
        "groups": groups,
    }
    shape = (len(weight), *ends)
    out = (len(weight), ends[1]) if flat else shape
    return Stream(Expr("conv", node.path, (read.expr,), values, (1, *shape)), out)


def _map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of a shape; one axis of places is the width."""
    return (*shape[:1], *(1,) * (3 - len(shape)), *shape[1:])  # type: ignore[return-value]


def _window(node: Node, kernel: tuple[int, int], flat: bool) -> tuple[Any, Any, Any]:
    """(stride, dilation, ((top, bottom), (left, right))) of a convolution or a pool."""
    v = node.values
    if str(v.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise refused(node, f"auto_pad {show(v['auto_pad'])} is not built; export explicit pads")
    given = kernel[1:] if flat else kernel
    if tuple(v.get("kernel_shape", given)) != given:
        raise refused(node, f"kernel_shape {v['kernel_shape']} is not that of its weights, {given}")
    axes = len(given)
    stride, dilation = (tuple(map(int, v.get(n, (1,) * axes))) for n in ("strides", "dilations"))
    pads = tuple(map(int, v.get("pads", (0,) * 2 * axes)))
    if len(stride) != axes or len(dilation) != axes or len(pads) != 2 * axes:
        raise refused(node, f"strides, dilations and pads are not of {axes} axes")
    if min(*stride, *dilation) < 1 or min(pads) < 0:
        raise refused(node, "strides and dilations must be at least 1, pads at least 0")
    edges = tuple((pads[k], pads[k + axes]) for k in range(axes))
    if flat:
        return (1, *stride), (1, *dilation), ((0, 0), *edges)
    return stride, dilation, edges


@handles("BatchNormalization", "epsilon momentum spatial training_mode")
def _norm(w: Walk, node: Node) -> Stream:
    read = w.stream(node)
    if node.values.get("training_mode", 0):
        raise refused(node, "in training mode; export the network in eval mode")
    names = ("gamma", "beta", "mean", "var")
    values: dict[str, Any] = {
        n: np.asarray(w.array(node, k), np.float64).reshape(-1) for k, n in enumerate(names, 1)
    }
    if any(len(a) != read.shape[0] for a in values.values()):
        raise refused(node, f"has parameters that are not of {read.shape[0]} channels")
    values["eps"] = float(node.values.get("epsilon", 1e-5))
    return Stream(Expr("norm", node.path, (read.expr,), values, read.expr.shape), read.shape)


@handles("Add Sub Mul Div")
def _constant(w: Walk, node: Node) -> Stream:
    first, second = (name in w.streams for name in node.inputs)
    if first and second:
        return _joined(w, node)
    read = w.stream(node, 0 if first else 1)
    row = _channels(node, read, w.array(node, 1 if first else 0))
    one, none = np.ones_like(row), np.zeros_like(row)
    gain, offset = {
        ("Add", True): (one, row),
        ("Add", False): (one, row),
        ("Sub", True): (one, -row),
        ("Sub", False): (-one, row),
        ("Mul", True): (row, none),
        ("Mul", False): (row, none),
    }.get((node.kind, first), (None, None))
    if gain is None or offset is None:
        if not first:
            raise refused(node, "divides by an activation, which cannot be built")
        if (row == 0).any():
            raise refused(node, "divides by zero")
        gain, offset = 1 / row, none
    return affine(node.path, read, gain, offset)


def _channels(node: Node, read: Stream, array: Any) -> np.ndarray:
    """A constant's value for each channel (C,), or one of all (1,)."""
    a = np.asarray(array, np.float64)
    if a.size == 1:
        return a.reshape(1)
    axes = (1,) * (len(read.shape) + 1 - a.ndim) + a.shape  # as numpy broadcasts it, batch first
    if len(axes) != len(read.shape) + 1 or axes[0] != 1 or max([1, *axes[2:]]) > 1:
        raise refused(node, f"a constant of shape {a.shape}; one for each channel can be built")
    if axes[1] != read.shape[0]:
        raise refused(node, f"a constant of {axes[1]} values on {read.shape[0]} channels")
    return a.reshape(-1)


def affine(path: str, read: Stream, gain: np.ndarray, offset: np.ndarray) -> Stream:
    narrow = lambda a: float(a[0]) if (a == a[0]).all() else a  # noqa: E731
    values = {"gain": narrow(gain), "offset": narrow(offset)}
    return Stream(Expr("affine", path, (read.expr,), values, read.expr.shape), read.shape)


def _joined(w: Walk, node: Node) -> Stream:
    """Two activations that are added."""
    a, b = w.stream(node, 0), w.stream(node, 1)
    if node.kind != "Add" or a.shape != b.shape:
        raise refused(node, f"of activations of {a.shape} and {b.shape}; only an Add is built")
    return Stream(Expr("add", node.path, (a.expr, b.expr), {}, a.expr.shape), a.shape)


# ---------------------------------------------------------------------------------------- shapes


@handles(
    "MaxPool AveragePool",
    "auto_pad ceil_mode count_include_pad dilations kernel_shape pads storage_order strides",
)
def _pool(w: Walk, node: Node) -> Stream:
    read, v = w.stream(node), node.values
    kernel = tuple(map(int, v.get("kernel_shape", ())))
    if len(read.shape) != 3 or len(kernel) != 2 or min(kernel) < 1:
        raise refused(node, f"of kernel {kernel} on an activation of {read.shape}")
    stride, dilation, pads = _window(node, (kernel[0], kernel[1]), False)
    if dilation != (1, 1) or v.get("ceil_mode", 0):
        raise refused(node, "with dilations or ceil_mode is not built")
    if pads[0][0] != pads[0][1] or pads[1][0] != pads[1][1]:
        raise refused(node, f"pads {pads} differ from side to side, which is not built")
    op = "max" if node.kind == "MaxPool" else "avg"
    if op == "avg" and any(map(any, pads)) and not v.get("count_include_pad", 0):
        why = "divides by another number at the edge, which is not built; use 1, or no padding"
        raise refused(node, f"with padding and count_include_pad 0, its default, {why}")
    return _pooled(node, read, op, (kernel[0], kernel[1]), stride, (pads[0][0], pads[1][0]))


@handles("GlobalAveragePool")
def _global(w: Walk, node: Node) -> Stream:
    read = w.stream(node)
    kernel = _map(read.shape)[1:]
    return _pooled(node, read, "avg", (kernel[0], kernel[1]), (kernel[0], kernel[1]), (0, 0))


def _pooled(
    node: Node, read: Stream, op: str, kernel: Any, stride: Any, padding: tuple[int, int]
) -> Stream:
    size = _map(read.shape)
    ends = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(size[1:], padding, kernel, stride, strict=True)
    ]
    if min(ends) < 1:
        raise refused(node, f"its kernel {kernel} does not fit a map of {size[1:]}")
    shape = (size[0], *ends)
    values = {"op": op, "kernel": kernel, "stride": stride, "padding": padding, "divisor": None}
    return Stream(Expr("pool", node.path, (read.expr,), values, (1, *shape)), shape)


@handles("Reshape Flatten", "axis allowzero")
def _flatten(w: Walk, node: Node) -> Stream:
    read = w.stream(node)
    whole = int(np.prod(read.shape))
    if node.kind == "Reshape":
        sizes = [int(n) for n in np.asarray(w.array(node, 1)).reshape(-1)]
        before = (1, *read.shape)
        sizes = [before[k] if n == 0 and k < len(before) else n for k, n in enumerate(sizes)]
        if len(sizes) != 2 or sizes[1] not in (whole, -1) or sizes[0] not in (1, -1):
            if tuple(sizes[1:]) == read.shape:
                return read
            raise refused(node, f"to {tuple(sizes)} is not built; only flattening is")
    elif int(node.values.get("axis", 1)) != 1:
        raise refused(node, f"axis {node.values['axis']} is not built; only axis 1 is")
    return Stream(Expr("flatten", node.path, (read.expr,), {}, (1, whole)), (whole,))


@handles("Squeeze", "axes")
def _squeeze(w: Walk, node: Node) -> Stream:
    read = w.stream(node)
    if any(n != 1 for n in read.shape[1:]):
        raise refused(node, f"of an activation of {read.shape} is not built; only of one pixel")
    shape = read.shape[:1]
    return Stream(Expr("flatten", node.path, (read.expr,), {}, (1, *shape)), shape)


@handles("Identity Dropout Cast", "seed to ratio saturate")
def _same(w: Walk, node: Node) -> Stream:
    if node.kind == "Dropout" and len(node.inputs) > 2 and node.inputs[2]:
        raise refused(node, "with training_mode is not built; leave it out")
    if node.kind == "Cast" and int(node.values.get("to", 0)) not in _REAL:
        raise refused(node, "to a type that rounds is not built; keep float32")
    return w.stream(node)


_REAL = (1, 11)  # TensorProto.FLOAT, DOUBLE
_AXES = {"ArgMax": 0}  # of others the last


@handles("TopK Softmax LogSoftmax ArgMax", "axis largest sorted keepdims select_last_index")
def _order(w: Walk, node: Node) -> Stream:
    read = w.stream(node)
    axis = int(node.values.get("axis", _AXES.get(node.kind, -1))) % (len(read.shape) + 1)
    if axis != 1:
        raise refused(node, f"over axis {axis} is not built; only over the classes, axis 1")
    if node.values.get("largest", 1) != 1 or node.values.get("select_last_index", 0):
        raise refused(node, "of the smallest, or of the last of equals, is not built")
    if node.kind == "TopK" and number(node, "k", w.array(node, 1)) != 1:
        raise refused(node, "of several classes is not built; leave it out")
    return Stream(Expr("order", node.path, (read.expr,), {}, read.expr.shape), read.shape)
