"""Gearboxes: every pair of foldings, bit for bit and at the stated rate."""

import random

import pytest
from combpath import assert_lint_clean, assert_no_comb_path, comb_paths
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import edge_beats, edge_unpack, refusal, run_streams

from sterna.golden.errors import DesignError
from sterna.hw.stream.bit_gearbox import BitGearbox
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gear_path import clocks_per_pixel, path, storage_bits
from sterna.hw.stream.gearbox import Gearbox, LaneMerge, LaneSplit, PlaneStep
from sterna.hw.stream.slices import Downsizer, Upsizer


def _pixels(edge, count, seed):
    rng = random.Random(seed)
    return [[rng.getrandbits(edge.planes) for _ in range(edge.channels)] for _ in range(count)]


def _send(dut, src, dst, count=8, stalls=0.0, seed=0, watch=None):
    """Run pixels through; returns the clocks between the last beats of successive pixels."""
    pixels = _pixels(src, count, seed)
    taken = run_streams(
        dut,
        {"i": edge_beats(src, pixels)},
        {"o": count * dst.beats_per_pixel},
        stalls=stalls,
        seed=seed,
        watch=watch,
    )
    beats = [payload for _, payload in taken["o"]]
    assert edge_unpack(dst, beats) == pixels
    assert beats == edge_beats(dst, pixels)
    ends = [clock for clock, _ in taken["o"]][dst.beats_per_pixel - 1 :: dst.beats_per_pixel]
    return [b - a for a, b in zip(ends, ends[1:])]


@st.composite
def _edges(draw):
    channels = draw(st.one_of(st.integers(1, 16), st.sampled_from([12, 16])))
    planes = draw(st.one_of(st.integers(1, 10), st.sampled_from([4, 8])))
    lanes, pb = st.integers(1, min(channels + 2, 8)), st.integers(1, planes)
    src = Edge(channels, draw(lanes), planes, draw(pb))
    dst = Edge(channels, draw(lanes), planes, draw(pb))
    return src, dst


@settings(max_examples=50, deadline=None)
@given(_edges(), st.integers(0, 1000))
def test_any_pair_meets_at_the_stated_rate(edges, seed):
    src, dst = edges
    if src == dst:
        return
    dut = Gearbox(src, dst)
    assert dut.needed and dut.clocks_per_pixel == clocks_per_pixel(src, dst)
    steps = _send(dut, src, dst, count=9, seed=seed)
    assert set(steps[4:]) == {dut.clocks_per_pixel}, dut.path


