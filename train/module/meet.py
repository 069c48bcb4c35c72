"""What happens where streams meet: merges of spikes, and the ratios of a neuron's inputs."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from sterna.gen.quantize.float_network import (
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.golden.errors import NetworkError
from sterna.golden.rule import MAX_SHIFT

__all__ = ["Scales", "find_scales", "merge"]

SAME = 1e-4  # relative difference up to which a ratio counts as whole, as in gen.quantize.scales


@dataclass(frozen=True)
class Scales:
    """Inputs of a neuron in units of ``base``, the weighted input with the smallest unit:
    ``times[name]`` is a power of two (weighted) or a whole number (spikes). pool: of its sums."""

    base: Weighted
    times: dict[str, int]
    pool: FloatPool | None = None


def find_scales(network: FloatNetwork, node: FloatNeuron | FloatReadout) -> Scales:
    """How a neuron's inputs meet. NetworkError where a ratio cannot be built.

    A single weighted input has no ratio, whatever its scale; several need a fixed ``unit`` each.
    """
    found = {i: s for i in node.inputs if (s := network.sums(i)) is not None}
    if not found:
        raise NetworkError(f"node '{node.name}': needs a Conv2d or Linear; connect one")
    if len(node.inputs) == 1:
        ((name, only),) = found.items()
        return Scales(only.weighted, {name: 1}, only.pool)
    if len(set(node.inputs)) < len(node.inputs):
        raise NetworkError(f"node '{node.name}': reads one input twice; use a larger unit instead")
    worth = {
        i: network.amplitude[s.weighted.input] * (s.weighted.unit or 1.0) * network.amplitude[i]
        for i, s in found.items()
    }
    base = min(found, key=lambda i: worth[i])
    worth |= {i: network.amplitude[i] for i in node.inputs if i not in worth}
    times: dict[str, int] = {}
    for name in node.inputs:
        ratio = worth[name] / worth[base]
        whole = round(ratio)
        power = whole > 0 and whole & (whole - 1) == 0 and whole <= 1 << MAX_SHIFT
        is_weighted = name in found
        if abs(ratio - whole) > SAME * ratio or not whole or (is_weighted and not power):
            wanted = f"a power of two up to 2**{MAX_SHIFT}" if is_weighted else "a whole number"
            raise NetworkError(
                f"node '{node.name}': inputs '{base}' and '{name}' meet as 1 : {ratio:g}, not "
                f"{wanted}; choose other units"
            )
        times[name] = whole
    return Scales(found[base].weighted, times, found[base].pool)


def merge(node: FloatMerge, parts: list[Tensor], shifts: tuple[int, ...], size: float) -> Tensor:
    """Merged stream [T,B,C,H,W]; gradients of 'or', 'and' and 'andnot' are those of the
    polynomials a+b-ab, ab and a(1-b), which equal the logic on spikes.

    ``shifts``: of integer streams (real ones need none); ``size``: what a spike is in the streams.
    """
    scaled = [p * float(1 << k) if k else p for p, k in zip(parts, shifts, strict=True)]
    if node.mode == "add":
        return sum(scaled[1:], scaled[0])
    if node.mode == "concat":
        return torch.cat(scaled, dim=2)
    bits = [p / size if size != 1.0 else p for p in parts]
    if node.mode == "or":
        out = reduce(lambda a, b: a + b - a * b, bits)
    elif node.mode == "and":
        out = reduce(lambda a, b: a * b, bits)
    else:
        out = bits[0] * (1 - bits[1])
    return out * size if size != 1.0 else out
