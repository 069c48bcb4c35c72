"""The nodes of an integer network, each checked when it is made (docs/design.md). numpy only."""

from sterna.golden.nodes.neurons import READOUT_MODES, Neuron, NeuronNode, Readout
from sterna.golden.nodes.node import Made, Node, StreamNode
from sterna.golden.nodes.streams import CODINGS, MERGE_OPS, POOL_OPS, Input, Merge, Pool
from sterna.golden.nodes.weighted import Conv2d, Linear, WeightedNode

__all__ = [
    "Input",
    "Conv2d",
    "Linear",
    "Neuron",
    "Pool",
    "Merge",
    "Readout",
    "Node",
    "NeuronNode",
    "StreamNode",
    "WeightedNode",
    "Made",
    "CODINGS",
    "KINDS",
    "POOL_OPS",
    "MERGE_OPS",
    "READOUT_MODES",
]

KINDS: dict[str, type[Node]] = {
    kind.op: kind for kind in (Input, Conv2d, Linear, Neuron, Pool, Merge, Readout)
}
"""All that network.json and networks can hold, by ``op``."""
