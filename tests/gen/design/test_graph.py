"""The walk over a network: its cores and the ports between them, in order."""

import pytest
from foldcase import CHAIN, POOLED, SHORTCUT, TWO_SUMS, fires, graph, ones

from sterna.gen.build.report import core_rows
from sterna.gen.design.graph import neuron_of, pool_of, ports, unit_of, walk, weighted_inputs
from sterna.gen.fold.complete import compute_clocks
from sterna.gen.fold.fold import fold
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Neuron, Pool


def test_walk_of_graphs():
    assert [(c.name, c.target, c.main) for c in walk(TWO_SUMS)] == [
        ("c", "n", True),
        ("d", "n", False),
        ("f", "r", True),
    ]
    assert [(p.source, p.reader, p.port) for p in ports(SHORTCUT)] == [
        ("x", "c", 0),
        ("n", "d", 0),
        ("n", "m", 1),
        ("m", "f", 0),
    ]


def test_a_pool_of_sums_is_part_of_its_convolutions_core():
    assert [(c.name, c.op, c.target, c.main) for c in walk(POOLED)] == [
        ("c", "conv", "n", True),
        ("d", "conv", "n", False),
        ("f", "conv", "r", True),
    ]
    assert [(p.source, p.reader, p.port) for p in ports(POOLED)] == [
        ("x", "c", 0),
        ("x", "d", 0),
        ("x", "n", 2),
        ("n", "f", 0),
    ]
    node = POOLED.neuron("n")
    assert weighted_inputs(POOLED, node) == ["c", "d"] and unit_of(POOLED, "c") == "n"
    assert neuron_of(POOLED, "c") is neuron_of(POOLED, "d") is node
    assert pool_of(POOLED, "c") is POOLED["p"] and pool_of(POOLED, "d") is None


def test_a_pooled_core_has_its_pools_pixels_positions_and_law():
    design = fold(POOLED, {"c": {"pe": 1, "simd": 4, "tp": 1}, "d": {"pe": 1, "simd": 2, "tp": 1}})
    core = design.core("c")
    # 3 x 3 outputs, 2 groups, 4 positions of 2 words of 2 steps
    assert core.law["compute"] == 3 * 3 * 2 * (4 * 2 * 2) and core.law["output"] == 18
    assert compute_clocks(POOLED, "c", core) == core.law["compute"]
    assert core.regions is None and [b.reader for b in design.branches] == ["c", "d", "n", "f"]
    rows = {row["name"]: row["pool"] for row in core_rows(POOLED, design)}
    assert rows == {"c": "max 2x2, sums made 2.25 times", "d": "", "f": ""}


@pytest.mark.parametrize("others", [("p", "q"), ("p", "c")])
def test_sums_that_feed_several_places_are_refused(others):
    pools = [Pool(name, "c", "max", (1, 1)) for name in ("p", "q") if name in others]
    network = graph(
        Conv2d("c", "x", ones(2, 2, 1, 1)),
        *pools,
        Neuron("n", others, fires(2, shifts=(0, 0))),
        name="n",
    )
    with pytest.raises(DesignError, match="'c': its sums feed 'n' in several places; a core has"):
        walk(network)


def test_walk_of_a_chain():
    assert [(c.name, c.op, c.sources[0], c.target) for c in walk(CHAIN)] == [
        ("c1", "conv", "x", "n1"),
        ("p", "pool", "n1", "p"),
        ("c2", "conv", "p", "n2"),
        ("f", "conv", "n2", "r"),
    ]
