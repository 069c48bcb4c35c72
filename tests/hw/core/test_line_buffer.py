"""The line buffer reads what lies under the window, for any geometry, and never costs rate."""

import random

import numpy as np
import pytest
from combpath import assert_lint_clean, assert_no_comb_path
from streamtest import refusal
from windows import WindowReader, expected_words, nest, picking, read_windows

from sterna.hw.core.geometry import Geometry
from sterna.hw.core.window_read import Pick
from sterna.hw.stream.edge import Edge


def random_geometry(rng, pools=False):
    """Any kernel, stride, padding and read shape over a small map, with ``pools`` at the positions
    of a pool; loops to match."""
    while True:
        kernel = rng.randint(1, 4), rng.randint(1, 4)
        stride = rng.randint(1, 4), rng.randint(1, 4)
        top, bottom = rng.randint(0, kernel[0] - 1), rng.randint(0, kernel[0] - 1)
        left, right = rng.randint(0, kernel[1] - 1), rng.randint(0, kernel[1] - 1)
        height, width = rng.choice([(1, 7), (7, 1), (rng.randint(1, 6), rng.randint(1, 6))])
        pool, pool_stride, more = (1, 1), (1, 1), (0, 0, 0, 0)
        if pools:
            height, width = rng.randint(1, 7), rng.randint(1, 9)
            pool, pool_stride = ((rng.randint(1, 3), rng.randint(1, 3)) for _ in range(2))
            more = tuple(rng.randint(0, rng.choice((0, pool[k // 2] - 1))) for k in range(4))
        under = [(q - 1) * s + k for q, s, k in zip(pool, stride, kernel)]
        around = [(more[2 * k] + more[2 * k + 1]) * stride[k] for k in (0, 1)]
        high, wide = height + top + bottom + around[0], width + left + right + around[1]
        if high < under[0] or wide < under[1]:
            continue
        planes = rng.choice([1, 3, 4])
        lanes = rng.choice([1, 2, 60])
        edge = Edge(rng.choice([1, 2, 4]), lanes, planes, rng.randint(1, planes))
        divisors = lambda n: [d for d in range(1, n + 1) if n % d == 0]  # noqa: E731
        geometry = Geometry(
            edge,
            height,
            width,
            kernel,
            stride,
            (top, bottom, left, right),
            rng.choice(divisors(kernel[0])),
            rng.choice(divisors(kernel[1])),
            pool=pool,
            pool_stride=pool_stride,
            pool_padding=more,
        )
        return geometry, nest(geometry, rng.choice(divisors(edge.groups)), rng.choice([1, 1, 2]))


def random_images(geometry, count, seed):
    rng = random.Random(seed)
    beats = [rng.getrandbits(geometry.edge.width) for _ in range(count * geometry.input_beats)]
    shape = count, geometry.height, geometry.width, geometry.words_per_pixel
    return np.array(beats, object).reshape(shape)


@pytest.mark.parametrize("seed", range(38))
def test_random_geometry_with_stalls(seed):
    """Three images back to back, both ends stalling: every word is the window's, of the last
    ones at every position of a pool."""
    geometry, loops = random_geometry(random.Random(seed), seed >= 24)
    images = random_images(geometry, 3, seed)
    wanted = [word for image in images for word in expected_words(geometry, loops, image)]
    in_stall, go_stall = [(0.5, 0.3), (0.0, 0.6), (0.8, 0.0)][seed % 3]
    got, _ = read_windows(
        WindowReader(geometry, loops),
        images,
        len(wanted),
        in_stall=in_stall,
        go_stall=go_stall,
        seed=seed,
    )
    assert got == wanted, f"{geometry}"


@pytest.mark.parametrize("seed", range(16))
def test_planes_and_lanes_are_chosen_before_the_window_is_turned(seed):
    """Any divisors of a beat's planes and lanes, all words or some of them blank where the window
    reaches over the map."""
    rng = random.Random(seed)
    geometry, loops = random_geometry(rng, seed >= 10)
    edge, border = geometry.edge, any(geometry.border)
    divisor = lambda n: rng.choice([d for d in range(1, n + 1) if n % d == 0])  # noqa: E731
    pick = Pick(divisor(edge.pb), divisor(edge.lanes), border and rng.random() < 0.5)
    loops += picking(geometry, pick)
    images = random_images(geometry, 2, seed)
    wanted = [word for image in images for word in expected_words(geometry, loops, image, pick)]
    reader = WindowReader(geometry, loops, 1, pick)
    got, _ = read_windows(reader, images, len(wanted), in_stall=0.3, go_stall=0.2, seed=seed)
    assert got == wanted, f"{geometry} {pick}"


def test_input_far_ahead_of_windows_below_the_image():
    """Windows in the padding below free rows that the next image's padding above takes back, which
    a fast sender has filled by then: more rows are counted than there are slots."""
    geometry = Geometry(Edge(1, 1, 1, 1), 2, 2, (4, 1), (1, 1), (3, 3, 0, 0), 2)
    assert geometry.next_image == -2
    images = random_images(geometry, 6, 1)
    loops = nest(geometry)
    wanted = [word for image in images for word in expected_words(geometry, loops, image)]
    reader = WindowReader(geometry, loops, visit_clocks=6)
    got, _ = read_windows(reader, images, len(wanted))
    assert got == wanted


ONE = Edge(1, 1, 1, 1)
RATES = {
    "3x3 padded": Geometry(Edge(2, 2, 4, 4), 8, 8, (3, 3), (1, 1), (1, 1, 1, 1)),
    "3x3 three columns": Geometry(Edge(8, 2, 2, 2), 7, 9, (3, 3), (1, 1), (1, 1, 1, 1), 1, 3),
    "5x5 stride 2": Geometry(Edge(1, 1, 8, 4), 12, 10, (5, 5), (2, 2), (2, 2, 2, 2)),
    "3x3 stride 2 valid": Geometry(Edge(1, 1, 4, 1), 9, 9, (3, 3), (2, 2)),
    "rows left over": Geometry(Edge(4, 4, 2, 2), 8, 5, (3, 3), (3, 1)),
    "1 x n": Geometry(Edge(4, 1, 1, 1), 1, 30, (1, 3), (1, 1), (0, 0, 1, 1)),
    "input bound": Geometry(Edge(64, 1, 1, 1), 4, 5, (3, 2), (2, 2), (1, 0, 0, 0), 3, 2),
}


@pytest.mark.parametrize("name", RATES)
def test_no_loss_of_rate(name):
    """From the third image on an image takes as many clocks as it has words to read, or beats.

    Where a row's words and the beats of the next are nearly equal the freeing of a slot shows; the
    folding plans for that (``gen.design.streams.SLACK``). Here they differ.
    """
    geometry = RATES[name]
    loops = nest(geometry)
    images = random_images(geometry, 5, 7)
    wanted = [word for image in images for word in expected_words(geometry, loops, image)]
    got, clocks = read_windows(WindowReader(geometry, loops), images, len(wanted))
    assert got == wanted
    size = len(wanted) // 5
    law = max(size, geometry.input_beats)
    for image in (2, 3, 4):
        interval = clocks[(image + 1) * size - 1] - clocks[image * size - 1]
        assert law <= interval <= law * 1.02, f"image {image}: {interval} clocks, law {law}"


def test_equal_rates_lose_two_clocks_a_row():
    """Where words and beats are exactly equal, as in a 2x2 pool of stride 2, freed slots show."""
    geometry = Geometry(Edge(2, 1, 1, 1), 12, 12, (2, 2), (2, 2))
    images = random_images(geometry, 5, 7)
    wanted = [w for image in images for w in expected_words(geometry, nest(geometry), image)]
    got, clocks = read_windows(WindowReader(geometry, nest(geometry)), images, len(wanted))
    assert got == wanted
    interval = clocks[-1] - clocks[-1 - geometry.input_beats]
    assert geometry.input_beats <= interval <= geometry.input_beats + 2 * geometry.out_height


def test_another_image_does_not_wait_for_the_end_of_the_last():
    """The first window of an image comes right behind the last of the image before."""
    geometry = RATES["3x3 padded"]
    loops = nest(geometry)
    images = random_images(geometry, 3, 1)
    size = len(expected_words(geometry, loops, images[0]))
    _, clocks = read_windows(WindowReader(geometry, loops), images, 3 * size)
    assert clocks[2 * size] - clocks[2 * size - 1] == 1


def test_memory_is_what_the_docstring_says():
    geometry = Geometry(Edge(6, 2, 4, 2), 8, 9, (3, 3), (2, 1), (1, 1, 1, 1), 1, 3)
    assert geometry.out_height == 4 and geometry.out_width == 9
    assert geometry.words_per_pixel == 6 and geometry.row_words == 18
    assert geometry.slots == 5 and geometry.bits == 3 * 5 * 18 * 4


def test_no_combinational_path():
    for name in ("3x3 three columns", "input bound"):
        geometry = RATES[name]
        dut = WindowReader(geometry, nest(geometry))
        # In a core ``go`` is a register; here it is a port and must reach nothing but registers.
        assert_no_comb_path(dut)


def test_lint():
    geometry = Geometry(Edge(4, 2, 4, 2), 5, 6, (4, 3), (2, 1), (1, 1, 1, 1), 2, 3)
    # Yosys leaves out the cases of an index that cannot come.
    assert_lint_clean(WindowReader(geometry, nest(geometry)), ("CASEINCOMPLETE",))


def test_refusals():
    edge = Edge(4, 2, 4, 2)
    assert "does not divide" in refusal(lambda: Geometry(edge, 8, 8, (3, 3), (1, 1), rows=2))
    assert "does not divide" in refusal(lambda: Geometry(edge, 8, 8, (3, 3), (1, 1), columns=2))
    assert "larger than" in refusal(lambda: Geometry(edge, 2, 8, (3, 3), (1, 1)))
    assert "larger than" in refusal(lambda: Geometry(edge, 8, 1, (3, 3), (1, 1), (0, 0, 0, 1)))
