"""``[k/n] step ... s`` on stderr, so that stdout stays free for the result."""

import contextlib
import sys
import threading
import time
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, TextIO

from sterna.golden.errors import UsageError
from sterna.golden.words.names import show

__all__ = ["Progress", "progress_of", "waiting"]

_PATIENCE = 4.0  # seconds in which nobody wonders
_told: ContextVar[bool] = ContextVar("told", default=False)
"""Whether a step has said already what is being done."""


@contextlib.contextmanager
def waiting(text: str) -> Generator[None]:
    """Say ``text`` on stderr where what is done inside takes longer than some seconds, and in the
    end how many; nothing inside a step of a `Progress`, which has said it."""
    if _told.get():
        yield
        return
    start = time.monotonic()
    said = threading.Timer(_PATIENCE, _say, (f"{text} ...\n",))
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()
    if (seconds := time.monotonic() - start) > _PATIENCE:
        _say(f"{text}: done, {seconds:.0f} s\n")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


class Progress:
    """Counts the steps of one piece of long work.

    Args:
        total: number of steps; may be raised later, while ``steps`` are still to come.
        out: where the lines go; None is stderr, ``quiet`` writes nothing.
    """

    def __init__(self, total: int = 0, out: TextIO | None = None, quiet: bool = False):
        self.total = total
        self.done = 0
        self.quiet = quiet
        self._out = out

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[None]:
        """One step: its name at the start, its seconds at the end (also when it fails)."""
        self.done += 1
        self.total = max(self.total, self.done)
        start = time.monotonic()
        self._write(f"[{self.done}/{self.total}] {name} ... ")
        before = _told.get()
        _told.set(before or not self.quiet)
        try:
            yield
        except BaseException:
            self._write("failed\n")
            raise
        finally:
            _told.set(before)
        self._write(f"{time.monotonic() - start:.1f} s\n")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        if not self.quiet:
            # sys.stderr is looked up at each line: tests and callers replace it.
            out = self._out or sys.stderr
            out.write(text)
            out.flush()


def progress_of(given: Any) -> Progress:
    """What a caller gave; of None one that writes nothing. UsageError for anything else."""
    if given is not None and not isinstance(given, Progress):
        raise UsageError(f"progress {show(given)} must be a Progress, or None")
    return given or Progress(quiet=True)
