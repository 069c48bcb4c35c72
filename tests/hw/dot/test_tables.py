# amaranth: UnusedElaboratable=no
"""The tables engine by the plain definition: tables written by the expander, then read."""

import random

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

import sterna.hw.dot.tables as tables
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.hw.dot.expander import Expander, copy_words
from sterna.hw.dot.tables import TablesDot, table_shape
from sterna.hw.memory.chain import ChainOp

FAMILIES = ["xilinx7", "ecp5"]


class Bench(wiring.Component):
    """A dot product with its expander."""

    ready: Signal

    def __init__(self, dot: TablesDot, words: list[int], region: int | None = None):
        self.dot, self.expander = dot, Expander(dot, words, region)
        super().__init__({"ready": Out(1)})

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.dot, m.submodules.expander = self.dot, self.expander
        m.d.comb += [
            self.dot.load.eq(self.expander.load),
            self.expander.loaded.eq(self.dot.loaded),
            self.ready.eq(self.expander.ready),
        ]
        return m


def row_of(weights: list[list[int]], kind: str) -> int:
    """The row of a weight memory, PE by PE: ternary +1 = 01, -1 = 10; binary +1 = 1."""
    wb = 2 if kind == "ternary" else 1
    code = {0: 0, 1: 1, -1: 2 if kind == "ternary" else 0}
    flat = [w for output in weights for w in output]
    return sum(code[w] << n * wb for n, w in enumerate(flat))


def words_of(rows: list[list[list[int]]], kind: str) -> list[int]:
    wb = 2 if kind == "ternary" else 1
    return copy_words([row_of(w, kind) for w in rows], len(rows[0]) * len(rows[0][0]) * wb)


def value(dut: TablesDot, weights: list[list[int]], act: int, p: int, j: int) -> int:
    total = 0
    for s, w in enumerate(weights[p]):
        lane = p * dut.simd + s if dut.depthwise else s
        for k in range(dut.group):
            total += w * (act >> (j * dut.group + k) * dut.act_lanes + lane & 1) << k
    return total


def check(dut: TablesDot, rows: list[list[list[int]]], acts: list[int], kind: str) -> int:
    """An act a clock, of a row at random; every dot product ``latency`` clocks later, from
    integers. Returns the clocks until the tables were there."""
    bench = Bench(dut, words_of(rows, kind))
    rng = random.Random(1)
    sent = [(act, rng.randrange(len(rows))) for act in acts]
    took = 0

    async def drive(ctx):
        nonlocal took
        while not ctx.get(bench.ready):
            await ctx.tick()
            took += 1
        for clock in range(len(sent) + dut.latency):
            if clock >= dut.latency:
                (act, row), z = sent[clock - dut.latency], ctx.get(dut.z)
                for p in range(dut.pe):
                    for j in range(dut.sums):
                        found = z >> (p * dut.sums + j) * dut.width & (1 << dut.width) - 1
                        wanted = value(dut, rows[row], act, p, j)
                        assert found == wanted % (1 << dut.width), (p, j, row, hex(act), wanted)
            if clock < len(sent):
                ctx.set(dut.act, sent[clock][0])
                if len(rows) > 1:
                    ctx.set(dut.row, sent[clock][1])
            await ctx.tick()

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert took == bench.expander.clocks
    return took


def drawn(pe: int, simd: int, kind: str, rng: random.Random) -> list[list[int]]:
    values = (-1, 0, 1) if kind == "ternary" else (-1, 1)
    out = [[rng.choice(values) for _ in range(simd)] for _ in range(pe)]
    out[0] = [-1] * simd
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("weights", "tp", "bits", "kind"),
    [
        ([[1]], 1, 1, "ternary"),
        ([[-1], [0]], 1, 1, "ternary"),
        ([[0, 0, 0], [0, 1, 0]], 2, 1, "ternary"),
        ([[1, -1, 1, 0], [-1, 1, -1, 1], [1, 1, 1, 1]], 1, 1, "ternary"),
        ([[-1, -1], [1, -1]], 3, 3, "ternary"),
        ([[1, -1, -1, -1, 1, 1]] * 3, 1, 1, "binary"),
        ([[-1, -1, -1], [1, 1, 1], [1, -1, 1], [-1, 1, 1]], 2, 2, "binary"),
        ([[-1, 1, 1]] * 4, 2, 1, "binary"),
    ],
)
def test_every_input(family, weights, tp, bits, kind):
    pe, simd = len(weights), len(weights[0])
    dut = TablesDot(pe, simd, tp, bits, kind, family=family, width=6)
    check(dut, [weights], list(range(1 << simd * tp)), kind)


SHAPES = [
    # pe, simd, tp, bits per step, depthwise
    (6, 22, 1, 1, False),
    (4, 17, 4, 1, False),
    (8, 27, 2, 8, False),
    (5, 9, 8, 8, False),
    (5, 11, 4, 2, False),
    (4, 9, 4, 1, True),
    (3, 9, 4, 2, True),
]


@pytest.mark.parametrize(
    ("family", "rows"), [("ecp5", 1), ("ecp5", 2), ("xilinx7", 1), ("generic", 3)]
)
@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_random(number, family, rows, monkeypatch):
    pe, simd, tp, bits, depthwise = SHAPES[number]
    kind = ("ternary", "binary")[(number + rows) % 2]
    rng = random.Random(repr((number, kind)))
    # Tables hold anything when the power comes on, and the bus has several pieces.

    def power_on(shape, depth, init, attrs):
        anything = [rng.getrandbits(shape.width) for _ in range(depth)]
        return Memory(shape=shape, depth=depth, init=init or anything, attrs=attrs)

    monkeypatch.setattr("sterna.hw.memory.shape.Memory", power_on)
    monkeypatch.setattr(tables, "SEGMENT", 5)
    weights = [drawn(pe, simd, kind, rng) for _ in range(rows)]
    width = (simd * (2 ** min(tp, bits) - 1)).bit_length() + 1
    dut = TablesDot(pe, simd, tp, bits, kind, depthwise, family, rows=rows, width=width)
    lanes = dut.act_lanes * tp
    acts = [0, (1 << lanes) - 1, *(rng.getrandbits(lanes) for _ in range(12))]
    acts += [rng.getrandbits(lanes) & rng.getrandbits(lanes) for _ in range(5)]
    check(dut, weights, acts, kind)


