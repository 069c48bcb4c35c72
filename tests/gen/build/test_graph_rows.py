"""The graph of a design as rows: all cores, streams and buffers, what the buffers wait for."""

import numpy as np

from sterna.gen.build.graph_rows import buffer_rows, graph_rows
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
    rows = {(r["node"], r["reader"]): r for r in buffer_rows(net, fold(net, family="ecp5"))}
    assert rows["na", "sum"]["waits_for"] == ["nb"]
    assert rows["nb", "nc"]["waits_for"] == ["sum through c"]
    assert rows["sum", "side"]["waits_for"] == ["nc through d"]
    row = rows["na", "sum"]
    assert row["bits"] == row["depth"] * row["width"]
    assert row["min_no_deadlock"] <= row["min_full_rate"] < row["depth"]


def test_the_graph_has_every_core_and_every_stream():
    net = network()
    design = fold(net, family="ecp5")
    rows, graph = buffer_rows(net, design), graph_rows(net, design)
    nodes = {n["name"]: n for n in graph["nodes"]}
    assert list(nodes) == ["x", "na", "nb", "sum", "nc", "nd", "r"]
    assert nodes["nd"]["layers"] == ["d", "side"] and nodes["x"]["layers"] == []
    assert [c for n in graph["nodes"] for c in n["layers"]] == [c.name for c in design.cores]
    assert len(graph["edges"]) == len(design.branches)
    waits = {e["buffer"]: e for e in graph["edges"] if e["buffer"] is not None}
    assert sorted(waits) == list(range(len(rows)))
    for n, edge in waits.items():
        assert (edge["source"], edge["reader"]) == (rows[n]["node"], rows[n]["reader"])
        assert edge["width"] == rows[n]["width"]
    side = next(e for e in graph["edges"] if e["reader"] == "side")
    assert side["unit"] == "nd" and side["source"] == "sum"
