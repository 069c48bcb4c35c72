"""Sums of three lanes that several outputs have in common, found in the weights themselves.

A tree of constant weights begins with full adders over three lanes. Outputs whose weights agree on
three lanes, or are all opposite there, can share one: x + y - z serves -x - y + z, too.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Terms", "Triple", "share"]

BLOCK = 256
"""Lanes that are searched together; more would take longer and find little more."""


@dataclass(frozen=True)
class Triple:
    """``lanes`` and their weights, +1 or -1, the first +1: added once for all that use it."""

    lanes: tuple[int, int, int]
    signs: tuple[int, int, int]


@dataclass(frozen=True)
class Terms:
    """One output: ``triples`` (index, +1 or -1) and lone ``lanes`` (lane, +1 or -1)."""

    triples: tuple[tuple[int, int], ...]
    lanes: tuple[tuple[int, int], ...]


def share(weights: np.ndarray, common: bool = True) -> tuple[list[Triple], list[Terms]]:
    """Splits weights (outputs, lanes) of -1, 0, +1 into triples that at least two outputs use, and
    what is left. Greedy: the pair of lanes with most users first. Without ``common`` no triples."""
    left = np.array(weights, np.float32)  # small whole numbers: exact, and multiplied fast
    triples: list[Triple] = []
    users: list[list[tuple[int, int]]] = [[] for _ in left]
    for start in range(0, left.shape[1] if common else 0, BLOCK):
        block = left[:, start : start + BLOCK]
        pairs = _pairs(block, block)
        while (found := _best(block, pairs)) is not None:
            lanes, signs, outputs, turned = found
            for o, sign in zip(outputs, turned, strict=True):
                users[o].append((len(triples), sign))
            block[np.ix_(outputs, lanes)] = 0
            pairs[:, lanes] = _pairs(block, block[:, lanes])
            pairs[lanes] = pairs[:, lanes].T
            triples.append(Triple(tuple(start + k for k in lanes), signs))  # type: ignore
    rest = [tuple((int(k), int(row[k])) for k in np.flatnonzero(row)) for row in left]
    return triples, [Terms(tuple(u), r) for u, r in zip(users, rest, strict=True)]


def _pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Twice the outputs in which a lane of ``a`` and one of ``b`` agree, or in which they disagree,
    whichever are more; negative where these are."""
    both, same = np.abs(a).T @ np.abs(b), a.T @ b
    return np.where(same >= 0, both + same, same - both)


def _best(
    block: np.ndarray, pairs: np.ndarray
) -> tuple[list[int], tuple[int, ...], list[int], list[int]] | None:
    """(lanes, signs, outputs, sign of each output) of a triple with at least two users."""
    if block.shape[1] < 3:
        return None
    most = np.abs(pairs)
    np.fill_diagonal(most, 0)
    i, j = (int(k) for k in np.unravel_index(int(most.argmax()), most.shape))
    if most[i, j] < 4:
        return None
    pair = 1 if pairs[i, j] >= 0 else -1
    users = np.flatnonzero(block[:, i] * block[:, j] == pair)
    sign = block[users, i]
    third = _pairs(block[users] * sign[:, None], np.ones((len(users), 1)))[:, 0]
    third[[i, j]] = 0
    k = int(np.abs(third).argmax())
    if abs(third[k]) < 4:
        return None
    last = 1 if third[k] >= 0 else -1
    chosen = users[block[users, k] * sign == last]
    turned = block[chosen, i].astype(int).tolist()
    return [i, j, k], (1, pair, last), chosen.tolist(), turned
