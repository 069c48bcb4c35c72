"""Single convolutions of every kind with a folding each, by name: ``c`` is the core of interest."""

import numpy as np

from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule

__all__ = ["CASES", "rule", "single", "weights"]


def weights(*shape, kind="ternary", seed=0):
    rng = np.random.default_rng(sum(shape) + seed)
    return rng.integers(-1, 2, shape) if kind == "ternary" else rng.integers(0, 2, shape) * 2 - 1


def rule(channels, low=1, high=6, **settings):
    rng = np.random.default_rng(channels)
    return NeuronRule(threshold=rng.integers(low, high, channels), **settings)


def single(steps, shape, conv, neurons, coding="frames", bits=None, pool=None):
    """x -> c (conv) [-> pool of its sums] -> n, and f -> r to make it a network."""
    (kh, kw), (top, bottom, left, right) = conv.extent, conv.padding
    h = (shape[1] + top + bottom - kh) // conv.stride[0] + 1
    w = (shape[2] + left + right - kw) // conv.stride[1] + 1
    if pool is not None:
        h = (h - pool.kernel[0]) // pool.stride[0] + 1
        w = (w - pool.kernel[1]) // pool.stride[1] + 1
    size = conv.out_channels * h * w
    return Network(
        steps,
        [
            Input("x", shape, coding, bits),
            conv,
            *([] if pool is None else [pool]),
            Neuron("n", ("c" if pool is None else pool.name,), neurons),
            Linear("f", "n", weights(3, size)),
            Readout("r", ("f",), rule(3, reset="none", leak=Decay(2), fraction_bits=2)),
        ],
    )


def largest(kernel=(2, 2), stride=None, mode="max"):
    return Pool("p", "c", mode, kernel, stride)


