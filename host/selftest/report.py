"""The report of a selftest: its form, its checksum, its file, and its text for people.

A report is one JSON object. ``sections`` has the sha256 of the canonical text
(``golden.files.disk.canonical_json``) of each of its parts and of each stage; ``checksum`` that of
all other keys. So a slip of the hand is found and said where it is. It is no signature: whoever
edits a report can work both out anew.
"""

from collections.abc import Mapping
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.files.disk import StrPath, canonical_json, sha256, write_atomic
from sterna.golden.words.shown import Shown

__all__ = [
    "FAILED",
    "FORMAT",
    "INCOMPLETE",
    "INTERRUPTED",
    "NOT_PROVEN",
    "PARTS",
    "PASSED",
    "SILICON",
    "SIMULATED",
    "SKIPPED",
    "STAGES",
    "UNKNOWN",
    "VERSION",
    "Selftest",
    "Unwritten",
    "not_run",
    "sealed",
    "sections_of",
    "verdict_of",
]

FORMAT, VERSION = "sterna-selftest", 1
STAGES = {
    "identify": "what answers is the build's design",
    "cable": "reads come back right, soon and at the first try",
    "load": "weights are written, and each memory has the CRC of its file",
    "images": "every logit is that of the exact integer model",
    "reload": "a damaged memory is found; loading again, behind images under way, mends it",
    "counters": "images and clocks are counted, and are those of design.json",
    "speed": "images a second over the link and without it",
    "robustness": "an image cut short is dropped, and the next one is as before",
}
"""In this order. Of each: what it has shown where it passed."""
OF_MEMORIES = ("load", "reload")
"""Skipped where a design has no memories that can be loaded; without the others, and without these
where it has, nothing is called passed."""
PASSED, FAILED, SKIPPED, INTERRUPTED = "passed", "failed", "skipped", "interrupted"
INCOMPLETE = "incomplete"
PARTS = ("board", "date", "design", "host", "line")
"""The keys of a report that say of what and with what it is."""
NOT_PROVEN = (
    "a checksum is not a signature: whoever wrote this file could have written another one",
    "that a port is an adapter's is what the operating system says: a simulated board behind two "
    "adapters would look the same",
    "weights that are built into a bitstream cannot be read back over the link: they are right as "
    "far as these images depend on them",
)
"""What no report shows, in its text and where it is verified."""
SILICON, SIMULATED, UNKNOWN = "silicon", "simulated", "unknown"
"""What a board is known to be."""
WIDE = 12


def verdict_of(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """What follows from the stages: failed, incomplete or passed."""
    outcomes = {name: stage["outcome"] for name, stage in stages.items()}
    if FAILED in outcomes.values():
        return FAILED
    if INTERRUPTED in outcomes.values():
        return INCOMPLETE
    return INCOMPLETE if any(outcomes[name] != PASSED for name in needed(stages)) else PASSED


def needed(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The stages without which nothing is called passed."""
    said = stages["identify"]["figures"]
    fixed = isinstance(said, Mapping) and said.get("regions") == 0
    return [name for name in STAGES if not (fixed and name in OF_MEMORIES)]


def not_run(name: str, outcome: str) -> str:
    """Why the stages behind one that ended the selftest are skipped."""
    return f"not run: stage {name} {'failed' if outcome == FAILED else 'was interrupted'}"


def sections_of(report: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of the parts and stages of a report, by what they are called in sentences."""
    named = {part: report[part] for part in PARTS}
    named |= {f"stages.{name}": stage for name, stage in report["stages"].items()}
    return {name: sha256(canonical_json(value).encode()) for name, value in named.items()}


def sealed(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report with its verdict, the digests of its sections and its checksum."""
    body = {k: v for k, v in report.items() if k != "checksum"}
    body |= {"format": FORMAT, "version": VERSION, "verdict": verdict_of(report["stages"])}
    body["sections"] = sections_of(body)
    return body | {"checksum": checksum_of(body)}


def checksum_of(report: Mapping[str, Any]) -> str:
    """sha256 of the canonical text of all keys but ``checksum``."""
    rest = {k: v for k, v in report.items() if k != "checksum"}
    return sha256(canonical_json(rest).encode())


class Unwritten(FileError):
    """The place for a report takes none. ``report``: what it would have had."""

    def __init__(self, sentence: str, report: "Selftest"):
        super().__init__(sentence)
        self.report = report


class Selftest(Shown, dict[str, Any]):
    """What ``sterna.selftest`` returns: a dict, as the file and ``--json`` have it.

    Keys: ``verdict`` ('passed', 'failed', 'incomplete'), ``stages`` (name -> 'outcome', 'reason',
    'seconds', 'figures'), ``board``, ``design``, ``line``, ``host``, ``date``, ``sections``,
    ``checksum``.
    """

    @property
    def passed(self) -> bool:
        return self["verdict"] == PASSED

    def save(self, path: StrPath) -> None:
        """Write the report as JSON, whole or not at all.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        FileError
            It cannot be written there.
        """
        write_atomic(path, canonical_json(self).encode())

    def line(self) -> str:
        """It in short."""
        failed = [n for n in STAGES if self["stages"][n]["outcome"] == FAILED]
        return f"{self['verdict']}{': ' if failed else ''}{', '.join(failed)}"

    def __str__(self) -> str:
        return text_of(self)


def text_of(report: Mapping[str, Any]) -> str:
    """The report for people."""
    board, design, line = report["board"], report["design"], report["line"]
    weights = (design["weights_id"] or "none given")[:16]
    rows = [
        ("board", f"{board['name'] or 'no name given'} ({board['kind']}: {board['why']})"),
        ("design", f"{design['name'] or 'no build given'}, structure {_short(design)}"),
        ("weights", weights),
        ("line", _line(line)),
        ("host", _host(report["host"])),
        ("date", report["date"]),
    ]
    text = [f"{name:<{WIDE}}{value}" for name, value in rows]
    text.append("")
    for name in STAGES:  # a file has its keys sorted
        stage = report["stages"][name]
        said = stage["reason"] or stage["said"]
        text.append(f"{name:<{WIDE}}{stage['outcome']:<12}{stage['seconds']:>7.2f} s  {said}")
    text += ["", f"{report['verdict']}{_verdict(report)}"]
    return "\n".join(text)


def _short(design: Mapping[str, Any]) -> str:
    return (design["structure_id"] or "unknown")[:16]


def _line(line: Mapping[str, Any]) -> str:
    what = " ".join(filter(None, (line["port"], line["description"])))
    return f"{what} ({line['kind']}), {line['baud']:,} baud".strip()


def _host(host: Mapping[str, Any]) -> str:
    return (
        f"Sterna {host['sterna']}, Python {host['python']}, {host['system']} {host['release']} on "
        f"{host['machine']}"
    )


def _verdict(report: Mapping[str, Any]) -> str:
    stages = report["stages"]
    if report["verdict"] == FAILED:
        names = [n for n in STAGES if stages[n]["outcome"] == FAILED]
        return f": {' and '.join(names)}"
    if report["verdict"] == INCOMPLETE:
        names = [n for n in needed(stages) if stages[n]["outcome"] != PASSED]
        return f": nothing was found wrong, but {', '.join(names)} did not run to the end"
    what = {
        SILICON: ": this board computes what the exact model computes",
        SIMULATED: ", in simulation: no silicon was tested",
    }
    return what.get(report["board"]["kind"], ", but nothing shows that this is silicon")
