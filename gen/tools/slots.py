"""How many heavy programs run at once on this machine: a counted lock between processes.

yosys and nextpnr take up to `EACH` of memory. There are as many slots as memory and cores allow, or
``STERNA_JOBS`` says; each is a file that whoever runs such a program has locked. The system takes
a lock away when its holder ends, however it ends. Who waits stands in a queue (a lock, too), and
says so on stderr.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

from sterna.golden.errors import UsageError
from sterna.golden.files import flock
from sterna.golden.words.telling import tell

__all__ = ["EACH", "HELD", "at_once", "exclusive", "slot", "slot_count"]

EACH = 4 << 30
"""Bytes that one program may take."""
MOST = 256
HELD = "STERNA_SLOT_HELD"
"""Variable of the environment: a process above holds a slot for all that this one runs, which then
run one at a time."""
_POLL = 0.1  # seconds between looks at the slots, by the first of the queue
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_inside = threading.Lock()  # of this process, where its slot is held from above


def slot_count() -> int:
    """Heavy programs that may run at once: ``STERNA_JOBS``, else by memory and cores, at least 1.

    UsageError where ``STERNA_JOBS`` is no number of 1 to `MOST`.
    """
    said = os.environ.get("STERNA_JOBS", "").strip()
    if not said:
        return max(1, min(_cores(), _memory() // EACH, MOST))
    if not (said.isascii() and said.isdecimal() and len(said) < 6 and 1 <= int(said) <= MOST):
        raise UsageError(
            f"STERNA_JOBS {said[:40]!r}: give a whole number of heavy programs at once, 1 to "
            f"{MOST}, or leave it out"
        )
    return int(said)


def at_once() -> int:
    """Of them, those that this process may run: one where its slot is held from above."""
    return 1 if os.environ.get(HELD) else slot_count()


def _cores() -> int:
    """Cores that this process may use; of the machine where the system does not say (macOS)."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


def _memory() -> int:
    """Bytes of this machine, or what its container may take of them; of one program where the
    system does not say (Windows)."""
    try:
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return EACH
    for path in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):
            most = min(most, int(Path(path).read_text(encoding="ascii")))
    return most


@contextlib.contextmanager
def slot(folder: Path, ended: Callable[[], bool] = lambda: False) -> Generator[None]:
    """Hold one of the slots, whose lock files are in ``folder``, while the block runs.

    ``ended``: asked while it waits; where it says True, the wait ends with InterruptedError.
    """
    if os.environ.get(HELD):
        with _inside:
            yield
        return
    count = slot_count()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # A short look, again: others may only be looking, too.
        if not any(_take_one(folder, count, held) or time.sleep(_POLL / 10) for _ in range(3)):
            _say_waiting(count)
            with exclusive(folder / "queue", ended):
                while not _take_one(folder, count, held, queued=True):
                    _pause(ended)
        yield


def _take_one(folder: Path, count: int, held: contextlib.ExitStack, queued: bool = False) -> bool:
    """Lock a free slot, until ``held`` is closed; False where none is free, or others wait."""
    if not queued:
        with (folder / "queue").open("a") as queue:
            if not flock.lock(queue):
                return False
    for n in range(count):
        file = (folder / f"slot-{n}").open("a")
        if flock.lock(file):
            held.enter_context(file)
            return True
        file.close()
    return False


def _pause(ended: Callable[[], bool]) -> None:
    if ended():
        raise InterruptedError("no longer wanted")
    time.sleep(_POLL)


def _say_waiting(count: int) -> None:
    tell(
        f"waiting: yosys or nextpnr is running {count} time{'s' * (count > 1)}, as often as may be "
        f"at once (STERNA_JOBS={count})"
    )


@contextlib.contextmanager
def exclusive(path: Path, ended: Callable[[], bool] = lambda: False) -> Generator[None]:
    """Hold the lock ``path`` between processes (and threads) while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not flock.lock(file):
            _pause(ended)
        yield
