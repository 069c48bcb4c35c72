"""Nodes of streams: where they enter, and what joins them without weights or neurons."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar, cast

from sterna.golden.errors import NetworkError
from sterna.golden.nodes.node import Made, Node, StreamNode
from sterna.golden.rule import MAX_SHIFT
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = [
    "CODINGS",
    "MERGE_OPS",
    "POOL_OPS",
    "Input",
    "Merge",
    "Pool",
    "default_bits",
    "default_scale",
    "filed",
    "read_back",
]

CODINGS = ("direct", "frames", "rate", "latency")
POOL_OPS = ("sum", "max", "or", "first")
MERGE_OPS = ("add", "or", "and", "andnot", "concat")


def default_bits(coding: str) -> int:
    """Bits of an input's values where nobody says them: of a pixel 8, of a frame's 1."""
    return 1 if _is_frames(coding) else 8


def default_scale(coding: str) -> float:
    """What a step of these values is worth to a network of real numbers: pixels are 0 .. 1."""
    return 1.0 if _is_frames(coding) else 1 / 255


def _is_frames(coding: Any) -> bool:
    """Of whatever a caller gave."""
    return isinstance(coding, str) and coding == "frames"


_STOOD = {"bits": (8, 1), "scale": (1 / 255, 1.0)}
"""Of frames, which once were of one bit: what stands in their files, and what it means."""


def filed(fields: dict[str, Any]) -> dict[str, Any]:
    """An input's fields as files have them, in integers and in real numbers. What frames of b bits
    say is in keys of their own, which a Sterna that has no such frames refuses; files of those
    that it has stay as they were."""
    out = dict(fields)
    for key, (stands, meant) in _STOOD.items():
        if fields.get("coding") == "frames" and key in fields:
            value = out.pop(key)
            out |= {key: stands} if value == meant else {f"frame_{key}": value}
    return out


def read_back(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of what `filed` made, which once left what stands there beside the new keys."""
    out = dict(fields)
    for key, (_, meant) in _STOOD.items():
        if fields.get("coding") == "frames" and {key, f"frame_{key}"} & set(fields):
            out[key] = out.pop(f"frame_{key}", meant)
    return out


@dataclass(frozen=True, eq=False, repr=False)
class Input(Node):
    """Where images enter.

    Parameters
    ----------
    name : str
        ``[a-z][a-z0-9_]*``, at most 64 characters, as every node's.
    shape : (C, H, W)
    coding : str
        'direct' (raw pixels, at every step), 'frames' (T frames, given: of spikes, of event counts
        or of pixels), 'rate' or 'latency' (T steps of spikes, computed from 8-bit pixels).
    bits : int, optional
        Of a 'direct' pixel (default 8) or of a value in 'frames' (default 1), 1 .. 8.
    seed : int
        Of the 'rate' coding, 0 .. 2**32-1.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "input"
    inputs: ClassVar[tuple[str, ...]] = ()
    name: str
    shape: tuple[int, int, int]
    coding: str = "direct"
    bits: int = cast("int", None)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = values.tuple_of(self.name, "shape", self.shape, 1, 3, most=math.inf)
        self._put(shape=values.check_size(self.name, shape))
        self._choice("coding", "coding", CODINGS)
        bits = default_bits(self.coding) if self.bits is None else self.bits
        refusal = f"node '{self.name}': bits {show(bits)} must be 1 to 8"
        self._put(bits=values.integer(refusal, bits, 1, 8))
        if self.coding in ("rate", "latency") and self.bits != 8:
            raise NetworkError(
                f"node '{self.name}': {self.coding} coding reads 8-bit pixels, not {self.bits}; "
                "rescale the images to 0 .. 255"
            )
        refusal = f"node '{self.name}': seed {show(self.seed)} must be 0 to 2**32-1"
        self._put(seed=values.integer(refusal, self.seed, 0, 2**32 - 1))

    @property
    def makes(self) -> str:
        return "pixels" if self.coding == "direct" else "spikes"

    def made(self, given: Sequence[Made], steps: int) -> Made:
        return Made(self.shape, self.top if self.coding in ("direct", "frames") else 1)

    @property
    def top(self) -> int:
        """The largest value of what is given."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, eq=False, repr=False)
