"""One selftest under way: what its stages share, and how each of them ends."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from sterna.golden.device.link import LinkError
from sterna.host.board import CLEAN_UP, Board
from sterna.host.connection import Connection
from sterna.host.load import region_crc, until_idle, words_crc
from sterna.host.reader import LinkStats
from sterna.host.registers import HOLD
from sterna.host.selftest.facts import Facts
from sterna.host.selftest.pictures import Pictures

__all__ = ["Skip", "Trial", "Wrong", "rounded"]

DIGITS = 6
"""Of a figure that is not a whole number."""


class Wrong(Exception):
    """A stage found something wrong. ``ends``: nothing after it would mean anything."""

    def __init__(self, reason: str, ends: bool = False):
        super().__init__(reason)
        self.reason, self.ends = reason, ends


class Skip(Exception):
    """A stage has nothing to do; its message says why."""


def rounded(value: float) -> float:
    """A figure as reports have it."""
    return float(f"{value:.{DIGITS}g}")


@dataclass
class Trial:
    """What the stages work with.

    open_board: connects, in the first stage. build: None where none was given. pictures: sets of
    images. simulated: the board's time is a simulation's, and is not judged. figures: of the stage
    that runs, kept also where it fails. before: frames of sessions that are closed.
    """

    open_board: Callable[[], Board]
    build: Facts | None
    pictures: Sequence[Pictures]
    simulated: bool
    figures: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    opened: Board | None = None

    @property
    def board(self) -> Board:
        assert self.opened is not None
        return self.opened

    @property
    def link(self) -> Connection:
        return self.board.link

    def stats(self) -> dict[str, int]:
        """What the link counted in its session so far."""
        return {f.name: getattr(self.board.stats, f.name) for f in fields(LinkStats)}

    def now(self) -> float:
        """The line's time in seconds."""
        return self.link.now()

    @contextmanager
    def drained(self) -> Generator[None]:
        """Inside, the board is held and idle, so that its memories can be reached."""
        link = self.link
        with link.call():
            link.write("control", HOLD)
            until_idle(link)
            yield
            link.write("control", 0)

    def different(self) -> list[str]:
        """The reloadable memories that do not have the CRC of their file, in words."""
        assert self.build is not None
        regions = self.build.weights.regions
        count = self.link.read("config")[0] >> 16
        wrong = []
        with self.drained():
            for number in range(count):
                words = regions[number]
                if region_crc(self.link, number, len(words)) != words_crc(words):
                    wrong.append(self.build.memory(number))
        return wrong

    def settle(self) -> None:
        """Leave a board that computes, where it still answers: not held, nothing repeated."""
        if self.opened is None:
            return
        link = self.link
        try:
            with link.call(CLEAN_UP - link.timeout, anew=True):
                repeat, control = link.read("repeat")[0], link.read("control")[0]
                if repeat:
                    link.write("repeat", 0)
                if control & HOLD:
                    link.write("control", 0)
        except LinkError:
            pass
