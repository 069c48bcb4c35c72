"""What the fields of a neuron rule can be: a few kinds, each said once.

A field of `golden.rule.NeuronRule` is of one of these kinds. Whoever handles rules goes by the kind
and not by the field: files, declared ranges, the fold from real numbers (``gen.quantize``), the
tables of a recipe. A field of a kind that exists needs none of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.golden.decay import Decay
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import not_one_of, show
from sterna.golden.words.values import array, choice, integer, items, whole

__all__ = ["UNDAMPED", "Each", "Factor", "Kind", "Level", "Whole", "Word"]

UNDAMPED = "ramp"
"""A register that is kept as it is, of factor 1, where without a word there is none."""


@dataclass(frozen=True)
class Level:
    """A number for each channel in units of the membrane, int32 (O,): a tensor of the network's,
    which may be reloaded.

    each_step: or one for each step, too, (T, O). otherwise: what it is where it is left out,
    'zero' or 'threshold'; 'absent': there is none. falls: a larger one makes no membrane larger,
    of others no smaller one (`golden.bounds`).
    """

    each_step: bool = False
    otherwise: str = "absent"
    falls: bool = False

    def checked(self, where: str, value: Any) -> np.ndarray:
        a = array(where, value, "integers")
        if a.dtype.kind == "f" and np.any(a != np.floor(a)):
            raise NetworkError(f"{where} must be integers; quantize the network first")
        if a.ndim not in ((1, 2) if self.each_step else (1,)):
            wanted = "1 or 2" if self.each_step else "1"
            raise NetworkError(f"{where} has {a.ndim} axes, expected {wanted}")
        if a.size and (a.min() < -(2**31) or a.max() >= 2**31):
            raise NetworkError(f"{where} does not fit 32 bits; scale the layer down")
        out = a.astype(np.int32)
        out.setflags(write=False)
        return out


@dataclass(frozen=True)
class Factor:
    """What a register is multiplied by between steps, one for all channels: a `Decay`; None, which
    is the factor ``absent``; where that is not 1, the word of `UNDAMPED`, which is."""

    absent: float

    @property
    def words(self) -> tuple[str, ...]:
        return (UNDAMPED,) if self.absent != 1.0 else ()

    def real(self, value: Any) -> float:
        """The factor that a value is: a `Decay`'s, a number's, a word's, None's."""
        if value is None:
            return self.absent
        return 1.0 if value in self.words else getattr(value, "factor", value)

    def checked(self, where: str, value: Any) -> Decay | str | None:
        if isinstance(value, str) and value in self.words:
            return str(value)
        if value is not None and not isinstance(value, Decay):
            words = "".join(f", {word!r}" for word in self.words)
            raise NetworkError(f"{where} {show(value)} is not a Decay{words} or None")
        return value


@dataclass(frozen=True)
class Word:
    """One of ``words``."""

    words: Collection[str]

    def checked(self, where: str, value: Any) -> str:
        refusal = f"{where} {not_one_of(value, self.words)}"
        return choice(refusal, value, self.words)


@dataclass(frozen=True)
class Whole:
    """A whole number for all channels, 0 to ``most``."""

    most: int

    def checked(self, where: str, value: Any) -> int:
        wanted = "must be 0 or 1" if self.most == 1 else f"not in 0..{self.most}"
        return integer(f"{where} {show(value)} {wanted}", value, 0, self.most)


@dataclass(frozen=True)
class Each:
    """Something of another kind for each of some inputs; one number stands for a list of one."""

    kind: Level | Whole

    def checked(self, where: str, value: Any) -> tuple[Any, ...]:
        found = [value] if whole(value) is not None else items(value)
        if found is None:
            raise NetworkError(f"{where} {show(value)} must be a list, one for each input")
        return tuple(self.kind.checked(where, one) for one in found)


Kind = Level | Factor | Word | Whole | Each
