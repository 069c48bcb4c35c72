"""Folding one layer's real neuron into an integer NeuronRule (docs/arithmetic.md).

Everything is divided by the channel's ``unit`` (``gen.quantize.ties``) and multiplied by 2**F, in
float64; '>=' becomes ceil, '>' becomes floor + 1, the rest rounds half up (as a decay does in
hardware).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import (
    FloatNeurons,
    FloatReadout,
)
from sterna.gen.quantize.ties import InUnits, bias_in_start, bias_in_threshold, in_units, is_whole
from sterna.golden.bounds import highest_membrane, rule_bounds
from sterna.golden.errors import NetworkError
from sterna.golden.parameters import UNDAMPED, Factor, Whole, Word
from sterna.golden.rule import LEVELS, MAX_DECAY, PARAMETERS, Decay, NeuronRule

__all__ = [
    "Unit",
    "approximated",
    "decay_of",
    "decays_of",
    "nearest_decay",
    "nearest_simple",
    "integer_rule",
    "is_lossless",
    "bias_in_start",
    "pattern_rule",
]

SAME = 1e-9  # how near two factors are one
FACTORS = {name: kind for name, kind in PARAMETERS.items() if isinstance(kind, Factor)}
CHOSEN = {name for name, kind in PARAMETERS.items() if isinstance(kind, Word | Whole)}


@dataclass(frozen=True)
class Unit:
    """What a layer's integers stand for, per channel (O,).

    ``size``: real value of 1, > 0; ``offset``: real input of every step; ``constant``: channels
    whose weights do not count; ``low``, ``high``: range of the integer input x; ``shifts``,
    ``coef``: as in NeuronRule.
    """

    size: np.ndarray
    offset: np.ndarray
    constant: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shifts: tuple[int, ...] = (0,)
    coef: tuple[np.ndarray, ...] = ()


def decay_of(node: str, what: str, factor: float, tolerance: float) -> Decay | None:
    """The Decay of a real factor; None for 1: the nearest num/4096, or within ``tolerance`` one of
    one or two exponents, which costs less. NetworkError outside of 0 .. 1."""
    if abs(factor - 1.0) <= SAME:
        return None
    if not -SAME <= factor <= 1 + SAME:
        raise NetworkError(
            f"node '{node}': {what} {factor} is not from 0 to 1: hardware's are; train with a "
            f"{what} between them"
        )
    simple = nearest_simple(factor)
    if abs(simple.factor - factor) <= max(tolerance, 0.0) + SAME:
        return simple
    return nearest_decay(factor)


def nearest_decay(factor: float) -> Decay | None:
    """The Decay that is nearest to a real factor, the simpler one of two; None for 1."""
    num = round(factor * (1 << MAX_DECAY))
    exact = Decay(ratio=(num, MAX_DECAY)) if num < 1 << MAX_DECAY else None
    simple = nearest_simple(factor)
    real = 1.0 if exact is None else exact.factor
    return simple if abs(simple.factor - factor) <= abs(real - factor) else exact


def nearest_simple(factor: float) -> Decay:
    """The nearest of one or two exponents, the simpler one of two; 0 is no memory."""
    choices = [Decay(k) for k in range(1, MAX_DECAY + 1)]
    choices += [Decay(a, b) for a in range(1, MAX_DECAY) for b in range(a + 1, MAX_DECAY + 1)]
    choices.append(Decay(1, 1))
    return min(choices, key=lambda d: (abs(d.factor - factor), d.k2 is not None))


def approximated(node: FloatNeurons, rule: NeuronRule) -> tuple[str, ...]:
    """A sentence for each decay of ``rule`` that is not the real one of ``node``."""
    said = []
    for what, kind in FACTORS.items():
        made, real = getattr(rule, what), kind.real(getattr(node, what))
        factor = kind.real(made)
        if abs(factor - real) > SAME:
            ratio = f"{made.num}/{1 << made.shift}" if isinstance(made, Decay) else "1"
            said.append(f"{what} {real:.6g} is approximated by {ratio} = {factor:.6g}")
    return tuple(said)


def is_lossless(node: FloatNeurons, unit: Unit, steps: int) -> bool:
    """True where F = 0 loses nothing, whatever the images: all that is added moves the threshold,
    or is whole, and nothing decays but to 0."""
    if bias_in_threshold(node, steps):
        return True
    if any(kind.real(getattr(node, what)) not in (0.0, 1.0) for what, kind in FACTORS.items()):
        return False
    c = in_units(node, unit.size, unit.offset, steps)
    unused = {"threshold"} if node.reset == "subtract" else {"threshold", "reset_by"}
    return all(is_whole(a) for a in (c.bias, *(c.levels[k] for k in c.levels.keys() - unused)))


def _round(a: np.ndarray) -> np.ndarray:
    return np.floor(a + 0.5)


def integer_rule(
    node: FloatNeurons, unit: Unit, steps: int, fraction: int, tolerance: float
) -> tuple[NeuronRule, int]:
    """(rule, number of channels that can never fire) of a layer at F = ``fraction``."""
    c = in_units(node, unit.size, unit.offset, steps)
    per = 2.0**fraction
    levels = {k: _round(a * per) for k, a in {"bias": c.bias, **c.levels}.items()}
    step_back, threshold = levels.pop("reset_by"), whole_threshold(node, c, fraction)
    del levels["threshold"]
    for what, a in levels.items():
        _check_bits(node, what, a, "its channel's gain is almost zero: set that gain to 0")
    made: dict[str, Any] = {
        **{k: a for k, a in levels.items() if LEVELS[k].otherwise != "zero" or np.any(a)},
        **decays_of(node, tolerance),
        "fraction_bits": fraction,
        "shifts": unit.shifts,
        "coef": unit.coef,
    }
    free = NeuronRule(np.zeros(len(threshold)), "none", **made)
    highest = highest_membrane(free, unit.high, steps).astype(np.float64)
    silent = threshold > highest
    threshold = np.where(silent, highest + 1, threshold)
    threshold = np.maximum(threshold, -(2.0**30))  # reached by everything: any such value will do
    step_back = np.where(silent, threshold, step_back)
    if bias_in_threshold(node, steps):
        step_back = threshold  # of no effect
    if node.reset == "none" and not (isinstance(node, FloatReadout) and node.mode == "first_spike"):
        threshold = step_back = np.zeros_like(threshold)
        silent = np.zeros_like(silent)
    _check_bits(node, "threshold", threshold, "use fewer fraction bits or larger gains")
    if node.reset == "subtract":
        _check_bits(node, "reset_by", step_back, "use fewer fraction bits or larger gains")
    same = {k: getattr(node, k) for k in CHOSEN if hasattr(node, k)}
    step_back = step_back if node.reset == "subtract" else None
    return replace(free, threshold=threshold, reset_by=step_back, **same), int(silent.sum())


def decays_of(node: FloatNeurons, tolerance: float) -> dict[str, Decay | str | None]:
    """The rule's factors of those of the node; NetworkError where one is outside of 0 .. 1."""
    out: dict[str, Decay | str | None] = {}
    for what, kind in FACTORS.items():
        real = kind.real(getattr(node, what))
        near = decay_of(node.name, what, real, tolerance) if real != kind.absent else None
        out[what] = near or (UNDAMPED if kind.words and real != kind.absent else None)
    return out


