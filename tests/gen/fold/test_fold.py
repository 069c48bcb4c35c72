"""Folding: what is refused and how, the smallest folding, what is given and kept."""

import numpy as np
import pytest
from foldcase import CHAIN, TWO_SUMS, fires, graph, last, ones

from sterna.gen.design.legal import legal_folding
from sterna.gen.fold.fold import fold
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule


def refused(*arguments, **settings) -> str:
    with pytest.raises(DesignError) as e:
        fold(*arguments, **settings)
    return str(e.value)


@pytest.mark.parametrize(
    ("folding", "sentence"),
    [
        ({"c1": {"pe": 5}}, "node 'c1': pe 5 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": 0}}, "node 'c1': pe 0 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": -1}}, "node 'c1': pe -1 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": 2.0}}, "node 'c1': pe 2.0 is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": True}}, "node 'c1': pe True is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"pe": "2"}}, "node 'c1': pe '2' is not legal; use one of 1, 2, 3, 4, 6, 12"),
        ({"c1": {"simd": 4}}, "node 'c1': simd 4 is not legal; use one of 1, 2, 6, 18"),
        ({"c1": {"tp": 3}}, "node 'c1': tp 3 is not legal; use one of 1, 2, 4, 8"),
        ({"c2": {"pe": 3}}, "node 'c2': pe 3 is not legal; use one of 1, 2"),
        ({"c2": {"simd": 8}}, "node 'c2': simd 8 is not legal; use one of 1, 2, 4, 12, 36"),
        ({"c2": {"tp": 2}}, "node 'c2': tp 2 is not legal; use one of 1, 3, 6, 9, 12"),
        ({"f": {"pe": 2}}, "node 'f': pe 2 is not legal; use one of 1, 5"),
        ({"c9": {}}, "folding: there is no core 'c9'; the cores are c1, c2, f"),
        ({"p": {"pe": 1}}, "folding: there is no core 'p'; the cores are c1, c2, f"),
        (
            {"c1": {"lanes": 2, "PE": 1}},
            "folding of 'c1': unknown PE, lanes; use pe, simd, tp, memory, engine, ram_style, "
            "banks, reads, nest",
        ),
        ({"c1": {"memory": "flash"}}, "folding of 'c1': memory 'flash' is not rom or ram"),
        (
            {"c1": 3},
            "folding of 'c1': is not an object with pe, simd, tp, memory, engine, ram_style, "
            "banks, reads, nest",
        ),
    ],
)
def test_illegal_foldings_are_refused_with_the_legal_values(folding, sentence):
    assert refused(CHAIN, folding) == sentence


def test_other_refusals():
    assert refused(CHAIN, family="asic") == (
        "family 'asic' is not one of generic, ecp5, xilinx7, ice40"
    )
    nan, inf = float("nan"), float("inf")
    for clock, fps in (
        (0, None),
        (-1, None),
        (nan, None),
        ("x", None),
        (100, 0),
        (100, -5.0),
        (100, nan),
        (inf, 30.0),
        (100, 1e-320),
    ):
        assert "must be a number above" in refused(CHAIN, clock_mhz=clock, fps=fps)
    for width in (0, 7, 12, 1024, -8):
        assert "AXI4-Stream" in refused(CHAIN, axis_width=width)
    wide = Network(
        64,
        [
            Input("x", (16, 3, 3), "frames"),
            Conv2d("c", "x", ones(2, 16, 1, 1)),
            Neuron("n", ("c",), fires(2)),
            Linear("f", "n", ones(2, 18)),
            Readout("r", ("f",), last(2)),
        ],
    )
    assert refused(wide, {"c": {"pe": 1, "simd": 16, "tp": 64}}) == (
        "node 'c': a window word of simd 16 x tp 64 is wider than 512 bits; use a smaller simd or "
        "tp"
    )


def test_an_fps_out_of_reach_is_refused_with_the_node_and_the_numbers():
    text = refused(CHAIN, fps=1e6, clock_mhz=10)
    assert text.startswith("node '") and "10 are left at 1e+06 fps" in text
    assert text.endswith("lower the fps or raise the clock")
    # A given folding that is too slow is named as well.
    slow = {"c1": {"pe": 1, "simd": 1, "tp": 1}}
    text = refused(CHAIN, slow, fps=20_000, clock_mhz=100)
    assert "node 'c1': takes 110592 clocks an image, 5000 are left at 20000 fps" in text


def test_sums_that_feed_two_neurons_are_refused():
    net = graph(
        Conv2d("c", "x", ones(2, 2, 1, 1)),
        Neuron("n", ("c",), fires(2)),
        Neuron("m", ("c",), fires(2)),
        Merge("a", ("n", "m"), "add"),
        name="a",
    )
    assert refused(net) == (
        "node 'c': its sums feed 'n', 'm' in several places; a core has one neuron, so duplicate "
        "the node"
    )


