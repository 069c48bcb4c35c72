"""Folding one layer's real neuron into an integer NeuronRule (DESIGN section 3).

Everything is divided by the channel's ``unit`` and multiplied by 2**F, in float64; '>=' becomes
ceil, '>' becomes floor + 1, the rest rounds half up (as a decay does in hardware).
"""

from dataclasses import dataclass, replace

import numpy as np

from sterna.gen.floatnet import FloatNeuron, FloatReadout
from sterna.golden.errors import NetworkError
from sterna.golden.rule import MAX_DECAY, Decay, NeuronRule

__all__ = [
    "Unit", "decay_of", "nearest_decay", "fold_rule", "is_lossless", "bias_in_start",
    "highest_membrane",
]  # fmt: skip

AnyNeuron = FloatNeuron | FloatReadout
WHOLE = 1e-9  # how near an integer counts as one


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
    """The Decay of a real factor; None for 1. NetworkError where no decay is within tolerance."""
    if factor == 1.0:
        return None
    best = nearest_decay(factor)
    away = abs(best.factor - factor)
    if not away <= max(tolerance, 0.0) + WHOLE:
        enough = f"{away:.3g}"
        enough = enough if float(enough) + WHOLE >= away else f"{away * 1.01:.3g}"  # rounded down
        raise NetworkError(
            f"node '{node}': {what} {factor} is not 1 - 2**-k1 [- 2**-k2]; train with the nearest, "
            f"{best.factor}, or allow it with leak_tolerance {enough} (sterna quantize "
            f"--leak-tolerance {enough})"
        )
    return best


def nearest_decay(factor: float) -> Decay:
    """The Decay that is nearest to a real factor, the simpler one of two."""
    choices = [Decay(k) for k in range(1, MAX_DECAY + 1)]
    choices += [Decay(a, b) for a in range(1, MAX_DECAY) for b in range(a + 1, MAX_DECAY + 1)]
    return min(choices, key=lambda d: (abs(d.factor - factor), d.k2 is not None))


def bias_in_start(node: AnyNeuron) -> bool:
    """True where all steps' biases may be added before t = 0: a membrane that only sums."""
    plain = node.leak == 1.0 and node.synapse is None
    return isinstance(node, FloatReadout) and node.mode == "membrane" and plain


def _per_step(node: AnyNeuron, unit: Unit) -> np.ndarray:
    """Real bias (O,) or (T,O): the layer's offset and the neuron's own bias."""
    own = 0.0 if node.bias is None else np.asarray(node.bias, np.float64)
    return unit.offset + own


def _start(node: AnyNeuron, unit: Unit) -> np.ndarray:
    return np.broadcast_to(np.asarray(node.v_init, np.float64), unit.size.shape)


def is_lossless(node: AnyNeuron, unit: Unit, steps: int) -> bool:
    """True where F = 0 loses nothing: one step, or only whole numbers added and no decay."""
    if bias_in_start(node) or (steps == 1 and node.synapse is None and node.reset != "none"):
        return True
    if node.leak != 1.0 or node.synapse not in (None, "ramp", 1.0):
        return False
    added = [_per_step(node, unit), _start(node, unit)]
    if node.reset == "subtract":
        added.append(np.asarray(_back(node), np.float64))
    return all(_whole(a / unit.size) for a in added)


def _back(node: AnyNeuron) -> np.ndarray:
    return np.asarray(node.threshold if node.reset_by is None else node.reset_by, np.float64)


def _whole(a: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - np.round(a)) <= WHOLE * np.maximum(1, np.abs(a))))


def _round(a: np.ndarray) -> np.ndarray:
    return np.floor(a + 0.5)


