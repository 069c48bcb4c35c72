"""One training at a time in a run folder."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import flock
from sterna.train.run.distributed import Group

__all__ = ["locked"]

LOCK = ".train.lock"


@contextmanager
def locked(folder: Path, group: Group, report: Callable[[str], None]) -> Generator[None]:
    """Hold the run folder, made where it is not there yet, for the processes of ``group``.

    Rank 0 has the lock, which ends with its process however that ends. UsageError where another
    training has it, FileError where ``folder`` is no folder or cannot be written.
    """
    handle, made, refused = None, False, None
    if group.rank == 0:
        try:
            made = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            handle = _take(folder, report)
        except FileExistsError:
            refused = FileError(f"{folder}: is a file, no run folder; give another name")
        except NotADirectoryError:
            refused = FileError(f"{folder}: is below a file; give another name")
        except UsageError as e:
            refused = e
        except OSError as e:
            refused = FileError(f"{folder}: cannot be written ({e.strerror or e}); choose another")
    try:
        if group.decide(refused is not None):  # in all processes, else the others wait for ever
            raise refused or UsageError(f"{folder}: the first process was refused it")
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                os.unlink(folder / LOCK)  # while it is held: whoever opened it before looks again
            os.close(handle)
        if made:
            with suppress(OSError):  # nothing was written into it: refused before that
                folder.rmdir()


def _take(folder: Path, report: Callable[[str], None]) -> int | None:
    """The handle of the lock file, locked; None where there are no locks."""
    path = folder / LOCK
    while flock.THERE:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            if not flock.lock(handle):
                os.close(handle)
                raise UsageError(
                    f"{folder}: another sterna train is at work in this folder; wait for it, or "
                    "give another folder"
                )
            if _is(handle, path):
                return handle
        except OSError:
            os.close(handle)
            report(f"{folder}: no locks on this disk; see that no other training works there")
            path.unlink(missing_ok=True)
            return None
        os.close(handle)
    return None


def _is(handle: int, path: Path) -> bool:
    """Whether the locked file still is the one at ``path``: its last holder removes it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), os.stat(path))
    return False
