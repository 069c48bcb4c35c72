"""The batch model against the toy top: spikes, clocks, stalls, registers, faults."""

import re
from dataclasses import replace

import numpy as np
import pytest
import toy

from sterna.golden.errors import DesignError, UsageError
from sterna.sim.batch import AxiError, BatchModel, SimulationError

NODE = toy.TAP["node"]


@pytest.fixture
def make(toy_verilog, toy_tap):
    def build(verilog=toy_verilog, taps=(toy_tap,), **options):
        return BatchModel.build(verilog, "toy", taps, 2, 1 + toy.CHANNELS, **options)

    return build


def pictures(count: int, seed: int = 0) -> np.ndarray:
    shape = (count, 1, toy.HEIGHT, toy.WIDTH)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def check(result, images, threshold=100):
    spikes, logits = toy.expected(images, threshold)
    np.testing.assert_array_equal(result.spikes(NODE), spikes)
    np.testing.assert_array_equal(result.words[:, 1:].astype(np.int32), logits)
    np.testing.assert_array_equal(result.words[:, 0], logits.argmax(axis=1))


def test_spikes_packets_and_clocks(make):
    images = pictures(20)
    result = make().run(images.reshape(20, -1))
    check(result, images)
    assert (np.diff(result.clocks, axis=1) >= 0).all()
    assert (result.clocks[1:, 0] > result.clocks[:-1, 1]).all()
    # 24 pixels of 4 beats each: no image can be quicker.
    assert result.interval.min() >= 96 and result.latency.min() >= 96
    assert result.clocks_run > result.clocks[-1, 3] - result.clocks[0, 0]


@pytest.mark.parametrize("stalls", [(0.7, 0.0), (0.0, 0.9), (0.5, 0.5)])
def test_stalls_change_clocks_and_nothing_else(make, stalls):
    images = pictures(10, seed=1)
    model = make()
    free = model.run(images.reshape(10, -1))
    stalled = model.run(images.reshape(10, -1), in_stall=stalls[0], out_stall=stalls[1], seed=5)
    check(stalled, images)
    assert stalled.clocks_run > free.clocks_run
    again = make().run(images.reshape(10, -1), in_stall=stalls[0], out_stall=stalls[1], seed=5)
    np.testing.assert_array_equal(again.words, stalled.words)


def test_only_named_taps_are_recorded(make):
    images = pictures(2)
    model = make()
    assert model.run(images.reshape(2, -1), trace=()).beats == {}
    with pytest.raises(UsageError, match="no spikes of 'other' can be traced; this build taps"):
        model.run(images.reshape(2, -1), trace=["other"])


def test_registers(make):
    model = make()
    assert model.read(0) == 0x70F
    model.write(4, 55)
    assert model.read(4) == 55
    images = pictures(4, seed=2)
    check(model.run(images.reshape(4, -1)), images, threshold=55)
    model.feed(np.ones((3, 2), np.uint8), [False] * 3)  # an image is under way: not idle
    with pytest.raises(AxiError, match="write of 0x4 was answered with SLVERR"):
        model.write(4, 1)


def test_reset_in_mid_image(make):
    model = make()
    images = pictures(3, seed=3)
    model.feed(np.full((5, 2), 255, np.uint8), [False] * 5)
    model.reset()
    check(model.run(images.reshape(3, -1)), images)


def test_watchdog_names_what_is_stuck(make):
    model = make()
    model.write(8, 1)  # nobody reads the tap any more
    with pytest.raises(SimulationError) as caught:
        model.run(pictures(2).reshape(2, -1), watchdog=500)
    text = str(caught.value)
    assert "nothing moved for 500 clocks" in text
    assert "tap 'toy__spikes' valid without ready after 0 of 192 beats" in text
    assert "input valid without ready after 1 of 24 words" in text
    assert "output ready without valid after 0 of 8 words" in text
    model.reset()
    images = pictures(2)
    check(model.run(images.reshape(2, -1)), images)


def test_stall_longer_than_an_image_is_no_hang(make):
    """A watchdog counts clocks in which nothing moves, not clocks in all."""
    images = pictures(3)
    check(make().run(images.reshape(3, -1), in_stall=0.98, watchdog=2000), images)


def test_power_up_memory_is_random_only_when_asked(make):
    def memory(**options):
        model = make(**options)
        return [model.read(0x100 + 4 * k) for k in range(16)]

    assert memory() == [0] * 16
    first = memory(random_memory=True, seed=1)
    assert len(set(first)) > 10
    assert memory(random_memory=True, seed=1) == first
    assert memory(random_memory=True, seed=2) != first


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("assign m_axis_tlast = ", "assign m_axis_tlast = m_axis_tvalid & ", None),
        (r"assign m_axis_tlast = .*?;", "assign m_axis_tlast = result == 2;", "not 4 words long"),
        (
            r"assign tap_toy__spikes_valid = ",
            "assign tap_toy__spikes_valid = stall[2] & ",
            "dropped a beat",
        ),
    ],
    ids=["same", "tlast", "drop"],
)
def test_faults_put_in_are_caught(make, toy_verilog, old, new, message):
    faulty, changed = re.subn(old, new, toy_verilog, count=1, flags=re.S)
    assert changed == 1
    images = pictures(3)
    model = make(faulty, optimize="none")
    if message is None:
        check(model.run(images.reshape(3, -1)), images)
        return
    with pytest.raises(SimulationError, match=message):
        model.run(images.reshape(3, -1))


def test_ports_that_do_not_fit_are_refused(make, toy_verilog, toy_tap):
    with pytest.raises(DesignError, match="has no port 'tap_x_valid'"):
        make(taps=(replace(toy_tap, node="x"),))
    with pytest.raises(DesignError, match="is 2 bits wide, 4 are expected"):
        make(taps=(replace(toy_tap, pb=2),))
    with pytest.raises(DesignError, match="module 'other' is not in the Verilog"):
        BatchModel.build(toy_verilog, "other", (), 2, 4)


def test_finish_in_the_verilog_is_an_error(make, toy_verilog):
    stop = "  always @(posedge clk) if (pixels == 3) $finish;\nendmodule"
    model = make(toy_verilog.replace("endmodule", stop), optimize="none")
    with pytest.raises(SimulationError, match=r"\$finish at design.v"):
        model.run(pictures(1).reshape(1, -1))


def test_two_models_of_one_library_do_not_share_anything(make):
    images = pictures(5, seed=9)
    one, two = make(), make()
    one.write(4, 10)
    check(two.run(images.reshape(5, -1)), images)
    check(one.run(images.reshape(5, -1)), images, threshold=10)


def test_a_beat_too_many_is_noticed(make, toy_tap):
    model = make(taps=(replace(toy_tap, height=toy.HEIGHT - 1),))
    with pytest.raises(SimulationError, match="tap 'toy__spikes' has more beats than the images"):
        model.run(pictures(2).reshape(2, -1))
