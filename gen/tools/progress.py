"""``[k/n] step ... s`` on stderr, so that stdout stays free for the result."""

import contextlib
import sys
import time
from collections.abc import Generator
from typing import TextIO

__all__ = ["Progress"]


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
        try:
            yield
        except BaseException:
            self._write("failed\n")
            raise
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
