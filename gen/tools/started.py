"""A program that is started, heard line by line while it runs, and ended when it has to be."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from sterna.gen.tools.orphans import end_group, watched

__all__ = ["Stop", "started"]


class Stop:
    """Ends programs that run side by side, when one's result makes the others' needless."""

    def __init__(self) -> None:
        self._lock, self._running = threading.Lock(), set[subprocess.Popen[str]]()
        self._ended = False

    def ended(self) -> bool:
        return self._ended

    def end(self) -> None:
        """End all that run; those that begin later, at once."""
        with self._lock:
            self._ended = True
            for process in self._running:
                end_group(process)

    @contextlib.contextmanager
    def watch(self, process: "subprocess.Popen[str]") -> Generator[None]:
        with self._lock:
            self._running.add(process)
            if self._ended:
                end_group(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)


def started(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    stop: Stop,
    hear: Callable[[str], object],
) -> tuple[int, str, bool]:
    """Run a program to its end: (exit code, what it said, whether it was ended after ``timeout``
    seconds). ``hear`` gets each line as it comes. FileNotFoundError: there is no such program.

    It has a process group of its own: a timeout, Ctrl-C or the end of this process ends make, g++
    and all below them, not only the top.
    """
    with watched(argv) as (words, how):
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            **how,
        )
        lines: list[str] = []
        silent = threading.Event()  # nobody holds its stdout any more

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as stream:
                for line in stream:
                    lines.append(line)
                    hear(line)
            silent.set()

        threading.Thread(target=read, daemon=True).start()
        with stop.watch(process):
            try:
                late = not silent.wait(timeout)
                if late:
                    end_group(process)
                    silent.wait()
                return process.wait(), "".join(lines), late
            except BaseException:
                end_group(process)
                raise
