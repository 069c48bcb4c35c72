# amaranth: UnusedElaboratable=no
"""The tables engine by the plain definition: tables written by the expander, then read."""

import random
import zlib

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from sterna.golden.errors import DesignError
from sterna.hw.expander import Expander, copy_words
from sterna.hw.tables import TablesDot

FAMILIES = ["xilinx7", "ecp5"]


class Bench(wiring.Component):
    """A dot product with its expander."""

    def __init__(self, dot: TablesDot, words: list[int], region: int | None = None):
        self.dot, self.expander = dot, Expander(dot, words, region)
        super().__init__({"ready": Out(1)})

    def elaborate(self, platform):
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
    assert took <= bench.expander.clocks
    return took


def drawn(pe: int, simd: int, kind: str, rng: random.Random) -> list[list[int]]:
    values = (-1, 0, 1) if kind == "ternary" else (-1, 1)
    out = [[rng.choice(values) for _ in range(simd)] for _ in range(pe)]
    out[0] = [-1] * simd
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("weights", "tp", "bits", "kind"),
    [([[1]], 1, 1, "ternary"), ([[-1], [0]], 1, 1, "ternary"),
     ([[0, 0, 0], [0, 1, 0]], 2, 1, "ternary"),
     ([[1, -1, 1, 0], [-1, 1, -1, 1], [1, 1, 1, 1]], 1, 1, "ternary"),
     ([[-1, -1], [1, -1]], 3, 3, "ternary"), ([[1, -1, -1, -1, 1, 1]] * 3, 1, 1, "binary"),
     ([[-1, -1, -1], [1, 1, 1], [1, -1, 1], [-1, 1, 1]], 2, 2, "binary"),
     ([[-1, 1, 1]] * 4, 2, 1, "binary")],
)  # fmt: skip
def test_every_input(family, weights, tp, bits, kind):
    pe, simd = len(weights), len(weights[0])
    dut = TablesDot(pe, simd, tp, bits, kind, family=family, width=6)
    check(dut, [weights], list(range(1 << simd * tp)), kind)


SHAPES = [
    # pe, simd, tp, bits per step, depthwise
    (6, 40, 1, 1, False),
    (4, 17, 4, 1, False),
    (8, 27, 2, 8, False),
    (5, 9, 8, 8, False),
    (9, 20, 4, 2, False),
    (4, 9, 4, 1, True),
    (3, 9, 4, 2, True),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_random(shape, rows, kind, family):
    pe, simd, tp, bits, depthwise = shape
    rng = random.Random(repr((shape, kind)))
    weights = [drawn(pe, simd, kind, rng) for _ in range(rows)]
    width = (simd * (2 ** min(tp, bits) - 1)).bit_length() + 1
    dut = TablesDot(pe, simd, tp, bits, kind, depthwise, family, rows=rows, width=width)
    lanes = dut.act_lanes * tp
    acts = [0, (1 << lanes) - 1, *(rng.getrandbits(lanes) for _ in range(12))]
    acts += [rng.getrandbits(lanes) & rng.getrandbits(lanes) for _ in range(5)]
    check(dut, weights, acts, kind)
