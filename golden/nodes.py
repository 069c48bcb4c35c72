"""The nodes of an integer network, each checked when it is made (docs/design.md). numpy only."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sterna.golden import values
from sterna.golden.errors import NetworkError
from sterna.golden.names import check_name, show
from sterna.golden.rule import MAX_SHIFT, NeuronRule

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
    "CODINGS",
    "POOL_OPS",
    "MERGE_OPS",
    "READOUT_MODES",
]

CODINGS = ("direct", "frames", "rate", "latency")
POOL_OPS = ("sum", "or", "first")
MERGE_OPS = ("add", "or", "and", "andnot", "concat")
READOUT_MODES = ("membrane", "count", "first_spike")
KINDS = {"ternary": (-1, 0, 1), "binary": (-1, 1)}


def _weights(node: str, weight: Any, kind: str, ndim: int) -> np.ndarray:
    values.choice(f"node '{node}': weight kind {show(kind)} is not ternary or binary", kind, KINDS)
    w = values.array(f"node '{node}': weight", weight)
    if w.ndim != ndim or w.size == 0:
        raise NetworkError(f"node '{node}': weight has shape {w.shape}, expected {ndim} axes")
    bad = ~np.isin(w, KINDS[kind])
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise NetworkError(
            f"node '{node}': weight {w[at]!s} at {at} is outside the {kind} set "
            f"{KINDS[kind]}; quantize the weights first"
        )
    w = w.astype(np.int8)
    w.setflags(write=False)
    return w


@dataclass(frozen=True, eq=False)
class Input:
    """Where images enter.

    Parameters
    ----------
    name : str
        ``[a-z][a-z0-9_]*``, at most 64 characters, as every node's.
    shape : (C, H, W)
    coding : str
        'direct' (raw pixels, at every step), 'frames' (T binary frames, given), 'rate' or
        'latency' (T steps of spikes, computed from 8-bit pixels).
    bits : int
        Bits of a 'direct' pixel, 1 .. 8.
    seed : int
        Of the 'rate' coding, 0 .. 2**32-1.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "input"
    name: str
    shape: tuple[int, int, int]
    coding: str = "direct"
    bits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        shape = values.tuple_of(self.name, "shape", self.shape, 1, 3, most=math.inf)
        _put(self, shape=values.check_size(self.name, shape))
        _choice(self, "coding", "coding", CODINGS)
        refusal = f"node '{self.name}': bits {show(self.bits)} must be 1 to 8"
        _put(self, bits=values.integer(refusal, self.bits, 1, 8))
        if self.coding in ("rate", "latency") and self.bits != 8:
            raise NetworkError(
                f"node '{self.name}': {self.coding} coding reads 8-bit pixels, not {self.bits}; "
                "rescale the images to 0 .. 255"
            )
        refusal = f"node '{self.name}': seed {show(self.seed)} must be 0 to 2**32-1"
        _put(self, seed=values.integer(refusal, self.seed, 0, 2**32 - 1))

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Conv2d:
    """Weighted sum over a window, with zero padding and without dilation.

    Parameters
    ----------
    name : str
    input : str
        Name of the node that it reads.
    weight : int8 (O, C/groups, Kh, Kw)
        Of {-1, 0, +1}, or of {-1, +1} where ``kind`` is 'binary'.
    stride : (y, x)
    padding : (top, bottom, left, right)
        Each smaller than the kernel of its direction.
    groups : int
    kind : str
        'ternary' or 'binary'.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    kind: str = "ternary"

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _put(
            self,
            input=_source(self.name, self.input),
            weight=_weights(self.name, self.weight, self.kind, 4),
            stride=values.tuple_of(self.name, "stride", self.stride, 1),
            padding=values.padding(self.name, self.padding),
        )
        refusal = f"node '{self.name}': groups {show(self.groups)} must be at least 1"
        _put(self, groups=values.integer(refusal, self.groups, 1, values.MAX_SIZE))
        if self.out_channels % self.groups:
            raise NetworkError(
                f"node '{self.name}': {self.out_channels} output channels do not divide "
                f"into {self.groups} groups"
            )
        (kh, kw), (t, b, left, r) = self.kernel, self.padding
        if max(t, b) >= kh or max(left, r) >= kw:
            raise NetworkError(
                f"node '{self.name}': padding {self.padding} must be smaller than kernel "
                f"({kh}, {kw})"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0]

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]


@dataclass(frozen=True, eq=False)
class Linear:
    """Weighted sum over a whole (C, H, W) map.

    It has the stride, padding and groups of a 1x1 convolution of one pixel of C*H*W channels.

    Parameters
    ----------
    name : str
    input : str
        Name of the node that it reads.
    weight : int8 (O, C*H*W)
        In torch's order (c, y, x); values as `Conv2d`'s.
    kind : str
        'ternary' or 'binary'.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "linear"
    stride: ClassVar[tuple[int, int]] = (1, 1)
    padding: ClassVar[tuple[int, int, int, int]] = (0, 0, 0, 0)
    groups: ClassVar[int] = 1
    name: str
    input: str
    weight: np.ndarray
    kind: str = "ternary"

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _put(
            self,
            input=_source(self.name, self.input),
            weight=_weights(self.name, self.weight, self.kind, 2),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0]


WeightedNode = Conv2d | Linear


