"""One selftest under way: what its stages share."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from sterna.golden.device.link import LinkError
from sterna.golden.result import Result, compare
from sterna.host.board import CLEAN_UP, Board
from sterna.host.connection import Connection
from sterna.host.load import region_crc, until_idle, words_crc
from sterna.host.reader import LinkStats
from sterna.host.registers import HOLD
from sterna.host.selftest.facts import NO_BUILD, Facts
from sterna.host.selftest.known import Known, Wrong
from sterna.host.selftest.pictures import Pictures, few, results_digest

__all__ = ["Trial"]


@dataclass
class Trial:
    """What the stages work with.

    open_board: connects, in the first stage. build: None where none was given. pictures: sets of
    images. simulated: the board's time is a simulation's, and is not judged. line: what the report
    says of it. figures: of the stage that runs, kept also where it fails; done: of all stages so
    far; seconds: that they took. design: what the report calls the build.
    """

    open_board: Callable[[], Board]
    build: Facts | None
    pictures: Sequence[Pictures]
    simulated: bool
    line: Mapping[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    design: dict[str, Any] = field(default_factory=lambda: NO_BUILD)
    opened: Board | None = None

    def begin(self, name: str) -> None:
        """The figures from here on are those of this stage."""
        self.figures = self.done[name] = {}

    @property
    def known(self) -> Known:
        """What its stages are judged by."""
        return Known(self.design, self.line, self.done, self.seconds, self.simulated)

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

    def again(self, what: str, pictures: Pictures, count: int | None = None) -> Result:
        """Compute images that the stage images computed, the first ``count``; ``what`` they are in
        words. `Wrong` where one gives another result than there, of which that stage says whether
        it is right."""
        found = self.board.infer(few(pictures.images, slice(count)))
        self.need_as_before(what, found, pictures)
        return found

    def need_as_before(self, what: str, found: Result, pictures: Pictures) -> None:
        """`Wrong` where the results of the first images are not those of before, classes, too."""
        known, count = self.shared.get("before", pictures.expected), len(found.classes)
        before = Result(known.logits[:count], known.classes[:count])
        if results_digest(before) != results_digest(found):
            difference = compare(before, found, (), ("before", "now")) or "their classes"
            raise Wrong(
                f"{what} computed otherwise than before: {difference}; check the power, lower the "
                "clock, and report this mistake of the design if that does not help"
            )

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