class Pool(StreamNode):
    """Pooling of spikes, or of the weighted sums of a Conv2d or Linear, whose sum or maximum over
    the window enters the neurons behind.

    Parameters
    ----------
    name : str
    input : str
        Name of the node that it reads.
    mode : str
        'sum' adds, 'max' takes the largest value; 'or' joins, 'first' passes the earliest spike
        only: these two of 1-bit spikes.
    kernel : (y, x)
    stride : (y, x), optional
        Default the kernel.
    padding : (top, bottom, left, right)
        Each smaller than the kernel of its direction. Counts as 0 in a 'sum', as nothing else.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    op: ClassVar[str] = "pool"
    reads: ClassVar[tuple[str, ...]] = ("spikes", "sums")
    name: str
    input: str
    mode: str
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = cast("tuple[int, int]", None)
    padding: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choice("mode", "pool mode", POOL_OPS)
        self._put(input=self._source(self.input))
        self._put(kernel=values.tuple_of(self.name, "kernel", self.kernel, 1))
        stride = self.kernel if self.stride is None else self.stride
        self._put(stride=values.tuple_of(self.name, "stride", stride, 1))
        self._put(padding=values.padding(self.name, self.padding))
        (kh, kw), (t, b, left, r) = self.kernel, self.padding
        if max(t, b) >= kh or max(left, r) >= kw:
            raise NetworkError(
                f"node '{self.name}': padding {self.padding} must be smaller than the pool's "
                f"window ({kh}, {kw})"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def made(self, given: Sequence[Made], steps: int) -> Made:
        (c, h, w), (kh, kw), (sh, sw) = given[0].shape, self.kernel, self.stride
        high, wide = h + sum(self.padding[:2]), w + sum(self.padding[2:])
        if kh > high or kw > wide:
            padded = "padded " if any(self.padding) else ""
            raise NetworkError(
                f"node '{self.name}': pool window ({kh}, {kw}) is larger than the {padded}map "
                f"({high}, {wide})"
            )
        shape = c, (high - kh) // sh + 1, (wide - kw) // sw + 1
        if given[0].sums:
            self._check_sums(given[0])
            return Made(shape, sums=True, pooled=True)
        maximum = given[0].maximum
        assert maximum is not None
        if self.mode in ("or", "first") and maximum > 1:
            raise NetworkError(
                f"node '{self.name}': pool '{self.mode}' needs 1-bit spikes, but '{self.input}' "
                f"goes up to {maximum}; use 'sum' or 'max'"
            )
        if self.mode in ("or", "max") and given[0].once:
            raise NetworkError(
                f"node '{self.name}': pool '{self.mode}' behind reset 'once' lets several spikes "
                "through; use 'first' for them"
            )
        once = self.mode == "first" and given[0].once
        return Made(shape, maximum * kh * kw if self.mode == "sum" else maximum, once=once)

    def _check_sums(self, given: Made) -> None:
        if self.mode in ("or", "first"):
            raise NetworkError(
                f"node '{self.name}': pool '{self.mode}' needs 1-bit spikes, but '{self.input}' "
                "makes weighted sums; use 'max' or 'sum', or put a Neuron between"
            )
        if given.pooled:
            raise NetworkError(
                f"node '{self.name}': pools the sums of '{self.input}', which is a pool already; "
                "make them one pool, or put a Neuron between"
            )

    def _padded(self, xp: Any, x: Any) -> Any:
        """Padding of 0 where values are added; else the edge again, which its windows have."""
        (top, bottom, left, right), keep = self.padding, int(self.mode != "sum")
        if top or bottom:
            first, last = x[..., :1, :] * keep, x[..., -1:, :] * keep
            x = xp.concatenate([*[first] * top, x, *[last] * bottom], -2)
        if left or right:
            first, last = x[..., :1] * keep, x[..., -1:] * keep
            x = xp.concatenate([*[first] * left, x, *[last] * right], -1)
        return x

    def compute(self, xp: Any, inputs: Sequence[Any]) -> Any:
        x, (kh, kw), (sh, sw) = self._padded(xp, inputs[0]), self.kernel, self.stride
        down, right = x.shape[-2] - kh + 1, x.shape[-1] - kw + 1
        places = [
            x[..., y : y + down : sh, z : z + right : sw] for y in range(kh) for z in range(kw)
        ]
        out = reduce(operator.add if self.mode == "sum" else xp.maximum, places)
        return out * (out.cumsum(0) == 1) if self.mode == "first" else out


@dataclass(frozen=True, eq=False, repr=False)
class Merge(StreamNode):
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
        super().__post_init__()
        self._put(inputs=self._names())
        self._choice("mode", "merge mode", MERGE_OPS)
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
        self._put(shifts=shifts)

    def made(self, given: Sequence[Made], steps: int) -> Made:
        first = given[0].shape
        cut = slice(1, None) if self.mode == "concat" else slice(None)
        maxima = []
        for name, made, shift in zip(self.inputs, given, self.shifts, strict=True):
            shape, maximum = made.shape, made.maximum
            assert maximum is not None
            if shape[cut] != first[cut]:
                raise NetworkError(
                    f"node '{self.name}': inputs '{self.inputs[0]}' {first} and '{name}' {shape} "
                    f"cannot meet in '{self.mode}'; bring one to the other's shape by a strided "
                    "1x1 convolution or a pool"
                )
            if self.mode in ("or", "and", "andnot") and maximum > 1:
                raise NetworkError(
                    f"node '{self.name}': merge '{self.mode}' needs 1-bit spikes, but '{name}' "
                    f"goes up to {maximum}; use 'add', or merge before the sum"
                )
            maxima.append(maximum << shift)
        channels = sum(g.shape[0] for g in given) if self.mode == "concat" else first[0]
        most = {"add": sum(maxima), "concat": max(maxima)}.get(self.mode, 1)
        # Behind 'add' and 'or' a place has the spikes of several neurons.
        parts = {"concat": given, "and": given, "andnot": given[:1]}.get(self.mode, ())
        return Made((channels, *first[1:]), most, once=any(g.once for g in parts))

    def compute(self, xp: Any, inputs: Sequence[Any]) -> Any:
        scaled = [a << s if s else a for a, s in zip(inputs, self.shifts, strict=True)]
        if self.mode == "concat":
            return xp.concatenate(scaled, 2)
        return reduce(_JOINS[self.mode], scaled)


_JOINS = {
    "add": operator.add,
    "or": lambda a, b: (a > 0) | (b > 0),
    "and": lambda a, b: (a > 0) & (b > 0),
    "andnot": lambda a, b: (a > 0) & (b == 0),
}
