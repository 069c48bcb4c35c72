"""Lines to a fake board in real time: within the process, and through a pseudo terminal."""

import os
import select
import threading
import time
import tty
from collections.abc import Callable

from fakeboard import FakeBoard


def serve(board: FakeBoard) -> bytes:
    """Let time pass for a board; what it sends."""
    out = b""
    board.run(time.monotonic())
    while frame := board.transmit():
        out += frame
        board.run(time.monotonic())
    return out


class Direct:
    """A transport without a port. ``up``, ``down``: cables; ``at_read`` is called before reads."""

    def __init__(
        self,
        board: FakeBoard,
        up: Callable[[bytes], bytes] | None = None,
        down: Callable[[bytes], bytes] | None = None,
    ):
        self.board = board
        self.up, self.down = up or bytes, down or bytes
        self.at_read: Callable[[], None] = lambda: None
        self.closed = False

    def read(self, wait: float) -> bytes:
        self.at_read()
        end = time.monotonic() + wait
        while not (out := self.down(serve(self.board))) and time.monotonic() < end:
            time.sleep(0.0005)
        return out

    def write(self, data: bytes) -> None:
        assert len(data) <= 256
        self.board.receive(self.up(data))

    def close(self) -> None:
        self.closed = True

    def monotonic(self) -> float:
        return time.monotonic()


class PtyBoard:
    """A fake board behind a pseudo terminal, served by a thread; ``port`` is its name."""

    def __init__(
        self,
        board: FakeBoard,
        up: Callable[[bytes], bytes] | None = None,
        down: Callable[[bytes], bytes] | None = None,
    ):
        self.board = board
        self.up, self.down = up or bytes, down or bytes
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "PtyBoard":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            os.close(self.slave)
            os.close(self.master)

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self.master], [], [], 0.001)
            if ready:
                self.board.receive(self.up(os.read(self.master, 4096)))
            if out := self.down(serve(self.board)):
                os.write(self.master, out)
