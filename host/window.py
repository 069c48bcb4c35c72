"""The numbered frames under way: what is sent, accepted and executed; credits; what goes again."""

__all__ = ["SentFrame", "Window"]

from collections import deque
from dataclasses import dataclass

from sterna.golden.device.link import FRAME_COST, ToBoard
from sterna.host.requests import Request

MOST = 100
"""Frames under way. Less than half of the 256 numbers, so an old count is known from a new one."""


@dataclass(eq=False)
class SentFrame:
    """A sequenced frame. number: from 0, not wrapped. request: whose last frame it is, or None.
    sent: when it was first sent; again: it was sent more than once."""

    number: int
    kind: ToBoard
    body: bytes
    request: Request | None
    sent: float = 0.0
    again: bool = False

    @property
    def cost(self) -> int:
        """Bytes it takes of the board's buffer."""
        return len(self.body) + FRAME_COST


class Window:
    """Frames from the oldest not executed to the newest made. Numbers grow without bound.

    Attributes:
        done: number executed next, as far as is known.
        accepted: number the board accepts next.
        top: number of the next new frame.
        round_trip: seconds from sending a frame to its acceptance, of the newest one that was sent
            only once; None before the first. Whoever reads it sets it to None.
    """

    def __init__(self, buffer: int):
        self.buffer = buffer
        self.frames: deque[SentFrame] = deque()
        self.done = self.accepted = self.top = 0
        self._send = 0  # number to put on the line next
        self._used = 0
        self.round_trip: float | None = None

    def has_room(self, body_bytes: int) -> bool:
        """A frame with such a body fits into the board's buffer whatever of it is executed."""
        used = self._used + body_bytes + FRAME_COST
        return used <= self.buffer and self.top - self.done < MOST

    def add(self, kind: ToBoard, body: bytes, request: Request | None) -> SentFrame:
        """A new frame; ``take`` gives it out."""
        frame = SentFrame(self.top, kind, body, request)
        self.frames.append(frame)
        self.top += 1
        self._used += frame.cost
        return frame

    def take(self, now: float) -> SentFrame | None:
        """The frame to put on the line now, or None if all have been."""
        self._send = max(self._send, self.accepted)
        if self._send == self.top:
            return None
        frame = self.frames[self._send - self.done]
        self._send += 1
        if frame.sent:
            frame.again = True
        frame.sent = frame.sent or now
        return frame

    @property
    def missing(self) -> bool:
        """Some frame that was sent is not accepted."""
        return self._send > self.accepted

    def rewind(self) -> None:
        """Send again from the first frame that is not accepted."""
        self._send = self.accepted

    def update(self, next_: int, done: int, now: float) -> list[SentFrame] | None:
        """Take a board's counts (modulo 256); the frames they show to be executed, or None where
        they are older than what is known."""
        accepted = self.accepted + ((next_ - self.accepted) & 255)
        executed = self.done + ((done - self.done) & 255)
        if accepted > self.top or executed > accepted:
            return None
        if accepted > self.accepted:
            newest = self.frames[accepted - 1 - self.done]
            if not newest.again:
                self.round_trip = now - newest.sent
        self.accepted = accepted
        over = [self.frames.popleft() for _ in range(executed - self.done)]
        self._used -= sum(frame.cost for frame in over)
        self.done = executed
        return over
