"""Edges, buffers, FIFOs, and the checks and drivers that other tests of this folder rely on."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from combpath import assert_lint_clean, assert_no_comb_path, comb_paths
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import edge_beats, edge_unpack, refusal, run_streams

from sterna.hw.stream.buffers import Buffer, Fifo
from sterna.hw.stream.edge import Edge

WIDE = "a beat of 129 lanes x 4 planes is 516 bits, over 512; use fewer lanes or a smaller pb"


def test_edge_counts():
    edge = Edge(channels=10, lanes=4, planes=5, pb=2)
    assert (edge.width, edge.groups, edge.plane_beats, edge.beats_per_pixel) == (8, 3, 3, 9)
    assert edge.resized(lanes=10, pb=5) == Edge(10, 10, 5, 5)
    assert edge.resized(pb=1).lanes == 4
    assert Edge(3, 8, 4, 4).groups == 1  # more lanes than channels: pad lanes
    assert edge.signature.create().payload.shape().width == 8


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 1, 1, 1), "channels must be a whole number of at least 1, not 0"),
        ((1, -2, 1, 1), "lanes must be a whole number of at least 1, not -2"),
        ((1, 1, 1.5, 1), "planes must be a whole number of at least 1, not 1.5"),
        ((1, 1, 4, True), "pb must be a whole number of at least 1, not True"),
        ((1, 1, 4, 5), "a beat of 5 planes is more than the stream's 4; use pb = 4"),
        ((256, 129, 4, 4), WIDE),
        ((1, 1, 1, 1, "time"), "stream code 'time' has no hardware yet; use 'planes'"),
    ],
)
def test_edge_refusals(arguments, message):
    assert refusal(lambda: Edge(*arguments)) == message


def test_the_widest_beat_is_allowed():
    assert Edge(256, 128, 4, 4).width == 512


@given(st.data())
def test_beats_and_their_inverse(data):
    channels, planes = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
    edge = Edge(channels, data.draw(st.integers(1, 9)), planes, data.draw(st.integers(1, planes)))
    pixel = st.lists(st.integers(0, (1 << planes) - 1), min_size=channels, max_size=channels)
    pixels = data.draw(st.lists(pixel, min_size=1, max_size=3))
    beats = edge_beats(edge, pixels)
    assert len(beats) == len(pixels) * edge.beats_per_pixel
    assert edge_unpack(edge, beats) == pixels


def test_beat_order_is_that_of_the_contract():
    # channels 0..2 hold planes 0b001, 0b010, 0b110; two lanes, two planes a beat
    beats = edge_beats(Edge(3, 2, 3, 2), [[0b001, 0b010, 0b110]])
    #          plane 1, 0 of lanes 1, 0; then plane 2; then the group of channel 2
    assert beats == [0b10_01, 0b00_00, 0b01_00, 0b00_01]


@pytest.mark.parametrize("stalls", [0.0, 0.3, 0.7])
@pytest.mark.parametrize(
    "build",
    [lambda: Buffer(9), *(lambda d=d: Fifo(9, d) for d in (2, 3, 4, 7, 16))],
    ids=["buffer", "2", "3", "4", "7", "16"],
)
def test_buffers_keep_order_and_rate(build, stalls):
    beats = [random.Random(7).getrandbits(9) for _ in range(200)]
    taken = run_streams(build(), {"i": beats}, {"o": 200}, stalls=stalls, seed=3)
    assert [payload for _, payload in taken["o"]] == beats
    if not stalls:
        clocks = [clock for clock, _ in taken["o"]]
        assert clocks == list(range(clocks[0], clocks[0] + 200))
        assert clocks[0] - taken["i"][0][0] == 1


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_fifo_level_and_capacity(depth):
    dut = Fifo(8, depth)
    levels = []

    async def watch(ctx, cycle):
        if cycle < 60:
            ctx.set(dut.o.ready, 0)
        levels.append(ctx.get(dut.level))

    taken = run_streams(dut, {"i": list(range(30))}, {"o": 30}, watch=watch)
    assert max(levels) == depth == levels[50]
    assert sum(clock < 60 for clock, _ in taken["i"]) == depth
    for clock, level in enumerate(levels):
        ins = sum(c < clock for c, _ in taken["i"])
        assert level == ins - sum(c < clock for c, _ in taken["o"])


def test_buffer_holds_two():
    dut = Buffer(8)

    async def watch(ctx, cycle):
        if cycle < 20:
            ctx.set(dut.o.ready, 0)

    taken = run_streams(dut, {"i": list(range(9))}, {"o": 9}, watch=watch)
    assert sum(clock < 20 for clock, _ in taken["i"]) == 2


@pytest.mark.parametrize(
    "build", [lambda: Buffer(5), lambda: Fifo(5, 6), lambda: Fifo(8, 2)], ids=["buffer", "6", "2"]
)
def test_netlist(build):
    assert_no_comb_path(build())
    assert_lint_clean(build())


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Buffer(0), "a buffer needs a width of at least 1 bit, not 0"),
        (lambda: Fifo(0, 4), "a FIFO needs a width of at least 1 bit, not 0"),
        (lambda: Fifo(4, 1), "a FIFO needs a depth of at least 2, not 1"),
    ],
)
def test_refusals(build, message):
    assert refusal(build) == message


class _Leaky(wiring.Component):
    """Every kind of path that the check must see, and registers that it must not."""

    a: In(4)
    d: In(1)
    lookup: Out(8)
    clocked: Out(4)
    total: Out(8)
    wire: Out(1)

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=16, init=range(16))
        now, later = memory.read_port(domain="comb"), memory.read_port()
        kept = Signal(4)
        m.d.sync += kept.eq(self.a)
        m.d.comb += [
            now.addr.eq(self.a),
            self.lookup.eq(now.data),
            later.addr.eq(self.a),
            later.en.eq(1),
            self.clocked.eq(kept),
            self.total.eq(later.data + self.d),
            self.wire.eq(self.d & kept[0]),
        ]
        return m


def test_the_path_check_finds_paths():
    assert set(comb_paths(_Leaky())) == {("a", "lookup"), ("d", "total"), ("d", "wire")}
    with pytest.raises(AssertionError, match="a -> lookup"):
        assert_no_comb_path(_Leaky())


class _Empty(wiring.Component):
    """Has a vector of no bits, which Verilog writes as [-1:0]."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object):
        m = Module()
        nothing = Signal(range(1))
        m.d.sync += [nothing.eq(nothing + self.i), self.o.eq(nothing == 0)]
        return m


def test_the_lint_check_sees_warnings():
    with pytest.raises(AssertionError, match="ASCRANGE"):
        assert_lint_clean(_Empty())


class _Rude(wiring.Component):
    """Takes its offer back after a clock."""

    i: In(stream.Signature(4))
    o: Out(stream.Signature(4))

    def elaborate(self, platform: object):
        m = Module()
        tick = Signal()
        m.d.sync += tick.eq(~tick)
        m.d.comb += [self.o.valid.eq(tick), self.i.ready.eq(1), self.o.payload.eq(3)]
        return m


def test_the_driver_fails_on_a_withdrawn_beat():
    with pytest.raises(AssertionError, match="valid fell"):
        run_streams(_Rude(), {"i": [1]}, {"o": 50}, stalls=0.5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(2, 9), st.floats(0, 0.9), st.integers(0, 1000))
def test_fifo_under_random_stalls(width, depth, stalls, seed):
    beats = [random.Random(seed).getrandbits(width) for _ in range(60)]
    taken = run_streams(Fifo(width, depth), {"i": beats}, {"o": 60}, stalls=stalls, seed=seed)
    assert [payload for _, payload in taken["o"]] == beats