@settings(max_examples=30, deadline=None)
@given(_edges(), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_any_pair_under_random_stalls(edges, stalls, seed):
    src, dst = edges
    if src != dst:
        _send(Gearbox(src, dst), src, dst, count=4, stalls=stalls, seed=seed)


STEPS = [
    (PlaneStep, (6, 2, 8, 4), (6, 2, 8, 2)),
    (PlaneStep, (6, 2, 8, 2), (6, 2, 8, 8)),
    (PlaneStep, (6, 2, 7, 4), (6, 2, 7, 2)),  # the last wide beat has pad planes
    (PlaneStep, (6, 2, 5, 4), (6, 2, 5, 1)),  # the last wide beat is cut short
    (PlaneStep, (6, 2, 7, 2), (6, 2, 7, 4)),
    (PlaneStep, (6, 2, 7, 3), (6, 2, 7, 7)),  # not dividing, but all planes
    (PlaneStep, (6, 2, 7, 7), (6, 2, 7, 4)),
    (PlaneStep, (6, 2, 5, 4), (6, 2, 5, 2)),
    (LaneSplit, (8, 4, 4, 4), (8, 2, 4, 4)),  # one plane beat: registers
    (LaneSplit, (9, 4, 4, 4), (9, 2, 4, 4)),  # groups of pad lanes are dropped
    (LaneSplit, (8, 4, 6, 2), (8, 1, 6, 2)),  # several: memory
    (LaneSplit, (9, 4, 6, 2), (9, 2, 6, 2)),
    (LaneSplit, (5, 4, 5, 2), (5, 1, 5, 2)),
    (LaneSplit, (7, 7, 4, 2), (7, 3, 4, 2)),  # not dividing, but the whole pixel
    (LaneSplit, (3, 5, 4, 2), (3, 4, 4, 2)),  # only pad lanes less
    (LaneMerge, (8, 2, 4, 4), (8, 4, 4, 4)),
    (LaneMerge, (9, 2, 4, 4), (9, 4, 4, 4)),
    (LaneMerge, (8, 1, 6, 2), (8, 4, 6, 2)),
    (LaneMerge, (9, 2, 6, 2), (9, 4, 6, 2)),
    (LaneMerge, (13, 1, 5, 2), (13, 4, 5, 2)),
    (LaneMerge, (7, 3, 4, 2), (7, 7, 4, 2)),
    (LaneMerge, (3, 4, 4, 2), (3, 5, 4, 2)),
]


@pytest.mark.parametrize("kind, src, dst", STEPS)
def test_single_steps(kind, src, dst):
    src, dst = Edge(*src), Edge(*dst)
    dut = kind(src, dst)
    assert dut.clocks_per_pixel == max(src.beats_per_pixel, dst.beats_per_pixel)
    steps = _send(dut, src, dst, count=12)
    assert set(steps[4:]) == {dut.clocks_per_pixel}
    _send(kind(src, dst), src, dst, stalls=0.5, seed=1)


@pytest.mark.parametrize("src, dst", [((8, 4, 8, 2), (8, 1, 8, 2)), ((8, 1, 8, 2), (8, 4, 8, 2))])
def test_an_even_end_costs_no_rate(src, dst):
    # The narrow end moves a beat a clock, the wide end one every four: no end is the bottleneck
    # alone, and a step without a second bank would make them wait for each other in turn.
    src, dst = Edge(*src), Edge(*dst)
    dut = Gearbox(src, dst)
    wide = dut.i if src.width > dst.width else dut.o

    async def watch(ctx, cycle):
        if wide is dut.o:
            ctx.set(dut.o.ready, cycle % 4 == 0)

    steps = _send(dut, src, dst, count=12, watch=watch)
    assert set(steps[4:]) == {dut.clocks_per_pixel} == {32}


def test_identity_needs_nothing():
    edge = Edge(8, 4, 4, 2)
    assert path(edge, edge) == (edge,) and clocks_per_pixel(edge, edge) == 4
    assert storage_bits(path(edge, edge)) == 0
    dut = Gearbox(edge, edge)
    assert not dut.needed and dut.clocks_per_pixel == 4 and dut.storage_bits == 0
    wires = {("i__payload", "o__payload"), ("i__valid", "o__valid"), ("o__ready", "i__ready")}
    assert set(comb_paths(dut)) == wires


def _lanes_and_pb(edges):
    return [(edge.lanes, edge.pb) for edge in edges]


def test_paths_prefer_speed_then_little_storage():
    # planes first: one plane beat, so the lanes move in registers and not through memory
    assert _lanes_and_pb(path(Edge(8, 4, 4, 1), Edge(8, 1, 4, 4))) == [(4, 1), (4, 4), (1, 4)]
    assert _lanes_and_pb(path(Edge(8, 1, 4, 4), Edge(8, 4, 4, 1))) == [(1, 4), (4, 4), (4, 1)]
    # 4 and 6 lanes meet in 12 lanes at full rate, in 2 lanes only at half of it
    assert _lanes_and_pb(path(Edge(24, 4, 1, 1), Edge(24, 6, 1, 1))) == [(4, 1), (12, 1), (6, 1)]
    # ... but 12 lanes of 64 planes would be too wide
    narrow = path(Edge(24, 4, 64, 64), Edge(24, 6, 64, 64))
    assert _lanes_and_pb(narrow) == [(4, 64), (2, 64), (6, 64)]
    assert clocks_per_pixel(Edge(24, 4, 64, 64), Edge(24, 6, 64, 64)) == 12


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 40), st.integers(1, 128), st.data())
def test_every_pair_has_a_path(channels, lanes_a, lanes_b, planes, data):
    def edge(lanes):
        return Edge(channels, lanes, planes, data.draw(st.integers(1, min(planes, 512 // lanes))))

    src, dst = edge(lanes_a), edge(lanes_b)
    edges = path(src, dst)
    assert edges[0] == src and edges[-1] == dst
    assert all((a.lanes == b.lanes) != (a.pb == b.pb) for a, b in zip(edges, edges[1:]))
    assert max(e.beats_per_pixel for e in edges) >= max(src.beats_per_pixel, dst.beats_per_pixel)


@pytest.mark.parametrize(
    "w_in, w_out, packet",
    [
        (8, 8, 24),
        (32, 8, 200),
        (32, 8, 24),
        (32, 24, 24 * 9),
        (8, 24, 24 * 3),
        (64, 24, 24 * 25),
        (24, 32, 32 * 7),
        (16, 6, 6),
        (5, 3, 3 * 11),
        (3, 5, 5 * 11),
        (7, 512, 512 * 2),
        (40, 16, 16),
    ],
)
def test_bit_gearbox(w_in, w_out, packet):
    rng = random.Random(0)
    words, expected, count = [], [], 6
    for _ in range(count):
        value = rng.getrandbits(packet)
        expected += [value >> k & ((1 << w_out) - 1) for k in range(0, packet, w_out)]
        pad = -packet % w_in
        value |= (rng.getrandbits(pad) if pad else 0) << packet  # rubbish in the pad bits
        words += [value >> k & ((1 << w_in) - 1) for k in range(0, packet + pad, w_in)]
    for stalls in (0.0, 0.5):
        dut = BitGearbox(w_in, w_out, packet)
        taken = run_streams(dut, {"i": words}, {"o": len(expected)}, stalls=stalls)
        assert [payload for _, payload in taken["o"]] == expected
        if not stalls:
            ends = [clock for clock, _ in taken["o"]][dut.words_out - 1 :: dut.words_out]
            assert {b - a for a, b in zip(ends[2:], ends[3:])} == {dut.clocks_per_packet}
            assert dut.clocks_per_packet == max(len(words), len(expected)) // count


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.floats(0, 0.7))
def test_bit_gearbox_at_any_ratio(w_in, w_out, words_out, stalls):
    rng = random.Random(w_in * 1000 + w_out * 50 + words_out)
    packet = w_out * words_out
    words, expected = [], []
    for _ in range(3):
        value = rng.getrandbits(packet)
        expected += [value >> k & ((1 << w_out) - 1) for k in range(0, packet, w_out)]
        words += [value >> k & ((1 << w_in) - 1) for k in range(0, packet, w_in)]
    taken = run_streams(
        BitGearbox(w_in, w_out, packet), {"i": words}, {"o": len(expected)}, stalls=stalls
    )
    assert [payload for _, payload in taken["o"]] == expected


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gearbox(Edge(10, 4, 5, 2), Edge(10, 3, 5, 1)),
        lambda: LaneSplit(Edge(10, 4, 5, 2), Edge(10, 2, 5, 2)),
        lambda: LaneSplit(Edge(10, 4, 5, 5), Edge(10, 2, 5, 5)),
        lambda: LaneMerge(Edge(10, 2, 5, 2), Edge(10, 4, 5, 2)),
        lambda: LaneMerge(Edge(10, 2, 5, 5), Edge(10, 4, 5, 5)),
        lambda: PlaneStep(Edge(4, 2, 7, 4), Edge(4, 2, 7, 2)),
        lambda: PlaneStep(Edge(4, 2, 7, 2), Edge(4, 2, 7, 4)),
        lambda: BitGearbox(32, 24, 24 * 9),
        lambda: BitGearbox(24, 32, 32 * 9),
        lambda: BitGearbox(32, 8, 24),
        lambda: BitGearbox(40, 16, 16),
        lambda: BitGearbox(8, 24, 48),
        lambda: Downsizer(3, 4, period=1, last=2),
        lambda: Upsizer(3, 4, period=1, last=2),
    ],
)
def test_netlist(build):
    assert_no_comb_path(build())
    assert_lint_clean(build())


def test_refusals():
    edge = Edge(8, 4, 4, 4)
    for other, text in (
        (Edge(9, 4, 4, 4), "channels differ: 8 and 9"),
        (Edge(8, 4, 5, 5), "planes differ: 4 and 5"),
    ):
        with pytest.raises(DesignError) as error:
            path(edge, other)
        assert str(error.value) == f"a gearbox changes lanes and planes a beat only; {text}"
    single = (
        "no single {} leads from 4 lanes x 3 planes to {} of 8 channels x 5 planes; use Gearbox"
    )
    src = Edge(8, 4, 5, 3)
    assert refusal(lambda: PlaneStep(src, Edge(8, 4, 5, 2))) == single.format(
        "plane step", "4 lanes x 2 planes"
    )
    assert refusal(lambda: LaneSplit(src, Edge(8, 3, 5, 3))) == single.format(
        "lane split", "3 lanes x 3 planes"
    )
    assert refusal(lambda: LaneMerge(src, Edge(8, 6, 5, 3))) == single.format(
        "lane merge", "6 lanes x 3 planes"
    )
    assert refusal(lambda: BitGearbox(8, 3, 8)) == (
        "a packet of 8 bits is no whole number of 3-bit words"
    )
    assert refusal(lambda: BitGearbox(0, 3, 8)) == (
        "words of 0 and 3 bits; both must be at least 1 bit"
    )
