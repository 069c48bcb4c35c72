"""torch's functions, as expressions: what each means for the network of one step.

A handler gets what `Recorder` saw and returns an `Expr`. A function that is not here cannot be
built and is refused by its name. Sequences ([T, B, ...], also flattened to [T*B, ...] as
multi-step layers do) are expressions of each step side by side ('stack').
"""

from collections.abc import Callable
from typing import Any

import torch

from sterna.front.expression import Expr
from sterna.golden.errors import NetworkError

__all__ = ["FUNCTIONS", "axes_of", "bound", "constant", "handles", "lifted", "pair", "stack"]

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def handles(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def bound(names: str, args: list[Any], kwargs: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    words = names.split()
    found = dict(zip(words, args, strict=False)) | kwargs
    return defaults | found


def constant(value: Any) -> Any:
    """float64 numpy of a constant tensor; None stays None."""
    if value is None:
        return None
    if isinstance(value, Expr):
        raise NetworkError("weights that depend on the input cannot be built")
    return torch.as_tensor(value).detach().cpu().to(torch.float64).numpy().copy()


def lifted(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """A handler of one step, applied to each step of a sequence."""

    def by_step(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
        stacks = [a for a in args if isinstance(a, Expr) and a.kind == "stack"]
        if not stacks:
            return function(rec, path, tuple(out.shape), args, kwargs)
        count = len(stacks[0].args)
        merged = bool(stacks[0].values.get("merged"))
        if any(len(s.args) != count for s in stacks) or stacks[0].values.get("dim", 0) != 0:
            raise NetworkError(f"module '{path}': sequences of other lengths or axes meet here")
        inner = (out.shape[0] // count, *out.shape[1:]) if merged else tuple(out.shape[1:])
        steps = []
        for t in range(count):
            each = [a.args[t] if isinstance(a, Expr) and a.kind == "stack" else a for a in args]
            steps.append(function(rec, path, inner, each, kwargs))
        return stack(path, steps, tuple(out.shape), merged=merged)

    return by_step


def stack(
    path: str, steps: list[Expr], shape: tuple[int, ...], merged: bool = False, dim: int = 0
) -> Expr:
    return Expr("stack", path, tuple(steps), {"merged": merged, "dim": dim}, shape)


def pair(value: Any) -> tuple[int, int]:
    value = tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * 2
    return value * 2 if len(value) == 1 else (value[0], value[1])


def axes_of(value: Any, flat: bool, fill: int) -> tuple[int, int]:
    if flat:
        one = value[0] if isinstance(value, tuple | list) else value
        return (fill, int(one))
    return pair(value)
