"""The frontier of a network's foldings: estimated LUTs against clocks an image."""

from typing import Any

from sterna.gen.design.graph import walk
from sterna.gen.fold.choice import Choice, Limits
from sterna.gen.fold.complete import neuron_groups
from sterna.gen.fold.goals import read_given
from sterna.gen.fold.search import Search
from sterna.golden.network import Network

__all__ = ["candidates", "frontier"]

SLOWEST = 1000
"""Times the clocks of the fastest design: beyond, hardly anything is saved."""


def candidates(network: Network, family: str, clock_mhz: float, points: int = 24) -> list[Choice]:
    """The cheapest design of each of up to ``points`` rates, the fastest first, each once; as the
    solver weighs it before buffers are sized. Memories and engines are the solver's choice."""
    cores = [n for group in neuron_groups(network, walk(network)) for n in group]
    said = read_given(network, cores, None)
    search = Search(network, said, family, clock_mhz, None, False, Limits())
    search.prepare()
    bounds = search.bounds()
    ratio = min(SLOWEST, bounds[-1] / bounds[0]) ** (1 / max(1, points - 1))
    wanted = [bounds[0] * ratio**n for n in range(points)]
    near = dict.fromkeys(min(bounds, key=lambda b: abs(b - w)) for w in wanted)
    return sorted((search.at(b) for b in near), key=lambda c: (c.interval, c.estimate.total.luts))


def frontier(
    network: Network, family: str, clock_mhz: float, points: int = 24
) -> list[dict[str, Any]]:
    """Of the `candidates` those that none is better than: ``clocks_per_image``, ``fps`` and costs
    of each."""
    found = candidates(network, family, clock_mhz, points)
    luts = [c.estimate.total.luts for c in found]
    best = [c for n, c in enumerate(found) if luts[n] < min(luts[:n], default=float("inf"))]
    return [c.as_dict(clock_mhz) for c in best]
