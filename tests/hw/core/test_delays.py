"""`delays` of specifications: the clocks that their cores take in simulation."""

import warnings

import pytest
from amaranth.sim import Simulator
from smallcores import instances

import sterna.hw.core.pool as pool
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.input_join import ShortcutQueue, shortcut_frees, sum_delays
from sterna.hw.core.pool import PoolSpec, SpikingPool
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.core.walker import Walker

QUIET = 60
"""Clocks without a visit's start, after which all that could has stopped."""


class Run:
    """A core whose inputs never wait: data never decides timing, so all of it is rubbish.

    The output takes ``tokens`` beats, then none until everything has stopped; inputs in ``late``
    send nothing until then. starts: clocks in which the main front, and those of further inputs,
    begin a visit. taken: clocks of beats by stream. stop: the clock in which all goes on."""

    def __init__(self, spec: ConvSpec | PoolSpec, tokens: int, late: str = "", clocks: int = 40):
        self.starts: list[list[int]] = []
        self.walkers: list[Walker] = []
        self.stop = 0
        with pytest.MonkeyPatch.context() as patch:
            if isinstance(spec, ConvSpec):
                core = SpikingConv(spec)
                self.walkers += [f.walker for f in core.fronts]
            else:
                patch.setattr(pool, "Walker", self._kept)
                core = SpikingPool(spec)
            names = [n for n in core.signature.members if n == "i" or n[:2] in ("i_", "s_")]
            self.taken: dict[str, list[int]] = {name: [] for name in (*names, "o")}

            async def bench(ctx):
                await ctx.tick()
                for cycle in range(2000):
                    if self.stop and cycle > self.stop + clocks:
                        return
                    self._clock(ctx, core, cycle, tokens, late)
                    await ctx.tick()
                pytest.fail("it never stops")

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                simulator = Simulator(core)
            simulator.add_clock(1e-6)
            simulator.add_testbench(bench)
            simulator.run()

    def _kept(self, *args) -> Walker:
        self.walkers.append(Walker(*args))
        return self.walkers[-1]

    def _clock(self, ctx, core, cycle: int, tokens: int, late: str) -> None:
        for name, clocks in self.taken.items():
            port = getattr(core, name)
            on = self.stop or (len(clocks) < tokens if name == "o" else name != late)
            ctx.set(port.ready if name == "o" else port.valid, int(bool(on)))
        for name, clocks in self.taken.items():
            port = getattr(core, name)
            if ctx.get(port.valid) and ctx.get(port.ready):
                clocks.append(cycle)
        self.starts += [[] for _ in self.walkers[len(self.starts) :]]
        for walker, seen in zip(self.walkers, self.starts, strict=True):
            if ctx.get(walker.start):
                seen.append(cycle)
        latest = max(clock for seen in self.starts for clock in (0, *seen))
        done = late or len(self.taken["o"]) >= tokens
        if not self.stop and done and cycle > latest + QUIET:
            self.stop = cycle + 1


def in_turn(start: int, tokens: tuple[int, ...]) -> list[int]:
    """Clocks of the tokens of a visit, of which one leaves a clock."""
    out: list[int] = []
    for clock in tokens:
        out.append(max([start + clock, *(c + 1 for c in out[-1:])]))
    return out


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("rom", "c"),
        ("rom", "p"),
        ("rom", "f"),
        ("many turns", "c"),
        ("steps side by side", "c"),
        ("turns of lanes", "c"),
        ("pixels", "c"),
        ("reads", "c"),
        ("banks", "c"),
        ("constant", "c"),
        ("tables", "c"),
        ("pool of sums", "c"),
        ("sums of sums", "c"),
        ("arrival", "f"),
        ("skips", "d"),
    ],
)
def test_tokens_and_credits_come_when_they_are_said_to(name, core):
    spec = next(i.spec for i in instances(name) if i.name == core)
    assert isinstance(spec, ConvSpec | PoolSpec)
    delays = spec.delays()
    count = len(delays.tokens)
    run = Run(spec, count)
    assert run.taken["o"][:count] == in_turn(run.starts[0][0], delays.tokens)
    if isinstance(spec, ConvSpec) and spec.readout:
        return  # of one pixel: there are never enough visits
    # The first visit's place was used by another before all stopped.
    assert sum(clock < run.stop for clock in run.starts[0]) == spec.credits + 1
    after = next(clock for clock in run.starts[0] if clock >= run.stop)
    assert after == run.taken["o"][2 * count - 1] + delays.back


def test_queues_take_the_clocks_that_they_are_said_to():
    spec = next(i.spec for i in instances("skips") if i.name == "d")
    assert isinstance(spec, ConvSpec) and len(spec.others) == len(spec.shortcuts) == 1
    delays = sum_delays(spec.front, spec.others[0])
    main, other = Run(spec, 0, "i_1", 80).starts
    assert main[0] == other[0] + delays.tokens[0]
    run = Run(spec, 0, "i", 120)
    main, other = run.starts
    visits = spec.sum_visits(spec.others[0])
    assert other[visits - 1] < run.stop and other[visits] == main[0] + delays.back
    depth = ShortcutQueue.depth_of(spec.shortcuts[0], spec.shortcut_visits)
    assert run.taken["s_0"][depth - 1] < run.stop
    assert run.taken["s_0"][depth] == main[0] + shortcut_frees(spec.front, spec.shortcuts[0])[0]
