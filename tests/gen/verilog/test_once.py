"""Parts that are alike are elaborated once, and the Verilog is as if each had been."""

import re
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.gen.verilog.naming import parts
from sterna.gen.verilog.once import Parts, copied
from sterna.golden.errors import DesignError
from sterna.hw.once import made_of, once
from tests.helpers.netcase import example


class _Delay(wiring.Component):
    def __init__(self, bits: int) -> None:
        super().__init__({"i": In(bits), "o": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


@once
class _Sum(wiring.Component):
    """The sum of two inputs, one of them a clock late, and a signal of its own."""

    def __init__(self, bits: int, taps: list[int] | None = None) -> None:
        self.bits, self.taps = bits, taps or [0]
        super().__init__({"a": In(bits), "b": In(bits), "o": Out(bits + 1)})
        self.late = Signal(bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.delay = delay = _Delay(self.bits)
        m.d.comb += [delay.i.eq(self.b), self.late.eq(delay.o), self.o.eq(self.a + self.late)]
        return m


class _Outer(wiring.Component):
    def __init__(self, *sums: Any, peek: int | None = None) -> None:
        self.sums, self.peek = sums, peek
        super().__init__({"x": In(8), "y": Out(9 * len(sums))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for n, part in enumerate(self.sums):
            m.submodules[f"sum_{n}"] = part
            m.d.comb += [part.a.eq(self.x), part.b.eq(self.x + n)]
            m.d.sync += self.y[9 * n : 9 * n + 9].eq(part.o)
        if self.peek is not None:
            m.d.sync += self.y[0].eq(self.sums[self.peek].late[0])
        return m


class _None(Parts):
    """Takes nothing apart."""

    def apart(self, component: Any) -> None:
        return None


def plain() -> Parts:
    return _None(lambda *_: pytest.fail("nothing is to be made"))


def test_the_text_is_as_if_each_had_been_elaborated() -> None:
    make = lambda: _Outer(_Sum(8), _Sum(7), _Sum(8), _Sum(8, [0]), _Sum(8))  # noqa: E731
    apart = parts()
    text = verilog_text(make(), "outer", parts=apart)
    assert text == verilog_text(make(), "outer", parts=plain())
    assert apart.alike() == {
        "outer.sum_0": ["outer.sum_2", "outer.sum_4"],
        "outer.sum_1": [],
        "outer.sum_3": [],
    }
    assert len(re.findall(r"^module \\outer\.sum_\d\.delay ", text, re.M)) == 5


def test_a_network_is_as_if_each_part_had_been_elaborated() -> None:
    net = example()
    design = fold(net)
    both = [verilog_text(elaborate(net, design), net.name, parts=p) for p in (parts(), plain())]
    assert both[0] == both[1]


def test_the_next_design_makes_only_what_is_new() -> None:
    apart = parts()
    verilog_text(_Outer(_Sum(8)), "one", parts=apart)
    text = verilog_text(_Outer(_Sum(8), _Sum(6)), "two", parts=apart)
    assert apart.text().count("module \\two.sum_") == 4
    assert "one" not in text
    assert text == verilog_text(_Outer(_Sum(8), _Sum(6)), "two", parts=plain())


def test_a_part_can_be_the_design() -> None:
    assert "module sum(" in verilog_text(_Sum(4), "sum")


@pytest.mark.parametrize("peek", [0, 1])
def test_a_signal_that_is_no_port_is_refused(peek: int) -> None:
    """It would be 0 for ever: the module that drives it is another."""
    with pytest.raises(DesignError, match=rf"sum_{peek}: its signal late is used from outside"):
        verilog_text(_Outer(_Sum(8), _Sum(8), peek=peek), "outer")


def test_other_arguments_are_other_parts() -> None:
    class Wider(_Sum):
        pass

    apart = parts()
    made = [_Sum(8, [1]), _Sum(8, [1]), _Sum(8, [2]), Wider(8, [1])]
    assert made_of(made[0]) == made_of(made[1])
    verilog_text(_Outer(*made), "outer", parts=apart)
    assert [len(others) for others in apart.alike().values()] == [1, 0, 0]


def test_names_that_begin_alike_are_not_the_same() -> None:
    text = "".join(
        f"module \\n.{name} (\n);\n  \\n.{name}.x  x ();\nendmodule\n" for name in ("a", "ab")
    )
    made = copied(text, {"n.a": ["n.c"]})
    assert re.findall(r"\\(\S+)", made) == ["n.a", "n.a.x", "n.ab", "n.ab.x", "n.c", "n.c.x"]


def test_a_module_keeps_its_attributes() -> None:
    """They stand in front of it, behind the module before."""
    mark = '(* mark = "{0}" *)\n(* more = 1 *)\nmodule \\n.{0} (\n);\nendmodule\n'
    made = copied(
        mark.format("b") + "module \\n.c (\n);\nendmodule\n" + mark.format("d"), {"n.b": ["n.a"]}
    )
    found = re.findall(r'mark = "(\w)" \*\)\n\(\* more = 1 \*\)\nmodule \\n\.(\w)', made)
    assert found == [("b", "a"), ("b", "b"), ("d", "d")]
    assert re.findall(r"(\S+)\n+module \\n\.c", made) == ["endmodule"]
