"""One direction of a bad cable: frames go in, what arrives comes out.

It knows of frames only that a zero byte ends them, so it damages whatever is sent through it.
"""

import random
from collections import Counter
from dataclasses import dataclass, fields

__all__ = ["BadCable", "Faults"]

_GARBAGE = 300  # bytes of garbage at most: longer than any frame


@dataclass(frozen=True)
class Faults:
    """How often each fault meets a frame: probabilities, one or none a frame, their sum <= 1.

    Attributes:
        flip: one to three of its bits arrive changed, the ending zero's too.
        drop: one byte is missing, or the frame is.
        duplicate: one byte arrives twice, or the frame does.
        truncate: it ends too early, with or without its zero byte.
        garbage: up to 300 random bytes, zeros among them or not, come before it.
    """

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    garbage: float = 0.0

    @classmethod
    def each(cls, rate: float) -> "Faults":
        """Every kind of fault at this rate."""
        return cls(*[rate] * len(fields(cls)))


class BadCable:
    """Takes bytes as they are sent; a frame arrives, damaged or not, when its end has been sent.

    Attributes:
        broken: while true nothing arrives and what is sent is lost.
        frames: whole frames that were sent, those lost in a broken cable too.
        counts: faults by name, and ``"cut"``: frames that met a broken cable.
    """

    def __init__(self, faults: Faults = Faults(), seed: int = 0):
        self.faults = faults
        self.broken = False
        self.frames = 0
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._held = bytearray()

    def __call__(self, data: bytes) -> bytes:
        """What arrives now that ``data`` has been sent."""
        self._held += data
        *frames, rest = bytes(self._held).split(b"\0")
        self._held = bytearray(rest)
        return b"".join(self._frame(bytearray(frame + b"\0")) for frame in frames)

    def _frame(self, frame: bytearray) -> bytes:
        self.frames += 1
        if self.broken:
            self.counts["cut"] += 1
            return b""
        draw = self._random.random()
        for item in fields(Faults):
            rate = getattr(self.faults, item.name)
            if draw < rate:
                self.counts[item.name] += 1
                return bytes(getattr(self, f"_{item.name}")(frame))
            draw -= rate
        return bytes(frame)

    def _flip(self, frame: bytearray) -> bytearray:
        for bit in self._random.sample(range(8 * len(frame)), self._random.randint(1, 3)):
            frame[bit // 8] ^= 1 << bit % 8
        return frame

    def _drop(self, frame: bytearray) -> bytearray:
        if self._random.random() < 0.5:
            return bytearray()
        del frame[self._random.randrange(len(frame))]
        return frame

    def _duplicate(self, frame: bytearray) -> bytearray:
        if self._random.random() < 0.5:
            return frame + frame
        at = self._random.randrange(len(frame))
        return frame[: at + 1] + frame[at:]

    def _truncate(self, frame: bytearray) -> bytearray:
        end = bytearray(b"\0") if self._random.random() < 0.5 else bytearray()
        return frame[: self._random.randrange(len(frame))] + end

    def _garbage(self, frame: bytearray) -> bytearray:
        low = self._random.randint(0, 1)  # 1: no zero byte, so it runs into the frame
        count = self._random.randint(1, _GARBAGE)
        return bytearray(self._random.randint(low, 255) for _ in range(count)) + frame