def whole_threshold(node: FloatNeurons, c: InUnits, fraction: int) -> np.ndarray:
    """The least whole number of units of 2**-F at which the real neuron fires, float64 (O,)."""
    exact = c.threshold * 2.0**fraction
    near = np.round(exact)  # whole units are whole; parts of them may be met by a leak of a half
    exact = np.where(np.abs(exact - near) <= c.tie * 2.0**fraction, near, exact)
    return np.floor(exact) + 1 if node.strict else np.ceil(exact)


def _check_bits(node: FloatNeurons, what: str, a: np.ndarray, way: str) -> None:
    if np.any(np.abs(a) >= 2**31):
        raise NetworkError(
            f"node '{node.name}': {what} is {np.abs(a).max():.3g} units, more than 32 bits; "
            f"{way} or retrain"
        )


def pattern_rule(
    node: FloatNeurons, rule: NeuronRule, fires: np.ndarray, unit: Unit, channels: np.ndarray
) -> NeuronRule:
    """``rule`` with the given binary channels made constant: fires (T, O) says when they do.

    Binary weights cannot be zero, so only 'never' and 'always' can be built: a threshold above
    or below all that the weights can add up to.
    """
    threshold = rule.threshold.astype(np.int64)
    back = np.array(rule.reset_by, np.int64)
    bias, start = np.array(rule.bias), np.array(rule.v_init)
    bias[..., channels], start[channels] = 0, 0
    # what its weights, of any sign, add up to: the membrane of all steps, never reset
    most = np.maximum(np.abs(unit.low), np.abs(unit.high))
    free = replace(rule, reset="none", bias=None, v_init=None, reset_by=None)
    for o in np.flatnonzero(channels):
        if fires[:, o].any() and not fires[:, o].all():
            raise NetworkError(
                f"node '{node.name}': channel {o} has zero gain and fires at some steps only, "
                "which binary weights cannot do; use ternary weights or retrain"
            )
        x = np.zeros_like(most)
        x[o] = most[o]
        low, high = rule_bounds(free, (-x, x), len(fires)).u
        threshold[o] = low if fires[0, o] else high + 1
        back[o] = 0
    _check_bits(node, "threshold", threshold, "use fewer fraction bits")
    return replace(
        rule,
        threshold=threshold,
        bias=bias,
        v_init=start,
        reset_by=back if node.reset == "subtract" else None,
    )
