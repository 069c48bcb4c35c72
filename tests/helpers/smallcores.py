"""Small networks that between them have each engine, memory and way of meeting."""

from functools import cache
from typing import Any

import numpy as np

from sterna.gen.design.design import Design
from sterna.gen.design.instances import core_instances
from sterna.gen.fold.fold import fold
from sterna.golden.network import Conv2d, Input, Linear, Merge, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.top.network_top import CoreInstance

__all__ = ["CASES", "folded", "instances"]

SAME = (1, 1, 1, 1)


def trits(*shape: int, binary: bool = False) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.choice((-1, 1), shape) if binary else rng.integers(-1, 2, shape)


def layer(steps: int = 4, coding: str = "frames", kind: str = "ternary", **rule: Any) -> Network:
    """A convolution "c" of 4 to 4 channels, a pool and a readout "f"."""
    node = Conv2d("c", "x", trits(4, 4, 3, 3, binary=kind == "binary"), kind=kind, padding=SAME)
    return Network(
        steps,
        [
            Input("x", (4, 6, 6), coding, **({"bits": 3} if coding == "direct" else {})),
            node,
            Neuron("n", ("c",), NeuronRule(np.arange(4) + 2, **rule)),
            Pool("p", "n", "sum"),
            Linear("f", "p", trits(3, 36)),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), "none")),
        ],
    )


def pooled(steps: int, mode: str = "max") -> Network:
    """A convolution "c" and a pool of its sums in front of its neurons."""
    return Network(
        steps,
        [
            Input("x", (4, 6, 6), "frames"),
            Conv2d("c", "x", trits(4, 4, 3, 3), padding=SAME),
            Pool("p", "c", mode),
            Neuron("n", ("p",), NeuronRule(np.arange(4) + 2)),
            Linear("f", "n", trits(3, 36)),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), "none")),
        ],
    )


def skips() -> Network:
    """Two weighted inputs and a shortcut at one neuron, and a merge."""
    return Network(
        3,
        [
            Input("x", (2, 4, 4), "frames"),
            Conv2d("a", "x", trits(4, 2, 1, 1)),
            Neuron("s", ("a",), NeuronRule(np.ones(4, int))),
            Conv2d("d", "s", trits(4, 4, 3, 3), padding=SAME),
            Conv2d("e", "s", trits(4, 4, 1, 1)),
            Neuron(
                "n",
                ("d", "e", "s"),
                NeuronRule(np.arange(4) + 1, shifts=(0, 0), coef=(np.arange(4),)),
            ),
            Merge("m", ("n", "s"), "add"),
            Linear("f", "m", trits(3, 64)),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), "none")),
        ],
    )


C = {"pe": 2, "simd": 4, "tp": 1}
WHOLE = {"pe": 4, "simd": 36, "tp": 1}
CASES: dict[str, tuple[Network, dict[str, dict[str, Any]]]] = {
    "rom": (layer(), {"c": C}),
    "ram": (layer(), {"c": C | {"memory": "ram"}}),
    "ram of one row": (layer(), {"c": WHOLE | {"memory": "ram"}}),
    "registers": (layer(), {"c": WHOLE}),
    "one row demanded": (layer(), {"c": WHOLE | {"ram_style": "block"}}),
    "many turns": (layer(6, kind="binary"), {"c": {"pe": 4, "simd": 4, "tp": 1}}),
    "steps side by side": (layer(6), {"c": {"pe": 2, "simd": 4, "tp": 3}}),
    "all steps": (layer(6), {"c": {"pe": 2, "simd": 4, "tp": 6}}),
    "turns of lanes": (layer(6), {"c": {"pe": 4, "simd": 1, "tp": 6}}),
    "pixels": (layer(6, "direct"), {"c": {"pe": 4, "simd": 4, "tp": 1}}),
    "reads": (layer(), {"c": C | {"reads": 4}}),
    "banks": (layer(6), {"c": {"pe": 2, "simd": 36, "tp": 3, "banks": 3}}),
    "constant": (layer(), {"c": WHOLE | {"engine": "constant"}}),
    "tables": (layer(), {"c": {"pe": 4, "simd": 12, "tp": 1, "engine": "tables"}}),
    "tables, ram": (layer(), {"c": WHOLE | {"engine": "tables", "memory": "ram"}}),
    "pool of sums": (pooled(6), {"c": {"pe": 2, "simd": 12, "tp": 2}}),
    "pool of many turns": (pooled(6), {"c": C}),
    "sums of sums": (pooled(3, "sum"), {"c": {"pe": 4, "simd": 12, "tp": 1}}),
    "arrival": (layer(), {"c": C, "f": {"pe": 1, "simd": 2, "tp": 3, "nest": "arrival"}}),
    "skips": (skips(), {"d": C, "e": C}),
    "skips, ram": (skips(), {"d": C | {"memory": "ram"}, "e": C}),
}


@cache
def folded(name: str) -> tuple[Network, Design]:
    network, folding = CASES[name]
    return network, fold(network, folding, family="xilinx7")


@cache
def instances(name: str) -> list[CoreInstance]:
    """The cores of a case, with the contents of their memories."""
    return core_instances(*folded(name), rows=True)
