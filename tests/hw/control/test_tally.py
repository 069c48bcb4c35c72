"""The counters in a memory against plain Python that knows every image in flight."""

import random

import pytest
from axildriver import simulate
from combpath import assert_lint_clean, assert_no_comb_path

from sterna.golden.errors import DesignError
from sterna.hw.control.tally import Tally

# The refused ones are collected at any later time.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

LAGS = {"image_clocks": 3, "total_clocks": 3, "images": 4, "dropped": 4, "stalls": 4}


class Model:
    """The counters; ``history[n]`` has their values behind clock n."""

    def __init__(self, width, cores):
        self.top = (1 << width) - 1
        self.half, self.cores = width // 2, cores
        self.flying: list[int] = []
        self.older = 0  # of them, how many were so at the last clear
        self.number = 0
        self.waits = 0  # stalls, a clock late
        self.history: list[dict] = []
        self.clear()

    def clear(self):
        self.first = self.followed = None
        self.images = self.image_clocks = self.total_clocks = self.early = self.late = 0
        self.stalls = [0] * self.cores

    def step(self, clock, clear, start, done, early, late, stall):
        free = self.followed is None
        if start:
            self.number += 1
            self.flying.append(self.number)
            if free:
                self.followed = (self.number, clock)
        if done:
            image = self.flying.pop(0)
            if self.older:
                self.older -= 1
            else:
                self.images += 1
                self.total_clocks = clock - self.first + 1
            if self.followed and image == self.followed[0]:
                self.image_clocks = clock - self.followed[1] + 1
                self.followed = None
        if start and self.first is None:
            self.first = clock
        self.early, self.late = self.early + early, self.late + late
        self.stalls = [n + (self.waits >> k & 1) for k, n in enumerate(self.stalls)]
        self.waits = stall
        if clear:
            self.clear()
            self.older = len(self.flying)
        half = (1 << self.half) - 1
        dropped = min(self.early, half) | min(self.late, half) << self.half
        plain = {
            n: min(getattr(self, n), self.top) for n in ("images", "image_clocks", "total_clocks")
        }
        stalls = [min(n, self.top) for n in self.stalls]
        self.history.append(plain | {"dropped": dropped, "stalls": stalls})


@pytest.mark.parametrize("often", [0.004, 0.03], ids=["seldom", "often cleared"])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.6])
@pytest.mark.parametrize("cores, width", [(0, 8), (3, 10), (5, 32)])
def test_every_counter_at_every_turn(cores, width, rate, often):
    """Short images come and go several times in a turn; the narrow ones saturate."""
    dut = Tally(cores, width)
    random_ = random.Random(f"{cores} {rate} {often}")
    model = Model(width, cores)
    seen = {name: set() for name in LAGS}

    async def bench(ctx):
        names = [n for n in LAGS if n != "stalls"] + ["stalls"] * (cores > 0)
        name, core, asked = "images", 0, 0
        for clock in range(1500 if rate > 0.02 else 6000):  # images come seldom there
            start = len(model.flying) < 60 and random_.random() < rate
            done = bool(model.flying) and random_.random() < 1.2 * rate
            clear = random_.random() < often
            early, late = random_.random() < 0.1, random_.random() < rate
            stall = random_.getrandbits(cores) if cores else 0
            pulses = {
                "clear": clear,
                "image_start": start,
                "image_done": done,
                "older": model.older > 0,
                "drop_early": early,
                "drop_late": late,
            }
            for port, value in pulses.items():
                ctx.set(getattr(dut, port), value)
            if cores:
                ctx.set(dut.stall, stall)
            model.step(clock, clear, start, done, early, late, stall)
            ctx.set(dut.wanted, Tally.row(name, core))
            if clock > asked and ctx.get(dut.ready):
                value = model.history[clock - LAGS[name]][name]
                value = value[core] if name == "stalls" else value
                assert ctx.get(dut.value) == value, (clock, name, core)
                seen[name].add(value)
                name, core = random_.choice(names), random_.randrange(max(1, cores))
                asked = clock + 1
            await ctx.tick()

    simulate(dut, bench)
    assert all(len(values) > 2 for name, values in seen.items() if cores or name != "stalls")


def test_nothing_from_before_a_clear_and_every_row_once_a_turn():
    dut = Tally(2)

    async def bench(ctx):
        ctx.set(dut.image_done, 1)
        await ctx.tick().repeat(100)
        ctx.set(dut.image_done, 0)
        ctx.set(dut.wanted, Tally.row("images"))
        for wait in range(1, 30):
            await ctx.tick().repeat(wait)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            found = [
                ctx.get(dut.value)
                for _ in [await ctx.tick() for _ in range(20)]
                if ctx.get(dut.ready)
            ]
            assert not any(found)
        clocks = []
        for clock in range(5 * dut.rows):
            if ctx.get(dut.ready):
                clocks.append(clock)
            await ctx.tick()
        assert {b - a for a, b in zip(clocks, clocks[1:])} == {dut.rows} and len(clocks) == 5

    simulate(dut, bench)


def test_a_width_that_holds_no_turn_is_refused():
    for cores, width in ((0, 7), (3, 6)):
        with pytest.raises(DesignError, match=f"counters of {width} bits for {cores} cores"):
            Tally(cores, width)


def test_no_path_through_and_lint():
    assert_no_comb_path(Tally(2))
    assert_lint_clean(Tally(2), ("DECLFILENAME",))
