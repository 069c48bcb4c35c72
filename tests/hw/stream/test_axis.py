"""The AXI4-Stream ends: packing, wrong packet lengths, hold, repeat, classes, rates."""

import random

import numpy as np
import pytest
from combpath import assert_lint_clean, assert_no_comb_path
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtest import edge_beats, refusal, run_streams

from sterna.golden.coding import image_bits
from sterna.golden.network import Input
from sterna.hw.stream.axis import FLAG_EARLY, FLAG_LATE, IN_FLIGHT, ImageInput, ResultOutput
from sterna.hw.stream.edge import Edge


def _image(rng, edge, pixels):
    return [[rng.getrandbits(edge.planes) for _ in range(edge.channels)] for _ in range(pixels)]


def _words(edge, image, width, rng=None):
    """The packet's words; random pad bits if rng is given."""
    value = at = 0
    for pixel in image:
        for channel in pixel:
            value |= channel << at
            at += edge.planes
    pad = -at % width
    if rng and pad:
        value |= rng.getrandbits(pad) << at
    return [value >> k & ((1 << width) - 1) for k in range(0, at + pad, width)]


def _packet(words, width):
    return [*words[:-1], words[-1] | 1 << width]


def _run_images(edge, shape, width, count, stalls, seed, repeat=False):
    rng = random.Random(seed)
    pixels = shape[0] * shape[1]
    images = [_image(rng, edge, pixels) for _ in range(count)]
    packets = [_packet(_words(edge, image, width, rng), width) for image in images]
    dut = ImageInput(edge, *shape, width, repeat=repeat)
    taken = run_streams(
        dut,
        {"axis": [word for packet in packets for word in packet]},
        {"o": count * pixels * edge.beats_per_pixel, "flags": count},
        stalls=stalls,
        seed=seed,
    )
    assert [p for _, p in taken["o"]] == [b for image in images for b in edge_beats(edge, image)]
    assert [p for _, p in taken["flags"]] == [0] * count
    return dut, taken


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_images_pass_in_any_folding(data):
    channels = data.draw(st.integers(1, 12))
    planes = data.draw(st.sampled_from([1, 2, 3, 4, 8, 10]))
    edge = Edge(channels, data.draw(st.integers(1, 8)), planes, data.draw(st.integers(1, planes)))
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    width = 8 * data.draw(st.integers(1, 8))
    _run_images(
        edge, shape, width, 3, data.draw(st.sampled_from([0.0, 0.5])), data.draw(st.integers(0, 99))
    )


@pytest.mark.parametrize(
    "edge, width",
    [
        (Edge(1, 1, 8, 8), 8),
        (Edge(1, 1, 8, 8), 32),
        (Edge(3, 3, 8, 8), 32),
        (Edge(3, 3, 8, 8), 64),
        (Edge(3, 1, 8, 8), 32),
        (Edge(2, 2, 8, 1), 8),
        (Edge(1, 1, 100, 10), 64),
        (Edge(4, 2, 1, 1), 8),
    ],
)
def test_rate_is_the_one_stated(edge, width):
    dut, taken = _run_images(edge, (5, 6), width, 6, 0.0, 1)
    beats = 30 * edge.beats_per_pixel
    ends = [clock for clock, _ in taken["o"]][beats - 1 :: beats]
    steps = {b - a for a, b in zip(ends[2:], ends[3:])}
    assert steps == {dut.clocks_per_image}
    assert dut.clocks_per_image == max(dut.words, beats)


