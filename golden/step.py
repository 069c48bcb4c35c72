"""One step of a neuron (docs/arithmetic.md), of integers or real numbers, numpy's or torch's.

The exact model, its numpy twin and the float reference all take this step; the bounds of registers
follow from the same resets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RESETS", "State", "Step"]

RESETS: dict[str, Callable[..., Any]] = {
    "subtract": lambda where, u, fired, by: where(fired, u - by, u),
    "zero": lambda where, u, fired, by: where(fired, 0, u),
    "once": lambda where, u, fired, by: u,
    "none": lambda where, u, fired, by: u,
}
"""The membrane after a step, of the one before the reset: never less for a larger ``u``, nor for a
smaller ``by``. 'once' also silences, see `Step`."""


@dataclass
class State:
    """What is kept between steps: v the membrane, i the current, silent where it is frozen."""

    v: Any
    i: Any
    silent: Any


@dataclass(frozen=True)
class Step:
    """Calling it with a `State`, which it changes, and the drive of a step gives (u, fired): the
    membranes before the reset, the spikes before the delay.

    where: the library's. fires: of the membranes. Others are the rule's, by its names: leak and
    synapse functions of a register, None without one; reset_by what 'subtract' takes away.
    ``current``, ``before`` and ``after`` are monotone in all that they are given: the bounds of
    registers are what they make of the ends of intervals.
    """

    where: Callable[..., Any]
    reset: str
    fires: Callable[[Any], Any]
    reset_by: Any
    leak: Callable[[Any], Any] | None = None
    synapse: Callable[[Any], Any] | None = None
    floor: Any = None

    def __call__(self, state: State, drive: Any) -> tuple[Any, Any]:
        state.i = self.current(state.i, drive)
        u = self.before(state.v, state.i)
        fired = self.fires(u)
        if self.reset == "once":
            u, fired = self.where(state.silent, state.v, u), fired & ~state.silent
            state.silent = state.silent | fired
        state.v = self.after(u, fired)
        return u, fired

    def current(self, i: Any, drive: Any) -> Any:
        """The current of a step, of the last one's."""
        return drive if self.synapse is None else self.synapse(i) + drive

    def before(self, v: Any, i: Any) -> Any:
        """The membrane before the reset, of the last step's and the current."""
        return (v if self.leak is None else self.leak(v)) + i

    def after(self, u: Any, fired: Any) -> Any:
        """The membrane behind the reset, not below its floor."""
        v = RESETS[self.reset](self.where, u, fired, self.reset_by)
        return v if self.floor is None else self.where(v < self.floor, self.floor, v)
