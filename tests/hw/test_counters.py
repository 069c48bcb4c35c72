import random

import pytest
from axildriver import simulate
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.hw.counters import Counter, ImageCounters

PULSES = ("clear", "image_start", "image_done", "drop_early", "drop_late")
VALUES = ("image_clocks", "images", "total_clocks", "dropped_early", "dropped_late")


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


class Model:
    """The same in plain Python, with a list of the images in flight."""

    def __init__(self, width):
        self.top = (1 << width) - 1
        self.flying: list[int] = []
        self.number = 0
        self.clear()

    def clear(self):
        self.first = self.followed = None
        self.values = dict.fromkeys(VALUES, 0)

    def count(self, name):
        self.values[name] = min(self.values[name] + 1, self.top if name == "images" else 0xFFFF)

    def step(self, clock, pulses):
        free = self.followed is None
        if pulses["image_start"]:
            self.number += 1
            self.flying.append(self.number)
            if free:
                self.followed = (self.number, clock)
            if self.first is None:
                self.first = clock
        if pulses["image_done"]:
            image = self.flying.pop(0)
            self.count("images")
            if self.first is not None and self.first < clock:
                self.values["total_clocks"] = min(clock - self.first + 1, self.top)
            if self.followed and image == self.followed[0]:
                self.values["image_clocks"] = min(clock - self.followed[1] + 1, self.top)
                self.followed = None
        for name in ("early", "late"):
            if pulses[f"drop_{name}"]:
                self.count(f"dropped_{name}")
        if pulses["clear"]:
            self.clear()


@pytest.mark.parametrize("seed", range(6))
def test_against_a_model_of_images_in_flight(seed):
    width = 5 if seed == 0 else 32  # the narrow one saturates
    dut = ImageCounters(0, width)
    random_ = random.Random(seed)
    model = Model(width)
    measured = set()

    async def bench(ctx):
        opened = False  # its packet may still have the wrong length
        for clock in range(1500):
            pulses = dict.fromkeys(PULSES, 0)
            pulses["clear"] = random_.random() < 0.004
            if model.flying and random_.random() < 0.15:
                pulses["image_done"] = 1
            if random_.random() < 0.1:
                pulses["image_start"] = 1
                opened = True
                if random_.random() < 0.1:
                    pulses["drop_early"] = 1
                    opened = False
            elif opened and random_.random() < 0.3:
                opened = False
                if random_.random() < 0.5:
                    pulses[random_.choice(["drop_early", "drop_late"])] = 1
            for name, value in pulses.items():
                ctx.set(getattr(dut, name), value)
            model.step(clock, pulses)
            await ctx.tick()
            assert {name: ctx.get(getattr(dut, name)) for name in VALUES} == model.values, clock
            measured.add(model.values["image_clocks"])

    simulate(dut, bench)
    assert len(measured) > 8


def test_without_following_images_the_rest_is_counted():
    dut = ImageCounters(0, follow=False)

    async def bench(ctx):
        for _ in range(3):
            for event in (dut.image_start, dut.image_done):
                ctx.set(event, 1)
                await ctx.tick()
                ctx.set(event, 0)
                await ctx.tick().repeat(4)
        assert ctx.get(dut.images) == 3 and ctx.get(dut.total_clocks) == 26
        assert ctx.get(dut.image_clocks) == 0

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
