"""Whether a report of a selftest is as it was written, and fits a build.

Checked: its form, the digest of each part, the checksum, that the verdict follows from the stages
and the stages from their figures; with a build, that ids, hashes and the results of its images are
those of that build, computed anew. It is no signature, see ``report.NOT_PROVEN``.
"""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import StrPath, parse_json, read_bytes
from sterna.golden.words.names import show
from sterna.host.selftest.facts import (
    ADAPTER,
    NO_BUILD,
    PORT,
    Facts,
)
from sterna.host.selftest.judge import Known, Wrong, judged, shaped
from sterna.host.selftest.pictures import RANDOM, Pictures, random_pictures, results_digest
from sterna.host.selftest.report import (
    FAILED,
    FORMAT,
    INTERRUPTED,
    PARTS,
    PASSED,
    SILICON,
    SIMULATED,
    SKIPPED,
    STAGES,
    UNKNOWN,
    VERSION,
    Selftest,
    checksum_of,
    sections_of,
    verdict_of,
)

__all__ = ["check_against", "read_report"]

LIMIT = 1 << 20
AGAIN = "ask for the file as 'sterna selftest' wrote it"
AHEAD = datetime.timedelta(hours=1)
"""By which the clocks of two computers may differ."""
_LONG = re.compile(r"[0-9a-f]{64}\Z")
_TEXT = 4000
"""Characters of a text in a report, at most: a sentence of ours has a few hundred."""
_NUMBER = (int, float)
_MAYBE = type(None)
_KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "board": {
        "name": (str, _MAYBE),
        "named_by": (str, _MAYBE),
        "kind": (str,),
        "why": (str,),
        "simulation": (dict, _MAYBE),
    },
    "design": {
        "name": (str, _MAYBE),
        "structure_id": (str, _MAYBE),
        "weights_id": (str, _MAYBE),
        "sha256": (dict,),
    },
    "host": dict.fromkeys(
        ("sterna", "python", "numpy", "pyserial", "system", "release", "machine"), (str,)
    ),
    "line": {
        "kind": (str,),
        "port": (str, _MAYBE),
        "description": (str, _MAYBE),
        "manufacturer": (str, _MAYBE),
        "usb": (str, _MAYBE),
        "baud": (int,),
        "timeout": _NUMBER,
    },
}
_STAGE: dict[str, tuple[type, ...]] = {
    "outcome": (str,),
    "reason": (str, _MAYBE),
    "said": (str,),
    "seconds": _NUMBER,
    "figures": (dict,),
}
_TOP: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("board", "design", "host", "line", "stages", "sections"), (dict,)),
    **dict.fromkeys(("date", "verdict", "checksum", "format"), (str,)),
    "version": (int,),
}


def read_report(path: StrPath) -> Selftest:
    """A report from its file. FileError, in one sentence, where it is no report, was altered, or
    contradicts itself."""

    def no(cause: str) -> FileError:
        return FileError(f"{path}: {cause}; {AGAIN}")

    report = parse_json(read_bytes(path, LIMIT, AGAIN), path, AGAIN)
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise no("is no report of a selftest")
    version = report.get("version")
    if type(version) is int and version > VERSION:
        raise FileError(
            f"{path}: is version {version}, this Sterna reads version {VERSION}; update Sterna"
        )
    _shaped(report, no)
    _unaltered(report, no)
    for cause in _contradictions(report):
        raise no(cause)
    return Selftest(report)


def _shaped(report: Mapping[str, Any], no: Callable[[str], FileError]) -> None:
    """Every key is there, of its kind, and no other."""
    _keys(report, _TOP, "the report", no)
    for part, keys in _KEYS.items():
        _keys(report[part], keys, f"'{part}'", no)
    if set(report["stages"]) != set(STAGES):
        raise no(f"'stages' has not those of a selftest: {', '.join(STAGES)}")
    for name in STAGES:
        stage = report["stages"][name]
        if not isinstance(stage, dict):
            raise no(f"'stages.{name}' is no object")
        _keys(stage, _STAGE, f"'stages.{name}'", no)
    for value in _leaves(report):
        if isinstance(value, str) and (len(value) > _TEXT or not value.isprintable()):
            raise no(f"the text {show(value)} is none of a selftest")


