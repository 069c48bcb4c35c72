"""A line between a host and a simulated board in one process, in the board's own time."""

from collections.abc import Callable

from sterna.sim.boardsim import SimulatedBoard

__all__ = ["SimulatedLine"]

_QUEUE = 512  # bytes that wait for the line before `write` waits too, as an adapter's memory does
_LOOK = 4  # bytes' time between two looks at what has come
_BYTE_SECONDS = 1e-5  # time is told as if the line ran at 1 Mbaud


class SimulatedLine:
    """A ``host.serialport.Transport``: ``Board(SimulatedLine(board), ...)``.

    The board runs only while the host waits or writes, so nothing depends on this machine's speed.

    Args:
        board: used by this object alone from now on.
        to_board, to_host: what each direction does to bytes, such as ``BadCable``; None: nothing.

    Attributes:
        sent, received: bytes so far, as the host counts them.
        simulated: what a selftest says of such a line.
    """

    def __init__(
        self,
        board: SimulatedBoard,
        to_board: Callable[[bytes], bytes] | None = None,
        to_host: Callable[[bytes], bytes] | None = None,
    ):
        self.board = board
        self.sent = self.received = 0
        self.simulated = {"divisor": board.divisor, "ratio": str(board.ratio)}
        self._cables = to_board or bytes, to_host or bytes
        self._came = b""

    def monotonic(self) -> float:
        """Seconds of the board's time, in place of ``time.monotonic``."""
        return self.board.clock / float(self.board.byte_clocks) * _BYTE_SECONDS

    def read(self, wait: float) -> bytes:
        """What has come; with nothing there, runs the board up to ``wait`` of its seconds."""
        end = self.monotonic() + wait
        while not self._came and self.monotonic() < end:
            self._run(b"")
        came, self._came = self._came, b""
        self.received += len(came)
        return came

    def write(self, data: bytes) -> None:
        """Queue ``data``; runs the board while too much is queued."""
        self.sent += len(data)
        self._run(self._cables[0](data))
        while self.board.queued > _QUEUE:
            self._run(b"")

    def close(self) -> None:
        """Nothing: the board stays."""

    def _run(self, data: bytes) -> None:
        came = self.board.exchange(data, int(_LOOK * self.board.byte_clocks) + 1)
        self._came += self._cables[1](came)
