import random
import re

import pytest
from amaranth.hdl import ResetInserter, Signal
from axildriver import simulate
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.golden.errors import DesignError
from sterna.hw.memory.chain import ChainOp
from sterna.hw.memory.weight_memory import WeightMemory

# The refused ones are collected at any later time.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

SHAPES = [(1, 1), (1, 40), (2, 33), (7, 32), (16, 72), (33, 5), (12, 290), (3, 700)]


def _rows(depth, width, seed=0):
    random_ = random.Random(seed)
    return [random_.getrandbits(width) for _ in range(depth)]


@pytest.mark.parametrize(
    ("region", "compact"), [(None, False), (None, True), (3, False), (3, True)]
)
@pytest.mark.parametrize(("depth", "width"), SHAPES)
def test_data_comes_two_clocks_after_every_address(depth, width, region, compact):
    rows = _rows(depth, width)
    single = depth == 1 and region is None  # constants, unless a memory is demanded
    dut = WeightMemory(
        depth, width, rows, region=region, compact=compact, style="block" if single else "auto"
    )
    assert dut.latency == 2
    random_ = random.Random(depth)

    async def bench(ctx):
        asked: list[int] = []
        for _ in range(60):
            asked.append(random_.randrange(depth))
            ctx.set(dut.addr, asked[-1])
            if len(asked) > 2:
                assert ctx.get(dut.data) == rows[asked[-3]]
            await ctx.tick()

    simulate(dut, bench)


def test_missing_rows_are_zero():
    dut = WeightMemory(4, 8, [200])

    async def bench(ctx):
        for row, value in enumerate([200, 0, 0, 0]):
            ctx.set(dut.addr, row)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.data) == value

    simulate(dut, bench)


async def _access(ctx, dut, op, region, addr, data=0):
    """Send one word, wait for it; gives (op, data, clocks)."""
    word = dut.chain_i.word
    for name, value in (("valid", 1), ("op", op), ("region", region), ("addr", addr)):
        ctx.set(word[name], value)
    ctx.set(word.data, data)
    await ctx.tick()
    ctx.set(word.valid, 0)
    ctx.set(word.op, ChainOp.WRITE)  # what is not valid must not matter
    ctx.set(word.data, 0xDEADBEEF)
    for clocks in range(1, 100):
        back = dut.chain_o.word
        if ctx.get(back.valid):
            assert ctx.get(back.region) == region and ctx.get(back.addr) == addr
            return ctx.get(back.op), ctx.get(back.data), clocks
        await ctx.tick()
    raise AssertionError("the word did not come back")


@pytest.mark.parametrize(("depth", "width"), SHAPES)
def test_words_are_written_and_read_one_by_one(depth, width):
    rows = _rows(depth, width, seed=1)
    dut = WeightMemory(depth, width, rows, region=9)
    layout = dut.layout
    expected = layout.linear(rows)
    random_ = random.Random(width)
    read_clocks = 2 + dut.node.latency

    async def bench(ctx):
        for _ in range(120):
            # The reader's address must not disturb an access.
            ctx.set(dut.addr, random_.randrange(depth))
            addr = random_.randrange(layout.words)
            word = addr & ((1 << layout.bits) - 1)
            if random_.random() < 0.5:
                data = random_.getrandbits(32)
                op, _, clocks = await _access(ctx, dut, ChainOp.WRITE, 9, addr, data)
                assert (op, clocks) == (ChainOp.RESPONSE, 1)
                if word < layout.per_row:
                    expected[addr] = data & ((1 << layout.widths[word]) - 1)
            else:
                op, data, clocks = await _access(ctx, dut, ChainOp.READ, 9, addr)
                assert (op, data, clocks) == (ChainOp.RESPONSE, expected[addr], read_clocks)
        await ctx.tick()
        for row in range(depth):
            ctx.set(dut.addr, row)
            await ctx.tick().repeat(2)
            got = layout.split(ctx.get(dut.data))
            start = row << layout.bits
            assert list(got) == expected[start : start + layout.per_row]

    simulate(dut, bench)


def test_a_single_row_is_no_memory():
    """Constants of a rom; registers of a ram, which keep their contents through a reset."""
    from amaranth.back import verilog

    row = _rows(1, 40)
    text = verilog.convert(WeightMemory(1, 40, row), strip_internal_attrs=True)
    assert f"assign data = 40'h{row[0]:010x};" in text and "reg" not in text
    text = verilog.convert(WeightMemory(1, 40, row, region=9), strip_internal_attrs=True)
    array = re.compile(r"reg \[\d+:\d+\] \S+ \[")
    assert not array.search(text)
    for rows, region in ((2, None), (2, 9)):
        many = WeightMemory(rows, 40, _rows(rows, 40), region=region)
        assert array.search(verilog.convert(many, strip_internal_attrs=True))

    dut, reset = WeightMemory(1, 40, row, region=9), Signal()

    async def bench(ctx):
        await _access(ctx, dut, ChainOp.WRITE, 9, 1, 0x5A)
        ctx.set(reset, 1)
        await ctx.tick().repeat(2)
        ctx.set(reset, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.data) == 0x5A << 32 | row[0] & 0xFFFFFFFF
        assert await _access(ctx, dut, ChainOp.READ, 9, 1) == (
            ChainOp.RESPONSE,
            0x5A,
            2 + dut.node.latency,
        )

    simulate(ResetInserter(reset)(dut), bench)


def test_words_for_others_pass_unchanged():
    dut = WeightMemory(5, 40, region=9)
    cases = [
        (ChainOp.WRITE, 8, 0),
        (ChainOp.READ, 10, 0),
        (ChainOp.WRITE, 9, dut.layout.words),
        (ChainOp.READ, 9, (1 << 20) - 1),
        (ChainOp.RESPONSE, 9, 0),
        (ChainOp.NOP, 9, 0),
    ]

    async def bench(ctx):
        for op, region, addr in cases:
            assert await _access(ctx, dut, op, region, addr, 0x12345678) == (op, 0x12345678, 1)
        for row in range(5):
            ctx.set(dut.addr, row)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.data) == 0

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8), "holds nothing"),
        ((8, 0), "holds nothing"),
        ((2, 8, [1, 2, 3]), "2 rows was given 3"),
        ((2, 8, [1, 256]), "row 1 is 256"),
        ((2, 8, [-1]), "row 0 is -1"),
        ((2, 8, [], 256), "region 256"),
        ((1 << 19, 65, [], 0), "chain addresses"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(DesignError, match=message):
        WeightMemory(*arguments)


def test_style_reaches_the_verilog():
    from amaranth.back import verilog

    text = verilog.convert(
        WeightMemory(64, 8, _rows(64, 8), style="block"), strip_internal_attrs=True
    )
    assert 'ram_style = "block"' in text


@pytest.mark.parametrize("region", [None, 3])
def test_no_path_through_and_lint(region):
    assert_no_comb_path(WeightMemory(9, 70, _rows(9, 70), region=region))
    # One file of several modules.
    assert_lint_clean(WeightMemory(9, 70, _rows(9, 70), region=region), ("DECLFILENAME",))
