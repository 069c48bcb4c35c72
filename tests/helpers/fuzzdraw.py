"""What random networks draw from: a seed, or hypothesis, which shrinks."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np


class TooLarge(Exception):
    """The network would take too long to simulate."""


class Seeded:
    """Chance from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        """True in ``percent`` of cases; shrinks to False."""
        return self.integer(0, 99) >= 100 - percent

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.integer(0, 2**31))


class Hypothesis(Seeded):
    """Chance from a hypothesis ``data`` object."""

    def __init__(self, data: Any) -> None:
        from hypothesis import strategies

        self.data, self.strategies = data, strategies

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(self.strategies.integers(low, high))
