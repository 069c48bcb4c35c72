"""Cores that join streams without weights: what a plan, a design and a top ask of each kind.

One more is its class here; its hardware is named in `sterna.hw.top.network_top`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from sterna.gen.design.graph import CoreNodes
from sterna.gen.design.meet import merge_edges, merge_spec, shortcut_edge
from sterna.gen.design.specs import pool_spec
from sterna.gen.design.streams import pool_edge
from sterna.golden.network import Merge, Network, Node, Pool
from sterna.hw.stream.edge import Edge

__all__ = ["StreamCore", "stream_core"]


class StreamCore(ABC):
    """windowed: it has a line buffer, which takes one stream in beats of its own choice."""

    windowed = False

    @abstractmethod
    def wish(self, network: Network, nodes: CoreNodes, given: Edge | None, target: int) -> Edge:
        """The stream that it would like at its first input, whose maker makes ``given`` (None:
        anything)."""

    @abstractmethod
    def edges(
        self, network: Network, nodes: CoreNodes, given: Sequence[Edge], target: int
    ) -> list[Edge]:
        """The streams at all inputs, whose makers make ``given``."""

    @abstractmethod
    def spec(self, network: Network, name: str, edges: Sequence[Edge], spare: int = 0) -> Any:
        """Its `CoreSpec`, fed by ``edges``; ``spare`` as of `Geometry`. Of a windowed core with the
        ``visit_clocks`` of its only line buffer."""


class _Pool(StreamCore):
    windowed = True

    def wish(self, network: Network, nodes: CoreNodes, given: Edge | None, target: int) -> Edge:
        return pool_edge(network, nodes, given, target)

    def edges(
        self, network: Network, nodes: CoreNodes, given: Sequence[Edge], target: int
    ) -> list[Edge]:
        return [self.wish(network, nodes, given[0], target)]

    def spec(self, network: Network, name: str, edges: Sequence[Edge], spare: int = 0) -> Any:
        return pool_spec(network, name, edges[0], spare)


class _Merge(StreamCore):
    def wish(self, network: Network, nodes: CoreNodes, given: Edge | None, target: int) -> Edge:
        return shortcut_edge(network, nodes.sources[0], given, None, target)

    def edges(
        self, network: Network, nodes: CoreNodes, given: Sequence[Edge], target: int
    ) -> list[Edge]:
        return merge_edges(network, nodes.name, list(given), target)

    def spec(self, network: Network, name: str, edges: Sequence[Edge], spare: int = 0) -> Any:
        return merge_spec(network, name, list(edges))


_CORES: dict[type[Node], StreamCore] = {Pool: _Pool(), Merge: _Merge()}


def stream_core(node: Node) -> StreamCore | None:
    """The core that computes a node; None for those that weights or neurons belong to."""
    return _CORES.get(type(node))
