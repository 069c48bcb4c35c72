"""What a design takes of a device: estimated, synthesised, placed."""

import functools
from collections.abc import Mapping
from typing import Any

from sterna.gen.device.boards import BOARDS, Chip, board, chip_of
from sterna.golden.errors import UsageError

__all__ = ["device_of", "resource_rows"]

KEYS = ("luts", "ff", "bram")


def device_of(
    family: str, asked: str | None, made_for: Chip | None, need: Mapping[str, float] | None
) -> dict[str, Any] | None:
    """The device that shares are of: that of the board which is ``asked`` for, which the design
    was made for, or of ``family`` the smallest that holds what it may ``need``, else the largest.
    ``holds``: whether it does, None where that is not known.
    None for a family without boards. UsageError where no board is called as asked."""
    if asked is not None:
        return _as_dict(chip_of(asked), "asked for", need)
    if made_for is not None:
        return _as_dict(made_for, "what it is made for", need)
    boards = sorted((b for b in _boards() if b.family == family), key=lambda b: b.lut)
    if not boards:
        return None
    for where in boards:
        if _holds(where, need):
            return _as_dict(where, f"the smallest {family} board that holds it", need)
    return _as_dict(boards[-1], f"the largest {family} board", need)


@functools.cache
def _boards() -> tuple[Chip, ...]:
    """All that say themselves where their serial port is."""
    found = []
    for name in BOARDS:
        try:
            found.append(board(name))
        except UsageError:
            continue
    return tuple(found)


def _holds(where: Chip, need: Mapping[str, float] | None) -> bool | None:
    has = where.sizes
    return None if need is None else all(need[k] <= has[k] for k in KEYS)


def _as_dict(where: Chip, why: str, need: Mapping[str, float] | None) -> dict[str, Any]:
    return {
        "board": where.name,
        "part": where.part,
        "family": where.family,
        "why": why,
        "holds": _holds(where, need),
        **where.sizes,
    }


def resource_rows(
    device: Mapping[str, Any] | None,
    estimate: Mapping[str, Any] | None,
    measured: Mapping[str, Mapping[str, Any]],
    placed: Mapping[str, Any] | None,
    family: str,
) -> list[dict[str, Any]]:
    """A row for each that says how much a design takes, the surest last: ``by``, ``how``, ``what``
    it is of, ``family``, ``luts`` (LUT RAM included), ``ff``, ``bram``, and ``shares`` of the whole
    device where it is one of that family."""
    rows = []
    if estimate is not None:
        rows.append(_row("the model of " + family, "estimated", family, estimate))
    for name, found in measured.items():
        if name.startswith("synth_") and all(_is_number(found.get(k)) for k in KEYS):
            rows.append(_row(name, "synthesised", name.removeprefix("synth_"), found))
    if placed is not None:
        used = {k: found[0] for k, found in placed["used"].items()}
        rows.append(_row("nextpnr", "placed", placed["family"], used))
    for row in rows:
        fits = device is not None and device["family"] == row["family"]
        row["shares"] = _shares(row, device) if fits and device is not None else None
    return rows


def _row(by: str, how: str, family: str, found: Mapping[str, Any]) -> dict[str, Any]:
    out = {"by": by, "how": how, "family": family, "luts": found.get("luts")}
    return out | {"ff": found.get("ff"), "bram": found.get("bram")}


def _shares(row: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, float | None]:
    return {k: None if row[k] is None else row[k] / device[k] for k in KEYS}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
