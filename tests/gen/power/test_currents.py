"""Bounds of power: they hold the currents that they were fitted to."""

import pytest

from sterna.gen.device.boards import BOARDS, board
from sterna.gen.power.currents import CURRENTS

UP5K = CURRENTS["up5k"]
VOLT = 1.219
# clock in MHz, logic cells, PLLs, microamperes of the core and of the PLL, as published.
ROWS = [
    (0, 28, 0, 92.1),
    (12, 32, 0, 613.5),
    (12, 60, 0, 616.65),
    (12, 116, 0, 624.2),
    (12, 228, 0, 641.3),
    (48, 28, 0, 2184),
    (24, 28, 0, 1162),
    (12, 28, 0, 645),
    (6, 28, 0, 388.4),
    (12, 208, 0, 996),
    (16, 28, 1, 1419 + 138.6),
    (32, 28, 1, 2029 + 138.9),
    (48, 28, 1, 2573 + 103.6),
]


@pytest.mark.parametrize(("mhz", "cells", "pll", "current"), ROWS)
def test_every_published_current_is_between_the_bounds(mhz, cells, pll, current):
    found = UP5K.power(mhz, (cells, cells), (pll, pll), 1000.0)
    # The table itself is that far from a line.
    assert found["low_mw"] * 0.9 < current * VOLT / 1e3 < found["high_mw"] * 1.13
    assert found["low_mj"] == found["low_mw"] / 1000
    assert found["low_mw"] == pytest.approx(sum(low for low, _ in found["terms"].values()))


def test_more_of_anything_takes_more():
    few = UP5K.power(12, (100, 200), (0, 0), 10)
    for more in (
        UP5K.power(13, (100, 200), (0, 0), 10),
        UP5K.power(12, (101, 201), (0, 0), 10),
        UP5K.power(12, (100, 200), (1, 1), 10),
    ):
        assert more["low_mw"] > few["low_mw"] and more["high_mw"] > few["high_mw"]
    assert "block RAM" in few["left_out"] and "ice40_power" in few["source"]


def test_devices_are_some_that_a_board_has():
    with_uart = {"icesugar-pro", "butterstick"}
    there = {board(name).device for name in set(BOARDS) - with_uart if name.startswith("ice")}
    assert set(CURRENTS) <= there
