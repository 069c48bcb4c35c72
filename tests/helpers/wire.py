"""A line between an engine and a fake board in virtual time, with a cable in each direction."""

from collections.abc import Callable

from fakeboard import FakeBoard

from sterna.host.engine import Engine
from sterna.host.requests import Request

SLICE = 0.001


def whole(data: bytes) -> bytes:
    """A good cable."""
    return data


class Wire:
    """``run`` moves bytes at ``baud`` in slices of a millisecond until a request is done."""

    def __init__(
        self,
        engine: Engine,
        board: FakeBoard,
        up: Callable[[bytes], bytes] = whole,
        down: Callable[[bytes], bytes] = whole,
        baud: int = 1_000_000,
    ):
        self.engine, self.board, self.up, self.down = engine, board, up, down
        self.now = 0.0
        self.per_slice = baud / 10 * SLICE
        self.queue_up, self.queue_down = bytearray(), bytearray()
        self.bytes_up = self.bytes_down = 0

    def run(self, request: Request, seconds: float = 1000.0) -> object:
        """The request's result; AssertionError where it takes longer than ``seconds``."""
        end = self.now + seconds
        while not request.done:
            assert self.now < end, f"{request.what} hangs"
            self.step()
        return request.result()

    def step(self) -> None:
        self.now += SLICE
        size = int(self.per_slice)
        if len(self.queue_up) < size:
            self.queue_up += self.engine.transmit(self.now)
        if self.queue_up:
            part, self.queue_up = self.queue_up[:size], self.queue_up[size:]
            self.bytes_up += len(part)
            self.board.receive(self.up(bytes(part)))
        self.board.run(self.now)
        while len(self.queue_down) < size and (frame := self.board.transmit()):
            self.queue_down += frame
            self.board.run(self.now)
        if self.queue_down:
            part, self.queue_down = self.queue_down[:size], self.queue_down[size:]
            self.bytes_down += len(part)
            self.engine.receive(self.down(bytes(part)), self.now)
