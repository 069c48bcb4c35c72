"""Banks of neuron scans (`hw.core.scan_banks`): where there may be several, and how many are of
use.
"""

from typing import Any

from sterna.gen.design.graph import weighted_inputs
from sterna.golden.errors import DesignError
from sterna.golden.network import Network, Neuron

__all__ = ["bank_choices", "banks_of", "check_banks"]


def banks_of(entry: dict[str, Any]) -> int:
    """Of a folding's entry."""
    return entry.get("banks", 1)


def _why_one(network: Network, name: str) -> str:
    """Why the neuron of weighted node ``name`` can have one bank only; empty where it can more."""
    target = network[network.readers(name)[0]]
    if not isinstance(target, Neuron):
        return f"'{target.name}' is a readout"
    if list(target.inputs) != weighted_inputs(network, target)[:1]:
        return f"'{target.name}' has several inputs"
    if target.rule.bias is not None and target.rule.bias.ndim == 2:
        return f"'{target.name}' has a bias for every time step"
    return ""


def bank_choices(network: Network, name: str, items: int) -> list[int]:
    """Banks worth a look where a visit has ``items`` clocks of window words: 1, then powers of two,
    then as many as let it last no longer."""
    most = 1 if _why_one(network, name) else -(-network.steps // items)
    return sorted({most, *(1 << k for k in range(most.bit_length()))})


def check_banks(network: Network, name: str, banks: int) -> None:
    """DesignError, naming the node, where it cannot have so many banks of neuron scans."""
    if type(banks) is not int or not 1 <= banks <= network.steps:
        raise DesignError(
            f"node '{name}': banks {banks!r} is not legal; use 1 to {network.steps}, one for every "
            "time step at most"
        )
    if banks > 1 and (why := _why_one(network, name)):
        raise DesignError(f"node '{name}': banks {banks} is not legal, because {why}; use 1")
