"""Neurons and readouts of a float network: the rule's fields in real numbers.

A field has the name that it has in ``golden.rule.NeuronRule``, and the kind that it has there says
what it may be here, how it becomes an integer (``gen.quantize.neuron_rules``) and what a recipe may
say of it (``train.module.settings``). numpy only: no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np

from sterna.gen.quantize.float_node import BatchNorm, FloatNode, changed
from sterna.golden.errors import NetworkError
from sterna.golden.nodes import READOUT_MODES, Neuron, Readout
from sterna.golden.parameters import Factor, Level, Word
from sterna.golden.rule import LEVELS, PARAMETERS
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["FloatNeuron", "FloatNeurons", "FloatReadout", "carried"]

_AT_ONCE = {"threshold", "strict", "reset", "reset_by", "bias", "v_init"}
_AROUND = {"name", "inputs", "mode", "delay", "amplitude", "norm"}


@dataclass(frozen=True, eq=False, repr=False)
class _Reader(FloatNode):
    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class _Mode(_Reader):
    mode: str = "membrane"


@dataclass(frozen=True, eq=False, repr=False)
class FloatNeurons(_Reader):
    """Base of the kinds with neurons; the same steps as ``golden.rule.NeuronRule``, of its fields
    of these names, without rounding.

    ``threshold``, ``reset_by``, ``v_init``, ``floor`` are a number or (C,), ``bias`` also (T, C);
    ``leak`` and ``synapse`` are factors (leak 1 = none; synapse None = none, 'ramp' = 1).
    ``strict`` fires at v > threshold instead of >=. Fields that came later are keyword-only.
    """

    threshold: Any = 1.0
    strict: bool = False
    reset: str = "subtract"
    reset_by: Any = None
    bias: Any = None
    v_init: Any = 0.0
    leak: float = 1.0
    synapse: float | str | None = None
    floor: Any = field(default=None, kw_only=True)

    def _converted(self) -> dict[str, Any]:
        refusal = f"node '{self.name}': strict {show(self.strict)} must be True or False"
        found = {"inputs": self._names(), "strict": values.flag(refusal, self.strict)}
        for name, kind in PARAMETERS.items():
            if isinstance(kind, Level) or not hasattr(self, name):
                continue  # those of each channel: `fitted`
            value = getattr(self, name)
            if isinstance(kind, Word):
                found[name] = self._choice(name, name, kind.words)
            elif isinstance(kind, Factor):
                found[name] = None if value is None and kind.words else self._factor(name, kind)
            else:
                found[name] = kind.checked(f"node '{self.name}': {name}", value)
        return found

    def fitted(self, channels: int, steps: int) -> Self:
        found = {}
        for name, default in defaults(type(self)).items():
            if name not in LEVELS:
                continue
            value = getattr(self, name)
            if value is None and default is not None:
                raise NetworkError(
                    f"node '{self.name}': has no {name}; give a number or ({channels},)"
                )
            each_step = steps if LEVELS[name].each_step else None
            found[name] = self._channels(name, value, channels, each_step)
        return changed(self, found)

    def _factor(self, what: str, kind: Factor) -> float | str:
        """One factor of all channels, or a word; values for each only where they are one."""
        value = getattr(self, what)
        if isinstance(value, str):
            if value in kind.words:
                return str(value)
        elif (found := values.real(value)) is not None:
            return self.ordinary(what, found)
        elif np.ndim(a := self._array(what, value)) and a.size:
            if np.all(a == a.flat[0]):
                return float(a.flat[0])
            raise NetworkError(
                f"node '{self.name}': a {what} for each channel cannot be built; give one for all, "
                "or split the layer"
            )
        raise NetworkError(f"node '{self.name}': {what} {show(value)} must be a real number")


@dataclass(frozen=True, eq=False, repr=False)
class FloatNeuron(FloatNeurons):
    """Neurons in real numbers, see `FloatNeurons`.

    ``amplitude`` is the real value of a spike. ``norm`` is a batch norm over the sum of all inputs:
    what meets there keeps its ratios.
    """

    becomes: ClassVar[type[Any]] = Neuron
    delay: int = 0
    amplitude: float = 1.0
    norm: BatchNorm | None = None

    def _converted(self) -> dict[str, Any]:
        return super()._converted() | {"amplitude": self._positive("amplitude")}

    def fitted(self, channels: int, steps: int) -> Self:
        node = super().fitted(channels, steps)
        return changed(node, {"norm": self._norm(self.norm, channels)})

    def amplitude_of(self, amplitudes: Any) -> float:
        return self.amplitude


@dataclass(frozen=True, eq=False, repr=False)
class FloatReadout(FloatNeurons, _Mode):
    """The output, see `FloatNeurons`: 'membrane' (v after T steps), 'count' (spikes) or
    'first_spike'.

    Reads weighted nodes. ``threshold`` and ``reset`` matter for 'count' and 'first_spike'.
    """

    becomes: ClassVar[type[Any]] = Readout
    reset: str = "none"

    def _converted(self) -> dict[str, Any]:
        mode = self._choice("mode", "readout mode", READOUT_MODES)
        return super()._converted() | {"mode": mode}


def defaults(kind: type) -> dict[str, Any]:
    """Of the fields of a kind of neurons that have one."""
    return {f.name: f.default for f in fields(kind) if f.name not in ("name", "inputs")}


def carried(kind: type, given: Mapping[str, Any]) -> set[str]:
    """The fields among ``given`` by which a membrane is more than the sum of its inputs since its
    reset: all that are not at their default, but those that say when it fires, where it starts and
    to what it is reset. Who treats sums in a way of its own asks for these, so that a field that it
    does not know is none of its business."""
    kept = {k: v for k, v in defaults(kind).items() if k not in _AT_ONCE | _AROUND}
    return {k for k, v in kept.items() if k in given and (np.ndim(given[k]) or given[k] != v)}
