"""Accumulators and step feeders against plain sums, with pauses between items."""

import itertools
import random

import pytest
from amaranth.sim import Simulator
from streamtest import refusal

from sterna.hw.core.accumulate import REGISTER_TURNS, Accumulator, StepFeeder

VISITS = 12


def pack(values, width):
    return sum((v & (1 << width) - 1) << n * width for n, v in enumerate(values))


def unpack(word, width, count):
    out = []
    for n in range(count):
        v = word >> n * width & (1 << width) - 1
        out.append(v - (v >> width - 1 << width))
    return out


def run(dut, cycles, watch):
    """Feeds (port -> value) of each cycle, rubbish where a value is missing, calls watch(ctx)."""
    rng = random.Random(9)
    names = (
        ("valid", "first", "coming", "ending", "sum", "pop")
        if hasattr(dut, "sum")
        else ("ready_z", "z")
    )
    ports = [getattr(dut, name) for name in names if hasattr(dut, name)]

    async def bench(ctx):
        for cycle in cycles:
            for port in ports:
                ctx.set(port, cycle.get(port.name, rng.getrandbits(len(port))))
            await ctx.tick()
            watch(ctx)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("pops", [0, 1, 2])
@pytest.mark.parametrize("turns", [1, 2, REGISTER_TURNS, REGISTER_TURNS + 1, 11])
@pytest.mark.parametrize("folds, words", [(1, 0), (1, 1), (3, 0), (3, 3)])
@pytest.mark.parametrize("whole", [False, True])
def test_accumulator(pops, turns, folds, words, whole):
    pe, sums, in_width, pop_width, width, constant = 2, 2, 5, 4, 9, -37
    dut = Accumulator(
        pe=pe,
        sums=sums,
        in_width=in_width,
        turns=turns,
        width=width,
        constant=constant,
        pops=pops,
        pop_width=pop_width,
        words=words,
        whole=whole,
    )
    rng = random.Random(turns * 100 + folds * 10 + pops)
    idle = {"valid": 0, "coming": 0, "ending": 0}
    cycles, wanted, got = [{**idle} for _ in range(turns)], [], []
    for _ in range(VISITS):
        totals = {(t, n): constant for t in range(turns) for n in range(pe * sums)}
        minus = dict.fromkeys(itertools.product(range(turns), range(max(1, pops) * sums)), 0)
        for fold, turn in itertools.product(range(folds), range(turns)):
            while rng.random() < 0.3 and not (whole and fold + turn):
                cycles.append({**idle})
            cycles[-1]["coming"] = 1
            cycles[-1]["ending"] = fold == folds - 1
            values = [rng.getrandbits(in_width) for _ in range(pe * sums)]
            pop = [rng.getrandbits(pop_width) for _ in range(max(1, pops) * sums)]
            for n, v in enumerate(values):
                totals[turn, n] += v
            for n, v in enumerate(pop):
                minus[turn, n] += v
            cycles.append(
                {
                    **idle,
                    "valid": 1,
                    "first": fold == 0,
                    "sum": pack(values, in_width),
                    "pop": pack(pop, pop_width),
                }
            )
        for turn in range(turns):
            row = []
            for n in range(pe * sums):
                total = totals[turn, n]
                if pops:
                    total = 2 * total - minus[turn, n if pops > 1 else n % sums]
                row.append(total)
            wanted.append(row)
    cycles += [idle] * 3

    def watch(ctx):
        if ctx.get(dut.ready_z):
            got.append(unpack(ctx.get(dut.z), width, pe * sums))

    run(dut, cycles, watch)
    assert got == wanted


