"""The order of a window against a walk over the stream."""

import numpy as np
import pytest

from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Linear
from sterna.golden.window import legal_simd, window_order, window_split

SHAPES = [(1, 1, 1), (3, 3, 3), (4, 2, 5), (6, 5, 5), (8, 1, 4), (2, 4, 1)]


def conv(c, kh, kw):
    return Conv2d("conv", "x", np.zeros((1, c, kh, kw)))


def words_of_a_walk(c, kh, kw, simd):
    """Window sites in the order a folded core meets them, by plain loops; a site's weight is
    found by its name (c, y, x), not by arithmetic on indices."""
    index = {}
    for ch in range(c):
        for y in range(kh):
            for x in range(kw):
                index[ch, y, x] = len(index)
    if c % simd == 0:
        rows, columns, channels = 1, 1, simd
    elif kw % (simd // c) == 0:
        rows, columns, channels = 1, simd // c, c
    else:
        rows, columns, channels = simd // c // kw, kw, c
    return [
        [
            index[c0 + ch, y0 + y, x0 + x]
            for y in range(rows)
            for x in range(columns)
            for ch in range(channels)
        ]
        for y0 in range(0, kh, rows)
        for x0 in range(0, kw, columns)
        for c0 in range(0, c, channels)
    ]


@pytest.mark.parametrize("c, kh, kw", SHAPES)
def test_window_order_is_the_walk(c, kh, kw):
    node = conv(c, kh, kw)
    legal = legal_simd(node, (c, 9, 9))
    assert legal[0] == 1 and legal[-1] == c * kh * kw
    for simd in legal:
        order = window_order(node, (c, 9, 9), simd)
        assert order.tolist() == words_of_a_walk(c, kh, kw, simd)
        assert sorted(order.reshape(-1)) == list(range(c * kh * kw))


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_maps_torch_order_to_stream_order(shape):
    c, h, w = shape
    node = Linear("fc", "x", np.zeros((1, c * h * w)))
    stream = [(ch * h + y) * w + x for y in range(h) for x in range(w) for ch in range(c)]
    legal = legal_simd(node, shape)
    assert legal == [d for d in range(1, len(stream) + 1) if len(stream) % d == 0]
    for simd in legal:
        assert window_order(node, shape, simd).reshape(-1).tolist() == stream


def test_groups_fold_their_own_channels_only():
    node = Conv2d("conv", "x", np.zeros((4, 2, 3, 3)), groups=2)
    assert legal_simd(node, (4, 9, 9)) == [1, 2, 6, 18]


@pytest.mark.parametrize("simd", [0, -1, 4, 5, 12, 54, 27])
def test_illegal_simd_is_refused_with_the_legal_ones(simd):
    with pytest.raises(DesignError, match=r"node 'conv': simd .* legal values are 1, 2, 6, 18$"):
        window_split(conv(2, 3, 3), (2, 9, 9), simd)
