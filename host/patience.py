"""How long to wait for a board: when to ask again, and when to give up."""

__all__ = ["Patience"]

FIRST_WAIT = 0.25
"""Seconds to the first repetition, before the line's delay is known."""
LONGEST_WAIT = 0.25
"""Seconds between polls that remain without effect."""


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
        self._tries = 0

    def begin(self, now: float) -> None:
        if not self.waiting:
            self.waiting = True
            self._sent = self._heard = self._progress = now
            self._tries = 0

    def end(self) -> None:
        self.waiting = False

    def sent(self, now: float) -> None:
        self._sent = now

    def heard(self, now: float) -> None:
        self._heard = now

    def progress(self, now: float) -> None:
        self._progress, self._tries = now, 0

    def looked(self, now: float) -> None:
        """The caller looks at the time. Where it was away for long (a machine that slept or had
        other work), that was not the board's silence: what came is still to be read."""
        away, self._looked = now - self._looked, now
        if self.waiting and away > self.silence / 2:
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
