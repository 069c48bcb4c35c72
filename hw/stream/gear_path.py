"""The way of a gearbox from edge to edge: its steps, their clocks and what they keep."""

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from math import gcd, lcm

from sterna.golden.errors import DesignError
from sterna.hw.memory.shape import Memories, MemoryShape, inside
from sterna.hw.stream.buffers import Fifo
from sterna.hw.stream.edge import Edge

__all__ = [
    "BETWEEN",
    "clocks_per_pixel",
    "gear_memories",
    "in_memory",
    "lane_parts",
    "lanes_meet",
    "path",
    "planes_meet",
    "step_memories",
    "storage_bits",
]

BETWEEN = 4
"""Beats of room between two steps of a gearbox."""


def clocks_per_pixel(src: Edge, dst: Edge) -> int:
    """Clocks a pixel takes from one edge to the other at full rate, gearbox or not.

    Raises:
        DesignError: channels, planes or code differ.
    """
    return max(edge.beats_per_pixel for edge in path(src, dst))


@lru_cache(maxsize=1 << 14)
def path(src: Edge, dst: Edge) -> tuple[Edge, ...]:
    """The edges a gearbox passes, ``src`` and ``dst`` included; one if they are equal.

    Lanes that do not divide meet in their greatest common divisor, their least common multiple or
    the whole pixel, planes likewise; every order of the steps is weighed.

    Raises:
        DesignError: channels, planes or code differ.
    """
    for name in ("channels", "planes", "code"):
        if getattr(src, name) != getattr(dst, name):
            raise DesignError(
                f"a gearbox changes lanes and planes a beat only; {name} differ:"
                f" {getattr(src, name)} and {getattr(dst, name)}"
            )
    lane_ways = _ways(src.lanes, dst.lanes, src.channels, lanes_meet)
    plane_ways = _ways(src.pb, dst.pb, src.planes, planes_meet)
    best: tuple[tuple[int, int, int], tuple[Edge, ...]] | None = None
    for lanes, planes in product(lane_ways, plane_ways):
        for edges in _interleaved(src, lanes, planes):
            clocks = max(edge.beats_per_pixel for edge in edges)
            cost = (clocks, storage_bits(edges), len(edges))
            if best is None or cost < best[0]:
                best = cost, edges
    assert best is not None  # through the common divisors no beat is wider than the wider end
    return best[1]


def step_memories(src: Edge, dst: Edge) -> Memories:
    """Of the step from an edge of a :func:`path` to the next: of two wide groups, where lanes
    change and a group has several beats."""
    if not in_memory(src, dst):
        return {}
    depth = 2 * src.plane_beats
    if src.lanes > dst.lanes:
        return {"memory": MemoryShape(lane_parts(dst, src) * dst.width, depth, "comb")}
    count = lane_parts(src, dst)
    return {f"memory_{k}": MemoryShape(src.width, depth, "comb") for k in range(count)}


def gear_memories(src: Edge, dst: Edge) -> Memories:
    """Of the gearbox between two edges."""
    edges, out = path(src, dst), {}
    for k, (a, b) in enumerate(zip(edges, edges[1:])):
        out |= inside(f"fifo_{k}", Fifo.memories_of(a.width, BETWEEN)) if k else {}
        out |= inside(f"step_{k}", step_memories(a, b))
    return out


def storage_bits(edges: tuple[Edge, ...]) -> int:
    """Bits of data held by the steps along a :func:`path` and the FIFOs between them."""
    bits = sum(BETWEEN * edge.width for edge in edges[1:-1])
    for a, b in zip(edges, edges[1:]):
        narrow, wide = sorted((a, b), key=lambda edge: edge.width)
        banks = 2 * a.plane_beats if in_memory(a, b) else 1
        bits += banks * wide.width + 2 * narrow.width
    return bits


def in_memory(src: Edge, dst: Edge) -> bool:
    """Whether a step of lanes needs whole groups of several beats."""
    narrow, wide = sorted((src, dst), key=lambda edge: edge.width)
    return src.pb == dst.pb and src.plane_beats > 1 and lane_parts(narrow, wide) > 1


def lane_parts(narrow: Edge, wide: Edge) -> int:
    """Narrow groups in a full wide one."""
    return narrow.groups if wide.groups == 1 else wide.lanes // narrow.lanes


def lanes_meet(channels: int, a: int, b: int) -> bool:
    return max(a, b) % min(a, b) == 0 or max(a, b) >= channels


def planes_meet(planes: int, a: int, b: int) -> bool:
    return max(a, b) % min(a, b) == 0 or max(a, b) == planes


def _ways(a: int, b: int, whole: int, meet: Callable[[int, int, int], bool]) -> list[list[int]]:
    """Values from ``a`` (left out) to ``b``, each next one a single step away."""
    if a == b:
        return [[]]
    if meet(whole, a, b):
        return [[b]]
    return [[middle, b] for middle in sorted({gcd(a, b), min(lcm(a, b), whole), whole})]


def _interleaved(edge: Edge, lanes: list[int], planes: list[int]):
    """All orders of taking the lane and plane steps, without beats that are refused."""
    if not lanes and not planes:
        yield (edge,)
        return
    for change, rest in (
        ({"lanes": lanes[0]} if lanes else None, (lanes[1:], planes)),
        ({"pb": planes[0]} if planes else None, (lanes, planes[1:])),
    ):
        if change is None:
            continue
        try:
            following = edge.resized(**change)
        except DesignError:
            continue
        for tail in _interleaved(following, *rest):
            yield (edge, *tail)
