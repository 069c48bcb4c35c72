"""The neuron rule: one object that says everything about a layer's neurons (docs/arithmetic.md).

``sterna.golden.step`` computes a step of it, ``sterna.golden.bounds`` bounds it and
``sterna.hw.core.neuron.NeuronScan`` is its hardware; all three read the same object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError
from sterna.golden.names import show
from sterna.golden.step import RESETS, Step
from sterna.golden.values import array, choice, integer, items, whole

__all__ = ["Decay", "NeuronRule", "RESETS", "MAX_DECAY", "MAX_FRACTION", "MAX_SHIFT"]

MAX_DECAY = 12  # 1 - 2**-12 is 0.99976: closer to 1 a leak is an integrator for T <= 1000
MAX_FRACTION = 16
MAX_SHIFT = 8


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


def _ints(name: str, value: Any, ndim: tuple[int, ...]) -> np.ndarray:
    a = array(f"rule: {name}", value, "integers")
    if a.dtype.kind == "f" and np.any(a != np.floor(a)):
        raise NetworkError(f"rule: {name} must be integers; quantize the network first")
    if a.ndim not in ndim:
        wanted = " or ".join(map(str, ndim))
        raise NetworkError(f"rule: {name} has {a.ndim} axes, expected {wanted}")
    if a.size and (a.min() < -(2**31) or a.max() >= 2**31):
        raise NetworkError(f"rule: {name} does not fit 32 bits; scale the layer down")
    out = a.astype(np.int32)
    out.setflags(write=False)
    return out


def _whole(name: str, value: Any, most: int) -> int:
    return integer(f"rule: {name} {show(value)} not in 0..{most}", value, 0, most)


def _list(name: str, value: Any) -> list[Any]:
    """One number, or a list (of numbers, of arrays)."""
    found = [value] if whole(value) is not None else items(value)
    if found is None:
        raise NetworkError(f"rule: {name} {show(value)} must be a list, one for each input")
    return found


@dataclass(frozen=True, eq=False)
class NeuronRule:
    """All of a layer's neurons. O is the number of channels, T the steps of the network.

    For t = 0 .. T-1, with x the sum of the inputs (weighted sums shifted left by ``shifts``,
    spike inputs times ``coef``)::

        i     <- synapse(i) + (x << fraction_bits) + bias
        v     <- leak(v) + i
        spike <- v >= threshold
        v     <- v - reset_by*spike | 0 where spike | frozen and silent for ever | unchanged
        out[t] = spike[t - delay]

    Parameters
    ----------
    threshold : int32 (O,)
        In units of 2**-fraction_bits; ignored where nothing fires.
    reset : str
        'subtract', 'zero', 'once', or 'none' (readouts only).
    reset_by : int32 (O,), optional
        Used by 'subtract'; default ``threshold``.
    bias : int32 (O,) or (T, O), optional
        Added every step; default 0.
    v_init : int32 (O,), optional
        The membrane before t = 0 (it leaks at t = 0 too); default 0.
    leak : Decay, optional
        None: no leak.
    synapse : Decay or 'ramp', optional
        'ramp': factor 1; None: the current is the input itself.
    delay : int
        0 or 1 steps.
    fraction_bits : int
        F, 0 .. 16.
    shifts : tuple of int
        A left shift, 0 .. 8, for each weighted input; default one input, not shifted.
    coef : tuple of int32 (O,)
        One for each spike input.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    threshold: np.ndarray
    reset: str = "subtract"
    reset_by: np.ndarray | None = None
    bias: np.ndarray | None = None
    v_init: np.ndarray | None = None
    leak: Decay | None = None
    synapse: Decay | str | None = None
    delay: int = 0
    fraction_bits: int = 0
    shifts: tuple[int, ...] = (0,)
    coef: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        put = lambda k, v: object.__setattr__(self, k, v)  # noqa: E731
        put("threshold", _ints("threshold", self.threshold, (1,)))
        channels = len(self.threshold)
        refusal = f"rule: reset {show(self.reset)} is not one of {', '.join(RESETS)}"
        put("reset", choice(refusal, self.reset, RESETS))
        default = self.threshold if self.reset_by is None else self.reset_by
        put("reset_by", _ints("reset_by", default, (1,)))
        zeros = np.zeros(channels, np.int32)
        put("bias", _ints("bias", zeros if self.bias is None else self.bias, (1, 2)))
        put("v_init", _ints("v_init", zeros if self.v_init is None else self.v_init, (1,)))
        put("coef", tuple(_ints("coef", c, (1,)) for c in _list("coef", self.coef)))
        put("shifts", tuple(_whole("shifts", s, MAX_SHIFT) for s in _list("shifts", self.shifts)))
        tensors = {"reset_by": self.reset_by, "bias": self.bias, "v_init": self.v_init}
        tensors |= {f"coef[{k}]": c for k, c in enumerate(self.coef)}
        for name, a in tensors.items():
            if a is not None and a.shape[-1] != channels:
                raise NetworkError(
                    f"rule: {name} has {a.shape[-1]} channels, threshold has {channels}"
                )
        synapse, leak = self.synapse, self.leak
        if isinstance(synapse, str) and synapse == "ramp":
            put("synapse", "ramp")
        elif synapse is not None and not isinstance(synapse, Decay):
            raise NetworkError(f"rule: synapse {show(synapse)} is not a Decay, 'ramp' or None")
        if leak is not None and not isinstance(leak, Decay):
            raise NetworkError(f"rule: leak {show(leak)} is not a Decay or None")
        refusal = f"rule: delay {show(self.delay)} must be 0 or 1"
        put("delay", integer(refusal, self.delay, 0, 1))
        put("fraction_bits", _whole("fraction_bits", self.fraction_bits, MAX_FRACTION))

    @property
    def channels(self) -> int:
        return len(self.threshold)

    @property
    def resets_by_threshold(self) -> bool:
        return bool(np.array_equal(self.reset_by, self.threshold))  # type: ignore[arg-type]

    def step(
        self,
        where: Callable[..., Any],
        channel: Callable[[Any], Any],
        decay: Callable[[Any, Decay], Any],
    ) -> Step:
        """A step of these neurons. ``where``, ``channel`` (an array of what is given by channel)
        and ``decay`` are those of the library that computes it."""

        def memory(how: Decay | str | None) -> Any:
            if isinstance(how, Decay):
                return lambda register: decay(register, how)
            return None if how is None else lambda register: register

        threshold, by = channel(self.threshold), channel(self.reset_by)
        leak, synapse = memory(self.leak), memory(self.synapse)
        return Step(where, self.reset, lambda u: u >= threshold, by, leak, synapse)

    def bias_at(self, t: int) -> np.ndarray:
        """The bias of step t, int32 (O,)."""
        assert self.bias is not None
        return self.bias[t] if self.bias.ndim == 2 else self.bias
