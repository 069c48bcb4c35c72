"""The parts of a report beside its stages: of what kind their values are, and what cannot be true
of them at the same time."""

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sterna.golden.words.names import module_name, show
from sterna.host.patience import LONGEST_TIMEOUT
from sterna.host.selftest.facts import (
    ADAPTER,
    BAUD,
    BY_BUILD,
    BY_NOTE,
    BY_OBJECT,
    BY_USER,
    INSIDE,
    NO_BUILD,
    PORT,
    PSEUDO,
    REMOTE,
    is_pseudo,
    kind_of,
)
from sterna.host.selftest.report import SIMULATED
from sterna.host.selftest.schema import LONG, Figure

__all__ = ["PARTS_FORM", "wrong_parts"]

_AHEAD = datetime.timedelta(hours=1)
"""By which the clocks of two computers may differ."""
_FIRST = 2026
"""The year of the first selftest."""
_TEXT = Figure(str, form=".{0,200}", free="what a system or an adapter calls itself")
_VERSION = Figure(str, form=r"\w[\w.+!-]{0,60}", free="of what was installed there")
_ADAPTERS = Figure(str, form=".{1,120}", none=True, free=_TEXT.free)
PARTS_FORM: dict[str, dict[str, Figure]] = {
    "board": {
        "name": Figure(str, form=".{1,100}", none=True, free="what its owner calls it"),
        "named_by": Figure(str, none=True),
        "kind": Figure(str),
        "why": Figure(str),
        "simulation": Figure(dict, none=True),
    },
    "design": {
        "name": Figure(str, form=".{1,300}", none=True),
        **dict.fromkeys(("structure_id", "weights_id"), Figure(str, form=".{0,80}", none=True)),
        "sha256": Figure(dict),
    },
    "host": {
        **dict.fromkeys(("sterna", "python", "numpy", "pyserial"), _VERSION),
        **dict.fromkeys(("system", "release", "machine"), _TEXT),
    },
    "line": {
        "kind": Figure(str),
        "port": Figure(str, form=".{1,200}", none=True, free="what that system calls it"),
        **dict.fromkeys(("description", "manufacturer"), _ADAPTERS),
        "usb": Figure(str, form="[0-9a-f]{4}:[0-9a-f]{4}", none=True, free=_TEXT.free),
        "baud": Figure(int, 1, 2**31 - 1, free="speed and a build bound it where it counts"),
        "timeout": Figure((int, float), 1e-9, LONGEST_TIMEOUT, free="as it was asked for"),
    },
}
_SIMULATORS = {BY_NOTE: PSEUDO, BY_OBJECT: INSIDE}
"""Who says that a board is simulated, and the line to it."""
_FILES = ("design.json", "network.json", "weights.sterna")


def wrong_parts(report: Mapping[str, Any]) -> list[str]:
    """What is none, or contradicts another part; the first counts."""
    looks = _wrong_board, _wrong_line, _wrong_design, _wrong_date
    return [cause for look in looks for cause in look(report)]


def _wrong_board(report: Mapping[str, Any]) -> Iterator[str]:
    board, line = report["board"], report["line"]
    identified = "structure_id" in report["stages"]["identify"]["figures"]
    if line["kind"] not in (ADAPTER, PORT, PSEUDO, INSIDE, REMOTE):
        yield f"line.kind {show(line['kind'])} is none"
        return
    known = {kind_of(line["kind"], who, identified): who for who in (None, *_SIMULATORS)}
    said = board["kind"], board["why"]
    if said not in known:
        where = "" if identified else ", and did not say what it is"
        yield (
            f"a board of kind {show(said[0])} ({show(said[1], 100)}) is behind a "
            f"'{line['kind']}'{where}"
        )
        return
    simulator = known[said]
    if simulator is not None and line["kind"] != _SIMULATORS[simulator]:
        yield f"'{simulator}' is behind a '{line['kind']}'"
    by = (BY_USER, BY_BUILD, simulator)
    if (board["name"] is None) != (board["named_by"] is None) or board["named_by"] not in (
        by if board["name"] else (None,)
    ):
        yield f"a board of kind '{said[0]}' is named by {show(board['named_by'])}"
    if board["simulation"] is not None and not (
        simulator and _fits(board["simulation"], {"divisor": int, "ratio": str})
    ):
        shown = show(board["simulation"], 80)
        yield f"the simulation of a board of kind '{said[0]}' is {shown}"


def _fits(found: Any, kinds: Mapping[str, type]) -> bool:
    """A part of the keys is there, of these kinds: numbers above 0, fractions as texts."""
    return bool(found) and all(
        type(v) is kinds.get(k) and re.fullmatch(r"[1-9]\d{0,8}(/[1-9]\d{0,8})?", str(v))
        for k, v in found.items()
    )


def _wrong_line(report: Mapping[str, Any]) -> Iterator[str]:
    line = report["line"]
    kind, port = line["kind"], line["port"]
    fits = {
        INSIDE: port is None,
        REMOTE: port is not None and re.fullmatch(r"[A-Za-z][\w+.-]*", port) is not None,
        PSEUDO: port is not None and is_pseudo(f"/dev/{port}"),
    }
    plain = port is not None and "/" not in port and not is_pseudo(f"/dev/{port}")
    if not fits.get(kind, plain):
        yield f"a '{kind}' is no port {show(port)}"
    said = [key for key in ("description", "manufacturer") if line[key] is not None]
    if said and kind not in (ADAPTER, PORT):
        yield f"a '{kind}' has no {said[0]}"
    if (kind == ADAPTER) != (line["usb"] is not None):
        yield f"a '{kind}' has usb {show(line['usb'])}"
    if kind == INSIDE and line["baud"] != BAUD:
        yield f"a '{kind}' has {line['baud']} baud, where it has none of its own"


def _wrong_design(report: Mapping[str, Any]) -> Iterator[str]:
    design = report["design"]
    if design == NO_BUILD:
        return
    if design["name"] is None:
        yield "design.name is missing"
        return
    for key in ("structure_id", "weights_id"):
        if design[key] is None or not re.fullmatch(LONG, design[key]):
            yield f"design.{key} {show(design[key])} is not 64 hexadecimal digits"
    bitstreams = {f"{module_name(design['name'])}{end}" for end in (".bit", ".bin")}
    names = set(design["sha256"])
    if missing := [name for name in _FILES if name not in names]:
        yield f"design.sha256 has no {missing[0]}"
    if more := names - {*_FILES} - bitstreams:
        yield f"design.sha256 has {show(min(more))}, which a build of that name has not"
    for name, value in design["sha256"].items():
        if not isinstance(value, str) or not re.fullmatch(LONG, value):
            yield f"the sha256 of {name} is not 64 hexadecimal digits"
    speed = report["stages"]["speed"]["figures"]
    clock = speed.get("clock_mhz_of_the_bitstream", 0) if isinstance(speed, dict) else 0
    if clock is None and names & bitstreams and report["board"]["kind"] != SIMULATED:
        yield "there is a bitstream, and stage speed does not know its clock"


def _wrong_date(report: Mapping[str, Any]) -> Iterator[str]:
    form, said = "%Y-%m-%dT%H:%M:%SZ", report["date"]
    try:
        date = datetime.datetime.strptime(said, form)
    except ValueError:
        date = None
    if date is None or date.strftime(form) != said or date.year < _FIRST:
        yield f"date {show(said)} is none of a selftest"
    elif date.replace(tzinfo=datetime.UTC) - datetime.datetime.now(datetime.UTC) > _AHEAD:
        yield f"date {show(said)} is in the future, by this computer's clock"