def fold_rule(
    node: AnyNeuron, unit: Unit, steps: int, fraction: int, tolerance: float
) -> tuple[NeuronRule, int]:
    """(rule, number of channels that can never fire) of a layer at F = ``fraction``."""
    per = 2.0**fraction / unit.size
    bias, start = _per_step(node, unit), _start(node, unit)
    real = np.broadcast_to(np.asarray(node.threshold, np.float64), unit.size.shape)
    back = np.broadcast_to(_back(node), unit.size.shape)
    leak = decay_of(node.name, "leak", node.leak, tolerance)
    synapse: Decay | str | None = None
    if node.synapse is not None:
        factor = 1.0 if node.synapse == "ramp" else float(node.synapse)
        synapse = decay_of(node.name, "synapse", factor, tolerance) or "ramp"
    if bias_in_start(node):
        total = bias.sum(0) if bias.ndim == 2 else bias * steps
        start, bias = start + total, np.zeros_like(start)
    elif steps == 1 and node.reset != "none" and node.synapse is None:
        # one step: all that is added is a shift of the threshold, exactly
        real = real - (bias[0] if bias.ndim == 2 else bias) - start * node.leak
        back, bias, start = real, np.zeros_like(start), np.zeros_like(start)
    exact = real * per
    threshold = np.floor(exact) + 1 if node.strict else np.ceil(exact)
    rule_bias, rule_start = _round(bias * per), _round(start * per)
    for what, a in (("bias", rule_bias), ("v_init", rule_start)):
        if np.any(np.abs(a) >= 2**31):
            raise NetworkError(
                f"node '{node.name}': {what} is {np.abs(a).max():.3g} units, more than 32 bits; "
                "its channel's gain is almost zero: set that gain to 0 or retrain"
            )
    highest = highest_membrane(unit, rule_bias, rule_start, leak, synapse, steps, fraction)
    silent = threshold > highest
    threshold = np.where(silent, highest + 1, threshold)
    threshold = np.maximum(threshold, -(2.0**30))  # reached by everything: any such value will do
    step_back = _round(back * per)
    step_back = np.where(silent | (np.abs(step_back) >= 2**31), threshold, step_back)
    if node.reset == "none" and not (isinstance(node, FloatReadout) and node.mode == "first_spike"):
        threshold = step_back = np.zeros_like(threshold)
        silent = np.zeros_like(silent)
    rule = NeuronRule(
        threshold, node.reset, step_back if node.reset == "subtract" else None,
        rule_bias if np.any(rule_bias) else None, rule_start if np.any(rule_start) else None,
        leak, synapse, getattr(node, "delay", 0), fraction, unit.shifts, unit.coef,
    )  # fmt: skip
    return rule, int(silent.sum())


def highest_membrane(
    unit: Unit, bias: np.ndarray, start: np.ndarray, leak: Decay | None,
    synapse: Decay | str | None, steps: int, fraction: int,
) -> np.ndarray:  # fmt: skip
    """The largest membrane each channel can reach if it never fires, float64 (O,)."""
    v = start.astype(np.int64)
    i = np.zeros_like(v)
    top = np.full(v.shape, np.iinfo(np.int64).min)
    for t in range(steps):
        now = bias[t] if bias.ndim == 2 else bias
        drive = (unit.high << fraction) + now.astype(np.int64)
        if synapse is not None:
            i = (synapse(i) if isinstance(synapse, Decay) else i) + drive
            drive = i
        v = (leak(v) if leak is not None else v) + drive
        top = np.maximum(top, v)
    return top.astype(np.float64)


def pattern_rule(
    node: AnyNeuron, rule: NeuronRule, fires: np.ndarray, unit: Unit, channels: np.ndarray
) -> NeuronRule:
    """``rule`` with the given binary channels made constant: fires (T, O) says when they do.

    Binary weights cannot be zero, so only 'never' and 'always' can be built: a threshold above
    or below all that the weights can add up to.
    """
    threshold = rule.threshold.astype(np.int64)
    back = np.array(rule.reset_by, np.int64)
    assert rule.bias is not None and rule.v_init is not None
    bias, start = np.array(rule.bias), np.array(rule.v_init)
    for o in np.flatnonzero(channels):
        if fires[:, o].any() and not fires[:, o].all():
            raise NetworkError(
                f"node '{node.name}': channel {o} has zero gain and fires at some steps only, "
                "which binary weights cannot do; use ternary weights or retrain"
            )
        bias[..., o], start[o] = 0, 0
        reach = (max(abs(int(unit.low[o])), int(unit.high[o])) << rule.fraction_bits) * len(fires)
        threshold[o] = -reach if fires[0, o] else reach + 1
        back[o] = 0
    return replace(rule, threshold=threshold, bias=bias, v_init=start,
                   reset_by=back if node.reset == "subtract" else None)  # fmt: skip
