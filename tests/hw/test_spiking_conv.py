"""SpikingConv alone: every beat is the golden model's, at the rate of the law, for any data."""

import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import verilog
from combpath import assert_no_comb_path
from corecase import core_cases, images_for, stream_core

import sterna.hw.core.scan_banks as banks
import sterna.hw.core.spiking_conv as spiking_conv
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.core.front import Front
from sterna.sim.cocotb_runner import run_core

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
from fuzz import Limits, Seeded, random_images, random_network
from fuzzrun import random_folding


def weights(*shape, kind="ternary"):
    rng = np.random.default_rng(sum(shape))
    return rng.integers(-1, 2, shape) if kind == "ternary" else rng.integers(0, 2, shape) * 2 - 1


def rule(channels, low=1, high=6, **settings):
    rng = np.random.default_rng(channels)
    return NeuronRule(threshold=rng.integers(low, high, channels), **settings)


def single(steps, shape, conv, neurons, coding="frames", bits=8):
    """x -> c (conv) -> n, and f -> r to make it a network."""
    (kh, kw), (top, bottom, left, right) = conv.kernel, conv.padding
    h = (shape[1] + top + bottom - kh) // conv.stride[0] + 1
    w = (shape[2] + left + right - kw) // conv.stride[1] + 1
    size = conv.out_channels * h * w
    return Network(
        steps,
        [
            Input("x", shape, coding, bits),
            conv,
            Neuron("n", ("c",), neurons),
            Linear("f", "n", weights(3, size)),
            Readout("r", ("f",), rule(3, reset="none", leak=Decay(2), fraction_bits=2)),
        ],
    )


