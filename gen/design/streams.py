"""The streams between cores: which lanes and planes a beat has where two foldings meet."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from sterna.gen.design.folding import Folding
from sterna.gen.design.graph import CoreNodes
from sterna.gen.design.legal import is_depthwise
from sterna.gen.design.specs import conv_geometry, input_map, pool_spec
from sterna.gen.device.storage import memory_prices
from sterna.golden.errors import DesignError
from sterna.golden.network import Network, WeightedNode
from sterna.golden.window import window_split
from sterna.hw.stream.edge import MAX_WIDTH, Edge
from sterna.hw.stream.gear_path import clocks_per_pixel

__all__ = ["input_edge", "pool_edge", "pixels_of", "SLACK"]

SLACK = 0.95
"""Streams between cores are planned for this share of the bound: a core that takes input exactly as
fast as it computes waits a few clocks a row for the slots it has just freed."""


def input_edge(
    network: Network,
    name: str,
    folding: Folding,
    given: Edge | None,
    target: int,
    family: str,
) -> Edge:
    """The stream at the line buffer of the weighted node ``name``, whose producer makes ``given``.

    ``target``: clocks an image. DesignError where no beat is narrow enough.
    """
    node = network.weighted(name)
    edges = list(_input_edges(network, node, folding))
    if not edges:
        raise DesignError(
            f"node '{name}': a window word of simd {folding.simd} x tp {folding.tp} "
            f"is wider than {MAX_WIDTH} bits; use a smaller simd or tp"
        )
    # Fast enough first, then no gearbox, then the smallest line buffer.
    waits = [_waits(network, node, e, given, target) for e in edges]
    best = [e for e, wait in zip(edges, waits, strict=True) if wait == min(waits)]
    if len(best) == 1:
        return best[0]
    return min(best, key=lambda e: _buffer_cost(network, node, e, folding, family))


def pixels_of(network: Network, node: Any) -> int:
    """Pixels of the map a core's line buffer sees."""
    _, h, w = input_map(network, node)
    return h * w


def _input_edges(network: Network, node: WeightedNode, folding: Folding) -> Iterator[Edge]:
    """Streams a core's line buffer can take: whole window words, or several side by side."""
    shape = network.shape[node.input]
    split = window_split(node, shape, folding.simd)
    channels = input_map(network, node)[0]
    planes, tp = network.planes(node.input), folding.tp
    lanes = [split.channels]
    if is_depthwise(node, shape):
        lanes = [folding.pe]
    elif node.groups == 1:
        some = range(split.channels, channels + 1, split.channels)
        lanes = [n for n in some if channels % n == 0]
    for n in lanes:
        for pb in range(tp, planes + 1, tp):
            if n * pb <= MAX_WIDTH and (pb == tp or planes % pb == 0):
                yield Edge(channels, n, planes, pb)


def _waits(
    network: Network, node: WeightedNode, edge: Edge, given: Edge | None, target: int
) -> tuple[int, bool]:
    """Clocks an image too many, and whether a gearbox stands before the line buffer."""
    pixels = pixels_of(network, node)
    beats, gear = edge.beats_per_pixel * pixels, False
    if given is not None:
        pb = max(1, min(edge.pb, given.planes, MAX_WIDTH // given.lanes))
        same = Edge(given.channels, given.lanes, given.planes, pb)
        beats = max(beats, clocks_per_pixel(same, edge) * pixels)
        gear = same != edge
    return max(0, beats - int(SLACK * target)), gear


_COSTS: "WeakKeyDictionary[Network, dict[Any, float]]" = WeakKeyDictionary()


def _buffer_cost(
    network: Network, node: WeightedNode, edge: Edge, folding: Folding, family: str
) -> float:
    """Rough LUT4 of a line buffer whose words are ``edge``'s beats: memory, then selection."""
    known = _COSTS.setdefault(network, {})
    # What else there is of a folding makes no difference.
    key = node.name, edge, folding.simd, folding.tp, folding.nest, family
    if key not in known:
        known[key] = _new_buffer_cost(network, node, edge, folding, family)
    return known[key]


def _new_buffer_cost(
    network: Network, node: WeightedNode, edge: Edge, folding: Folding, family: str
) -> float:
    shape = network.shape[node.input]
    split = window_split(node, shape, folding.simd)
    g = conv_geometry(network, node.name, folding, edge)
    # In the widest shape of a block alone: with all of them, designs would get narrower beats.
    memory = min(memory_prices(edge.width, g.bank_depth, family, wide=True).values())
    choices = edge.lanes // split.channels * (edge.pb // folding.tp)
    if is_depthwise(node, shape):
        choices = edge.pb // folding.tp
    selection = (choices - 1) * folding.simd * folding.tp // 2
    return g.rows * g.columns * memory + selection


def pool_edge(network: Network, nodes: CoreNodes, made: Edge | None, target: int) -> Edge:
    """The producer's lanes, and the fewest planes a beat that keep up. Of pixels and of a merge,
    whose lanes are no folding's, narrower lanes where a step of theirs is too wide here."""
    channels = network.shape[nodes.sources[0]][0]
    planes, bits = network.planes(nodes.sources[0]), network.bits(nodes.sources[0])
    out_bits = network.bits(nodes.target)
    best: tuple[tuple[int, ...], Edge] | None = None
    _, height, width = network.shape[nodes.sources[0]]
    lanes = [d for d in range(1, channels + 1) if channels % d == 0]
    if made is not None and made.lanes * max(bits, out_bits) <= MAX_WIDTH:
        lanes = [made.lanes]
    for n in lanes:
        for pb in range(bits, planes + 1, bits):
            if n * max(pb, pb // bits * out_bits) > MAX_WIDTH or (pb > bits and planes % pb):
                continue
            edge = Edge(channels, n, planes, pb)
            clocks = pool_spec(network, nodes.name, edge).interval
            if made is not None and made.lanes != n:
                clocks = max(clocks, clocks_per_pixel(made, edge) * height * width)
            late = max(0, clocks - int(SLACK * target))
            key = late, edge.width
            if best is None or key < best[0]:
                best = key, edge
    assert best is not None  # one lane always fits
    return best[1]
