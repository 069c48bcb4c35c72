"""The exact model against plain Python integers, on random graphs of every node and rule."""

from dataclasses import replace

import numpy as np
import pytest
from fuzz import Hypothesis, Limits, describe, random_images, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_run

from sterna.golden.bounds import node_bounds
from sterna.golden.exact import run
from sterna.golden.network import Neuron, Readout
from sterna.golden.result import compare

TINY = Limits(channels=4, side=4, layers=2, steps=6, planes=24, classes=3, work=8000, graphs=True)
POOLS = replace(TINY, pools=60, counts=70)


@settings(max_examples=60)
@given(st.data())
def test_run_equals_plain_integers_and_stays_inside_the_bounds(data):
    draw = Hypothesis(data)
    network = random_network(draw, POOLS if data.draw(st.booleans()) else TINY)
    images = random_images(draw, network, 2)
    fast = run(network, images, trace="all", batch=1)
    oracle = run(network, images, trace="all", exact=True)
    assert compare(fast, oracle) is None
    for b in range(2):
        image = images[:, b] if network.input.coding == "frames" else images[b]
        logits, best, streams, histories = plain_run(network, image)
        for name, spikes in fast.spikes.items():
            ours = {key: int(s) for key, s in np.ndenumerate(spikes[:, b])}
            assert ours == streams[name], f"{name}\n{describe(network)}"
        assert fast.logits[b].tolist() == logits, describe(network)
        assert fast.classes[b] == best
        for name, neurons in histories.items():
            assert isinstance(network[name], (Neuron, Readout))
            bounds = node_bounds(network, name)
            for register in ("x", "drive", "current", "u", "v", "reset", "margin"):
                low, high = getattr(bounds, register)
                values = [step[register] for history in neurons for step in history]
                assert low <= min(values) and max(values) <= high, (name, register)


@pytest.mark.slow
def test_oracle_equals_the_fast_path_on_300_larger_graphs():
    from fuzz import Seeded

    for seed in range(300):
        draw = Seeded(seed)
        network = random_network(draw, Limits(graphs=seed % 2 == 0))
        images = random_images(draw, network, 4)
        fast = run(network, images, trace="all")
        assert compare(fast, run(network, images, trace="all", exact=True)) is None, seed
