"""Random networks and foldings for the fit of the cost model, and others to check it."""

import random
from typing import Any

import numpy as np

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Folding
from sterna.gen.design.legal import legal_folding
from sterna.gen.fold.candidates import bank_choices, read_choices
from sterna.gen.fold.complete import visit_items
from sterna.gen.fold.fold import fold
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Node, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule

__all__ = ["random_design"]


WHOLE = 4000
"""Lanes of a layer whose engine works on all weights at once."""


def _weights(draw: random.Random, kind: str, *shape: int) -> np.ndarray:
    values = (-1, 1) if kind == "binary" else (-1, 0, 1)
    rng = np.random.default_rng(draw.getrandbits(32))
    return rng.choice(values, shape).astype(np.int8)


def _rule(draw: random.Random, channels: int, readout: bool = False) -> NeuronRule:
    rng = np.random.default_rng(draw.getrandbits(32))
    fraction = draw.choice((0, 4, 6))
    threshold = rng.integers(2, 20, channels) << fraction
    if readout:
        return NeuronRule(np.zeros(channels, int), "none")
    reset = draw.choice(("subtract", "subtract", "zero"))
    leak = draw.choice((None, None, Decay(1), Decay(2)))
    bias = rng.integers(-9 << fraction, 9 << fraction, channels) if draw.random() < 0.7 else None
    return NeuronRule(threshold, reset, None, bias, None, leak, fraction_bits=fraction)


def _network(draw: random.Random, layers: int) -> Network:
    steps, kind = draw.choice((2, 4, 4, 8)), draw.choice(("ternary", "ternary", "binary"))
    coding = draw.choice(("direct", "frames"))
    side = draw.choice((8, 12, 16))
    channels = draw.choice((1, 2, 3))
    nodes: list[Node] = [Input("x", (channels, side, side), coding)]
    last, shape = "x", (channels, side, side)
    for n in range(layers):
        made = draw.choice((8, 16, 24, 32))
        kernel = draw.choice((1, 3, 3, 3, 5)) if shape[1] > 4 else 1
        stride = draw.choice((1, 1, 2)) if shape[1] > 4 else 1
        groups = 2 if n and draw.random() < 0.15 else 1
        pad = kernel // 2
        w = _weights(draw, kind, made, shape[0] // groups, kernel, kernel)
        nodes.append(
            Conv2d(
                f"c{n}",
                last,
                w,
                stride=(stride, stride),
                padding=(pad,) * 4,
                groups=groups,
                kind=kind,
            )
        )
        nodes.append(Neuron(f"n{n}", (f"c{n}",), _rule(draw, made)))
        side = (shape[1] + 2 * pad - kernel) // stride + 1
        last, shape = f"n{n}", (made, side, side)
        if side >= 4 and side % 2 == 0 and draw.random() < 0.5:
            nodes.append(Pool(f"p{n}", last, draw.choice(("sum", "or"))))
            last, shape = f"p{n}", (made, side // 2, side // 2)
    classes = draw.choice((2, 5, 10))
    nodes.append(Linear("f", last, _weights(draw, kind, classes, int(np.prod(shape))), kind=kind))
    nodes.append(Readout("r", ("f",), _rule(draw, classes, True)))
    return Network(steps, nodes, name="sweep")


def _folding(
    draw: random.Random, network: Network, most: int, engine: str
) -> dict[str, dict[str, Any]]:
    out = {}
    memory = draw.choice(("rom", "rom", "ram"))
    for node in network.nodes:
        if not isinstance(node, Conv2d | Linear):
            continue
        legal = legal_folding(network, node.name)
        lanes = draw.choice((1, 4, 16, 64, most)) if isinstance(node, Conv2d) else 8
        found = []
        for pe in legal["pe"]:
            for simd in legal["simd"]:
                for tp in legal["tp"]:
                    if lanes / 2 <= pe * simd * tp <= lanes and pe <= 32:
                        found.append((pe, simd, tp))
        pe, simd, tp = draw.choice(found or [(1, 1, 1)])
        out[node.name] = {"pe": pe, "simd": simd, "tp": tp, "memory": memory}
        if engine == "banks" and isinstance(node, Conv2d):
            out[node.name] |= _banks(draw, network, node.name, legal)
        elif engine == "reads":
            if choices := read_choices(network, node.name, Folding(**out[node.name])):
                out[node.name]["reads"] = draw.choice(choices)
        elif engine != "compress" and isinstance(node, Conv2d):
            # All weights, or half of them, at once: pe and simd follow.
            out[node.name] = {
                "tp": min(legal["tp"]),
                "engine": engine,
                "memory": "rom" if engine == "constant" else memory,
            }
    return out


def _banks(
    draw: random.Random, network: Network, name: str, legal: dict[str, list[int]]
) -> dict[str, int]:
    """A folding of several banks of scans; empty where nothing is faster than a step a clock."""
    found = [
        {"pe": pe, "simd": simd, "tp": tp, "banks": banks}
        for pe in legal["pe"]
        for simd in legal["simd"]
        for tp in legal["tp"]
        if pe <= 16 and pe * simd * tp <= WHOLE / 4
        for banks in bank_choices(network, name, visit_items(network, name, simd, tp))[1:]
    ]
    return draw.choice(found) if found else {}


def random_design(
    seed: int, family: str, layers: int, most: int = 200, engine: str = "compress"
) -> tuple[Network, Design]:
    """A random chain of ``layers`` convolutions with at most about ``most`` lanes a layer; of the
    other engines, and with 'banks' (compress, several banks of scans) or 'reads' (compress, weight
    words read in pieces), at most `WHOLE`."""
    for attempt in range(200):
        draw = random.Random(f"{seed} {attempt}")
        network = _network(draw, layers)
        try:
            design = fold(network, _folding(draw, network, most, engine), family=family)
        except DesignError:
            continue  # a beat too wide, an engine that cannot be had: another one
        if engine == "banks" and all(c.banks == 1 for c in design.cores):
            continue
        if engine == "reads" and all(c.reads == 1 or c.pe * c.simd < 32 for c in design.cores):
            continue  # words that nobody would take to pieces
        if engine == "compress" or max(c.lanes for c in design.cores) <= WHOLE:
            return network, design
    raise AssertionError("no design in 200 attempts")
