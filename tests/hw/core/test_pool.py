"""SpikingPool alone, of each mode over any window, against numpy, at the rate of the law."""

import itertools
import random

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from combpath import assert_no_comb_path
from streamtest import edge_beats, refusal, run_streams

import sterna.hw.core.pool as pool
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.pool import LargestSums, PoolSpec, PoolWalk, SpikingPool
from sterna.hw.stream.edge import Edge
from sterna.sim.cocotb_runner import run_core


def pooled(spec, values):
    """values [N, T, C, H, W] -> [N, T, C, OH, OW], written without the core's ideas."""
    g = spec.geometry
    top, bottom, left, right = g.padding
    values = np.pad(values, ((0, 0),) * 3 + ((top, bottom), (left, right)))
    out = np.zeros((*values.shape[:3], g.out_height, g.out_width), int)
    for y in range(g.out_height):
        for x in range(g.out_width):
            top, left = y * g.stride[0], x * g.stride[1]
            window = values[..., top : top + g.kernel[0], left : left + g.kernel[1]]
            if spec.mode == "sum":
                out[..., y, x] = window.sum((-1, -2))
            elif spec.mode == "max":
                out[..., y, x] = window.max((-1, -2))
            else:
                out[..., y, x] = window.any((-1, -2))
    if spec.mode == "first":
        seen = np.cumsum(out, axis=1)
        out = out * (seen == 1) * (out == 1)
    return out


def beats_of(edge, values, bits):
    """Beats of values [N, T, C, H, W] on an edge."""
    pixels = []
    for image in values:
        for y in range(image.shape[2]):
            for x in range(image.shape[3]):
                pixels.append(
                    [
                        sum(int(v) << t * bits for t, v in enumerate(image[:, c, y, x]))
                        for c in range(image.shape[1])
                    ]
                )
    return edge_beats(edge, pixels)


def make(
    mode,
    channels,
    lanes,
    size,
    kernel,
    stride,
    steps,
    beat_steps,
    bits=1,
    padding=(0, 0, 0, 0),
    count=3,
    seed=0,
):
    """(spec, beats in, beats out) of ``count`` images: random, sparse, full."""
    edge = Edge(channels, lanes, steps * bits, beat_steps * bits)
    largest = (1 << bits) - 1
    most = {"sum": largest * kernel[0] * kernel[1], "max": largest}.get(mode, 1)
    geometry = Geometry(edge, *size, kernel, stride, padding)
    spec = PoolSpec(geometry, mode, bits, most.bit_length(), steps)
    rng = np.random.default_rng(seed)
    values = rng.integers(0, largest + 1, (count, steps, channels, *size))
    values[1:2] *= rng.random(values[1:2].shape) < 0.2
    values[2:3] = largest
    sent = beats_of(edge, values, bits)
    return spec, sent, beats_of(spec.out_edge, pooled(spec, values), spec.out_bits)


