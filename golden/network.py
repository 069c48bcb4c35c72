"""The integer network: a graph of nodes, validated, with its shapes (docs/design.md). numpy only.

The nodes themselves are in ``golden.nodes`` and can be had from here as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sterna.golden.errors import NetworkError
from sterna.golden.graph import inputs_first
from sterna.golden.names import NAME, check_name, show
from sterna.golden.nodes import (
    CODINGS,
    MERGE_OPS,
    POOL_OPS,
    READOUT_MODES,
    Conv2d,
    Input,
    Linear,
    Merge,
    Neuron,
    Node,
    Pool,
    Readout,
    WeightedNode,
)
from sterna.golden.values import check_size, integer

__all__ = [
    "Input",
    "Conv2d",
    "Linear",
    "Neuron",
    "Pool",
    "Merge",
    "Readout",
    "Node",
    "WeightedNode",
    "Network",
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
            raise NetworkError(
                f"network: {show(n)} is no node; give Input, Conv2d, Linear, Neuron, Pool, Merge "
                "and Readout (a FloatNetwork's nodes go through quantize first)"
            )
    return found


@dataclass(eq=False)
class Network:
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
        for name in self.order:
            self._check(self[name])
        for n in self.nodes:
            if not isinstance(n, Readout) and not self.readers(n.name):
                raise NetworkError(
                    f"node '{n.name}': nothing reads it; remove it or connect it to the readout"
                )

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def readers(self, name: str) -> list[str]:
        """Names of the nodes that read ``name``."""
        return [n.name for n in self.nodes if name in n.inputs]

    @property
    def input(self) -> Input:
        return next(n for n in self.nodes if isinstance(n, Input))

    @property
    def readout(self) -> Readout:
        return next(n for n in self.nodes if isinstance(n, Readout))

    def is_weighted(self, name: str) -> bool:
        """Whether the node makes weighted sums, which only neurons read."""
        return isinstance(self[name], WeightedNode)

    def weighted(self, name: str) -> WeightedNode:
        """The Conv2d or Linear ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Conv2d, Linear)

    def neuron(self, name: str) -> Neuron | Readout:
        """The Neuron or Readout ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Neuron, Readout)

    def pool(self, name: str) -> Pool:
        """The Pool ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Pool)

    def merge(self, name: str) -> Merge:
        """The Merge ``name``; NetworkError where that is another node."""
        return self._of_kind(name, Merge)

    def _of_kind(self, name: str, *kinds: type[_Kind]) -> _Kind:
        node = self[name]
        if not isinstance(node, kinds):
            wanted = " or ".join(k.__name__ for k in kinds)
            raise NetworkError(f"node '{name}': is a {type(node).__name__}, not a {wanted}")
        return node

    def is_pixels(self, name: str) -> bool:
        """True for the raw pixels of a direct input: bit planes of one value, for all steps."""
        node = self[name]
        return isinstance(node, Input) and node.coding == "direct"

    def bits(self, name: str) -> int:
        """Bits b of one value of a spike or pixel stream."""
        return self.maximum[name].bit_length()

    def planes(self, name: str) -> int:
        """Bit planes of a stream: T*b, or the pixel's bits (docs/design.md#stream-order)."""
        return self.bits(name) * (1 if self.is_pixels(name) else self.steps)

    def _check(self, n: Node) -> None:
        if isinstance(n, Input):
            self.shape[n.name] = check_size(n.name, n.shape)
            self.maximum[n.name] = (1 << n.bits) - 1 if n.coding == "direct" else 1
            return
        for i in n.inputs:
            if isinstance(self[i], Readout):
                raise NetworkError(f"node '{n.name}': reads the readout '{i}'")
            if self.is_weighted(i) and not isinstance(n, (Neuron, Readout)):
                raise NetworkError(
                    f"node '{n.name}': reads the weighted sums of '{i}'; put a Neuron between"
                )
            if self.is_pixels(i) and not isinstance(n, (Conv2d, Linear)):
                raise NetworkError(
                    f"node '{n.name}': reads the pixels of '{i}', which only Conv2d and Linear can"
                )
        getattr(self, "_check_" + n.op)(n)
        check_size(n.name, self.shape[n.name])
        if self.maximum.get(n.name, 0) > MAX_VALUE:
            raise NetworkError(
                f"node '{n.name}': its values reach {self.maximum[n.name]}, more than {MAX_VALUE}; "
                "add or pool fewer streams, or shift them less"
            )

    def _check_conv2d(self, n: Conv2d) -> None:
        c, h, w = self.shape[n.input]
        if n.weight.shape[1] * n.groups != c:
            raise NetworkError(
                f"node '{n.name}': weights for {n.weight.shape[1] * n.groups} input channels, "
                f"but '{n.input}' has {c}"
            )
        (kh, kw), (sh, sw), (t, b, left, r) = n.kernel, n.stride, n.padding
        oh, ow = (h + t + b - kh) // sh + 1, (w + left + r - kw) // sw + 1
        if h + t + b < kh or w + left + r < kw:
            raise NetworkError(
                f"node '{n.name}': kernel ({kh}, {kw}) is larger than the padded map "
                f"({h + t + b}, {w + left + r})"
            )
        self.shape[n.name] = (n.out_channels, oh, ow)

    def _check_linear(self, n: Linear) -> None:
        size = math.prod(self.shape[n.input])
        if n.weight.shape[1] != size:
            raise NetworkError(
                f"node '{n.name}': weights for {n.weight.shape[1]} inputs, but '{n.input}' has "
                f"{self.shape[n.input]} = {size}"
            )
        self.shape[n.name] = (n.out_channels, 1, 1)

    def _check_neuron(self, n: Neuron | Readout) -> None:
        weighted = [i for i in n.inputs if self.is_weighted(i)]
        spikes = [i for i in n.inputs if not self.is_weighted(i)]
        shape = self.shape[n.inputs[0]]
        for i in n.inputs:
            if self.shape[i] != shape:
                raise NetworkError(
                    f"node '{n.name}': inputs '{n.inputs[0]}' {shape} and '{i}' {self.shape[i]} "
                    "differ in shape; bring one to the other's by a strided 1x1 convolution"
                )
        rule = n.rule
        if not weighted:
            raise NetworkError(f"node '{n.name}': needs at least one weighted sum (Conv2d, Linear)")
        if len(rule.shifts) != len(weighted) or len(rule.coef) != len(spikes):
            raise NetworkError(
                f"node '{n.name}': rule has {len(rule.shifts)} shifts and {len(rule.coef)} "
                f"coefficients for {len(weighted)} weighted and {len(spikes)} spike inputs"
            )
        if rule.channels != shape[0]:
            raise NetworkError(
                f"node '{n.name}': rule has {rule.channels} channels, '{n.inputs[0]}' has "
                f"{shape[0]}"
            )
        if rule.bias is not None and rule.bias.ndim == 2 and len(rule.bias) != self.steps:
            raise NetworkError(
                f"node '{n.name}': bias has {len(rule.bias)} steps, the network {self.steps}; give "
                "all its nodes the same T"
            )
        if isinstance(n, Neuron) and rule.reset == "none":
            raise NetworkError(f"node '{n.name}': reset 'none' is for readouts only")
        self.shape[n.name] = shape
        self.maximum[n.name] = 1

    def _check_readout(self, n: Readout) -> None:
        self._check_neuron(n)
        if self.shape[n.name][1:] != (1, 1):
            raise NetworkError(
                f"node '{n.name}': a readout reads a 1 x 1 map, not {self.shape[n.name]}; "
                "put a Linear or a pool over the whole map before it"
            )
        if self.shape[n.name][0] > 65535:
            raise NetworkError(f"node '{n.name}': more than 65535 classes")

    def _check_pool(self, n: Pool) -> None:
        c, h, w = self.shape[n.input]
        (kh, kw), (sh, sw) = n.kernel, n.stride or n.kernel
        if kh > h or kw > w:
            raise NetworkError(
                f"node '{n.name}': pool window ({kh}, {kw}) is larger than the map ({h}, {w})"
            )
        if n.mode != "sum" and self.maximum[n.input] > 1:
            raise NetworkError(
                f"node '{n.name}': pool '{n.mode}' needs 1-bit spikes, but '{n.input}' goes up to "
                f"{self.maximum[n.input]}; use 'sum'"
            )
        source = self[n.input]
        if n.mode == "or" and isinstance(source, Neuron) and source.rule.reset == "once":
            raise NetworkError(
                f"node '{n.name}': pool 'or' behind reset 'once' lets several spikes through; "
                "use 'first'"
            )
        self.shape[n.name] = (c, (h - kh) // sh + 1, (w - kw) // sw + 1)
        self.maximum[n.name] = self.maximum[n.input] * (kh * kw if n.mode == "sum" else 1)

    def _check_merge(self, n: Merge) -> None:
        shapes = [self.shape[i] for i in n.inputs]
        cut = slice(1, None) if n.mode == "concat" else slice(None)
        for i, s in zip(n.inputs, shapes, strict=True):
            if s[cut] != shapes[0][cut]:
                raise NetworkError(
                    f"node '{n.name}': inputs '{n.inputs[0]}' {shapes[0]} and '{i}' {s} "
                    f"cannot meet in '{n.mode}'; bring one to the other's shape by a strided 1x1 "
                    "convolution or a pool"
                )
            if n.mode in ("or", "and", "andnot") and self.maximum[i] > 1:
                raise NetworkError(
                    f"node '{n.name}': merge '{n.mode}' needs 1-bit spikes, but '{i}' goes up to "
                    f"{self.maximum[i]}; use 'add', or merge before the sum"
                )
        maxima = [self.maximum[i] << s for i, s in zip(n.inputs, n.shifts, strict=True)]
        channels = sum(s[0] for s in shapes) if n.mode == "concat" else shapes[0][0]
        self.shape[n.name] = (channels, *shapes[0][1:])
        self.maximum[n.name] = {"add": sum(maxima), "concat": max(maxima)}.get(n.mode, 1)
