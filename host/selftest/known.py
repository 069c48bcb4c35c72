"""What the stages of a selftest are judged by: limits, and what is known when one is judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sterna.host.selftest.facts import ADAPTER, INSIDE, NO_BUILD, PORT

__all__ = [
    "CLOCK_ERROR",
    "DIGITS",
    "FASTEST_CLOCK",
    "FEW",
    "LEAST_SHARE",
    "LINE_BITS",
    "LOSSES",
    "MANY",
    "MOST",
    "MOST_IMAGES",
    "MOST_SECONDS",
    "PAYLOAD",
    "PINGS",
    "SETTLE",
    "SLOW",
    "Known",
    "Wrong",
    "cut_of",
    "line_rate",
    "link_rate",
    "rounded",
]

PINGS = 200
"""Reads that are timed."""
SLOW = 0.1
"""Seconds: no adapter takes so long for a read, of which some milliseconds are the line's."""
LOSSES = 0.01
"""Share of frames that go again, or arrive damaged, from which on a cable is called bad."""
FEW, MANY = 16, 128
"""Repetitions at least and at most of the clocks of an image."""
CLOCK_ERROR = 0.05
"""Share by which the measured clock may be off: a look at the board takes milliseconds. Also of the
baud rate of two ends of a line."""
LEAST_SHARE = 0.25
"""Of the images a second that the line could carry, or the design compute: a slow line is below."""
SETTLE = 0.2
"""Seconds that may go by with something else."""
FASTEST_CLOCK = 2000.0
"""MHz: no FPGA has a faster one."""
LINE_BITS, PAYLOAD = 10, 0.95
"""Of a byte on the line; share of its bytes that are images'."""
DIGITS = 6
"""Of a figure that is not a whole number."""
MOST = (1 << 32) - 1
"""Figures are at most so large: registers have 32 bits."""
MOST_SECONDS = 30 * 86_400
"""Of a stage: a month."""
MOST_IMAGES = 10_000
"""Random ones, which everybody who looks at a report computes again."""


class Wrong(Exception):
    """A stage found something wrong. ``ends``: nothing after it would mean anything."""

    def __init__(self, reason: str, ends: bool = False):
        super().__init__(reason)
        self.reason, self.ends = reason, ends


@dataclass(frozen=True)
class Known:
    """design, line: those parts of a report. figures: of each stage so far. seconds: that each of
    them took. simulated: time and losses are those of the computer that simulates."""

    design: Mapping[str, Any]
    line: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]
    simulated: bool

    @property
    def built(self) -> bool:
        """A build says what is right."""
        return self.design != NO_BUILD

    @property
    def sets(self) -> list[dict[str, Any]]:
        return list(self.figures["images"]["sets"])

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.figures["identify"]

    @property
    def baud(self) -> int:
        return self.line["baud"]

    @property
    def real(self) -> bool:
        """The line's time is this computer's; an object in Python may have its own."""
        return self.line["kind"] != INSIDE

    @property
    def paced(self) -> bool:
        """Behind a serial line of its own, whose bits take time, and a chip, whose clock is one."""
        return self.line["kind"] in (ADAPTER, PORT) and not self.simulated

    def carried(self, size: int) -> float:
        """Seconds that so many bytes take at least."""
        return size * LINE_BITS / self.baud * (1 - CLOCK_ERROR) if self.paced else 0.0


def rounded(value: float) -> float:
    """A figure as reports have it."""
    return float(f"{value:.{DIGITS}g}")


def link_rate(count: int, seconds: float) -> float:
    """Images a second."""
    return rounded(count / max(seconds, 1e-9))


def line_rate(baud: int, image_bytes: int) -> float:
    """Images a second that a line can carry."""
    return rounded(PAYLOAD * baud / LINE_BITS / image_bytes)


def cut_of(size: int) -> int:
    """Bytes of an image that is cut short."""
    return max(1, size // 2)
