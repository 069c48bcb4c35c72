"""Seeds side by side: the fastest is kept, the first failure told. nextpnr is a script here."""

import json
import sys
from pathlib import Path

import pytest

from sterna.gen.board.place import place_seeds
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.report import report
from sterna.gen.build.stages import ensure
from sterna.gen.build.tables import table
from sterna.gen.device.boards import board
from sterna.gen.tools.programs import ToolFailed
from sterna.golden.files.network_files import structure_id, weights_id

NEXTPNR = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
'''
import json, sys
from pathlib import Path
words = dict(zip(sys.argv, sys.argv[1:]))
if "--version" in sys.argv:
    print("nextpnr-ecp5 (Version 0.9)"), sys.exit()
assert Path("netlist.json").read_text() == "the netlist" and Path("pins.lpf").exists()
seed = int(words["--seed"])
speeds = {speeds}
if speeds[seed - 1] is None:
    sys.exit(f"ERROR: failed to place cell of seed {{seed}}")
cells = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD")
Path(words["--textcfg"]).write_text(f"configuration of seed {{seed}}")
Path(words["--report"]).write_text(json.dumps({{
    "fmax": {{"$glbnet$clk": {{"achieved": 99}}, "fast": {{"achieved": speeds[seed - 1]}}}},
    "utilization": {{c: {{"used": 1, "available": 2}} for c in cells}},
}}))
print("placed seed", seed)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("STERNA_TOOLS", "native")
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "netlist.json").write_text("the netlist")
    (tmp_path / "pins.lpf").write_text("")
    return tmp_path


def nextpnr(folder: Path, *speeds: float | None) -> None:
    """A nextpnr that reaches so many MHz by seed; None: no legal placement."""
    (folder / "bin").mkdir()
    path = folder / "bin" / "nextpnr-ecp5"
    path.write_text(NEXTPNR.format(python=sys.executable, speeds=speeds))
    path.chmod(0o755)


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_the_fastest_is_kept_and_of_equal_ones_the_first(
    folder: Path, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STERNA_JOBS", jobs)
    nextpnr(folder, 50.0, 61.5, 40.0, 61.5)
    placed = place_seeds(folder, board("ulx3s-85f"), 4)
    assert placed.text == "configuration of seed 2"
    assert placed.fmax_mhz == {"sync": 61.5, "uart": 99.0}
    assert (folder / "placed.config").read_text() == placed.text
    assert json.loads((folder / "placed.json").read_text())["fmax"]["fast"]["achieved"] == 61.5
    assert (folder / "place.log").read_text() == "placed seed 2\n"
    assert not list(folder.glob("seed_*"))


def test_one_seed_is_placed_where_it_always_was(folder: Path) -> None:
    nextpnr(folder, 50.0)
    assert place_seeds(folder, board("ulx3s-85f"), 1).text == "configuration of seed 1"
    assert (folder / "place.log").read_text() == "placed seed 1\n"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_of_seeds_that_fail_the_first_is_told(
    folder: Path, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STERNA_JOBS", jobs)
    nextpnr(folder, 50.0, None, None, 70.0)
    with pytest.raises(ToolFailed) as e:
        place_seeds(folder, board("ulx3s-85f"), 4)
    assert str(e.value) == (
        "nextpnr-ecp5 ended with code 1: ERROR: failed to place cell of seed 2; see "
        f"{folder / 'seed_2' / 'place.log'}"
    )


def test_the_report_says_what_made_it(tmp_path: Path) -> None:
    build = ensure("examples/digits", "fold", output=tmp_path / "digits")
    assert report(build)["tools"] == {}
    made = {"yosys": {"version": "0.52", "kind": "native"}}
    counts = dict.fromkeys(("luts", "logic", "lutram", "ff", "bram"), 0)
    keep_measurement(build, "synth_ecp5", counts | {"tools": made})
    identity = structure_id(build.network, build.design.to_json())
    placer = {"nextpnr-ecp5": {"version": "0.9", "kind": "wasm"}}
    record = {
        "structure_id": identity,
        "options": {"board": "ulx3s-85f", "uart": [], "seeds": 1},
        "clock_mhz": 50.0,
        "fmax_mhz": {"sync": 60.0},
        "used": {"luts": [1, 2]},
        "tools": placer,
    }
    build.write("board/placed_record.json", json.dumps(record))
    assert report(build)["tools"] == made | placer
    build.write("board/placed_record.json", json.dumps(record | {"structure_id": ""}))
    assert report(build)["tools"] == made
    assert "(placed clock)" not in str(table(report(build)))
    # Of weights: only where memories of fixed contents are in the logic.
    own = weights_id(build.network)
    for logic, of, shown in (
        ([], "f" * 64, True),
        (["conv1_params"], own, True),
        (["conv1_params"], "f" * 64, False),
        (["conv1_params"], None, False),
    ):
        body = json.dumps(record | {"logic": logic, "weights_id": of})
        build.write("board/placed_record.json", body)
        found = report(build)
        assert (found["placed"] is not None) == shown, (logic, of)
        assert ("at 50 MHz (placed clock)" in table(found)) == shown
        assert "at 100 MHz (assumed clock)" in table(found)