def _keys(
    found: Mapping[str, Any],
    wanted: Mapping[str, tuple[type, ...]],
    where: str,
    no: Callable[[str], FileError],
) -> None:
    for key in sorted(set(found) ^ set(wanted)):
        has = "has no" if key in wanted else "has an unknown key"
        raise no(f"{where} {has} {show(key)}")
    for key, types in wanted.items():
        if type(found[key]) not in types:
            raise no(f"{where}: {key} {show(found[key])} is not as a selftest writes it")


def _leaves(value: Any) -> list[Any]:
    left, out = [value], []
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list):
            left += item
        else:
            out.append(item)
    return out


def _unaltered(report: Mapping[str, Any], no: Callable[[str], FileError]) -> None:
    said, found = report["sections"], sections_of(report)
    if set(said) != set(found):
        raise no("was altered: 'sections' does not name its parts and stages")
    if changed := [name for name in found if said[name] != found[name]]:
        raise no(f"was altered in {', '.join(repr(n) for n in changed)}")
    if report["checksum"] != checksum_of(report):
        rest = [k for k in report if k not in (*PARTS, "stages", "checksum")]
        raise no(f"was altered in one of {', '.join(map(repr, sorted(rest)))}, or its checksum")


def _contradictions(report: Mapping[str, Any]) -> list[str]:
    """What cannot be true at the same time, of which the checksum knows nothing."""
    out = [
        *_wrong_words(report),
        *_wrong_ids(report["design"]),
        *_wrong_stages(report["stages"]),
    ]
    if not out and report["verdict"] != (follows := verdict_of(report["stages"])):
        out.append(f"verdict '{report['verdict']}' does not follow from its stages: '{follows}'")
    out += [] if out else _wrong_results(report)
    return out


