"""Multiplication by a factor below 1 in integers: leaks and synapses (docs/arithmetic.md)."""

from dataclasses import dataclass
from typing import Any

from sterna.golden.errors import NetworkError
from sterna.golden.words.names import show
from sterna.golden.words.values import integer, items

__all__ = ["Decay", "MAX_DECAY"]

MAX_DECAY = 12  # 1 - 2**-12 is 0.99976: closer to 1 a leak is an integrator for T <= 1000


@dataclass(frozen=True)
class Decay:
    """Multiplication by num / 2**shift, 0 <= factor < 1, rounded once, half up.

    ``decay(x) = (num*x + 2**(shift-1)) >> shift``; exact on Python integers, numpy and torch
    integer arrays (``>>`` is arithmetic in all of them). One factor is one object, however it was
    written: ``Decay(2) == Decay(ratio=(3, 2)) == Decay(ratio=(3072, 12))``.

    Parameters
    ----------
    k1 : int, optional
        1 .. 12: the factor 1 - 2**-k1, the cheapest. (1, 1) is 0: no memory.
    k2 : int, optional
        1 .. 12: less 2**-k2, too.
    ratio : tuple of int, optional
        (num, shift) instead: any other factor, shift 1 .. 12, 0 <= num < 2**shift.

    Raises
    ------
    NetworkError
        An exponent or a ratio is outside of its range, or the factor is negative.
    """

    k1: int | None = None
    k2: int | None = None
    ratio: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None:
            self._reduce(self.ratio)
        if self.ratio is not None:
            return
        for name in ("k1",) if self.k2 is None else ("k1", "k2"):
            k = getattr(self, name)
            refusal = (
                f"a decay exponent must be an integer from 1 to {MAX_DECAY}, not {show(k)}; "
                "choose the nearest factor 1 - 2**-k1 - 2**-k2"
            )
            object.__setattr__(self, name, integer(refusal, k, 1, MAX_DECAY))
        if self.num < 0:
            raise NetworkError(f"decay ({self.k1}, {self.k2}) has a negative factor; drop k2")

    def _reduce(self, given: Any) -> None:
        """Lowest terms; exponents where they say the same."""
        refusal = (
            f"a decay's ratio {show(given)} must be (num, shift), shift from 1 to {MAX_DECAY} and "
            "num from 0 to below 2**shift; choose the nearest such factor"
        )
        pair = items(given)
        if pair is None or len(pair) != 2 or self.k1 is not None or self.k2 is not None:
            raise NetworkError(refusal)
        shift = integer(refusal, pair[1], 1, MAX_DECAY)
        num = integer(refusal, pair[0], 0, (1 << shift) - 1)
        while num % 2 == 0 and shift > 1:
            num, shift = num // 2, shift - 1
        below = [shift - k for k in range(shift) if (1 << shift) - num >> k & 1]  # 1 - factor
        ks: tuple[int, ...] | None = tuple(sorted(below)) if len(below) <= 2 else None
        ks = (1, 1) if num == 0 else ks
        put = lambda k, v: object.__setattr__(self, k, v)  # noqa: E731
        put("ratio", (num, shift) if ks is None else None)
        if ks is not None:
            put("k1", ks[0])
            put("k2", ks[1] if len(ks) == 2 else None)

    @property
    def shift(self) -> int:
        if self.ratio is not None:
            return self.ratio[1]
        assert self.k1 is not None
        return max(self.k1, self.k2 or 0)

    @property
    def num(self) -> int:
        if self.ratio is not None:
            return self.ratio[0]
        s = self.shift
        assert self.k1 is not None
        return (1 << s) - (1 << (s - self.k1)) - (0 if self.k2 is None else 1 << (s - self.k2))

    @property
    def digits(self) -> tuple[tuple[int, int], ...]:
        """num as ((exponent, +1 or -1), ...), the fewest: at most seven."""
        found, rest, k = [], self.num, 0
        while rest:
            if rest & 1:
                sign = 2 - (rest & 3)  # 1 or -1: what leaves the longer row of zeros
                found.append((k, sign))
                rest -= sign
            rest, k = rest >> 1, k + 1
        return tuple(found)

    @property
    def factor(self) -> float:
        return self.num / (1 << self.shift)

    def __call__(self, x: Any) -> Any:
        return (self.num * x + (1 << (self.shift - 1))) >> self.shift