CASES = {
    "or": ("or", 3, 3, (4, 6), (2, 2), (2, 2), 4, 4),
    "or overlapping": ("or", 4, 2, (5, 5), (3, 2), (1, 2), 3, 1),
    "or with gaps": ("or", 2, 1, (7, 5), (2, 1), (3, 2), 2, 2),
    "sum": ("sum", 2, 2, (4, 4), (2, 2), (2, 2), 3, 3),
    "sum of sums": ("sum", 3, 2, (4, 3), (3, 3), (1, 1), 2, 1, 3),
    "max": ("max", 3, 2, (4, 3), (3, 3), (1, 1), 2, 1, 3),
    "max of large values": ("max", 2, 2, (4, 6), (2, 3), (2, 3), 3, 3, 5),
    "max of single spikes": ("max", 2, 1, (4, 4), (2, 2), (2, 2), 3, 2),
    "or padded": ("or", 3, 2, (5, 5), (3, 3), (2, 2), 3, 3, 1, (1, 1, 1, 1)),
    "sum padded": ("sum", 2, 2, (3, 5), (3, 2), (2, 1), 2, 2, 2, (2, 0, 0, 1)),
    "max padded": ("max", 2, 1, (4, 4), (3, 3), (2, 2), 2, 1, 3, (1, 1, 1, 1)),
    "first padded": ("first", 2, 2, (4, 4), (2, 2), (2, 2), 5, 2, 1, (1, 1, 1, 1)),
    "whole map": ("sum", 5, 4, (3, 4), (3, 4), (1, 1), 2, 2),
    "first": ("first", 4, 2, (4, 4), (2, 2), (2, 2), 6, 2),
    "first one step a beat": ("first", 3, 3, (3, 5), (3, 3), (1, 2), 5, 1),
    "first all steps a beat": ("first", 2, 1, (4, 2), (2, 2), (1, 1), 4, 4),
    "first uneven": ("first", 2, 2, (4, 4), (2, 2), (2, 2), 5, 2),
    "one by one": ("or", 2, 2, (3, 3), (1, 1), (1, 1), 2, 1),
    "1 x n": ("sum", 2, 1, (1, 9), (1, 3), (1, 3), 4, 2),
}


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("name", CASES)
def test_pool(name, stalls):
    spec, sent, wanted = make(*CASES[name], seed=len(name))
    taken = run_streams(SpikingPool(spec), {"i": sent}, {"o": len(wanted)}, stalls=stalls, seed=1)
    assert [beat for _, beat in taken["o"]] == wanted


@pytest.mark.parametrize("credits", [0, 4])
@pytest.mark.parametrize("name", ["or overlapping", "first", "one by one"])
def test_an_output_that_hardly_moves(name, credits, monkeypatch):
    """The output FIFO fills; with more credits than it has room beats would be lost."""
    spec, sent, wanted = make(*CASES[name], seed=len(name))
    real = pool.Credit
    monkeypatch.setattr(pool, "Credit", lambda count: real(count + credits))
    dut = SpikingPool(spec)

    async def hold(ctx, cycle):
        if cycle % (2 + 2 * spec.visit_clocks):
            ctx.set(dut.o.ready, 0)

    def run():
        taken = run_streams(dut, {"i": sent}, {"o": len(wanted)}, watch=hold, deadline=6000)
        assert [beat for _, beat in taken["o"]] == wanted

    if credits:
        with pytest.raises(AssertionError):
            run()
    else:
        run()


def random_case(rng):
    kernel = rng.randint(1, 3), rng.randint(1, 3)
    size = rng.randint(kernel[0], 6), rng.randint(kernel[1], 6)
    steps = rng.randint(1, 5)
    channels = rng.randint(1, 5)
    mode = rng.choice(("sum", "or", "first"))
    beat_steps = rng.choice([n for n in range(1, steps + 1) if steps % n == 0])
    bits = rng.randint(1, 3) if mode == "sum" else 1
    stride = rng.randint(1, 3), rng.randint(1, 3)
    return mode, channels, rng.randint(1, channels), size, kernel, stride, steps, beat_steps, bits


@pytest.mark.parametrize("seed", range(10))
def test_random_pools(seed):
    case = random_case(random.Random(seed))
    spec, sent, wanted = make(*case, seed=seed)
    taken = run_streams(SpikingPool(spec), {"i": sent}, {"o": len(wanted)}, stalls=0.4, seed=seed)
    assert [beat for _, beat in taken["o"]] == wanted, f"{case}"


