"""Bytes from a board to frames, and what a link counts."""

__all__ = ["LONGEST", "FrameReader", "LinkStats"]

from dataclasses import dataclass

from sterna.golden.device.link import BoardFrame, unwire

LONGEST = 255
"""Bytes between two zero bytes that can still be a frame."""


@dataclass
class LinkStats:
    """Counts of one connection. ``payload_sent``: bytes of bodies of first sendings; ``stale``:
    frames whose counts had been overtaken; ``foreign``: of other sessions."""

    bytes_sent: int = 0
    payload_sent: int = 0
    frames_sent: int = 0
    frames_resent: int = 0
    polls: int = 0
    timeouts: int = 0
    bytes_received: int = 0
    frames_received: int = 0
    damaged: int = 0
    foreign: int = 0
    stale: int = 0


class FrameReader:
    """Cuts a stream of bytes at its zeros. What is no frame is counted and dropped."""

    def __init__(self, stats: LinkStats):
        self.stats = stats
        self._part = bytearray()
        self._noise = False  # too long for a frame: dropped up to the next zero

    def feed(self, data: bytes) -> list[BoardFrame]:
        """The whole frames that end in ``data``, in order."""
        self.stats.bytes_received += len(data)
        *ended, rest = data.split(b"\0")
        frames = []
        for part in ended:
            whole = bytes(self._part) + part if self._part else part
            noise, self._noise = self._noise or len(whole) > LONGEST, False
            self._part.clear()
            if not whole and not noise:
                continue  # zeros between frames mean nothing
            content = None if noise else unwire(whole)
            frame = None if content is None else BoardFrame.parse(content)
            if frame is None:
                self.stats.damaged += 1
            else:
                self.stats.frames_received += 1
                frames.append(frame)
        if not self._noise:
            self._part += rest
            if len(self._part) > LONGEST:
                self._part.clear()
                self._noise = True
        return frames
