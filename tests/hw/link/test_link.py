"""The link against golden.link: order, bad frames, images, registers, results."""

import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator
from combpath import assert_lint_clean, assert_no_comb_path
from linkbench import SESSION, SPEC, LinkBench, poll, read_body, result, run, settled, write_body
from streamtest import refusal

from sterna.golden.device.link import (
    FRAME_COST,
    MAX_BODY,
    VERSION,
    BoardFrame,
    HostFrame,
    State,
    ToBoard,
    ToHost,
    unwire,
    wire,
)
from sterna.hw.link.link import Link

IMAGE, WRITE, READ, MODE = ToBoard.IMAGE, ToBoard.WRITE, ToBoard.READ, ToBoard.MODE


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_bytes": 7}, "an image of 7 bytes is no whole number of beats of 16 bits; pad it"),
        ({"axis_width": 12}, "an AXI4-Stream of 12 bits; use a multiple of 8 up to 512"),
        ({"classes": 0}, "0 classes; a result names 1 to 65536"),
        ({"buffer": 300}, "a link buffer of 300 bytes; use a power of two from 256 to 32768"),
        ({"slots": 3}, "a link that keeps 3 results; use a power of two from 2 to 64"),
        ({"divisor": 3}, "a UART of 3 clocks a bit; use at least 4: a lower baud rate"),
        (
            {"structure_id": 1 << 64},
            "structure_id 0x10000000000000000 is no unsigned 64-bit number",
        ),
    ],
)
def test_refuses_what_cannot_be_built(change, message):
    assert refusal(lambda: replace(SPEC, **change)).startswith(message)


@pytest.mark.parametrize("stalls, line_stalls", [(0, 0), (0.5, 0.3)])
def test_images_registers_and_results(stalls, line_stalls):
    """Images span frames and frames hold several; registers are written and read between them."""
    rng = random.Random(5)
    data = rng.randbytes(6 * 40)
    words = [rng.getrandbits(32) for _ in range(5)]

    async def scenario(ctx, bench):
        await bench.open(ctx)
        at = 0
        for size in (1, 4, 7, 0, 30, 3, 60, 135):
            await bench.give(ctx, IMAGE, data[at : at + size])
            at += size
            if size == 7:
                await bench.give(ctx, WRITE, write_body(0x48, *words[:3]))
                await bench.give(ctx, WRITE, write_body(0x45, *words[3:]))
            frame = await settled(ctx, bench)
            assert frame.next == bench.seq
            assert bool(frame.state & State.PARTIAL) == bool(at % 6)
        assert at == len(data)
        await bench.give(ctx, READ, read_body(0x100, 3))
        await bench.wait(ctx, lambda: bench.of(ToHost.ANSWER))
        await bench.give(ctx, READ, read_body(0x45, 16))
        await bench.wait(ctx, lambda: len(bench.of(ToHost.ANSWER)) == 2)
        for number in range(9):
            bench.results.append(result(number))
            await bench.wait(ctx, lambda n=number: len(bench.of(ToHost.RESULT)) > n)
            bench.got = number + 1
            await poll(ctx, bench)

    bench = run(LinkBench(stalls=stalls, line_stalls=line_stalls), scenario)
    assert bench.images == [(data[n : n + 6], True) for n in range(0, len(data), 6)]
    assert bench.writes[1:] == [
        (0x48, words[0]),
        (0x4C, words[1]),
        (0x50, words[2]),
        (0x45, words[3]),
        (0x45, words[4]),
    ]
    one, two = bench.of(ToHost.ANSWER)
    assert one.body[:4] == bytes([10, 0, 0, 0]) and two.body[:4] == bytes([11, 0, 0, 0])
    assert one.words == (0x01000100, 0x01040104, 0x01080108) and two.words == (0x00450045,) * 16
    numbers = [f.body[0] for f in bench.of(ToHost.RESULT)]
    assert numbers == list(range(9))
    assert [list(f.words) for f in bench.of(ToHost.RESULT)] == [result(n) for n in range(9)]
    assert all(f.body[1:4] == b"\0\0\0" for f in bench.of(ToHost.RESULT))


