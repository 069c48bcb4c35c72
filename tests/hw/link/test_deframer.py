"""The deframer's queue against golden.link; sessions and orders are tested with the whole link."""

import random

import pytest
from amaranth.sim import Simulator
from combpath import assert_no_comb_path
from streamtest import refusal

from sterna.golden.device.link import FRAME_COST, MAX_BODY, SEQUENCED, HostFrame, ToBoard
from sterna.hw.link.deframer import Deframer

SESSION = 0xA55A


def queued(frame):
    """Bytes of a frame in the queue; its CRC is not looked at."""
    return [len(frame.body) + FRAME_COST, frame.kind, *frame.body, None, None, None, None]


def play(frames, *, reader, gap=0, buffer=256):
    """Send wire bytes; returns (bytes taken from the queue, next, refused)."""
    dut, got = Deframer(buffer), []

    async def line(ctx):
        await ctx.tick()
        for data in (HostFrame(ToBoard.HELLO, SESSION, body=b"\0").pack(), *frames):
            for byte in data:
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, byte)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
                if gap:
                    await ctx.tick().repeat(gap)
            if ctx.get(dut.flush):
                ctx.set(dut.flushed, 1)
                await ctx.tick()
                ctx.set(dut.flushed, 0)
        await ctx.tick().repeat(3000)
        result.extend([ctx.get(dut.next), ctx.get(dut.refused)])

    async def take(ctx):
        held, ready = None, 0
        while True:
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert held is None or (valid and byte == held), "the queue changed its mind"
            if valid and ready:
                got.append(byte)
            held = byte if valid and not ready else None
            ready = int(reader(len(got)))
            ctx.set(dut.o.ready, ready)

    result = []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(line)
    simulator.add_testbench(take, background=True)
    simulator.run()
    return got, *result


def kind_of(byte):
    return byte & 15


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("chance", [1.0, 0.2])
def test_bodies_of_every_size_arrive_in_order(gap, chance):
    rng = random.Random(gap)
    sizes = [0, 1, 2, MAX_BODY, 0, 17, 63, 100, MAX_BODY - 1, 0, 0, 5]
    frames = [
        HostFrame(
            rng.choice(sorted(SEQUENCED)),
            SESSION,
            n,
            0,
            bytes(rng.choice([0, 0, rng.randrange(256)]) for _ in range(size)),
        )
        for n, size in enumerate(sizes)
    ]
    got, following, refused = play(
        [f.pack() for f in frames], reader=lambda _: rng.random() < chance, gap=gap, buffer=1024
    )
    assert (following, refused) == (len(frames), 0)
    expected = [byte for frame in frames for byte in queued(frame)]
    assert len(got) == len(expected)
    starts = [sum(s + FRAME_COST for s in sizes[:n]) + 1 for n in range(len(sizes))]
    for at, (byte, known) in enumerate(zip(got, expected)):
        assert known is None or (kind_of(byte) if at in starts else byte) == known, at


@pytest.mark.parametrize("size", range(230, 241))
def test_the_queue_holds_all_but_one_byte(size):
    """A second frame that just fits, and one that is a byte too long."""
    first = HostFrame(ToBoard.IMAGE, SESSION, 0, 0, bytes(size))
    room = 256 - 1 - (size + FRAME_COST)
    for more, fits in ((room - FRAME_COST, True), (room - FRAME_COST + 1, False)):
        if more < 0:
            assert room < FRAME_COST
            continue
        second = HostFrame(ToBoard.IMAGE, SESSION, 1, 0, bytes(more))
        _, following, refused = play([first.pack(), second.pack()], reader=lambda _: False)
        assert (following, refused) == ((2, 0) if fits else (1, 1))


@pytest.mark.parametrize("size", [0, 128, 300, 1 << 16, True])
def test_refuses_a_buffer_that_cannot_be(size):
    assert refusal(lambda: Deframer(size)) == (
        f"a link buffer of {size!r} bytes; use a power of two from 256 to 32768"
    )


def test_no_combinational_path():
    assert_no_comb_path(Deframer(256))
