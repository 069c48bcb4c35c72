"""A simulated board behind a serial port: programs open the port as they would a real one."""

import contextlib
import os
import select
import threading
import time
import tty
from types import TracebackType
from typing import Any

from sterna.golden.device.simulated import announce, withdraw
from sterna.golden.errors import SternaError
from sterna.sim.boardsim import SimulatedBoard

__all__ = ["PtyBoard"]

_SLICE_SECONDS = 0.004  # the board runs so long between two looks at the port
_AHEAD = 4  # slices: bytes for these are taken from the port before the board needs them
_UNREAD = 1 << 20  # bytes that wait for a program to read them; more are lost, as on a cable


class PtyBoard:
    """Runs a board in a thread and connects its line to a pseudo-terminal.

    The board runs as fast as it can while something happens on the line and for ``grace`` clocks
    after; then its time stands still, at no cost, until the next byte. A program that waits longer
    for the board must ask again, which it must on a real line too.

    Args:
        board: used by this object alone from now on.
        grace: clocks of the board; more than it may be silent for while it works.
        facts: of the board, for the note beside its port by which it is known for a simulated one
            (``golden.device.simulated``).

    Attributes:
        path: of the port, for ``Board(path)``. It exists until :meth:`close`.
        error: what ended the board, None while it runs.
    """

    def __init__(
        self, board: SimulatedBoard, grace: int = 1 << 21, facts: dict[str, Any] | None = None
    ):
        self.board, self.grace = board, grace
        self.error: SternaError | None = None
        # The far end stays open here: the port survives programs that come and go.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        clocks = {"divisor": board.divisor, "ratio": str(board.ratio)}
        announce(self.path, clocks | (facts or {}))
        self._wake, self._waker = os.pipe()
        self._stop = False
        self._thread = threading.Thread(target=self._serve, name="board", daemon=True)
        self._thread.start()

    def __enter__(self) -> "PtyBoard":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the board; the port vanishes. Twice is as good as once."""
        if self._stop:
            return
        self._stop = True
        os.write(self._waker, b"x")
        self._thread.join()
        for handle in (self._wake, self._waker):
            os.close(handle)

    def wait(self, seconds: float | None = None) -> bool:
        """Until the board ends, or for so long. True: it ended; :attr:`error` may say why."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            self._run()
        except SternaError as error:
            self.error = error
        finally:
            withdraw(self.path)
            os.close(self._slave)
            os.close(self._master)

    def _run(self) -> None:
        clocks, silent, unread = 1000, self.grace, b""
        while not self._stop:
            asleep = silent >= self.grace
            writers = [self._master] if unread else []
            readable, writable, _ = select.select(
                [self._master, self._wake], writers, [], None if asleep else 0
            )
            room = int(_AHEAD * clocks / self.board.byte_clocks) + 1 - self.board.queued
            data = b""
            if self._master in readable and room > 0:
                data = self._read(room)
            if writable:
                unread = unread[self._write(unread) :]
            if asleep and not data:
                continue
            start, clock = time.monotonic(), self.board.clock
            came = self.board.exchange(data, clocks)
            took = time.monotonic() - start
            busy = data or came or self.board.queued
            silent = 0 if busy else silent + self.board.clock - clock
            unread = (unread + came)[:_UNREAD]
            unread = unread[self._write(unread) :]
            clocks = max(100, int(clocks * min(2.0, _SLICE_SECONDS / max(took, 1e-6))))

    def _read(self, room: int) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._master, room)
        return b""

    def _write(self, data: bytes) -> int:
        if data:
            with contextlib.suppress(BlockingIOError):
                return os.write(self._master, data)
        return 0