def test_bad_frames_are_ignored_and_the_rest_is_executed_in_order():
    rng = random.Random(11)

    async def scenario(ctx, bench):
        await bench.open(ctx)
        expected, refused, accepted = 0, 0, []
        for n in range(150):
            body = write_body(0x100, n)
            seq = expected if rng.random() < 0.6 else rng.randrange(256)
            session = SESSION if rng.random() < 0.9 else rng.randrange(1, 1 << 16)
            data = bytearray(HostFrame(WRITE, session, seq, 0, body).pack())
            fault = rng.choice(["none"] * 4 + ["flip", "drop", "cut", "garbage", "double"])
            if fault == "flip":
                data[rng.randrange(len(data) - 1)] ^= 1 << rng.randrange(8)
            elif fault == "drop":
                del data[rng.randrange(len(data) - 1)]
            elif fault == "cut":
                del data[rng.randrange(1, len(data) - 1) : -1]
            elif fault == "garbage":
                data[:0] = rng.randbytes(rng.randrange(1, 300)).replace(b"\0", b"\1")
            elif fault == "double":
                data = data * 2
            good = fault in ("none", "double") and session == SESSION
            if good and seq == expected:
                accepted.append(n)
                expected = (expected + 1) % 256
            await bench.send(ctx, bytes(data))
            if 0 in data[:-1] and fault == "flip":  # one frame became two
                refused = None
            elif fault in ("flip", "drop", "cut", "garbage") and refused is not None:
                refused += 1
            if n % 10 == 0:
                frame = await settled(ctx, bench)
                assert frame.next == expected
                assert refused is None or frame.refused == refused % 256
                refused = frame.refused
        await ctx.tick().repeat(300)
        assert [word for _, word in bench.writes[1:]] == accepted and len(accepted) > 40

    run(LinkBench(), scenario)


def test_every_short_content_with_a_good_crc_is_refused():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        content = bytes([VERSION << 4 | MODE, *SESSION.to_bytes(2, "little"), 0])
        for size in range(1, 5):
            await bench.send(ctx, wire(content[:size]))
        frame = await poll(ctx, bench)
        assert frame.next == 0 and frame.refused == 4
        # The longest body, and one byte more.
        await bench.give(ctx, MODE, bytes(MAX_BODY))
        body = bytes(MAX_BODY + 1)
        head = bytes([VERSION << 4 | MODE, *SESSION.to_bytes(2, "little"), 1, 0])
        await bench.send(ctx, wire(head + body))
        await bench.send(ctx, wire(head + b"\1" * 300))
        await ctx.tick().repeat(600)
        frame = await poll(ctx, bench)
        assert frame.next == frame.done == 1 and frame.refused == 6

    run(LinkBench(), scenario)


def test_a_frame_without_room_is_dropped_and_no_credit_is_lost():
    """Frames of any size up to what the identity promises fit; the next does not."""
    rng = random.Random(2)

    data = bytearray()

    def data_of(size):
        block = rng.randbytes(size)
        data.extend(block)
        return block

    async def scenario(ctx, bench):
        await bench.open(ctx)
        executed = 0
        for _ in range(6):
            bench.blocked = True
            await ctx.tick().repeat(10)
            await bench.give(ctx, IMAGE, data_of(6))  # its first beat is stuck
            room = SPEC.identity.buffer - 6 - FRAME_COST
            while room >= FRAME_COST:
                size = min(rng.choice([0, 1, 5, 40, 120]), room - FRAME_COST)
                await bench.give(ctx, IMAGE, data_of(size))
                room -= size + FRAME_COST
            refused = (await poll(ctx, bench)).refused
            before = bench.seq
            await bench.give(ctx, IMAGE, bytes(40))
            frame = await poll(ctx, bench)
            assert frame.next == before and frame.refused == refused + 1
            assert frame.done == executed
            bench.seq = before
            await bench.give(ctx, ToBoard.RESEND)  # is heard although the queue is full
            bench.blocked = False
            await bench.wait(ctx, lambda: len(bench.images) * 6 + 6 > len(data))
            executed = (await settled(ctx, bench)).done

    bench = run(LinkBench(), scenario)
    count = len(data) // 6
    assert [i for i, _ in bench.images] == [bytes(data[6 * n : 6 * n + 6]) for n in range(count)]
    assert count > 100


