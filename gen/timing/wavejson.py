"""Samples as WaveJSON, WaveDrom's format of timing diagrams, and WaveJSON as samples again.

A brick is a clock; the first row has their numbers, since WaveDrom's own ticks only count. What is
idle is cut: a brick with a gap, '|', stands for clocks in which all that is drawn is as in the
brick before it, and no word moves. What a payload is while nothing is valid is 'x'; each word has
one box of its own, however long it waits.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sterna.gen.timing.samples import Samples, Scene

__all__ = ["Lane", "clocks_of", "lanes_of", "shown_clocks", "shown_values", "wavejson"]

NUMBERS = "clock number"
"""Name of the row with the numbers of clocks, which is no port."""
_KEPT = 3
"""An idle stretch that is longer than this and two is cut to it and its last clock."""
_LABEL = 5
"""Digits of a label that fit a brick of WaveDrom's at an hscale of 1, which has 40 pixels."""


@dataclass(frozen=True)
class Lane:
    """A row: a port; ``valid``: the port that says when it means something, '' where always;
    ``group``: under which name it stands with others."""

    port: str
    valid: str = ""
    group: str = ""

    def drawn(self, values: Mapping[str, int]) -> int | None:
        """Its value in a clock; None where it means nothing."""
        return values[self.port] if not self.valid or values[self.valid] else None

    def moves(self, values: Mapping[str, int]) -> bool:
        """Whether a word that it is part of is taken in a clock."""
        ready = f"{self.valid.removesuffix('valid')}ready"
        return bool(self.valid and values[self.valid] and values[ready])


def shown_clocks(scene: Scene, lanes: Sequence[Lane], first: int, end: int) -> list[int]:
    """The clocks ``first`` .. ``end - 1`` without the middle of stretches in which nothing that is
    drawn changes and no word moves."""
    out: list[int] = []
    stretch, last = range(0), None
    for run in scene.runs:
        clocks = range(max(run.start, first), min(run.end, end))
        if not clocks:
            continue
        now = [lane.drawn(run.values) for lane in lanes]
        if any(lane.moves(run.values) for lane in lanes):
            out += [*_ends(stretch), *clocks]
            stretch = range(0)
        elif stretch and now == last:
            stretch = range(stretch.start, clocks.stop)
        else:
            out += _ends(stretch)
            stretch = clocks
        last = now
    return out + _ends(stretch)


def _ends(stretch: range) -> list[int]:
    return list(stretch if len(stretch) <= _KEPT + 2 else [*stretch[:_KEPT], stretch[-1]])


def wavejson(
    samples: Samples, scene: Scene, lanes: Sequence[Lane], first: int, end: int, title: str
) -> dict[str, Any]:
    """The WaveJSON of the clocks ``first`` .. ``end - 1`` of a scene, without what is idle.

    Args:
        lanes: the rows below the clock's, those of a group side by side.
    """
    bricks = list(_bricks(shown_clocks(scene, lanes, first, end)))
    found = [None if c is None else scene.at(c) for c in bricks]
    numbers = [str(c) for c in bricks if c is not None]
    rows: list[Any] = [
        {
            "name": NUMBERS,
            "wave": "".join("|" if c is None else "=" for c in bricks),
            "data": numbers,
        },
        {"name": samples.clock, "wave": "p" + _rest(found[1:])},
    ]
    for lane in lanes:
        row = _row(lane, samples.widths[lane.port], found)
        if not lane.group:
            rows.append(row)
        elif isinstance(rows[-1], list) and rows[-1][0] == lane.group:
            rows[-1].append(row)
        else:
            rows.append([lane.group, row])
    longest = max((len(v) for row in _flat(rows) for v in row.get("data", ())), default=0)
    return {
        "signal": rows,
        "head": {"text": title},
        "config": {"hscale": 1 if longest <= _LABEL else 2},
    }


def _bricks(clocks: Sequence[int]) -> Iterator[int | None]:
    last = None
    for clock in clocks:
        if last is not None and clock != last + 1:
            yield None
        yield clock
        last = clock


def _rest(found: Sequence[Any]) -> str:
    return "".join("|" if values is None else "." for values in found)


def _row(lane: Lane, width: int, found: Sequence[Mapping[str, int] | None]) -> dict[str, Any]:
    wave, data, last = "", [], object()
    for values in found:
        if values is None:  # no word moves in it, and nothing changes
            wave += "|"
            continue
        value = lane.drawn(values)
        if value == last:
            wave += "."
        elif value is None:
            wave += "x"
        elif width == 1:
            wave += str(value)
        else:
            wave += "="
            data.append(f"{value:X}")
        last = value
        if width > 1 and lane.moves(values):
            last = object()  # what follows is another word, though it may be equal
    row: dict[str, Any] = {"name": lane.port, "wave": wave}
    return row | {"data": data} if data else row


def _flat(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if isinstance(row, list):
            yield from _flat(row[1:])
        elif row:
            yield row


def lanes_of(wave: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a WaveJSON below the numbers of clocks, those of groups, too, from above."""
    return list(_flat(wave["signal"]))[1:]


def clocks_of(wave: Mapping[str, Any]) -> list[int | None]:
    """The number of each brick's clock, None of a gap."""
    row = wave["signal"][0]
    numbers = iter(row["data"])
    return [None if mark == "|" else int(next(numbers)) for mark in row["wave"]]


def shown_values(wave: Mapping[str, Any]) -> dict[int, dict[str, int | None]]:
    """What a WaveJSON says of the rows below the clock's, by clock: None where a row is 'x'."""
    bricks = clocks_of(wave)
    out: dict[int, dict[str, int | None]] = {c: {} for c in bricks if c is not None}
    for row in lanes_of(wave)[1:]:
        labels, value = iter(row.get("data", ())), None
        for clock, mark in zip(bricks, row["wave"], strict=True):
            if mark in "01":
                value = int(mark)
            elif mark == "=":
                value = int(next(labels), 16)
            elif mark == "x":
                value = None
            if clock is not None:
                out[clock][row["name"]] = value
    return out
