"""Outputs with bits that never change."""

import re

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.gen.verilog.naming import rtlil_text


class Count(wiring.Component):
    """Counts to 15, and says it in eight bits."""

    up: In(1)
    total: Out(8)

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        m.d.sync += count.eq(count + self.up)
        m.d.comb += self.total.eq(count)
        return m


class Top(wiring.Component):
    up: In(1)
    total: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.count = count = Count()
        m.d.comb += [count.up.eq(self.up), self.total.eq(count.total + 1)]
        return m


def test_no_output_is_connected_to_a_constant() -> None:
    (cell,) = re.findall(r"^  cell \\top\.count .*?^  end", rtlil_text(Top(), "top"), re.M | re.S)
    ends = dict(re.findall(r"connect \\(\w+) (.*)", cell))
    assert len(ends) == 4 and not re.search(r"\d+'[01]", "".join(ends.values())), ends
