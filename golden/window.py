"""The order in which a window's inputs meet its weights: one function for packer, RTL and tests."""

from dataclasses import dataclass

import numpy as np

from sterna.golden.errors import DesignError

__all__ = ["WindowSplit", "window_split", "legal_simd", "window_order"]


@dataclass(frozen=True)
class WindowSplit:
    """What one window word of ``simd`` inputs holds: rows x columns x channels, channels fastest."""

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


def legal_simd(group_channels: int, kernel: tuple[int, int]) -> list[int]:
    """All legal SIMD of a window: divisors of C/groups, then C*k, then C*Kw*r (DESIGN section 4)."""
    kh, kw = kernel
    div = lambda n: [d for d in range(1, n + 1) if n % d == 0]  # noqa: E731
    c = group_channels
    return sorted(set(div(c)) | {c * k for k in div(kw)} | {c * kw * r for r in div(kh)})


def window_split(group_channels: int, kernel: tuple[int, int], simd: int) -> WindowSplit:
    """How ``simd`` inputs are taken from a (C/groups, Kh, Kw) window. DesignError if impossible."""
    c, (kh, kw) = group_channels, kernel
    if simd >= 1 and c % simd == 0:
        return WindowSplit(simd, 1, 1)
    if simd >= 1 and simd % c == 0:
        m = simd // c
        if kw % m == 0:
            return WindowSplit(c, m, 1)
        if m % kw == 0 and kh % (m // kw) == 0:
            return WindowSplit(c, kw, m // kw)
    raise DesignError(
        f"simd {simd} does not fold a window of {c} channels x {kh} x {kw}; "
        f"legal values are {', '.join(map(str, legal_simd(c, kernel)))}"
    )


def window_order(group_channels: int, kernel: tuple[int, int], simd: int) -> np.ndarray:
    """Weight index of every lane of every window word.

    Returns int64 (folds, simd): ``order[f, lane]`` indexes the flat PyTorch weight
    (C/groups, Kh, Kw) of one output channel; for ``Linear`` the kernel is the whole (H, W) map,
    so the same function maps torch's (c, y, x) to the stream's (y, x, c).
    """
    split = window_split(group_channels, kernel, simd)
    kh, kw = kernel
    index = np.arange(group_channels * kh * kw).reshape(group_channels, kh, kw)
    fr, fc, fch = split.folds(group_channels, kernel)
    a = index.reshape(fch, split.channels, fr, split.rows, fc, split.columns)
    return a.transpose(2, 4, 0, 3, 5, 1).reshape(fr * fc * fch, simd).astype(np.int64)
