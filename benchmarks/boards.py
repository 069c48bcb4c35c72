"""The table of boards in docs/boards.md, from the reports that people sent in.

    python benchmarks/boards.py          # after a report was put into benchmarks/results/boards

Every ``*.json`` there is verified (`sterna selftest --verify`) and is one row; docs/boards.md is
written between its marks.
"""

from collections.abc import Iterable
from pathlib import Path

from sterna.golden.files.disk import read_text, write_atomic
from sterna.host.selftest.report import SILICON, SIMULATED, Selftest
from sterna.host.selftest.verify import read_report

__all__ = ["REPORTS", "page_with", "tables"]

HERE = Path(__file__).resolve().parent
REPORTS = HERE / "results" / "boards"
PAGE = HERE.parent / "docs" / "boards.md"
BEGIN, END = "<!-- begin of benchmarks/boards.py -->", "<!-- end of benchmarks/boards.py -->"
HEADS = (
    "| board | design | verdict | images equal | clocks an image (law) | MHz "
    "| images a second, link | Sterna, date | report |"
)
KINDS = {
    SILICON: ("Silicon", "None yet: nobody has sent a report of a physical board in."),
    SIMULATED: ("Simulated boards", "None."),
    "": ("Not known to be silicon", "None."),
}


def tables(reports: Iterable[Path]) -> str:
    """The tables of the reports, by what their boards are."""
    found = [(path, read_report(path)) for path in sorted(reports)]
    out = []
    for kind, (title, none) in KINDS.items():
        rows = [_row(path, r) for path, r in found if _kind(r) == kind]
        if rows or kind:
            rule = "|" + "---|" * (HEADS.count("|") - 1)
            out += [f"### {title}", "", *([HEADS, rule, *rows] if rows else [none]), ""]
    return "\n".join(out)


def _kind(report: Selftest) -> str:
    kind = report["board"]["kind"]
    return kind if kind in (SILICON, SIMULATED) else ""


def _row(path: Path, report: Selftest) -> str:
    figures = {name: stage["figures"] for name, stage in report["stages"].items()}
    sets = figures["images"].get("sets", [])
    equal = sum(
        s["images"] for s in sets if s.get("results_sha256") == s.get("golden_sha256", "none")
    )
    counted, speed = figures["counters"], figures["speed"]
    simulated = _kind(report) == SIMULATED
    rate = None if simulated else speed.get("images_per_second_over_the_link")
    cells = (
        report["board"]["name"] or "no name given",
        f"`{report['design']['name']}`, {(report['design']['structure_id'] or '')[:16]}",
        report["verdict"],
        str(equal),
        f"{_number(counted.get('clocks_per_image'))} ({counted.get('law', '-')})",
        _number(speed.get("clock_mhz")),
        _number(rate),
        f"{report['host']['sterna']}, {report['date'][:10]}",
        f"`{path.name}`",
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def page_with(text: str, made: str) -> str:
    """The page with the tables between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def main() -> int:
    made = page_with(read_text(PAGE, 1 << 20), tables(REPORTS.glob("*.json")))
    write_atomic(PAGE, made.encode())
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
