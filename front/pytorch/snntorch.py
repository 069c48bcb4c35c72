"""snnTorch's neurons (1.0.0), found by test against its own forward pass.

Its reset comes at the beginning of the next step: v[t] = beta*v[t-1] + x[t] - reset(v[t-1]). So a
subtraction of the threshold there is one of threshold/beta here, at once; a reset to zero is the
same at either time, as long as it clears what is left of the membrane, not the input.
"""

from typing import Any

import numpy as np

from sterna.front.cell import Cell, handles, number_of, refuses
from sterna.front.pytorch.surrogates import is_strict
from sterna.golden.errors import NetworkError

__all__: list[str] = []

PARALLEL = "computes its membrane without steps or resets"
RECURRENT = "feeds its own spikes back, and recurrent edges are not built yet"
_OTHERS = {
    "SpikingNeuron": "is only a base of others",
    "LIF": "is only a base of others",
    "RLeaky": RECURRENT,
    "RSynaptic": RECURRENT,
    "SLSTM": "is an LSTM, whose gates multiply",
    "SConv2dLSTM": "is an LSTM, whose gates multiply",
    "LeakyParallel": PARALLEL,
    "LeakyKernel": PARALLEL,
    "StateLeaky": PARALLEL,
    "AssociativeLeaky": PARALLEL,
    "Alpha": "divides by its own time constants in a second-order kernel",
    "LinearLeaky": "has weights of its own inside",
    "DeltaLeaky": "gives graded differences, not spikes",
}

_GRADIENTS = "without effect: gradients only"
FIRING = {
    "threshold": "exact: a number, or one a channel; one a neuron is refused",
    "spike_grad": "exact where it spikes, which is tried; its gradient is not used",
    "surrogate_disable": _GRADIENTS,
    "init_hidden": "exact: where the membrane is kept",
    "inhibition": "refused: only the largest membrane would fire",
    "learn_threshold": _GRADIENTS,
    "reset_mechanism": "exact for 'none' and 'subtract'; 'zero' as the class says",
    "state_quant": "refused: membranes are exact integers here",
    "output": "exact: what is returned",
    "beta": "exact: the leak, cut to 0 .. 1; 0 with 'subtract', or one a neuron, is refused",
    "learn_beta": _GRADIENTS,
}
GRADED = {
    "graded_spikes_factor": "exact above 0: the amplitude of a spike",
    "learn_graded_spikes_factor": _GRADIENTS,
}
DELAY = {"reset_delay": "exact; False with 'subtract' is approximated"}
_RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def _common(module: Any, path: str) -> dict[str, Any]:
    if module.inhibition:
        raise NetworkError(
            f"module '{path}': inhibition=True lets only the largest membrane fire, which cannot "
            "be built; use inhibition=False"
        )
    if module.state_quant:
        raise NetworkError(
            f"module '{path}': state_quant rounds the membrane its own way, which cannot be built; "
            "leave it out (membranes are exact integers here)"
        )
    _check_reset(module, path)
    return {
        "threshold": number_of(module, "threshold", path, one=False),
        "strict": is_strict(module.spike_grad, path),
        "amplitude": _amplitude(module, path),
        "membrane": module.reset_mechanism == "none",
    }


def _check_reset(module: Any, path: str) -> None:
    """What was chosen when the neuron was made is what its buffer and its name say: each of them
    decides a part of its forward pass."""
    own = _RESETS.get(getattr(module.state_function, "__name__", ""), "")
    by_value = list(module.reset_dict)[int(module.reset_mechanism_val)]
    if not own == by_value == module.reset_mechanism:
        raise NetworkError(
            f"module '{path}': was made with reset_mechanism '{own}' and changed to '{by_value}' "
            "since, which only a part of it follows; make it anew with the one you mean"
        )


def _amplitude(module: Any, path: str) -> float:
    value = number_of(module, "graded_spikes_factor", path)
    if value <= 0:
        raise NetworkError(
            f"module '{path}': graded_spikes_factor {value:g} is not positive; fold its sign into "
            "the weights of the next layer"
        )
    return value


