"""The order in which a window's inputs meet its weights: one function for packer, RTL and tests."""

from dataclasses import dataclass

import numpy as np

from sterna.golden.errors import DesignError
from sterna.golden.network import WeightedNode

__all__ = ["WindowSplit", "window_split", "legal_simd", "window_order"]


@dataclass(frozen=True)
class WindowSplit:
    """What one window word of ``simd`` inputs holds: rows x columns x channels (fastest)."""

    channels: int
    columns: int
    rows: int

    @property
    def simd(self) -> int:
        return self.channels * self.columns * self.rows

    def folds(self, group_channels: int, kernel: tuple[int, int]) -> tuple[int, int, int]:
        """Number of words along (rows, columns, channels); their product is the fold count."""
        return (
            kernel[0] // self.rows,
            kernel[1] // self.columns,
            group_channels // self.channels,
        )


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def legal_simd(node: WeightedNode, in_shape: tuple[int, int, int]) -> list[int]:
    """All legal SIMD of a node (docs/design.md#folding): divisors of C/groups, C*k, C*Kw*r; of a
    dilated one, whose pixels are not side by side, divisors of C/groups."""
    c, (kh, kw) = node.window
    if node.dilation != (1, 1):
        return _divisors(c)
    wide = {c * k for k in _divisors(kw)} | {c * kw * r for r in _divisors(kh)}
    return sorted(set(_divisors(c)) | wide)


def window_split(node: WeightedNode, in_shape: tuple[int, int, int], simd: int) -> WindowSplit:
    """How ``simd`` inputs are taken from the node's window. DesignError if impossible."""
    c, (kh, kw) = node.window
    if simd >= 1 and c % simd == 0:
        return WindowSplit(simd, 1, 1)
    if simd >= 1 and simd % c == 0 and node.dilation == (1, 1):
        m = simd // c
        if kw % m == 0:
            return WindowSplit(c, m, 1)
        if m % kw == 0 and kh % (m // kw) == 0:
            return WindowSplit(c, kw, m // kw)
    raise DesignError(
        f"node '{node.name}': simd {simd} does not fold a window of {c} channels x {kh} x {kw}; "
        f"legal values are {', '.join(map(str, legal_simd(node, in_shape)))}"
    )


def window_order(node: WeightedNode, in_shape: tuple[int, int, int], simd: int) -> np.ndarray:
    """Weight index of every lane of every window word.

    Returns int64 (folds, simd): ``order[f, lane]`` indexes the flat PyTorch weight of one output
    channel, (C/groups, Kh, Kw), or (C, H, W) where it flattens its input; words run over row
    blocks, column blocks, channel blocks; lanes over rows, columns, channels (fastest). What is
    flattened is mapped from torch's (c, y, x) to the stream's (y, x, c).
    """
    split = window_split(node, in_shape, simd)
    c, (kh, kw) = node.window
    if node.flattens:
        stream = np.arange(c).reshape(in_shape).transpose(1, 2, 0)
        return stream.reshape(c // simd, simd).astype(np.int64)
    fr, fc, fch = split.folds(c, (kh, kw))
    a = np.arange(c * kh * kw).reshape(fch, split.channels, fr, split.rows, fc, split.columns)
    return a.transpose(2, 4, 0, 3, 5, 1).reshape(fr * fc * fch, simd).astype(np.int64)
