"""The delay line: as many registers as it says, with the names and resets it is asked for."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from sterna.hw.memory.delay import delay, delay_line


@pytest.mark.parametrize("clocks", [1, 4])
def test_a_value_comes_so_many_clocks_later(clocks):
    m, value = Module(), Signal(9)
    line = delay_line(m, value, clocks, "late_{0}")
    assert len(line) == clocks + 1
    seen = []

    async def bench(ctx):
        for n in range(12):
            ctx.set(value, n + 100)
            seen.append([ctx.get(v) for v in line])
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert all(
        row == [100 + n - k if n >= k else 0 for k in range(clocks + 1)]
        for n, row in enumerate(seen)
    )


def test_names_and_resets_are_those_asked_for():
    m = Module()
    lines = [delay_line(m, Signal(8), 2, "a_{0}"), delay_line(m, Signal(9), 1, "b_{1}")]
    lines.append(delay_line(m, Signal(9), 2, "c", False))
    assert [[v.name for v in line[1:]] for line in lines] == [["a_0", "a_1"], ["b_1"], ["c", "c"]]
    assert [line[-1].reset_less for line in lines] == [False, True, False]
    value = Signal(1)
    assert delay(m, value, 1, "d", True).reset_less and delay(m, value, 0, "e") is value
