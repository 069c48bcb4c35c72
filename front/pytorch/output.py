"""What a model's forward() returns, as the output of each step and how it is read."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sterna.front.expression import CELL, Expr, at, cells_in, steps_in
from sterna.front.pytorch.record import known
from sterna.golden.errors import NetworkError

__all__ = ["Read", "is_whole", "left_out", "logits_of", "output_of"]

LINEAR = ("affine", "linear", "flatten")
"""What acts on a total over time as on what each step adds to it."""


def is_whole(output: Any) -> bool:
    """Whether an output of one call is over all steps, though each neuron was used once."""
    first = output[0] if isinstance(output, tuple | list) else output
    return isinstance(first, Expr) and first.kind in ("stack", "total")


@dataclass(frozen=True)
class Read:
    """How a model's output is read: the expression of each step, of which there are ``steps``, and
    'count', 'membrane' or 'sum' (whose total leaks by ``leak`` a step). ``scale``: (gain, offset)
    of what forward() returns, all steps together, over that sum; None where it is something else of
    the same order. Where one call returns all steps, time is its axis ``axis``, ``merged`` with the
    batch or not, or it is a list of them (``listed``)."""

    rows: list[Expr]
    mode: str
    steps: int
    scale: tuple[float, float] | None
    leak: float = 1.0
    axis: int = 0
    merged: bool = False
    listed: bool = False


def output_of(outputs: list[Any], cells: dict[str, list[Expr]], whole: bool) -> Read:
    """What the outputs of a model's calls are."""
    listed = _is_each_step(outputs[0])
    firsts = [_first((out,) if listed else out) for out in outputs]
    if not whole:
        scale = None if _ordered(firsts[-1]) else (1.0, 0.0)
        return Read(firsts, _mode(firsts[-1]), len(firsts), scale)
    steps = max(len(u) for u in cells.values())
    read = _whole_output(firsts[0], steps)
    return replace(read, listed=listed)


def left_out(outputs: list[Any], read: Read) -> int:
    """How many things forward() returns beside its output that are of other neurons."""
    out = outputs[-1]
    if read.listed or not isinstance(out, tuple | list):
        return 0
    own = set().union(*map(cells_in, read.rows))
    flat = [e[-1] if isinstance(e, tuple | list) and e else e for e in out[1:]]
    return sum(isinstance(e, Expr) and not cells_in(e) <= own for e in flat)


def _first(out: Any) -> Expr:
    """What is read of a call's output: the first of several things; a list is one of all steps."""
    first = out[0] if isinstance(out, tuple | list) and out else out
    if isinstance(first, tuple | list) and first and all(isinstance(e, Expr) for e in first):
        first = Expr("stack", "", tuple(known(first)), {"merged": False, "dim": 0})
    if isinstance(first, Expr):
        return known(first)
    what = "nothing that depends on the input" if torch.is_tensor(first) else _named(first)
    raise NetworkError(f"forward() returns {what}; return a tensor of spikes, or of membranes")


