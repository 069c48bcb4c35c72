"""What a model's forward() returns, as the output of each step and how it is read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.front.expression import Expr, steps_in
from sterna.golden.errors import NetworkError

__all__ = ["Read", "is_whole", "output_of"]


def is_whole(output: Any) -> bool:
    """Whether an output of one call is over all steps, though each neuron was used once."""
    first = output[0] if isinstance(output, tuple | list) else output
    return isinstance(first, Expr) and first.kind in ("stack", "total")


@dataclass(frozen=True)
class Read:
    """How a model's output is read: the expression of each step, of which there are ``steps``, and
    'count', 'membrane' or 'sum'. ``scale``: (gain, offset) of what forward() returns, all steps
    together, over that sum; None where it is something else of the same order."""

    rows: list[Expr]
    mode: str
    steps: int
    scale: tuple[float, float] | None


def output_of(outputs: list[Any], cells: dict[str, list[Expr]], whole: bool) -> Read:
    """What the outputs of a model's calls are."""
    firsts = []
    for out in outputs:
        out = (out,) if _is_each_step(out) else out
        first = out[0] if isinstance(out, tuple | list) else out
        if isinstance(first, tuple | list) and first and isinstance(first[0], Expr):
            first = Expr("stack", "", tuple(first), {"merged": False, "dim": 0})
        if not isinstance(first, Expr):
            raise NetworkError(
                "forward() returns nothing that depends on the input; return spikes, or membranes"
            )
        firsts.append(first)
    if not whole:
        scale = None if _ordered(firsts[-1]) else (1.0, 0.0)
        return Read(firsts, _mode(firsts[-1]), len(firsts), scale)
    steps = max(len(u) for u in cells.values())
    return _whole_output(firsts[0], steps)


def _is_each_step(out: Any) -> bool:
    """Whether forward() returned what one neuron layer put out at each step, as a list."""
    if not isinstance(out, tuple | list) or not all(isinstance(e, Expr) for e in out):
        return False
    steps = [(e.kind, e.path, e.part, e.step) for e in out]
    return steps == [("cell", out[0].path, out[0].part, t) for t in range(len(out))]


def _ordered(expr: Expr) -> bool:
    """Whether only the order of classes is kept, by a softmax."""
    while expr.kind in ("flatten", "order"):
        if expr.kind == "order":
            return True
        expr = expr.args[0]
    return False


def _whole_output(expr: Expr, steps: int) -> Read:
    """The output of a forward() over all steps, per step."""
    gain, offset, plain = 1.0, 0.0, True
    while expr.kind == "order" or _rises(expr):  # keeps the order of classes
        plain = plain and expr.kind != "order"
        if plain:
            offset += gain * float(expr.values["offset"])
            gain *= float(expr.values["gain"])
        expr = expr.args[0]
    if expr.kind == "total" and expr.values["mean"]:
        gain /= steps
    elif expr.kind == "stack":
        offset *= steps
    if expr.kind in ("stack", "total"):
        row = list(expr.args)
    elif expr.kind == "add":
        row = _summands(expr, steps)
    elif steps == 1:
        row = [expr]
    elif expr.kind == "cell" and expr.part == -1 and expr.step == steps - 1:
        return Read(_membranes(expr, steps), "membrane", steps, None)
    else:
        raise NetworkError(
            f"module '{expr.path}': forward() returns only the last of {steps} steps; return the "
            "sum (or the stack) of its spikes over all steps"
        )
    if len(row) != steps:
        raise NetworkError(
            f"forward() returns {len(row)} steps, its neurons run {steps}; return every step"
        )
    mode = _mode(row[-1])
    if expr.kind in ("total", "add") and mode == "membrane" and steps > 1:
        raise NetworkError(
            "forward() adds membranes over time, which no readout does; return the last one, or "
            "count spikes"
        )
    plain = plain and not _ordered(row[-1])
    return Read(row, mode, steps, (gain, offset) if plain else None)


def _rises(expr: Expr) -> bool:
    """Whether it is an affine that keeps the order of classes."""
    if expr.kind != "affine":
        return False
    gain, offset = expr.values["gain"], expr.values["offset"]
    return np.ndim(gain) == np.ndim(offset) == 0 and bool(gain > 0)


def _membranes(last: Expr, steps: int) -> list[Expr]:
    """Each step's membrane, of which the last is read."""
    return [
        Expr("cell", last.path, last.args, shape=last.shape, step=t, part=-1) for t in range(steps)
    ]


def _summands(expr: Expr, steps: int) -> list[Expr]:
    """The terms of ((a0 + a1) + a2) ..., by step."""
    terms: list[Expr] = []
    todo = [expr]
    while todo:
        e = todo.pop()
        if e.kind == "add":
            todo += reversed(e.args)
        else:
            terms.append(e)
    if len(terms) % steps == 0 and len(terms) > steps:  # sums of several layers at each step
        raise NetworkError("forward() adds several layers over time; add them at each step")
    if steps_in(terms[0]) and len(terms) == steps:
        return sorted(terms, key=lambda e: min(steps_in(e), default=0))
    return [expr] if steps == 1 else terms


def _mode(expr: Expr) -> str:
    while expr.kind in ("flatten", "order"):
        expr = expr.args[0]
    if expr.kind == "cell":
        return "count" if expr.part == 0 else "membrane"
    return "sum"
