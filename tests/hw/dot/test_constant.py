# amaranth: UnusedElaboratable=no
"""The constant engine by the plain definition: every input where small, random where large."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from sterna.golden.errors import DesignError
from sterna.hw.dot.constant import ConstantDot
from sterna.hw.dot.sharing import share

FAMILIES = ["xilinx7", "ecp5"]


def row_of(weights: list[list[int]], kind: str) -> int:
    """The row of a weight memory, PE by PE: ternary +1 = 01, -1 = 10; binary +1 = 1."""
    wb = 2 if kind == "ternary" else 1
    code = {0: 0, 1: 1, -1: 2 if kind == "ternary" else 0}
    flat = [w for output in weights for w in output]
    return sum(code[w] << n * wb for n, w in enumerate(flat))


def drive(dut: ConstantDot, weights: list[list[int]], acts: list[int], depthwise: bool) -> None:
    """An act a clock; every dot product ``latency`` clocks later, from integers."""

    def value(act: int, p: int, j: int) -> int:
        total = 0
        for s, w in enumerate(weights[p]):
            lane = p * dut.simd + s if depthwise else s
            for k in range(dut.group):
                total += w * (act >> (j * dut.group + k) * dut.act_lanes + lane & 1) << k
        return total

    async def bench(ctx):
        for clock in range(len(acts) + dut.latency):
            if clock >= dut.latency:
                act, z = acts[clock - dut.latency], ctx.get(dut.z)
                for p in range(dut.pe):
                    for j in range(dut.sums):
                        found = z >> (p * dut.sums + j) * dut.width & (1 << dut.width) - 1
                        wanted = value(act, p, j)
                        assert found == wanted % (1 << dut.width), (p, j, hex(act), wanted)
                        assert -(1 << dut.width - 1) <= wanted < 1 << dut.width - 1
            if clock < len(acts):
                ctx.set(dut.act, acts[clock])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("weights", "tp", "bits", "kind"),
    [
        ([[1]], 1, 1, "ternary"),
        ([[-1], [0]], 1, 1, "ternary"),
        ([[0, 0, 0], [0, 1, 0]], 2, 1, "ternary"),
        ([[1, -1, 1, 0], [-1, 1, -1, 1], [1, 1, 1, 1]], 1, 1, "ternary"),
        ([[-1, -1], [1, -1]], 3, 3, "ternary"),
        ([[1, -1, -1, -1, 1]] * 3, 1, 1, "binary"),
        ([[-1, -1, -1], [1, 1, 1], [1, -1, 1], [-1, 1, 1]], 2, 2, "binary"),
        ([[-1, 1, 1]] * 4, 2, 1, "binary"),
    ],
)
def test_every_input(family, weights, tp, bits, kind):
    pe, simd = len(weights), len(weights[0])
    dut = ConstantDot(pe, simd, tp, bits, kind, family=family, row=row_of(weights, kind), width=6)
    drive(dut, weights, list(range(1 << simd * tp)), False)


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


def drawn(pe: int, simd: int, kind: str, rng: random.Random) -> list[list[int]]:
    """Outputs of every density, a few of one sign only, two of them opposite."""
    out = []
    for p in range(pe):
        zeros = (0.0, 0.3, 0.5, 0.9)[p % 4] if kind == "ternary" else 0.0
        plus = (0.5, 0.5, 1.0, 0.0, 0.3)[p % 5]
        one = lambda z=zeros, a=plus: 0 if rng.random() < z else 1 if rng.random() < a else -1  # noqa: E731
        out.append([one() for _ in range(simd)])
    if pe > 2:
        out[2] = [-w for w in out[0]]
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("shape", SHAPES)
def test_random(shape, kind, family):
    pe, simd, tp, bits, depthwise = shape
    rng = random.Random(repr((shape, kind)))
    weights = drawn(pe, simd, kind, rng)
    # Just wide enough for the largest sum there can be.
    width = (simd * (2 ** min(tp, bits) - 1)).bit_length() + 1
    dut = ConstantDot(
        pe, simd, tp, bits, kind, depthwise, family, row=row_of(weights, kind), width=width
    )
    lanes = dut.act_lanes * tp
    acts = [0, (1 << lanes) - 1, *(rng.getrandbits(lanes) for _ in range(12))]
    acts += [rng.getrandbits(lanes) & rng.getrandbits(lanes) for _ in range(5)]
    drive(dut, weights, acts, depthwise)


def test_both_ways_of_binary_weights_and_shared_sums_are_among_them():
    seen = set()
    for shape in SHAPES:
        rng = random.Random(repr((shape, "binary")))
        pe, simd, tp, bits, depthwise = shape
        row = row_of(drawn(pe, simd, "binary", rng), "binary")
        trees = ConstantDot(pe, simd, tp, bits, "binary", depthwise, row=row, width=14).trees
        seen |= {("counted", trees.pop is not None), ("shared", bool(trees.triples)), *trees.side}
    assert seen == {(a, b) for a in ("counted", "shared") for b in (True, False)} | {1, -1}


@pytest.mark.parametrize("zeros", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("lanes", [2, 30, 300])
def test_shared_sums_add_up_to_the_weights(lanes, zeros):
    rng = np.random.default_rng(lanes)
    weights = rng.choice([-1, 0, 1], (12, lanes), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2])
    triples, terms = share(weights)
    back, users = np.zeros_like(weights), [0] * len(triples)
    for output, t in enumerate(terms):
        for n, sign in t.triples:
            users[n] += 1
            for lane, w in zip(triples[n].lanes, triples[n].signs, strict=True):
                back[output, lane] += sign * w
        for lane, sign in t.lanes:
            back[output, lane] += sign
    np.testing.assert_array_equal(back, weights)
    assert all(n >= 2 for n in users) and all(t.signs[0] == 1 for t in triples)
    assert lanes < 30 or zeros > 0.5 or sum(users) > 2 * len(triples)


def test_zeros_cost_nothing_and_likeness_little():
    rng = random.Random(1)
    dense = [[rng.choice((-1, 1)) for _ in range(144)] for _ in range(8)]
    thin = [[w if rng.random() < 0.5 else 0 for w in output] for output in dense]

    def cost(w):
        row = row_of(w, "ternary")
        return ConstantDot(len(w), 144, 1, 1, "ternary", family="ecp5", row=row, width=9).trees.cost

    assert cost(thin) < 0.6 * cost(dense)
    alone = sum(cost([output]) for output in dense)
    assert cost([dense[0]] * 8) < cost(dense) < 0.8 * alone


@pytest.mark.parametrize(
    ("arguments", "row", "message"),
    [
        ((0, 1, 1, 1, "ternary"), 0, "must all be at least 1"),
        ((1, 1, 3, 2, "ternary"), 0, "tp=3 neither divides"),
        ((1, 1, 1, 1, "int8"), 0, "weights of kind 'int8' have no hardware"),
        ((1, 2, 1, 1, "ternary"), 16, "a row outside 4 unsigned bits"),
    ],
)
def test_refused(arguments, row, message):
    with pytest.raises(DesignError, match=message):
        ConstantDot(*arguments, row=row, width=4)
