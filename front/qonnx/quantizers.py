"""QONNX's activation quantizers, as neurons that never reset: at T = 1 each is a step of theirs."""

from dataclasses import replace
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr
from sterna.front.qonnx.constants import is_bipolar, levels, number, rounding
from sterna.front.qonnx.file import Node
from sterna.front.qonnx.nodes import Steps, Stream, Walk, affine, handles, refused
from sterna.golden.words.names import show

__all__ = ["MOST_STEPS"]

MOST_STEPS = 15  # of a quantizer: four bits
FINE = 8  # bits from which a quantizer of pixels, or of what leaves, is taken for the identity


@handles("BipolarQuant")
def _bipolar(w: Walk, node: Node) -> Stream:
    read, scale = w.stream(node), _scale(node, w.array(node, 1))
    return _fired(w, node, read, [(0.0, False)], -scale, 2 * scale)


@handles("Quant IntQuant", "signed narrow rounding_mode")
def _quant(w: Walk, node: Node) -> Stream:
    read, scale = w.stream(node), _scale(node, w.array(node, 1))
    zero, bits = number(node, "zero_point", w.array(node, 2)), w.array(node, 3)
    if is_bipolar(node, bits):
        if zero:
            raise refused(node, f"a signed bit with zero point {zero:g} is not built; use 0")
        return _fired(w, node, read, [(0.0, False)], -scale, 2 * scale)
    low, high = levels(node, bits)
    count = high - low
    if count > MOST_STEPS:
        if number(node, "bit_width", bits) >= FINE:
            known = _numbers(w, read.expr)
            if known is None or not _kept(node, known, scale, zero, (low, high)):
                w.approximated[node.path] = (
                    f"a quantizer of {count + 1} levels is left out: what it rounds is at most "
                    f"{scale / 2:g}"
                )
            return read
        raise refused(
            node,
            f"{count + 1} levels are not built; train it with at most {MOST_STEPS + 1} (four bits)",
        )
    ends = [_reached(node, low + k) for k in range(1, count + 1)]
    thresholds = [((at - zero) * scale, strict) for at, strict in ends]
    return _fired(w, node, read, thresholds, (low - zero) * scale, scale)


def _numbers(w: Walk, expr: Expr) -> np.ndarray | None:
    """Every number that pixels are behind constants; None of anything else."""
    if expr.kind == "input":
        return w.pixels
    if (
        expr.kind == "affine"
        and np.ndim(expr.values["gain"]) == np.ndim(expr.values["offset"]) == 0
    ):
        known = _numbers(w, expr.args[0])
        return None if known is None else known * expr.values["gain"] + expr.values["offset"]
    return None


def _kept(node: Node, known: np.ndarray, scale: float, zero: float, span: tuple[int, int]) -> bool:
    """Whether a quantizer changes none of these numbers."""
    whole = known / scale + zero
    return bool((rounding(node)(np.clip(whole, *span)) == whole).all())


def _scale(node: Node, value: Any) -> float:
    scale = number(node, "scale", value)
    if scale <= 0:
        raise refused(node, f"scale {scale:g} is not above 0")
    return scale


def _reached(node: Node, level: int) -> tuple[float, bool]:
    """(x, whether above it): where rounding gives ``level`` or more."""
    how = rounding(node)
    for at in (level - 1.0, level - 0.5, float(level)):
        if how(np.float64(at)) >= level:
            return at, False
        if how(np.nextafter(np.float64(at), np.inf)) >= level:
            return at, True
    raise AssertionError(level)


@handles("MultiThreshold", "out_dtype out_scale out_bias data_layout")
def _multi_threshold(w: Walk, node: Node) -> Stream:
    read, table = w.stream(node), np.asarray(w.array(node, 1), np.float64)
    v, scale = node.values, _scale(node, node.values.get("out_scale", 1.0))
    if table.ndim != 2 or len(table) not in (1, read.shape[0]):
        raise refused(node, f"thresholds of shape {table.shape} on {read.shape[0]} channels")
    if str(v.get("data_layout", "") or "NCHW") not in ("NCHW", "NC"):
        raise refused(node, f"data_layout {show(v['data_layout'])} is not built; only NCHW and NC")
    if not 1 <= table.shape[1] <= MOST_STEPS:
        raise refused(node, f"{table.shape[1]} thresholds are not built; at most {MOST_STEPS}")
    rows = np.sort(table, 1)  # it counts those that are reached, in any order
    thresholds = [(_narrow(rows[:, k]), False) for k in range(rows.shape[1])]
    return _fired(w, node, read, thresholds, float(v.get("out_bias", 0.0)), scale)


def _narrow(a: np.ndarray) -> Any:
    return float(a[0]) if (a == a[0]).all() else a


def _fired(
    w: Walk, node: Node, read: Stream, thresholds: list[tuple[Any, bool]], low: float, size: float
) -> Stream:
    """low + size * (the number of thresholds that are reached), a neuron each."""
    many = len(thresholds) > 1
    paths = tuple(f"{node.path}.{k}" if many else node.path for k in range(len(thresholds)))
    note = f"{len(thresholds)} neurons, added; each computes its layer again" if many else ""
    total: Expr | None = None
    for k, (path, (threshold, strict)) in enumerate(zip(paths, thresholds, strict=True)):
        notes = (note,) if note else ()
        cell = Cell(threshold=threshold, strict=strict, reset="none", notes=notes)
        w.cells[path] = (cell, _again(read.expr) if k else read.expr)
        spikes = Expr("cell", path, (read.expr,), shape=read.expr.shape)
        total = spikes if total is None else _more(node, total, spikes)
    assert total is not None
    w.steps.append(Steps(node.outputs[0], low, size, paths))
    fired = Stream(total, read.shape)
    return affine(node.path, fired, np.array([size]), np.array([low]))


def _again(sums: Expr) -> Expr:
    """The same sums from layers of their own: a core has one neuron."""
    if sums.kind in ("conv", "linear"):
        return replace(sums)
    if sums.kind in ("cell", "input"):
        return sums
    return replace(sums, args=tuple(map(_again, sums.args)))


def _more(node: Node, total: Expr, spikes: Expr) -> Expr:
    return Expr("add", f"{node.path}.add", (total, spikes), {}, spikes.shape)
