"""A layer's constants in units of its weighted sum, and the rule for ties (docs/arithmetic.md).

Weights, gains and thresholds are float32: five weights of 0.2 are 1.0000000149, not 1. So a number
of units that lies within 1e-6 of a whole number IS that number, a membrane that near to its
threshold is ON it, and logits that near are equal. quantize folds by this rule, the float
reference fires by it and training folds by it: all three use this file.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import (
    FloatNeurons,
    FloatReadout,
)
from sterna.gen.quantize.float_neurons import carried
from sterna.golden.errors import NetworkError
from sterna.golden.rule import LEVELS

__all__ = [
    "TIE",
    "MOST_TIE",
    "InUnits",
    "in_units",
    "bias_in_start",
    "bias_in_threshold",
    "is_whole",
    "levels_of",
    "ranks",
    "snap",
    "tie_width",
]

MOST_UNITS = 1e300  # times steps and 2**F it is a float64
TIE = 1e-6  # of the larger side of a comparison: some roundings of float32
MOST_TIE = 1e-3  # of a unit: no sum of integers is mistaken for its neighbour


def tie_width(size: Any, xp: ModuleType = np, unit: float = 1.0) -> Any:
    """How far from a whole number a value still is that number, by the ``size`` of what it was
    made of; a unit of the sum is ``unit``. ``xp``: numpy or torch."""
    near = TIE * xp.abs(size)
    return xp.where(near < MOST_TIE * unit, near, xp.ones_like(near) * (MOST_TIE * unit))


def snap(x: Any, size: Any = None, xp: ModuleType = np, unit: float = 1.0) -> Any:
    """x with what is whole but for the roundings of float32 made whole; ``size`` (default x): the
    largest of the numbers that x was added up from."""
    near = xp.round(x)
    width = tie_width(x if size is None else size, xp, unit)
    return xp.where(xp.abs(x - near) <= width, near, x)


def is_whole(a: np.ndarray) -> bool:
    """True where all of a, snapped before, are whole numbers."""
    return bool(np.all(a == np.round(a)))


def bias_in_start(node: FloatNeurons) -> bool:
    """True where all steps' biases may be added before t = 0: a membrane that only sums."""
    plain = not carried(type(node), vars(node))
    return isinstance(node, FloatReadout) and node.mode == "membrane" and plain


def bias_in_threshold(node: FloatNeurons, steps: int) -> bool:
    """True where no step hears of another, so that all that is added moves the threshold; but of
    readouts whose membranes count."""
    if isinstance(node, FloatReadout) and node.mode != "count":
        return False
    alone = steps == 1 or (node.leak == 0.0 and np.ndim(node.bias) < 2)
    plain = carried(type(node), vars(node)) <= {"leak", "synapse"} and node.synapse in (None, 0.0)
    return alone and plain and node.reset != "none"


@dataclass(frozen=True)
class InUnits:
    """Constants of a neuron layer per channel (O,) in units of its sum, float64, snapped.

    levels: by the rule's names, those that the node has, but the bias. bias: (O,) or (T,O), zero
    where it moved into the threshold or v_init. tie: how far from its threshold a membrane still is
    on it.
    """

    levels: dict[str, np.ndarray]
    bias: np.ndarray
    tie: np.ndarray

    @property
    def threshold(self) -> np.ndarray:
        return self.levels["threshold"]


def levels_of(node: FloatNeurons) -> dict[str, Any]:
    """The levels that a node has by the rule's names, real, but the bias; reset_by is the
    threshold where nothing else is said."""
    found = {name: getattr(node, name) for name in LEVELS if name != "bias"}
    if found["reset_by"] is None:
        found["reset_by"] = found["threshold"]
    return {name: value for name, value in found.items() if value is not None}


def in_units(node: FloatNeurons, size: np.ndarray, offset: np.ndarray, steps: int) -> InUnits:
    """``node`` in units of ``size`` (O,), > 0, with the layer's real input ``offset`` (O,)."""

    def units(what: str, value: Any) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            found = (np.zeros_like(size) + value) * per
        if not np.all(np.abs(found) <= MOST_UNITS):
            raise NetworkError(
                f"node '{node.name}': {what} is {np.abs(found).max():.3g} units of its weighted "
                "sum, more than float64 can be computed with; give numbers of ordinary size"
            )
        return found

    with np.errstate(over="ignore"):
        per = 1.0 / size
    own = 0.0 if node.bias is None else np.asarray(node.bias, np.float64)
    levels = {name: units(name, value) for name, value in levels_of(node).items()}
    bias = units("what is added at every step (biases, batch norms)", offset + own)
    start, real, none = levels["v_init"], levels["threshold"], np.zeros_like(size)
    largest = np.abs(real)
    if bias_in_start(node):
        total = bias.sum(0) if bias.ndim == 2 else bias * steps
        largest_start = np.maximum(np.abs(start), np.abs(total))
        levels["v_init"], bias = snap(start + total, largest_start), none
    elif bias_in_threshold(node, steps):
        added, left = bias[0] if bias.ndim == 2 else bias, start * node.leak
        largest = np.max([largest, np.abs(added), np.abs(left)], axis=0)
        levels["threshold"] = levels["reset_by"] = real - added - left
        levels["v_init"] = bias = none
    real = snap(levels.pop("threshold"), largest)
    levels = {"threshold": real} | {name: snap(a) for name, a in levels.items()}
    return InUnits(levels, snap(bias), tie_width(largest))


def ranks(v: np.ndarray, exact: bool = False) -> np.ndarray:
    """Place of each class's value in its row (B,n), in units: 0 the least, equal where they tie
    (``exact``: only where they are equal)."""
    order = np.argsort(v, axis=1, kind="stable")
    rising = np.take_along_axis(v, order, axis=1)
    width = 0.0 if exact else tie_width(np.abs(v).max(1, keepdims=True))
    place = np.zeros(v.shape)
    place[:, 1:] = np.cumsum(np.diff(rising, axis=1) > width, axis=1)
    out = np.empty_like(place)
    np.put_along_axis(out, order, place, axis=1)
    return out
