"""The framer against golden.link: every shape of content, stalls, a frame given up."""

import random

import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator
from combpath import assert_lint_clean, assert_no_comb_path
from streamtest import run_streams

from sterna.golden.device.link import wire
from sterna.hw.link.crc import SerialCrc
from sterna.hw.link.framer import Framer


def contents():
    rng = random.Random(1)
    some = [bytes([0]), bytes([7]), bytes(240), bytes(range(1, 241)), bytes([1, 0]), bytes([0, 1])]
    return some + [
        bytes(rng.choice([0, rng.randrange(256)]) for _ in range(rng.randrange(1, 60)))
        for _ in range(25)
    ]


def beats(content):
    return [byte | (k == len(content) - 1) << 8 for k, byte in enumerate(content)]


@pytest.mark.parametrize("stalls", [0.0, 0.6, {"o": 0.9}])
def test_frames_equal_golden(stalls):
    sent = contents()
    expected = b"".join(map(wire, sent))
    taken = run_streams(
        Framer(), {"i": [b for c in sent for b in beats(c)]}, {"o": len(expected)}, stalls=stalls
    )
    assert bytes(b for _, b in taken["o"]) == expected


def test_a_frame_is_built_while_another_leaves():
    """9 clocks a byte and few more: a line of twelve clocks a byte waits for no long frame."""
    sent = [bytes([n + 1] * 100) for n in range(6)]
    expected = b"".join(map(wire, sent))
    given = [b for c in sent for b in beats(c)]
    taken = run_streams(Framer(), {"i": given}, {"o": len(expected)}, stalls={"o": 0.9})
    first = taken["o"][0][0]
    clocks = taken["o"][-1][0] - first
    assert clocks < 13.5 * len(expected)
    given = [clock for clock, _ in taken["i"]]
    assert given[99] - given[0] == 9 * 99  # the first frame, while nothing is in the way


@pytest.mark.parametrize("after", [*range(1, 75, 2), 90])
def test_a_frame_that_is_given_up_leaves_nothing(after):
    """Given up at every moment: what leaves is whole, and the frames before and after it are."""
    dut, raw = Framer(), bytearray()
    given, kept = bytes([3, 0, 5]), bytes([9, 0, 0, 8])

    async def give(ctx, content, clocks=10_000):
        for beat in beats(content):
            ctx.set(dut.i.valid, 1)
            ctx.set(Value.cast(dut.i.payload), beat)
            while clocks and not ctx.get(dut.i.ready):
                await ctx.tick()
                clocks -= 1
            if not clocks:
                break
            await ctx.tick()
            clocks -= 1
        ctx.set(dut.i.valid, 0)
        return clocks

    async def drive(ctx):
        await give(ctx, kept)
        await ctx.tick().until(dut.o.valid)
        left = await give(ctx, given, after)
        if left:
            await ctx.tick().repeat(left)
        ctx.set(dut.cancel, 1)
        await ctx.tick()
        ctx.set(dut.cancel, 0)
        await give(ctx, kept)
        await ctx.tick().repeat(200)

    async def line(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                raw.append(byte)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(line, background=True)
    simulator.run()
    late = raw == wire(kept) + wire(given) + wire(kept)
    assert late or raw == wire(kept) * 2
    # Six bytes of 9 clocks, one more, the last code byte and the zero.
    assert late == (after > 6 * 9 + 2)


def test_checks():
    assert_lint_clean(Framer(), waivers=("CASEINCOMPLETE",))
    assert_lint_clean(SerialCrc())
    assert_no_comb_path(Framer())
