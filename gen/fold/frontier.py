"""The frontier of a network's foldings: estimated LUTs against clocks an image."""

from typing import Any

from sterna.gen.design.graph import walk
from sterna.gen.fold.choice import Limits
from sterna.gen.fold.complete import neuron_groups
from sterna.gen.fold.goals import read_given
from sterna.gen.fold.search import Search
from sterna.golden.network import Network

__all__ = ["frontier"]

SLOWEST = 1000
"""Times the clocks of the fastest design: beyond, hardly anything is saved."""


def frontier(
    network: Network, family: str, clock_mhz: float, points: int = 24
) -> list[dict[str, Any]]:
    """The cheapest designs of up to ``points`` rates, the fastest first, of which none is beaten by
    another: ``clocks_per_image``, ``fps`` and costs, each as the solver weighs it before buffers
    are sized. Memories and engines are the solver's choice."""
    cores = [n for group in neuron_groups(network, walk(network)) for n in group]
    said = read_given(network, cores, None)
    search = Search(network, said, family, clock_mhz, None, False, Limits())
    search.prepare()
    bounds = search.bounds()
    ratio = min(SLOWEST, bounds[-1] / bounds[0]) ** (1 / max(1, points - 1))
    wanted = [bounds[0] * ratio**n for n in range(points)]
    near = dict.fromkeys(min(bounds, key=lambda b: abs(b - w)) for w in wanted)
    found = sorted((search.at(b) for b in near), key=lambda c: (c.interval, c.estimate.total.luts))
    out: list[dict[str, Any]] = []
    least = float("inf")
    for choice in found:
        if choice.estimate.total.luts < least:
            least = choice.estimate.total.luts
            out.append(choice.as_dict(clock_mhz))
    return out
