"""Improving a folding: on a random network, what fits little room is found with more."""

import pytest
from fuzz import Seeded
from fuzzdag import GRAPH, random_graph

from sterna.gen.fold import improve
from sterna.gen.fold.solve import solve


@pytest.mark.parametrize("tries", [2700, pytest.param(improve.MOST, marks=pytest.mark.slow)])
def test_a_design_that_fits_little_room_is_found_with_more(monkeypatch, tries):
    """Between the two, faster designs nearly fit, and took the tries that this one needs."""
    network = random_graph(Seeded(0), GRAPH)
    least = solve(network, family="ice40", luts=4480).chosen.interval
    monkeypatch.setattr(improve, "MOST", tries)
    assert solve(network, family="ice40", luts=4500).chosen.interval <= least
