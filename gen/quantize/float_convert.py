"""A float node as it was given, to a float node as it is meant; or one sentence.

``FloatNetwork`` passes every node through here once: `convert` decides all that a node says of
itself, `fit` what depends on the channels it reads. Afterwards numbers are Python's, arrays numpy's
own (C order, native, real, finite), per-channel values a number or (C,), batch norms whole.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar, get_args

import numpy as np

from sterna.gen.quantize.float_nodes import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.golden import values
from sterna.golden.errors import NetworkError
from sterna.golden.names import check_name, show
from sterna.golden.nodes import CODINGS, MERGE_OPS, READOUT_MODES
from sterna.golden.rule import RESETS

__all__ = ["convert", "fit"]

KINDS = ("ternary", "binary", "real")
POOLS = ("sum", "avg", "or", "first")
_Node = TypeVar("_Node", bound=FloatNode)


def convert(node: Any) -> Any:
    """The node with every field of its type; NetworkError with its name where one is not meant."""
    if not isinstance(node, get_args(FloatNode)):
        raise NetworkError(
            f"network: {show(node)} is no float node; give FloatInput, FloatConv2d, FloatLinear, "
            "FloatNeuron, FloatPool, FloatMerge and FloatReadout"
        )
    check_name(node.name, f"node {show(node.name)}: names")
    if isinstance(node, FloatInput):
        return _changed(node, _input(node))
    if isinstance(node, Weighted):
        return _changed(node, _weighted(node))
    if isinstance(node, FloatPool):
        return _changed(
            node,
            {
                "input": _source(node),
                "mode": _choice(node, "mode", "pool mode", POOLS),
                "kernel": values.tuple_of(node.name, "kernel", node.kernel, 1),
                "stride": values.tuple_of(node.name, "stride", node.stride, 1),
            },
        )
    if isinstance(node, FloatMerge):
        return _changed(node, _merge(node))
    return _changed(node, _neuron(node))


def fit(node: _Node, channels: int, steps: int) -> _Node:
    """Per-channel values of a neuron or readout as a number or (C,), its bias also (T, C)."""
    if not isinstance(node, FloatNeuron | FloatReadout):
        return node
    fields: dict[str, Any] = {
        what: _channels(node, what, getattr(node, what), channels)
        for what in ("threshold", "reset_by", "v_init")
    }
    fields["bias"] = _channels(node, "bias", node.bias, channels, steps)
    if isinstance(node, FloatNeuron):
        fields["norm"] = _norm(node, node.norm, channels)
    return _changed(node, fields)


def _input(node: FloatInput) -> dict[str, Any]:
    shape = values.tuple_of(node.name, "shape", node.shape, 1, 3, most=math.inf)
    shape = values.check_size(node.name, shape)
    coding = _choice(node, "coding", "coding", CODINGS)
    bits = values.integer(
        f"node '{node.name}': bits {show(node.bits)} must be 1 to 8", node.bits, 1, 8
    )
    seed = values.integer(
        f"node '{node.name}': seed {show(node.seed)} must be 0 to 2**32-1", node.seed, 0, 2**32 - 1
    )
    return {
        "shape": shape,
        "coding": coding,
        "bits": bits,
        "seed": seed,
        "scale": _positive(node, "scale"),
        "mean": _channels(node, "mean", node.mean, shape[0]),
        "std": _channels(node, "std", node.std, shape[0]),
    }


def _weighted(node: FloatConv2d | FloatLinear) -> dict[str, Any]:
    weight = _array(node, "weight", node.weight)
    axes = "(O, C//groups, Kh, Kw)" if isinstance(node, FloatConv2d) else "(O, C*H*W)"
    if weight.ndim != (4 if isinstance(node, FloatConv2d) else 2) or weight.size == 0:
        raise NetworkError(f"node '{node.name}': weight has shape {weight.shape}; give {axes}")
    fields: dict[str, Any] = {"input": _source(node), "weight": weight}
    if isinstance(node, FloatConv2d):
        fields["stride"] = values.tuple_of(node.name, "stride", node.stride, 1)
        fields["padding"] = (t, b, left, r) = values.padding(node.name, node.padding)
        kh, kw = weight.shape[2:]
        if max(t, b) >= kh or max(left, r) >= kw:
            raise NetworkError(
                f"node '{node.name}': padding {(t, b, left, r)} must be smaller than kernel "
                f"({kh}, {kw})"
            )
        refusal = f"node '{node.name}': groups {show(node.groups)} must be at least 1"
        fields["groups"] = values.integer(refusal, node.groups, 1, values.MAX_SIZE)
    fields["kind"] = _choice(node, "kind", "weight kind", KINDS)
    bias = _channels(node, "bias", node.bias, len(weight))
    fields["bias"] = np.full(len(weight), bias) if isinstance(bias, int | float) else bias
    fields["norm"] = _norm(node, node.norm, len(weight))
    fields["unit"] = None if node.unit is None else _positive(node, "unit")
    return fields


def _merge(node: FloatMerge) -> dict[str, Any]:
    inputs, mode = _names(node), _choice(node, "mode", "merge mode", MERGE_OPS)
    if len(inputs) < 2 or (mode == "andnot" and len(inputs) != 2):
        wanted = "exactly two" if mode == "andnot" else "two or more"
        raise NetworkError(f"node '{node.name}': {mode} of {len(inputs)} inputs; give it {wanted}")
    return {"inputs": inputs, "mode": mode}


def _neuron(node: FloatNeuron | FloatReadout) -> dict[str, Any]:
    refusal = f"node '{node.name}': strict {show(node.strict)} must be True or False"
    fields = {
        "inputs": _names(node),
        "strict": values.flag(refusal, node.strict),
        "reset": _choice(node, "reset", "reset", RESETS),
        "leak": _factor(node, "leak", node.leak),
        "synapse": None if node.synapse is None else _factor(node, "synapse", node.synapse),
    }
    if isinstance(node, FloatReadout):
        return fields | {"mode": _choice(node, "mode", "readout mode", READOUT_MODES)}
    refusal = f"node '{node.name}': delay {show(node.delay)} must be 0 or 1"
    fields["delay"] = values.integer(refusal, node.delay, 0, 1)
    return fields | {"amplitude": _positive(node, "amplitude")}


def _factor(node: FloatNode, what: str, value: Any) -> float | str:
    """One factor of all channels, or 'ramp'; values for each channel only where they are one."""
    if isinstance(value, str):
        if what == "synapse" and value == "ramp":
            return "ramp"
    elif (found := values.real(value)) is not None:
        return found
    elif np.ndim(a := _array(node, what, value)) and a.size:
        if np.all(a == a.flat[0]):
            return float(a.flat[0])
        raise NetworkError(
            f"node '{node.name}': a {what} for each channel cannot be built; give one for all, or "
            "split the layer"
        )
    raise NetworkError(f"node '{node.name}': {what} {show(value)} must be a real number")


def _channels(
    node: FloatNode, what: str, value: Any, channels: int, steps: int | None = None
) -> Any:
    """None, a number, or float (C,); with ``steps`` also (T, C). Axes of one are left out, as in
    (C, 1, 1)."""
    if value is None:
        if what in ("threshold", "v_init"):
            raise NetworkError(f"node '{node.name}': has no {what}; give a number or ({channels},)")
        return None
    if isinstance(value, int | float) and (found := values.real(value)) is not None:
        return found
    a = _array(node, what, value)
    if a.shape == (channels,) or (steps is not None and a.shape == (steps, channels)):
        return a
    if a.size == 1:
        return float(a.flat[0]) if channels > 1 or a.ndim == 0 else a.reshape(1)
    longer = tuple(n for n in a.shape if n != 1)
    if longer == (channels,) and a.size:
        return a.reshape(channels)
    if steps is not None and longer == tuple(n for n in (steps, channels) if n != 1):
        if a.ndim > 1:
            return a.reshape(steps, channels)
    wanted = f"({channels},)" + (f" or ({steps}, {channels})" if steps is not None else "")
    raise NetworkError(
        f"node '{node.name}': {what} has shape {a.shape}, which fits no {channels} channels; give "
        f"a number or {wanted}"
    )


def _norm(node: FloatNode, norm: Any, channels: int) -> BatchNorm | None:
    if norm is None:
        return None
    if not isinstance(norm, BatchNorm):
        raise NetworkError(f"node '{node.name}': norm {show(norm)} must be a BatchNorm")
    fields: dict[str, Any] = {}
    for part, missing in (("gamma", 1.0), ("beta", 0.0), ("mean", None), ("var", None)):
        value = getattr(norm, part)
        value = missing if value is None else value
        if value is None:
            raise NetworkError(
                f"node '{node.name}': its batch norm has no running {part}; train it with "
                "track_running_stats, or measure it over the training images"
            )
        found = _channels(node, f"norm.{part}", value, channels)
        fields[part] = np.full(channels, found) if isinstance(found, int | float) else found
    refusal = f"node '{node.name}': norm.eps {show(norm.eps)} must be a real number of at least 0"
    fields["eps"] = values.number(refusal, norm.eps)
    if fields["eps"] < 0:
        raise NetworkError(refusal)
    if np.any(fields["var"] < 0):
        raise NetworkError(f"node '{node.name}': a variance is negative; repair the file")
    if np.any(fields["var"].astype(np.float64) + fields["eps"] == 0):
        raise NetworkError(
            f"node '{node.name}': a variance and eps are both 0; give norm.eps more than 0"
        )
    return _changed(norm, fields)


def _array(node: FloatNode, what: str, value: Any) -> np.ndarray:
    """float16, 32 or 64, native and in C order; the array itself where it is so already."""
    a = values.array(f"node '{node.name}': {what}", value)
    kind = a.dtype if a.dtype.kind == "f" and a.dtype.itemsize <= 8 else np.dtype(np.float64)
    with np.errstate(over="ignore"):
        a = a.astype(kind.newbyteorder("="), copy=False)
    a = np.ascontiguousarray(a) if a.ndim else a
    if not np.isfinite(a).all():  # a long double beyond the range of a double
        raise NetworkError(f"node '{node.name}': {what} is beyond the range of float64")
    return a


def _positive(node: FloatNode, what: str) -> float:
    value = getattr(node, what)
    refusal = f"node '{node.name}': {what} {show(value)} must be a positive real number"
    return values.number(refusal, value, positive=True)


def _choice(node: FloatNode, field: str, what: str, words: Iterable[str]) -> str:
    value = getattr(node, field)
    refusal = f"node '{node.name}': {what} {show(value)} is not one of {', '.join(words)}"
    return values.choice(refusal, value, words)


def _names(node: FloatNeuron | FloatMerge | FloatReadout) -> tuple[str, ...]:
    return values.node_names(node.name, "inputs", node.inputs)


def _source(node: FloatConv2d | FloatLinear | FloatPool) -> str:
    found = values.node_names(node.name, "input", node.input)
    if len(found) != 1:
        raise NetworkError(
            f"node '{node.name}': reads one node, not {len(found)}; join them in a FloatMerge or a "
            "FloatNeuron"
        )
    return found[0]


def _changed(node: Any, fields: dict[str, Any]) -> Any:
    """The node with other fields; itself where none is another."""
    new = {k: v for k, v in fields.items() if not _same(getattr(node, k), v)}
    return replace(node, **new) if new else node


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b) or isinstance(a, np.ndarray | BatchNorm):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
