"""SpikingJelly's neurons (2.0.0): charge, fire at v >= v_threshold, reset at once.

Membranes begin at v_reset (those of its 'Simple' nodes at 0) and leak towards it: u = v - v_reset
begins at 0 (at -v_reset).
"""

from typing import Any

from sterna.front.cell import Cell, handles, number_of, refuses
from sterna.front.pytorch.surrogates import is_strict
from sterna.golden.errors import NetworkError

__all__: list[str] = []

FIRING = {
    "v_threshold": "exact",
    "v_reset": "exact: a number is a reset to it, None one that subtracts the threshold",
    "surrogate_function": "exact where it spikes, which is tried; its gradient is not used",
    "detach_reset": "without effect: gradients only",
    "step_mode": "exact: 's' and 'm'",
    "store_v_seq": "without effect: what is kept",
}
BACKENDS = {  # of SpikingJelly 0.0.0.0.14
    "backend": "without effect: speed",
    "cupy_fp32_inference": "without effect: speed",
}
LEAKING = {
    "tau": "exact: leak 1 - 1/tau, the nearest num/4096 where it is built",
    "decay_input": "exact: an input divided by tau, too",
}

_NO_NEURON = "is only a base of others"
_GRADED = "puts out numbers, not spikes"
_INSIDE = "has more inside than a leak and a threshold"
_RANDOM = "adds noise, which cannot be repeated"
_ALL_STEPS = "computes its steps from all of them at once"
_REFUSED = {
    "ActivationAwareIFNode": _INSIDE,
    "AdaptBaseNode": _NO_NEURON,
    "BaseNode": _NO_NEURON,
    "ComplementaryLIFNode": _INSIDE,
    "DSRIFNode": _ALL_STEPS,
    "DSRLIFNode": _ALL_STEPS,
    "EIFNode": "has an exponential in its membrane",
    "FewSpikeNode": "weighs spikes by their step",
    "FlexSN": "is made of a function of one's own",
    "GatedLIFNode": _INSIDE,
    "HGNode": "weighs spikes by their step",
    "ILCBaseNode": _NO_NEURON,
    "ILCCUBALIFNode": "is a population with learned outputs",
    "ILCIFNode": "is a population with learned outputs",
    "ILCLIFNode": "is a population with learned outputs",
    "ILIFNode": "fires several spikes a step",
    "IzhikevichNode": "has a square in its membrane",
    "KLIFNode": "rectifies and scales its membrane",
    "LIAFNode": _GRADED,
    "MPBNBaseNode": _NO_NEURON,
    "MPBNLIFNode": "has a batch norm in its membrane",
    "MaskedPSN": _ALL_STEPS,
    "NoisyBaseNode": _RANDOM,
    "NoisyCUBALIFNode": _RANDOM,
    "NoisyILCBaseNode": _RANDOM,
    "NoisyILCCUBALIFNode": _RANDOM,
    "NoisyNonSpikingBaseNode": _RANDOM,
    "NoisyNonSpikingIFNode": _RANDOM,
    "NonSpikingBaseNode": _NO_NEURON,
    "OTTTLIFNode": "puts out a trace with its spikes",
    "OutlierAwareThresholdNode": "weighs spikes by their step",
    "PSN": _ALL_STEPS,
    "QIFNode": "has a square in its membrane",
    "RAFNode": "oscillates",
    "SLTTLIFNode": "is trained online, with states of its own",
    "STBIFNode": "fires negative spikes, too",
    "SimpleBaseNode": _NO_NEURON,
    "SlidingPSN": _ALL_STEPS,
    "TernaryIFNode": "fires negative spikes, too",
    "TernaryLIFNode": "fires negative spikes, too",
}