@pytest.mark.parametrize(
    "coding, bits", [("direct", 8), ("direct", 3), ("frames", 1), ("frames", 3)]
)
def test_packets_are_those_of_golden(coding, bits):
    steps, shape = 5, (3, 2, 3)
    node = Input("image", shape=shape, coding=coding, bits=bits)
    rng = np.random.default_rng(0)
    if coding == "frames":
        images = rng.integers(0, 1 << bits, (steps, 2, *shape), dtype=np.uint8)
        at = bits * np.arange(steps).reshape(-1, 1, 1, 1, 1)
        maps, planes = (images.astype(np.int64) << at).sum(0), steps * bits
    else:
        maps = rng.integers(0, 1 << bits, (2, *shape), dtype=np.uint8)
        images, planes = maps, bits
    edge = Edge(3, 2, planes, planes)
    words = []
    for row in image_bits(node, images, steps):
        row = np.concatenate([row, np.zeros(-len(row) % 4, np.uint8)])
        words += _packet([int(word) for word in row.view("<u4")], 32)
    pixels = [[int(v) for v in m[:, y, x]] for m in maps for y in range(2) for x in range(3)]
    dut = ImageInput(edge, 2, 3, 32)
    beats = edge_beats(edge, pixels)
    taken = run_streams(dut, {"axis": words}, {"o": len(beats)})
    assert [p for _, p in taken["o"]] == beats


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_wrong_lengths_spoil_only_their_own_image(data):
    edge, shape, width = data.draw(
        st.sampled_from(
            [
                (Edge(3, 2, 4, 2), (2, 3), 16),
                (Edge(1, 1, 8, 8), (3, 3), 32),
                (Edge(1, 1, 8, 8), (1, 1), 8),
                (Edge(5, 5, 1, 1), (2, 2), 8),
            ]
        )
    )
    seed = data.draw(st.integers(0, 999))
    rng = random.Random(seed)
    pixels = shape[0] * shape[1]
    sent, expected, flags = [], [], []
    count = data.draw(st.integers(2, 6))
    for _ in range(count):
        image = _image(rng, edge, pixels)
        words = _words(edge, image, width)
        kind = data.draw(st.sampled_from(["right", "early", "late"]))
        if kind == "early" and len(words) == 1:
            kind = "right"
        if kind == "early":
            words = words[: rng.randrange(1, len(words))]
            value = sum(word << k * width for k, word in enumerate(words))
            mask = (1 << edge.planes) - 1
            image = [
                [
                    value >> (p * edge.channels + c) * edge.planes & mask
                    for c in range(edge.channels)
                ]
                for p in range(pixels)
            ]
        elif kind == "late":
            words = words + [rng.getrandbits(width) for _ in range(rng.randrange(1, 5))]
        sent += _packet(words, width)
        expected += edge_beats(edge, image)
        flags.append({"right": 0, "early": FLAG_EARLY, "late": FLAG_LATE}[kind])
    dut = ImageInput(edge, *shape, width)
    pulses = {"begin": 0, "early": 0, "late": 0}

    async def watch(ctx, cycle):
        for name in pulses:
            pulses[name] += ctx.get(getattr(dut, name))

    taken = run_streams(
        dut,
        {"axis": sent},
        {"o": len(expected), "flags": count},
        stalls=data.draw(st.sampled_from([0.0, 0.5])),
        seed=seed,
        watch=watch,
    )
    assert [p for _, p in taken["o"]] == expected
    assert [p for _, p in taken["flags"]] == flags
    assert pulses == {
        "begin": count,
        "early": flags.count(FLAG_EARLY),
        "late": flags.count(FLAG_LATE),
    }


def test_hold_stops_only_between_images():
    edge, rng = Edge(1, 1, 8, 8), random.Random(5)
    dut = ImageInput(edge, 4, 4, 8)
    images = [_image(rng, edge, 16) for _ in range(4)]
    words = [w for image in images for w in _packet(_words(edge, image, 8), 8)]
    begins = []

    async def watch(ctx, cycle):
        ctx.set(dut.hold, 20 <= cycle < 100)
        if ctx.get(dut.begin):
            begins.append(cycle)

    taken = run_streams(dut, {"axis": words}, {"o": 64, "flags": 4}, watch=watch)
    inside = [clock for clock, _ in taken["axis"] if 21 <= clock <= 100]
    assert 20 < begins[1] + 15 < 40 and begins[2] > 100  # the image under way is completed
    assert len(inside) == 32 - sum(clock < 21 for clock, _ in taken["axis"])
    assert [p for _, p in taken["o"]] == [b for image in images for b in edge_beats(edge, image)]


def test_no_more_images_begin_than_flags_can_wait():
    edge = Edge(1, 1, 8, 8)
    dut = ImageInput(edge, 1, 2, 8)
    words = _packet([1, 2], 8) * (IN_FLIGHT + 4)
    begun = []
    open_at = 300

    async def watch(ctx, cycle):
        if cycle < open_at:
            ctx.set(dut.flags.ready, 0)
        if ctx.get(dut.begin):
            begun.append(cycle)

    run_streams(dut, {"axis": words}, {"o": 2 * IN_FLIGHT + 8, "flags": IN_FLIGHT + 4}, watch=watch)
    assert sum(cycle < open_at for cycle in begun) == IN_FLIGHT
    assert len(begun) == IN_FLIGHT + 4


