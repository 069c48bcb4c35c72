"""The frontier's plot: what its curves are made of."""

import frontier
import pytest
from repo import EXAMPLES

from sterna.golden.files import network_files as files


def test_curves_rise_to_the_fastest_folding():
    rates = frontier.rates(files.load(EXAMPLES / "digits"), "ecp5", "rom", 3)
    rows = frontier.sweep("digits", "ecp5", "rom", 3)
    assert [r["fps"] for r in rows] == sorted(r["fps"] for r in rows) and len(rows) == 3
    assert rows[-1]["fps"] == pytest.approx(rates[-1])
    assert all(r["fps"] >= rate * 0.999 for r, rate in zip(rows, rates, strict=True))
    assert rows[0]["luts"] < rows[-1]["luts"]
    assert not rows[0]["in_logic"] and rows[-1]["in_logic"]


def test_the_same_rows_make_the_same_plot(tmp_path):
    row = {
        "network": "digits",
        "family": "ecp5",
        "memory": "rom",
        "clocks": 10,
        "fps": 5.0,
        "luts": 300,
        "bram": 1.0,
        "in_logic": [],
    }
    rows = [row, row | {"fps": 50.0, "luts": 4000}, row | {"memory": "ram"}]
    measured = {"p": {"example": "digits", "target": "ecp5", "images": 7.0, "luts": 500}}
    made = []
    for name in ("a.svg", "b.svg"):
        frontier.draw(rows, measured, tmp_path / name)
        made.append((tmp_path / name).read_text())
    assert made[0] == made[1]
    frontier.draw(rows, {}, tmp_path / "c.svg")
    assert (tmp_path / "c.svg").read_text() != made[0]
