"""What a foreign model computes, as expressions of its input: written by a recorder, read per step.

An :class:`Expr` says how one tensor came to be. Cells (neurons) and inputs carry the time step at
which they were used; everything else carries none, so that the network of one step is what is left
when the steps are taken away (`one_step`).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError

__all__ = ["Expr", "key_of", "one_step", "steps_in"]

CELL, INPUT, STACK = "cell", "input", "stack"


@dataclass(frozen=True, eq=False)
class Expr:
    """One value of a foreign model.

    Parameters
    ----------
    kind : str
        'input', 'cell', 'conv', 'linear', 'norm', 'affine', 'pool', 'add', 'mul', 'concat',
        'flatten', 'stack', 'total', 'sequence'.
    path : str
        The user's own module path where it was computed, for sentences.
    args : tuple of Expr
        What it was computed from.
    values : dict
        Numbers and arrays that it was computed with.
    shape : tuple of int
        Of the tensor, the batch included.
    step : int or None
        Of cells and inputs.
    part : int
        Which of a cell's outputs: 0 spikes, -1 the membrane.
    """

    kind: str
    path: str
    args: tuple["Expr", ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    step: int | None = None
    part: int = 0


def key_of(expr: Expr, step: int, memo: dict[int, Any] | None = None) -> Any:
    """What `expr` is, seen from ``step``: equal for two steps that compute the same network.

    NetworkError where it reads another step's cells or input (`recurrence`).
    """
    memo = {} if memo is None else memo
    if id(expr) in memo:
        return memo[id(expr)]
    if expr.kind in (CELL, INPUT) and expr.step is not None and expr.step != step:
        raise NetworkError(_recurrent(expr, step))
    if expr.kind == CELL:
        found: Any = (CELL, expr.path, expr.part)
    else:
        values = tuple((k, _plain(v)) for k, v in sorted(expr.values.items()))
        found = (expr.kind, expr.path, values, *(key_of(a, step, memo) for a in expr.args))
    memo[id(expr)] = found
    return found


def _recurrent(expr: Expr, step: int) -> str:
    if expr.kind == INPUT:
        return f"input: frame {expr.step} is read at step {step}; read frame t at step t"
    return (
        f"module '{expr.path}': what it gives at step {expr.step} is read at step {step}: a "
        "recurrent edge, which is not built yet; use a network that feeds forward"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, str(value.dtype), value.tobytes())
    return value


def steps_in(expr: Expr) -> set[int]:
    """Steps of all cells and inputs that an expression reads itself (not through a cell)."""
    found, seen, todo = set(), set(), [expr]
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if e.step is not None:
            found.add(e.step)
        if e.kind != CELL:
            todo += e.args
    return found


def one_step(cells: dict[str, list[Expr]], outputs: list[Expr]) -> None:
    """Check that every step computes the same network: cells' inputs and the outputs of each step.

    Parameters
    ----------
    cells : dict
        By module path, the cell of each step.
    outputs : list of Expr
        One for each step.

    Raises
    ------
    NetworkError
        A step differs, a cell is used at another number of steps, or there is recurrence.
    """
    steps = len(outputs)
    for path, uses in cells.items():
        if len(uses) != steps:
            raise NetworkError(
                f"module '{path}': is used {len(uses)} times in {steps} steps; make a module of "
                "its own for each use, or give steps= as the model counts them"
            )
    rows = {path: [use.args[0] for use in uses] for path, uses in cells.items()}
    rows["the output"] = outputs
    for path, row in rows.items():
        keys = [key_of(e, t) for t, e in enumerate(row)]
        for t, key in enumerate(keys[1:], 1):
            if key != keys[0]:
                raise NetworkError(
                    f"module '{path}': reads something else at step {t} than at step 0; a network "
                    "computes the same at each step (constants that change with t are not built)"
                )
