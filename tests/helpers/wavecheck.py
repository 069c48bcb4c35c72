"""Whether a WaveJSON says what samples do, told from both alone."""

import re
from collections.abc import Mapping
from typing import Any

from sterna.gen.timing.samples import Scene
from sterna.gen.timing.wavejson import clocks_of, lanes_of, shown_values

__all__ = ["differences"]


def differences(wave: Mapping[str, Any], scene: Scene) -> list[str]:
    """Where a WaveJSON says something else than a scene, hides a change or a word that moved in a
    gap, or has other boxes than words. A payload counts while it is valid."""
    out = []
    for clock, values in shown_values(wave).items():
        for name, value in values.items():
            wanted = _drawn(scene.at(clock), name)
            if value != wanted:
                out.append(f"{name} in clock {clock}: {value}, not {wanted}")
    bricks, names = clocks_of(wave), [row["name"] for row in lanes_of(wave)[1:]]
    for k, brick in enumerate(bricks):
        if brick is None:
            before, behind = bricks[k - 1], bricks[k + 1]
            assert before is not None and behind is not None
            out += _hidden(scene, names, before, behind)
    for row in lanes_of(wave)[1:]:
        if set(row["wave"]) & {"0", "1"}:
            continue
        for clock, mark in zip(bricks, row["wave"], strict=True):
            if clock is None:
                continue
            there = scene.at(clock)
            begins = _drawn(there, row["name"]) is not None
            if clock != bricks[0]:
                before = scene.at(clock - 1)
                same = _drawn(before, row["name"]) == _drawn(there, row["name"])
                begins = begins and not (same and not _moves(before, row["name"]))
            if (mark == "=") != begins:
                out.append(f"{row['name']} in clock {clock}: {'no' if begins else 'a'} new box")
    return out


def _hidden(scene: Scene, names: list[str], before: int, behind: int) -> list[str]:
    out, shown = [], scene.at(before)
    for run in scene.runs:
        if run.end <= before + 1 or run.start >= behind:
            continue
        for name in names:
            if _drawn(run.values, name) != _drawn(shown, name) or _moves(run.values, name):
                out.append(f"{name} between clocks {before} and {behind}: cut")
    return out


def _stem(name: str) -> str:
    return re.sub(r"t?(data|last|addr|strb|resp|valid|ready)$", "", name)


def _handshake(values: Mapping[str, int], name: str) -> tuple[int, int]:
    stem = _stem(name)
    found = [values.get(f"{stem}t{what}", values.get(f"{stem}{what}", 1)) for what in _PAIR]
    return found[0], found[1]


_PAIR = ("valid", "ready")


def _drawn(values: Mapping[str, int], name: str) -> int | None:
    payload = not name.endswith(_PAIR)
    return None if payload and not _handshake(values, name)[0] else values[name]


def _moves(values: Mapping[str, int], name: str) -> bool:
    """Whether the word is taken that a payload is of."""
    return not name.endswith(_PAIR) and _stem(name) != name and all(_handshake(values, name))
