"""Which foldings of a weighted node can be built: every bound of one folding, in one place.

A folding decides beats at the core itself (its window word, the steps that it makes) and at all
that reads these: pools keep the lanes they are given, whatever width their sums have, and a neuron
takes the spikes that it adds in as many lanes as it has. A reloadable memory also has addresses
from its region. Completion (`gen.fold.fold`), search (`gen.fold.candidates`) and the last check
before a design is planned ask the same function, `refusal`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sterna.gen.design.engines import engine_of
from sterna.gen.design.reads import reads_of
from sterna.gen.design.specs import is_depthwise
from sterna.golden.network import Network, Neuron, Pool
from sterna.golden.window import legal_simd, window_of, window_split
from sterna.hw.dot.expander import copy_depth
from sterna.hw.memory.chain import ADDRESS_BITS, WORD_BITS, Banks
from sterna.hw.memory.word_assembler import piece_width
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = [
    "MAX_LANES",
    "StepBound",
    "legal_folding",
    "refusal",
    "step_bound",
    "wide_step",
    "narrow_words",
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
        target = network[network.readers(name)[0]]
        added = [StepBound(network.bits(i), i) for i in target.inputs if not network.is_weighted(i)]
        made = [step_bound(network, target.name)] if isinstance(target, Neuron) else []
        known[name] = max([*made, *added], key=lambda b: b.bits, default=None)
    return known[name]


def legal_folding(network: Network, name: str) -> dict[str, list[int]]:
    """All legal pe, simd and tp of the weighted node ``name``, each by itself."""
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


def _word_lanes(network: Network, name: str, pe: int, simd: int) -> int:
    """Channels side by side in a window word, each of tp bits: a beat holds one word at least."""
    node = network.weighted(name)
    shape = network.shape[node.input]
    return pe if is_depthwise(node, shape) else window_split(node, shape, simd).channels


def narrow_words(
    network: Network, name: str, legal: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """``legal`` pe and simd without those whose window word is too wide with any tp; where none
    is left, all of them, for `refusal` to say why."""
    tp, pe, simd = min(legal["tp"]), min(legal["pe"]), min(legal["simd"])
    lanes = lambda p, s: _word_lanes(network, name, p, s) * tp  # noqa: E731
    return {
        "pe": [p for p in legal["pe"] if lanes(p, simd) <= MAX_WIDTH] or legal["pe"],
        "simd": [s for s in legal["simd"] if lanes(pe, s) <= MAX_WIDTH] or legal["simd"],
    }


def refusal(network: Network, name: str, entry: Mapping[str, Any]) -> str:
    """Why a weighted node cannot have a folding, with the way out; empty where it can.

    ``entry``: pe, simd and tp, which divide what they must; what it says of memory, engine and
    reads counts.
    """
    pe, simd, tp = entry["pe"], entry["simd"], entry["tp"]
    if why := wide_step(network, name, pe):
        return why
    if _word_lanes(network, name, pe, simd) * tp > MAX_WIDTH:
        return _wide_word(network, name, entry)
    if entry.get("memory", "rom") == "ram":
        words, most = _region_words(network, name, entry), 1 << ADDRESS_BITS
        if words > most:
            return (
                f"node '{name}': its weights take {words} chain addresses at pe {pe} and simd "
                f"{simd}, and a reloadable memory has at most {most}; use memory rom, or another "
                "pe or simd"
            )
    return ""


def wide_step(network: Network, name: str, pe: int) -> str:
    """Why no stream can be made in the ``pe`` lanes of a weighted node; empty where one can."""
    bound = _pe_bound(network, name)
    if bound is None or pe <= bound.lanes:
        return ""
    legal = ", ".join(map(str, legal_folding(network, name)["pe"]))
    bits = f"{bound.bits} bit{'s' * (bound.bits > 1)}"
    return (
        f"node '{name}': pe {pe} is not legal, because a step of {pe} lanes x {bits} at "
        f"'{bound.at}' is wider than {MAX_WIDTH} bits; use one of {legal}"
    )


def _wide_word(network: Network, name: str, entry: Mapping[str, Any]) -> str:
    node = network.weighted(name)
    key = "pe" if is_depthwise(node, network.shape[node.input]) else "simd"
    return (
        f"node '{name}': a window word of {key} {entry[key]} x tp {entry['tp']} is wider than "
        f"{MAX_WIDTH} bits; use a smaller {key} or tp"
    )


def _region_words(network: Network, name: str, entry: Mapping[str, Any]) -> int:
    """Chain addresses of a node's weights."""
    node = network.weighted(name)
    channels, (kh, kw) = window_of(node, network.shape[node.input])
    pe, simd = entry["pe"], entry["simd"]
    rows = node.out_channels // pe * (channels * kh * kw // simd)
    width = pe * simd * (2 if node.kind == "ternary" else 1)
    if engine_of(entry) == "tables":
        return Banks(copy_depth(rows, width), WORD_BITS).words
    reads = reads_of(entry)
    return Banks(rows * reads, piece_width(width, reads)).words
