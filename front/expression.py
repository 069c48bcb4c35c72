"""What a foreign model computes, as expressions of its input: written by a recorder, read per step.

An :class:`Expr` says how one tensor came to be. Cells (neurons) and inputs carry the time step at
which they were used; everything else carries none, so that the network of one step is what is left
when the steps are taken away (`one_step`).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError

__all__ = ["UNKNOWN", "Expr", "Output", "at", "cells_in", "key_of", "one_step", "steps_in"]

CELL, INPUT, STACK = "cell", "input", "stack"
UNKNOWN = "unknown"


def at(path: str, kind: str = "module") -> str:
    """The subject of a sentence: a module by its path, or what the model's own forward() does; or a
    'node' of a graph, or the graph."""
    whole = "forward()" if kind == "module" else "the graph"
    return f"{kind} '{path}'" if path else whole


@dataclass(frozen=True, eq=False)
class Expr:
    """One value of a foreign model.

    Parameters
    ----------
    kind : str
        'input', 'cell', 'conv', 'linear', 'norm', 'affine', 'pool', 'add', 'mul', 'concat',
        'flatten', 'stack', 'total', 'sequence', 'unknown'.
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


@dataclass(frozen=True)
class Output:
    """How the output reads what each step gives: the expression of a step, and 'count',
    'membrane' (of a cell that never resets), 'sum' (weighted, leaking) or 'first_spike'."""

    expr: Expr
    mode: str
    leak: float = 1.0


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
        f"{at(expr.path)}: what it gives at step {expr.step} is read at step {step}: a recurrent "
        "edge, a delay or a trace over time, which is not built yet; let each layer read the "
        "spikes of its own step (currents that decay are snn.Synaptic's and CUBALIFNode's)"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, str(value.dtype), value.tobytes())
    return value


def _inside(expr: Expr) -> list[Expr]:
    """What an expression is computed from, itself included, not through cells; each once."""
    found: dict[int, Expr] = {}
    todo = [expr]
    while todo:
        e = todo.pop()
        if id(e) not in found:
            found[id(e)] = e
            todo += () if e.kind == CELL else e.args
    return list(found.values())


def cells_in(expr: Expr) -> set[str]:
    """Paths of all cells that an expression reads itself (not through a cell)."""
    return {e.path for e in _inside(expr) if e.kind == CELL}


def steps_in(expr: Expr) -> set[int]:
    """Steps of all cells and inputs that an expression reads itself (not through a cell)."""
    return {e.step for e in _inside(expr) if e.step is not None}


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
                f"{at(path)}: is used {len(uses)} times in {steps} steps; make a module of "
                "its own for each use, or give steps= as the model counts them"
            )
    rows = [(at(path), [use.args[0] for use in uses]) for path, uses in cells.items()]
    for who, row in [*rows, ("the output", outputs)]:
        keys = [key_of(e, t) for t, e in enumerate(row)]
        for t, key in enumerate(keys[1:], 1):
            if key != keys[0]:
                raise NetworkError(f"{who}: {_changes(row, t)}")


def _changes(row: list[Expr], step: int) -> str:
    """Why what is read at each step is not the same computation."""
    sizes = [len(_inside(e)) for e in row]
    grows = all(a < b for a, b in zip(sizes, sizes[1:]))
    carried = (
        "forward() carries a value of its own from step to step (as h = h*0.9 + x does), which is "
        "not built; let a neuron keep it (snn.Leaky, LIFNode, snn.Synaptic)"
    )
    if grows and len(row) > 2:
        return f"reads at step {step} what was computed at step {step - 1}: {carried}"
    changed = (
        "a number or an operation of forward() changes with t; use the same at each step, or give "
        "an input that changes as frames (input='frames')"
    )
    both = f"either {carried}, or {changed}" if grows else changed
    return f"reads something else at step {step} than at step 0: {both}"
