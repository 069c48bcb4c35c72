"""The lanes that a weighted node can have: every bound on pe, simd and tp, in one place.

A folding decides beats at the core itself (its window word, the steps that it makes) and at all
that reads these: pools keep the lanes they are given, whatever width their sums have, and a neuron
takes the spikes that it adds in as many lanes as it has. `gen.design.folding` refuses by these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sterna.gen.design.graph import neuron_of
from sterna.golden.network import Network, Neuron, Pool, WeightedNode
from sterna.golden.window import legal_simd, window_split
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = [
    "MAX_LANES",
    "StepBound",
    "is_depthwise",
    "legal_folding",
    "narrow_words",
    "step_bound",
    "weight_rows_of",
    "wide_step",
    "word_clocks",
    "word_lanes",
]

MAX_LANES = 1 << 16
"""Beyond, foldings are not looked for, where there are others."""


@dataclass(frozen=True)
class StepBound:
    """The most lanes in which a stream can be made; bits: of a lane at node ``at``, where one step
    is widest."""

    bits: int
    at: str

    @property
    def lanes(self) -> int:
        return MAX_WIDTH // self.bits


def step_bound(network: Network, source: str) -> StepBound:
    """Of the stream that ``source`` makes: one step of all lanes must fit a beat there, and at
    every pool that it reaches through pools."""
    best, open_ends = StepBound(network.bits(source), source), [source]
    while open_ends:
        for name in network.readers(open_ends.pop()):
            if isinstance(network[name], Pool):
                open_ends.append(name)
                if network.bits(name) > best.bits:
                    best = StepBound(network.bits(name), name)
    return best


_KNOWN: "WeakKeyDictionary[Network, dict[str, StepBound | None]]" = WeakKeyDictionary()


def _pe_bound(network: Network, name: str) -> StepBound | None:
    """Of the outputs at once of a weighted node; None where any number can be (a readout's)."""
    known = _KNOWN.setdefault(network, {})
    if name not in known:
        target = neuron_of(network, name)
        added = [StepBound(network.bits(i), i) for i in target.inputs if not network.is_weighted(i)]
        made = [step_bound(network, target.name)] if isinstance(target, Neuron) else []
        known[name] = max([*made, *added], key=lambda b: b.bits, default=None)
    return known[name]


def is_depthwise(node: WeightedNode, in_shape: tuple[int, int, int]) -> bool:
    """One kernel a channel: PE runs over channels instead of over a group's outputs."""
    return node.groups > 1 and node.groups == node.out_channels == in_shape[0]


_LEGAL: "WeakKeyDictionary[Network, dict[str, dict[str, list[int]]]]" = WeakKeyDictionary()


def legal_folding(network: Network, name: str) -> dict[str, list[int]]:
    """All legal pe, simd and tp of the weighted node ``name``, each by itself."""
    known = _LEGAL.setdefault(network, {})
    if name not in known:
        known[name] = _legal_folding(network, name)
    return dict(known[name])


def _legal_folding(network: Network, name: str) -> dict[str, list[int]]:
    node = network.weighted(name)
    shape = network.shape[node.input]
    groups = 1 if is_depthwise(node, shape) else node.groups
    outputs = node.out_channels // groups
    bits, planes = network.bits(node.input), network.planes(node.input)
    tps = [t for t in range(1, min(planes, 64) + 1) if bits % t == 0 or t % bits == 0]
    bound = _pe_bound(network, name)
    most = outputs if bound is None else min(outputs, bound.lanes)
    pe = [d for d in range(1, most + 1) if outputs % d == 0]
    return {"pe": pe, "simd": legal_simd(node, shape), "tp": tps}


def word_lanes(network: Network, name: str, pe: int, simd: int) -> int:
    """Channels side by side in a window word, each of tp bits: a beat holds one word at least."""
    node = network.weighted(name)
    shape = network.shape[node.input]
    return pe if is_depthwise(node, shape) else window_split(node, shape, simd).channels


def narrow_words(
    network: Network, name: str, legal: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """``legal`` pe and simd without those whose window word is too wide with any tp; where none
    is left, all of them, for `gen.design.folding.refusal` to say why."""
    tp, pe, simd = min(legal["tp"]), min(legal["pe"]), min(legal["simd"])
    lanes = lambda p, s: word_lanes(network, name, p, s) * tp  # noqa: E731
    return {
        "pe": [p for p in legal["pe"] if lanes(p, simd) <= MAX_WIDTH] or legal["pe"],
        "simd": [s for s in legal["simd"] if lanes(pe, s) <= MAX_WIDTH] or legal["simd"],
    }


def wide_step(network: Network, name: str, pe: int) -> str:
    """Why no stream can be made in the ``pe`` lanes of a weighted node; empty where one can, or
    where so many do not divide its outputs."""
    bound = _pe_bound(network, name)
    if bound is None or pe <= bound.lanes or network.shape[name][0] % pe:
        return ""
    bits = f"{bound.bits} bit{'s' * (bound.bits > 1)}"
    return f"a step of {pe} lanes x {bits} at '{bound.at}' is wider than {MAX_WIDTH} bits"


def weight_rows_of(network: Network, name: str, pe: int, simd: int) -> int:
    """Rows of weights of a node: output groups x window words."""
    node = network.weighted(name)
    channels, (kh, kw) = node.window
    return node.out_channels // pe * (channels * kh * kw // simd)


def word_clocks(network: Network, name: str, tp: int) -> int:
    """P, the clocks that a weight word of a node is used for."""
    return -(-network.planes(network[name].inputs[0]) // tp)
