"""What is told on stderr while something works, and how much of it: the one place that decides.

Results go to stdout and errors are always said; all between, which steps run, who waits for whom,
what tools were called with, comes through here. Whoever calls from Python hears the usual.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Generator
from typing import Any

__all__ = ["QUIET", "USUAL", "VERBOSE", "Told", "at_level", "detail", "on_terminal", "tell", "told"]

QUIET, USUAL, VERBOSE = -1, 0, 1
"""-q: only results and errors; neither; -v: also what each tool was called with, and its time."""


class Told:
    """The lines of stderr. ``bar``: what is drawn on the last one and has to make room, with
    ``clear`` and ``refresh``, or None."""

    def __init__(self) -> None:
        self.level = USUAL
        self.bar: Any = None
        self.open = False
        self.lock = threading.RLock()

    def line(self, text: str) -> None:
        """A line of its own, whatever stands unfinished."""
        with self.lock:
            if self.bar is not None:
                self.bar.clear()
            elif self.open:
                text = f"\n{text}"
            self.open = False
            self._write(f"{text}\n")
            if self.bar is not None:
                self.bar.refresh()

    def begin(self, text: str) -> None:
        """A line that `end` ends."""
        with self.lock:
            self._write(f"\n{text}" if self.open else text)
            self.open = True

    def end(self, begun: str, text: str) -> None:
        """What is still to be said of a line; all of it where another one came between."""
        with self.lock:
            self._write(f"{text}\n" if self.open else f"{begun}{text}\n")
            self.open = False

    def again(self) -> None:
        """The last line is taken away: what comes next stands in its place."""
        with self.lock:
            if self.open:
                self._write("\r\x1b[K")
                self.open = False

    def _write(self, text: str) -> None:
        if self.level > QUIET:
            # sys.stderr is looked up at each line: tests and callers replace it.
            sys.stderr.write(text)
            sys.stderr.flush()


told = Told()


def tell(text: str) -> None:
    """A line on stderr, unless -q was given."""
    told.line(text)


def detail(text: str) -> None:
    """A line on stderr where -v was given."""
    if told.level >= VERBOSE:
        told.line(text)


@contextlib.contextmanager
def at_level(level: int) -> Generator[None]:
    """So much is told inside."""
    before, told.level = told.level, level
    try:
        yield
    finally:
        told.level = before


def on_terminal() -> bool:
    """Whether lines may be drawn over: stderr is a terminal that can, and something is told."""
    if told.level <= QUIET or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):
        return False
