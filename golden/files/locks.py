"""One writer at a time in a folder, and readers that see no half of what it writes.

The lock is on the folder itself: there is no lock file to be left, and the system takes it back
from a process however that ends. It is between commands of Sterna, not against other programs.
"""

import contextlib
import os
import threading
import time
from collections.abc import Generator
from pathlib import Path

from sterna.golden.errors import UsageError
from sterna.golden.files import flock
from sterna.golden.files.disk import StrPath, sweep
from sterna.golden.words.telling import tell

__all__ = ["WAIT", "held", "reading"]

WAIT = 600.0
"""Seconds after which a command that waits for another one gives up."""
_POLL = 0.05  # s
_threads: dict[tuple[int, int], threading.RLock] = {}
_depth: dict[tuple[int, int], int] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def held(folder: StrPath, wait: float | None = None) -> Generator[None]:
    """Be the only writer in ``folder``, which is made where it is not there; may be nested.

    Waits while another command is at work there, and says so on stderr; UsageError after ``wait``
    seconds (default ``WAIT``). What killed writers left is removed first.
    """
    path = Path(folder)
    with contextlib.suppress(OSError):  # then the first write says why
        path.mkdir(parents=True, exist_ok=True)
    with _locked(path, True, WAIT if wait is None else wait) as first:
        if first:
            sweep(path)
        yield


@contextlib.contextmanager
def reading(folder: StrPath, wait: float | None = None) -> Generator[None]:
    """Read several files of ``folder`` that belong together: no writer is at work meanwhile."""
    with _locked(Path(folder), False, WAIT if wait is None else wait):
        yield


@contextlib.contextmanager
def _locked(path: Path, alone: bool, wait: float) -> Generator[bool]:
    """Yields whether the lock was taken just now: not where this thread has it already."""
    end = time.monotonic() + wait
    try:
        handle = _open(path)
    except OSError:  # not there, or not to be read: nothing to lock
        yield True
        return
    found = os.fstat(handle)
    key = (found.st_dev, found.st_ino)
    with _guard:
        mutex = _threads.setdefault(key, threading.RLock())
    try:
        if not mutex.acquire(timeout=max(0.0, min(wait, threading.TIMEOUT_MAX))):
            raise _late(path, wait)
        try:
            first = not _depth.get(key)
            if first:
                _take(handle, path, alone, end, wait)
            _depth[key] = _depth.get(key, 0) + 1
            try:
                yield first
            finally:
                _depth[key] -= 1
        finally:
            mutex.release()
    finally:
        os.close(handle)  # gives the lock back, where it is this handle's


def _open(path: Path) -> int:
    if not flock.THERE:
        raise OSError("no locks")
    flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags)


def _take(handle: int, path: Path, alone: bool, end: float, wait: float) -> None:
    said = False
    while True:
        try:
            if flock.lock(handle, alone):
                return
        except OSError:
            return  # no locks on this disk
        if time.monotonic() > end:
            raise _late(path, wait)
        if not said:
            said = True
            tell(f"waiting for another sterna command in {path}")
        time.sleep(_POLL)


def _late(path: Path, wait: float) -> UsageError:
    return UsageError(
        f"{path}: another sterna command has been at work in this folder for {wait:g} s; wait for "
        "it, or give another folder"
    )