@pytest.mark.parametrize("shape, width", [((1, 1), 8), ((1, 2), 8), ((2, 3), 8), ((3, 3), 32)])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("flag", [0, FLAG_EARLY, FLAG_LATE])
def test_repeat_sends_the_last_image_again(shape, width, stalls, flag):
    """With the flags of its length, whatever those of the image before it are."""
    edge, rng = Edge(1, 1, 8, 8), random.Random(6)
    pixels, times = shape[0] * shape[1], 5
    dut = ImageInput(edge, *shape, width, repeat=True)
    images = [_image(rng, edge, pixels) for _ in range(3)]
    words = [_words(edge, image, width) for image in images]
    before = 0 if flag else FLAG_LATE
    if before:
        words[0] += [0x5A]
    if flag == FLAG_LATE:
        words[1] += [0x5A, 0x5A]
    elif flag == FLAG_EARLY and len(words[1]) == 1:
        flag = 0
    elif flag == FLAG_EARLY:
        words[1] = words[1][:-1]
        images[1] = [p if k < len(words[1]) * width // 8 else [0] for k, p in enumerate(images[1])]
    packets = [_packet(w, width) for w in words]
    left, acks, begins, ack_before = times, [], [], 0

    async def watch(ctx, cycle):
        nonlocal left, ack_before
        left -= ack_before  # one clock after repeat_ack, as a counter in a register does
        ack_before = ctx.get(dut.repeat_ack)
        if ack_before:
            acks.append(cycle)
        if ctx.get(dut.begin):
            begins.append(cycle)
        ctx.set(dut.repeat, cycle >= 60 and left > 0)

    taken = run_streams(
        dut,
        {"axis": packets[0] + packets[1]},
        {"o": (2 + times) * pixels, "flags": 2 + times},
        stalls=stalls,
        watch=watch,
    )
    assert len(acks) == times and left == 0 and len(begins) == 2 + times
    assert set(acks) <= set(begins)
    assert [p for _, p in taken["flags"]] == [before, *[flag] * (1 + times)]
    got = [p for _, p in taken["o"]]
    assert got == [
        b for image in (images[0], *[images[1]] * (1 + times)) for b in edge_beats(edge, image)
    ]
    if not stalls and dut.words > 2:
        assert {b - a for a, b in zip(acks, acks[1:])} == {dut.clocks_per_image}


def _signed(word):
    return word - (1 << 32) if word >> 31 else word


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_results_are_class_flags_and_logits(data):
    classes = data.draw(st.integers(1, 9))
    bits = data.draw(st.sampled_from([3, 6, 21, 32]))
    most = (1 << bits - 1) - 1
    number = st.one_of(st.integers(-2, 2), st.integers(-most - 1, most))
    images = data.draw(
        st.lists(st.lists(number, min_size=classes, max_size=classes), min_size=1, max_size=5)
    )
    flags = [data.draw(st.integers(0, 3)) for _ in images]
    dut = ResultOutput(classes, compact=data.draw(st.booleans()), bits=bits)
    pulses = []

    async def watch(ctx, cycle):
        pulses.append(ctx.get(dut.done))

    taken = run_streams(
        dut,
        {"i": [v & 0xFFFF_FFFF for logits in images for v in logits], "flags": flags},
        {"axis": len(images) * (classes + 1)},
        stalls=data.draw(st.sampled_from([0.0, 0.5])),
        seed=data.draw(st.integers(0, 99)),
        watch=watch,
    )
    expected = []
    for logits, flag in zip(images, flags):
        words = [logits.index(max(logits)) | flag << 16, *(v & 0xFFFF_FFFF for v in logits)]
        expected += _packet(words, 32)
    assert [p for _, p in taken["axis"]] == expected
    assert sum(pulses) == len(images)


@pytest.mark.parametrize("compact", [False, True])
def test_result_rate_and_latency(compact):
    dut = ResultOutput(5, compact)
    taken = run_streams(dut, {"i": list(range(50)), "flags": [0] * 10}, {"axis": 60})
    ends = [clock for clock, word in taken["axis"] if word >> 32]
    assert {b - a for a, b in zip(ends[2:], ends[3:])} == {12 if compact else 6}
    assert taken["axis"][0][0] - taken["i"][4][0] == 2


def test_done_follows_the_last_word():
    dut, seen = ResultOutput(2), []

    async def watch(ctx, cycle):
        if ctx.get(dut.done):
            seen.append(cycle)

    taken = run_streams(
        dut, {"i": [5, 6] * 3, "flags": [0] * 3}, {"axis": 9}, stalls=0.3, seed=2, watch=watch
    )
    ends = [clock + 1 for clock, word in taken["axis"] if word >> 32]
    assert seen == ends and len(seen) == 3


@pytest.mark.parametrize(
    "build",
    [
        lambda: ImageInput(Edge(3, 3, 8, 8), 4, 4, 32),
        lambda: ImageInput(Edge(1, 1, 8, 8), 4, 4, 32, repeat=True),
        lambda: ImageInput(Edge(6, 4, 5, 2), 4, 4, 64),
        lambda: ResultOutput(10),
        lambda: ResultOutput(1),
        lambda: ResultOutput(10, compact=True),
    ],
    ids=["rgb", "repeat", "gearbox", "result", "one class", "compact"],
)
def test_netlist(build):
    assert_no_comb_path(build())
    assert_lint_clean(build())


@pytest.mark.parametrize(
    "build, message",
    [
        (
            lambda: ImageInput(Edge(1, 1, 8, 8), 0, 4, 32),
            "an image of 0 x 4 pixels; both must be at least 1",
        ),
        (
            lambda: ImageInput(Edge(1, 1, 8, 8), 4, 4, 12),
            "an AXI4-Stream of 12 bits; use a multiple of 8 up to 512",
        ),
        (
            lambda: ImageInput(Edge(1, 1, 8, 8), 4, 4, 1024),
            "an AXI4-Stream of 1024 bits; use a multiple of 8 up to 512",
        ),
        (lambda: ResultOutput(0), "0 classes; a result names 1 to 65536"),
        (lambda: ResultOutput(65537), "65537 classes; a result names 1 to 65536"),
        (lambda: ResultOutput(10, bits=33), "logits of 33 bits; a result has 1 to 32"),
    ],
)
def test_refusals(build, message):
    assert refusal(build) == message
