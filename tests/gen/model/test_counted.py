"""NeuroBench's metrics against loops over every weight and value; against the package itself in
test_neurobench.py."""

from dataclasses import replace

import numpy as np
import pytest
from fuzz import Hypothesis, Limits, describe, random_images, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_run, plain_weighted

from sterna.evaluation import counted_run
from sterna.gen.model import counted
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule

TINY = Limits(channels=4, side=4, layers=2, steps=4, planes=24, classes=3, work=4000, graphs=True)


def operations(network, node, streams):
    """(dense, ACs, MACs) of one image: the sums again, of ones where nothing is 0."""
    found = [0, 0, 0]
    given = network.shape[node.input]
    shapes = network.shape[node.name], given
    alive = replace(node, weight=(node.weight != 0).astype(int), kind="ternary")
    full = replace(node, weight=np.ones_like(node.weight))
    for t in range(1 if network.is_pixels(node.input) else network.steps):
        at = {(0, *k[1:]): v for k, v in streams[node.input].items() if k[0] == t}
        ones = {(0, *k): 1 for k in np.ndindex(given)}
        found[0] += sum(plain_weighted(full, ones, *shapes, 1).values())
        active = {k: int(at.get(k, 0) != 0) for k in ones}
        valued = any(v > 1 for v in at.values())
        found[1 + valued] += sum(plain_weighted(alive, active, *shapes, 1).values())
    return found


@settings(max_examples=40)
@given(st.data())
def test_counts_are_those_of_loops_over_every_weight(data):
    draw = Hypothesis(data)
    network = random_network(draw, replace(TINY, pools=40 * data.draw(st.booleans())))
    images = random_images(draw, network, 2)
    _, counts = counted_run(network, images)
    frames = network.input.coding == "frames"
    runs = [plain_run(network, images[:, b] if frames else images[b])[2] for b in range(2)]
    for c in counts.connections:
        node = network.weighted(c.node)
        each = np.array([operations(network, node, streams) for streams in runs])
        assert [c.dense, c.acs, c.macs] == [each[0, 0], *each.sum(0)[1:]], describe(network)
        assert (c.weights, c.zeros) == (node.weight.size, (node.weight == 0).sum())
    for a in counts.activations:
        spikes = [v for streams in runs for v in streams[a.node].values()]
        assert a.sites == len(spikes) / 2 and a.spikes == sum(v != 0 for v in spikes)
    counting = [n.name for n in network.nodes if isinstance(n, Neuron)]
    counting += [network.readout.name] * (network.readout.mode == "count")
    assert sorted(a.node for a in counts.activations) == sorted(counting)


def net(shape=(2, 3, 3), **conv):
    w = np.array([[[[1, 0], [0, -1]]] * 2, [[[0, 0], [0, 1]]] * 2], np.int8)
    w = w[:, :1] if conv.get("groups") == 2 else w
    return Network(
        2,
        [
            Input("x", shape, "frames"),
            Conv2d("c", "x", w, **conv),
            Neuron("n", "c", NeuronRule([1, 2], "subtract")),
            Linear("f", "n", np.ones((2, 2 * made(shape, **conv)), np.int8), "binary"),
            Readout("r", "f", NeuronRule([1, 1], "subtract"), "count"),
        ],
    )


def made(shape, stride=(1, 1), padding=(0,) * 4, groups=1, dilation=(1, 1)):
    high = (shape[1] + padding[0] + padding[1] - dilation[0] - 1) // stride[0] + 1
    return high * ((shape[2] + padding[2] + padding[3] - dilation[1] - 1) // stride[1] + 1)


@pytest.mark.parametrize(
    ("conv", "dense"),
    [
        ({}, 2 * 4 * 8),  # two outputs of a 2 x 2 map, each of 2 x 2 x 2 values
        ({"padding": (1, 1, 1, 1)}, 2 * 2 * 9 * 4),  # every value meets all 4 places of the kernel
        ({"groups": 2}, 2 * 4 * 4),
        ({"dilation": (2, 2)}, 2 * 8),
        ({"stride": (2, 2)}, 2 * 8),
    ],
)
def test_dense_operations_by_hand(conv, dense):
    network = net(**conv)
    full = np.ones((2, 1, 2, 3, 3), np.uint8)
    _, counts = counted_run(network, full)
    found = counts.connections[0]
    assert found.dense == 2 * dense  # two steps
    if "padding" not in conv:  # each output has as many of its weights as any other
        assert found.acs == found.dense * (1 - found.zeros / found.weights)
    assert found.macs == 0


def test_batches_add_up(monkeypatch):
    network = net()
    images = np.random.default_rng(1).integers(0, 2, (2, 9, 2, 3, 3))
    whole, counts = counted_run(network, images)
    monkeypatch.setattr("sterna.evaluation.SPIKES_AT_ONCE", 4 * counted.sites(network))
    parts, again = counted_run(network, images)
    assert counts == again and (whole.logits == parts.logits).all()
    assert counts.as_dict()["spikes"] == sum(a.spikes for a in counts.activations) / 9


def test_footprints_by_hand():
    counts = counted_run(net(), np.zeros((2, 1, 2, 3, 3), int))[1]
    # thresholds 1 and 2 and resets by them: 3 bits each; those of the readout 2; no other numbers
    bits = 16 * 2 + 16 + 2 * (3 + 3 + 2 + 2)
    assert counts.packed_bytes == -(-bits // 8)
    # 16 and 16 weights; threshold, reset_by, bias and v_init of 4 neurons
    assert counts.tensor_bytes == 32 + 4 * 4 * 4
    assert counts.connection_sparsity == 10 / 32 and counts.activation_sparsity == 1


def test_a_network_whose_neurons_send_nothing_has_no_sparsity():
    nodes = [
        Input("x", (1, 2, 2)),
        Linear("f", "x", np.eye(3, 4, dtype=int)),
        Readout("r", "f", NeuronRule([0, 0, 0], "none")),
    ]
    counts = counted_run(Network(1, nodes), np.full((1, 1, 2, 2), 7))[1]
    assert counts.activation_sparsity is None and counts.spikes == 0
    assert (counts.effective_macs, counts.effective_acs, counts.dense) == (3, 0, 12)