def test_a_refused_write_stops_writes_until_mode():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.refusing.add(0x104)
        await bench.give(ctx, WRITE, write_body(0x100, 1, 2, 3))  # the second is refused
        await bench.give(ctx, WRITE, write_body(0x200, 4))
        await bench.give(ctx, READ, read_body(0x100, 2))
        await bench.wait(ctx, lambda: bench.of(ToHost.ANSWER))
        assert (await settled(ctx, bench)).state == State.FAULT
        assert bench.of(ToHost.ANSWER)[-1].body[:4] == bytes([2, 1, 0, 0])  # SLVERR of a read
        await bench.give(ctx, MODE, b"\0")
        await bench.give(ctx, WRITE, write_body(0x200, 5))
        await bench.give(ctx, READ, read_body(0x100, 1))
        await bench.wait(ctx, lambda: len(bench.of(ToHost.ANSWER)) > 1)
        assert bench.of(ToHost.ANSWER)[-1].body == bytes([5, 0, 0, 0, 0, 1, 0, 1])
        assert (await settled(ctx, bench)).state == 0
        await bench.give(ctx, READ, read_body(0x100, 17))
        await bench.wait(ctx, lambda: len(bench.of(ToHost.ANSWER)) > 2)
        assert bench.of(ToHost.ANSWER)[-1].body == bytes([6, 1, 0, 0])

    bench = run(LinkBench(), scenario)
    assert bench.writes[1:] == [(0x100, 1), (0x200, 5)]


def test_odd_bodies_are_executed_as_far_as_they_go():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        for kind, body in (
            (WRITE, b""),
            (WRITE, b"\0"),
            (WRITE, write_body(0x100, 7) + b"\1\2\3"),
            (READ, b"\0\1"),
            (READ, read_body(0x100, 0) + b"rest"),
            (MODE, b""),
            (MODE, b"\1\0\0"),
        ):
            await bench.give(ctx, kind, body)
        frame = await settled(ctx, bench)
        assert frame.next == 7 and frame.state == State.MUTED
        assert [f.body for f in bench.of(ToHost.ANSWER)] == [bytes([4, 0, 0, 0])]

    assert run(LinkBench(), scenario).writes[1:] == [(0x100, 7)]


def test_muted_results_are_dropped_from_whole_packets_only():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.results += [result(0)]
        await bench.wait(ctx, lambda: bench.sent_words == 2, clocks=200)
        await bench.give(ctx, MODE, b"\1")
        assert (await settled(ctx, bench)).made == 1
        bench.results += [result(n) for n in range(9)]  # more than the ring has
        await bench.wait(ctx, lambda: bench.sent_words == 40)
        assert (await poll(ctx, bench)).made == 1
        await bench.give(ctx, MODE, b"\0")
        await settled(ctx, bench)
        bench.results.append(result(77))
        await bench.wait(ctx, lambda: len(bench.of(ToHost.RESULT)) == 2)
        assert list(bench.frames[-1].words) == result(77) and bench.frames[-1].body[0] == 1

    # A result that has begun when the mode changes is kept: slow packets.
    run(LinkBench(stalls=0.97), scenario)


def test_a_full_ring_stalls_and_loses_nothing():
    """More results than slots and numbers; acknowledged late, some sent again. Of one class: a
    result is as short as can be."""
    spec, total, rng = replace(SPEC, classes=1), 270, random.Random(9)
    words = 2

    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.results += [result(n, words) for n in range(total)]
        await bench.wait(ctx, lambda: bench.frames[-1].made == spec.slots)
        await ctx.tick().repeat(800)
        assert bench.sent_words == spec.slots * words and len(bench.of(ToHost.RESULT)) == spec.slots
        have, seen = 0, len(bench.frames)
        while have < total:
            for frame in bench.frames[seen:]:
                seen += 1
                if frame.kind == ToHost.RESULT and rng.random() < 0.8:  # else it was lost
                    if frame.body[0] == have % 256:
                        assert list(frame.words) == result(have, words)
                        have += 1
            bench.got = have % 256
            kind = ToBoard.RESEND if rng.random() < 0.4 else ToBoard.POLL
            # A count that cannot be is no count.
            wrong = (have + rng.choice([-3, 9, 100])) % 256
            await bench.give(ctx, kind, got=bench.got if rng.random() < 0.8 else wrong)
            await ctx.tick().repeat(rng.randrange(1, 250))

    bench = run(LinkBench(spec, stalls=0.1), scenario)
    assert bench.frames[-1].refused == 0


