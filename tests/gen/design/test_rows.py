"""Spare rows of line buffers: the row-by-row reckoning is the token model's, and no row is kept
that does not help.
"""

import random

from sterna.gen.design.rows import row_interval, spare_rows
from sterna.gen.model.token_graph import TokenGraph, _core
from sterna.gen.model.tokens import ENDLESS, TokenModel
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.law import Delays
from sterna.hw.stream.edge import Edge


def geometry(draw: random.Random) -> Geometry:
    kernel = draw.choice((1, 2, 3, 5)), draw.choice((1, 3))
    height, width = draw.randint(kernel[0], 9), draw.randint(kernel[1], 6)
    pad = draw.randint(0, (kernel[0] - 1) // 2)
    edge = Edge(4, draw.choice((1, 2, 4)), 2, draw.choice((1, 2)))
    stride = draw.choice((1, 1, 2, 3)), 1
    return Geometry(
        edge, height, width, kernel, stride, (pad, pad, 0, 0), spare=draw.choice((0, 0, 1, 2))
    )


def alone(g: Geometry, visits: int, items: int, pitch: int, images: int) -> float:
    """The same core between ends that never wait, beat by beat."""
    graph = TokenGraph(words=g.input_beats, packet=g.out_height * visits)
    at, flags = graph.channel(), graph.channel()
    graph.images = graph.unit("source", [0, graph.words, ENDLESS], [], [at, flags])
    graph.unit("sink", [1, 0], [flags], [])
    graph.input = at
    graph.output = _core(graph, g, visits, items, pitch, 0, 1 << 20, Delays((9,), 2), [at])
    graph.limit = graph.unit("sink", [graph.packet, 0, 1, 2, 0], [graph.output], []) + 1
    return float(TokenModel(graph).run(images).interval)


def test_rows_take_as_long_as_beat_by_beat():
    draw, seen = random.Random(1), set()
    for _ in range(120):
        g = geometry(draw)
        if g.height < (g.out_height - 1) * g.stride[0]:
            continue
        visits, items = draw.randint(1, 6), draw.randint(1, 5)
        pitch = items + draw.choice((0, 0, 3))
        law = max(g.out_height * visits * pitch, g.input_beats)
        took = row_interval(g, visits, items, pitch)
        assert abs(took - alone(g, visits, items, pitch, 200)) <= 0.02 * took, (g, visits, items)
        seen.add(took > 1.02 * law)
    assert seen == {True, False}  # some lose clocks in each row


def test_rows_are_kept_where_and_as_many_as_they_help():
    edge = Edge(2, 1, 1, 1)
    g = Geometry(edge, 7, 1, (1, 1), (1, 1))
    # Two clocks a row in and out: (2 + 2 + 4) clocks for two rows.
    assert 27.9 < row_interval(g, 2, 1, 1) <= 28
    assert spare_rows(g, 2, 1, 1, 28) == 0  # nobody waits for it
    assert spare_rows(g, 2, 1, 1, 24) == 1
    assert spare_rows(g, 2, 1, 1, 14) == 2
    wide = Geometry(edge, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1))
    assert spare_rows(wide, 32, 9, 9, 32 * 32 * 9) == 0