def _wrong_words(report: Mapping[str, Any]) -> list[str]:
    board, line, out = report["board"], report["line"], []
    identified = "structure_id" in report["stages"]["identify"]["figures"]
    serial = line["kind"] in (ADAPTER, PORT) and identified
    if board["kind"] not in (SILICON, SIMULATED, UNKNOWN):
        out.append(f"board.kind {show(board['kind'])} is none")
    if board["kind"] == (UNKNOWN if serial else SILICON):
        where = "" if identified else ", and did not say what it is"
        out.append(f"a board of kind '{board['kind']}' is behind a '{line['kind']}'{where}")
    try:
        date = datetime.datetime.strptime(report["date"], "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        out.append(f"date {show(report['date'])} is none")
    else:
        if date.replace(tzinfo=datetime.UTC) - datetime.datetime.now(datetime.UTC) > AHEAD:
            out.append(f"date {show(report['date'])} is in the future, by this computer's clock")
    return out


def _wrong_ids(design: Mapping[str, Any]) -> list[str]:
    if design == NO_BUILD:
        return []
    out = []
    for key in ("structure_id", "weights_id"):
        if design[key] is None or not _LONG.match(design[key]):
            out.append(f"design.{key} {show(design[key])} is not 64 hexadecimal digits")
    for name, value in design["sha256"].items():
        if not isinstance(value, str) or not _LONG.match(value):
            out.append(f"the sha256 of {name} is not 64 hexadecimal digits")
    return out


def _wrong_stages(stages: Mapping[str, Any]) -> list[str]:
    out = []
    for name in STAGES:
        stage = stages[name]
        if stage["outcome"] not in (PASSED, FAILED, SKIPPED, INTERRUPTED):
            out.append(f"stages.{name}.outcome {show(stage['outcome'])} is none")
        elif (stage["outcome"] == PASSED) != (stage["reason"] is None):
            out.append(f"stage {name} is '{stage['outcome']}' with reason {show(stage['reason'])}")
        if stage["seconds"] < 0:
            out.append(f"stage {name} took {stage['seconds']} seconds")
    return out


def _wrong_results(report: Mapping[str, Any]) -> list[str]:
    """Stages that passed with figures, or words, that say otherwise."""
    stages, out = report["stages"], []
    figures = {name: stages[name]["figures"] for name in STAGES}
    simulated = report["board"]["kind"] == SIMULATED
    known = Known(report["design"], figures, report["line"]["baud"], simulated)
    for name in STAGES:
        said = ""
        if stages[name]["outcome"] == PASSED:
            try:
                said = _judged(name, known, stages)
            except Wrong as wrong:
                cause = wrong.reason.partition(";")[0][:300]
                out.append(f"stage {name} passed with figures that say otherwise: {cause}")
                continue
        if stages[name]["said"] != said:
            told = show(stages[name]["said"], 120)
            out.append(f"stage {name} says {told}, its figures {show(said, 120)}")
    return out


def _judged(name: str, known: Known, stages: Mapping[str, Any]) -> str:
    """`judged`, of figures that anybody may have written."""
    if stages["identify"]["outcome"] != PASSED:
        raise Wrong("stage identify did not pass")
    if not shaped(name, known.figures[name]):
        raise Wrong("they are not of the kinds that it leaves")
    try:
        return judged(name, known)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise Wrong("they do not fit those of the stages before") from None


def _sets(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = figures.get("sets")
    return [r for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []


def check_against(
    report: Mapping[str, Any], build: Facts, pictures: Sequence[Pictures] = ()
) -> list[str]:
    """Compare a report that was read with a build; returns what was found equal, a line each.
    ``pictures``: sets of images to compute again beside the random ones, by their names.

    FileError where anything differs."""
    design, equal = report["design"], []

    def need(what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise FileError(
                f"the report's {what} is {show(found, 80)}, that of {build.folder} is "
                f"{show(wanted, 80)}; give the build that was tested"
            )
        equal.append(f"{what} is that of the build")

    structure = build.as_dict(design["structure_id"])["structure_id"]  # of now, or made earlier
    need("structure_id", design["structure_id"], structure)
    need("weights_id", design["weights_id"], build.weights_id)
    for name, value in design["sha256"].items():
        if name in build.hashes:
            need(f"sha256 of {name}", value, build.hashes[name])
        else:
            equal.append(f"not compared: {name}, which the build does not have")
    for name in STAGES:
        stage = report["stages"][name]
        for key, value in build.figures(name).items() if stage["outcome"] == PASSED else ():
            if name != "speed" or stage["figures"].get(key) is not None:  # made without a bitstream
                need(f"{key} of stage {name}", stage["figures"].get(key), value)
    for row in _sets(report["stages"]["images"]["figures"]):
        name, count = row.get("set"), row.get("images")
        given = next((p for p in pictures if p.name == name), None)
        if name == RANDOM and type(count) is int and 0 < count <= 10_000:
            given = random_pictures(build.network, count)
        if given is None or "results_sha256" not in row:
            without = ", and how many of them are right" if "right" in row else ""
            equal.append(f"not compared: the images '{name}', which are not here{without}")
            continue
        digest = given.as_dict()["images_sha256"]
        need(f"digest of the images '{name}'", row.get("images_sha256"), digest)
        if report["stages"]["images"]["outcome"] == PASSED:
            golden = results_digest(given.expected)
            need(f"digest of the results of '{name}'", row["results_sha256"], golden)
            if (right := given.right(given.expected)) is not None and "right" in row:
                need(f"number of '{name}' that are right", row["right"], right)
            elif "right" in row:
                equal.append(f"not checked: how many of '{name}' are right; labels are not here")
    return equal
