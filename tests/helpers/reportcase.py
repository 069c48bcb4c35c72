"""A report of a selftest that passed, and its values one by one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from selfboard import board_of, line_of, small_network

from sterna.golden.numpyrun import run_arrays
from sterna.host.board import Board
from sterna.host.selftest.report import Selftest
from sterna.host.selftest.selftest import selftest

__all__ = ["IMAGES", "edited", "leaves", "other", "small_report"]

_GIVEN = np.random.default_rng(5).integers(0, 256, (9, 1, 3, 4), np.uint8)
IMAGES = _GIVEN, run_arrays(small_network(), _GIVEN).classes
"""Further images of the report, and their labels."""


def small_report(build: Path) -> Selftest:
    """Of a fake board with a `small_build`."""
    with Board(line_of(board_of(build)), timeout=3.0) as board:
        return selftest(board, build, images=IMAGES[0], labels=IMAGES[1])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [p for k, v in value.items() for p in leaves(v, (*path, k))]
    if isinstance(value, list) and value:
        return [p for k, v in enumerate(value) for p in leaves(v, (*path, k))]
    return [path]


def edited(report: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    found: Any = json.loads(json.dumps(report))
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


def other(value: Any) -> Any:
    """Something of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return ("0" if value[:1] != "0" else "1") + value[1:]
    return "x"
