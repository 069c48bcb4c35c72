"""The integer network: nodes, validation, shapes (DESIGN section 2). numpy only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sterna.golden.errors import NetworkError
from sterna.golden.rule import MAX_SHIFT, NeuronRule

__all__ = [
    "Input", "Conv2d", "Linear", "Neuron", "Pool", "Merge", "Readout",
    "Node", "WeightedNode", "Network",
    "CODINGS", "POOL_OPS", "MERGE_OPS", "READOUT_MODES",
]  # fmt: skip

CODINGS = ("direct", "frames", "rate", "latency")
POOL_OPS = ("sum", "or", "first")
MERGE_OPS = ("add", "or", "and", "andnot", "concat")
READOUT_MODES = ("membrane", "count", "first_spike")
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
MAX_STEPS = 1024
MAX_VALUE = 2**24 - 1  # of a spike stream: sums of it fit 64 bits, and float32 holds it exactly
KINDS = {"ternary": (-1, 0, 1), "binary": (-1, 1)}


def _pair(node: str, what: str, value: Any, least: int, count: int = 2) -> tuple[int, ...]:
    value = (value,) * count if isinstance(value, int) else tuple(value)
    if len(value) != count or any(not isinstance(v, (int, np.integer)) or v < least for v in value):
        raise NetworkError(
            f"node '{node}': {what} {value} must be {count} integers of at least {least}"
        )
    return tuple(int(v) for v in value)


def _weights(node: str, weight: Any, kind: str, ndim: int) -> np.ndarray:
    if kind not in KINDS:
        raise NetworkError(f"node '{node}': weight kind {kind!r} is not ternary or binary")
    w = np.asarray(weight)
    if w.ndim != ndim or w.size == 0:
        raise NetworkError(f"node '{node}': weight has shape {w.shape}, expected {ndim} axes")
    if w.dtype.kind == "f" and not np.all(np.isfinite(w)):
        raise NetworkError(f"node '{node}': weight holds NaN or infinity; retrain or repair it")
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
    """Images of shape (C, H, W). ``direct`` pixels have ``bits`` bits; all other codings are
    binary spikes over T steps: ``frames`` are given, ``rate`` and ``latency`` are computed."""

    op: ClassVar[str] = "input"
    name: str
    shape: tuple[int, int, int]
    coding: str = "direct"
    bits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _pair(self.name, "shape", self.shape, 1, 3))
        if self.coding not in CODINGS:
            raise NetworkError(
                f"node '{self.name}': coding {self.coding!r} is not one of {', '.join(CODINGS)}"
            )
        if not isinstance(self.bits, int) or not 1 <= self.bits <= 8:
            raise NetworkError(f"node '{self.name}': bits {self.bits} must be 1 to 8")
        if self.coding in ("rate", "latency") and self.bits != 8:
            raise NetworkError(
                f"node '{self.name}': {self.coding} coding reads 8-bit pixels, not {self.bits}; "
                "rescale the images to 0 .. 255"
            )
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise NetworkError(f"node '{self.name}': seed {self.seed} must be 0 to 2**32-1")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Conv2d:
    """Weighted sum over a window. weight int8 (O, C/groups, Kh, Kw); zero padding
    (top, bottom, left, right); dilation 1."""

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    kind: str = "ternary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _weights(self.name, self.weight, self.kind, 4))
        object.__setattr__(self, "stride", _pair(self.name, "stride", self.stride, 1))
        object.__setattr__(self, "padding", _pair(self.name, "padding", self.padding, 0, 4))
        if not isinstance(self.groups, int) or self.groups < 1:
            raise NetworkError(f"node '{self.name}': groups {self.groups} must be at least 1")
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
    """Weighted sum over a whole (C, H, W) map. weight int8 (O, C*H*W), torch order (c, y, x)."""

    op: ClassVar[str] = "linear"
    name: str
    input: str
    weight: np.ndarray
    kind: str = "ternary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _weights(self.name, self.weight, self.kind, 2))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0]


WeightedNode = Conv2d | Linear


@dataclass(frozen=True, eq=False)
class Neuron:
    """Spiking neurons fed by weighted sums and, with coefficients, by spikes (shortcuts)."""

    op: ClassVar[str] = "neuron"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _names(self.name, self.inputs))
        _positive(self.name, "amplitude", self.amplitude)


@dataclass(frozen=True, eq=False)
class Pool:
    """Pooling without padding: 'sum' adds, 'or' joins, 'first' passes the earliest spike only."""

    op: ClassVar[str] = "pool"
    name: str
    input: str
    mode: str
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.mode not in POOL_OPS:
            raise NetworkError(
                f"node '{self.name}': pool mode {self.mode!r} is not one of {', '.join(POOL_OPS)}"
            )
        object.__setattr__(self, "kernel", _pair(self.name, "kernel", self.kernel, 1))
        stride = self.kernel if self.stride is None else self.stride
        object.__setattr__(self, "stride", _pair(self.name, "stride", stride, 1))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True, eq=False)
class Merge:
    """Streams that meet: 'add', 'concat' (channels), 1-bit 'or', 'and', 'andnot' (a and not b).

    ``shifts``: left shift of each input's values before an add or concat, for inputs whose
    amplitudes are powers of two apart; zeros by default.
    """

    op: ClassVar[str] = "merge"
    name: str
    inputs: tuple[str, ...]
    mode: str
    shifts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _names(self.name, self.inputs))
        if self.mode not in MERGE_OPS:
            raise NetworkError(
                f"node '{self.name}': merge mode {self.mode!r} is not one of {', '.join(MERGE_OPS)}"
            )
        if len(self.inputs) < 2 or (self.mode == "andnot" and len(self.inputs) != 2):
            wanted = "exactly two" if self.mode == "andnot" else "two or more"
            raise NetworkError(
                f"node '{self.name}': {self.mode} of {len(self.inputs)} inputs; give it {wanted}"
            )
        shifts = self.shifts or (0,) * len(self.inputs)
        shifts = _pair(self.name, "shifts", shifts, 0, len(self.inputs))
        if max(shifts) > MAX_SHIFT:
            raise NetworkError(f"node '{self.name}': shifts {shifts} must be 0 to {MAX_SHIFT}")
        if any(shifts) and self.mode not in ("add", "concat"):
            raise NetworkError(
                f"node '{self.name}': merge '{self.mode}' joins 1-bit spikes of one size and "
                "cannot shift them; use 'add', or give its inputs one amplitude"
            )
        object.__setattr__(self, "shifts", shifts)


@dataclass(frozen=True, eq=False)
class Readout:
    """The classes: one neuron a class that never resets ('membrane', 'first_spike'), or the spike
    count of a neuron with a reset of its own ('count'). ``scale`` is the real value of one unit."""

    op: ClassVar[str] = "readout"
    name: str
    inputs: tuple[str, ...]
    rule: NeuronRule
    mode: str = "membrane"
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _names(self.name, self.inputs))
        if self.mode not in READOUT_MODES:
            raise NetworkError(
                f"node '{self.name}': readout mode {self.mode!r} is not one of "
                f"{', '.join(READOUT_MODES)}"
            )
        if np.ndim(self.scale) != 0:
            raise NetworkError(
                f"node '{self.name}': a scale per class would change the order of the classes; "
                "train the last layer with one scale"
            )
        _positive(self.name, "scale", self.scale)
        if (self.mode == "count") == (self.rule.reset == "none"):
            raise NetworkError(
                f"node '{self.name}': readout '{self.mode}' cannot have reset "
                f"'{self.rule.reset}'; 'count' needs a reset, the others need 'none'"
            )
        if self.rule.delay:
            raise NetworkError(f"node '{self.name}': a readout has no delay")


Node = Input | Conv2d | Linear | Neuron | Pool | Merge | Readout


def _names(node: str, inputs: Any) -> tuple[str, ...]:
    inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if not inputs:
        raise NetworkError(f"node '{node}': has no inputs")
    return inputs


def _positive(node: str, what: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise NetworkError(f"node '{node}': {what} {value} must be a positive real number")


@dataclass(eq=False)
class Network:
    """A directed acyclic graph of nodes over T steps, checked when it is made.

    ``order`` names nodes inputs-first, ``shape[name]`` is (C, H, W), ``maximum[name]`` the largest
    value of a spike stream (pixels: 2**bits - 1). Exactly one Input and one Readout; every other
    node is read by something. Raises NetworkError naming the node.
    """

    steps: int
    nodes: Sequence[Node]
    name: str = "network"
    order: list[str] = field(init=False)
    shape: dict[str, tuple[int, int, int]] = field(init=False, default_factory=dict)
    maximum: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or not 1 <= self.steps <= MAX_STEPS:
            raise NetworkError(
                f"network: steps {self.steps!r} must be an integer, 1 to {MAX_STEPS}"
            )
        if not NAME.match(self.name):
            raise NetworkError(f"network: name {self.name!r} must match [a-z][a-z0-9_]*")
        self.nodes = tuple(self.nodes)
        self._by_name: dict[str, Node] = {}
        for n in self.nodes:
            if not isinstance(n.name, str) or not NAME.match(n.name):
                raise NetworkError(f"node {n.name!r}: names must match [a-z][a-z0-9_]*")
            if n.name in self._by_name:
                raise NetworkError(f"node '{n.name}': the name is used twice")
            self._by_name[n.name] = n
        self._sort()
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
        return isinstance(self[name], (Conv2d, Linear))

    def is_pixels(self, name: str) -> bool:
        """True for the raw pixels of a direct input: bit planes of one value, for all steps."""
        node = self[name]
        return isinstance(node, Input) and node.coding == "direct"

    def bits(self, name: str) -> int:
        """Bits b of one value of a spike or pixel stream."""
        return self.maximum[name].bit_length()

    def planes(self, name: str) -> int:
        """Bit planes of a stream: T*b, or the pixel's bits (DESIGN section 4)."""
        return self.bits(name) * (1 if self.is_pixels(name) else self.steps)

    def _sort(self) -> None:
        self.order, state = [], {}
        for root in self._by_name:  # iterative depth-first search; state 1 = open, 2 = done
            stack = [(root, iter(self._by_name[root].inputs))]
            if state.setdefault(root, 1) == 2:
                continue
            while stack:
                name, it = stack[-1]
                child = next(it, None)
                if child is None:
                    stack.pop()
                    if state[name] != 2:
                        state[name] = 2
                        self.order.append(name)
                elif child not in self._by_name:
                    raise NetworkError(
                        f"node '{name}': reads unknown node '{child}'; known nodes are "
                        f"{', '.join(self._by_name)}"
                    )
                elif state.get(child) == 1:
                    raise NetworkError(
                        f"node '{child}': is part of a cycle through '{name}'; only feed-forward "
                        "graphs can be built"
                    )
                elif child not in state:
                    state[child] = 1
                    stack.append((child, iter(self._by_name[child].inputs)))

    def _check(self, n: Node) -> None:
        if isinstance(n, Input):
            self.shape[n.name] = n.shape
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
        size = int(np.prod(self.shape[n.input]))
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
