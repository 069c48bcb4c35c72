"""The lean cocotb runner: benches pass where they should and fail where they should."""

import random

import numpy as np
import pytest
import toy
from amaranth.back import verilog
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.sim.batch import BatchModel
from sterna.sim.cocotb_runner import BenchFailed, run_core, run_network

WIDTH = 70


class Invert(wiring.Component):
    """One register; inverts its payload when asked to."""

    def __init__(self):
        payload = stream.Signature(unsigned(WIDTH))
        super().__init__({"i": In(payload), "o": Out(payload), "flip": In(1)})

    def elaborate(self, platform: object):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.eq(self.i.payload ^ self.flip.replicate(WIDTH)),
            ]
        return m


@pytest.fixture(scope="module")
def invert() -> str:
    return verilog.convert(Invert(), name="invert", strip_internal_attrs=True)


def beats(count: int) -> list[int]:
    rng = random.Random(3)
    return [rng.getrandbits(WIDTH) for _ in range(count)]


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.5, 0.3)])
def test_core_bench(invert, stalls):
    sent = beats(200)
    ones = (1 << WIDTH) - 1
    run = run_core(
        invert,
        "invert",
        {"i": sent},
        {"o": [beat ^ ones for beat in sent]},
        constants={"flip": 1},
        in_stall=stalls[0],
        out_stall=stalls[1],
    )
    assert len(run.given["o"]) == 200
    if stalls == (0.0, 0.0):
        assert run.given["o"] == [clock + 1 for clock in run.taken["i"]] == list(range(1, 201))
    else:
        assert run.clocks > 300


def test_core_bench_fails_on_a_wrong_beat(invert):
    sent = beats(5)
    wanted = [*sent[:3], sent[3] ^ 1, sent[4]]
    with pytest.raises(BenchFailed, match="beat 3 of o is 0x[0-9a-f]+, expected 0x"):
        run_core(invert, "invert", {"i": sent}, {"o": wanted}, constants={"flip": 0})


def test_core_bench_fails_on_missing_and_extra_beats(invert):
    sent = beats(3)
    with pytest.raises(BenchFailed, match="nothing moved for 50 clocks: o has 3 of 4 beats"):
        run_core(invert, "invert", {"i": sent}, {"o": [*sent, 0]}, watchdog=50)
    with pytest.raises(BenchFailed, match="o has more than 2 beats"):
        run_core(invert, "invert", {"i": sent}, {"o": sent[:2]})


def test_core_bench_fails_on_a_payload_that_changes(invert):
    faulty = invert.replace("assign i__ready = ", "assign i__ready = 1'b1 | ")
    assert faulty != invert
    with pytest.raises(BenchFailed, match="the beat of o__valid changed while waiting"):
        run_core(faulty, "invert", {"i": beats(50)}, {"o": beats(50)}, out_stall=0.8)


@pytest.mark.parametrize("threshold", [None, 60])
def test_network_bench_equals_batch_model(toy_verilog, toy_tap, threshold):
    images = np.random.default_rng(8).integers(0, 256, (6, 1, 4, 6), dtype=np.uint8)
    spikes, logits = toy.expected(images, threshold or 100)
    model = BatchModel.build(toy_verilog, "toy", (toy_tap,), 2, 4)
    if threshold:
        model.write(4, threshold)
    batch = model.run(images.reshape(6, -1))
    bench = run_network(
        toy_verilog,
        "toy",
        (toy_tap,),
        images.reshape(6, -1),
        4,
        writes=[(4, threshold)] if threshold else [],
        expected=batch,
    )
    np.testing.assert_array_equal(bench.words[:, 1:], logits)
    np.testing.assert_array_equal(bench.spikes(toy.TAP["node"]), spikes)
    if not threshold:  # the toy's reader stalls by the clocks since reset; both count them alike
        np.testing.assert_array_equal(np.diff(bench.clocks), np.diff(batch.clocks))
        np.testing.assert_array_equal(bench.interval, batch.interval)


def test_network_bench_fails_on_a_wrong_spike(toy_verilog, toy_tap):
    images = np.random.default_rng(8).integers(0, 256, (2, 1, 4, 6), dtype=np.uint8)
    batch = BatchModel.build(toy_verilog, "toy", (toy_tap,), 2, 4).run(images.reshape(2, -1))
    batch.beats[toy.TAP["node"]][1, 5] ^= 1
    with pytest.raises(BenchFailed, match="beat 101 of tap 'toy__spikes' is 0x"):
        run_network(
            toy_verilog,
            "toy",
            (toy_tap,),
            images.reshape(2, -1),
            4,
            in_stall=0.2,
            out_stall=0.2,
            expected=batch,
        )