def feed(steps, *, sums=1, parts=1, part_bits=0, hold=False, in_width=6, seed=1):
    """Feeds VISITS visits; returns (x of every step, flags) as given and as they must be."""
    pe, width = 2, in_width + part_bits * (parts - 1) + 1
    dut = StepFeeder(
        pe=pe,
        sums=sums,
        in_width=in_width if sums == 1 else width,
        width=width,
        steps=steps,
        parts=parts,
        part_bits=part_bits,
        hold=hold,
    )
    field = dut.in_width
    rng = random.Random(seed)
    cycles, wanted, got = [], [], []
    low, high = -(1 << in_width - 1), (1 << in_width - 1) - 1
    for _ in range(VISITS):
        begin = len(cycles)
        groups = -(-steps // sums)
        pulses = 1 if hold else groups * parts
        values = [
            [rng.choice((low, high, rng.randint(low, high))) for _ in range(pe * sums)]
            for _ in range(pulses)
        ]
        for row in values:
            cycles.append({"ready_z": 1, "z": pack(row, field)})
            # Only where the scan does not run ahead of the pulses may they pause.
            while sums == 1 and not hold and rng.random() < 0.3:
                cycles.append({"ready_z": 0})
        for t in range(steps):
            if hold:
                x = values[0]
            elif sums > 1:
                group, sub = divmod(t, sums)
                x = [values[group][p * sums + sub] for p in range(pe)]
            else:
                x = [
                    sum(values[t * parts + k][p] << k * part_bits for k in range(parts))
                    for p in range(pe)
                ]
            wanted.append((x, t == 0, t == steps - 1))
        cycles += [{"ready_z": 0}] * (max(0, steps - (len(cycles) - begin)) + rng.choice((0, 0, 3)))
    cycles += [{"ready_z": 0}] * (steps + 5)

    def watch(ctx):
        if ctx.get(dut.valid):
            x = unpack(ctx.get(dut.x), width, pe)
            got.append((x, bool(ctx.get(dut.first)), bool(ctx.get(dut.last))))

    run(dut, cycles, watch)
    return got, wanted


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8])
def test_feeder_gives_a_pulse_a_step(steps):
    got, wanted = feed(steps)
    assert got == wanted


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_feeder_holds_one_value(steps):
    got, wanted = feed(steps, hold=True)
    assert got == wanted


@pytest.mark.parametrize(("parts", "bits"), [(2, 1), (2, 4), (8, 1), (3, 2)])
@pytest.mark.parametrize("steps", [1, 3])
def test_feeder_joins_bit_planes(parts, bits, steps):
    got, wanted = feed(steps, parts=parts, part_bits=bits)
    assert got == wanted


@pytest.mark.parametrize(("parts", "bits"), [(8, 1), (4, 2)])
def test_feeder_joins_planes_of_a_held_value(parts, bits):
    """Direct pixels come in bit planes, once for all steps."""
    dut_steps = 4
    pe, in_width = 1, 5
    width = in_width + bits * (parts - 1) + 1
    dut = StepFeeder(
        pe=pe,
        sums=1,
        in_width=in_width,
        width=width,
        steps=dut_steps,
        parts=parts,
        part_bits=bits,
        hold=True,
    )
    rng = random.Random(3)
    cycles, wanted, got = [], [], []
    for _ in range(VISITS):
        values = [rng.randint(-16, 15) for _ in range(parts)]
        cycles += [{"ready_z": 1, "z": pack([v], in_width)} for v in values]
        cycles += [{"ready_z": 0}] * rng.choice((0, max(0, dut_steps - parts), 6))
        wanted += [sum(v << k * bits for k, v in enumerate(values))] * dut_steps
    cycles += [{"ready_z": 0}] * 10
    run(
        dut,
        cycles,
        lambda ctx: got.extend(unpack(ctx.get(dut.x), width, 1) if ctx.get(dut.valid) else []),
    )
    assert got == wanted


@pytest.mark.parametrize("sums", [2, 3, 4])
@pytest.mark.parametrize("steps", [1, 3, 4, 7, 8])
def test_feeder_puts_steps_in_order(sums, steps):
    """Several steps a pulse, the last pulse of a visit perhaps not full."""
    got, wanted = feed(steps, sums=sums)
    assert got == wanted


def test_refusal():
    assert "exclude" in refusal(
        lambda: StepFeeder(pe=1, sums=2, in_width=4, width=4, steps=2, parts=2, part_bits=1)
    )
    assert "exclude" in refusal(
        lambda: StepFeeder(pe=1, sums=2, in_width=4, width=4, steps=2, hold=True)
    )