CASES = {
    # pixels in bit planes, current computed once, taps beyond every edge
    "pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 2, "simd": 9, "tp": 2}},
    ),
    "wide pixels": (
        single(
            5,
            (2, 3, 7),
            Conv2d(
                "c",
                "x",
                weights(4, 2, 2, 3, kind="binary"),
                stride=(1, 2),
                padding=(1, 0, 2, 1),
                kind="binary",
            ),
            rule(4, 60, 300, reset="zero"),
            "direct",
            5,
        ),
        {"c": {"pe": 1, "simd": 6, "tp": 5}},
    ),
    # the scan is the bound: T above the folds
    "long scan": (
        single(11, (4, 3, 3), Conv2d("c", "x", weights(2, 4, 2, 2)), rule(2, delay=1)),
        {"c": {"pe": 1, "simd": 16, "tp": 11}},
    ),
    # several plane groups, T no multiple of tp, sums in order
    "odd planes": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(3, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(3, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 3, "simd": 2, "tp": 3}},
    ),
    "many turns": (
        single(
            9,
            (3, 3, 4),
            Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)),
            rule(4, synapse=Decay(2)),
        ),
        {"c": {"pe": 4, "simd": 3, "tp": 1}},
    ),
    "groups": (
        single(
            3,
            (6, 4, 4),
            Conv2d("c", "x", weights(6, 2, 3, 3), groups=3, padding=(1, 1, 1, 1)),
            rule(6, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 2, "tp": 3}},
    ),
    "depthwise": (
        single(
            4,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3, kind="binary"), groups=4, kind="binary"),
            rule(4, 0, 4),
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2}},
    ),
    # row banks: the whole window at once
    "full window": (
        single(
            2,
            (2, 6, 5),
            Conv2d("c", "x", weights(2, 2, 3, 2), stride=(2, 2), padding=(2, 1, 0, 1)),
            rule(2),
        ),
        {"c": {"pe": 1, "simd": 12, "tp": 1}},
    ),
    "one by one": (
        single(2, (8, 1, 6), Conv2d("c", "x", weights(4, 8, 1, 1), stride=(1, 3)), rule(4, -2, 3)),
        {"c": {"pe": 2, "simd": 4, "tp": 2}},
    ),
    "per step bias": (
        single(
            3,
            (2, 3, 3),
            Conv2d("c", "x", weights(4, 2, 2, 2)),
            rule(4, bias=np.arange(12).reshape(3, 4) - 6, reset_by=np.array([1, 9, -1, 2])),
        ),
        {"c": {"pe": 2, "simd": 8, "tp": 1}},
    ),
    # weights in the logic: a value's planes in parts, all steps at once, a tree for every channel
    "constant pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"tp": 2, "engine": "constant"}},
    ),
    "constants": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"tp": 2, "engine": "constant"}},
    ),
    # tables of sums: planes of a value in parts, odd blocks of outputs, two rows of weights
    "table pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 4, "simd": 9, "tp": 2, "engine": "tables"}},
    ),
    "tables": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(7, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(7, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 7, "simd": 18, "tp": 2, "engine": "tables"}},
    ),
    "table folds": (
        single(7, (4, 4, 3), Conv2d("c", "x", weights(5, 4, 2, 2)), rule(5)),
        {"c": {"pe": 5, "simd": 8, "tp": 3, "engine": "tables"}},
    ),
    "table groups": (
        single(3, (3, 4, 4), Conv2d("c", "x", weights(6, 3, 2, 2)), rule(6, -1, 4)),
        {"c": {"pe": 3, "simd": 12, "tp": 3, "engine": "tables"}},
    ),
    "table depthwise": (
        single(4, (4, 5, 4), Conv2d("c", "x", weights(4, 1, 3, 3), groups=4), rule(4, 0, 4)),
        {"c": {"pe": 4, "simd": 9, "tp": 4, "engine": "tables"}},
    ),
    "constant depthwise": (
        single(4, (4, 5, 4), Conv2d("c", "x", weights(4, 1, 3, 3), groups=4), rule(4, 0, 4)),
        {"c": {"tp": 4, "engine": "constant"}},
    ),
    # banks of scans: a held value and one row of parameters; steps in order and rows that change,
    # banks that do not divide T or the visits; a visit in every clock; a scan that could do alone
    "banked pixels": (
        single(
            6,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 4, "simd": 9, "tp": 4, "banks": 3}},
    ),
    "banks": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, -9, 10, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 2, "simd": 18, "tp": 3, "banks": 2}},
    ),
    "banked constants": (
        single(
            5,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(6, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(6, synapse=Decay(2)),
        ),
        {"c": {"tp": 5, "engine": "constant", "banks": 5}},
    ),
    "banked depthwise": (
        single(
            8,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), groups=4),
            rule(4, 0, 4, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 9, "tp": 4, "banks": 4, "memory": "ram"}},
    ),
    "banked tables": (
        single(7, (4, 4, 3), Conv2d("c", "x", weights(5, 4, 2, 2)), rule(5)),
        {"c": {"pe": 5, "simd": 8, "tp": 7, "engine": "tables", "banks": 3}},
    ),
    "idle banks": (
        single(3, (3, 3, 4), Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)), rule(4)),
        {"c": {"pe": 4, "simd": 3, "tp": 1, "banks": 2}},
    ),
    # words read in pieces: a held value, as many as clocks, pieces that do not divide the word,
    # several output groups, one word for all, banks of scans
    "read pixels": (
        single(
            3,
            (1, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2, "reads": 4}},
    ),
    "reads": (
        single(
            7,
            (2, 4, 4),
            Conv2d(
                "c", "x", weights(3, 2, 3, 3, kind="binary"), padding=(0, 2, 1, 0), kind="binary"
            ),
            rule(3, leak=Decay(1, 3), fraction_bits=3),
        ),
        {"c": {"pe": 1, "simd": 2, "tp": 3, "reads": 2, "memory": "ram"}},
    ),
    "odd reads": (
        single(
            9,
            (3, 3, 4),
            Conv2d("c", "x", weights(4, 3, 3, 1), stride=(2, 1)),
            rule(4, synapse=Decay(2)),
        ),
        {"c": {"pe": 4, "simd": 3, "tp": 1, "reads": 4, "memory": "ram"}},
    ),
    "read groups": (
        single(
            3,
            (6, 4, 4),
            Conv2d("c", "x", weights(6, 2, 3, 3), groups=3, padding=(1, 1, 1, 1)),
            rule(6, reset="once"),
        ),
        {"c": {"pe": 2, "simd": 2, "tp": 1, "reads": 3}},
    ),
    "read depthwise": (
        single(
            4,
            (4, 5, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3, kind="binary"), groups=4, kind="binary"),
            rule(4, 0, 4),
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2, "reads": 2}},
    ),
    "one word read": (
        single(
            2,
            (2, 6, 5),
            Conv2d("c", "x", weights(2, 2, 3, 2), stride=(2, 2), padding=(2, 1, 0, 1)),
            rule(2),
        ),
        {"c": {"pe": 2, "simd": 12, "tp": 1, "reads": 2}},
    ),
    "read banked": (
        single(8, (2, 4, 4), Conv2d("c", "x", weights(6, 2, 3, 3)), rule(6, -9, 10)),
        {"c": {"pe": 2, "simd": 18, "tp": 2, "banks": 2, "reads": 4}},
    ),
    # pools of sums: a held value in parts; steps in order and more plane groups than registers;
    # positions in other column banks, overlapping, of several groups; sums added up over positions;
    # one item a position; banks; words read again in pieces
    "pooled pixels": (
        single(
            3,
            (1, 6, 5),
            Conv2d("c", "x", weights(4, 1, 3, 3), padding=(1, 1, 1, 1)),
            rule(4, 60, 300),
            "direct",
            pool=largest(),
        ),
        {"c": {"pe": 2, "simd": 9, "tp": 2}},
    ),
    "pooled steps": (
        single(
            11,
            (2, 5, 5),
            Conv2d("c", "x", weights(3, 2, 2, 2, kind="binary"), kind="binary"),
            rule(3, -3, 5, leak=Decay(1)),
            pool=largest(),
        ),
        {"c": {"pe": 3, "simd": 4, "tp": 2, "memory": "ram"}},
    ),
    "pooled turns": (
        single(
            3,
            (2, 6, 9),
            Conv2d("c", "x", weights(4, 2, 3, 3), stride=(1, 1), padding=(1, 2, 2, 1)),
            rule(4),
            pool=largest((3, 2), (2, 3)),
        ),
        {"c": {"pe": 2, "simd": 6, "tp": 1, "reads": 2}},
    ),
    "pooled groups": (
        single(
            2,
            (4, 5, 6),
            Conv2d("c", "x", weights(8, 2, 1, 2), stride=(1, 3), groups=2, padding=(0, 0, 1, 1)),
            rule(8, -2, 3),
            pool=largest((2, 2), (1, 1)),
        ),
        {"c": {"pe": 2, "simd": 4, "tp": 2}},
    ),
    "dilated": (
        single(
            3,
            (4, 6, 7),
            Conv2d("c", "x", weights(4, 4, 3, 2), (1, 2), (2, 1, 0, 2), dilation=(2, 3)),
            rule(4),
            pool=largest((2, 1), (1, 1)),
        ),
        {"c": {"pe": 2, "simd": 2, "tp": 1}},
    ),
    "summed": (
        single(
            3,
            (2, 5, 5),
            Conv2d("c", "x", weights(4, 2, 2, 2, kind="binary"), kind="binary"),
            rule(4, -3, 9),
            pool=largest(mode="sum"),
        ),
        {"c": {"pe": 2, "simd": 8, "tp": 1}},
    ),
    "pooled constants": (
        single(4, (2, 5, 5), Conv2d("c", "x", weights(4, 2, 2, 2)), rule(4, -2, 4), pool=largest()),
        {"c": {"tp": 4, "engine": "constant", "banks": 2}},
    ),
    "pooled depthwise": (
        single(
            8,
            (4, 6, 4),
            Conv2d("c", "x", weights(4, 1, 3, 3), groups=4, padding=(1, 1, 1, 1)),
            rule(4, 0, 4, reset="once"),
            pool=largest(),
        ),
        {"c": {"pe": 2, "simd": 3, "tp": 2, "banks": 2}},
    ),
}
