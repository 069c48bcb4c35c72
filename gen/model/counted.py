"""What a network does on images, counted in the integer model by NeuroBench's definitions.

docs/counted.md says of every figure what it is. numpy only: the runs come from whoever counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.golden.bounds import signed_bits
from sterna.golden.coding import encode
from sterna.golden.files.network_files import tensors
from sterna.golden.network import Network, NeuronNode, WeightedNode
from sterna.golden.nodes.node import Shape
from sterna.golden.result import Result

__all__ = ["Activation", "Connection", "Counter", "Counts", "SPIKES_AT_ONCE", "reach", "sites"]

SPIKES_AT_ONCE = 1 << 28
"""Spikes of a run held in memory."""


@dataclass(frozen=True)
class Connection:
    """The weights of a Conv2d or Linear, and what they did.

    Parameters
    ----------
    node : str
    weights, zeros : int
        All of them, and those that are 0.
    dense : int
        Synaptic operations of an image, if no weight and no input were 0.
    acs, macs : int
        Of all images, operations where neither is: accumulations of a weight, and of a weight
        times a value.
    """

    node: str
    weights: int
    zeros: int
    dense: int
    acs: int
    macs: int


@dataclass(frozen=True)
class Activation:
    """What neurons sent on.

    Parameters
    ----------
    node : str
    sites : int
        Outputs of an image: neurons times steps.
    spikes : int
        Of all images, those that are not 0.
    """

    node: str
    sites: int
    spikes: int


@dataclass(frozen=True)
class Counts:
    """NeuroBench's metrics of a network on images; means are an image's.

    Parameters
    ----------
    images : int
    connections : tuple of Connection
        In network order.
    activations : tuple of Activation
        In network order; a readout only where it counts spikes.
    packed_bytes : int
        Of all weights at 2 bits (ternary) or 1 (binary), and all other numbers at the fewest bits
        that hold their tensor.
    tensor_bytes : int
        Of all tensors as the network holds them, int8 and int32: NeuroBench's footprint.
    """

    images: int
    connections: tuple[Connection, ...]
    activations: tuple[Activation, ...]
    packed_bytes: int
    tensor_bytes: int

    @property
    def connection_sparsity(self) -> float:
        """The share of weights that are 0."""
        return sum(c.zeros for c in self.connections) / sum(c.weights for c in self.connections)

    @property
    def activation_sparsity(self) -> float | None:
        """The share of outputs of neurons that are 0; None without neurons that send spikes."""
        return self._sparsity(self.activations)

    @property
    def effective_acs(self) -> float:
        return sum(c.acs for c in self.connections) / self.images

    @property
    def effective_macs(self) -> float:
        return sum(c.macs for c in self.connections) / self.images

    @property
    def dense(self) -> int:
        return sum(c.dense for c in self.connections)

    @property
    def spikes(self) -> float:
        return sum(a.spikes for a in self.activations) / self.images

    def _sparsity(self, of: Iterable[Activation]) -> float | None:
        found = tuple(of)
        there = sum(a.sites for a in found) * self.images
        return (there - sum(a.spikes for a in found)) / there if there else None

    def as_dict(self) -> dict[str, Any]:
        """As commands give it with --json."""
        return {
            "images": self.images,
            "footprint": {"packed_bytes": self.packed_bytes, "tensor_bytes": self.tensor_bytes},
            "connection_sparsity": self.connection_sparsity,
            "activation_sparsity": self.activation_sparsity,
            "synaptic_operations": {
                "effective_acs": self.effective_acs,
                "effective_macs": self.effective_macs,
                "dense": self.dense,
            },
            "spikes": self.spikes,
            "connections": [
                {
                    "node": c.node,
                    "weights": c.weights,
                    "sparsity": c.zeros / c.weights,
                    "effective_acs": c.acs / self.images,
                    "effective_macs": c.macs / self.images,
                    "dense": c.dense,
                }
                for c in self.connections
            ],
            "activations": [
                {
                    "node": a.node,
                    "sites": a.sites,
                    "spikes": a.spikes / self.images,
                    "sparsity": self._sparsity([a]),
                }
                for a in self.activations
            ],
        }


class Counter:
    """Adds up what a network does, batch by batch.

    Attributes
    ----------
    wanted : list of str
        Nodes whose spikes `add` needs.
    """

    def __init__(self, network: Network):
        self.network, self.images = network, 0
        nodes = [network[n] for n in network.order]
        self._weighted = [n for n in nodes if isinstance(n, WeightedNode)]
        self._neurons = [n.name for n in nodes if isinstance(n, NeuronNode) and n.makes == "spikes"]
        read = {n.input for n in self._weighted}
        read = {*read, *self._neurons} - {network.input.name}
        self.wanted = [n for n in network.order if n in read]
        self._acs = dict.fromkeys([n.name for n in self._weighted], 0)
        self._macs = dict(self._acs)
        self._spikes = dict.fromkeys(self._neurons, 0)
        readout = network.readout
        if readout.mode == "count":  # its logits are the spikes of its neurons
            self._spikes[readout.name] = 0
        self._reach = {n.name: self._met(n, n.weight != 0) for n in self._weighted}

    def _met(self, node: WeightedNode, alive: np.ndarray) -> np.ndarray:
        shape = self.network.shape
        return reach(node, shape[node.input], shape[node.name], alive)

    def add(self, images: Any, result: Result) -> None:
        """Count a batch. ``images`` as `sterna.run` takes them; ``result`` has the spikes of
        ``wanted``."""
        self.images += len(result.classes)
        coded = encode(self.network.input, images, self.network.steps)
        streams: Mapping[str, np.ndarray] = {self.network.input.name: coded, **result.spikes}
        for name in self._spikes:
            stream = streams[name] if name in self._neurons else result.logits
            self._spikes[name] += int(stream.sum(dtype=np.int64))  # 0 or 1, or a count of them
        for node in self._weighted:
            acs, macs = _active(streams[node.input], self.network.maximum[node.input])
            met = self._reach[node.name]
            self._acs[node.name] += int((acs * met).sum())
            self._macs[node.name] += int((macs * met).sum())

    def counts(self) -> Counts:
        """Of all batches so far, of which there is one at least."""
        network = self.network
        connections = []
        for node in self._weighted:
            runs = 1 if network.is_pixels(node.input) else network.steps
            dense = int(self._met(node, np.ones_like(node.weight)).sum()) * runs
            zeros = int((node.weight == 0).sum())
            done = self._acs[node.name], self._macs[node.name]
            connections.append(Connection(node.name, node.weight.size, zeros, dense, *done))
        activations = [
            Activation(name, network.steps * int(np.prod(network.shape[name])), spikes)
            for name, spikes in self._spikes.items()
        ]
        held = tensors(network)
        size = sum(a.nbytes for a in held.values())
        return Counts(
            self.images, tuple(connections), tuple(activations), -(-_packed(network) // 8), size
        )


def reach(node: WeightedNode, given: Shape, made: Shape, alive: np.ndarray) -> np.ndarray:
    """How many weights meet each value of the map that a node reads.

    Parameters
    ----------
    node : WeightedNode
    given, made : (C, H, W)
        Of the maps that it reads and makes.
    alive : bool, or 0 and 1
        In the shape of its weights: which of them count.

    Returns
    -------
    int64 (C, H, W)
        Padding is no part of the map, so what falls on it is not counted.
    """
    linear = node.weight.ndim == 2  # a convolution whose kernel is the whole map
    kernel = given[1:] if linear else node.weight.shape[2:]
    (sy, sx), (dy, dx) = node.stride, node.dilation
    top, bottom, left, right = node.padding
    channels, height, width = given
    each = alive.reshape(node.groups, -1, channels // node.groups, *kernel).sum(1, dtype=np.int64)
    each = each.reshape(channels, *kernel)
    found = np.zeros((channels, top + height + bottom, left + width + right), np.int64)
    rows, columns = (1, 1) if linear else made[1:]
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            ys = slice(y * dy, y * dy + (rows - 1) * sy + 1, sy)
            xs = slice(x * dx, x * dx + (columns - 1) * sx + 1, sx)
            found[:, ys, xs] += each[:, y, x, None, None]
    return found[:, top : top + height, left : left + width]


def _active(stream: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each value [C,H,W] of a stream [T,B,C,H,W] was not 0: in maps (of one image and
    step) of 0 and 1 only, and in others, whose values have to be multiplied."""
    if most == 1:
        return np.count_nonzero(stream, axis=(0, 1)), np.zeros((), np.int64)
    many = (stream > 1).any(axis=(2, 3, 4))
    plain, valued = (np.count_nonzero(stream[w], axis=0) for w in (~many, many))
    return plain, valued


def _packed(network: Network) -> int:
    """Bits of all tensors, each at the fewest bits a value that hold it; weights by their kind."""
    bits = 0
    weights = {f"{n.name}.weight": n for n in network.nodes if isinstance(n, WeightedNode)}
    for name, a in tensors(network).items():
        if name in weights:
            bits += weights[name].weight_bits
        elif a.any():
            bits += a.size * signed_bits(int(a.min()), int(a.max()))
    return bits


def sites(network: Network) -> int:
    """Spikes of one image over all layers that spike."""
    weighted = [n for n in network.order if network.is_weighted(n)]
    silent = {network.input.name, network.readout.name, *weighted}
    shapes = [network.shape[n] for n in network.order if n not in silent]
    return network.steps * sum(int(np.prod(shape)) for shape in shapes)