def test_resend_repeats_the_last_answer_and_what_is_not_acknowledged():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        await poll(ctx, bench)
        await bench.give(ctx, ToBoard.RESEND)
        await ctx.tick().repeat(400)
        assert {f.kind for f in bench.frames} == {ToHost.IDENTITY, ToHost.ACK}
        bench.results += [result(n) for n in range(3)]
        await bench.give(ctx, READ, read_body(0x100, 2))
        await bench.wait(ctx, lambda: bench.of(ToHost.ANSWER) and len(bench.of(ToHost.RESULT)) == 3)
        before = len(bench.frames)
        await bench.give(ctx, ToBoard.RESEND, got=1)
        await ctx.tick().repeat(1500)
        again = bench.frames[before:]
        assert [f.kind for f in again] == [ToHost.ANSWER, ToHost.RESULT, ToHost.RESULT]
        assert again[0].body == bench.of(ToHost.ANSWER)[0].body
        assert [list(f.words) for f in again[1:]] == [result(1), result(2)]

    run(LinkBench(), scenario)


def test_results_of_many_words_take_several_frames():
    spec = replace(SPEC, classes=120, slots=2)
    packets = [result(n, 121) for n in range(5)]

    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.results += packets
        done = []
        parts = {}
        while len(done) < 5:
            await ctx.tick().repeat(500)
            for frame in bench.of(ToHost.RESULT)[:]:
                number, first = frame.body[0], int.from_bytes(frame.body[2:4], "little")
                parts[number, first] = list(frame.words)
            n = len(done)
            if (n, 112) in parts:
                done.append(parts[n, 0] + parts[n, 56] + parts[n, 112])
                bench.got = len(done)
                await bench.give(ctx, ToBoard.POLL)
        assert done == packets

    run(LinkBench(spec), scenario)


def test_keeps_up_with_a_line_of_ten_clocks_a_byte():
    """The slowest allowed clock: bytes come without a gap, and go without one while any wait."""
    link = Link(SPEC)
    sent = HostFrame(ToBoard.HELLO, SESSION, body=b"\0").pack()
    sent += b"".join(HostFrame(MODE, SESSION, n, 0, bytes(n * 13)).pack() for n in range(18))
    sent += HostFrame(ToBoard.POLL, SESSION).pack()
    raw, packets = [], [result(n) for n in range(SPEC.slots)]

    async def come(ctx):
        for byte in sent:
            ctx.set(link.rx.valid, 1)
            ctx.set(link.rx.payload, byte)
            clocks = 0
            while not ctx.get(link.rx.ready):
                await ctx.tick()
                clocks += 1
            await ctx.tick()
            ctx.set(link.rx.valid, 0)
            assert clocks < 8, "a UART would have lost a byte"
            await ctx.tick().repeat(9 - clocks)
        await ctx.tick().repeat(4000)

    async def go(ctx):
        while True:
            await ctx.tick().repeat(9)
            ctx.set(link.tx.ready, 1)
            raw.append(ctx.get(link.tx.payload) if ctx.get(link.tx.valid) else None)
            await ctx.tick()
            ctx.set(link.tx.ready, 0)

    async def serve(ctx):
        bus = link.s_axil
        for name in ("awready", "wready", "bvalid", "arready", "rvalid"):
            ctx.set(getattr(bus, name), 1)
        ctx.set(bus.rdata, 1)
        await ctx.tick().repeat(2000)
        for packet in packets:
            for k, word in enumerate(packet):
                ctx.set(link.m_axis.tvalid, 1)
                ctx.set(link.m_axis.tdata, word)
                ctx.set(link.m_axis.tlast, k == len(packet) - 1)
                await ctx.tick().until(link.m_axis.tready)
        ctx.set(link.m_axis.tvalid, 0)

    simulator = Simulator(link)
    simulator.add_clock(1e-6)
    simulator.add_testbench(come)
    simulator.add_testbench(go, background=True)
    simulator.add_testbench(serve, background=True)
    simulator.run()
    *frames, _ = bytes(b for b in raw if b is not None).split(b"\0")
    known = [BoardFrame.parse(unwire(f)) for f in frames]
    assert known[-1].next == 18 and known[-1].refused == 0
    # The results one after the other: no place in the line stays empty between them.
    text = "".join("-" if b is None else "." for b in raw)
    size = 8 + 4 + 16 + 4 + 2
    assert "." * size * SPEC.slots in text


def test_lint_and_no_combinational_path():
    # An FSM has no case for states that it has not.
    assert_lint_clean(Link(SPEC), waivers=("CASEINCOMPLETE",))
    assert_no_comb_path(Link(SPEC))
