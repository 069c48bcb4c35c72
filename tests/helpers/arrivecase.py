"""Linears that take their map as it arrives, with a folding each, by name: ``c`` is the core."""

import numpy as np
from convcase import rule, weights

from sterna.golden.network import Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import Decay

__all__ = ["CASES"]


def flat(steps, shape, outputs, neurons, kind="ternary", coding="frames", bits=None):
    """x -> c (linear) -> n, and f -> r to make it a network."""
    return Network(
        steps,
        [
            Input("x", shape, coding, bits),
            Linear("c", "x", weights(outputs, int(np.prod(shape)), kind=kind), kind=kind),
            Neuron("n", ("c",), neurons),
            Linear("f", "n", weights(3, outputs)),
            Readout("r", ("f",), rule(3, reset="none", leak=Decay(2), fraction_bits=2)),
        ],
    )


def arriving(**folding):
    return {"c": {"nest": "arrival"} | folding}


CASES = {
    # words as they arrive: sums in registers, in turns at a scan, in LUT RAM with steps in order; a
    # scan that takes longer than its words; pixels, in parts; values of several bits; banks of
    # scans; pieces of words; tables; a single word; weights in the logic
    "arrival": (
        flat(3, (4, 3, 2), 4, rule(4, leak=Decay(1, 3), fraction_bits=3)),
        arriving(pe=2, simd=4, tp=3),
    ),
    "arrival turns": (
        flat(3, (4, 6, 8), 4, rule(4, -40, 9)),
        arriving(pe=4, simd=2, tp=1, memory="ram"),
    ),
    "arrival of planes": (
        flat(7, (2, 3, 4), 6, rule(6, -2, 6, synapse=Decay(2)), "binary"),
        arriving(pe=3, simd=3, tp=3, memory="ram"),
    ),
    "arrival of beats": (
        flat(11, (6, 2, 2), 4, rule(4, -3, 3, delay=1)),
        arriving(pe=2, simd=2, tp=11),
    ),
    "arrival of pixels": (
        flat(4, (1, 4, 3), 4, rule(4, 60, 300), "binary", "direct"),
        arriving(pe=2, simd=3, tp=2),
    ),
    "arrival of counts": (
        flat(3, (2, 3, 2), 4, rule(4, 1, 30), "ternary", "frames", 4),
        arriving(pe=4, simd=3, tp=2, reads=2),
    ),
    "arrival at banks": (
        flat(9, (4, 3, 3), 12, rule(12, -2, 6), "binary"),
        arriving(pe=3, simd=4, tp=9, banks=3, memory="ram"),
    ),
    "arrival of pieces": (
        flat(5, (3, 2, 4), 4, rule(4, reset="once")),
        arriving(pe=1, simd=6, tp=1, reads=4, memory="ram"),
    ),
    "arrival of tables": (
        flat(4, (4, 2, 2), 6, rule(6, -1, 5)),
        arriving(pe=6, simd=8, tp=2, engine="tables"),
    ),
    "arrival of all": (
        flat(4, (4, 2, 2), 6, rule(6, -1, 5)),
        arriving(pe=2, simd=16, tp=2),
    ),
    "arrival of constants": (
        flat(4, (4, 2, 2), 6, rule(6, -1, 5)),
        arriving(tp=2, engine="constant"),
    ),
}
