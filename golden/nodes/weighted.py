"""Nodes of weighted sums, which neurons read."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sterna.golden.errors import NetworkError
from sterna.golden.nodes.node import Made, Node, Shape
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["Conv2d", "Linear", "WeightedNode"]

WEIGHTS = {"ternary": (-1, 0, 1), "binary": (-1, 1)}


class WeightedNode(Node):
    """Base of the kinds with weights: each says which convolution it is of the map that it reads,
    and everything else, from arithmetic to hardware, asks for that.

    flattens: it reads its input as one pixel of C*H*W channels.
    """

    flattens: ClassVar[bool] = False
    makes: ClassVar[str] = "sums"
    reads: ClassVar[tuple[str, ...]] = ("spikes", "pixels")
    input: str
    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    kind: str
    dilation: tuple[int, int]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0]

    @property
    def weight_bits(self) -> int:
        """Bits that all weights take in memories: 2 a ternary one, 1 a binary one."""
        return self.weight.size * (2 if self.kind == "ternary" else 1)

    @staticmethod
    @abstractmethod
    def kernels(weight: Any) -> Any:
        """Weights of this kind's shape, of numpy or torch, as (O, C/groups, Kh, Kw) of the map that
        it reads."""

    @property
    def window(self) -> tuple[int, tuple[int, int]]:
        """(channels of a group, kernel) of the window that each output is a sum over."""
        _, channels, rows, columns = self.kernels(self.weight).shape
        return channels, (rows, columns)

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first weight to the last."""
        (kh, kw), (dy, dx) = self.window[1], self.dilation
        return dy * (kh - 1) + 1, dx * (kw - 1) + 1

    @classmethod
    def reads_map(cls, shape: Shape) -> Shape:
        """The map that it is a convolution of, where its input is of ``shape``."""
        return (math.prod(shape), 1, 1) if cls.flattens else shape

    def made(self, given: Sequence[Made], steps: int) -> Made:
        c, h, w = self.reads_map(given[0].shape)
        if (channels := self.window[0] * self.groups) != c:
            raise NetworkError(
                f"node '{self.name}': weights for {channels} input channels, but '{self.input}' "
                f"has {c}"
            )
        (kh, kw), (sh, sw), (t, b, left, r) = self.extent, self.stride, self.padding
        if h + t + b < kh or w + left + r < kw:
            raise NetworkError(
                f"node '{self.name}': kernel ({kh}, {kw}) is larger than the padded map "
                f"({h + t + b}, {w + left + r})"
            )
        height, width = (h + t + b - kh) // sh + 1, (w + left + r - kw) // sw + 1
        return Made((self.out_channels, height, width), sums=True)

    def _weights(self, ndim: int) -> np.ndarray:
        refusal = f"node '{self.name}': weight kind {show(self.kind)} is not ternary or binary"
        values.choice(refusal, self.kind, WEIGHTS)
        w = values.array(f"node '{self.name}': weight", self.weight)
        if w.ndim != ndim or w.size == 0:
            raise NetworkError(
                f"node '{self.name}': weight has shape {w.shape}, expected {ndim} axes"
            )
        bad = ~np.isin(w, WEIGHTS[self.kind])
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            raise NetworkError(
                f"node '{self.name}': weight {w[at]!s} at {at} is outside the {self.kind} set "
                f"{WEIGHTS[self.kind]}; quantize the weights first"
            )
        w = w.astype(np.int8)
        w.setflags(write=False)
        return w


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d(WeightedNode):
    """Weighted sum over a window, with zero padding.

    Parameters
    ----------
    name : str
    input : str
        Name of the node that it reads.
    weight : int8 (O, C/groups, Kh, Kw)
        Of {-1, 0, +1}, or of {-1, +1} where ``kind`` is 'binary'.
    stride : (y, x)
    padding : (top, bottom, left, right)
        Each smaller than the kernel of its direction, dilated.
    groups : int
    kind : str
        'ternary' or 'binary'.
    dilation : (y, x)
        Rows and columns from one weight to the next.

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
    dilation: tuple[int, int] = field(default=(1, 1), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._put(
            input=self._source(self.input),
            weight=self._weights(4),
            stride=values.tuple_of(self.name, "stride", self.stride, 1),
            dilation=values.tuple_of(self.name, "dilation", self.dilation, 1),
            padding=values.padding(self.name, self.padding),
        )
        refusal = f"node '{self.name}': groups {show(self.groups)} must be at least 1"
        self._put(groups=values.integer(refusal, self.groups, 1, values.MAX_SIZE))
        if self.out_channels % self.groups:
            raise NetworkError(
                f"node '{self.name}': {self.out_channels} output channels do not divide "
                f"into {self.groups} groups"
            )
        (kh, kw), (t, b, left, r) = self.extent, self.padding
        if max(t, b) >= kh or max(left, r) >= kw:
            what = "kernel" if self.dilation == (1, 1) else "dilated kernel"
            raise NetworkError(
                f"node '{self.name}': padding {self.padding} must be smaller than {what} "
                f"({kh}, {kw})"
            )

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    @staticmethod
    def kernels(weight: Any) -> Any:
        return weight


@dataclass(frozen=True, eq=False, repr=False)
class Linear(WeightedNode):
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
    flattens: ClassVar[bool] = True
    stride: ClassVar[tuple[int, int]] = (1, 1)
    padding: ClassVar[tuple[int, int, int, int]] = (0, 0, 0, 0)
    groups: ClassVar[int] = 1
    dilation: ClassVar[tuple[int, int]] = (1, 1)
    name: str
    input: str
    weight: np.ndarray
    kind: str = "ternary"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._put(
            input=self._source(self.input),
            weight=self._weights(2),
        )

    @staticmethod
    def kernels(weight: Any) -> Any:
        return weight[..., None, None]

    def made(self, given: Sequence[Made], steps: int) -> Made:
        shape = given[0].shape
        if self.weight.shape[1] != math.prod(shape):
            raise NetworkError(
                f"node '{self.name}': weights for {self.weight.shape[1]} inputs, but "
                f"'{self.input}' has {shape} = {math.prod(shape)}"
            )
        return Made((self.out_channels, 1, 1), sums=True)
