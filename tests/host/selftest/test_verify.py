"""A report is what was written: each edit is refused by the name of where it is."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from reportcase import IMAGES, edited, leaves, other, small_report
from selfboard import bitstream_facts, small_build, small_network

from sterna.golden.errors import FileError
from sterna.golden.files.disk import canonical_json
from sterna.host.selftest.against import check_against
from sterna.host.selftest.facts import facts_of
from sterna.host.selftest.pictures import Pictures
from sterna.host.selftest.report import Selftest, sealed
from sterna.host.selftest.verify import LIMIT, read_report


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_build(tmp_path_factory.mktemp("small"))
    bitstream_facts(folder)
    return folder


@pytest.fixture(scope="module")
def report(build: Path) -> Selftest:
    return small_report(build)


def refusal(path: Path, body: Any) -> str:
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    with pytest.raises(FileError) as caught:
        read_report(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and "\n" not in said and len(said) < 600
    return said


def test_what_was_written_is_read(report: Selftest, build: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    report.save(path)
    found = read_report(path)
    assert found == report and str(found) == str(report) and report.passed
    own = Pictures("images of the caller", small_network(), *IMAGES)
    said = check_against(found, facts_of(build), [own])
    assert len(said) == 24 and all("is that of the build" in line for line in said)
    path.write_text(json.dumps(report))  # another form, the same report
    assert read_report(path) == report


def test_every_field_that_is_edited_is_named(report: Selftest, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for place in leaves(dict(report)):
        found: Any = report
        for key in place:
            found = found[key]
        said = refusal(path, edited(report, place, other(found)))
        if place[0] == "stages" and "altered" in said:
            assert f"altered in 'stages.{place[1]}'" in said
        elif place[0] in ("board", "design", "host", "line", "date"):
            assert f"'{place[0]}'" in said
        elif place[0] in ("verdict", "checksum"):
            assert (
                "was altered in one of 'format', 'sections', 'verdict', 'version', or its" in said
            )


def test_keys_that_are_missing_or_too_many(report: Selftest, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for part in (None, "board", "design", "host", "line", "stages"):
        whole = copy.deepcopy(dict(report))
        inside = whole if part is None else whole[part]
        for key in list(inside):
            value = inside.pop(key)
            refusal(path, whole)
            inside[key] = value
        inside["more"] = 1
        refusal(path, sealed(whole) if part not in (None, "stages") else whole)


RESEALED = [
    (("stages", "images", "outcome"), "failed", "stage images is 'failed' with reason None"),
    (("stages", "images", "outcome"), "fine", "stages.images.outcome 'fine' is none"),
    (("stages", "cable", "seconds"), -1, "'stages.cable': seconds -1 is not as a selftest"),
    (("design", "structure_id"), "abc", "design.structure_id 'abc' is not 64 hexadecimal"),
    (("design", "weights_id"), None, "design.weights_id None is not 64"),
    (("design", "sha256", "design.json"), "0", "the sha256 of design.json is not 64"),
    (("date",), "2026-13-01T00:00:00Z", "date '2026-13-01T00:00:00Z' is none"),
    (("board", "kind"), "gold", "of kind 'gold' ('behind an object in Python"),
    (("board", "kind"), "silicon", "of kind 'silicon' ('behind an object in Python"),
    (
        ("line", "kind"),
        "serial adapter",
        "board has of its own') is behind a 'serial adapter'",
    ),
    (("stages", "load", "outcome"), "skipped", "stage load is 'skipped' with reason None"),
    (("stages", "counters", "figures", "dropped_early"), 1, "1 images had a wrong length"),
    (("stages", "cable", "figures", "wrong"), 2, "2 of 200 reads came back wrong"),
    (("stages", "images", "figures", "sets"), [], "its images are not 'random"),
    (("stages", "images", "figures", "sets", 0, "results_sha256"), "0" * 64, "not golden's"),
    (("stages", "identify", "figures", "structure_id"), 7, "not of the kinds that it leaves"),
    (("stages", "identify", "figures", "structure_id"), "0" * 16, "has structure_id 0000"),
    (("stages", "counters", "figures", "clocks_per_image"), 90.0, "an image takes 90 clocks, by"),
    (("stages", "counters", "figures", "dropped_late"), 3, "3 images had a wrong length"),
    (("stages", "cable", "figures", "link", "frames_resent"), 100, "reads do not fit each"),
    (("stages", "images", "figures", "sets", 1, "right"), 99, "99 of 9 images of the caller are"),
    (("stages", "images", "said"), "all is well", "stage images says 'all is well', its figures"),
    (("date",), "2999-01-01T00:00:00Z", "is in the future, by this computer's clock"),
    (("host", "python"), "\x1b[31m", "'host': python '\\x1b[31m' is not as a selftest writes it"),
    (("host", "python"), "3" * 5000, "is not as a selftest writes it"),
    (("host", "system"), "\x1b[31m", "the text '\\x1b[31m' is none of a selftest"),
]


@pytest.mark.parametrize("place, value, said", RESEALED, ids=lambda v: str(v)[:40])
def test_contradictions_are_refused_though_the_checksum_is_right(
    report: Selftest, tmp_path: Path, place: tuple[Any, ...], value: Any, said: str
) -> None:
    assert said in refusal(tmp_path / "r.json", sealed(edited(report, place, value)))


def test_a_build_says_what_a_report_cannot(report: Selftest, build: Path, tmp_path: Path) -> None:
    facts, path = facts_of(build), tmp_path / "r.json"
    own = Pictures("images of the caller", facts.network, *IMAGES)
    slow: dict[str, Any] = dict(report)
    for key, value in (("clocks_per_image", 80.0), ("law", 80)):
        slow = edited(slow, ("stages", "counters", "figures", key), value)
    said = "32 images counted, none dropped; 80 clocks each, the law 80"
    slow = edited(slow, ("stages", "counters", "said"), said)
    fast = ("stages", "speed", "figures", "images_per_second_without_the_link")
    slow = edited(slow, fast, 312500.0)
    said = slow["stages"]["speed"]["said"].replace("250000 without", "312500 without")
    slow = edited(slow, ("stages", "speed", "said"), said)
    right = edited(report, ("stages", "images", "figures", "sets", 1, "right"), 8)
    said = right["stages"]["images"]["said"].replace("9 of them", "8 of them")
    right = edited(right, ("stages", "images", "said"), said)
    for forged, wrong in ((slow, "law of stage counters is 80"), (right, "that are right is 8")):
        path.write_text(json.dumps(sealed(forged)))
        found = read_report(path)  # nothing in it contradicts the rest
        with pytest.raises(FileError, match=wrong):
            check_against(found, facts, [own])
    unlabelled = Pictures(own.name, own.network, own.images)
    assert "not checked: how many of" in check_against(found, facts, [unlabelled])[-1]
    assert "and how many of them are right" in check_against(found, facts)[-1]


def test_a_verdict_that_does_not_follow(report: Selftest, tmp_path: Path) -> None:
    from sterna.host.selftest.report import checksum_of

    body = dict(report) | {"verdict": "failed"}
    body["checksum"] = checksum_of(body)
    assert "verdict 'failed' does not follow from its stages" in refusal(tmp_path / "r", body)


def test_another_build_is_refused(report: Selftest, build: Path, tmp_path: Path) -> None:
    facts = facts_of(build)
    for place, value, said in (
        (("design", "structure_id"), "a" * 64, "structure_id is 'aaa"),
        (("design", "weights_id"), "b" * 64, "weights_id is 'bbb"),
        (("design", "sha256", "little.bit"), "c" * 64, "sha256 of little.bit is 'ccc"),
        (("stages", "images", "figures", "sets", 0, "images_sha256"), "d" * 64, "the images 'ran"),
    ):
        with pytest.raises(FileError, match="the report's .*give the build that was tested") as e:
            check_against(edited(report, place, value), facts)
        assert said in str(e.value)
    # Digests of results that agree with each other, and not with golden.
    row = dict(report["stages"]["images"]["figures"]["sets"][0])
    row |= {"results_sha256": "e" * 64, "golden_sha256": "e" * 64}
    forged = edited(report, ("stages", "images", "figures", "sets", 0), row)
    for name in ("reload", "counters"):
        forged = edited(forged, ("stages", name, "figures", "results_sha256"), "e" * 64)
    forged = sealed(forged)
    (tmp_path / "r.json").write_text(canonical_json(forged))
    with pytest.raises(FileError, match="the results of 'random over the whole range' is 'eee"):
        check_against(read_report(tmp_path / "r.json"), facts)


HOSTILE = {
    "empty": b"",
    "not utf-8": b'{"format": "\xff"}',
    "nan": b'{"format": NaN}',
    "twice": b'{"format": "sterna-selftest", "format": "sterna-selftest"}',
    "deep": b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long number": b'{"format": ' + b"9" * 10_000 + b"}",
    "a list": b"[]",
    "another format": b'{"format": "sterna-network"}',
    "newer": b'{"format": "sterna-selftest", "version": 2}',
    "older": b'{"format": "sterna-selftest", "version": 0}',
    "negative": b'{"format": "sterna-selftest", "version": -1}',
    "only that": b'{"format": "sterna-selftest", "version": 1}',
    "strange version": b'{"format": "sterna-selftest", "version": true}',
    "huge": b" " * (LIMIT + 1),
    "half a character": b'{"format": "\\ud800"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(FileError) as caught:
        read_report(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
