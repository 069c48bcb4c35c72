"""Part: a piece of a design and what it is counted to be made of, for the cost model."""

from dataclasses import dataclass, field

from sterna.gen.memories import MemoryShape

__all__ = ["Part", "counter_bits"]


@dataclass
class Part:
    """A piece of a design. core: whose; kind: of what, the coefficients' key; counts: features;
    memories: its memories."""

    core: str
    kind: str
    counts: dict[str, float] = field(default_factory=dict)
    memories: list[MemoryShape] = field(default_factory=list)

    def add(self, **counts: float) -> None:
        for name, value in counts.items():
            self.counts[name] = self.counts.get(name, 0) + value


def counter_bits(count: int) -> int:
    """Bits of a counter of ``count`` values."""
    return max(1, (max(2, count) - 1).bit_length())
