"""SpikingConv alone: every beat is the golden model's, at the rate of the law, for any data."""

from dataclasses import replace

import arrivecase
import convcase
import pytest
from amaranth.back import verilog
from combpath import assert_no_comb_path
from corecase import core_cases, images_for, stream_core
from fuzz import Limits, Seeded, random_images, random_network
from fuzzrun import random_folding

import sterna.hw.core.front as front
import sterna.hw.core.spiking_conv as spiking_conv
import sterna.hw.neuron.scan_banks as banks
from sterna.hw.core.front import Front
from sterna.sim.cocotb_runner import run_core

CASES = {**convcase.CASES, **arrivecase.CASES}


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


@pytest.mark.parametrize("name", ["pixels", "groups", "banks", "arrival turns"])
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

    def elaborate(self, platform: object):
        self.row_changes = False
        return real(self, platform)

    monkeypatch.setattr(banks.ScanBanks, "elaborate", elaborate)
    with pytest.raises(AssertionError):
        stream_core(case)


def arriving(name="arrival"):
    net, folding = CASES[name]
    return core_cases(net, folding, images_for(net, 4, seed=4))[0]


def test_results_that_come_faster_than_they_are_scanned_are_noticed(monkeypatch):
    case, real = arriving(), front.Walker
    assert case.spec.visit_clocks == 3 > case.spec.plane_groups == 1
    monkeypatch.setattr(front, "Walker", lambda *args: real(*args[:3], 1, *args[4:]))
    with pytest.raises(AssertionError):
        stream_core(case)


def test_rows_of_weights_of_the_other_nest_are_noticed():
    case = arriving()
    f = case.spec.front
    rows = [f.weights[k * f.output_groups + g] for g in range(2) for k in range(f.folds)]
    assert sorted(rows) == sorted(f.weights) and rows != list(f.weights)
    other = replace(case, spec=replace(case.spec, front=replace(f, weights=rows)))
    with pytest.raises(AssertionError):
        stream_core(other)


def test_the_last_word_is_followed_by_the_results_and_others_by_none():
    """The first beat of an image comes a fixed time behind its last word, whenever that comes."""
    case = arriving("arrival of planes")
    words = len(case.sent["i"]) // 4
    taken = stream_core(case, stalls={"i": 0.7}, seed=3)
    late = taken["i"][words - 1][0]
    first = taken["o"][0][0]
    spec = case.spec
    assert late < first <= late + spec.delays().tokens[0] + spec.front.sum_turns + 4


def test_visits_that_do_not_wait_for_their_tables_are_noticed(monkeypatch):
    """The beats come right after the reset, when no table is written yet."""
    net, folding = CASES["table depthwise"]
    case = core_cases(net, folding, images_for(net, 2, seed=4))[0]
    real = Front.elaborate

    def elaborate(self, platform: object):
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
        ("arrival of planes", "ram"),
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
