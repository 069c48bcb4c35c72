"""Outputs take turns at fewer scans: order, clocks, and visits as close as they may be."""

import random

import pytest
from amaranth.sim import Simulator
from combpath import assert_no_comb_path

from sterna.hw.neuron.collector import BeatCollector
from sterna.hw.neuron.lane_turns import LaneTurns, have_gaps, most_turns
from sterna.hw.stream.edge import Edge

WIDTH = 5
# steps, clocks between steps, one value for all steps
SHAPES = {
    "chain": (3, 1, False),
    "one step": (1, 1, False),
    "gaps": (3, 2, False),
    "memory": (7, 1, False),
    "memory, gaps": (6, 3, False),
    "held": (5, 1, True),
}


def arrivals_of(shape):
    steps, gap, _ = SHAPES[shape]
    return tuple(4 + gap * t for t in range(steps))


def closest(shape, turns, pe=6):
    """The smallest visit for which the turns are allowed."""
    steps, _, held = SHAPES[shape]
    arrivals = arrivals_of(shape)
    fits = lambda clocks: most_turns(pe, steps, clocks, arrivals, held, True) >= turns  # noqa: E731
    return next(n for n in range(steps, 200) if fits(n))


@pytest.mark.parametrize("extra", [0, 1, 2, 9])
@pytest.mark.parametrize("turns", [2, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_steps_of_some_outputs_then_of_the_next(shape, turns, extra):
    steps, _, held = SHAPES[shape]
    arrivals, pe, part = arrivals_of(shape), 6, 6 // turns
    visit = closest(shape, turns) + extra
    gaps = have_gaps(arrivals)
    dut = LaneTurns(pe=pe, turns=turns, width=WIDTH, steps=steps, held=held, gaps=gaps)
    rng = random.Random(shape + str(turns))
    visits = [[[rng.getrandbits(WIDTH) for _ in range(pe)] for _ in range(steps)] for _ in range(5)]
    sent, wanted = {}, {}
    for n, values in enumerate(visits):
        if held:
            values[:] = values[:1] * steps
        for t, clock in enumerate(arrivals):
            sent[n * visit + clock] = t, values[t]
        clocks = LaneTurns.clocks(arrivals, turns, held)
        items = [(s, t) for s in range(turns) for t in range(steps)]
        for (s, t), clock in zip(items, clocks, strict=True):
            lanes = values[t][s * part : (s + 1) * part]
            wanted[n * visit + clock] = t == 0, t == steps - 1, _packed(lanes)
    got = {}

    async def bench(ctx):
        for clock in range(6 * visit + 100):
            step, values = sent.get(clock, (None, [0] * pe))
            ctx.set(dut.valid_in, step is not None)
            ctx.set(dut.first_in, step == 0)
            ctx.set(dut.last_in, step == steps - 1)
            ctx.set(dut.x_in, _packed(values))
            if ctx.get(dut.valid):
                got[clock] = tuple(ctx.get(s) for s in (dut.first, dut.last, dut.x))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == wanted


def _packed(values):
    return sum(v << (n * WIDTH) for n, v in enumerate(values))


def test_most_turns():
    steps = lambda gap: tuple(range(9, 9 + 4 * gap, gap))  # noqa: E731
    assert [most_turns(8, 4, v, steps(1), False, True) for v in (4, 7, 8, 15, 31, 32, 99)] == [
        1,
        1,
        2,
        2,
        4,
        8,
        8,
    ]
    # Sums with gaps: 7 clocks from the first to behind the last.
    assert [most_turns(8, 4, v, steps(2), False, True) for v in (14, 15)] == [1, 2]
    long = tuple(range(5))
    assert most_turns(2, 5, 99, long, False, False) == 1  # no LUT RAM for the steps
    assert most_turns(2, 5, 99, long, True, False) == 2
    assert most_turns(7, 1, 6, (3,), False, True) == 1


@pytest.mark.parametrize("pb", [1, 2, 4])
@pytest.mark.parametrize("turns", [2, 4])
def test_beats_of_turns_are_those_of_one(turns, pb):
    edge, lanes = Edge(8, 4, 4, pb), 4 // turns
    dut = BeatCollector(edge, 3, turns)
    rng = random.Random(turns * 8 + pb)
    visits = [[rng.getrandbits(4) for _ in range(4)] for _ in range(12)]
    beats = [
        sum(v[b * pb + k] << (4 * k) for k in range(pb)) for v in visits for b in range(4 // pb)
    ]
    got, done = [], 0

    async def feed(ctx):
        for visit in visits:
            for s in range(turns):
                for t in range(4):
                    while rng.random() < 0.3:
                        ctx.set(dut.push, 0)
                        await ctx.tick()
                    ctx.set(dut.push, 1)
                    ctx.set(dut.last, t == 3)
                    ctx.set(dut.spikes, visit[t] >> (s * lanes) & ((1 << lanes) - 1))
                    await ctx.tick()
        ctx.set(dut.push, 0)
        await ctx.tick().repeat(20)

    async def take(ctx):
        nonlocal done
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, payload, left in ctx.tick().sample(
            dut.o.valid, dut.o.payload, dut.visit_done
        ):
            done += left
            if valid:
                got.append(payload)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(take, background=True)
    simulator.run()
    assert got == beats and done == len(visits)


def test_no_combinational_path():
    assert_no_comb_path(LaneTurns(pe=4, turns=2, width=3, steps=3, held=False))
    assert_no_comb_path(BeatCollector(Edge(4, 4, 4, 2), 2, 2))
