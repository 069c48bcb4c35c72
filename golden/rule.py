"""The neuron rule: one object that says everything about a layer's neurons (docs/arithmetic.md).

``sterna.golden.step`` computes a step of it, ``sterna.golden.bounds`` bounds it and
``sterna.hw.neuron.scan.NeuronScan`` is its hardware; all three read the same object.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, get_args, get_type_hints

import numpy as np

from sterna.golden.decay import MAX_DECAY, Decay
from sterna.golden.errors import NetworkError
from sterna.golden.parameters import UNDAMPED, Each, Factor, Kind, Level, Whole, Word
from sterna.golden.step import RESETS, Step
from sterna.golden.words.shown import Fields

__all__ = [
    "Decay",
    "LEVELS",
    "MAX_DECAY",
    "MAX_FRACTION",
    "MAX_SHIFT",
    "NeuronRule",
    "PARAMETERS",
    "RESETS",
    "later",
    "step_of",
]

MAX_FRACTION = 16
MAX_SHIFT = 8


@dataclass(frozen=True, eq=False, repr=False)
class NeuronRule(Fields):
    """All of a layer's neurons. O is the number of channels, T the steps of the network.

    For t = 0 .. T-1, with x the sum of the inputs (weighted sums shifted left by ``shifts``,
    spike inputs times ``coef``)::

        i     <- synapse(i) + (x << fraction_bits) + bias
        v     <- leak(v) + i
        spike <- v >= threshold
        v     <- v - reset_by*spike | 0 where spike | frozen and silent for ever | unchanged
        v     <- max(v, floor)
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
    floor : int32 (O,), optional
        No membrane is below it after a step; default none.

    Raises
    ------
    NetworkError
        A value is outside these ranges.
    """

    threshold: Annotated[np.ndarray, Level()]
    reset: Annotated[str, Word(RESETS)] = "subtract"
    reset_by: Annotated[np.ndarray | None, Level(otherwise="threshold", falls=True)] = None
    bias: Annotated[np.ndarray | None, Level(each_step=True, otherwise="zero")] = None
    v_init: Annotated[np.ndarray | None, Level(otherwise="zero")] = None
    leak: Annotated[Decay | None, Factor(absent=1.0)] = None
    synapse: Annotated[Decay | str | None, Factor(absent=0.0)] = None
    delay: Annotated[int, Whole(1)] = 0
    fraction_bits: Annotated[int, Whole(MAX_FRACTION)] = 0
    shifts: Annotated[tuple[int, ...], Each(Whole(MAX_SHIFT))] = (0,)
    coef: Annotated[tuple[np.ndarray, ...], Each(Level())] = ()
    # Fields from here on came later: they are keyword-only, and in files only where they are said.
    floor: Annotated[np.ndarray | None, Level()] = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        put = lambda k, v: object.__setattr__(self, k, v)  # noqa: E731
        for name, kind in PARAMETERS.items():
            value = getattr(self, name)
            if value is None and isinstance(kind, Level):
                if kind.otherwise == "absent":
                    continue
                at_zero = kind.otherwise == "zero"
                value = np.zeros(self.channels, np.int32) if at_zero else self.threshold
            put(name, kind.checked(f"rule: {name}", value))
        tensors = {name: getattr(self, name) for name in LEVELS}
        tensors |= {f"coef[{k}]": c for k, c in enumerate(self.coef)}
        for name, a in tensors.items():
            if a is not None and a.shape[-1] != self.channels:
                raise NetworkError(
                    f"rule: {name} has {a.shape[-1]} channels, threshold has {self.channels}"
                )

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
        threshold = channel(self.threshold)
        return step_of(vars(self), where, lambda u: u >= threshold, channel, decay)

    def bias_at(self, t: int) -> np.ndarray:
        """The bias of step t, int32 (O,)."""
        assert self.bias is not None
        return self.bias[t] if self.bias.ndim == 2 else self.bias


def _kinds() -> dict[str, Kind]:
    hints = get_type_hints(NeuronRule, include_extras=True)
    return {f.name: get_args(hints[f.name])[1] for f in fields(NeuronRule)}


PARAMETERS = _kinds()
"""The kind of every field of a rule, the threshold first."""
LEVELS = {name: kind for name, kind in PARAMETERS.items() if isinstance(kind, Level)}
"""Of these, those of each channel."""


def later(kind: type) -> dict[str, Any]:
    """Fields of a dataclass that came later, which are keyword-only, with their defaults. What is
    at its default is left out of files and of the hashes that are made of them, so that those from
    before stay what they are."""
    return {f.name: f.default for f in fields(kind) if f.kw_only and f.default is not MISSING}


def step_of(
    values: Mapping[str, Any],
    where: Callable[..., Any],
    fires: Callable[[Any], Any],
    channel: Callable[[Any], Any],
    decay: Callable[[Any, Any], Any],
) -> Step:
    """The step of a rule's ``values`` by field, whole or real numbers; functions as of
    `NeuronRule.step`, ``fires`` of the membranes."""

    def memory(how: Any) -> Any:
        return (lambda register: register) if how == UNDAMPED else lambda v: decay(v, how)

    given = {}
    for f in fields(Step):
        kind, value = PARAMETERS.get(f.name), values.get(f.name)
        if isinstance(kind, Level) and value is not None:
            value = channel(value)
        elif isinstance(kind, Factor) and value is not None:
            value = memory(value)
        given |= {f.name: value} if kind is not None else {}
    return Step(where=where, fires=fires, **given)
