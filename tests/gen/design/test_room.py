"""Room where a network falls behind its law: at few places, as little as helps, or none."""

from fractions import Fraction

import pytest
from foldcase import CHAIN

from sterna.gen.design.room import with_room
from sterna.gen.fold.fold import fold

DESIGN = fold(CHAIN)
STRIDE = {"c1": 1, "p": 2, "c2": 1, "f": 1}
FAST, SLOW = Fraction(DESIGN.interval), Fraction(2 * DESIGN.interval)


def spare(design) -> dict[str, int]:
    """The rows that each core has more than `DESIGN`."""
    return {c.name: c.spare_rows - DESIGN.core(c.name).spare_rows for c in design.cores}


@pytest.mark.parametrize("rate", [FAST, SLOW], ids=["as fast as its law", "no room helps"])
def test_a_design_that_needs_no_room_stays_as_it_is(rate):
    assert with_room(CHAIN, DESIGN, lambda design: rate) is DESIGN


@pytest.mark.parametrize("needs", [{"c1": 1}, {"c2": 1}, {"c1": 1, "f": 1}, {"p": 4, "c2": 3}])
def test_only_cores_that_need_rows_get_them(needs):
    """Whole strides of them, all as many as the one that needs most."""

    def rate(design):
        have = spare(design)
        return FAST if all(have[name] >= rows for name, rows in needs.items()) else SLOW

    found = spare(with_room(CHAIN, DESIGN, rate))
    steps = max(-(-rows // STRIDE[name]) for name, rows in needs.items())
    assert found == {name: steps * STRIDE[name] * (name in needs) for name in STRIDE}


def test_half_the_way_is_better_than_none():
    """No room reaches the law; the least that reaches the best of all is taken."""
    rates = {0: SLOW, 1: Fraction(3 * DESIGN.interval, 2)}

    def rate(design):
        return rates[min(1, spare(design)["c2"])]

    found = spare(with_room(CHAIN, DESIGN, rate))
    assert found == {name: int(name == "c2") for name in found}
