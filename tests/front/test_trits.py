"""Trits of least squares on what a layer reads: better than by weights alone, and no step from them
is better."""

import numpy as np
import pytest

from sterna.front import trits
from sterna.front.trits import DAMPING, covariance, discrete, fitted
from sterna.gen.quantize.float_network import FloatConv2d, FloatLinear
from sterna.gen.quantize.reference import weighted_sum

CASES = {
    "plain": {"padding": (1, 1, 1, 1)},
    "strided": {"stride": (2, 2), "padding": (1, 0, 2, 1)},
    "grouped": {"groups": 2, "padding": (0, 0, 0, 0)},
    "dilated": {"dilation": (2, 2), "padding": (2, 2, 2, 2)},
    "linear": None,
}


def _layer(case: str) -> tuple[FloatConv2d | FloatLinear, np.ndarray]:
    """A layer, and correlated spikes [T,B,4,7,7] for it."""
    rng = np.random.default_rng(5)
    common = rng.random((3, 20, 1, 7, 7)) < 0.4
    stream = (common & (rng.random((3, 20, 4, 7, 7)) < 0.6)).astype(np.uint8)
    if CASES[case] is None:
        return FloatLinear("c", "x", rng.normal(0, 1, (5, 196)), kind="real"), stream
    channels = 4 // CASES[case].get("groups", 1)
    weight = rng.normal(0, 1, (6, channels, 3, 3))
    return FloatConv2d("c", "x", weight, kind="real", **CASES[case]), stream


def _error(layer: FloatConv2d | FloatLinear, stream: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(O,) variance of what is wrong with the sums, and what the damping adds to it."""
    wrong = weighted_sum(layer, np.asarray(layer.weight) - weight, stream).var((0, 1, 3, 4))
    off = ((np.asarray(layer.weight) - weight) ** 2).reshape(len(weight), -1).sum(1)
    spread = covariance(layer, stream)
    usual = np.trace(spread, axis1=1, axis2=2) / spread.shape[1] / (1 + DAMPING)
    return wrong + DAMPING * np.repeat(usual, len(weight) // len(spread)) * off


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("case", CASES)
def test_no_single_trit_and_no_other_scale_is_better(case: str, kind: str) -> None:
    layer, stream = _layer(case)
    q, a = fitted(layer, stream, kind, False)
    assert set(np.unique(q)) <= ({-1, 0, 1} if kind == "ternary" else {-1, 1})
    start, size = discrete(layer.weight, kind, False)
    best = _error(layer, stream, q * a)
    assert np.all(best <= _error(layer, stream, start * size) + 1e-12)
    assert best.sum() < 0.9 * _error(layer, stream, start * size).sum()
    for factor in (0.98, 1.02):
        assert np.all(_error(layer, stream, q * a * factor) > best)
    for index in np.ndindex(q.shape[1:]):
        for value in (-1, 0, 1) if kind == "ternary" else (-1, 1):
            other = q.copy()
            other[(slice(None), *index)] = value
            assert np.all(_error(layer, stream, other * a) >= best - 1e-9), (index, value)


def test_a_readouts_layer_has_one_scale() -> None:
    layer, stream = _layer("linear")
    q, a = fitted(layer, stream, "ternary", True)
    assert q.shape == (5, 196) and a.shape == (1, 1)
    best = _error(layer, stream, q * a).sum()
    for factor in (0.98, 1.02):
        assert _error(layer, stream, q * a * factor).sum() > best


def test_what_is_never_read_goes_by_its_own_weights() -> None:
    layer, stream = _layer("linear")
    q, _ = fitted(layer, np.zeros_like(stream), "ternary", False)
    a = np.abs(q * layer.weight).sum(1, keepdims=True) / np.abs(q).sum(1, keepdims=True)
    assert np.array_equal(q, np.rint(layer.weight / a).clip(-1, 1))


@pytest.mark.parametrize(("rows", "places"), [(1, 1), (2940, 49), (4096, 64), (10**6, 576)])
def test_every_place_of_a_map_is_looked_at(
    rows: int, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every eighth window of a map of 8 columns would be of one column alone."""
    monkeypatch.setattr(trits, "ROWS", 512)
    step = trits._step(rows, places)
    assert len(range(0, rows, step)) <= 512
    assert len({k % places for k in range(0, places * step, step)}) == places


def test_windows_are_gathered_a_few_maps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, stream = _layer("grouped")
    whole = covariance(layer, stream)
    monkeypatch.setattr(trits, "CHUNK", 7)
    assert np.array_equal(covariance(layer, stream), whole)
    monkeypatch.setattr(trits, "ROWS", 500)
    few = covariance(layer, stream)
    monkeypatch.setattr(trits, "CHUNK", 60)
    assert np.array_equal(covariance(layer, stream), few) and not np.array_equal(few, whole)


def test_weights_of_nothing_stay_nothing() -> None:
    layer, stream = _layer("linear")
    weight = np.asarray(layer.weight).copy()
    weight[2] = 0
    q, a = fitted(FloatLinear("c", "x", weight, kind="real"), stream, "ternary", False)
    assert not q[2].any() and a[2] == 0 and a[0] > 0
