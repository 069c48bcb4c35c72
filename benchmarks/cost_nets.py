"""Random networks and foldings for the fit of the cost model, and others to check it."""

import random
from typing import Any

import numpy as np

from sterna.gen.design import Design
from sterna.gen.engines import engine_choices
from sterna.gen.fold import fold, legal_folding
from sterna.golden.errors import DesignError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Node, Pool, Readout
from sterna.golden.rule import Decay, NeuronRule

__all__ = ["random_design"]

#: Lanes of a convolution of tables.
MOST_TABLES = 1200


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
        nodes.append(Conv2d(f"c{n}", last, w, stride=(stride, stride), padding=(pad,) * 4,
                            groups=groups, kind=kind))  # fmt: skip
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


def _folding(draw: random.Random, network: Network, most: int) -> dict[str, dict[str, Any]]:
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
    return out


def _with_tables(
    seed: int, network: Network, family: str, folding: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """In one of four designs, convolutions that are small enough have their weights in tables."""
    if family == "ice40" or random.Random(f"{seed} tables").random() >= 0.25:
        return folding
    out = {}
    for name, entry in folding.items():
        legal = legal_folding(network, name)
        least = {k: v[0] for k, v in engine_choices(network, name, "tables", family, legal).items()}
        if isinstance(network[name], Conv2d) and least["pe"] * least["simd"] <= MOST_TABLES:
            entry = entry | least | {"tp": 1, "engine": "tables"}
        out[name] = entry
    return out


def random_design(seed: int, family: str, layers: int, most: int = 200) -> tuple[Network, Design]:
    """A random chain of ``layers`` convolutions with at most about ``most`` lanes a layer."""
    for attempt in range(50):
        draw = random.Random(f"{seed} {attempt}")
        network = _network(draw, layers)
        try:
            folding = _with_tables(seed, network, family, _folding(draw, network, most))
            return network, fold(network, folding, family=family)
        except DesignError:
            continue  # a beat too wide: another one
    raise AssertionError("no design in 50 attempts")
