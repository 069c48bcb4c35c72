"""How long to wait for a board: when to ask again, when to give up, and how long a call may take
whatever arrives. Every wait of the host is bounded here. Standard library only.

Three bounds, since a board may be dead, stuck or mad: nothing heard for a third of ``timeout``;
nothing brought on for ``timeout`` (``Patience``, and ``Countdown`` for a board's own counters,
which may only go one way); and for a whole call ``timeout`` and what its work has earned
(``Allowance``).
"""

import math
from enum import Enum

from sterna.golden.errors import UsageError
from sterna.golden.words.names import show

__all__ = ["LONGEST_TIMEOUT", "Allowance", "Countdown", "Pace", "Patience", "check_timeout"]

LONGEST_TIMEOUT = 86_400
"""Seconds: a day."""
FRAME_SHARE, FRAME_LEAST = 0.1, 0.5
"""What an executed frame earns: a share of ``timeout``, at least so many seconds."""
FORGIVEN = 4
"""Times that the caller may be away for long until something moves on."""
PARTS = 64
"""Of a board's own count, one has to be done in each ``timeout``."""

FIRST_WAIT = 0.25
"""Seconds to the first repetition, before the line's delay is known."""
LONGEST_WAIT = 0.25
"""Seconds between polls that remain without effect."""


def check_timeout(timeout: object) -> float:
    """The timeout in seconds. UsageError unless it is a number above 0 and of at most a day."""
    try:
        seconds = math.nan if isinstance(timeout, str | bytes) else float(timeout)  # type: ignore
    except Exception:  # of another's type, which may raise what it likes
        seconds = math.nan
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError(
            f"a timeout of {show(timeout)} s; give some seconds, at most {LONGEST_TIMEOUT:,}"
        )
    return seconds


class Allowance:
    """How long one call may take, whatever the board sends: ``timeout``, and what was earned. An
    executed frame earns a tenth of ``timeout`` (at least half a second), so that a call of n frames
    ends within (1 + n / 10) * timeout; a result earns its frames and ``timeout``, as the network
    may take so long for an image.

    Args:
        now: when the call begins. first: seconds granted beforehand.
    """

    def __init__(self, timeout: float, now: float, first: float = 0.0):
        self._timeout, self._start, self._looked = timeout, now, now
        self._end = now + timeout + first
        self._away = 0

    @staticmethod
    def of_frames(timeout: float, frames: int) -> float:
        """What frames earn, in seconds."""
        return frames * max(FRAME_SHARE * timeout, FRAME_LEAST)

    def earn(self, frames: int, images: int = 0) -> None:
        self._end += self.of_frames(self._timeout, frames) + images * self._timeout

    def over(self, now: float) -> bool:
        """It has taken too long. As ``Patience.looked`` it forgives that the caller was away."""
        away, self._looked = now - self._looked, now
        if away > self._timeout / 6 and self._away < FORGIVEN:
            self._away += 1
            self._end += away
        return now >= self._end

    def taken(self, now: float) -> float:
        """Seconds since the call began."""
        return now - self._start


class Pace(Enum):
    """How a board's counter goes."""

    ON = 1  # it went down, or has time left to
    BACK = 2  # it went up, which none can
    LATE = 3


class Countdown:
    """A count of the board's that must come down to 0: never up, and by a part in each ``timeout``.

    Args:
        start: where it begins. parts: in which it is done, so that all of it ends within
            ``(parts + 1) * timeout``.
    """

    def __init__(self, start: int, timeout: float, now: float, parts: int = PARTS):
        self.left = start
        self._step = max(1, start // parts)
        self._next = start - self._step  # where the time begins anew
        self._timeout, self._end = timeout, now + timeout

    def look(self, left: int, now: float) -> Pace:
        """The counter stands at ``left``."""
        if not 0 <= left <= self.left:
            return Pace.BACK
        self.left = left
        if left <= self._next:
            self._next, self._end = left - self._step, now + self._timeout
        return Pace.LATE if now >= self._end else Pace.ON


class Patience:
    """The times of a connection, in seconds of the caller's clock.

    ``begin`` when something is awaited, ``sent``, ``heard`` (a frame of the session came) and
    ``progress`` (it brought something on) as they happen, ``end`` when nothing is awaited.

    Args:
        timeout: seconds without progress until ``stalled``; a third of it without a frame until
            ``silent``.
        least: shortest wait in seconds.
    """

    def __init__(self, timeout: float, least: float):
        self.timeout, self.silence, self.least = timeout, timeout / 3, least
        self.waiting = False
        self.soon = False  # what is awaited should come at once, but nobody will tell
        self.round_trip: tuple[float, float] | None = None  # smoothed time and its deviation
        self._sent = self._heard = self._progress = self._looked = 0.0
        self._tries = self._away = 0

    def begin(self, now: float) -> None:
        if not self.waiting:
            self.waiting = True
            self._sent = self._heard = self._progress = now
            self._tries = self._away = 0

    def end(self) -> None:
        self.waiting = False

    def sent(self, now: float) -> None:
        self._sent = now

    def heard(self, now: float) -> None:
        self._heard = now

    def progress(self, now: float) -> None:
        self._progress, self._tries, self._away = now, 0, 0

    def looked(self, now: float) -> None:
        """The caller looks at the time. Where it was away for long (a machine that slept or had
        other work), that was not the board's silence: what came is still to be read. Not again and
        again, though: a port that takes bytes slowly keeps its caller away, too."""
        away, self._looked = now - self._looked, now
        if self.waiting and away > self.silence / 2 and self._away < FORGIVEN:
            self._away += 1
            self._sent, self._heard, self._progress = (
                t + away for t in (self._sent, self._heard, self._progress)
            )

    def tried(self) -> None:
        """The wait was in vain; the next one is longer."""
        self._tries = min(self._tries + 1, 8)

    def sample(self, seconds: float) -> None:
        """A frame was accepted so long after it was sent; smoothed as RFC 6298 does. After a wait
        in vain that was the wait's length and not the line's, so it does not count."""
        if self._tries:
            return
        if self.round_trip is None:
            self.round_trip = seconds, seconds / 2
        else:
            smooth, spread = self.round_trip
            spread += (abs(seconds - smooth) - spread) / 4
            self.round_trip = smooth + (seconds - smooth) / 8, spread

    @property
    def wait(self) -> float:
        """Seconds to wait for an effect of what was sent last."""
        longest = min(LONGEST_WAIT, self.silence / 8)
        if self.round_trip is None:
            wait = min(FIRST_WAIT, longest)
        else:
            wait = max(self.least, self.round_trip[0] + 4 * self.round_trip[1])
            if self.soon:
                wait = min(wait, max(self.least / 8, self.round_trip[0]))
            longest = min(max(wait, longest), self.silence / 8)
        return min(wait * 2**self._tries, longest)

    @property
    def deadline(self) -> float:
        """When to ask again."""
        return max(self._sent, self._progress) + self.wait

    @property
    def next(self) -> float | None:
        """When something is to be done; None while nothing is awaited."""
        if not self.waiting:
            return None
        return min(self.deadline, self._heard + self.silence, self._progress + self.timeout)

    def silent(self, now: float) -> bool:
        return self.waiting and now >= self._heard + self.silence

    def stalled(self, now: float) -> bool:
        return self.waiting and now >= self._progress + self.timeout
