"""The drawing of a design: well formed, all cores and buffers on it, what the buffers wait for."""

from xml.etree import ElementTree

import numpy as np

from sterna.gen.build.drawing import draw, waits_for
from sterna.gen.build.report import buffer_rows
from sterna.gen.fold.fold import fold
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def conv(name, source, inputs, outputs, k=3, stride=1):
    weight = np.ones((outputs, inputs, k, k), np.int8)
    return Conv2d(name, source, weight, (stride, stride), (k // 2,) * 4)


def fires(channels, **more):
    return NeuronRule(threshold=np.full(channels, 3), reset="subtract", **more)


def network():
    """One skip into a merge, one added before the neuron, one through a strided convolution."""
    last = NeuronRule(threshold=np.ones(2, int), reset="none")
    return Network(
        2,
        [
            Input("x", (2, 6, 6), "frames"),
            conv("a", "x", 2, 4),
            Neuron("na", ("a",), fires(4)),
            conv("b", "na", 4, 4),
            Neuron("nb", ("b",), fires(4)),
            Merge("sum", ("nb", "na"), "add"),
            conv("c", "sum", 4, 4),
            Neuron("nc", ("c", "nb"), fires(4, coef=(np.ones(4, int),))),
            conv("d", "nc", 4, 4, 3, 2),
            conv("side", "sum", 4, 4, 1, 2),
            Neuron("nd", ("d", "side"), fires(4, shifts=(0, 1))),
            Linear("f", "nd", np.ones((2, 36), np.int8)),
            Readout("r", ("f",), last),
        ],
        name="drawn",
    )


def test_buffers_say_what_they_wait_for():
    net = network()
    design = fold(net, family="ecp5")
    assert waits_for(net, design.branch("sum", 1)) == ["nb"]
    assert waits_for(net, design.branch("nc", 1)) == ["sum through c"]
    assert waits_for(net, design.branch("side", 0)) == ["nc through d"]
    rows = {(r["node"], r["reader"]): r for r in buffer_rows(net, design)}
    row = rows["na", "sum"]
    assert row["waits_for"] == ["nb"] and row["bits"] == row["depth"] * row["width"]
    assert row["min_no_deadlock"] <= row["min_full_rate"] < row["depth"]


def test_the_drawing_shows_every_core_and_every_buffer():
    net = network()
    design = fold(net, family="ecp5")
    svg = ElementTree.fromstring(draw(net, design))
    space = "{http://www.w3.org/2000/svg}"
    text = [t.text or "" for t in svg.iter(f"{space}text")]
    for name in ("x", "na", "nb", "sum", "nc", "nd", "r"):
        assert any(t.startswith(f"{name}: ") for t in text), name
    assert len(design.buffers) >= 3
    for branch in design.buffers:
        assert branch.buffer is not None
        width = branch.given.edge.width
        assert any(f"{branch.buffer.depth} x {width} bits" in t for t in text)
        assert any(t.startswith(f"{branch.buffer.bits} bits of {branch.buffer.kind}") for t in text)
    paths = list(svg.iter(f"{space}path"))
    assert len(paths) == len(design.branches)
    wide, high = float(svg.get("width", 0)), float(svg.get("height", 0))
    boxes = [
        tuple(float(r.get(k, 0)) for k in ("x", "y", "width", "height"))
        for r in svg.iter(f"{space}rect")
    ]
    assert all(x >= 0 and y >= 0 and x + w <= wide and y + h <= high for x, y, w, h in boxes)
    for n, (x, y, w, h) in enumerate(boxes):  # nothing lies on anything else
        for x2, y2, w2, h2 in boxes[:n]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
