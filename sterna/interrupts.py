"""Ctrl-C and its like in the program ``sterna``: one sentence and 128 + the signal's number,
whenever they come: at the start, while modules are imported, in a command, at the end.

Only the program installs this; whoever imports Sterna keeps his own handlers.
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

__all__ = ["caught", "ended", "install", "running", "sentence", "settled"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_PATIENCE = 2.0
"""Seconds that a command has for tidying up before a second signal ends it on the spot."""

_taken: list[int] = []
"""Signals that are ours."""
_state: "dict[str, Any]" = {"running": False, "caught": 0, "since": 0.0, "command": ""}


def install() -> None:
    """Take the signals over; first of all, so that nothing that is imported can spoil them."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) == signal.SIG_IGN:
            continue  # started with nohup, or in the background of a script: it stays ignored
        signal.signal(number, _handle)
        _taken.append(number)
    sys.unraisablehook = _unraisable


def running(command: str) -> None:
    """A command begins: from here on a signal is a KeyboardInterrupt, so that it can tidy up."""
    _state.update(running=True, command=command, caught=0)


def ended() -> None:
    """The command is over: there is nothing left to tidy up."""
    _state["running"] = False


def settled() -> None:
    """What the command has to say is said, and its exit code stands: a signal that comes while
    Python ends must not change it, nor may what is left half made complain."""
    import warnings

    while _taken:
        signal.signal(_taken.pop(), signal.SIG_IGN)  # Python's own end leaves these as they are
        warnings.simplefilter("ignore")


def caught() -> int:
    """Number of the signal that came in a command, or 0."""
    return _state["caught"]


def sentence(number: int, again: str = "to go on") -> str:
    """What is said of it. again: what running the command again does."""
    ways = {"SIGTERM": "terminated", "SIGHUP": "its terminal has gone"}
    how = ways.get(signal.Signals(number).name, "interrupted")
    return f"{how}; run the same command again {again}"


def _handle(number: int, _frame: "FrameType | None") -> None:
    import time

    now = time.monotonic()
    if not _state["running"]:
        _leave(number)
    if _state["caught"] and now - _state["since"] < _PATIENCE:
        return  # it is tidying up
    if _state["caught"]:
        _leave(number)
    _state.update(caught=number, since=now)
    raise KeyboardInterrupt


def _leave(number: int) -> None:
    """End here: nothing is open that others could find half done."""
    name = f"sterna {_state['command']}".strip()
    try:
        os.write(2, f"{name}: {sentence(number)}\n".encode())
    except OSError:
        pass
    os._exit(128 + number)


def _unraisable(what: "Any") -> None:
    """Python swallows what is raised in a callback or a destructor. A Ctrl-C there comes again."""
    if isinstance(what.exc_value, KeyboardInterrupt) and _state["caught"]:
        import threading

        number, _state["caught"] = _state["caught"], 0
        again = threading.Timer(0.05, signal.raise_signal, (number,))
        again.daemon = True
        again.start()
        return
    sys.__unraisablehook__(what)
