"""The walker against nested loops, with every way of being held up."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from sterna.hw.core.walker import Loop, Walker

NESTS = {
    "pool": (2, 3, [Loop("group", 2, visit=True), Loop("row", 2), Loop("column", 2)]),
    "one item visits": (3, 2, [Loop("o", 3, visit=True), Loop("row", 1), Loop("beat", 1)]),
    "one pixel": (1, 1, [Loop("o", 4, visit=True), Loop("word", 3), Loop("beat", 2)]),
    "all ones": (1, 1, [Loop("o", 1, visit=True), Loop("word", 1)]),
    "no visit loops": (2, 2, [Loop("word", 3), Loop("beat", 1)]),
    "two visit loops": (
        2,
        1,
        [Loop("g", 2, visit=True), Loop("o", 3, visit=True), Loop("row", 1), Loop("word", 2)],
    ),
    "rows that add": (
        3,
        1,
        [Loop("sub", 2, visit=True, adds=True), Loop("o", 2, visit=True), Loop("beat", 2)],
    ),
    "one row that adds": (
        1,
        1,
        [Loop("sub", 1, visit=True, adds=True), Loop("o", 3, visit=True), Loop("beat", 1)],
    ),
}
IMAGES = 3


def adding(loops):
    """Whether output rows add up: where a loop inside them does."""
    return any(p.adds for p in loops)


def final(name, turn):
    """Whether visits at this turn of all loops have results."""
    height, width, loops = NESTS[name]
    sizes = [height, width, *(p.count for p in loops)]
    add = [adding(loops)] * 2 + [p.adds for p in loops]
    return all(t == n - 1 for t, n, adds in zip(turn, sizes, add, strict=True) if adds)


def walk(name, visit_clocks, hold, seed=0):
    """Runs IMAGES images. Returns the items (one dict each) and the clocks of the issues."""
    height, width, loops = NESTS[name]
    dut = Walker(height, width, loops, visit_clocks, adding(loops))
    count = IMAGES * height * width
    for loop in loops:
        count *= loop.count
    rng = random.Random(seed)
    items, pulses = [], []

    async def bench(ctx):
        before = None
        for clock in range(100 * count + 100):
            # Either reason to wait: no credit, no rows.
            ctx.set(dut.go, rng.random() >= hold)
            ctx.set(dut.rows_ok, rng.random() >= hold)
            if ctx.get(dut.valid):
                items.append(
                    {
                        "clock": clock - 1,
                        "step": ctx.get(dut.step),
                        "top": ctx.get(dut.top),
                        "final": ctx.get(dut.final) if adding(loops) else 1,
                        "first": ctx.get(dut.first),
                        "last": ctx.get(dut.last),
                        "index": [ctx.get(getattr(dut, f"index_{p.name}")) for p in loops],
                        "pulses": before,
                    }
                )
                if len(items) == count:
                    return
            before = tuple(ctx.get(p) for p in (dut.start, dut.row_end, dut.image_end))
            if before[0]:
                pulses.append(clock)
                assert ctx.get(dut.go) and ctx.get(dut.rows_ok), "a visit nobody allowed"
            await ctx.tick()
        raise AssertionError(f"only {len(items)} of {count} items")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return items, pulses


@pytest.mark.parametrize("hold", [0.0, 0.5])
@pytest.mark.parametrize("name", NESTS)
def test_items_are_those_of_the_nest(name, hold):
    height, width, loops = NESTS[name]
    items, starts = walk(name, 1, hold, seed=len(name))
    sizes = [height, width, *(p.count for p in loops)]
    inner = 2 + sum(p.visit for p in loops)
    wanted = [turn for _ in range(IMAGES) for turn in itertools.product(*map(range, sizes))]
    last = None
    for item, turn in zip(items, wanted, strict=True):
        assert item["index"] == list(turn[2:])
        assert item["top"] == (turn[0] == 0)
        assert item["first"] == sum((turn[2 + n] == 0) << n for n in range(len(loops)))
        assert item["last"] == sum((turn[2 + n] == p.count - 1) << n for n, p in enumerate(loops))
        if last is None:
            step = 0
        else:
            moved = [k for k in range(len(sizes)) if turn[k] > last[k]]
            step = 1 << (moved[0] if moved else 0)  # all turned over: a new image
        assert item["step"] == step, f"at {turn} after {last}"
        row_end = all(t == n - 1 for t, n in zip(turn[1:], sizes[1:]))
        begins = all(t == 0 for t in turn[inner:])
        starts_here = begins and final(name, turn)
        assert item["final"] == final(name, turn)
        assert item["pulses"] == (starts_here, row_end, row_end and turn[0] == height - 1)
        last = turn
    begun = [turn for turn in wanted if all(t == 0 for t in turn[inner:])]
    assert len(starts) == sum(final(name, turn) for turn in begun)


@pytest.mark.parametrize("name", NESTS)
def test_a_visit_is_never_interrupted(name):
    _, _, loops = NESTS[name]
    items, _ = walk(name, 1, 0.7, seed=3)
    size = 1
    for p in loops:
        size *= 1 if p.visit else p.count
    for start in range(0, len(items), size):
        clocks = [item["clock"] for item in items[start : start + size]]
        assert clocks == list(range(clocks[0], clocks[0] + size))


@pytest.mark.parametrize("visit_clocks", [1, 2, 4, 7])
@pytest.mark.parametrize("name", ["pool", "one item visits", "two visit loops", "all ones"])
def test_visits_are_so_far_apart_and_no_further(name, visit_clocks):
    _, _, loops = NESTS[name]
    size = 1
    for p in loops:
        size *= 1 if p.visit else p.count
    _, starts = walk(name, visit_clocks, 0.0)
    gaps = {b - a for a, b in zip(starts, starts[1:])}
    assert gaps == {max(size, visit_clocks)}
    _, starts = walk(name, visit_clocks, 0.4)
    assert min(b - a for a, b in zip(starts, starts[1:])) >= max(size, visit_clocks)


@pytest.mark.parametrize("visit_clocks", [1, 2, 5])
def test_only_visits_with_results_are_kept_apart(visit_clocks):
    """3 rows of 2 x 2 visits of 2 items: those of the last row's last turn are ``visit_clocks``
    apart, the 10 others take their items."""
    items, starts = walk("rows that add", visit_clocks, 0.0)
    pitch = max(2, visit_clocks)
    assert starts == [20 + n * pitch + k * (20 + 2 * pitch) for k in range(IMAGES) for n in (0, 1)]
    assert [item["clock"] for item in items[:20]] == list(range(20))
