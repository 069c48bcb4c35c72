"""Networks to fold: a chain with a pool and groups, a neuron of two sums, an identity shortcut."""

import numpy as np

from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule

__all__ = ["CHAIN", "POOLED", "SHORTCUT", "TWO_SUMS", "chain", "fires", "graph", "last", "ones"]


def ones(*shape):
    return np.ones(shape, np.int8)


def fires(channels, **settings):
    return NeuronRule(threshold=np.full(channels, 2), **settings)


def last(channels):
    return NeuronRule(threshold=np.zeros(channels, int), reset="none")


def chain(channels=12, side=8, steps=4, pixels=True):
    """8x8 pixels -> 3x3 conv -> pool -> grouped conv -> classes."""
    half = side // 2
    return Network(
        steps,
        [
            Input("x", (2, side, side), "direct" if pixels else "frames"),
            Conv2d("c1", "x", ones(channels, 2, 3, 3), padding=(1, 1, 1, 1)),
            Neuron("n1", ("c1",), fires(channels)),
            Pool("p", "n1", "sum"),
            Conv2d("c2", "p", ones(6, channels // 3, 3, 3), groups=3),
            Neuron("n2", ("c2",), fires(6)),
            Linear("f", "n2", ones(5, 6 * (half - 2) ** 2)),
            Readout("r", ("f",), last(5)),
        ],
        name="chain",
    )


def graph(*nodes, name="f"):
    ends = [Linear("f", name, ones(2, 18)), Readout("r", ("f",), last(2))]
    return Network(2, [Input("x", (2, 3, 3), "frames"), *nodes, *ends])


TWO_SUMS = graph(
    Conv2d("c", "x", ones(2, 2, 1, 1)),
    Conv2d("d", "x", ones(2, 2, 1, 1)),
    Neuron("n", ("c", "d"), fires(2, shifts=(0, 0))),
    name="n",
)
POOLED = graph(
    Conv2d("c", "x", ones(2, 2, 2, 2), padding=(1, 1, 1, 1)),
    Pool("p", "c", "max", (2, 2), (1, 1)),
    Conv2d("d", "x", ones(2, 2, 1, 1)),
    Neuron("n", ("p", "d", "x"), fires(2, shifts=(0, 1), coef=(np.array([1, 2]),))),
    name="n",
)
SHORTCUT = graph(
    Conv2d("c", "x", ones(2, 2, 1, 1)),
    Neuron("n", ("c",), fires(2)),
    Conv2d("d", "n", ones(2, 2, 1, 1)),
    Neuron("m", ("d", "n"), fires(2, coef=(np.array([1, 2]),))),
    name="m",
)
CHAIN = chain()
