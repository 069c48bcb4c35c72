"""SpikingJelly's neurons (2.0.0): charge, fire at v >= v_threshold, reset at once.

All its membranes begin at v_reset and leak towards it, so that u = v - v_reset begins at 0.
Surrogates and ``detach_reset`` matter for gradients only, ``backend`` for speed, ``store_v_seq``
for what is kept.
"""

from typing import Any

from sterna.front.cell import Cell, handles
from sterna.golden.errors import NetworkError

__all__: list[str] = []

_OTHERS = (
    "SimpleBaseNode BaseNode NonSpikingBaseNode SimpleIFNode SimpleLIFNode HalfThresholdIFNode "
    "ActivationAwareIFNode NonSpikingIFNode NonSpikingLIFNode ILIFNode PSN MaskedPSN SlidingPSN "
    "AdaptBaseNode IzhikevichNode QIFNode EIFNode RAFNode FlexSN FewSpikeNode "
    "OutlierAwareThresholdNode HGNode TernaryIFNode TernaryLIFNode STBIFNode DSRIFNode DSRLIFNode "
    "ILCBaseNode ILCIFNode ILCLIFNode ILCCUBALIFNode GatedLIFNode KLIFNode ComplementaryLIFNode "
    "CUBALIFNode LIAFNode MPBNBaseNode MPBNLIFNode NoisyBaseNode NoisyCUBALIFNode "
    "NoisyILCBaseNode NoisyILCCUBALIFNode NoisyNonSpikingBaseNode NoisyNonSpikingIFNode "
    "OTTTLIFNode SLTTLIFNode"
).split()


def _cell(module: Any, path: str, part: float, decayed: bool) -> Cell:
    """``part`` is 1/tau, 0 for none; ``decayed``: the input is divided by tau, too."""
    if not 0 <= part <= 1:
        raise NetworkError(f"module '{path}': tau {1 / part:g} is below 1; choose one from 1")
    if getattr(module, "_neuron_precision", None) is not None:
        raise NetworkError(
            f"module '{path}': keeps its membrane in another precision; leave that out"
        )
    threshold, low = float(module.v_threshold), module.v_reset
    if low is None:
        reset, level, back = "subtract", threshold, threshold
    else:
        reset, level, back = "zero", threshold - float(low), None
    gain = part if decayed else 1.0
    return Cell(1 - part, threshold=level, reset=reset, reset_by=back, gain=gain)


@handles("spikingjelly.IFNode")
def _if(module: Any, path: str) -> Cell:
    return _cell(module, path, 0.0, False)


@handles("spikingjelly.LIFNode")
def _lif(module: Any, path: str) -> Cell:
    return _cell(module, path, 1 / float(module.tau), bool(module.decay_input))


@handles("spikingjelly.ParametricLIFNode")
def _plif(module: Any, path: str) -> Cell:
    part = float(module.w.detach().double().sigmoid())
    return _cell(module, path, part, bool(module.decay_input))


def _refuse(name: str) -> None:
    @handles(f"spikingjelly.{name}")
    def refuse(module: Any, path: str) -> Cell:
        raise NetworkError(
            f"module '{path}': spikingjelly's {name} is not a neuron that is built; use IFNode, "
            "LIFNode or ParametricLIFNode"
        )


for _name in _OTHERS:
    _refuse(_name)
