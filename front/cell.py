"""What a front end knows of a foreign neuron, in the words of ``FloatNeuron``; handlers by class.

A framework is one file that fills `CELLS`. Classes are found by name, so that no framework is
imported unless the user's model did it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError

__all__ = [
    "ARGUMENTS",
    "CELLS",
    "REFUSED",
    "Cell",
    "handler_of",
    "handles",
    "multi_step",
    "number_of",
    "refuses",
]


@dataclass(frozen=True)
class Cell:
    """A foreign neuron layer, all steps.

    ``gain`` multiplies its input. ``approximated`` says, a sentence each, what is not as there;
    empty where it is exact. ``membrane`` is true where its membrane output is that of our membrane
    readout (never reset).
    """

    leak: float = 1.0
    synapse: float | str | None = None
    threshold: Any = 1.0
    strict: bool = False
    reset: str = "subtract"
    reset_by: Any = None
    bias: Any = None
    v_init: Any = 0.0
    amplitude: float = 1.0
    gain: float = 1.0
    membrane: bool = False
    notes: tuple[str, ...] = ()
    approximated: tuple[str, ...] = ()

    def settings(self, reset: str, reset_by: Any) -> dict[str, Any]:
        """Fields that a ``FloatNeuron`` and a ``FloatReadout`` have alike. What fires and is never
        reset takes nothing off."""
        if reset == "none":
            reset, reset_by = "subtract", 0.0
        return {
            "threshold": self.threshold,
            "strict": self.strict,
            "reset": reset,
            "reset_by": reset_by,
            "bias": self.bias,
            "v_init": self.v_init,
            "leak": self.leak,
            "synapse": self.synapse,
        }


Handler = Callable[[Any, str], Cell]
CELLS: dict[str, Handler] = {}
"""By 'package.Class': (module, its path) -> Cell, or NetworkError."""
ARGUMENTS: dict[str, dict[str, str]] = {}
"""By 'package.Class', what becomes of each argument of its ``__init__``; of refused classes
nothing."""
REFUSED: dict[str, str] = {}
"""By 'package.Class', why it cannot be built."""


def handles(*names: str, arguments: dict[str, str] | None = None) -> Callable[[Handler], Handler]:
    """Register a handler for classes 'package.Class', whose ``arguments`` have these verdicts."""

    def register(function: Handler) -> Handler:
        for name in names:
            CELLS[name] = function
            ARGUMENTS[name] = dict(arguments or {})
        return function

    return register


def refuses(name: str, why: str, way: str) -> None:
    """Register the class 'package.Class' as one that cannot be built."""

    def refuse(module: Any, path: str) -> Cell:
        raise NetworkError(f"module '{path}': {name} {why}; {way}")

    CELLS[name] = refuse
    REFUSED[name] = why


def handler_of(module: Any) -> Handler | None:
    """The handler of a module's own class (not of a parent's: a subclass may compute otherwise)."""
    kind = type(module)
    return CELLS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")


def number_of(module: Any, name: str, path: str, *, one: bool = True) -> Any:
    """A parameter as a number; an array of one value for each channel only where ``one`` is not."""
    value = getattr(module, name)
    a = np.asarray(value.detach().cpu().double().numpy() if hasattr(value, "detach") else value)
    a = a.astype(np.float64)
    if a.size and (a == a.flat[0]).all():
        return float(a.flat[0])
    if one:
        raise NetworkError(
            f"module '{path}': {name} has a value for each of {a.size} neurons; one for the layer "
            "can be built: split the layer"
        )
    wide = [n for n in a.shape if n != 1]
    if len(wide) == 1 and (a.ndim == 1 or a.shape[-1] == 1):
        return a.reshape(-1)
    raise NetworkError(
        f"module '{path}': {name} of shape {a.shape} is not one for each channel; give (C, 1, 1)"
    )


def multi_step(module: Any) -> bool:
    """Whether one call of a neuron computes all steps, [T, B, ...] (SpikingJelly's words)."""
    if getattr(module, "step_mode", "s") == "m":
        return True
    can = getattr(module, "supported_step_mode", None)
    return can is not None and tuple(can()) == ("m",)
