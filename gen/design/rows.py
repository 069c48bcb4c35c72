"""Rows a line buffer keeps beyond the needed ones, so that a core is as fast as its law says.

A row that the window has left is free for the input a few clocks later, and a row that came in is
known a clock later. In maps of a few clocks a row these clocks are many percent: the input waits
for a row, then the core for the input. More rows let both go on.
"""

from functools import lru_cache

from sterna.hw.core.geometry import Geometry
from sterna.hw.core.line_buffer import LineBuffer

__all__ = ["row_interval", "spare_rows"]

_IMAGES = 12
"""Images of a run; those of the second half count."""
_ROWS = 600
"""Output rows of a run at least, where the maps are low: of so many the mean is exact."""
_STEPS = 16
"""Strides of rows that may be spare."""


def spare_rows(g: Geometry, visits: int, items: int, pitch: int, bound: int) -> int:
    """The fewest rows, ``g.spare`` or more, with which a core keeps to ``bound`` clocks an image,
    or is as fast as rows can make it.

    visits, items, pitch: visits of an output row, items of a visit, clocks from visit to visit.
    """
    best = g.spare, _interval(g, g.spare, visits, items, pitch)
    for step in range(1, _STEPS + 1):
        if best[1] <= bound:
            break
        spare = g.spare + step * g.advance[0]
        if (took := _interval(g, spare, visits, items, pitch)) < best[1]:
            best = spare, took
    return best[0]


def row_interval(g: Geometry, visits: int, items: int, pitch: int) -> float:
    """Clocks an image of a walker over a line buffer, mean of many, neither end ever waiting."""
    return _interval(g, g.spare, visits, items, pitch)


def _interval(g: Geometry, spare: int, visits: int, items: int, pitch: int) -> float:
    need = g.extent[0] + max(g.advance[0], g.next_image) + spare
    slots = -(-need // g.rows) * g.rows
    return _run(
        g.width * g.words_per_pixel,
        g.height,
        g.extent[0],
        g.advance[0],
        g.border[0],
        g.out_height,
        slots,
        (visits - 1) * pitch + items,
        visits * pitch,
    )


@lru_cache(maxsize=1 << 12)
def _run(
    beats: int,
    height: int,
    kernel: int,
    stride: int,
    top: int,
    out_height: int,
    slots: int,
    busy: int,
    pitch: int,
) -> float:
    """Row by row, what tokens.cpp does beat by beat. busy, pitch: clocks from the first item of an
    output row to behind its last, and to the first of the next one."""
    images = max(_IMAGES, -(-_ROWS // out_height) if out_height * pitch < 2000 else 0)
    came: list[int] = []  # last beat of each row of input
    gone: list[int] = []  # last item of each row of output
    ended, following, ends = 0, 0, [0] * images

    def base(row: int) -> int:
        return row // out_height * height + row % out_height * stride

    for image in range(images):
        for row in range(out_height):
            need = image * height + min(row * stride - top + kernel, height)
            while len(came) < need:
                # Where windows lie below the image, rows are free only when they stay so.
                while slots - top - len(came) + base(ended) <= 0:
                    ended += 1
                if ended > len(gone):
                    return float("inf")  # no such rows: the window itself does not fit
                room = gone[ended - 1] + LineBuffer.freeing if ended else 0
                came.append(max(room, came[-1] + 1 if came else 0) + beats - 1)
            start = max(following, came[need - 1] + 1 if need > 0 else 0)
            gone.append(start + busy - 1)
            following = start + pitch
        ends[image] = following
    half = images // 2
    return (ends[-1] - ends[half - 1]) / (images - half)
