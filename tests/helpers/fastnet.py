"""Deep networks with short intervals: many images in flight, and a few clocks are many percent."""

from dataclasses import dataclass

from fuzz import Limits, Seeded, network_by, random_network
from fuzzdag import GraphLimits, _GraphBuilder, random_graph
from fuzzrun import random_folding

from sterna.gen.design.design import Design
from sterna.gen.fold.fold import fold
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError, NetworkError
from sterna.golden.network import Network

__all__ = ["DEEP", "MOST", "deep_network", "fast_design", "folded_design"]

MOST = 64
"""Clocks of the longest interval."""


@dataclass(frozen=True)
class DeepLimits(GraphLimits):
    """``layers`` is the fewest of the longest way; there are up to half as many more."""


DEEP = DeepLimits(channels=6, side=4, layers=8, steps=4, planes=16, classes=6, work=60_000, skips=4)


class _DeepBuilder(_GraphBuilder):
    def build(self) -> Network:
        d, least = self.draw, self.limits.layers
        at = self.input()
        past: list[str] = []
        layers, skips = d.integer(least, least + least // 2), d.pick((0, 0, self.limits.skips))
        dense = d.chance(50)
        for _ in range(layers - 1):
            if dense:
                at = self.neuron(self.linear(at, d.integer(2, 2 * self.limits.channels)))
                continue
            some = min(skips, d.integer(0, 1))
            skips -= some
            at = self.layer(at, past, some)
            past.append(at)
        self.readout(at)
        return Network(self.steps, self.nodes, "deep")


def deep_network(draw: Seeded, limits: Limits = DEEP) -> Network:
    """A network of 8 to 12 layers, dense or with maps of a few pixels and some skips."""
    return network_by(_DeepBuilder, draw, limits)


def fast_design(seed: int, family: str | None = None) -> tuple[Network, Design]:
    """A deep network folded to at most :data:`MOST` clocks an image."""
    draw = Seeded(seed)
    while True:
        network = deep_network(draw)
        design = _folded(network, draw, draw.pick((1, 4, 16, 32)), family)
        if design is not None and design.interval <= MOST:
            return network, design


def folded_design(seed: int, limits: Limits) -> tuple[Network, Design]:
    """A random network of any kind, folded at random."""
    draw = Seeded(seed)
    while True:
        graph = isinstance(limits, GraphLimits)
        network = random_graph(draw, limits) if graph else random_network(draw, limits)
        if (design := _folded(network, draw, 4000, None)) is not None:
            return network, design


def _folded(network: Network, draw: Seeded, work: int, family: str | None) -> Design | None:
    wanted, width = family or draw.pick(tuple(FABRICS)), draw.pick((None, None, 32, 128))
    folding = random_folding(network, draw, work)
    try:
        return fold(network, folding, family=wanted, axis_width=width)
    except (DesignError, NetworkError):
        return None  # a beat above 512 bits, tables in an iCE40
