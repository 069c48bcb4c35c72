"""From a network's nodes to the cores that compute them."""

from dataclasses import dataclass

from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout

__all__ = ["CoreNodes", "walk"]


@dataclass(frozen=True)
class CoreNodes:
    """One core: ``name`` is its weighted node's or pool's; it reads the stream of node ``source``
    and makes the stream (or the logits) of node ``target``."""

    name: str
    op: str  # 'conv' or 'pool'
    source: str
    target: str


def walk(network: Network) -> list[CoreNodes]:
    """The cores of a network, inputs first.

    DesignError names the node that no hardware exists for yet, and the way out.
    """
    cores: list[CoreNodes] = []
    for name in network.order:
        node = network[name]
        if isinstance(node, Merge):
            raise DesignError(
                f"node '{name}': there is no hardware for merges yet; simulate the network with "
                "`sterna eval` or remove the skip connection"
            )
        if isinstance(node, Input | Neuron | Pool):
            readers = network.readers(name)
            if len(readers) > 1:
                raise DesignError(
                    f"node '{name}': is read by {', '.join(map(repr, readers))}, and there is "
                    "no hardware for forks yet; give it one reader"
                )
        if isinstance(node, Conv2d | Linear):
            readers = network.readers(name)
            if len(readers) > 1:
                raise DesignError(
                    f"node '{name}': its sums feed {', '.join(map(repr, readers))}; a core has one "
                    "kind of neuron, so duplicate the node"
                )
            cores.append(CoreNodes(name, "conv", node.input, readers[0]))
        elif isinstance(node, Pool):
            cores.append(CoreNodes(name, "pool", node.input, name))
        elif isinstance(node, Neuron | Readout) and len(node.inputs) > 1:
            raise DesignError(
                f"node '{name}': has {len(node.inputs)} inputs, and there is no hardware for adds "
                "before the neuron yet; use a single weighted input"
            )
    return cores
