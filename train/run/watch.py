"""Who watches a training: a line an epoch, a bar on a terminal, the user's callbacks."""

from collections.abc import Callable
from typing import Any

from sterna.gen.tools.progress import bar
from sterna.golden.errors import UsageError
from sterna.golden.words.names import show
from sterna.golden.words.packages import there
from sterna.golden.words.telling import on_terminal, told

__all__ = ["Watch", "check_callbacks"]


class Watch:
    """report: what prints a line. callbacks: objects with ``on_epoch(metrics)``, or functions of
    the metrics; each gets the epoch's line of log.jsonl and ``epochs``, how many there will be."""

    def __init__(self, report: Callable[[str], None], callbacks: Any = ()) -> None:
        self.report = report
        self._callbacks = check_callbacks(callbacks)
        self._bar: Any = None
        self._accuracy = ""

    def begin(self, name: str, batches: int, done: int) -> None:
        """``done`` of ``batches`` are trained; on a terminal a bar goes on from there."""
        if on_terminal() and there("tqdm"):
            self._bar = told.bar = bar(name, batches, done=done)

    def batch(self, loss: float) -> None:
        """One batch is over."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}{self._accuracy}", refresh=False)
            self._bar.update()

    def epoch(self, text: str, metrics: dict[str, Any], epochs: int) -> None:
        """An epoch is over: its line, then the callbacks."""
        self._accuracy = f", accuracy {metrics['validation']:.2%}"
        self.say(text)
        if self._bar is not None:
            self._bar.refresh()
        for callback in self._callbacks:
            callback(metrics | {"epochs": epochs})

    def say(self, text: str) -> None:
        """A line between epochs."""
        if self._bar is not None:
            self._bar.clear()
        self.report(text)

    def end(self) -> None:
        """The training is over or cut; the bar is taken away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = told.bar = None


def check_callbacks(given: Any) -> list[Callable[[dict[str, Any]], object]]:
    """What is called with an epoch's metrics, of one callback or several. UsageError for others."""
    found: list[Any]
    try:
        if callable(given) or hasattr(given, "on_epoch"):
            found = [getattr(given, "on_epoch", given)]
        else:
            found = [getattr(c, "on_epoch", c) for c in given]
    except Exception:  # a foreign object may raise what it likes
        found = [None]
    if not all(map(callable, found)):
        raise UsageError(
            f"callbacks {show(given)} must be functions, or have on_epoch, which takes a dict an "
            "epoch"
        )
    return found
