"""The depths of skip buffers are tight, in the token model and in the RTL alike: one beat less than
``min_full_rate`` is slower, one less than ``min_no_deadlock`` stands still.

The RTL is built once; ``limit_<k>`` lowers the depth of a buffer at run time. Ends never stall.
"""

import json

import numpy as np
import pytest
from fuzz import Seeded, random_images
from fuzzdag import GRAPH, random_graph
from fuzzrun import random_folding
from repo import EXAMPLES

from sterna.gen.design.design import Design
from sterna.gen.design.top_spec import top_spec
from sterna.gen.fold.fold import fold
from sterna.gen.model.tokens import TokenModel
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.golden.coding import image_bits
from sterna.golden.errors import DesignError, NetworkError
from sterna.golden.files import network_files as files
from sterna.golden.network import Network
from sterna.sim.batch import BatchModel, SimulationError
from sterna.sim.taps import Tap

IMAGES = 6


class Both:
    """The same network in the model and in the RTL; depths are set for both. ``optimize``: as
    `BatchModel.build` takes it."""

    def __init__(self, network: Network, design: Design, optimize: str) -> None:
        self.design = design
        self.model = TokenModel(top_spec(network, design))
        self.rows = image_bits(
            network.input, random_images(Seeded(1), network, IMAGES), network.steps
        )
        text = verilog_text(elaborate(network, design, taps=True), network.name)
        taps = [Tap.from_json(t) for t in design.taps]
        words = network.shape[network.readout.name][0] + 1
        self.rtl = BatchModel.build(
            text, network.name, taps, design.axis_width // 8, words, optimize=optimize
        )
        self.watchdog = 4 * design.interval + 10_000
        assert [b.buffer for b in self.model.buffers] == [
            (b.buffer.kind, b.buffer.depth) for b in design.buffers if b.buffer
        ]

    def ends(self, depths: list[int]) -> np.ndarray:
        """Clocks of the result of each image after that of the first; model and RTL agree."""
        timing = self.model.run(IMAGES, depths=depths)
        for n, depth in enumerate(depths):
            self.rtl.limit(n, depth)
        try:
            done = self.rtl.run(self.rows, trace=(), watchdog=self.watchdog)
        except SimulationError as e:
            assert "nothing moved" in str(e) and timing.deadlock, f"{depths}: {e}"
            self.rtl.reset()
            return np.array([])
        assert not timing.deadlock, f"{depths}: the model stands still, the RTL does not"
        assert (np.diff(timing.ends) == done.interval).all(), f"{depths}: other clocks"
        return np.cumsum(done.interval)


def tight(network: Network, design: Design, optimize: str = "none") -> int:
    """Checks every buffer of a design; how many there are."""
    both = Both(network, design, optimize)
    buffers = [b.buffer for b in design.buffers if b.buffer]
    least = [b.min_full_rate for b in buffers]
    best = both.ends(least)
    built = both.ends([b.depth for b in buffers])
    assert best[-1] - best[0] <= built[-1] - built[0], "deeper buffers are faster"
    for n, b in enumerate(buffers):
        if b.min_full_rate > 1:
            slower = both.ends([*least[:n], least[n] - 1, *least[n + 1 :]])
            assert not len(slower) or np.diff(slower).max() > np.diff(best).max(), (
                f"buffer {n}: {least[n] - 1} beats are as fast as {least[n]}"
            )
        if b.min_no_deadlock > 1:
            assert len(both.ends([*least[:n], b.min_no_deadlock, *least[n + 1 :]]))
            stuck = both.ends([*least[:n], b.min_no_deadlock - 1, *least[n + 1 :]])
            assert not len(stuck), f"buffer {n}: {b.min_no_deadlock - 1} beats do not stand still"
    return len(buffers)


def waiting(seed: int) -> tuple[Network, Design]:
    """A random network of which at least one branch waits, folded at random."""
    while True:
        draw = Seeded(seed)
        network = random_graph(draw, GRAPH)
        folding = {k: v | {"memory": "rom"} for k, v in random_folding(network, draw).items()}
        try:
            design = fold(network, folding, family="ecp5")
        except (DesignError, NetworkError):
            design = None  # a beat above 512 bits is the one thing that may not fit
        if design is not None and design.buffers:
            return network, design
        seed += 100_000


def example(name: str) -> tuple[Network, Design]:
    network = files.load(EXAMPLES / name)
    entry = json.loads((EXAMPLES / name / "folding.json").read_text())
    return network, fold(network, entry["folding"], family=entry["family"])


def test_the_depths_of_the_demo_are_tight():
    assert tight(*example("digits")) > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_depths_of_a_few_random_graphs_are_tight(seed):
    assert tight(*waiting(seed)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["skip4_asc", "skip4_dsc", "skip4_mix"])
def test_the_depths_of_examples_are_tight(name):
    assert tight(*example(name), "run") > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 60))
def test_the_depths_of_random_graphs_are_tight(seed):
    assert tight(*waiting(seed)) > 0
