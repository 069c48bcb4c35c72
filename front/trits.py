"""Trits (or bits) that put out what a layer's real weights do, on what the layer really reads.

The rule of ternary weight networks (arXiv 1605.04711) looks at weights alone, as training does with
its latents. ``fitted`` starts there and then looks at what comes in: for every output channel it
makes the mean over images, steps and windows of (w.x - a q.x)**2 small, deviations from the means
only, since a bias or norm behind the layer brings the mean back. That is the aim of OPTQ (arXiv
2210.17323), on q and one scale a, found by coordinate descent: each trit in turn becomes the best
one while the others stay, until none changes.
"""

import math

import numpy as np

from sterna.gen.quantize.float_network import Weighted
from sterna.gen.quantize.reference import CHUNK, windows

__all__ = ["discrete", "fitted"]

DELTA = 0.7  # of the mean size of the weights: up to it they are 0
DAMPING = 0.02  # of the mean variance of an input: holds weights of dead inputs to their own values
ROWS = 1 << 16  # windows that are looked at, evenly chosen
SWEEPS = 30  # at most; a few are enough


def discrete(weight: np.ndarray, kind: str, one_scale: bool) -> tuple[np.ndarray, np.ndarray]:
    """(q, a) of real weights (O, ...): q of -1, 0, +1 ('binary': -1, +1), a >= 0 of shape (O,1,..)
    or, with ``one_scale`` (a readout's layer), (1,1,..). As training discretises its latents."""
    w = np.asarray(weight, np.float64)
    dims = tuple(range(0 if one_scale else 1, w.ndim))
    size = np.abs(w)
    if kind == "binary":
        return np.where(w >= 0, 1.0, -1.0), size.mean(dims, keepdims=True)
    kept = size > DELTA * size.mean(dims, keepdims=True)
    scale = (size * kept).sum(dims, keepdims=True) / np.maximum(kept.sum(dims, keepdims=True), 1)
    return np.sign(w) * kept, scale


def fitted(
    layer: Weighted, stream: np.ndarray, kind: str, one_scale: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(q, a) as ``discrete`` gives them, of least squares on ``stream`` [T,B,C,H,W], integers."""
    q, a = discrete(layer.weight, kind, one_scale)
    groups = layer.groups
    flat = np.asarray(layer.weight, np.float64).reshape(groups, len(q) // groups, -1)
    trits = q.reshape(flat.shape).copy()
    scale = np.broadcast_to(a.reshape(-1, 1), (len(q), 1)).reshape(groups, -1, 1).copy()
    spread = covariance(layer, stream)
    for _ in range(SWEEPS):
        before = trits.copy()
        for g in range(groups):
            _sweep(trits[g], scale[g, :, 0], flat[g], spread[g], kind)
        if np.array_equal(trits, before):
            break
        _rescale(trits, scale, flat, spread, one_scale)
    scale = scale.reshape(len(q), -1)[: a.shape[0]]
    return trits.reshape(q.shape), scale.reshape(a.shape)


def covariance(layer: Weighted, stream: np.ndarray) -> np.ndarray:
    """(G,n,n) of the n inputs of a window in each of G groups, damped. Sums of whole numbers below
    2**53, so it is the same on every machine."""
    maps = stream.reshape(-1, *stream.shape[2:])
    places = windows(layer, maps[:1]).shape[1]
    step = _step(len(maps) * places, places)
    products = sums = np.zeros(())
    count = 0
    for k in range(0, len(maps), CHUNK):
        chosen = windows(layer, maps[k : k + CHUNK])[:, -k * places % step :: step]
        rows = chosen.astype(np.float64)
        products = products + rows.transpose(0, 2, 1) @ rows
        sums = sums + rows.sum(1)
        count += rows.shape[1]
    mean = sums / count
    found = products / count - mean[:, :, None] * mean[:, None, :]
    usual = np.trace(found, axis1=1, axis2=2) / found.shape[1]
    damping = np.where(usual > 0, DAMPING * usual, 1.0)
    return found + damping[:, None, None] * np.eye(found.shape[1])


def _step(rows: int, places: int) -> int:
    """From one window that is looked at to the next: at most `ROWS` of ``rows``, and every one of
    the ``places`` of a map in its turn."""
    step = -(-rows // ROWS)
    while math.gcd(step, places) > 1:
        step += 1
    return step


def _sweep(q: np.ndarray, a: np.ndarray, w: np.ndarray, spread: np.ndarray, kind: str) -> None:
    """Each of the n trits (O,n) once, all channels at a time; ``q`` is changed in place."""
    live = np.flatnonzero(a > 0)
    trits, scale = q[live], a[live]
    wanted = w[live] @ spread / scale[:, None]  # of the sums, in units of a
    sums = trits @ spread
    for k, variance in enumerate(np.diag(spread)):
        best = trits[:, k] + (wanted[:, k] - sums[:, k]) / variance
        near = np.where(best >= 0, 1.0, -1.0) if kind == "binary" else np.rint(best).clip(-1, 1)
        new = near + 0.0  # never -0.0
        moved = np.flatnonzero(new != trits[:, k])
        if len(moved):
            sums[moved] += (new - trits[:, k])[moved, None] * spread[k]
            trits[moved, k] = new[moved]
    q[live] = trits


def _rescale(
    q: np.ndarray, a: np.ndarray, w: np.ndarray, spread: np.ndarray, one_scale: bool
) -> None:
    """The best scales (G,O,1) of trits (G,O,n), in place; never below 0."""
    sums = q @ spread
    dims = None if one_scale else 2
    shared, own = (sums * w).sum(dims, keepdims=True), (sums * q).sum(dims, keepdims=True)
    a[...] = np.maximum(np.where(own > 0, shared / np.where(own > 0, own, 1), 0), 0)
