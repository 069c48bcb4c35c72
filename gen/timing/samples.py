"""What the ports of a design did, clock by clock: taken from a simulation, drawn by others.

A clock's values are those that a register reads at the rising edge which ends it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Run", "Samples", "Scene"]


@dataclass(frozen=True)
class Run:
    """``clocks`` clocks from ``start`` on, in which every port has the value in ``values``."""

    start: int
    clocks: int
    values: Mapping[str, int]

    @property
    def end(self) -> int:
        return self.start + self.clocks


@dataclass(frozen=True)
class Scene:
    """A stretch of a simulation: ``runs``, one behind the other; clock 0 is its first."""

    runs: tuple[Run, ...]

    @property
    def clocks(self) -> int:
        return self.runs[-1].end if self.runs else 0

    def at(self, clock: int) -> Mapping[str, int]:
        """The ports' values in a clock. KeyError: it has none such."""
        if not 0 <= clock < self.clocks:
            raise KeyError(clock)
        return self.runs[bisect_right(self.runs, clock, key=lambda run: run.start) - 1].values

    def where(self, **wanted: int) -> Iterator[int]:
        """The clocks in which ports have these values."""
        for run in self.runs:
            if all(run.values[k] == v for k, v in wanted.items()):
                yield from range(run.start, run.end)

    def taken(self, stream: str) -> list[int]:
        """The clocks in which a word of an AXI stream, or of a channel of AXI4-Lite, moves."""
        valid, ready = _names(stream)
        return list(self.where(**{valid: 1, ready: 1}))


def _names(stream: str) -> tuple[str, str]:
    """Of valid and ready: AXI4-Stream's begin with t, AXI4-Lite's with their channel."""
    joint = "_t" if stream.endswith("_axis") else ""
    return f"{stream}{joint}valid", f"{stream}{joint}ready"


@dataclass(frozen=True)
class Samples:
    """Of a top module: ``widths`` of its ports in bits, its ``clock`` and ``reset``, the level at
    which it is in reset; ``scenes`` by name, in the order in which they were simulated."""

    top: str
    clock: str
    reset: str
    reset_level: int
    widths: Mapping[str, int]
    scenes: Mapping[str, Scene] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Scene]]:
        return iter(self.scenes.items())
