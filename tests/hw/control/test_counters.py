import random

import pytest
from axildriver import simulate
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.hw.control.counters import Counter, ImageCounters

PULSES = ("clear", "image_start", "image_done", "older", "drop_early", "drop_late")
VALUES = ("images", "total_clocks", "dropped_early", "dropped_late")


def test_a_counter_stays_at_its_largest_value():
    dut = Counter(3)

    async def bench(ctx):
        ctx.set(dut.event, 1)
        for clock in range(20):
            assert ctx.get(dut.value) == min(clock, 7)
            await ctx.tick()
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.event, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.value) == 0

    simulate(dut, bench)


@pytest.mark.parametrize("width", [5, 32])
def test_images_clocks_and_dropped_packets(width):
    """The narrow one saturates."""
    dut = ImageCounters(0, width)
    random_ = random.Random(width)
    top = (1 << width) - 1
    images = early = late = flying = older = total = 0
    first = None

    async def bench(ctx):
        nonlocal images, early, late, flying, older, total, first
        for clock in range(1500):
            clear = random_.random() < 0.004
            start = random_.random() < 0.1
            done = flying > 0 and random_.random() < 0.15
            drops = [random_.random() < 0.05 for _ in range(2)]
            for name, value in zip(PULSES, (clear, start, done, older > 0, *drops), strict=True):
                ctx.set(getattr(dut, name), value)
            early, late = early + drops[0], late + drops[1]
            if done and older:
                older -= 1
            elif done:
                images, total = images + 1, clock - first + 1
            if start and first is None:
                first = clock
            flying += start - done
            if clear:
                images = early = late = total = 0
                first, older = None, flying
            await ctx.tick()
            wanted = [min(images, top), min(total, top), early, late]
            assert [ctx.get(getattr(dut, name)) for name in VALUES] == wanted, clock

    simulate(dut, bench)


def test_stalls_a_core():
    dut = ImageCounters(3)
    random_ = random.Random(1)
    expected = [0, 0, 0]

    async def bench(ctx):
        for _ in range(100):
            stall = random_.getrandbits(3)
            ctx.set(dut.stall, stall)
            for k in range(3):
                expected[k] += stall >> k & 1
            await ctx.tick()
        ctx.set(dut.stall, 0)
        await ctx.tick().repeat(2)
        assert [ctx.get(dut.stalls[k]) for k in range(3)] == expected
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert [ctx.get(dut.stalls[k]) for k in range(3)] == [0, 0, 0]

    simulate(dut, bench)


def test_no_path_through_and_lint():
    assert_no_comb_path(ImageCounters(2))
    assert_lint_clean(ImageCounters(2), ("DECLFILENAME",))