def _cell(
    module: Any, path: str, part: float, decayed: bool, start: float | None = None, **more: Any
) -> Cell:
    """``part`` is 1/tau, 0 for none; ``decayed``: the input is divided by tau, too; ``start``: the
    first membrane where it is not v_reset."""
    if not 0 <= part <= 1:
        raise NetworkError(f"module '{path}': tau {1 / part:g} is below 1; choose one from 1")
    if getattr(module, "_neuron_precision", None) is not None:
        raise NetworkError(
            f"module '{path}': keeps its membrane in another precision; leave that out"
        )
    threshold, low = number_of(module, "v_threshold", path, one=False), module.v_reset
    if low is None:
        reset, level, back, begin = "subtract", threshold, threshold, start or 0.0
    else:
        low = number_of(module, "v_reset", path)
        reset, level, back = "zero", threshold - low, None
        begin = 0.0 if start is None else start - low
    return Cell(
        1 - part,
        threshold=level,
        strict=is_strict(module.surrogate_function, path),
        reset=reset,
        reset_by=back,
        gain=part if decayed else 1.0,
        v_init=begin,
        **more,
    )


@handles("spikingjelly.IFNode", arguments=FIRING | BACKENDS)
def _if(module: Any, path: str) -> Cell:
    return _cell(module, path, 0.0, False)


@handles("spikingjelly.SimpleIFNode", arguments=FIRING)
def _simple_if(module: Any, path: str) -> Cell:
    return _cell(module, path, 0.0, False, 0.0)


@handles("spikingjelly.HalfThresholdIFNode", arguments=FIRING)
def _half_if(module: Any, path: str) -> Cell:
    return _cell(module, path, 0.0, False, number_of(module, "v_threshold", path) / 2)


@handles("spikingjelly.LIFNode", arguments=FIRING | LEAKING | BACKENDS)
def _lif(module: Any, path: str) -> Cell:
    return _cell(module, path, 1 / number_of(module, "tau", path), bool(module.decay_input))


@handles("spikingjelly.SimpleLIFNode", arguments=FIRING | LEAKING)
def _simple_lif(module: Any, path: str) -> Cell:
    if module.v_reset is None:
        raise NetworkError(f"module '{path}': SimpleLIFNode leaks to v_reset, which is None")
    return _cell(module, path, 1 / number_of(module, "tau", path), bool(module.decay_input), 0.0)


@handles(
    "spikingjelly.ParametricLIFNode",
    arguments=FIRING | LEAKING | BACKENDS | {"init_tau": "exact: as tau, as it was trained"},
)
def _plif(module: Any, path: str) -> Cell:
    part = float(module.w.detach().double().sigmoid())
    return _cell(module, path, part, bool(module.decay_input))


@handles(
    "spikingjelly.CUBALIFNode",
    arguments=FIRING
    | {
        "v_reset": "exact where it is 0 or None; else refused, since the membrane leaks to 0",
        "c_decay": "exact: of the current",
        "v_decay": "exact: the leak",
    },
)
def _cuba(module: Any, path: str) -> Cell:
    if module.v_reset is not None and (low := number_of(module, "v_reset", path)) != 0:
        raise NetworkError(
            f"module '{path}': v_reset {low:g}, where the membrane leaks to 0, cannot "
            "be built behind a current; use v_reset 0 or None"
        )
    current, leak = (number_of(module, n, path) for n in ("c_decay", "v_decay"))
    for name, value in (("c_decay", current), ("v_decay", leak)):
        if not 0 <= value <= 1:
            raise NetworkError(f"module '{path}': {name} {value:g} is not from 0 to 1")
    return _cell(module, path, 1 - leak, False, synapse="ramp" if current == 1 else current)


@handles(
    "spikingjelly.NonSpikingIFNode",
    "spikingjelly.NonSpikingLIFNode",
    arguments={
        "decode": "exact: 'last_mem' and None, of which the last is read; others are refused",
        "tau": LEAKING["tau"],
    },
)
def _membrane(module: Any, path: str) -> Cell:
    if module.decode not in (None, "last_mem"):
        raise NetworkError(
            f"module '{path}': decode '{module.decode}' looks at all steps' membranes, which no "
            "readout does; use 'last_mem'"
        )
    part = 1 / number_of(module, "tau", path) if hasattr(module, "tau") else 0.0
    if not 0 <= part <= 1:
        raise NetworkError(f"module '{path}': tau {1 / part:g} is below 1; choose one from 1")
    return Cell(1 - part, reset="none", gain=part or 1.0, membrane=True)


for _name, _why in _REFUSED.items():
    refuses(f"spikingjelly.{_name}", _why, "use IFNode, LIFNode or ParametricLIFNode")