CASES = {
    # pixels in bit planes, current computed once, taps beyond every edge
    "pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 2, "simd": 9, "tp": 2}},
    ),
    "wide pixels": (
        single(
            5,
            (2, 3, 7),
            Conv2d(
                "c",
                "x",
                weights(4, 2, 2, 3, kind="binary"),
                stride=(1, 2),
                padding=(1, 0, 2, 1),
                kind="binary",
            ),
            rule(4, 60, 300, reset="zero"),
            "direct",
            5,
        ),
        {"c": {"pe": 1, "simd": 6, "tp": 5}},
    ),
    # the scan is the bound: T above the folds
    "long scan": (
        single(11, (4, 3, 3), Conv2d("c", "x", weights(2, 4, 2, 2)), rule(2, delay=1)),
        {"c": {"pe": 1, "simd": 16, "tp": 11}},
    ),
    # several plane groups, T no multiple of tp, sums in order
    "odd planes": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(3, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(3, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 3, "simd": 2, "tp": 3}},
    ),
    "many turns": (
        single(
            9,
            (3, 3, 4),
            Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)),
            rule(4, synapse=Decay(2)),
        ),
        {"c": {"pe": 4, "simd": 3, "tp": 1}},
    ),
    "groups": (
        single(
            3,
            (6, 4, 4),
            Conv2d("c", "x", weights(6, 2, 3, 3), groups=3, padding=(1, 1, 1, 1)),
            rule(6, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 2, "tp": 3}},
    ),
    "depthwise": (
        single(
            4,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3, kind="binary"), groups=4, kind="binary"),
            rule(4, 0, 4),
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2}},
    ),
    # row banks: the whole window at once
    "full window": (
        single(
            2,
            (2, 6, 5),
            Conv2d("c", "x", weights(2, 2, 3, 2), stride=(2, 2), padding=(2, 1, 0, 1)),
            rule(2),
        ),
        {"c": {"pe": 1, "simd": 12, "tp": 1}},
    ),
    "one by one": (
        single(2, (8, 1, 6), Conv2d("c", "x", weights(4, 8, 1, 1), stride=(1, 3)), rule(4, -2, 3)),
        {"c": {"pe": 2, "simd": 4, "tp": 2}},
    ),
    "per step bias": (
        single(
            3,
            (2, 3, 3),
            Conv2d("c", "x", weights(4, 2, 2, 2)),
            rule(4, bias=np.arange(12).reshape(3, 4) - 6, reset_by=np.array([1, 9, -1, 2])),
        ),
        {"c": {"pe": 2, "simd": 8, "tp": 1}},
    ),
    # weights in the logic: a value's planes in parts, all steps at once, a tree for every channel
    "constant pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"tp": 2, "engine": "constant"}},
    ),
    "constants": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"tp": 2, "engine": "constant"}},
    ),
    # tables of sums: planes of a value in parts, odd blocks of outputs, two rows of weights
    "table pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 4, "simd": 9, "tp": 2, "engine": "tables"}},
    ),
    "tables": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(7, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(7, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 7, "simd": 18, "tp": 2, "engine": "tables"}},
    ),
    "table folds": (
        single(7, (4, 4, 3), Conv2d("c", "x", weights(5, 4, 2, 2)), rule(5)),
        {"c": {"pe": 5, "simd": 8, "tp": 3, "engine": "tables"}},
    ),
    "table groups": (
        single(3, (3, 4, 4), Conv2d("c", "x", weights(6, 3, 2, 2)), rule(6, -1, 4)),
        {"c": {"pe": 3, "simd": 12, "tp": 3, "engine": "tables"}},
    ),
    "table depthwise": (
        single(4, (4, 5, 4), Conv2d("c", "x", weights(4, 1, 3, 3), groups=4), rule(4, 0, 4)),
        {"c": {"pe": 4, "simd": 9, "tp": 4, "engine": "tables"}},
    ),
    "constant depthwise": (
        single(4, (4, 5, 4), Conv2d("c", "x", weights(4, 1, 3, 3), groups=4), rule(4, 0, 4)),
        {"c": {"tp": 4, "engine": "constant"}},
    ),
    # banks of scans: a held value and one row of parameters; steps in order and rows that change,
    # banks that do not divide T or the visits; a visit in every clock; a scan that could do alone
    "banked pixels": (
        single(
            6,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 4, "simd": 9, "tp": 4, "banks": 3}},
    ),
    "banks": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, -9, 10, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 2, "simd": 18, "tp": 3, "banks": 2}},
    ),
    "banked constants": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, synapse=Decay(2)),
        ),
        {"c": {"tp": 5, "engine": "constant", "banks": 5}},
    ),
    "banked depthwise": (
        single(
            8,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), groups=4),
            rule(4, 0, 4, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 9, "tp": 4, "banks": 4, "memory": "ram"}},
    ),
    "banked tables": (
        single(7, (4, 4, 3), Conv2d("c", "x", weights(5, 4, 2, 2)), rule(5)),
        {"c": {"pe": 5, "simd": 8, "tp": 7, "engine": "tables", "banks": 3}},
    ),
    "idle banks": (
        single(3, (3, 3, 4), Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)), rule(4)),
        {"c": {"pe": 4, "simd": 3, "tp": 1, "banks": 2}},
    ),
    # words read in pieces: a held value, as many as clocks, pieces that do not divide the word,
    # several output groups, one word for all, banks of scans
    "read pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2, "reads": 4}},
    ),
    "reads": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(3, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(3, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 1, "simd": 2, "tp": 3, "reads": 2, "memory": "ram"}},
    ),
    "odd reads": (
        single(
            9,
            (3, 3, 4),
            Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)),
            rule(4, synapse=Decay(2)),
        ),
        {"c": {"pe": 4, "simd": 3, "tp": 1, "reads": 4, "memory": "ram"}},
    ),
    "read groups": (
        single(
            3,
            (6, 4, 4),
            Conv2d("c", "x", weights(6, 2, 3, 3), groups=3, padding=(1, 1, 1, 1)),
            rule(6, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 2, "tp": 1, "reads": 3}},
    ),
    "read depthwise": (
        single(
            4,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3, kind="binary"), groups=4, kind="binary"),
            rule(4, 0, 4),
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2, "reads": 2}},
    ),
    "one word read": (
        single(
            2,
            (2, 6, 5),
            Conv2d("c", "x", weights(2, 2, 3, 2), stride=(2, 2), padding=(2, 1, 0, 1)),
            rule(2),
        ),
        {"c": {"pe": 2, "simd": 12, "tp": 1, "reads": 2}},
    ),
    "read banked": (
        single(8, (2, 4, 4), Conv2d("c", "x", weights(6, 2, 3, 3)), rule(6, -9, 10)),
        {"c": {"pe": 2, "simd": 18, "tp": 2, "banks": 2, "reads": 4}},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_core_gives_the_golden_beats(name, stalls):
    net, folding = CASES[name]
    case = core_cases(net, folding, images_for(net, 3, seed=4))[0]
    assert len(set(case.wanted)) > 1 or case.wanted[0] > 0  # else silence would pass
    stream_core(case, stalls)


@pytest.mark.parametrize("seed", range(8))
def test_cores_of_random_networks(seed):
    """Every convolution of a random chain, foldings at random, both ends stalling."""
    draw = Seeded(1000 + seed)
    limits = Limits(channels=4, side=4, layers=1, steps=6, planes=16, classes=3, work=4000)
    net = random_network(draw, limits)
    folding = random_folding(net, draw, work=400)
    cases = core_cases(net, folding, random_images(draw, net, 2))
    for case in cases:
        if case.name in folding:
            stream_core(case, 0.4, seed)


def test_readout_gives_logits_in_class_order():
    net, folding = CASES["odd planes"]
    case = core_cases(
        net, {**folding, "f": {"pe": 1, "simd": 3, "tp": 7}}, images_for(net, 3, seed=4)
    )[-1]
    assert case.spec.readout == "membrane" and len(case.wanted) == 9
    stream_core(case, 0.5)


@pytest.mark.parametrize("name", ["pixels", "groups", "banks"])
def test_rate_is_that_of_the_law_for_any_data(name):
    """cocotb: the third image on takes ``spec.interval`` clocks, and every clock is the same
    whatever the data are; with stalls the beats are the same."""
    net, folding = CASES[name]
    random_ = core_cases(net, folding, images_for(net, 5, seed=1))[0]
    dark = core_cases(net, folding, images_for(net, 5, seed=1) * 0)[0]
    text = verilog.convert(random_.component(), name="core", strip_internal_attrs=True)
    runs = [run_core(text, "core", c.sent, {"o": c.wanted}) for c in (random_, dark)]
    assert random_.wanted != dark.wanted
    assert runs[0].given == runs[1].given and runs[0].taken == runs[1].taken
    given, size = runs[0].given["o"], len(random_.wanted) // 5
    law = random_.spec.interval
    for image in (2, 3, 4):
        interval = given[(image + 1) * size - 1] - given[image * size - 1]
        assert law <= interval <= 1.02 * law, f"image {image}: {interval} clocks, law {law}"
    run_core(text, "core", random_.sent, {"o": random_.wanted}, in_stall=0.5, out_stall=0.3)


def blocked(name):
    """Two images of a case, and the clocks a beat at which its output FIFO is sure to be full."""
    net, folding = CASES[name]
    case = core_cases(net, folding, images_for(net, 2, seed=4))[0]
    return case, 2 + 2 * case.spec.visit_clocks // case.spec.out_beats


@pytest.mark.parametrize("name", CASES)
def test_an_output_that_hardly_moves(name):
    case, every = blocked(name)
    stream_core(case, every=every)


@pytest.mark.parametrize("name", ["groups", "banks"])
def test_credits_without_room_are_noticed(name, monkeypatch):
    """The test above fills the FIFO: were there more credits than room, beats would be lost."""
    case, every = blocked(name)
    real = spiking_conv.Credit
    monkeypatch.setattr(spiking_conv, "Credit", lambda count: real(count + 6))
    with pytest.raises(AssertionError):
        stream_core(case, every=every)


def test_banks_that_take_the_row_of_another_visit_are_noticed(monkeypatch):
    """The row of parameters changes with the visit, while others are still being scanned."""
    net, folding = CASES["banks"]
    case = core_cases(net, folding, images_for(net, 2, seed=4))[0]
    assert case.spec.param_depth == 3
    real = banks.ScanBanks.elaborate

    def elaborate(self, platform):
        self.row_changes = False
        return real(self, platform)

    monkeypatch.setattr(banks.ScanBanks, "elaborate", elaborate)
    with pytest.raises(AssertionError):
        stream_core(case)


def test_visits_that_do_not_wait_for_their_tables_are_noticed(monkeypatch):
    """The beats come right after the reset, when no table is written yet."""
    net, folding = CASES["table depthwise"]
    case = core_cases(net, folding, images_for(net, 2, seed=4))[0]
    real = Front.elaborate

    def elaborate(self, platform):
        m = real(self, platform)
        m.d.comb += self.ready.eq(1)
        return m

    monkeypatch.setattr(Front, "elaborate", elaborate)
    with pytest.raises(AssertionError):
        stream_core(case)


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("pixels", "rom"),
        ("odd planes", "ram"),
        ("depthwise", "rom"),
        ("tables", "ram"),
        ("banks", "ram"),
    ],
)
def test_no_combinational_path(name, memory):
    net, folding = CASES[name]
    folding = {"c": {**folding["c"], "memory": memory}}
    assert_no_comb_path(core_cases(net, folding, images_for(net, 1))[0].component())


def test_numbers_of_a_spec():
    """docs/design.md#interval by hand: 2 x 2 pixels, 2 output groups, 3 folds x 3 groups."""
    net, folding = CASES["depthwise"]
    spec = core_cases(net, folding, images_for(net, 1))[0].spec
    assert (spec.geometry.out_height, spec.geometry.out_width) == (3, 2)
    assert spec.folds == 3 and spec.plane_groups == 2 and spec.output_groups == 2
    assert spec.visit_clocks == 6 and spec.interval == 3 * 2 * 2 * 6
    assert spec.lanes == 2 * 3 * 2 and spec.weight_width == 6 and spec.weight_depth == 6
    net, folding = CASES["banks"]
    spec = core_cases(net, folding, images_for(net, 1))[0].spec
    assert spec.folds * spec.plane_groups == 3 and spec.visit_clocks == 4  # 7 steps, 2 banks
