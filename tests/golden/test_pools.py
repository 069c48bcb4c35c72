"""Pools of spikes and of weighted sums: against torch's own, over kernels, strides and padding."""

import json
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sterna.golden.bounds import node_bounds
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.files.network_files import load, save
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.numpyrun import run_arrays
from sterna.golden.rule import NeuronRule

WINDOWS = [
    ((2, 2), None, 0),
    ((3, 3), (2, 2), 0),
    ((2, 3), (1, 2), 0),
    ((2, 1), (3, 2), 0),
    ((1, 1), (2, 2), 0),
    ((3, 3), (2, 2), 1),
    ((3, 2), (1, 3), 1),
]


def pooled_net(mode, kernel, stride, pad=0, *, conv_stride=1, padding=1, kind="ternary", seed=0):
    """Conv2d -> Pool of its sums -> neurons that fire for all that is above 0 -> readout."""
    rng = np.random.default_rng(seed)
    w = rng.choice((-1, 1) if kind == "binary" else (-1, 0, 1), (3, 2, 3, 3))
    pool = Pool("pool", "conv", mode, kernel, stride, padding=pad)
    conv = Conv2d("conv", "x", w, (conv_stride,) * 2, (padding,) * 4, 1, kind)
    made = Network(
        3,
        [
            Input("x", (2, 9, 8), "frames"),
            conv,
            pool,
            Neuron("n", "pool", NeuronRule([3, 5, 2], "zero", bias=[1, -2, 0])),
            Linear("fc", "n", _ones(conv, pool)),
            Readout("out", "fc", NeuronRule([1, 1], "none")),
        ],
    )
    return made


def _ones(conv, pool):
    (h, w), s, p = (9, 8), conv.stride[0], conv.padding[0]
    oh, ow = (h + 2 * p - 3) // s + 1, (w + 2 * p - 3) // s + 1
    ph = (oh + sum(pool.padding[:2]) - pool.kernel[0]) // pool.stride[0] + 1
    pw = (ow + sum(pool.padding[2:]) - pool.kernel[1]) // pool.stride[1] + 1
    return np.ones((2, 3 * ph * pw), int)


@pytest.mark.parametrize("mode", ["max", "sum"])
@pytest.mark.parametrize("kernel, stride, pad", WINDOWS)
def test_pools_of_sums_are_torchs(mode, kernel, stride, pad):
    for conv_stride, padding, kind in product((1, 2), (0, 1), ("ternary", "binary")):
        settings = {"conv_stride": conv_stride, "padding": padding, "kind": kind}
        network = pooled_net(mode, kernel, stride, pad, **settings)
        images = np.random.default_rng(1).integers(0, 2, (3, 4, 2, 9, 8)).astype(np.uint8)
        images[:, 0] = 0
        found = run(network, images, trace="all")
        conv, pool = network.weighted("conv"), network.pool("pool")
        x = torch.from_numpy(images.astype(np.float64)).flatten(0, 1)
        z = F.conv2d(
            x, torch.from_numpy(conv.weight.astype(np.float64)), None, conv_stride, padding
        )
        if mode == "max":
            z = F.max_pool2d(z, pool.kernel, pool.stride, pad)
        else:
            z = F.avg_pool2d(z, pool.kernel, pool.stride, pad, divisor_override=1)
        z = z.unflatten(0, (3, 4)).numpy()
        v, rule = np.zeros(z.shape[1:]), network.neuron("n").rule
        column = lambda a: np.asarray(a, float).reshape(-1, 1, 1)  # noqa: E731
        for t in range(3):
            v = v + z[t] + column(rule.bias)
            fires = v >= column(rule.threshold)
            assert (fires == found.spikes["n"][t]).all(), (t, settings)
            v[fires] = 0
        assert found.spikes["n"].any() and not found.spikes["n"].all()


