"""An open line to a board: moves the engine's bytes until a request is done."""

__all__ = ["Connection"]

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.host import causes
from sterna.host.engine import Engine
from sterna.host.patience import Allowance, check_timeout
from sterna.host.registers import address_of, count_of, words_of
from sterna.host.requests import READ_WORDS, Request
from sterna.host.serialport import Transport

CHUNK = 256
"""Bytes written at once, so that what arrives meanwhile is read."""
TICK = 0.01
"""Seconds to wait for bytes at most, so that Ctrl-C is seen."""


class Connection:
    """One session after the other over one transport.

    After a failure of the link, or where a call was interrupted (Ctrl-C), the next call opens a new
    session, in which the board has forgotten everything under way.

    ``call`` bounds the time of all that is asked in it; a request outside of one is its own call.

    Raises, as all its methods do:
        LinkError: see ``host.causes``.
    """

    def __init__(self, transport: Transport, timeout: float, reset: bool = False):
        self.transport, self.timeout = transport, check_timeout(timeout)
        self.now = transport.monotonic
        self._lock = threading.RLock()
        self._allowance: Allowance | None = None
        self._engine: Engine | None = None
        self._out = bytearray()
        self._busy = False  # a call is under way, or was interrupted
        self.open(reset)

    @contextmanager
    def call(self, first: float = 0.0, anew: bool = False) -> Generator[None]:
        """All requests within are one call: its time is bounded, see ``host.patience.Allowance``.
        Within another call it is part of that, unless it begins ``anew``. Other threads wait."""
        with self._lock:
            outer = self._allowance
            if outer is None or anew:
                self._allowance = Allowance(self.timeout, self.now(), first)
            try:
                yield
            finally:
                self._allowance = outer

    def earned(self, frames: int, images: int = 0) -> None:
        """Work that was done, so that the call may take longer."""
        if self._allowance is not None:
            self._allowance.earn(frames, images)

    def open(self, reset: bool = False) -> None:
        """Begin a new session. ``reset``: also reset the network; its weights stay."""
        # What is left of the old session's bytes is of no use; the new one begins with a zero byte,
        # which ends half a frame.
        self._out.clear()
        self._engine = Engine(self.timeout, on_work=self.earned)
        self.wait(self._engine.open(reset))

    @property
    def engine(self) -> Engine:
        """The engine of a session that is open and has nothing under way."""
        if not self.alive:
            self.open()
        assert self._engine is not None
        return self._engine

    @property
    def alive(self) -> bool:
        """The session is open, and no call was interrupted."""
        return self._engine is not None and not self._busy and self._engine.error is None

    def wait(self, request: Request) -> object:
        """Run the link until the request is done; its value."""
        with self.call():
            return self._wait(request)

    def _wait(self, request: Request) -> object:
        engine, allowance = self._engine, self._allowance
        assert engine is not None and allowance is not None
        self._busy = True
        while not request.done:
            if allowance.over(now := self.now()):
                engine.fail(causes.endless(engine.busy, allowance.taken(now)))
                break
            if not self._out:
                self._out += engine.transmit(self.now())
            if self._out:
                self.transport.write(bytes(self._out[:CHUNK]))
                del self._out[:CHUNK]
            timer = engine.next_timer
            wait = 0.0 if self._out or timer is None else min(TICK, max(0.0, timer - self.now()))
            data = self.transport.read(wait)
            if data:
                engine.receive(data, self.now())
        self._busy = False
        return request.result()

    def read(self, register: str | int, count: int = 1) -> tuple[int, ...]:
        """Words of ``count`` registers from one on, by name (golden/device/csr.py) or by
        address in bytes."""
        address, words, count = address_of(register), [], count_of(count)
        if address + 4 * count > 1 << csr.ADDRESS_BITS:
            raise UsageError(f"{count} registers from {address:#x} on; the last one is at 0xfffc")
        for at in range(0, count, READ_WORDS):
            request = self.engine.read(address + 4 * at, min(READ_WORDS, count - at))
            value = self.wait(request)
            assert isinstance(value, tuple)
            words += value
        return tuple(words)

    def write(self, register: str | int, *words: int) -> None:
        """Write registers from one on. After a refusal the board takes writes again."""
        self.write_all([(register, words_of(words), False)])

    def write_all(self, writes: Sequence[tuple[str | int, Sequence[int], bool]]) -> None:
        """Many writes in order, without waiting between them: (register, words, whether all go to
        that one register). The first refused one stops the rest."""
        engine = self.engine
        requests = [engine.write(address_of(r), words, same) for r, words, same in writes]
        try:
            for request in requests:
                self.wait(request)
        except LinkError:
            if engine.error is None:
                self.wait(engine.mode())
            raise
