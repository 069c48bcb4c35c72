"""A small network that has a little of everything that its files can say."""

import numpy as np

from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import Decay, NeuronRule

__all__ = ["example"]


def example(scale=1.0, flip=1):
    w = np.random.default_rng(1).integers(-1, 2, (3, 1, 3, 3))
    rule = NeuronRule(
        [3, 4, 5], "zero", bias=np.ones((2, 3)), leak=Decay(1, 3), synapse="ramp", fraction_bits=1
    )
    return Network(
        2,
        [
            Input("x", (1, 4, 5), "rate", seed=7),
            Conv2d("conv", "x", w * flip, (1, 2), (1, 0, 1, 1)),
            Neuron("hidden", "conv", rule, amplitude=0.1),
            Linear("fc", "hidden", np.ones((2, 27)), "binary"),
            Readout("out", "fc", NeuronRule([1, 1], "none"), scale=scale),
        ],
        "example",
    )
