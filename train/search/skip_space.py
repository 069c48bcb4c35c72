"""The space of a skip search: which skips the blocks of a recipe may have.

A block of n layers has n(n-1)/2 places (i, j), j >= i + 2, for a skip (arXiv 2303.13563): the
output of layer i (0: what enters the block) joins the input of layer j. Each place has no skip, an
addition (ASC) or a concatenation (DSC); four layers make 3**6 = 729 members. Searched are the
blocks of the recipe that have no ``skips``; the others stay as they are.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError, UsageError
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import Recipe, build_network

__all__ = ["NONE", "TYPES", "Member", "Place", "Space"]

NONE = "none"
TYPES = ("ASC", "DSC")
Member = tuple[str, ...]
"""For each place 'none', 'ASC' or 'DSC'."""


@dataclass(frozen=True)
class Place:
    """A skip (i, j) that the searched blocks ``blocks`` (0: the first one) may have, and its
    possible types."""

    blocks: tuple[int, ...]
    i: int
    j: int
    types: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in the study: 'b1_0_2' is (0, 2) of the first block."""
        return f"b{self.blocks[0] + 1}_{self.i}_{self.j}"


class Space:
    """All ways to put skips into the blocks of a recipe that have none.

    ``types``: those to try. ``tie``: all blocks get the same skips. A type that a place cannot have
    (other shapes, the image's pixels, an addition that quantize could not make exact) is left out;
    so is a concatenation in front of a pool, which would widen the layers behind it. UsageError
    where there is nothing to search.
    """

    def __init__(self, recipe: Recipe, types: tuple[str, ...] = TYPES, tie: bool = False) -> None:
        self.base, self.where = recipe, f"recipe '{recipe.name}'"
        self._layers: list[Any] = list(recipe.network.get("layers", []))
        self._at = [
            n
            for n, layer in enumerate(self._layers)
            if isinstance(layer, dict)
            and isinstance(layer.get("block"), list)
            and "skips" not in layer
        ]
        if not self._at:
            raise UsageError(
                f"{self.where}: no block without skips is there to search; write "
                '{ block = ["32C3p1", "32C3p1", "32C3p1", "32C3p1"] }'
            )
        build_network(recipe, recipe.seed)  # says what else is wrong with the recipe
        found = [self._places(n, types) for n in range(len(self._at))]
        self.places = self._tied(found) if tie else [p for places in found for p in places]
        if not self.places:
            raise UsageError(
                f"{self.where}: no skip of type {' or '.join(types)} fits its blocks; they need "
                "layers whose maps have one height and width"
            )

    @property
    def size(self) -> int:
        """How many members there are."""
        return math.prod(1 + len(p.types) for p in self.places)

    def members(self) -> Iterator[Member]:
        """Every member, that without skips first."""
        return product(*((NONE, *p.types) for p in self.places))

    def uniform(self, type_: str) -> Member:
        """The member with ``type_`` wherever it is possible, and else no skip."""
        return tuple(type_ if type_ in p.types else NONE for p in self.places)

    def draw(self, rng: np.random.Generator) -> Member:
        """A random member: how dense it is comes first, so that every number of skips is as
        likely, then which places and types."""
        density = rng.random()
        return tuple(
            str(rng.choice(p.types)) if rng.random() < density else NONE for p in self.places
        )

    def recipe(self, member: Member) -> Recipe:
        """The recipe with the member's skips written into it, and without the search."""
        layers = list(self._layers)
        for n, at in enumerate(self._at):
            skips = [
                [p.i, p.j, type_]
                for p, type_ in zip(self.places, member, strict=True)
                if type_ != NONE and n in p.blocks
            ]
            layers[at] = layers[at] | {"skips": skips}
        # a name that a network and a Verilog module may have
        name = f"{self.base.name}_{self.label(member).lower().replace('-', '_')}"
        network = self.base.network | {"layers": layers}
        return replace(self.base, name=name, network=network, search=None)

    def label(self, member: Member) -> str:
        """A short name that fits into a file name: '0-2A_1-3D', blocks apart by two underscores."""
        parts = []
        for block in dict.fromkeys(p.blocks for p in self.places):
            skips = [
                f"{p.i}-{p.j}{type_[0]}"
                for p, type_ in zip(self.places, member, strict=True)
                if type_ != NONE and p.blocks == block
            ]
            parts.append("_".join(skips) or NONE)
        return NONE if set(parts) == {NONE} else "__".join(parts)

    def params(self, member: Member) -> dict[str, str]:
        """The member as the parameters of a trial."""
        return {p.key: type_ for p, type_ in zip(self.places, member, strict=True)}

    def member(self, params: Mapping[str, Any]) -> Member:
        """The member of a trial's parameters."""
        return tuple(str(params[p.key]) for p in self.places)

    def _places(self, n: int, types: tuple[str, ...]) -> list[Place]:
        layers = self._layers[self._at[n]]["block"]
        out = []
        for i in range(len(layers) - 1):
            for j in range(i + 2, len(layers) + 1):
                fits = tuple(t for t in types if self._fits(n, i, j, t))
                if fits:
                    out.append(Place((n,), i, j, fits))
        return out

    def _fits(self, n: int, i: int, j: int, type_: str) -> bool:
        layers = list(self._layers)
        block = layers[self._at[n]]
        if type_ == "DSC" and str(block["block"][j - 1]).startswith("P"):
            return False
        layers[self._at[n]] = block | {"skips": [[i, j, type_]]}
        try:
            network = self.base.network | {"layers": layers}
            SpikingModule(build_network(replace(self.base, network=network), self.base.seed))
        except (UsageError, NetworkError):
            return False
        return True

    def _tied(self, found: list[list[Place]]) -> list[Place]:
        lengths = {len(self._layers[at]["block"]) for at in self._at}
        if len(lengths) > 1:
            raise UsageError(
                f"{self.where}: [search] tie = true wants blocks of one length, these have "
                f"{' and '.join(map(str, sorted(lengths)))} layers; set tie = false"
            )
        blocks = tuple(range(len(found)))
        out = []
        for place in found[0]:
            same = [p for other in found for p in other if (p.i, p.j) == (place.i, place.j)]
            types = tuple(t for t in place.types if all(t in p.types for p in same))
            if len(same) == len(found) and types:
                out.append(replace(place, blocks=blocks, types=types))
        return out
