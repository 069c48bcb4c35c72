"""From a network's nodes to the cores that compute them and the places where streams are read."""

from dataclasses import dataclass

from sterna.golden.errors import DesignError
from sterna.golden.network import Network, NeuronNode, WeightedNode
from sterna.golden.nodes import StreamNode

__all__ = ["CoreNodes", "Port", "ports", "unit_of", "walk", "weighted_inputs"]


@dataclass(frozen=True)
class CoreNodes:
    """One core: ``name`` is its weighted node's, pool's or merge's; it reads the streams of nodes
    ``sources`` and makes the stream (or the logits) of node ``target``. A neuron with several
    weighted inputs has one for each; ``main`` is the first, which the neuron belongs to."""

    name: str
    op: str  # 'conv', or of a node without weights its own
    sources: tuple[str, ...]
    target: str
    main: bool = True


@dataclass(frozen=True)
class Port:
    """A place where the stream of ``source`` is read: input ``port`` of node ``reader`` (a weighted
    node, a pool, a merge, or a neuron that adds the spikes themselves)."""

    source: str
    reader: str
    port: int


def walk(network: Network) -> list[CoreNodes]:
    """The cores of a network, inputs first.

    DesignError names the node that no hardware exists for, and the way out.
    """
    cores: list[CoreNodes] = []
    for name in network.order:
        node = network[name]
        if isinstance(node, WeightedNode):
            readers = network.readers(name)
            if pools := [r for r in readers if network.is_weighted(r)]:
                raise DesignError(
                    f"node '{pools[0]}': pools the weighted sums of '{name}', for which there is "
                    "no hardware; pool the spikes behind the neuron"
                )
            target = network.neuron(readers[0])
            if len(readers) > 1 or target.inputs.count(name) > 1:
                raise DesignError(
                    f"node '{name}': its sums feed {', '.join(map(repr, readers))} in several "
                    "places; a core has one neuron, so duplicate the node"
                )
            main = weighted_inputs(network, target)[0] == name
            cores.append(CoreNodes(name, "conv", node.inputs, target.name, main))
        elif isinstance(node, StreamNode):
            cores.append(CoreNodes(name, node.op, node.inputs, name))
    return cores


def weighted_inputs(network: Network, target: NeuronNode) -> list[str]:
    """The Conv2d and Linear inputs of a neuron, in order."""
    return [i for i in target.inputs if network.is_weighted(i)]


def unit_of(network: Network, reader: str) -> str:
    """The neuron, pool or merge whose core reads a stream at node ``reader``: a weighted node is
    part of its neuron's."""
    return network.readers(reader)[0] if network.is_weighted(reader) else reader


def ports(network: Network) -> list[Port]:
    """Every place where a spike or pixel stream is read, by reader in topological order."""
    return [
        Port(source, name, n)
        for name in network.order
        for n, source in enumerate(network[name].inputs)
        if not network.is_weighted(source)
    ]
