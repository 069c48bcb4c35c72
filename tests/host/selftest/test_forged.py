"""Whatever is changed in a report is refused though its checksum is right, or is called free."""

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reportcase import IMAGES, edited, leaves, other, small_report
from selfboard import bitstream_facts, small_build

from sterna.golden.errors import FileError
from sterna.host.selftest import against, verify
from sterna.host.selftest.against import check_against
from sterna.host.selftest.facts import Facts, facts_of
from sterna.host.selftest.judge import judged
from sterna.host.selftest.known import Known, Wrong, link_rate
from sterna.host.selftest.pictures import Pictures, random_pictures
from sterna.host.selftest.report import PARTS, STAGES, Selftest, sealed, verdict_of
from sterna.host.selftest.schema import free_figures


def as_silicon(report: dict[str, Any]) -> dict[str, Any]:
    """The same as of a board behind an adapter, in times that its line could have."""
    found = json.loads(json.dumps(report))
    stages = found["stages"]
    found["board"] |= {"kind": "silicon", "why": "behind a serial adapter"}
    found["line"] |= {"kind": "serial adapter", "port": "ttyUSB0", "usb": "0403:6015"}
    found["line"] |= {"description": "FT231X", "manufacturer": "FTDI"}
    trips = {"least": 0.0018, "median": 0.0019, "most": 0.003}
    stages["cable"]["figures"]["round_trip_seconds"] = trips
    stages["load"]["figures"]["load_seconds"] = 0.05
    for stage in stages.values():
        stage["seconds"] = 0.5
    for row in stages["images"]["figures"]["sets"]:
        row["seconds"] = 0.01
    rate = link_rate(stages["images"]["figures"]["sets"][-1]["images"], 0.01)
    stages["speed"]["figures"]["images_per_second_over_the_link"] = rate
    with_sentences(found)
    return sealed(found)


def with_sentences(report: dict[str, Any]) -> None:
    """Its sentences are those of its figures, as far as these have one."""
    stages = report["stages"]
    figures = {name: stage["figures"] for name, stage in stages.items()}
    seconds = {name: stage["seconds"] for name, stage in stages.items()}
    told = Known(report["design"], report["line"], figures, seconds, simulated=False)
    for name, stage in stages.items():
        with contextlib.suppress(Wrong, LookupError, TypeError, ValueError, *MORE):
            stage["said"] = judged(name, told)


def changes(value: Any) -> list[Any]:
    """What somebody could write in its place."""
    out: list[Any] = [None, True, [value], {"a": value}, 0, -1, "x"]
    if isinstance(value, str):
        return [*out, other(value), value + "0", "0" * len(value), ""]
    if isinstance(value, int | float) and not isinstance(value, bool):
        out += [value + 1, 2 * value, value / 2, 10**15, 1e300]
    return out


def forgeries(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value changed, every key missing, every list and object longer: (place, report)."""
    parts = (*PARTS, "stages")
    for place in leaves({part: report[part] for part in parts}):
        found: Any = report
        for key in place:
            found = found[key]
        named = ".".join(map(str, place))
        for value in changes(found):
            if type(value) is not type(found) or value != found:
                yield named, edited(report, place, value)
    for place in {p[:k] for p in leaves(report) for k in range(1, len(p)) if p[0] in parts}:
        named = ".".join(map(str, place))
        holder: Any = report
        for key in place:
            holder = holder[key]
        if isinstance(holder, list):
            yield f"{named}.more", edited(report, place, [*holder, holder[-1]])
            yield f"{named}.fewer", edited(report, place, holder[:-1])
            continue
        yield f"{named}.more", edited(report, place, {**holder, "more": 1})
        for key in holder:
            yield (
                f"{named}.{key}.missing",
                edited(report, place, {k: v for k, v in holder.items() if k != key}),
            )


MORE = AttributeError, ArithmeticError
FREE_PARTS = {
    *("line.timeout", "line.port", "line.description", "line.usb", "line.manufacturer"),
    *(f"host.{key}" for key in ("sterna", "python", "numpy", "pyserial")),
    *("host.system", "host.release", "host.machine"),
    *(f"design.sha256.{name}" for name in ("design.json", "network.json", "weights.sterna")),
    "design.sha256.little.bit.missing",
}
"""Of the parts beside the stages: names, and files that are known by their ids."""


def test_whatever_is_changed_is_refused_or_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the checksum is right: by the rest of the report, or by its build. What is left is
    called free in the schema, which says why."""
    bitstream_facts(build := small_build(tmp_path))
    report, facts, survived = small_report(build), facts_of(build), set()
    # The model computes the same images once.
    monkeypatch.setattr(against, "random_pictures", functools.cache(random_pictures))
    own = Pictures("images of the caller", facts.network, *IMAGES)
    whole = as_silicon(report)
    assert refused(whole, facts, own) is None
    for place, forged in forgeries(whole):
        anew = not place.endswith(".said")
        if place not in survived and refused(forged, facts, own, anew) is None:
            survived.add(place)
            assert str(Selftest(forged))
    free = {
        f"stages.{name}.figures.{place}"
        for name in STAGES
        for place in free_figures(name, report["stages"][name]["figures"])
    }
    seconds = {f"stages.{name}.seconds" for name in STAGES}
    assert survived <= free | seconds | FREE_PARTS, survived - free - seconds - FREE_PARTS
    assert survived >= FREE_PARTS, FREE_PARTS - survived


def refused(report: dict[str, Any], facts: Facts, own: Pictures, anew: bool = False) -> str | None:
    """The sentence that refuses a report whose checksum is right. anew: and its sentences."""
    try:
        verify._shaped(report, FileError)
        if anew:
            with_sentences(report)
        if verdict_of(report["stages"]) != "passed":
            return "it is not called passed"
        report = report | {"verdict": "passed"}
        for cause in verify._contradictions(report):
            raise FileError(cause)
        check_against(report, facts, [own])
    except FileError as error:
        assert "\n" not in str(error)
        return str(error)
    return None
