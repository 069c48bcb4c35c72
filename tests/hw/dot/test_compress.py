# amaranth: UnusedElaboratable=no
"""The compress engine against its reference: exhaustive where small, random where large."""

import random

import pytest
from amaranth.sim import Simulator

from sterna.golden.errors import DesignError
from sterna.hw.dot.compress import DotProduct


def drive(dut: DotProduct, vectors: list[tuple[int, int]]) -> None:
    """Feeds one vector a clock and checks each result exactly ``latency`` clocks later."""
    checked = 0

    async def bench(ctx):
        nonlocal checked
        for clock in range(len(vectors) + dut.latency):
            if clock >= dut.latency:
                act, weight = vectors[clock - dut.latency]
                total, pop = dut.reference(act, weight)
                assert ctx.get(dut.sum) == total, (clock, hex(act), hex(weight))
                if dut.pops:
                    assert ctx.get(dut.pop) == pop, (clock, hex(act), hex(weight))
                checked += 1
            if clock < len(vectors):
                ctx.set(dut.act, vectors[clock][0])
                ctx.set(dut.weight, vectors[clock][1])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert checked == len(vectors)


def true_dots(dut: DotProduct, act: int, weight: int) -> list[int]:
    """The dot products by their plain definition, (p, j) order, from +1/0/-1 and integers."""
    dots = []
    for p in range(dut.pe):
        for j in range(dut.sums):
            dot = 0
            for s in range(dut.simd):
                field = weight >> (p * dut.simd + s) * dut.weight_bits
                w = {0: 0, 1: 1, 2: -1}[field & 3] if dut.ternary else (1 if field & 1 else -1)
                lane = p * dut.simd + s if dut.depthwise else s
                planes = [act >> q * dut.act_lanes + lane & 1 for q in range(dut.tp)]
                step = planes[j * dut.group : (j + 1) * dut.group]
                dot += w * sum(bit << k for k, bit in enumerate(step))
            dots.append(dot)
    return dots


def legal_weights(dut: DotProduct, rng: random.Random) -> int:
    fields = rng.choices([0, 1, 2] if dut.ternary else [0, 1], k=dut.pe * dut.simd)
    return sum(field << i * dut.weight_bits for i, field in enumerate(fields))


@pytest.mark.parametrize("family", ["generic", "ecp5", "xilinx7", "ice40"])
@pytest.mark.parametrize(
    ("simd", "tp", "bits", "kind"),
    [
        (1, 1, 1, "ternary"),
        (3, 1, 1, "ternary"),
        (2, 2, 2, "ternary"),
        (4, 1, 1, "binary"),
        (2, 2, 1, "binary"),
        (2, 3, 3, "binary"),
    ],
)
def test_every_input(family: str, simd: int, tp: int, bits: int, kind: str) -> None:
    dut = DotProduct(1, simd, tp, bits, kind, family=family)
    vectors = [(a, w) for a in range(1 << simd * tp) for w in range(1 << simd * dut.weight_bits)]
    drive(dut, vectors)


SHAPES = [
    # pe, simd, tp, bits per step, depthwise
    (1, 36, 1, 1, False),
    (3, 17, 4, 1, False),
    (2, 27, 1, 8, False),
    (2, 9, 2, 8, False),
    (2, 9, 8, 8, False),
    (2, 10, 6, 2, False),
    (4, 9, 4, 1, True),
    (3, 9, 4, 2, True),
    (1, 72, 2, 1, False),
    (1, 200, 1, 1, False),
]


@pytest.mark.parametrize("family", ["generic", "ecp5"])
@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("shape", SHAPES)
def test_random(shape: tuple[int, int, int, int, bool], kind: str, family: str) -> None:
    pe, simd, tp, bits, depthwise = shape
    dut = DotProduct(pe, simd, tp, bits, kind, depthwise, family)
    rng = random.Random(repr((shape, kind)))
    lanes = dut.act_lanes * tp
    vectors = [(rng.getrandbits(lanes), legal_weights(dut, rng)) for _ in range(30)]
    ones, plus = (1 << lanes) - 1, sum(1 << i * dut.weight_bits for i in range(pe * simd))
    vectors += [(ones, plus), (ones, plus << 1 if dut.ternary else 0), (0, 0), (ones, plus)]
    drive(dut, vectors)


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("shape", SHAPES)
def test_reference_is_the_dot_product(shape, kind: str) -> None:
    pe, simd, tp, bits, depthwise = shape
    dut = DotProduct(pe, simd, tp, bits, kind, depthwise)
    rng = random.Random(repr((shape, kind, "reference")))
    width, mask = dut.sum_shape.width, (1 << dut.sum_shape.width) - 1
    for _ in range(10):
        act, weight = rng.getrandbits(dut.act_lanes * tp), legal_weights(dut, rng)
        total, pop = dut.reference(act, weight)
        for i, dot in enumerate(true_dots(dut, act, weight)):
            value = total >> i * width & mask
            if dut.ternary:
                assert value - dut.offset == dot
            else:
                at = i if depthwise else i % dut.sums
                assert 2 * value - (pop >> at * width & mask) == dot


def test_family_keeps_ports() -> None:
    ports = {
        family: DotProduct(2, 9, 4, 2, "binary", family=family).signature
        for family in ("generic", "ecp5", "xilinx7", "ice40")
    }
    assert all(signature == ports["generic"] for signature in ports.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1, 1, "ternary"), "must all be at least 1"),
        ((1, 1, 3, 2, "ternary"), "tp=3 neither divides nor is a multiple of the 2 planes"),
        ((1, 1, 1, 1, "int8"), "weights of kind 'int8' have no hardware"),
        ((1, 1, 1, 1, "binary", False, "max10"), "family 'max10' is unknown"),
    ],
)
def test_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        DotProduct(*arguments)