def test_rate_is_that_of_the_law_for_any_data():
    """cocotb: overlapping windows, so that reading and not the input is the bound."""
    case = ("sum", 4, 2, (6, 8), (3, 3), (1, 1), 4, 2)
    spec, sent, wanted = make(*case, count=5, seed=1)
    _, sent_2, wanted_2 = make(*case, count=5, seed=2)
    text = verilog.convert(SpikingPool(spec), name="pool", strip_internal_attrs=True)
    pairs = ((sent, wanted), (sent_2, wanted_2))
    runs = [run_core(text, "pool", {"i": a}, {"o": b}) for a, b in pairs]
    assert wanted != wanted_2
    assert runs[0].given == runs[1].given and runs[0].taken == runs[1].taken
    given, size = runs[0].given["o"], len(wanted) // 5
    for image in (2, 3, 4):
        interval = given[(image + 1) * size - 1] - given[image * size - 1]
        assert spec.interval <= interval <= 1.02 * spec.interval
    run_core(text, "pool", {"i": sent}, {"o": wanted}, in_stall=0.3, out_stall=0.6)


@pytest.mark.parametrize("name", ["sum of sums", "first"])
def test_no_combinational_path(name):
    spec, _, _ = make(*CASES[name])
    assert_no_comb_path(SpikingPool(spec))


def test_refusal():
    edge = Edge(2, 2, 8, 3)
    text = refusal(lambda: PoolSpec(Geometry(edge, 4, 4, (2, 2), (2, 2)), "sum", 2, 4, 4))
    assert text == "a pool needs whole values in a beat: pb 3 is not a multiple of 2 bits"


def walked(geometry, groups):
    """(position outside of the map, first, last) of every position of an image, in order."""
    g = geometry
    rows, columns = g.places
    for oy, ox, _, down, across in itertools.product(
        range(g.out_height), range(g.out_width), range(groups), *map(range, g.pool)
    ):
        y = oy * g.pool_stride[0] + down - g.pool_padding[0]
        x = ox * g.pool_stride[1] + across - g.pool_padding[2]
        inside = 0 <= y < rows and 0 <= x < columns
        yield inside, (down, across) == (0, 0), (down + 1, across + 1) == g.pool


@pytest.mark.parametrize("turns", [1, 2, pool.REGISTER_TURNS, pool.REGISTER_TURNS + 1])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 0, 1)])
@pytest.mark.parametrize("window", [((3, 2), (2, 2)), ((3, 3), (1, 3))])
def test_largest_sums(turns, padding, window):
    """Sums of two images, most of them below zero: their largest, padding left out, with pauses."""
    kernel, stride = window
    _, bottom, left, right = padding
    padding = padding[0], bottom, min(left, kernel[1] - 1), min(right, kernel[1] - 1)
    edge = Edge(1, 1, 1, 1)
    geometry = Geometry(edge, 4, 5, (2, 2), (1, 1), (1, 0, 0, 0), 1, 1, 0, kernel, stride, padding)
    fields, width, groups = 2, 5, 2
    dut = LargestSums(fields=fields, width=width, pool=PoolWalk(geometry, groups), turns=turns)
    rng, mask = random.Random(turns), (1 << width) - 1
    items, wanted = [], []
    for inside, first, last in [*walked(geometry, groups)] * 2:
        seen = [[] for _ in range(turns)] if first else seen  # noqa: F821
        for turn in range(turns):
            values = [rng.randint(-16, 15 if rng.random() < 0.2 else -2) for _ in range(fields)]
            items.append(sum((v & mask) << n * width for n, v in enumerate(values)))
            if inside:
                seen[turn].append(values)
        if last:
            wanted += [[max(column) for column in zip(*rows)] for rows in seen]
    got = []

    async def bench(ctx):
        at = 0
        while at < len(items) or rng.random() < 0.8:
            on = at < len(items) and rng.random() < 0.7
            ctx.set(dut.ready_z, on)
            ctx.set(dut.z, items[at] if on else rng.getrandbits(fields * width))
            at += on
            await ctx.tick()
            if ctx.get(dut.ready):
                word = ctx.get(dut.largest)
                parts = [word >> n * width & mask for n in range(fields)]
                got.append([v - (v >> width - 1 << width) for v in parts])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == wanted
