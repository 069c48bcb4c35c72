"""Whether a report of a selftest is as it was written, and does not contradict itself.

Checked: its form, the digest of each part, the checksum, that the verdict follows from the stages,
and the stages from their figures, each by what judged it where it ran (``judge``). It is no
signature, see ``report.NOT_PROVEN``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import StrPath, parse_json, read_bytes
from sterna.golden.words.names import show
from sterna.host.selftest.judge import judged, why_skipped
from sterna.host.selftest.known import MOST_SECONDS, Known, Wrong
from sterna.host.selftest.parts import PARTS_FORM, wrong_parts
from sterna.host.selftest.report import (
    FAILED,
    FORMAT,
    INTERRUPTED,
    PARTS,
    PASSED,
    SIMULATED,
    SKIPPED,
    STAGES,
    VERSION,
    Selftest,
    checksum_of,
    not_run,
    sections_of,
    verdict_of,
)
from sterna.host.selftest.schema import Figure, need_form

__all__ = ["read_report"]

LIMIT = 1 << 20
AGAIN = "ask for the file as 'sterna selftest' wrote it"
_TEXT = 4000
"""Characters of a text in a report, at most: a sentence of ours has a few hundred."""
_STAGE = {
    "outcome": Figure(str),
    "reason": Figure(str, form=".{1,4000}", none=True),
    "said": Figure(str, form=".{0,4000}"),
    "seconds": Figure((int, float), 0, MOST_SECONDS, free="bounded by what it has measured"),
    "figures": Figure(dict),
}
_TOP = {
    **dict.fromkeys(("board", "design", "host", "line", "stages", "sections"), Figure(dict)),
    **dict.fromkeys(("date", "verdict", "checksum", "format"), Figure(str)),
    "version": Figure(int, VERSION, VERSION),
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
    if type(version) is int and version != VERSION:
        raise FileError(
            f"{path}: is version {version}, this Sterna reads version {VERSION}; use the Sterna "
            "of its 'host'"
        )
    _shaped(report, no)
    _unaltered(report, no)
    for cause in _contradictions(report):
        raise no(cause)
    return Selftest(report)


def _shaped(report: Mapping[str, Any], no: Callable[[str], FileError]) -> None:
    """Every key is there, of its kind, and no other."""
    _keys(report, _TOP, "the report", no)
    for part, keys in PARTS_FORM.items():
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
    wanted: Mapping[str, Figure],
    where: str,
    no: Callable[[str], FileError],
) -> None:
    for key in sorted(set(found) ^ set(wanted)):
        has = "has no" if key in wanted else "has an unknown key"
        raise no(f"{where} {has} {show(key)}")
    for key, figure in wanted.items():
        if not figure.fits(found[key]):
            raise no(f"{where}: {key} {show(found[key], 80)} is not as a selftest writes it")


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


def _contradictions(report: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be true at the same time, of which the checksum knows nothing."""
    stages = report["stages"]
    yield from _wrong_entries(stages)
    yield from wrong_parts(report)
    if report["verdict"] != (follows := verdict_of(stages)):
        yield f"verdict '{report['verdict']}' does not follow from its stages: '{follows}'"
    figures = {name: stages[name]["figures"] for name in STAGES}
    seconds = {name: stages[name]["seconds"] for name in STAGES}
    simulated = report["board"]["kind"] == SIMULATED
    known = Known(report["design"], report["line"], figures, seconds, simulated)
    yield from _wrong_order(stages, known)
    yield from _wrong_results(stages, known)


def _wrong_entries(stages: Mapping[str, Any]) -> Iterator[str]:
    for name in STAGES:
        stage = stages[name]
        outcome, figures = stage["outcome"], stage["figures"]
        if outcome not in (PASSED, FAILED, SKIPPED, INTERRUPTED):
            yield f"stages.{name}.outcome {show(outcome)} is none"
        elif (outcome == PASSED) != (stage["reason"] is None):
            yield f"stage {name} is '{outcome}' with reason {show(stage['reason'], 80)}"
        if round(stage["seconds"], 3) != stage["seconds"]:
            yield f"stage {name} took {stage['seconds']} seconds, not whole milliseconds"
        if outcome == SKIPPED and figures:
            yield f"stage {name} was skipped, and has figures"
        try:
            need_form(name, figures, whole=False)
        except Wrong as wrong:
            yield f"stage {name} has figures that say otherwise: {wrong.reason}"


def _wrong_order(stages: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Stages that are skipped, and need not be; or that ran behind the end."""
    ended, before = "", ""
    for name in STAGES:
        outcome, reason = stages[name]["outcome"], stages[name]["reason"]
        over = not_run(before, FAILED)
        if not ended and before and stages[before]["outcome"] == FAILED and reason == over:
            ended = over
        if ended and (outcome != SKIPPED or reason != ended or stages[name]["seconds"]):
            yield f"stage {name} is '{outcome}' ({show(reason, 80)}) behind the end: {ended}"
        elif outcome == SKIPPED and not ended:
            why = why_skipped(name, known)
            if reason != why:
                told = f"only because: {why}" if why else "with such figures it is not"
                yield f"stage {name} was skipped ({show(reason, 100)}), and {told}"
        elif outcome == INTERRUPTED:
            ended = not_run(name, INTERRUPTED)
        before = name


def _wrong_results(stages: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Stages that passed with figures, or words, that say otherwise."""
    for name in STAGES:
        said = ""
        if stages[name]["outcome"] == PASSED:
            try:
                said = _judged(name, known, stages)
            except Wrong as wrong:
                cause = wrong.reason.partition(";")[0][:300]
                yield f"stage {name} passed with figures that say otherwise: {cause}"
                continue
        if stages[name]["said"] != said:
            told = show(stages[name]["said"], 120)
            yield f"stage {name} says {told}, its figures {show(said, 120)}"


def _judged(name: str, known: Known, stages: Mapping[str, Any]) -> str:
    """`judged`, of figures that anybody may have written."""
    if stages["identify"]["outcome"] != PASSED:
        raise Wrong("stage identify did not pass")
    try:
        return judged(name, known)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise Wrong("they do not fit those of the stages before") from None
