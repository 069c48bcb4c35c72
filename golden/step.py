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

    where: the library's. leak, synapse: functions of a register, None without one. fires: of the
    membranes. by: what 'subtract' takes away.
    """

    where: Callable[..., Any]
    reset: str
    fires: Callable[[Any], Any]
    by: Any
    leak: Callable[[Any], Any] | None = None
    synapse: Callable[[Any], Any] | None = None

    def __call__(self, state: State, drive: Any) -> tuple[Any, Any]:
        state.i = drive if self.synapse is None else self.synapse(state.i) + drive
        u = (state.v if self.leak is None else self.leak(state.v)) + state.i
        fired = self.fires(u)
        if self.reset == "once":
            u, fired = self.where(state.silent, state.v, u), fired & ~state.silent
            state.silent = state.silent | fired
        state.v = RESETS[self.reset](self.where, u, fired, self.by)
        return u, fired
