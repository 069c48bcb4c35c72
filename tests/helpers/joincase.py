"""Neurons of several inputs with a folding each, by name: ``n`` is the neuron of interest."""

import numpy as np
from convcase import rule, weights

from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import Decay

__all__ = ["CASES", "SAME", "coefs", "conv", "network"]


def conv(name, source, *shape, kind="ternary", **settings):
    return Conv2d(name, source, weights(*shape, kind=kind, seed=len(name)), kind=kind, **settings)


SAME = (1, 1, 1, 1)


def network(steps, image, nodes, inputs, neurons, coding="frames", bits=None, out=None):
    """x -> c -> a, the stream of 4-channel spikes that ``nodes`` read too; then the neuron ``n``
    of ``inputs``, whose map is the image's or ``out``, and f -> r to make it a network."""
    h, w = out or image[1:]
    return Network(
        steps,
        [
            Input("x", image, coding, bits),
            conv("c", "x", 4, image[0], 3, 3, padding=SAME),
            Neuron("a", ("c",), rule(4, 1, 3 if coding == "frames" else 90)),
            *nodes,
            Neuron("n", inputs, neurons),
            Linear("f", "n", weights(3, neurons.channels * h * w)),
            Readout("r", ("f",), rule(3, reset="none")),
        ],
    )


def coefs(*rows):
    return tuple(np.array(r) for r in rows)


CASES = {
    # an identity shortcut: no queue of sums
    "shortcut": (
        network(
            4,
            (2, 4, 4),
            [conv("d", "a", 4, 4, 3, 3, padding=SAME)],
            ("d", "a"),
            rule(4, coef=coefs([3, -2, 1, 5]), leak=Decay(2), fraction_bits=2),
        ),
        {"d": {"pe": 2, "simd": 12, "tp": 2}},
    ),
    # two sums, one of a 1x1 branch, shifted; the small one is ahead
    "two sums": (
        network(
            3,
            (2, 4, 5),
            [conv("d", "a", 4, 4, 3, 3, padding=SAME), conv("e", "a", 4, 4, 1, 1, kind="binary")],
            ("d", "e"),
            rule(4, shifts=(0, 2)),
        ),
        {"d": {"pe": 2, "simd": 4, "tp": 1}, "e": {"pe": 2, "simd": 4, "tp": 3}},
    ),
    # the main one is quick, the other slow; strides, and the scan reads bias by step
    "slow other": (
        network(
            2,
            (1, 6, 5),
            [
                conv("d", "a", 4, 4, 1, 1, stride=(2, 2)),
                conv("e", "a", 4, 4, 3, 3, stride=(2, 2), padding=SAME),
            ],
            ("d", "e"),
            rule(4, bias=np.arange(8).reshape(2, 4) - 3, shifts=(1, 0), reset="zero"),
            out=(3, 3),
        ),
        {"d": {"pe": 1, "simd": 4, "tp": 2}, "e": {"pe": 1, "simd": 4, "tp": 1}},
    ),
    # held pixels beside spikes and a shortcut
    "pixels": (
        network(
            3,
            (1, 4, 4),
            [conv("d", "a", 4, 4, 3, 3, padding=SAME), conv("e", "x", 4, 1, 3, 3, padding=SAME)],
            ("d", "a", "e"),
            rule(4, 20, 90, coef=coefs([30, 0, -9, 7]), shifts=(2, 0), delay=1),
            "direct",
            5,
        ),
        {"d": {"pe": 2, "simd": 4, "tp": 3}, "e": {"pe": 2, "simd": 3, "tp": 1}},
    ),
    "pixels first": (
        network(
            5,
            (1, 3, 4),
            [conv("e", "x", 4, 1, 1, 1), conv("d", "a", 4, 4, 1, 1)],
            ("e", "d"),
            rule(4, 5, 40, shifts=(0, 3), synapse=Decay(2)),
            "direct",
            4,
        ),
        {"d": {"pe": 4, "simd": 4, "tp": 5}, "e": {"pe": 4, "simd": 1, "tp": 4}},
    ),
    # values of several bits come by the shortcuts, several steps a beat, the last beat not full
    "values": (
        network(
            5,
            (2, 6, 4),
            [
                Pool("p", "a", "sum", (2, 2)),
                Merge("m", ("p", "p"), "add"),
                conv("d", "a", 4, 4, 2, 2, stride=(2, 2)),
            ],
            ("p", "d", "m"),
            rule(4, coef=coefs([1, -2, 3, 2], [-1, 1, 2, 0])),
            out=(3, 2),
        ),
        {"d": {"pe": 2, "simd": 8, "tp": 1}},
    ),
    "depthwise and groups": (
        network(
            4,
            (2, 4, 3),
            [
                conv("d", "a", 4, 1, 3, 3, padding=SAME, groups=4, kind="binary"),
                conv("e", "a", 4, 2, 3, 3, padding=SAME, groups=2),
                conv("g", "a", 4, 4, 1, 1),
            ],
            ("d", "e", "g"),
            rule(4, shifts=(1, 0, 3), reset="once"),
        ),
        {
            "d": {"pe": 2, "simd": 9, "tp": 1},
            "e": {"pe": 2, "simd": 6, "tp": 2},
            "g": {"pe": 2, "simd": 2, "tp": 4},
        },
    ),
    # visits of a few clocks: many are in flight
    "in flight": (
        network(
            2,
            (2, 5, 4),
            [conv("d", "a", 4, 4, 1, 1), conv("e", "a", 4, 4, 1, 1)],
            ("d", "a", "e"),
            rule(4, coef=coefs([1, 2, -1, 1]), shifts=(0, 1)),
        ),
        {"d": {"pe": 2, "simd": 4, "tp": 1}, "e": {"pe": 2, "simd": 4, "tp": 2}},
    ),
    "one step": (
        network(
            1,
            (2, 5, 4),
            [conv("d", "a", 4, 4, 1, 1), conv("e", "a", 4, 4, 1, 1)],
            ("d", "a", "e"),
            rule(4, coef=coefs([1, 2, -1, 1]), shifts=(0, 1)),
        ),
        {"d": {"pe": 4, "simd": 4, "tp": 1}, "e": {"pe": 4, "simd": 4, "tp": 1}},
    ),
    "linear": (
        network(
            3,
            (2, 2, 2),
            [
                Linear("d", "a", weights(6, 16)),
                conv("e", "a", 6, 4, 2, 2),
                Linear("g", "x", weights(6, 8, kind="binary"), "binary"),
            ],
            ("d", "e", "g"),
            rule(6, shifts=(0, 0, 1)),
            out=(1, 1),
        ),
        {
            "d": {"pe": 3, "simd": 8, "tp": 1},
            "e": {"pe": 3, "simd": 8, "tp": 1},
            "g": {"pe": 3, "simd": 1, "tp": 1},
        },
    ),
}
