import random
import zlib

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from axildriver import Design, simulate

from sterna.golden.errors import DesignError
from sterna.hw.memory.chain import ADDRESS_BITS, REGION_BITS, Chain, ChainLayout, ChainOp
from sterna.hw.memory.chain_master import PATIENCE, ChainMaster
from sterna.hw.memory.weight_memory import WeightMemory


def test_chain_addresses():
    layout = ChainLayout(depth=3, width=70)
    assert (layout.per_row, layout.bits, layout.words, layout.widths) == (3, 2, 12, (32, 32, 6))
    assert [layout.address(r, k) for r in range(3) for k in range(3)] == [
        0,
        1,
        2,
        4,
        5,
        6,
        8,
        9,
        10,
    ]
    row = 0x2A_DEADBEEF_01234567
    assert layout.split(row) == (0x01234567, 0xDEADBEEF, 0x2A)
    assert layout.linear([row]) == [0x01234567, 0xDEADBEEF, 0x2A] + [0] * 9
    assert ChainLayout(5, 32).words == 5 and ChainLayout(5, 33).words == 10
    with pytest.raises(DesignError, match="row 3 word 0"):
        layout.address(3)


def _crc(words):
    return zlib.crc32(b"".join(word.to_bytes(4, "little") for word in words))


def _ring():
    random_ = random.Random(5)
    shapes = {0: (6, 70), 7: (9, 8), 255: (3, 32), 3: (4, 290)}
    contents = {
        region: [random_.getrandbits(width) for _ in range(depth)]
        for region, (depth, width) in shapes.items()
    }
    memories = [WeightMemory(*shapes[r], contents[r], region=r) for r in shapes]
    master = ChainMaster(settle=3)
    linear = {m.region: m.layout.linear(contents[m.region]) for m in memories}
    return Design(master, memories), master, linear


async def _seek(ctx, master, region, addr):
    ctx.set(master.data, region << 24 | addr)
    ctx.set(master.seek, 1)
    await ctx.tick()
    ctx.set(master.seek, 0)


async def _start(ctx, master, *, write=0, walk=0, data=0):
    """One start; gives (error, rdata)."""
    for port, value in ((master.write, write), (master.walk, walk), (master.data, data)):
        ctx.set(port, value)
    ctx.set(master.start, 1)
    await ctx.tick()
    ctx.set(master.start, 0)
    for _ in range(200):
        if ctx.get(master.done):
            return ctx.get(master.error), ctx.get(master.rdata)
        await ctx.tick()
    raise AssertionError("no answer")


def test_reads_and_writes_around_the_ring():
    dut, master, linear = _ring()
    random_ = random.Random(6)

    async def bench(ctx):
        ctx.set(master.idle, 1)
        for region, words in linear.items():
            await _seek(ctx, master, region, 0)
            for word in words:  # the address counts up by itself
                assert await _start(ctx, master) == (0, word)
            assert ctx.get(master.addr) == len(words)
            assert (await _start(ctx, master))[0]  # one word too far
            assert ctx.get(master.addr) == len(words)
        for _ in range(40):
            region = random_.choice(sorted(linear))
            addr = random_.randrange(len(linear[region]))
            await _seek(ctx, master, region, addr)
            memory = next(m for m in dut.memories if m.region == region)
            word = addr % (1 << memory.layout.bits)
            if word < memory.layout.per_row:
                data = random_.getrandbits(32)
                assert (await _start(ctx, master, write=1, data=data))[0] == 0
                linear[region][addr] = data & ((1 << memory.layout.widths[word]) - 1)
                await _seek(ctx, master, region, addr)
            assert await _start(ctx, master) == (0, linear[region][addr])
        await _seek(ctx, master, 1, 0)  # a region nobody has
        assert (await _start(ctx, master))[0]
        assert (await _start(ctx, master, write=1))[0]

    simulate(dut, bench)


async def _walk_end(ctx, master):
    for _ in range(5000):
        if not ctx.get(master.crc_busy):
            return
        await ctx.tick()
    raise AssertionError("the pass did not end")


def test_crc_is_zlibs():
    dut, master, linear = _ring()

    async def bench(ctx):
        ctx.set(master.idle, 1)
        for region, words in linear.items():
            for first, count in ((0, len(words)), (1, len(words) - 1), (0, 1), (0, 0)):
                await _seek(ctx, master, region, first)
                assert (await _start(ctx, master, walk=1, data=count))[0] == 0
                await _walk_end(ctx, master)
                assert ctx.get(master.crc_done) and not ctx.get(master.crc_error)
                assert ctx.get(master.crc) == _crc(words[first : first + count])
                assert ctx.get(master.left) == 0 and ctx.get(master.addr) == first + count
        # Beyond the end of a region, and then a good pass again.
        await _seek(ctx, master, 7, 0)
        assert (await _start(ctx, master, walk=1, data=len(linear[7]) + 1))[0] == 0
        await _walk_end(ctx, master)
        assert ctx.get(master.crc_error) and not ctx.get(master.crc_done)
        await _seek(ctx, master, 7, 0)
        assert (await _start(ctx, master, walk=1, data=2))[0] == 0
        await _walk_end(ctx, master)
        assert ctx.get(master.crc_done) and not ctx.get(master.crc_error)
        assert ctx.get(master.crc) == _crc(linear[7][:2])

    simulate(dut, bench)


