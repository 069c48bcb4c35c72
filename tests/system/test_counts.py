"""Frames of b bits through the RTL: every spike and class, the clocks by the token model, the
interval by its law, for each b and for T from 1 to 16."""

from dataclasses import replace

import pytest
from fuzz import Builder, Limits, Seeded, network_by
from fuzzrun import TINY, check_case, random_case

from sterna.gen.tools.cache import Cache
from sterna.golden.network import Input, Network

WIDE = replace(TINY, pools=50, planes=128, side=6, work=60_000)
# Between them pools of every mode in front and behind, strides, dilations, groups, four paddings,
# both kinds of weights and memories, all engines, banks and words in pieces.
CASES = (
    (1, 16, 8),
    (2, 5, 3),
    (3, 4, 3),
    (4, 1, 5),
    (4, 8, 2),
    (5, 3, 9),
    (6, 2, 4),
    (7, 16, 6),
    (8, 1, 5),
    (8, 1, 2),
    (8, 16, 10),
)
FEW = ((3, 4, 3), (8, 1, 2))


class Counts(Builder):
    """Networks that read frames of ``bits`` over ``frames`` steps."""

    bits, frames = 1, 1

    def __init__(self, draw: Seeded, limits: Limits) -> None:
        super().__init__(draw, limits)
        self.steps = self.frames

    def input(self) -> str:
        d, side = self.draw, self.limits.side
        shape = (d.integer(1, 3), d.integer(2, side), d.integer(2, side))
        top = (1 << self.bits) - 1
        return self.add(Input("x", shape, "frames", self.bits), shape, top)


def counting(bits: int, steps: int, seed: int) -> tuple[Network, Seeded]:
    """A random network of such frames, and where its chance goes on."""
    draw = Seeded(seed)
    made = type("Made", (Counts,), {"bits": bits, "frames": steps})
    return network_by(made, draw, WIDE), draw


def check(bits: int, steps: int, seed: int, store: Cache | None = None) -> None:
    network, draw = counting(bits, steps, seed)
    assert network.planes("x") == bits * steps and network.maximum["x"] == (1 << bits) - 1
    case = random_case(draw, WIDE, network=network)
    found = check_case(case, store=store)
    assert found is None, f"{found}\n{case}"


@pytest.mark.parametrize(("bits", "steps", "seed"), FEW)
def test_a_few_networks_of_counts(bits, steps, seed):
    check(bits, steps, seed, Cache())


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "steps", "seed"), [c for c in CASES if c not in FEW])
def test_networks_of_counts_of_every_width(bits, steps, seed):
    check(bits, steps, seed)
