"""torch's changes of shape, and sequences of steps, as expressions."""

from typing import Any

import numpy as np
import torch

from sterna.front.expression import Expr, at
from sterna.front.pytorch.functions import bound, handles, lifted, stack
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import show

__all__: list[str] = []


def _same(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    return args[0]


handles("detach", "detach_", "clone", "contiguous", "requires_grad_", "alias", "data")(_same)
handles("to", "type", "type_as", "float", "double", "half", "cpu", "cuda")(_same)


@handles("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout")
def _dropout(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    a = bound("input p training train", args, kwargs, training=True)
    if a.get("train", a["training"]):
        raise NetworkError(
            f"{at(path)}: a dropout that drops in eval(), too, is random and cannot be built; call "
            "it with training=self.training, or use nn.Dropout"
        )
    return a["input"]


@handles("softmax", "log_softmax")
def _softmax(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    a = bound("input dim", args, kwargs, dim=None)
    source, dim = a["input"], a["dim"]
    if dim is None:  # torch's own choice
        dim = 0 if out.ndim in (1, 3) else 1
    sequence = source.kind == "stack" and not source.values["merged"]
    if int(dim) % out.ndim != (2 if sequence else 1):
        raise NetworkError(
            f"{at(path)}: a softmax over another axis than the classes' cannot be built; give it "
            "that, or return the sum of the spikes over all steps"
        )
    return _ordered(rec, path, out, [source], {})


@handles("sigmoid", "logsigmoid")
@lifted
def _ordered(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    return Expr("order", path, (bound("input", args, kwargs)["input"],), {}, tuple(shape))


@handles("relu", "relu_", "gelu", "silu", "elu", "leaky_relu", "tanh", "hardtanh")
def _activation(rec: Any, path: str, out: Any, args: list[Any], kwargs: Any) -> Expr:
    raise NetworkError(
        f"{at(path)}: an activation of a network that does not spike cannot be built; put spiking "
        "neurons there (`sterna train` has recipes that convert)"
    )


@handles("flatten", "view", "reshape", "squeeze", "unsqueeze", "view_as", "unflatten", "reshape_as")
def _shape(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    source, shape = args[0], tuple(out.shape)
    if source.kind == "stack":
        return _shape_of_stack(path, source, shape)
    if shape == source.shape:
        return source
    if len(shape) == len(source.shape) + 1 and shape == (1, *source.shape) and source.shape[0] != 1:
        return stack(path, [source], shape)
    return _reshaped(path, source, shape)


def _reshaped(path: str, source: Expr, shape: tuple[int, ...]) -> Expr:
    """A flattened map, or axes of one that come and go behind the batch."""
    if shape == source.shape:
        return source
    ones = [n for n in shape[1:] if n != 1] == [n for n in source.shape[1:] if n != 1]
    if shape[0] == source.shape[0] and (len(shape) == 2 or ones):
        return Expr("flatten", path, (source,), {}, shape)
    raise NetworkError(
        f"{at(path)}: a change of shape from {source.shape} to {shape} cannot be built; only "
        "flattening a whole map can"
    )


def _shape_of_stack(path: str, source: Expr, shape: tuple[int, ...]) -> Expr:
    count, each = len(source.args), source.args[0].shape
    merged = source.values["merged"]
    if shape == source.shape:
        return source
    if shape[0] == count * each[0] and count > 1:  # [T*B, ...]
        inner = (each[0], *shape[1:])
        return stack(path, [_reshaped(path, s, inner) for s in source.args], shape, merged=True)
    if shape[:2] == (count, each[0]):
        steps = [_reshaped(path, s, shape[1:]) for s in source.args]
        return stack(path, steps, shape)
    if count == 1 and shape == each:
        return source.args[0]
    word = "flattened " if merged else ""
    raise NetworkError(
        f"{at(path)}: a change of shape of a {word}sequence from {source.shape} to {shape} "
        "cannot be built"
    )


@handles("repeat", "expand", "expand_as")
def _repeat(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    source, shape = args[0], tuple(out.shape)
    if shape == source.shape:
        return source
    each = source.args[0] if source.kind == "stack" and len(source.args) == 1 else source
    if shape[1:] == each.shape:
        return stack(path, [each] * shape[0], shape)
    raise NetworkError(
        f"{at(path)}: only a repetition over time, as x.unsqueeze(0).repeat(T, 1, 1, 1, 1), "
        "can be built"
    )


@handles("stack")
def _stacked(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    a = bound("tensors dim", args, kwargs, dim=0)
    return stack(path, _streams(path, a["tensors"]), tuple(out.shape), dim=int(a["dim"]) % out.ndim)


@handles("cat", "concat", "concatenate")
def _cat(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    a = bound("tensors dim", args, kwargs, dim=0)
    parts, dim = _streams(path, a["tensors"]), int(a["dim"]) % out.ndim
    if all(p.kind == "stack" for p in parts):
        if dim == 0:  # cat of [1, B, ...] along time
            return stack(path, [s for p in parts for s in p.args], tuple(out.shape))
        steps = [
            Expr(
                "concat",
                path,
                each,
                {},
                (each[0].shape[0], sum(e.shape[1] for e in each), *each[0].shape[2:]),
            )
            for each in zip(*(p.args for p in parts), strict=True)
        ]
        if dim == (1 if parts[0].values["merged"] else 2):
            return stack(path, steps, tuple(out.shape), merged=parts[0].values["merged"])
    elif dim == 1:
        return Expr("concat", path, tuple(parts), {}, tuple(out.shape))
    raise NetworkError(
        f"{at(path)}: concatenates axis {dim}, which cannot be built; concatenate channels (dim=1)"
    )


def _streams(path: str, tensors: Any) -> list[Expr]:
    if not all(isinstance(t, Expr) for t in tensors):
        raise NetworkError(
            f"{at(path)}: joins what depends on the input with what does not (zeros at first, of a "
            "state that is fed back?), which cannot be built; join streams of the same step only"
        )
    return list(tensors)


@handles("__getitem__", "select")
def _item(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    source, index = args[0], args[1]
    if len(args) > 2:
        index = (slice(None),) * int(args[1]) + (args[2],)
    index = index if isinstance(index, tuple) else (index,)
    while len(index) > 1 and index[-1] in (slice(None), Ellipsis):
        index = index[:-1]
    if source.kind == "stack" and not source.values["merged"]:
        dim = source.values["dim"]
        plain = index[:dim] == (slice(None),) * dim and len(index) == dim + 1
        step: Any = index[dim] if plain else None
        if isinstance(step, int | np.integer):
            return source.args[int(step)]
        if isinstance(step, slice):
            return stack(path, list(source.args[step]), tuple(out.shape), dim=dim)
    cuts = all(isinstance(i, slice) or i is Ellipsis for i in index)  # others could change places
    if tuple(out.shape) == source.shape and cuts:
        return source
    raise NetworkError(
        f"{at(path)}: takes a part of a stream ([{', '.join(map(_slice, index))}]), or all of it "
        "in another order, which cannot be built, while one step of a sequence can; give the "
        "layer behind the whole map, with weights in that order, and of 0 where it does not look"
    )


def _slice(index: Any) -> str:
    """As it is written between brackets."""
    if not isinstance(index, slice):
        return "..." if index is Ellipsis else show(index)
    ends = ["" if n is None else str(n) for n in (index.start, index.stop)]
    return ":".join(ends if index.step is None else [*ends, str(index.step)])


@handles("unbind", "__iter__")
def _unbind(rec: Any, path: str, out: Any, args: list[Any], kwargs: Any) -> list[Expr]:
    source = args[0]
    dim: Any = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    if source.kind != "stack" or source.values["merged"] or source.values["dim"] != dim:
        raise NetworkError(
            f"{at(path)}: takes a stream apart, which cannot be built; only a sequence can be, "
            "along time"
        )
    return list(source.args)


@handles("transpose", "permute", "movedim", "swapaxes")
def _transpose(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    source, shape = args[0], tuple(out.shape)
    order = [int(v) for v in np.ravel(args[1:] if len(args) > 1 else list(kwargs.values()))]
    swaps = set(order[:2]) == {0, 1} and order[2:] == list(range(2, len(order)))
    if source.kind == "stack" and not source.values["merged"] and swaps:
        return stack(path, list(source.args), shape, dim=1 - source.values["dim"])
    raise NetworkError(
        f"{at(path)}: exchanges axes of a stream, which keeps (C, H, W), so that it cannot be "
        "built; only time and batch can be exchanged"
    )


@handles("pad")
@lifted
def _pad(rec: Any, path: str, shape: Any, args: list[Any], kwargs: Any) -> Expr:
    a = bound("input pad mode value", args, kwargs, mode="constant", value=None)
    edges = [int(v) for v in a["pad"]] + [0, 0]
    if a["mode"] != "constant" or a["value"] not in (None, 0, 0.0) or len(edges) not in (4, 6):
        raise NetworkError(
            f"{at(path)}: pads with other than zeros, which cannot be built; pad zeros around the "
            "map (padding_mode='zeros')"
        )
    left, right, top, bottom = edges[:4]
    return Expr("pad", path, (a["input"],), {"padding": (top, bottom, left, right)}, tuple(shape))


@handles("__setitem__")
def _set_item(rec: Any, path: str, base: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
    """``record[t] = spikes``: a sequence that is written step by step."""
    known, index, value = args
    fresh = not isinstance(known, Expr)
    steps = [] if fresh else list(known.args)
    meant = isinstance(value, Expr) and (fresh or known.kind == "stack")
    if not meant or not isinstance(index, int) or index != len(steps):
        raise NetworkError(
            f"{at(path)}: writes into a part of a tensor, which cannot be built; only record[t] = "
            "spikes of each step t, in order, can"
        )
    return stack(path, [*steps, value], tuple(base.shape))
