"""A board kept busy: how many images, in runs that its counter of clocks holds."""

from typing import Any, cast

import pytest

from sterna.host.busy import MOST_CLOCKS, keep_busy


class Clocked:
    """A board of ``each`` clocks an image at 100 MHz, and its time."""

    def __init__(self, each: int):
        self.each, self.time, self.runs = each, 0.0, []

    def repeat(self, count: int) -> int:
        self.runs.append(count)
        self.time += count * self.each / 100e6 + 0.002  # the link's
        return count * self.each % 2**32


@pytest.mark.parametrize("each", [50, 5000, 300_000])
@pytest.mark.parametrize("images", [1, 16, 17, 1000, 123_456_789])
def test_as_many_images_as_asked(each: int, images: int) -> None:
    board = Clocked(each)
    found = keep_busy(cast(Any, board), images, now=lambda: board.time)
    assert (found.images, found.clocks) == (images, images * each)
    assert found.seconds == board.time and sum(board.runs) == images
    assert max(board.runs) * each <= MOST_CLOCKS


@pytest.mark.parametrize("each", [50, 5000, 300_000])
@pytest.mark.parametrize("seconds", [0.5, 30.0, 600.0])
def test_about_as_long_as_asked(each: int, seconds: float) -> None:
    board = Clocked(each)
    found = keep_busy(cast(Any, board), None, seconds, now=lambda: board.time)
    assert seconds <= found.seconds < 1.1 * seconds + 0.1
    assert found.images * each / 100e6 > 0.9 * seconds  # it hardly rested
