"""Sessions of the link: how one opens, what it ends, and what of the one before may remain."""

import pytest
from linkbench import SESSION, SPEC, LinkBench, poll, result, run, settled, write_body

from sterna.golden.device.csr import ADDRESS
from sterna.golden.device.link import VERSION, Hello, Identity, ToBoard, ToHost, wire

IMAGE, WRITE = ToBoard.IMAGE, ToBoard.WRITE


def test_says_nothing_before_a_session():
    async def scenario(ctx, bench):
        await bench.send(ctx, b"\0\0\x03garbage\0")
        await bench.give(ctx, ToBoard.POLL)
        await bench.give(ctx, WRITE, write_body(0x40, 1))
        await bench.give(ctx, ToBoard.HELLO, b"\0", session=0)
        await bench.give(ctx, ToBoard.HELLO, b"", session=7)
        await ctx.tick().repeat(500)
        assert not bench.raw and not bench.writes
        frame = await bench.open(ctx)
        assert (frame.next, frame.done, frame.made, frame.state, frame.refused) == (0, 0, 0, 0, 0)
        assert bench.writes == [(ADDRESS["repeat"], 0)] and bench.reads == [ADDRESS["status"]]

    run(LinkBench(), scenario)


def test_names_itself_to_another_version():
    async def scenario(ctx, bench):
        content = bytes([(VERSION + 1) << 4 | ToBoard.HELLO, 1, 2, 0, 0, 0])
        await bench.send(ctx, wire(content))
        await bench.wait(ctx, lambda: bench.frames)
        (frame,) = bench.frames
        assert frame.kind == ToHost.IDENTITY and frame.session == 0 and frame.version == VERSION
        assert Identity.parse(frame.body) == SPEC.identity
        await bench.open(ctx)
        head = bytes([(VERSION + 1) << 4 | WRITE, *SESSION.to_bytes(2, "little"), 0, 0])
        await bench.send(ctx, wire(head + write_body(0x40, 1)))
        await ctx.tick().repeat(300)
        assert (await poll(ctx, bench)).next == 0

    run(LinkBench(), scenario)


@pytest.mark.parametrize("taken", range(1, 14))
def test_a_new_session_ends_an_image_that_has_begun(taken):
    """Whatever has come of images, the next session's are whole; its results are its own."""

    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.registers[ADDRESS["status"]] = 0
        await bench.give(ctx, IMAGE, bytes(range(1, taken + 1)))
        await bench.give(ctx, WRITE, write_body(0x100, 9)[: taken % 5])  # may end in its middle
        if taken % 2:
            await settled(ctx, bench)
        bench.results += [result(9)] * 3
        if taken % 3 == 0:
            await bench.wait(ctx, lambda: bench.of(ToHost.RESULT))
        bench.seq = 0
        identities = len(bench.of(ToHost.IDENTITY))
        await bench.give(ctx, ToBoard.HELLO, b"\0", session=7)
        await ctx.tick().repeat(1000)
        # Results are taken, but nothing is said, and nothing queued, before all is idle.
        assert bench.sent_words >= 4 and len(bench.of(ToHost.IDENTITY)) == identities
        await bench.give(ctx, WRITE, write_body(0x100, 1), seq=0, session=7)
        await ctx.tick().repeat(50)
        bench.registers[ADDRESS["status"]] = 1
        await bench.wait(ctx, lambda: len(bench.of(ToHost.IDENTITY)) > identities)
        frame = bench.of(ToHost.IDENTITY)[-1]
        assert (frame.session, frame.next, frame.done, frame.made) == (7, 0, 0, 0)
        assert not bench.packet
        count = len(bench.images)
        assert count == -(-(taken // 2) // 3)  # of so many some beat had come
        await bench.give(ctx, IMAGE, b"abcdef", seq=0, session=7)
        bench.results += [result(1)]
        await bench.wait(ctx, lambda: len(bench.images) > count)
        assert bench.images[count:] == [(b"abcdef", True)]
        await bench.wait(ctx, lambda: bench.frames[-1].kind == ToHost.RESULT)
        assert list(bench.frames[-1].words) == result(1) and bench.frames[-1].body[0] == 0

    bench = run(LinkBench(), scenario)
    assert bench.resets == 0


def test_reset_frees_a_network_that_takes_nothing():
    async def scenario(ctx, bench):
        await bench.open(ctx)
        bench.registers[ADDRESS["status"]] = 0
        await bench.give(ctx, IMAGE, b"abcd")
        await bench.wait(ctx, lambda: bench.packet)
        bench.blocked = True
        await bench.give(ctx, IMAGE, b"efgh")
        await bench.give(ctx, ToBoard.HELLO, b"\0", session=7)
        await ctx.tick().repeat(1000)
        assert bench.resets == 0 and len(bench.of(ToHost.IDENTITY)) == 1
        bench.registers[ADDRESS["status"]] = 1
        await bench.open(ctx, session=8, bits=Hello.RESET)
        assert bench.resets == 1
        bench.blocked = False
        await bench.give(ctx, IMAGE, b"123456", session=8)
        await bench.wait(ctx, lambda: bench.images)
        # The same session again: nothing is lost, and no reset.
        await bench.give(ctx, ToBoard.HELLO, b"\1", session=8)
        await bench.wait(ctx, lambda: len(bench.of(ToHost.IDENTITY)) == 3)
        assert bench.of(ToHost.IDENTITY)[-1].next == 1 and bench.resets == 1

    assert run(LinkBench(), scenario).images == [(b"123456", True)]


def test_a_new_session_leaves_no_frame_of_both():
    """Sessions follow one another at every moment of the frames being sent."""

    async def scenario(ctx, bench):
        await bench.open(ctx, session=1)
        for session in range(2, 60):
            bench.results += [[session] * 4] * 3
            await bench.wait(ctx, lambda: not bench.results)
            await ctx.tick().repeat(session * 7 % 101)
            # Sessions that differ in one byte only.
            near = session % 4 + 1 << 8 * (session % 2)
            await bench.give(ctx, ToBoard.HELLO, b"\0", session=near)
            await bench.give(ctx, ToBoard.RESEND, session=near)
            await ctx.tick().repeat(300)

    bench = run(LinkBench(), scenario)
    opened = {}
    for frame in bench.frames:
        if frame.kind == ToHost.IDENTITY:
            opened[frame.session] = True
            assert (frame.made, frame.next) == (0, 0)
        if frame.kind == ToHost.RESULT:
            number = frame.words[0]
            own = (number - 1) % 4 + 1 << 8 * ((number - 1) % 2) if number > 2 else 1
            assert frame.session == own
