"""What the ``[network]`` of a recipe may say: every value has its kind, its range, and a form that
hardware has, so that nothing is trained that ``quantize`` would refuse.
"""

import math
from dataclasses import fields
from typing import Any

from sterna.gen.quantize.float_network import FloatNeuron, FloatReadout
from sterna.gen.quantize.neuron_rules import nearest_decay
from sterna.golden.errors import UsageError
from sterna.golden.network import CODINGS, MAX_STEPS, READOUT_MODES
from sterna.golden.parameters import Factor, Level, Whole, Word
from sterna.golden.rule import PARAMETERS, RESETS
from sterna.golden.words.names import not_one_of

__all__ = ["check_settings"]

MOST = 1e6  # of thresholds, biases and the like: more is no number that trains
NEURON_RESETS = tuple(r for r in RESETS if r != "none")


def check_settings(where: str, d: dict[str, Any]) -> None:
    """UsageError where a value of [network], except ``layers``, cannot be: key, value, what can."""
    if not _whole(d["steps"], 1, MAX_STEPS):
        raise UsageError(
            f"{where}: steps {d['steps']!r} is not a whole number above 0 and up to {MAX_STEPS}"
        )
    shape = d["shape"]
    if not (
        isinstance(shape, list) and len(shape) == 3 and all(_whole(v, 1, 1 << 20) for v in shape)
    ):
        raise UsageError(f"{where}: shape {shape!r} is not [channels, height, width]; correct it")
    for key, word, legal in (
        ("kind", d.get("kind", "ternary"), ("ternary", "binary", "real")),
        ("coding", d.get("coding", "direct"), CODINGS),
        ("weight_threshold", d.get("weight_threshold", "fixed"), ("fixed", "learned")),
        ("activation", d.get("activation", "spikes"), ("spikes", "relu")),
    ):
        if word not in legal:
            raise UsageError(f"{where}: {key} {not_one_of(word, legal)}")
    if d.get("activation") == "relu" and (d.get("kind") != "real" or d["steps"] != 1):
        raise UsageError(
            f'{where}: activation "relu" is of an ANN to learn from, without time; write kind = '
            '"real" and steps = 1, or remove it'
        )
    for key, least, most in (("bits", 1, 8), ("seed", 0, (1 << 32) - 1)):
        if key in d and not _whole(d[key], least, most):
            raise UsageError(
                f"{where}: [network] {key} {d[key]!r} is not a whole number from {least} to "
                f"{most}; correct it"
            )
    if d.get("coding") in ("rate", "latency") and d.get("bits", 8) != 8:
        raise UsageError(
            f"{where}: [network] bits {d['bits']} is not possible: {d['coding']} coding reads "
            "pixels of 8; remove it"
        )
    for key, node in (("neuron", FloatNeuron), ("readout", FloatReadout)):
        _check_rule(where, key, node, d.get(key, {}), d.get("kind") == "real")


def _check_rule(where: str, key: str, node: type, table: Any, real: bool) -> None:
    """The table ``neuron`` or ``readout``; ``real``: of a network that hardware never sees."""
    known = {f.name for f in fields(node)} - {"name", "inputs", "norm"}
    if not isinstance(table, dict) or set(table) - known:
        wrong = min(set(table) - known) if isinstance(table, dict) else table
        raise UsageError(
            f"{where}: {key} has {wrong!r}; it is a table of {', '.join(sorted(known))}"
        )
    for name, value in table.items():
        if (what := _wrong_setting(key, name, value)) is not None:
            raise UsageError(f"{where}: {key} {name} {value!r} is not {what}; correct it")
        kind = PARAMETERS.get(name)
        if isinstance(kind, Factor) and value not in kind.words and value != 1 and not real:
            near = nearest_decay(value)
            factor = 1.0 if near is None else near.factor
            if abs(factor - value) > 1e-9:
                raise UsageError(
                    f"{where}: {key} {name} {value!r} is no whole number of 1/4096, as hardware's "
                    f"are; write the nearest, {factor}"
                )
    if key == "readout":
        _check_readout(where, table.get("mode", "membrane"), table.get("reset", "none"))


def _check_readout(where: str, mode: str, reset: str) -> None:
    """A count is of neurons that are reset, the other modes' membranes never are."""
    if mode not in READOUT_MODES:
        raise UsageError(
            f"{where}: readout mode {mode!r} cannot be trained; choose one of "
            f"{', '.join(READOUT_MODES)}"
        )
    if (mode == "count") == (reset == "none"):
        legal = " or ".join(f'"{r}"' for r in (NEURON_RESETS if mode == "count" else ("none",)))
        raise UsageError(
            f"{where}: readout reset {reset!r} is not possible with mode {mode!r}; write reset = "
            f"{legal}"
        )


def _wrong_setting(key: str, name: str, value: Any) -> str | None:
    """What a value of neuron or readout ought to be, None where it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    size: Any = value if number else math.inf
    kind = PARAMETERS.get(name)
    if name == "strict":
        return None if isinstance(value, bool) else "true or false"
    if name == "amplitude":
        return None if 1 / MOST <= size <= MOST else f"a number from {1 / MOST:g} to {MOST:g}"
    if isinstance(kind, Whole):
        wanted = "0 or 1" if kind.most == 1 else f"a whole number from 0 to {kind.most}"
        return None if _whole(value, 0, kind.most) else wanted
    if isinstance(kind, Factor):
        return None if value in kind.words or 0 <= size <= 1 else "a factor from 0 to 1"
    if isinstance(kind, Level):
        if isinstance(value, list):
            return "one number for all channels (what differs is for the batch norm to learn)"
        return None if abs(size) <= MOST else f"a finite number from {-MOST:g} to {MOST:g}"
    if not isinstance(value, str) or not isinstance(kind, Word):
        return None if isinstance(value, str) else "a text"
    legal = kind.words if name != "reset" or key == "readout" else NEURON_RESETS
    return None if value in legal else f"one of {', '.join(legal)}"


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
