"""``[k/n] step ... s`` on stderr, so that stdout stays free for the result; on a terminal with a
bar and the time left, which what the step does and says drives (`at`).

Where no terminal is, whatever takes minutes is told of once a minute.
"""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, TextIO

from sterna.golden.errors import UsageError
from sterna.golden.words.names import show
from sterna.golden.words.packages import there
from sterna.golden.words.telling import on_terminal, tell, told

__all__ = ["Progress", "at", "bar", "here", "looking", "progress_of", "stretch", "waiting"]

_PATIENCE = 4.0  # seconds in which nobody wonders
_SOON, _TICK = 1.0, 0.5  # seconds until a bar is drawn, and between its drawings
_MINUTE = 60.0  # seconds between the lines of what takes long, where no terminal is
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
    said = threading.Timer(_PATIENCE, tell, (f"{text} ...",))
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()
    if (seconds := time.monotonic() - start) > _PATIENCE:
        tell(f"{text}: done, {seconds:.0f} s")


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

    def expect(self, steps: int) -> None:
        """So many steps are still to come, at least: whoever planned them before knows already."""
        self.total = max(self.total, self.done + steps)

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[None]:
        """One step: its name at the start, its seconds at the end (also when it fails)."""
        self.expect(1)
        self.done += 1
        start = time.monotonic()
        head = f"[{self.done}/{self.total}] {name}"
        self._begin(f"{head} ... ")
        before = _told.set(_told.get() or not self.quiet)
        end = "failed"
        try:
            with self._drawn(head):
                yield
            end = f"{time.monotonic() - start:.1f} s"
        except KeyboardInterrupt:
            end = "interrupted"
            raise
        finally:
            _told.reset(before)
            self._end(f"{head} ... ", end)

    def note(self, text: str) -> None:
        """A line of its own."""
        if self._out is not None and not self.quiet:
            self._out.write(f"{text}\n")
            self._out.flush()
        elif not self.quiet:
            tell(text)

    def _begin(self, text: str) -> None:
        if self._out is not None and not self.quiet:
            self._out.write(text)
            self._out.flush()
        elif not self.quiet:
            told.begin(text)

    def _end(self, begun: str, text: str) -> None:
        if self._out is not None:
            self.note(text)
        elif not self.quiet:
            told.end(begun, text)

    def _drawn(self, head: str) -> contextlib.AbstractContextManager[None]:
        if self.quiet or self._out is not None:
            return contextlib.nullcontext()
        return _drawn(head)


def progress_of(given: Any) -> Progress:
    """What a caller gave; of None one that writes nothing. UsageError for anything else."""
    if given is not None and not isinstance(given, Progress):
        raise UsageError(f"progress {show(given)} must be a Progress, or None")
    return given or Progress(quiet=True)


# --- how far a step is ------------------------------------------------------------------------


class _Part:
    """How far a step is, from 0 to 1; None while nothing is known of it. ``look`` finds out."""

    def __init__(self) -> None:
        self.done: float | None = None
        self.look: Callable[[], None] = lambda: None


_part: ContextVar[tuple[_Part, float, float] | None] = ContextVar("part", default=None)
"""The step at hand, and which stretch of it."""


def here() -> Callable[[float], None]:
    """What takes, from any thread, how far the stretch at hand is (0 to 1). A step never goes
    back."""
    if (found := _part.get()) is None:
        return lambda _done: None
    part, low, high = found

    def say(done: float) -> None:
        part.done = max(part.done or 0.0, low + (high - low) * min(max(done, 0.0), 1.0))

    return say


def at(done: float, total: float) -> None:
    """The stretch at hand is so far."""
    here()(done / total if total else 1.0)


@contextlib.contextmanager
def stretch(low: float, high: float) -> Generator[None]:
    """What is measured inside is this part, of 0 to 1, of the stretch at hand."""
    if (found := _part.get()) is None:
        yield
        return
    part, start, end = found
    before = _part.set((part, start + (end - start) * low, start + (end - start) * high))
    try:
        yield
    finally:
        _part.reset(before)


@contextlib.contextmanager
def looking(far: Callable[[], float]) -> Generator[None]:
    """Inside, ``far`` is asked now and then, by another thread, how far the stretch at hand is."""
    if (found := _part.get()) is None:
        yield
        return
    say, part = here(), found[0]
    part.look = lambda: say(far())
    try:
        yield
    finally:
        part.look = lambda: None


@contextlib.contextmanager
def _drawn(head: str) -> Generator[None]:
    """A step under way: a thread draws how far it is, or says it once a minute."""
    part, over = _Part(), threading.Event()
    draw = _draw if on_terminal() and there("tqdm") else _say
    thread = threading.Thread(target=draw, args=(head, part, over), daemon=True)
    thread.start()
    before = _part.set((part, 0.0, 1.0))
    try:
        yield
    finally:
        _part.reset(before)
        over.set()
        thread.join()


def _draw(head: str, part: _Part, over: threading.Event) -> None:
    if over.wait(_SOON):
        return
    start = time.monotonic() - _SOON
    drawn = None
    try:
        while True:
            part.look()
            with told.lock:
                if drawn is None or (part.done is not None and drawn.total is None):
                    if drawn is not None:
                        drawn.close()
                    else:
                        told.again()
                    drawn = bar(head, None if part.done is None else 1.0, start=start)
                    told.bar = drawn
                if part.done is not None:
                    drawn.n = part.done
                drawn.refresh()
            if over.wait(_TICK):
                return
    finally:
        with told.lock:
            told.bar = None
            if drawn is not None:
                drawn.close()


def _say(head: str, part: _Part, over: threading.Event) -> None:
    start = time.monotonic()
    while not over.wait(_MINUTE):
        minutes = (time.monotonic() - start) / 60
        far = ""
        part.look()
        if part.done:
            left = minutes / part.done - minutes
            far = f", {part.done:.0%} done, about {left:.0f} min left"
        tell(f"{head}: {minutes:.0f} min{far}")


def bar(text: str, total: float | None, *, done: float = 0, start: float | None = None) -> Any:
    """A bar of tqdm on stderr, taken away when it is closed; only where `on_terminal`, and tqdm is
    there. ``total``: None where nobody knows, then the time is told. ``start``: of monotonic()."""
    import tqdm

    size = shutil.get_terminal_size()  # 80 x 24 where a terminal says it has none
    form = "{desc} {percentage:3.0f}%|{bar:24}| {elapsed}<{remaining}{postfix}"
    made = tqdm.tqdm(
        total=total,
        initial=done,
        desc=text,
        bar_format="{desc} ... {elapsed}" if total is None else form,
        leave=False,
        file=sys.stderr,
        ncols=size.columns - 1,
        nrows=size.lines,
    )
    if start is not None:
        made.start_t -= time.monotonic() - start
    return made