class Echo(wiring.Component):
    """A region that answers at every address, with the address."""

    chain_i: In(Chain)
    chain_o: Out(Chain)

    def elaborate(self, platform: object):
        m = Module()
        m.d.sync += self.chain_o.word.eq(self.chain_i.word)
        with m.If(self.chain_i.word.valid):
            m.d.sync += self.chain_o.word.op.eq(ChainOp.RESPONSE)
            m.d.sync += self.chain_o.word.data.eq(self.chain_i.word.addr)
        return m


def test_a_pass_does_not_wrap_to_address_zero():
    master = ChainMaster(settle=1)
    last = (1 << 20) - 1

    async def bench(ctx):
        ctx.set(master.idle, 1)
        for count, good in ((1, True), (2, False)):
            await _seek(ctx, master, 0, last)
            assert (await _start(ctx, master, walk=1, data=count))[0] == 0
            await _walk_end(ctx, master)
            assert ctx.get(master.crc_done) == good and ctx.get(master.crc_error) != good
            assert not good or ctx.get(master.crc) == _crc([last])

    simulate(Design(master, [Echo()]), bench)


def test_an_empty_ring_answers_nothing():
    master = ChainMaster()

    async def bench(ctx):
        ctx.set(master.idle, 1)
        assert (await _start(ctx, master))[0]
        assert (await _start(ctx, master, write=1))[0]

    simulate(Design(master, []), bench)


class Silent(wiring.Component):
    """A ring from which nothing comes back after the first ``answers`` words."""

    chain_i: In(Chain)
    chain_o: Out(Chain)

    def __init__(self, answers: int):
        self.answers = answers
        super().__init__()

    def elaborate(self, platform: object):
        m = Module()
        left = Signal(8, init=self.answers)
        m.d.sync += self.chain_o.word.eq(self.chain_i.word)
        m.d.sync += self.chain_o.word.op.eq(ChainOp.RESPONSE)
        with m.If(self.chain_i.word.valid):
            m.d.sync += left.eq(left - (left != 0))
            m.d.sync += self.chain_o.word.valid.eq(left != 0)
        return m


def test_a_ring_that_never_answers_is_given_up():
    master = ChainMaster(settle=3, patience=40)

    async def bench(ctx):
        ctx.set(master.idle, 1)
        for write in (0, 1):
            await _seek(ctx, master, 7, 5)
            assert (await _start(ctx, master, write=write))[0] == (0 if write == 0 else 1)
        assert ctx.get(master.addr) == 5  # only answered accesses count it on
        await ctx.tick().repeat(8)
        assert not ctx.get(master.hold)  # and images may begin again
        assert (await _start(ctx, master, walk=1, data=3))[0] == 0
        await _walk_end(ctx, master)
        assert ctx.get(master.crc_error) and not ctx.get(master.crc_done)
        assert (await _start(ctx, master))[0] == 1
        await ctx.tick().repeat(8)
        assert not ctx.get(master.hold)

    simulate(Design(master, [Silent(1)]), bench)


def test_the_longest_ring_is_back_long_before_it_is_given_up():
    levels = ADDRESS_BITS // 4  # of 16 words each: more than a region's addresses hold
    assert 3 * ((1 << REGION_BITS) + WeightMemory.latency + levels + 2) < PATIENCE


def test_nothing_is_sent_unless_idle_stays():
    dut, master, linear = _ring()
    sent = []

    async def watch(ctx):
        async for _, _, valid in ctx.tick().sample(master.chain_o.word.valid):
            sent.append(valid)

    async def bench(ctx):
        await _seek(ctx, master, 7, 0)
        assert (await _start(ctx, master, write=1, data=1))[0]
        assert not ctx.get(master.hold)
        assert (await _start(ctx, master, walk=1, data=1))[0]
        assert not ctx.get(master.crc_busy)
        # An image that starts in the clock in which hold rises is still seen.
        for late in range(master.settle + 1):
            ctx.set(master.idle, 1)
            ctx.set(master.write, 1)
            ctx.set(master.walk, 0)
            ctx.set(master.start, 1)
            await ctx.tick()
            ctx.set(master.start, 0)
            assert ctx.get(master.hold)
            for _ in range(late):
                await ctx.tick()
            ctx.set(master.idle, 0)
            while not ctx.get(master.done):
                await ctx.tick()
            assert ctx.get(master.error)
            await ctx.tick().repeat(8)
            assert not ctx.get(master.hold)
        assert not any(sent)
        ctx.set(master.idle, 1)
        assert await _start(ctx, master) == (0, linear[7][0])
        # Held until the memories are back at the datapath's address.
        for _ in range(master.settle):
            assert ctx.get(master.hold)
            await ctx.tick()
        await ctx.tick().repeat(2)
        assert not ctx.get(master.hold)
        assert any(sent)

    simulate(dut, bench, background=[watch])