def test_the_weighted_inputs_of_a_neuron_share_pe_and_memory():
    folding = {"c": {"pe": 1, "simd": 1, "tp": 1}, "d": {"pe": 2, "simd": 1, "tp": 1}}
    assert refused(TWO_SUMS, folding) == (
        "node 'd': pe 2 differs from the pe 1 of 'c', which feeds the same neuron; give both the "
        "same"
    )
    lanes = {"pe": 1, "simd": 1, "tp": 1}
    for given in ({}, lanes):  # also where nothing else is open
        design = fold(TWO_SUMS, {"c": given, "d": given | {"memory": "ram"}})
        assert [c.memory for c in design.cores[:2]] == ["ram", "ram"]
    assert refused(TWO_SUMS, {"c": {"memory": "rom"}, "d": {"memory": "ram"}}) == (
        "node 'd': memory ram differs from the rom of 'c', which feeds the same neuron; give both "
        "the same"
    )
    assert {c.pe for c in fold(TWO_SUMS, {"d": {"pe": 1}}).cores if c.target == "n"} == {1}


def test_spikes_too_wide_to_be_added_are_refused():
    big = Merge("big", ("x", "x"), "add", (8, 8))  # 0 .. 512: 10 bits
    c = Conv2d("c", "x", ones(64, 64, 1, 1))
    coef = (np.ones(64, np.int64),)
    net = Network(
        2,
        [
            Input("x", (64, 3, 3), "frames"),
            big,
            c,
            Neuron("n", ("c", "big"), fires(64, coef=coef)),
            Linear("f", "n", ones(2, 576)),
            Readout("r", ("f",), last(2)),
        ],
    )
    assert refused(net, {"c": {"pe": 64, "simd": 64, "tp": 1}}) == (
        "node 'c': pe 64 is not legal, because a step of 64 lanes x 10 bits at 'big' is wider than "
        "512 bits; use one of 1, 2, 4, 8, 16, 32"
    )


def test_a_merge_gets_equal_lanes_and_whole_steps():
    net = Network(
        4,
        [
            Input("x", (4, 3, 3), "frames"),
            Conv2d("c", "x", ones(6, 4, 1, 1)),
            Neuron("n", ("c",), fires(6)),
            Merge("a", ("x", "x"), "add", (0, 1)),
            Merge("m", ("n", "a"), "concat"),
            Linear("f", "m", ones(2, 90)),
            Readout("r", ("f",), last(2)),
        ],
    )
    design = fold(net, {"c": {"pe": 6, "simd": 4, "tp": 4}})
    n, a = design.branch("m", 0).taken, design.branch("m", 1).taken
    assert n.lanes == a.lanes and 2 * n.pb == a.pb and n.planes == 4 and a.planes == 8
    assert 6 % n.lanes == 0 and 4 % n.lanes == 0
    assert design.core("m").output.channels == 10 and design.core("m").output.planes == 8


@pytest.mark.parametrize("fps", [500, 3000, 12_000, 60_000])
def test_the_smallest_folding_that_reaches_the_fps(fps):
    design = fold(CHAIN, fps=fps, clock_mhz=100)
    target = int(100e6 / fps)
    assert design.interval <= target
    for name, entry in design.folding.items():
        legal = legal_folding(CHAIN, name)
        for key in ("pe", "simd", "tp"):
            # One notch less of any of the three, all else equal, is too slow.
            at = legal[key].index(entry[key])
            if at:
                less = {name: {**entry, key: legal[key][at - 1]}}
                slower = fold(CHAIN, {**design.folding, **less}, clock_mhz=100)
                assert slower.core(name).law["compute"] > target, f"{name} {key} of {entry}"


def test_more_fps_take_more_lanes():
    lanes = [
        sum(c.lanes for c in fold(CHAIN, fps=fps).cores) for fps in (100, 1000, 10_000, 60_000)
    ]
    assert lanes == sorted(lanes) and lanes[0] < lanes[-1]


def test_a_given_core_is_kept_and_the_rest_keep_up():
    design = fold(CHAIN, {"c1": {"pe": 12, "simd": 18, "tp": 4, "memory": "ram"}})
    given = design.core("c1")
    assert (given.pe, given.simd, given.tp, given.memory) == (12, 18, 4, "ram")
    assert design.interval == given.interval or design.interval <= 1.1 * given.interval
    partly = fold(CHAIN, {"c2": {"memory": "ram", "pe": 2}})
    assert partly.core("c2").memory == "ram" and partly.core("c2").pe == 2


def test_no_layer_is_folded_to_window_words_that_no_beat_holds():
    """Three planes a step behind a sum pool: 64 channels of all twelve planes are 768 bits."""
    ones = lambda n, **more: NeuronRule(np.ones(n, np.int32), **more)  # noqa: E731
    network = Network(
        steps=4,
        nodes=[
            Input("image", shape=(64, 8, 8), coding="frames"),
            Pool("pool", "image", "sum", (2, 2)),
            Conv2d(
                "conv",
                "pool",
                np.ones((256, 64, 3, 3), np.int8),
                (1, 1),
                (1, 1, 1, 1),
                kind="binary",
            ),
            Neuron("spikes", ["conv"], ones(256)),
            Linear("fc", "spikes", np.ones((10, 4096), np.int8), kind="binary"),
            Readout("out", ["fc"], ones(10, reset="none"), "membrane", scale=1.0),
        ],
    )
    for fps in (500, 1000, 3000, 10_000):
        for core in fold(network, fps=fps).cores:
            assert core.input.lanes * core.input.pb <= 512