def test_the_maximum_of_negative_sums_is_negative():
    w = -np.ones((1, 1, 1, 1), int)
    network = Network(
        1,
        [
            Input("x", (1, 2, 2), "direct", 4),
            Conv2d("conv", "x", w),
            Pool("pool", "conv", "max"),
            Linear("fc", "x", np.ones((1, 4), int)),
            Readout("out", ("pool", "fc"), NeuronRule([0], "none", shifts=(0, 0))),
        ],
    )
    images = np.array([[[[9, 8], [7, 3]]]], np.uint8)
    assert run(network, images).logits[0, 0] == 27 - 3


def test_streams_of_several_bits_have_a_maximum():
    network = Network(
        2,
        [
            Input("x", (1, 4, 4), "frames"),
            Pool("s", "x", "sum", (1, 2), (1, 1)),
            Pool("m", "s", "max", (2, 3), (2, 3)),
            Linear("fc", "m", np.ones((2, 2), int)),
            Readout("out", "fc", NeuronRule([1, 1], "none")),
        ],
    )
    assert network.maximum["m"] == 2 and network.shape["m"] == (1, 2, 1)
    images = np.random.default_rng(3).integers(0, 2, (2, 5, 1, 4, 4)).astype(np.uint8)
    s = images[..., :3] + images[..., 1:]
    want = s.reshape(2, 5, 1, 2, 2, 3).max((4, 5))
    assert (run(network, images, trace="m").spikes["m"][..., 0] == want).all()


@pytest.mark.parametrize("mode", ["sum", "max", "or", "first"])
def test_padded_pools_of_spikes_are_torchs(mode, tmp_path):
    """MaxPool2d(3, 2, 1), as in ResNets, and AvgPool2d with padding times its window."""
    network = Network(
        3,
        [
            Input("x", (2, 7, 6), "frames"),
            Pool("p", "x", mode, (3, 3), (2, 2), padding=1),
            Linear("fc", "p", np.ones((2, 24), int)),
            Readout("out", "fc", NeuronRule([1, 1], "none")),
        ],
    )
    images = (np.random.default_rng(3).random((3, 5, 2, 7, 6)) < 0.2).astype(np.uint8)
    x = torch.from_numpy(images.astype(np.float64)).flatten(0, 1)
    if mode == "sum":
        want = F.avg_pool2d(x, 3, 2, 1, divisor_override=1)
    else:
        want = F.max_pool2d(x, 3, 2, 1)
    want = want.unflatten(0, (3, 5)).numpy().round()
    if mode == "first":
        want = want * (want.cumsum(0) == 1)
    found = run(network, images, trace="p").spikes["p"]
    assert (found == want).all() and found.any()
    assert (run_arrays(network, images).logits == run(network, images).logits).all()
    save(network, tmp_path)
    assert load(tmp_path).pool("p").padding == (1, 1, 1, 1)


def test_a_pool_without_padding_is_written_as_it_was(tmp_path):
    network = pooled_net("max", (2, 2), None)
    save(network, tmp_path)
    assert "padding" not in json.loads((tmp_path / "network.json").read_text())["nodes"][2]
    with pytest.raises(NetworkError, match="'p': padding .2, 2, 2, 2. must be smaller than"):
        Pool("p", "x", "max", (2, 2), (1, 1), padding=2)


def test_bounds_and_files_know_a_pool_of_sums(tmp_path):
    plain = pooled_net("max", (2, 2), None)
    summed = pooled_net("sum", (2, 2), None)
    assert node_bounds(plain, "n").x[1] * 4 == node_bounds(summed, "n").x[1]
    assert plain.is_weighted("pool") and plain.makes("pool") == "sums"
    assert plain.sums("pool") == (plain["conv"], plain["pool"])
    assert plain.sums("fc") == (plain["fc"], None)
    save(plain, tmp_path)
    again = load(tmp_path)
    images = np.ones((3, 1, 2, 9, 8), np.uint8)
    assert (run(again, images).logits == run(plain, images).logits).all()
    assert again.pool("pool").mode == "max"
