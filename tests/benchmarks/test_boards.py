"""The table of boards is that of the reports; it calls nothing silicon that is not."""

import json
from pathlib import Path

import boards
import pytest
from repo import ROOT

from sterna.golden.errors import FileError
from sterna.host.selftest.report import sealed


def test_the_table_is_made_of_the_reports() -> None:
    page = (ROOT / "docs" / "boards.md").read_text()
    assert page.count(boards.BEGIN) == page.count(boards.END) == 1
    made = boards.page_with(page, boards.tables(boards.REPORTS.glob("*.json")))
    assert made == page, "run: python benchmarks/boards.py"


def test_reports_are_rows_of_what_their_boards_are(tmp_path: Path) -> None:
    (path, *_) = boards.REPORTS.glob("*.json")
    report = json.loads(path.read_text())
    report["board"] |= {"kind": "silicon", "name": "mine", "why": "behind a serial adapter"}
    report["line"]["kind"] = "serial adapter"
    for name in ("cable", "speed"):  # a simulation's, which say nothing of silicon
        report["stages"][name] |= {"outcome": "skipped", "reason": "not here", "said": ""}
    (tmp_path / "a.json").write_text(json.dumps(sealed(report)))
    report["board"]["kind"], report["line"]["kind"] = "unknown", "pseudo-terminal"
    (tmp_path / "b.json").write_text(json.dumps(sealed(report)))
    text = boards.tables(tmp_path.glob("*.json"))
    silicon, _, rest = text.partition("### Simulated boards")
    simulated, _, unknown = rest.partition("### Not known to be silicon")
    assert "| mine |" in silicon and "`a.json`" in silicon and simulated.strip() == "None."
    assert "`b.json`" in unknown
    assert "Nobody" not in text and "nobody has sent" in boards.tables([])
    (tmp_path / "c.json").write_text(json.dumps(report))
    with pytest.raises(FileError, match="c.json: was altered in"):
        boards.tables(tmp_path.glob("*.json"))