def _named(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _is_each_step(out: Any) -> bool:
    """Whether forward() returned what it has of each step, as a list."""
    if not isinstance(out, tuple | list) or not all(isinstance(e, Expr) for e in out):
        return False
    return len(out) > 1 and all(steps_in(e) == {t} for t, e in enumerate(out))


def _ordered(expr: Expr) -> bool:
    """Whether only the order of classes is kept, by a softmax."""
    while expr.kind in ("flatten", "order"):
        if expr.kind == "order":
            return True
        expr = expr.args[0]
    return False


def _whole_output(expr: Expr, steps: int) -> Read:
    """The output of a forward() over all steps, per step."""
    behind: list[Expr] = []  # what acts on the total, the last first
    plain = True
    while expr.kind in ("order", *LINEAR):
        if expr.kind == "order":  # keeps the order of classes, as long as what is behind does
            if not all(map(_rises, behind)):
                raise NetworkError(
                    f"{at(behind[-1].path)}: what is behind a softmax changes the order of the "
                    "classes, which cannot be built; return the sum of the spikes over all steps"
                )
            behind, plain = [], False
        else:
            behind.append(expr)
        expr = expr.args[0]
    gain, offset = 1.0, 0.0
    for e in behind if all(map(_rises, behind)) else ():
        offset += gain * float(e.values["offset"])
        gain *= float(e.values["gain"])
    mean = expr.kind == "total" and expr.values["mean"]
    row, leak = _row(expr, behind, steps)
    if not all(map(_rises, behind)):
        row = [_pushed(e, behind, steps, mean) for e in row]
        mean = False
    gain = gain / steps if mean else gain
    offset = offset * steps if expr.kind == "stack" else offset
    mode = "sum" if leak != 1 else _mode(row[-1])
    if expr.kind in ("total", "add") and mode == "membrane" and steps > 1:
        raise NetworkError(
            "forward() adds membranes over time, which no readout does; return the last one, or "
            "count spikes"
        )
    plain = plain and not _ordered(row[-1]) and (expr.kind != CELL or steps == 1)
    values = expr.values if expr.kind == "stack" else {"dim": 0, "merged": False}
    scale = (gain, offset) if plain else None
    return Read(row, mode, steps, scale, leak, values["dim"], values["merged"])


def _row(expr: Expr, behind: list[Expr], steps: int) -> tuple[list[Expr], float]:
    """(what each step gives of a total, its leak)."""
    if expr.kind in ("stack", "total"):
        row = list(expr.args)
    elif expr.kind == "add" and (found := _leaking(expr, steps)) is not None:
        return found
    elif expr.kind == "add":
        row = _summands(expr, steps)
    elif steps == 1:
        row = [expr]
    elif expr.kind == CELL and expr.part == -1 and expr.step == steps - 1 and not behind:
        return _membranes(expr, steps), 1.0
    else:
        raise NetworkError(_unread(behind[0] if behind else expr, steps))
    if len(row) != steps:
        raise NetworkError(
            f"forward() returns {len(row)} steps, its neurons run {steps}; return every step"
            if expr.kind in ("stack", "total")
            else _unread(expr, steps)
        )
    return row, 1.0


def _unread(expr: Expr, steps: int) -> str:
    """Why what forward() returns is not read as an output of all steps."""
    of = sorted(steps_in(expr))
    wanted = "return the sum (or the stack) of its spikes over all steps"
    if len(of) == 1:
        which = "the last" if of == [steps - 1] else f"step {of[0]}"
        return f"{at(expr.path)}: gives the output of only {which} of {steps} steps; {wanted}"
    if len(of) == steps and expr.kind == "concat":
        return f"{at(expr.path)}: joins its {steps} steps side by side; {wanted}"
    named = ", ".join(map(str, of)) or "no step"
    return (
        f"{at(expr.path)}: makes the output of {named} of {steps} steps in a way that no readout "
        f"does; {wanted}"
    )


def _rises(expr: Expr) -> bool:
    """Whether it is an affine that keeps the order of classes."""
    if expr.kind != "affine":
        return False
    gain, offset = expr.values["gain"], expr.values["offset"]
    return np.ndim(gain) == np.ndim(offset) == 0 and bool(gain > 0)


def _pushed(e: Expr, behind: list[Expr], steps: int, mean: bool) -> Expr:
    """What acts on a total, on what each step adds to it."""
    if mean:
        e = Expr("affine", e.path, (e,), {"gain": 1 / steps, "offset": 0.0}, e.shape)
    for op in reversed(behind):
        values = dict(op.values)
        for added in ("bias", "offset"):
            if values.get(added) is not None:
                values[added] = np.asarray(values[added], np.float64) / steps
        e = Expr(op.kind, op.path, (e,), values, op.shape)
    return e


def _leaking(expr: Expr, steps: int) -> tuple[list[Expr], float] | None:
    """(what each step adds, the leak) of v = v*leak + added, carried by forward() itself."""
    row: list[Expr] = []
    leaks = set()
    for t in range(steps - 1, 0, -1):
        if expr.kind != "add":
            return None
        before, added = sorted(expr.args, key=lambda e: max(steps_in(e), default=-1))
        if before.kind != "affine" or steps_in(added) != {t}:
            return None
        gain = np.asarray(before.values["gain"])
        if gain.ndim or np.any(before.values["offset"]):
            return None
        leaks.add(float(gain))
        row.append(added)
        expr = before.args[0]
    if len(leaks) != 1 or not 0 <= min(leaks) < 1:
        return None
    row = [*reversed([*row, expr])]
    one = {"gain": 1.0, "offset": 0.0}  # spikes enter the total by a layer, not as a count
    return [Expr("affine", e.path, (e,), one, e.shape) for e in row], leaks.pop()


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


def logits_of(outs: list[Any], read: Read, membrane: bool) -> np.ndarray:
    """What a model says of each class, float64 [B,n], as its user reads it: spikes (or sums) over
    all steps, or the last membrane, which is what comes last where several things are returned."""
    last = membrane and read.mode != "sum"
    each = []
    for out in outs:
        out = (out,) if read.listed else out
        if isinstance(out, tuple | list):
            out = out[-1 if last else 0]
        each.append(torch.stack(tuple(out)) if isinstance(out, tuple | list) else out)
    total = each[0] if len(each) == 1 else torch.stack(each)
    total = total.double()
    if read.merged:
        total = total.unflatten(0, (read.steps, -1))
    if total.ndim > max(2, len(read.rows[0].shape)):  # [T,B,n]
        total = total.movedim(read.axis, 0)
        total = total[-1] if last else total.sum(0)
    return total.reshape(len(total), -1).cpu().numpy()
