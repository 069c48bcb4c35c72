"""Modules have the ports of their components, whole, by name and in order, whatever nets are."""

import re

import pytest
from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.gen.tools.yosys import module_ports
from sterna.gen.verilog.elaborate import verilog_text


class Inner(wiring.Component):
    """In parts, sign-extended, padded, passed through, and read without being a port."""

    i: In(stream.Signature(6))
    begin: In(1)
    o: Out(stream.Signature(6))
    wide: Out(8)
    padded: Out(8)

    def __init__(self):
        super().__init__()
        self.aside = Signal(2)

    def elaborate(self, platform):
        m = Module()
        count = Signal(signed(3))
        m.d.sync += [count.eq(count + self.begin), self.aside.eq(self.i.payload[2:4])]
        m.d.comb += [
            self.o.payload.eq(self.i.payload + 1),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            self.wide.eq(count),
            self.padded.eq(Cat(count, Const(0, 5))),
        ]
        return m


class Outer(wiring.Component):
    i: In(stream.Signature(6))
    seen: Out(8)
    sum: Out(8)
    aside: Out(2)
    o: Out(stream.Signature(6))

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Inner()
        m.submodules.second = second = Inner()
        low = Signal(2)
        m.d.sync += low.eq(self.i.payload[:2])
        m.d.comb += [
            first.i.payload.eq(Cat(low, self.i.payload[2:4], self.i.payload[4:] + 1)),
            first.i.valid.eq(self.i.valid),
            self.i.ready.eq(first.i.ready),
            first.begin.eq(self.i.valid ^ low[0]),
            self.seen.eq(first.wide),
            self.sum.eq(first.padded + second.wide),
            self.aside.eq(first.aside),
        ]
        wiring.connect(m, first.o, second.i)
        wiring.connect(m, second.o, wiring.flipped(self.o))
        return m


@pytest.fixture(scope="module")
def text():
    return verilog_text(Outer(), "outer")


def names(text, module):
    return [name for _, name, _ in module_ports(text, module)]


def test_the_top_has_clock_reset_and_its_signature(text):
    assert module_ports(text, "outer") == [
        ("input", "clk", 1),
        ("input", "rst", 1),
        ("input", "i__payload", 6),
        ("input", "i__valid", 1),
        ("output", "i__ready", 1),
        ("output", "seen", 8),
        ("output", "sum", 8),
        ("output", "aside", 2),
        ("output", "o__payload", 6),
        ("output", "o__valid", 1),
        ("input", "o__ready", 1),
    ]


def test_a_value_in_parts_is_one_port_and_words_of_verilog_are_no_names(text):
    assert module_ports(text, "outer.first") == [
        ("input", "clk", 1),
        ("input", "rst", 1),
        ("input", "i__payload", 6),
        ("input", "i__valid", 1),
        ("input", "begin_", 1),
        ("output", "o__payload", 6),
        ("input", "o__ready", 1),
        ("output", "wide", 8),
        ("output", "aside", 2),
    ]  # what passes through is one port; padded has no net that wide has not


def test_names_say_whose_signals_they_are(text):
    top = text[text.index("module outer(") : text.index("endmodule")]
    assert {"first__i__payload", "second__o__payload", "first__aside"} <= set(
        re.findall(r"\w+", top)
    )
    assert not re.findall(r"\$(?!signed|unsigned)", text) and "__2" not in text


def test_no_output_is_tied_to_a_constant_or_driven_twice(text):
    """Sign bits are one net, zeros are none: each output has a wire of its own."""
    for instance in re.findall(r"\\outer\.\w+  \w+ \((.*?)\);", text, re.S):
        assert re.search(r"\.wide\(\w+\)", instance)


def test_the_same_design_gives_the_same_bytes(text):
    assert verilog_text(Outer(), "outer") == text
