"""A board kept busy without the link, so that a meter can be read meanwhile."""

__all__ = ["Busy", "keep_busy"]

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from sterna.host.board import Board

GROWTH = 16
MOST_CLOCKS = 1 << 31
"""Of one run of repetitions: a board counts its clocks modulo 2**32."""


@dataclass(frozen=True)
class Busy:
    """images: computed; clocks: they took, by the board; seconds: by this computer."""

    images: int
    clocks: int
    seconds: float


def keep_busy(
    board: Board,
    images: int | None = None,
    seconds: float = 0.0,
    now: Callable[[], float] = time.perf_counter,
) -> Busy:
    """Have a board compute its last image again and again, ``images`` times, or for about
    ``seconds``. It rests for some milliseconds between runs of repetitions, the first of which are
    short.

    LinkError as of `Board.repeat`.
    """
    done = clocks = 0
    batch, start = 1, now()
    while True:
        spent = board.repeat(batch)
        done, clocks = done + batch, clocks + spent
        took = now() - start
        if done >= images if images is not None else took >= seconds:
            return Busy(done, clocks, took)
        left = images - done if images is not None else done * (seconds - took) / max(took, 1e-9)
        most = MOST_CLOCKS * batch // max(spent, 1)
        batch = max(1, min(batch * GROWTH, most, math.ceil(left)))
