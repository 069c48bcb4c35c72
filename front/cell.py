"""What a front end knows of a foreign neuron, in the words of ``FloatNeuron``; handlers by class.

A framework is one file that fills `CELLS`. Classes are found by name, so that no framework is
imported unless the user's model did it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CELLS", "Cell", "handler_of", "handles"]


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


CELLS: dict[str, Callable[[Any, str], Cell]] = {}
"""By 'package.Class': (module, its path) -> Cell, or NetworkError."""


def handles(*names: str) -> Callable[[Callable[[Any, str], Cell]], Callable[[Any, str], Cell]]:
    """Register a handler for classes 'package.Class'."""

    def register(function: Callable[[Any, str], Cell]) -> Callable[[Any, str], Cell]:
        for name in names:
            CELLS[name] = function
        return function

    return register


def handler_of(module: Any) -> Callable[[Any, str], Cell] | None:
    """The handler of a module's own class (not of a parent's: a subclass may compute otherwise)."""
    kind = type(module)
    return CELLS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