def _decay(module: Any, name: str, path: str) -> float:
    return min(max(number_of(module, name, path), 0.0), 1.0)  # clamped there, too


def _delayed_subtract(path: str, leak: float, threshold: Any) -> Any:
    if leak == 0:
        raise NetworkError(
            f"module '{path}': beta 0 with reset_mechanism='subtract' takes the threshold off the "
            "next step's input, which cannot be built; use reset_mechanism='zero'"
        )
    return None if leak == 1 else threshold / leak


_SUBTRACT_AT_ONCE = (
    "reset_delay=False subtracts the threshold again at the next step while the membrane is "
    "above it; here it is subtracted once a spike"
)


@handles("snntorch.Leaky", arguments=FIRING | GRADED | DELAY)
def _leaky(module: Any, path: str) -> Cell:
    common, leak = _common(module, path), _decay(module, "beta", path)
    return _with_reset(module, path, common, leak, None)


@handles(
    "snntorch.Synaptic",
    arguments=FIRING
    | DELAY
    | {"alpha": "exact: of the current, cut to 0 .. 1 as there", "learn_alpha": _GRADIENTS},
)
def _synaptic(module: Any, path: str) -> Cell:
    common, leak = _common(module, path), _decay(module, "beta", path)
    return _with_reset(module, path, common, leak, _decay(module, "alpha", path))


def _with_reset(
    module: Any, path: str, common: dict[str, Any], leak: float, synapse: float | None
) -> Cell:
    synapse_word: Any = "ramp" if synapse == 1 else synapse
    cell = {**common, "leak": leak, "synapse": synapse_word}
    if module.reset_mechanism == "none":
        return Cell(**cell, reset="none")
    if module.reset_mechanism == "subtract":
        if module.reset_delay:
            reset_by = _delayed_subtract(path, leak, common["threshold"])
            return Cell(**cell, reset="subtract", reset_by=reset_by)
        return Cell(**cell, reset="subtract", approximated=(_SUBTRACT_AT_ONCE,))
    if synapse is not None and module.reset_delay:
        note = (
            "reset_mechanism='zero' drops the current that arrives at the step of the reset; here "
            "it enters the empty membrane (reset_delay=False is exact)"
        )
        return Cell(**cell, reset="zero", approximated=(note,))
    if np.any(np.asarray(common["threshold"]) < 0):
        raise NetworkError(f"module '{path}': a threshold below 0 fires from an empty membrane")
    return Cell(**cell, reset="zero")


@handles(
    "snntorch.Lapicque",
    arguments=FIRING
    | {
        "R": "exact: leak 1 - time_step/(R*C)",
        "C": "exact: leak 1 - time_step/(R*C), gain time_step/C",
        "time_step": "exact: leak 1 - time_step/(R*C), gain time_step/C",
        "beta": "exact: as R and C that it stands for",
    },
)
def _lapicque(module: Any, path: str) -> Cell:
    common = _common(module, path)
    r, c, dt = (number_of(module, n, path) for n in ("R", "C", "time_step"))
    leak, gain = 1 - dt / (r * c), dt / c
    if not 0 <= leak <= 1:
        raise NetworkError(
            f"module '{path}': R*C {r * c:g} and time_step {dt:g} give a leak of {leak:g}; choose "
            "time_step below R*C"
        )
    cell = {**common, "leak": leak, "gain": gain}
    if module.reset_mechanism == "none":
        return Cell(**cell, reset="none")
    if module.reset_mechanism == "subtract":
        return Cell(**cell, reset_by=_delayed_subtract(path, leak, common["threshold"]))
    note = (
        "reset_mechanism='zero' drops the input that arrives at the step of the reset; here it "
        "enters the empty membrane"
    )
    return Cell(**cell, reset="zero", approximated=(note,))


for _name, _why in _OTHERS.items():
    refuses(f"snntorch.{_name}", _why, "use snntorch.Leaky")
