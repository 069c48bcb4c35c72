"""Random networks through the RTL: every spike, logit and class, with stalls, reloads and random
power-up contents, and the interval by its law.

``make test`` runs a few; ``make test-all`` runs 500 chains, 500 networks with pools of sums and
1,000 graphs with skips, and lets hypothesis look for (and shrink to) the smallest failing network.
``python tests/helpers/fuzzrun.py FIRST COUNT [--graph] [--pools]`` runs more.
"""

import os
from dataclasses import replace

import pytest
from fuzz import Hypothesis, Seeded
from fuzzdag import BIG_GRAPH, GRAPH
from fuzzrun import BIG, TINY, check_case, random_case
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.gen.tools.cache import Cache

# Chosen to hold, between them, every node, reset, coding and readout, both memories, groups,
# depthwise, strides and paddings that differ, multi-bit streams, TP below and above b, and banks of
# scans.
SEEDS = (29, 60, 73, 79, 112, 128)
# Every merge, shifts, three inputs, forks of three, sums and spikes before a neuron (rom and ram).
FEW_GRAPHS = (13, 25, 27, 63, 68)
# Pools of sums: padded, reloaded, with banks and words in pieces; overlapping, of a dilated layer.
FEW_POOLS = (144, 150)
POOLS = replace(TINY, pools=70)
# Padded pools by sum of sums: the window reaches the map where the pool does not.
PADDED, FEW_PADDED = replace(TINY, pools=100, padded=True), (8099,)
MANY = int(os.environ.get("STERNA_FUZZ", "500"))


def check(seed: int, limits, store: Cache | None = None) -> None:
    case = random_case(Seeded(seed), limits)
    found = check_case(case, store=store)
    assert found is None, f"seed {seed}: {found}\n{case}"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_random_networks(seed):
    check(seed, TINY, Cache())


@pytest.mark.parametrize("seed", FEW_GRAPHS)
def test_a_few_random_graphs(seed):
    check(seed, GRAPH, Cache())


@pytest.mark.parametrize("seed", FEW_POOLS)
def test_a_few_networks_with_pools_of_sums(seed):
    check(seed, POOLS, Cache())


@pytest.mark.parametrize("seed", FEW_PADDED)
def test_a_few_networks_with_padded_sums_of_sums(seed):
    check(seed, PADDED, Cache())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8000, 8000 + MANY // 5))
def test_many_networks_with_padded_sums_of_sums(seed):
    check(seed, PADDED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3000 + MANY))
def test_many_networks_with_pools_of_sums(seed):
    check(seed, replace(GRAPH, pools=60) if seed % 5 == 0 else POOLS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1000 + 2 * MANY))
def test_many_random_graphs(seed):
    check(seed, BIG_GRAPH if seed % 5 == 0 else GRAPH)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 200 + MANY))
def test_many_random_networks(seed):
    check(seed, BIG if seed % 5 == 0 else TINY)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.data())
def test_hypothesis_finds_no_failing_network(data):
    case = random_case(Hypothesis(data), GRAPH if data.draw(st.booleans()) else TINY)
    found = check_case(case)
    assert found is None, f"{found}\n{case}"
