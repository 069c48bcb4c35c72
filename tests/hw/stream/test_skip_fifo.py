"""SkipFifo of every kind: exact depth, exact rate, and the depth that a limit lends it."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from combpath import assert_lint_clean, assert_no_comb_path
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import refusal, run_streams

from sterna.hw.stream.skip_fifo import (
    KINDS,
    SkipFifo,
    full_rate_depth,
    latency_of,
)


def _beats(count, width, seed=0):
    rng = random.Random(seed)
    return [rng.getrandbits(width) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 20),
    st.integers(1, 20),
    st.floats(0, 0.9),
    st.integers(0, 1000),
)
def test_order_under_random_stalls(kind, width, depth, stalls, seed):
    beats = _beats(70, width, seed)
    taken = run_streams(
        SkipFifo(width, depth, kind), {"i": beats}, {"o": 70}, stalls=stalls, seed=seed
    )
    assert [payload for _, payload in taken["o"]] == beats


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 8, 13])
def test_rate_and_latency(kind, depth):
    dut = SkipFifo(9, depth, kind)
    beats = _beats(120, 9)
    taken = run_streams(dut, {"i": beats}, {"o": 120})
    assert [payload for _, payload in taken["o"]] == beats
    clocks = [clock for clock, _ in taken["o"]]
    assert clocks[0] - taken["i"][0][0] == dut.latency == latency_of(kind)
    if depth >= full_rate_depth(kind):
        assert clocks == list(range(clocks[0], clocks[0] + 120))
    else:  # depth beats every latency + 1 clocks
        assert clocks[-1] - clocks[-1 - 24 * depth] == 24 * (dut.latency + 1)


def _filled(dut, limit=0, sleep=60):
    """Levels a clock, and the taken beats, of a reader that sleeps for a while, then is slow."""
    levels = []

    async def watch(ctx, cycle):
        if dut.limited:
            ctx.set(dut.limit, limit)
        if cycle < sleep:
            ctx.set(dut.o.ready, 0)
        levels.append(ctx.get(dut.level))

    taken = run_streams(dut, {"i": list(range(80))}, {"o": 80}, watch=watch)
    assert [payload for _, payload in taken["o"]] == list(range(80))
    return levels, taken


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 8, 17])
def test_capacity_is_the_depth_and_level_tells_it(kind, depth):
    levels, taken = _filled(SkipFifo(8, depth, kind))
    assert max(levels) == depth == levels[55]
    assert sum(clock < 60 for clock, _ in taken["i"]) == depth
    for clock, level in enumerate(levels):
        ins = sum(c < clock for c, _ in taken["i"])
        assert level == ins - sum(c < clock for c, _ in taken["o"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("depth, limit", [(16, 1), (16, 2), (16, 5), (16, 16), (13, 0), (9, 8)])
def test_a_limit_is_a_fifo_of_that_depth_clock_for_clock(kind, stalls, depth, limit):
    def run(dut):
        async def watch(ctx, cycle):
            if dut.limited:
                ctx.set(dut.limit, limit)
            if cycle < 40:
                ctx.set(dut.o.ready, 0)

        beats = _beats(100, 6)
        return run_streams(dut, {"i": beats}, {"o": 100}, stalls=stalls, seed=5, watch=watch)

    limited = run(SkipFifo(6, depth, kind, limited=True))
    assert limited == run(SkipFifo(6, limit or depth, kind))


def test_a_limit_above_the_depth_is_the_depth():
    dut = SkipFifo(8, 5, "registers", limited=True)
    assert len(dut.limit) == 3  # can be 7
    levels, _ = _filled(dut, limit=7)
    assert max(levels) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_reset_empties(kind):
    fifo, clear = SkipFifo(8, 6, kind), Signal()

    async def bench(ctx):
        ctx.set(fifo.i.valid, 1)
        ctx.set(fifo.i.payload, 0xAA)
        await ctx.tick().repeat(20)
        assert ctx.get(fifo.level) == 6 and ctx.get(fifo.o.valid)
        ctx.set(fifo.i.valid, 0)
        ctx.set(clear, 1)
        await ctx.tick()
        ctx.set(clear, 0)
        assert ctx.get(fifo.level) == 0
        for _ in range(10):
            assert not ctx.get(fifo.o.valid)
            await ctx.tick()
        # What comes now comes out alone, after the stated latency.
        ctx.set(fifo.i.valid, 1)
        ctx.set(fifo.i.payload, 0x55)
        await ctx.tick()
        ctx.set(fifo.i.valid, 0)
        for _ in range(fifo.latency - 1):
            assert not ctx.get(fifo.o.valid)
            await ctx.tick()
        assert ctx.get(fifo.o.valid) and ctx.get(fifo.o.payload) == 0x55

    simulator = Simulator(ResetInserter(clear)(fifo))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 7])
def test_netlist(kind, depth):
    assert_no_comb_path(SkipFifo(5, depth, kind))
    assert_lint_clean(SkipFifo(5, depth, kind))


def test_netlist_of_a_limited_one():
    assert_no_comb_path(SkipFifo(5, 6, "block", limited=True))
    assert_lint_clean(SkipFifo(5, 6, "block", limited=True))


def test_refusals():
    values = "a skip FIFO needs a width and a depth of at least 1, not "
    assert refusal(lambda: SkipFifo(0, 4)) == values + "0 and 4"
    assert refusal(lambda: SkipFifo(4, 0)) == values + "4 and 0"
    assert refusal(lambda: SkipFifo(4, 4, "wax")) == (
        "storage 'wax' of a FIFO is not one of registers, lutram, block"
    )
