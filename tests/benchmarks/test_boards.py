"""The table of boards is that of the reports; it calls nothing silicon that is not."""

import json
from pathlib import Path

import boards
import pytest
from repo import EXAMPLES, ROOT

from sterna.gen.build.stages import Options, ensure
from sterna.golden.errors import FileError
from sterna.host.selftest.against import check_against
from sterna.host.selftest.facts import facts_of
from sterna.host.selftest.report import sealed
from sterna.host.selftest.verify import read_report


def test_the_table_is_made_of_the_reports() -> None:
    page = (ROOT / "docs" / "boards.md").read_text()
    assert page.count(boards.BEGIN) == page.count(boards.END) == 1
    made = boards.page_with(page, boards.tables(boards.REPORTS.glob("*.json")))
    assert made == page, "run: python benchmarks/boards.py"


def test_the_simulated_report_is_of_the_build_that_its_command_makes(tmp_path: Path) -> None:
    """`sterna board-sim examples/digits --memory ram --board ulx3s-85f`, but for its simulation."""
    command = "sterna board-sim examples/digits --memory ram --board ulx3s-85f "
    assert command in (ROOT / "docs" / "boards.md").read_text()
    variants = ("ulx3s-85f", "ecp5")
    digits = EXAMPLES / "digits"
    build = ensure(digits, "pack", Options(memory="ram"), tmp_path, variants=variants)
    report = read_report(boards.REPORTS / "digits_ulx3s-85f_simulated.json")
    equal = check_against(report, facts_of(build.folder))
    assert "sha256 of design.json is that of the build" in equal
    assert "digest of the results of 'random over the whole range' is that of the build" in equal


def test_reports_are_rows_of_what_their_boards_are(tmp_path: Path) -> None:
    (path, *_) = boards.REPORTS.glob("*.json")
    report = json.loads(path.read_text())
    report["board"] |= {"kind": "silicon", "name": "mine", "why": "behind a serial adapter"}
    report["board"] |= {"named_by": "--board", "simulation": None}
    report["line"] |= {"kind": "serial adapter", "port": "ttyUSB0", "usb": "0403:6015"}
    ran = {"outcome": "failed", "reason": "a bad cable", "said": "", "seconds": 1.0}
    over = {"outcome": "skipped", "reason": "not run: stage cable failed", "said": ""}
    for name, stage in report["stages"].items():
        if name == "cable":
            stage |= ran
        elif name != "identify":
            stage |= over | {"seconds": 0.0, "figures": {}}
    (tmp_path / "a.json").write_text(json.dumps(sealed(report)))
    why = "behind a pseudo-terminal, which no board has of its own"
    report["board"] |= {"kind": "unknown", "why": why}
    report["line"] |= {"kind": "pseudo-terminal", "port": "pts/0", "usb": None}
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
