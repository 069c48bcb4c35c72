"""The integer network: a graph of nodes, validated, with its shapes (docs/design.md). numpy only.

The nodes themselves are in ``golden.nodes`` and can be had from here as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sterna.golden.errors import NetworkError
from sterna.golden.files import written
from sterna.golden.files.disk import StrPath
from sterna.golden.graph import inputs_first
from sterna.golden.nodes import (
    CODINGS,
    KINDS,
    MERGE_OPS,
    POOL_OPS,
    READOUT_MODES,
    Conv2d,
    Input,
    Linear,
    Made,
    Merge,
    Neuron,
    NeuronNode,
    Node,
    Pool,
    Readout,
    WeightedNode,
)
from sterna.golden.summary import headline, summary
from sterna.golden.words.names import NAME, check_name, show
from sterna.golden.words.shown import Shown
from sterna.golden.words.values import check_size, integer

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
    "WeightedNode",
    "Network",
    "Sums",
    "CODINGS",
    "MAX_STEPS",
    "MAX_VALUE",
    "NAME",
    "POOL_OPS",
    "MERGE_OPS",
    "READOUT_MODES",
    "steps_of",
]

_Kind = TypeVar("_Kind")

MAX_STEPS = 1024
MAX_VALUE = 2**24 - 1  # of a spike stream: sums of it fit 64 bits, and float32 holds it exactly


class Sums(NamedTuple):
    """Weighted sums that a neuron reads: the node whose they are, and the pool between, if any."""

    weighted: WeightedNode
    pool: Pool | None = None


def steps_of(value: Any) -> int:
    """The number of time steps; NetworkError unless it is whole and 1 to `MAX_STEPS`."""
    refusal = f"network: steps {show(value)} must be an integer, 1 to {MAX_STEPS}"
    return integer(refusal, value, 1, MAX_STEPS)


def _nodes(given: Any) -> tuple[Node, ...]:
    nodes = (given,) if isinstance(given, Node) else given
    try:
        found = tuple(nodes)
    except Exception:  # a foreign object may raise what it likes
        raise NetworkError(f"network: nodes {show(given)} must be a list of nodes") from None
    for n in found:
        if not isinstance(n, Node):
            *some, last = (kind.__name__ for kind in KINDS.values())
            raise NetworkError(
                f"network: {show(n)} is no node; give {', '.join(some)} and {last} (a "
                "FloatNetwork's nodes go through quantize first)"
            )
    return found


@dataclass(eq=False, repr=False)
class Network(Shown):
    """A directed acyclic graph of nodes over T steps, checked when it is made.

    Parameters
    ----------
    steps : int
        T, 1 .. 1,024.
    nodes : sequence of nodes
        In any order; exactly one Input and one Readout, and every other node is read by something.
    name : str
        ``[a-z][a-z0-9_]*``, at most 64 characters.

    Attributes
    ----------
    order : list of str
        Names of the nodes, inputs first.
    shape : dict
        (C, H, W) by name.
    maximum : dict
        The largest value of a spike stream by name (pixels: 2**bits - 1).

    Raises
    ------
    NetworkError
        The graph or a shape is wrong; names the node.
    """

    steps: int
    nodes: Sequence[Node]
    name: str = "network"
    order: list[str] = field(init=False)
    shape: dict[str, tuple[int, int, int]] = field(init=False, default_factory=dict)
    maximum: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = steps_of(self.steps)
        self.name = check_name(self.name, f"network: name {show(self.name)}")
        self.nodes = _nodes(self.nodes)
        self._by_name: dict[str, Node] = {}
        for n in self.nodes:
            if n.name in self._by_name:
                raise NetworkError(f"node '{n.name}': the name is used twice")
            self._by_name[n.name] = n
        self.order = inputs_first({n.name: n.inputs for n in self.nodes})
        for kind in (Input, Readout):
            if sum(isinstance(n, kind) for n in self.nodes) != 1:
                raise NetworkError(f"network: needs exactly one {kind.__name__} node")
        self._readers: dict[str, list[str]] = {n.name: [] for n in self.nodes}
        for n in self.nodes:
            for i in dict.fromkeys(n.inputs):
                self._readers[i].append(n.name)
        self._made: dict[str, Made] = {}
        for name in self.order:
            self._add(self[name])
        for n in self.nodes:
            if not isinstance(n, Readout) and not self.readers(n.name):
                raise NetworkError(
                    f"node '{n.name}': nothing reads it; remove it or connect it to the readout"
                )

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def save(self, folder: StrPath) -> Path:
        """Write network.json and network.safetensors, which ``sterna.load`` and every command
        read; the same network gives the same bytes.

        Parameters
        ----------
        folder : str or path
            Made where there is none.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileError
            It cannot be written.
        """
        return written.save(self, folder)

    @property
    def digest(self) -> str:
        """sha256 of what it is: structure, tensors and name."""
        return written.digest(self)

    def summary(self) -> str:
        """A table for people: a line a node."""
        return summary(self.steps, [self[name] for name in self.order], self.shape)

    def line(self) -> str:
        """It in short."""
        nodes = [self[name] for name in self.order]
        return f"{self.name}: {headline(self.steps, nodes, self.shape)}"

    def __str__(self) -> str:
        return f"{self.name}\n{self.summary()}"

    def readers(self, name: str) -> list[str]:
        """Names of the nodes that read ``name``."""
        return [*self._readers.get(name, ())]

    @property
    def input(self) -> Input:
        return next(n for n in self.nodes if isinstance(n, Input))

    @property
    def readout(self) -> Readout:
        return next(n for n in self.nodes if isinstance(n, Readout))

    def makes(self, name: str) -> str:
        """'spikes', 'pixels', 'sums' (weighted, of a pool of sums, too) or 'logits'."""
        return "sums" if self._made[name].sums else self[name].makes

    def is_weighted(self, name: str) -> bool:
        """Whether the node makes weighted sums (a pool of sums does, too), which only neurons and
        such pools read."""
        return self.makes(name) == "sums"

    def sums(self, name: str) -> Sums:
        """Whose weighted sums the node ``name`` makes, and its pool where it is one."""
        node = self[name]
        if isinstance(node, Pool):
            return Sums(self.weighted(node.input), node)
        return Sums(self.weighted(name))

    def weighted(self, name: str) -> WeightedNode:
        """The Conv2d or Linear ``name``; NetworkError where that is another node."""
        return self._of_kind(name, WeightedNode, "Conv2d or Linear")

    def neuron(self, name: str) -> NeuronNode:
        """The Neuron or Readout ``name``; NetworkError where that is another node."""
        return self._of_kind(name, NeuronNode, "Neuron or Readout")

    def pool(self, name: str) -> Pool:
        """The Pool ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Pool)

    def merge(self, name: str) -> Merge:
        """The Merge ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Merge)

    def _of_kind(self, name: str, kind: type[_Kind], wanted: str = "") -> _Kind:
        node = self[name]
        if not isinstance(node, kind):
            wanted = wanted or kind.__name__
            raise NetworkError(f"node '{name}': is a {type(node).__name__}, not a {wanted}")
        return node

    def is_pixels(self, name: str) -> bool:
        """True for the raw pixels of a direct input: bit planes of one value, for all steps."""
        return self[name].makes == "pixels"

    def bits(self, name: str) -> int:
        """Bits b of one value of a spike or pixel stream."""
        return self.maximum[name].bit_length()

    def planes(self, name: str) -> int:
        """Bit planes of a stream: T*b, or the pixel's bits (docs/design.md#stream-order)."""
        return self.bits(name) * (1 if self.is_pixels(name) else self.steps)

    def _add(self, n: Node) -> None:
        """What ``n`` makes, of what its inputs make."""
        for i in n.inputs:
            if (makes := self.makes(i)) not in n.reads:
                raise NetworkError(f"node '{n.name}': reads {_UNREADABLE[makes].format(i)}")
        made = n.made([self._made[i] for i in n.inputs], self.steps)
        self._made[n.name] = made
        self.shape[n.name] = check_size(n.name, made.shape)
        if made.maximum is None:
            return
        self.maximum[n.name] = made.maximum
        if made.maximum > MAX_VALUE:
            raise NetworkError(
                f"node '{n.name}': its values reach {made.maximum}, more than {MAX_VALUE}; "
                "add or pool fewer streams, or shift them less"
            )


_UNREADABLE = {
    "logits": "the readout '{}'",
    "sums": "the weighted sums of '{}'; put a Neuron between",
    "pixels": "the pixels of '{}', which only Conv2d and Linear can",
}
