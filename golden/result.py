"""What a run gives, whoever ran it: golden model, RTL, netlist or board; and how runs compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sterna.golden.errors import UsageError
from sterna.golden.words import values
from sterna.golden.words.names import show
from sterna.golden.words.shown import Shown

__all__ = ["Result", "Difference", "compare", "joined"]


@dataclass(eq=False, repr=False)
class Result(Shown):
    """What a run gives, whoever ran it.

    Parameters
    ----------
    logits : int32 [B, n]
    classes : int64 [B]
        The lowest index of the largest logit.
    spikes : dict of unsigned [T,B,C,H,W]
        By name, of the traced nodes, in network order.
    """

    logits: np.ndarray
    classes: np.ndarray
    spikes: dict[str, np.ndarray] = field(default_factory=dict)

    def accuracy(self, labels: Any) -> float:
        """The share of images in the class that ``labels`` says.

        Parameters
        ----------
        labels : integers [B]

        Returns
        -------
        float

        Raises
        ------
        UsageError
            They are not one whole number an image.
        """
        try:
            given = np.asarray(values.plain(labels))
        except Exception:  # ragged lists, foreign objects
            given = np.zeros((0, 0))
        if given.shape != self.classes.shape or given.dtype.kind not in "iu" or not given.size:
            raise UsageError(
                f"labels: {show(labels)} is not one whole number an image, of which there are "
                f"{len(self.classes)}; give an array of them"
            )
        return float((self.classes == given).mean())

    def __str__(self) -> str:
        spikes = f", spikes of {', '.join(self.spikes)}" if self.spikes else ""
        return f"{len(self.classes)} images, {self.logits.shape[-1]} logits each{spikes}"


def joined(results: Sequence[Result]) -> Result:
    """The logits and classes of several batches, one behind the other; without their spikes."""
    return Result(
        np.concatenate([r.logits for r in results]), np.concatenate([r.classes for r in results])
    )


@dataclass(frozen=True, repr=False)
class Difference(Shown):
    """The first place where two results differ. Coordinates that do not apply are None.

    Parameters
    ----------
    what : str
        'spike', 'logit' (c = class) or 'class'.
    node : str, optional
        Whose spike.
    t, b, c, y, x : int, optional
        Step, image, channel, row, column.
    values : (int, int)
        Of the two results.
    total : int
        All spikes, logits and classes that differ.
    names : (str, str)
        What the two results are called.
    """

    what: str
    node: str | None
    t: int | None
    b: int
    c: int | None
    y: int | None
    x: int | None
    values: tuple[int, int]
    total: int
    names: tuple[str, str] = ("first", "second")

    def __str__(self) -> str:
        at = [f"{k} {v}" for k, v in zip("tcyx", (self.t, self.c, self.y, self.x)) if v is not None]
        where = f"node '{self.node}'" if self.node else f"the {self.what}s"
        two = " but ".join(f"{v} in {n}" for v, n in zip(self.values, self.names))
        return (
            f"first difference in {where} at image {self.b}{''.join(', ' + a for a in at)}: "
            f"{self.what} is {two} ({self.total} differences in all)"
        )


def compare(
    a: Result,
    b: Result,
    nodes: Iterable[str] | None = None,
    names: tuple[str, str] = ("first", "second"),
) -> Difference | None:
    """The first difference of two results, or None: nodes in network order, then t, b, c, y, x;
    then logits, then classes.

    Parameters
    ----------
    a, b : Result
    nodes : names, optional
        Whose spikes to compare; default all that either result has.
    names : (str, str)
        What to call the two in the sentence.

    Returns
    -------
    Difference or None

    Raises
    ------
    UsageError
        A node was traced in one of them only, or shapes differ: what was not recorded is never
        taken for equal.
    """
    for result in (a, b):
        _check(result)
    names = _pair(names)
    if nodes is None:
        wanted = [*a.spikes, *(n for n in b.spikes if n not in a.spikes)]
    else:
        wanted = values.names(
            nodes, lambda given: f"compare: nodes {given} must be names of nodes", UsageError, False
        )
    pairs: list[tuple[str, str | None, np.ndarray, np.ndarray]] = []
    for node in wanted:
        for result, name in zip((a, b), names):
            if node not in result.spikes:
                raise UsageError(
                    f"compare: node '{node}' was not traced in the {name} result; give run and "
                    "simulate trace='all', or nodes=() here to compare logits and classes alone"
                )
        pairs.append(("spike", node, a.spikes[node], b.spikes[node]))
    pairs += [("logit", None, a.logits, b.logits), ("class", None, a.classes, b.classes)]

    first: Difference | None = None
    total = 0
    for what, node, left, right in pairs:
        if left.shape != right.shape:
            raise UsageError(
                f"compare: {f'node {node!r}' if node else what + ' arrays'} have shapes "
                f"{left.shape} and {right.shape}; run both on the same images"
            )
        wrong = left != right
        total += int(np.count_nonzero(wrong))
        if total and first is None:
            site = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            two = int(left[site]), int(right[site])
            first = Difference(what, node, *_coordinates(site), two, 0, names)
    return None if first is None else replace(first, total=total)


def _coordinates(site: Sequence[Any]) -> tuple[Any, int, Any, Any, Any]:
    """(t, image, c, y, x) of an index into spikes, logits or classes; None where it has none."""
    at = [int(i) for i in site]
    if len(at) == 5:
        return (at[0], at[1], at[2], at[3], at[4])
    return (None, at[0], at[1] if len(at) == 2 else None, None, None)


def _check(result: Any) -> None:
    if not isinstance(result, Result):
        raise UsageError(
            f"compare: {show(result)} is not a Result; give what run, Simulator.run or Board.infer "
            "returned"
        )
    spikes = result.spikes if isinstance(result.spikes, dict) else {"": None}
    axes = [(result.logits, 2), (result.classes, 1), *((a, 5) for a in spikes.values())]
    if not all(isinstance(a, np.ndarray) and a.ndim == n and a.dtype.kind in "iu" for a, n in axes):
        raise UsageError(
            "compare: a Result holds integer arrays: logits [B, n], classes [B], spikes "
            "[T,B,C,H,W] by node"
        )


def _pair(names: Any) -> tuple[str, str]:
    found = values.names(
        names, lambda given: f"compare: names {given} must be two, of the results", UsageError
    )
    if len(found) != 2:
        raise UsageError(f"compare: names {show(names)} must be two, of the results")
    return found[0], found[1]
