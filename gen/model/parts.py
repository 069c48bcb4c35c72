"""Part: a piece of a design and what it is counted to be made of, for the cost model."""

from dataclasses import dataclass, field

from sterna.gen.device.shift_registers import Delays
from sterna.hw.memory.shape import Memories, MemoryShape

__all__ = ["Part", "counter_bits", "within"]


@dataclass
class Part:
    """A piece of a design. core: whose; kind: of what, the coefficients' key; counts: features;
    memories: its memories; delays: bits that wait in registers, beside those counted as held."""

    core: str
    kind: str
    counts: dict[str, float] = field(default_factory=dict)
    memories: list[MemoryShape] = field(default_factory=list)
    delays: Delays = field(default_factory=Delays)

    def add(self, **counts: float) -> None:
        for name, value in counts.items():
            self.counts[name] = self.counts.get(name, 0) + value

    def delay(self, delays: Delays, times: int = 1) -> None:
        """The same delays so many times."""
        for clocks, bits in delays.items():
            self.delays[clocks] += bits * times


def within(memories: Memories, *places: str) -> list[MemoryShape]:
    """Those of the memories of a specification that lie in these places of it."""
    begins = tuple(f"{place}." for place in places)
    return [shape for name, shape in memories.items() if name.startswith(begins)]


def counter_bits(count: int) -> int:
    """Bits of a counter of ``count`` values."""
    return max(1, (max(2, count) - 1).bit_length())
