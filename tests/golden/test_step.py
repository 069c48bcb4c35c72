"""Resets: what the bounds of registers rely on."""

import numpy as np
import pytest

from sterna.golden.step import RESETS, State, Step


@pytest.mark.parametrize("reset", RESETS)
def test_a_reset_is_monotone(reset: str) -> None:
    """More for more membrane, less for more taken away: so ends of intervals map to ends."""
    u, by = np.meshgrid(np.arange(-9, 10), np.arange(-5, 6), indexing="ij")
    after = np.broadcast_to(RESETS[reset](np.where, u, np.full(u.shape, True), by), u.shape)
    assert np.all(np.diff(after, axis=0) >= 0) and np.all(np.diff(after, axis=1) <= 0)


@pytest.mark.parametrize("reset", RESETS)
def test_where_nothing_fires_nothing_is_reset(reset: str) -> None:
    u = np.arange(-4, 5)
    assert np.array_equal(RESETS[reset](np.where, u, np.full(u.shape, False), 3), u)


def test_once_freezes_and_silences() -> None:
    step = Step(np.where, "once", lambda u: u >= 3, 0)
    state = State(np.zeros(2, int), 0, np.zeros(2, bool))
    seen = [step(state, np.array([2, 1])) for _ in range(4)]
    assert [f.tolist() for _, f in seen] == [[0, 0], [1, 0], [0, 1], [0, 0]]
    assert state.v.tolist() == [4, 3]
