"""Delays: the clocks of a visit between what a core takes and what it gives."""

from dataclasses import dataclass

__all__ = ["Delays"]


@dataclass(frozen=True)
class Delays:
    """What decides when a core that walks over a map moves; data and waiting come on top.

    tokens: clocks from a visit's start until each of its beats or words is offered, or, of sums
    that are queued, until all of them are there for the main front. back: from the clock in which
    the last of these is taken to the first in which a visit may start in its place. `LineBuffer`
    says when rows are free.
    """

    tokens: tuple[int, ...]
    back: int