@dataclass(frozen=True, eq=False)
class Neuron:
    """Spiking neurons fed by weighted sums and, with coefficients, by spikes (shortcuts).

    Parameters
    ----------
    name : str
    inputs : tuple of str
        Names of what is added: weighted nodes, and nodes of spikes.
    rule : NeuronRule
        Its ``shifts`` go with the weighted inputs, its ``coef`` with the others, in their order.
    amplitude : float
        Real value of a spike; metadata.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "neuron"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _put(self, inputs=_names(self.name, self.inputs))
        _rule(self.name, self.rule)
        _put(self, amplitude=_positive(self.name, "amplitude", self.amplitude))


@dataclass(frozen=True, eq=False)
class Pool:
    """Pooling of spikes, without padding.

    Parameters
    ----------
    name : str
    input : str
        Name of the node that it reads.
    mode : str
        'sum' adds, 'or' joins, 'first' passes the earliest spike only; the last two of 1-bit
        spikes.
    kernel : (y, x)
    stride : (y, x), optional
        Default the kernel.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "pool"
    name: str
    input: str
    mode: str
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _choice(self, "mode", "pool mode", POOL_OPS)
        _put(self, input=_source(self.name, self.input))
        _put(self, kernel=values.tuple_of(self.name, "kernel", self.kernel, 1))
        stride = self.kernel if self.stride is None else self.stride
        _put(self, stride=values.tuple_of(self.name, "stride", stride, 1))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, eq=False)
class Merge:
    """Streams that meet.

    Parameters
    ----------
    name : str
    inputs : tuple of str
        Names of two nodes or more.
    mode : str
        'add', 'concat' (channels), of 1-bit spikes 'or', 'and', 'andnot' (the first and not the
        second).
    shifts : tuple of int
        Left shift of each input's values before an 'add' or 'concat', for inputs whose amplitudes
        are powers of two apart, 0 .. 8; default zeros.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "merge"
    name: str
    inputs: tuple[str, ...]
    mode: str
    shifts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _put(self, inputs=_names(self.name, self.inputs))
        _choice(self, "mode", "merge mode", MERGE_OPS)
        if len(self.inputs) < 2 or (self.mode == "andnot" and len(self.inputs) != 2):
            wanted = "exactly two" if self.mode == "andnot" else "two or more"
            raise NetworkError(
                f"node '{self.name}': {self.mode} of {len(self.inputs)} inputs; give it {wanted}"
            )
        given = values.items(self.shifts)
        shifts = (0,) * len(self.inputs) if self.shifts is None or given == [] else self.shifts
        shifts = values.tuple_of(self.name, "shifts", shifts, 0, len(self.inputs))
        if max(shifts) > MAX_SHIFT:
            raise NetworkError(f"node '{self.name}': shifts {shifts} must be 0 to {MAX_SHIFT}")
        if any(shifts) and self.mode not in ("add", "concat"):
            raise NetworkError(
                f"node '{self.name}': merge '{self.mode}' joins 1-bit spikes of one size and "
                "cannot shift them; use 'add', or give its inputs one amplitude"
            )
        _put(self, shifts=shifts)


@dataclass(frozen=True, eq=False)
class Readout:
    """The classes: one neuron a class; logits are int32, the class is the largest one's index.

    Parameters
    ----------
    name : str
    inputs : tuple of str
        As a `Neuron`'s.
    rule : NeuronRule
        Without delay; with a reset for 'count', without for the others.
    mode : str
        'membrane' (v after the last step), 'count' (spikes), 'first_spike' (the earliest).
    scale : float
        Real value of one unit of a logit, one for all classes; metadata.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "readout"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    mode: str = "membrane"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_name(self.name, f"node {show(self.name)}: names")
        _put(self, inputs=_names(self.name, self.inputs))
        _choice(self, "mode", "readout mode", READOUT_MODES)
        _rule(self.name, self.rule)
        if len(values.items(self.scale) or ()) > 1:
            raise NetworkError(
                f"node '{self.name}': a scale per class would change the order of the classes; "
                "train the last layer with one scale"
            )
        _put(self, scale=_positive(self.name, "scale", self.scale))
        if (self.mode == "count") == (self.rule.reset == "none"):
            raise NetworkError(
                f"node '{self.name}': readout '{self.mode}' cannot have reset "
                f"'{self.rule.reset}'; 'count' needs a reset, the others need 'none'"
            )
        if self.rule.delay:
            raise NetworkError(f"node '{self.name}': a readout has no delay")


Node = Input | Conv2d | Linear | Neuron | Pool | Merge | Readout


def _put(node: Any, **fields: Any) -> None:
    """Set fields of a node that is being made."""
    for name, value in fields.items():
        object.__setattr__(node, name, value)


def _choice(node: Any, field: str, what: str, words: tuple[str, ...]) -> None:
    value = getattr(node, field)
    refusal = f"node '{node.name}': {what} {show(value)} is not one of {', '.join(words)}"
    _put(node, **{field: values.choice(refusal, value, words)})


def _names(node: str, inputs: Any) -> tuple[str, ...]:
    return values.node_names(node, "inputs", inputs)


def _source(node: str, name: Any) -> str:
    first, *more = values.node_names(node, "input", name)
    if more:
        raise NetworkError(
            f"node '{node}': reads one node, not {1 + len(more)}; join them in a Merge or a Neuron"
        )
    return first


def _rule(node: str, rule: Any) -> None:
    if not isinstance(rule, NeuronRule):
        raise NetworkError(f"node '{node}': rule {show(rule)} must be a NeuronRule")


def _positive(node: str, what: str, value: Any) -> float:
    refusal = f"node '{node}': {what} {show(value)} must be a positive real number"
    return values.number(refusal, value, positive=True)
