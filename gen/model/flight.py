"""Images in flight: how many a design lets be on their way, and for how many its model runs.

A deep network with a short interval has many images between its ends. The flags of each wait in a
FIFO of :class:`ImageInput`; where it is full, no image begins. So many places make the interval at
least (clocks from an image's first word to the start of its result) / places.
"""

from dataclasses import replace
from math import ceil

from sterna.gen.design.design import Design
from sterna.gen.model.tokens import ENDLESS, TokenModel
from sterna.golden.device.fabric import fabric_of
from sterna.hw.stream.axis import result_clocks

__all__ = ["MOST_IN_FLIGHT", "flight_clocks", "horizon", "with_flight"]

MOST_IN_FLIGHT = 4096
_GRAIN = 16  # words of LUT RAM


def horizon(latency: int, interval: int) -> tuple[int, int]:
    """(images on their way at once, images of a run of whose second half the mean is settled)."""
    flying = ceil(latency / max(1, interval))
    return flying, 3 * flying + 12


def flight_clocks(latency: int, classes: int) -> int:
    """Clocks for which one image alone keeps its place: up to the start of its result packet."""
    return max(1, latency - result_clocks(classes))


def with_flight(design: Design, model: TokenModel, depths: list[int]) -> Design:
    """The design with as many images in flight as keep it as fast, with buffers of these depths, as
    any number would; no more than usual where that is enough."""
    images = horizon(model.run(1, depths=depths).latency, design.interval)[1]

    def interval(places: int):
        return model.run(images, depths=depths, in_flight=places).interval

    usual = design.flight
    if (now := interval(usual)) <= design.interval or now <= (target := interval(ENDLESS)):
        return design
    low, high = usual, 2 * usual
    while interval(high) > target and high < MOST_IN_FLIGHT:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if interval(middle) <= target else (middle, high)
    if fabric_of(design.family).lut_ram:  # else flip-flops, any number
        high = -(-high // _GRAIN) * _GRAIN
    return replace(design, in_flight=high)
