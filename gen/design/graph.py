"""From a network's nodes to the cores that compute them and the places where streams are read."""

from dataclasses import dataclass

from sterna.golden.errors import DesignError
from sterna.golden.network import Network, NeuronNode, Pool, WeightedNode
from sterna.golden.nodes import StreamNode

__all__ = [
    "CoreNodes",
    "Port",
    "neuron_of",
    "pool_of",
    "ports",
    "unit_of",
    "walk",
    "weighted_inputs",
]


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
            neurons = _neurons(network, name)
            if len(neurons) > 1:
                names = ", ".join(map(repr, dict.fromkeys(neurons)))
                raise DesignError(
                    f"node '{name}': its sums feed {names} in several places; a core has one "
                    "neuron, so duplicate the node"
                )
            target = network.neuron(neurons[0])
            main = weighted_inputs(network, target)[0] == name
            cores.append(CoreNodes(name, "conv", node.inputs, target.name, main))
        elif isinstance(node, StreamNode) and not network.is_weighted(name):
            cores.append(CoreNodes(name, node.op, node.inputs, name))
    return cores


def _neurons(network: Network, name: str) -> list[str]:
    """The neurons that the sums of ``name`` enter, maybe through a pool, once for each place."""
    found: list[str] = []
    for reader in network.readers(name):
        if network.is_weighted(reader):
            found += _neurons(network, reader)
        else:
            found += [reader] * network[reader].inputs.count(name)
    return found


def neuron_of(network: Network, name: str) -> NeuronNode:
    """The neuron that the sums of a weighted node enter, maybe through a pool."""
    return network.neuron(_neurons(network, name)[0])


def pool_of(network: Network, name: str) -> Pool | None:
    """The pool of a weighted node's sums in front of its neuron; None: there is none."""
    reader = network[network.readers(name)[0]]
    return reader if isinstance(reader, Pool) else None


def weighted_inputs(network: Network, target: NeuronNode) -> list[str]:
    """The Conv2d and Linear inputs of a neuron, some of them through a pool, in order."""
    return [network.sums(i).weighted.name for i in target.inputs if network.is_weighted(i)]


def unit_of(network: Network, reader: str) -> str:
    """The neuron, pool or merge whose core reads a stream at node ``reader``: a weighted node is
    part of its neuron's."""
    return neuron_of(network, reader).name if network.is_weighted(reader) else reader


def ports(network: Network) -> list[Port]:
    """Every place where a spike or pixel stream is read, by reader in topological order."""
    return [
        Port(source, name, n)
        for name in network.order
        for n, source in enumerate(network[name].inputs)
        if not network.is_weighted(source)
    ]
