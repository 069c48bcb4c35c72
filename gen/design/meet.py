"""The streams at places where several meet: merges, and spikes that a neuron adds to its sums."""

from math import gcd

from sterna.gen.design.streams import SLACK
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.hw.stream.edge import MAX_WIDTH, Edge
from sterna.hw.stream.gear_path import clocks_per_pixel
from sterna.hw.stream.merge import MergeSpec

__all__ = ["merge_edges", "merge_spec", "shortcut_edge", "steps_a_beat"]


def steps_a_beat(edge: Edge, pixels: int, target: int) -> int:
    """Fewest steps a beat (``edge``: one bit a step) for which a stream keeps up."""
    most = max(1, min(edge.planes, MAX_WIDTH // edge.lanes))
    for k in range(1, most + 1):
        if pixels * edge.resized(pb=k).beats_per_pixel <= SLACK * target:
            return k
    return most


def shortcut_edge(
    network: Network, source: str, given: Edge | None, lanes: int | None, target: int
) -> Edge:
    """The stream of ``source`` in beats of whole steps, ``lanes`` wide (None: any that divide the
    channels), for which no gearbox is needed or the fewest clocks are."""
    channels, bits = network.shape[source][0], network.bits(source)
    choices = [lanes] if lanes else _divisors(channels)
    best = _cheapest(network, [source], [given], choices, [bits], bits, target)
    if best is None:
        raise DesignError(
            f"node '{source}': one step of {lanes} lanes x {bits} bits is wider than {MAX_WIDTH} "
            "bits; use a smaller pe in the layer that adds it"
        )
    return best[0]


def merge_edges(network: Network, name: str, given: list[Edge], target: int) -> list[Edge]:
    """The streams at the inputs of merge ``name``: equal lanes, equal whole steps a beat.

    ``given``: the streams of their makers. DesignError where one step is too wide for a beat.
    """
    node = network.merge(name)
    bits = [network.bits(s) for s in node.inputs]
    lanes = _divisors(gcd(*(network.shape[s][0] for s in node.inputs)))
    out_bits, serial = network.bits(name), node.mode == "concat"
    best = _cheapest(network, list(node.inputs), list(given), lanes, bits, out_bits, target, serial)
    if best is None:
        raise DesignError(
            f"node '{name}': one step of its values is wider than {MAX_WIDTH} bits; "
            "merge fewer or smaller streams"
        )
    return best


def merge_spec(network: Network, name: str, edges: list[Edge]) -> MergeSpec:
    """The SpikingMerge of a merge node whose inputs are fed by ``edges``."""
    node = network.merge(name)
    _, height, width = network.shape[name]
    return MergeSpec(
        mode=node.mode,
        inputs=tuple(edges),
        bits=tuple(network.bits(s) for s in node.inputs),
        shifts=node.shifts,
        out_bits=network.bits(name),
        steps=network.steps,
        pixels=height * width,
    )


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _cheapest(
    network: Network,
    sources: list[str],
    given: list[Edge] | list[Edge | None],
    lanes: list[int],
    bits: list[int],
    out_bits: int,
    target: int,
    serial: bool = False,
) -> list[Edge] | None:
    """Of all lanes and steps a beat: fast enough, then fewest gearboxes, then narrowest.

    ``serial``: the streams are taken in turns, so that their beats add up.
    """
    _, height, width = network.shape[sources[0]]
    steps, pixels = network.steps, height * width
    best: tuple[tuple[int, ...], list[Edge]] | None = None
    for n in lanes:
        for k in range(1, steps + 1):
            if n * k * max(*bits, out_bits) > MAX_WIDTH:
                break
            edges = [Edge(network.shape[s][0], n, steps * b, k * b) for s, b in zip(sources, bits)]
            each = [e.beats_per_pixel for e in edges]
            beats = sum(each) if serial else max(each)
            gears = [
                clocks_per_pixel(g, e) for g, e in zip(given, edges) if g is not None and g != e
            ]
            late = max(0, max([beats, *gears]) * pixels - int(SLACK * target))
            key = late, len(gears), n * k * out_bits
            if best is None or key < best[0]:
                best = key, edges
    return best[1] if best else None