REGION = 3


async def access(ctx, expander: Expander, op: ChainOp, addr: int, word: int = 0) -> int:
    """One access through the chain; the word that comes back."""
    fields = {"valid": 1, "op": op, "region": REGION, "addr": addr, "data": word}
    ctx.set(expander.chain_i.word, fields)
    await ctx.tick()
    ctx.set(expander.chain_i.word, {"valid": 0})
    while not ctx.get(expander.chain_o.word.valid):
        await ctx.tick()
    assert ctx.get(expander.chain_o.word.op) == ChainOp.RESPONSE
    return ctx.get(expander.chain_o.word.data)


def reloaded(kind: str, rows: int, pause: int) -> None:
    """Weights written through the chain, a word in so many clocks; all are read back, and every
    result is of the new ones."""
    rng = random.Random(5)
    old, new = ([drawn(4, 23, kind, rng) for _ in range(rows)] for _ in range(2))
    dut = TablesDot(4, 23, 2, 1, kind, family="ecp5", rows=rows, width=6)
    bench, wanted = Bench(dut, words_of(old, kind), REGION), words_of(new, kind)
    seen: list[int] = []

    async def drive(ctx):
        for _ in range(pause):
            await ctx.tick()
        for addr, word in enumerate(wanted):
            await access(ctx, bench.expander, ChainOp.WRITE, addr, word)
            for _ in range(pause if addr + 1 < len(wanted) else 2):
                await ctx.tick()
        assert not ctx.get(bench.ready)
        for addr in range(len(wanted)):
            seen.append(await access(ctx, bench.expander, ChainOp.READ, addr))
        for _ in range(2 * bench.expander.clocks):
            await ctx.tick()
        assert ctx.get(bench.ready)
        await access(ctx, bench.expander, ChainOp.READ, 0)  # is no reason to begin again
        for _ in range(10):
            await ctx.tick()
            assert ctx.get(bench.ready)
        for row, weights in enumerate(new):
            act = rng.getrandbits(dut.act_lanes * 2)
            ctx.set(dut.act, act)
            if rows > 1:
                ctx.set(dut.row, row)
            for _ in range(dut.latency):
                await ctx.tick()
            z = ctx.get(dut.z)
            for p in range(4):
                for j in range(2):
                    found = z >> (p * 2 + j) * 6 & 63
                    assert found == value(dut, weights, act, p, j) % 64, (row, p, j)

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert seen == wanted


@pytest.mark.parametrize(
    ("kind", "rows", "pause"), [("ternary", 2, 3), ("binary", 1, 40), ("ternary", 1, 400)]
)
def test_new_weights_at_run_time(kind, rows, pause):
    reloaded(kind, rows, pause)


@pytest.mark.parametrize(("which", "pause"), [(0, 400), (1, 40)])
def test_chain_accesses_that_go_unnoticed_are_found(which, pause, monkeypatch):
    """The test above fails where a write, or a read in the middle, does not begin all anew."""
    real = Expander._chained

    def chained(self):
        return tuple(Const(0) if n == which else v for n, v in enumerate(real(self)))

    monkeypatch.setattr(Expander, "_chained", chained)
    with pytest.raises(AssertionError):
        reloaded("ternary", 1, pause)


def test_numbers_of_a_shape():
    """ECP5: three lanes in two bits, two outputs a LUT RAM of 6 LUT4; 7-series: five in three."""
    shape = table_shape(16, 144, 1, False, "ecp5")
    assert (shape.lanes, shape.bits, shape.block, shape.groups) == (3, 2, 2, 48)
    assert shape.luts(FABRICS["ecp5"].lut_ram) == 16 * 144
    assert table_shape(16, 144, 2, False, "ecp5").lanes == 3
    shape = table_shape(16, 145, 1, False, "xilinx7")
    assert (shape.lanes, shape.bits, shape.block, shape.groups) == (5, 3, 2, 29)
    assert table_shape(16, 144, 4, False, "xilinx7").lanes == 3
    alone = table_shape(8, 25, 1, True, "ecp5")
    assert (alone.block, alone.lanes, alone.bits) == (1, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((0, 1, 1, 1, "ternary"), {}, "must all be at least 1"),
        ((1, 1, 1, 1, "int8"), {}, "weights of kind 'int8' have no hardware"),
        (
            (1, 1, 1, 1, "binary"),
            {"family": "ice40"},
            "ice40 has no LUT RAM; use engine 'compress'",
        ),
        (
            (1, 4, 1, 1, "binary"),
            {"family": "ecp5", "rows": 3},
            "3 rows of weights, and LUT RAM of",
        ),
        ((1, 4, 1, 1, "binary"), {"rows": 5}, "generic is deep enough for 4; raise pe or simd"),
    ],
)
def test_refused(arguments, settings, message):
    with pytest.raises(DesignError, match=message):
        TablesDot(*arguments, width=4, **settings)


def test_words_wider_than_32_bits_are_refused():
    with pytest.raises(DesignError, match="weights are words of 32 bits; pack them anew"):
        Expander(TablesDot(1, 20, 1, 1, "ternary", width=6), [1 << 32, 0])
