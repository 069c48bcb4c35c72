"""Samples as WaveJSON, WaveDrom's format of timing diagrams, and WaveJSON as samples again.

A brick is a clock; the first row has their numbers, since WaveDrom's own ticks only count. What is
idle is cut: a brick with a gap, '|', stands for the clocks between its neighbours. What a payload
is while nothing is valid is 'x'.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sterna.gen.timing.samples import Samples, Scene

__all__ = ["Lane", "clocks_of", "lanes_of", "shown_values", "wavejson"]

NUMBERS = "clock number"
"""Name of the row with the numbers of clocks, which is no port."""
_LABEL = 5
"""Digits of a label that fit a brick of WaveDrom's at an hscale of 1, which has 40 pixels."""


@dataclass(frozen=True)
class Lane:
    """A row: a port; ``valid``: the port that says when it means something, '' where always;
    ``group``: under which name it stands with others."""

    port: str
    valid: str = ""
    group: str = ""


def wavejson(
    samples: Samples, scene: Scene, lanes: Sequence[Lane], clocks: Iterable[int], title: str
) -> dict[str, Any]:
    """The WaveJSON of some clocks of a scene.

    Args:
        lanes: the rows below the clock's, those of a group side by side.
        clocks: which, 0 is the scene's first; those between them are cut.
    """
    bricks = list(_bricks(sorted(set(clocks))))
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
        if values is None:
            wave, last = wave + "|", object()  # behind a gap a value is said again
            continue
        known = not lane.valid or values[lane.valid]
        value = values[lane.port] if known else None
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
