"""How a network is folded is kept from one command to the next; what a folding file may say."""

import json
import os

import pytest
from buildcase import FOLDING, Interrupted, Writes, contents, ran, save_example

from sterna.gen.build.folding_file import read_folding
from sterna.gen.build.stages import Options, ensure, open_build
from sterna.golden.errors import DesignError, FileError, UsageError

GOAL = Options(family="ecp5", fps=2000.0, clock_mhz=80.0)


@pytest.fixture
def example(tmp_path):
    return save_example(tmp_path / "example")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def chosen(example, tmp_path):
    """A build whose fold has a goal, and so a solution.json."""
    ensure(example, "fold", GOAL, output=tmp_path / "chosen")
    return tmp_path / "chosen"


def test_a_refused_or_interrupted_fold_leaves_the_last_choice(chosen, monkeypatch):
    before = contents(chosen)
    assert "solution.json" in before
    with pytest.raises(DesignError, match="lower the fps or raise the clock"):
        ensure(chosen, "fold", Options(fps=1e9))
    with pytest.raises(DesignError, match="pe 7 is not legal"):
        ensure(chosen, "fold", Options(folding={"c": {"pe": 7}}))

    def interrupted(*_given, **_settings):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr("sterna.gen.fold.solve.solve", interrupted)
        with pytest.raises(Interrupted):
            ensure(chosen, "fold", Options(fps=100.0))
    assert contents(chosen) == before
    assert ran(chosen, "fold") == [] and open_build(chosen).design.clock_mhz == 80.0


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_fold_interrupted_while_it_writes_is_made_again_by_the_last_choice(
    chosen, stop, monkeypatch
):
    """Of another goal, whose design may be the same, and of none, which has no solution.json."""
    before = contents(chosen)
    written = Writes(monkeypatch)
    for options in (Options(fps=1999.0), Options(fps=20_000.0), Options(folding=FOLDING)):
        if stop == 4 and options.folding:
            continue  # it writes three files
        written.stop = stop
        with pytest.raises(Interrupted):
            ensure(chosen, "fold", options)
        written.stop = None
        assert ran(chosen, "fold") == ["fold"] * (stop > 1)
        assert contents(chosen) == before


def test_a_fold_without_a_goal_leaves_no_solution_of_an_earlier_one(chosen):
    assert ran(chosen, "fold", Options(folding=FOLDING)) == ["fold"]
    assert not (chosen / "solution.json").exists() and ran(chosen, "fold") == []


def options_of(build):
    return json.loads((build / "stages.json").read_text())["fold"]["options"]


def test_an_option_replaces_only_itself(example, tmp_path):
    build = tmp_path / "kept"
    first = {"family": "ecp5", "clock_mhz": 50.0, "memory": "ram", "axis_width": 16}
    ensure(example, "fold", Options(luts=9000, **first), output=build)
    design = ensure(build, "fold", Options(clock_mhz=80.0)).design
    assert (design.family, design.clock_mhz, design.axis_width) == ("ecp5", 80.0, 16)
    assert {c.memory for c in design.cores} == {"ram"} and (build / "solution.json").exists()
    assert options_of(build) == first | {"luts": 9000, "clock_mhz": 80.0}
    # Another way of choosing replaces the earlier one, and nothing else.
    ensure(build, "fold", Options(folding={"c": {"pe": 2}}, patchable=True))
    rest = first | {"clock_mhz": 80.0, "patchable": True}
    assert options_of(build) == rest | {"folding": {"c": {"pe": 2}}}
    ensure(build, "fold", Options(fps=1000.0, patchable=False))
    assert options_of(build) == rest | {"fps": 1000.0, "patchable": False}
    assert ran(build, "fold") == []


def test_a_board_brings_its_family_and_keeps_the_rest(example, tmp_path):
    build = tmp_path / "kept"
    ensure(example, "fold", Options(luts=9000, family="xilinx7", clock_mhz=50.0), output=build)
    design = ensure(build, "fold", Options(board="ulx3s-12f")).design
    assert (design.family, design.clock_mhz) == ("ecp5", 50.0)
    with pytest.raises(UsageError, match="ulx3s-12f is of family ecp5, not xilinx7"):
        ensure(build, "fold", Options(family="xilinx7"))
    assert ensure(build, "fold", Options(memory="ram")).design.family == "ecp5"
    assert ensure(build, "fold", Options(board="arty-a7-35")).design.family == "xilinx7"
    assert ensure(build, "fold", Options(fps=1000.0)).design.family == "xilinx7"
    assert options_of(build).keys() == {"fps", "family", "clock_mhz", "memory"}


def test_memory_in_a_folding_is_not_overruled_by_an_earlier_command(example, tmp_path):
    build = tmp_path / "b"
    ensure(example, "fold", Options(memory="ram"), output=build)
    said = {"c": {"memory": "rom"}, "f": {"memory": "rom"}}
    design = ensure(example, "fold", Options(folding=said), output=build).design
    assert {c.memory for c in design.cores if c.op == "conv"} == {"rom"}
    assert {
        c.memory
        for c in ensure(build, "fold", Options(memory="ram")).design.cores
        if c.op == "conv"
    } == {"ram"}
    ensure(example, "fold", Options(folding={"c": {"pe": 1}}), output=build)
    assert ensure(build, "fold").design.core("f").memory == "ram"  # nothing was said of it


def test_options_of_another_type_are_not_those_of_the_last_run(example, tmp_path):
    build = tmp_path / "b"
    ensure(example, "fold", Options(folding={"c": {"pe": 1}}), output=build)
    for wrong in (True, 1.0):
        with pytest.raises(DesignError, match="pe .* is not legal"):
            ensure(example, "fold", Options(folding={"c": {"pe": wrong}}), output=build)


def test_a_goal_is_for_the_family_the_example_says(example, tmp_path):
    said = {"family": "xilinx7", "clock_mhz": 50, "folding": FOLDING}
    (example / "folding.json").write_text(json.dumps(said))
    design = ensure(example, "fold", Options(fps=1000.0), output=tmp_path / "b").design
    assert (design.family, design.clock_mhz, design.core("c").memory) == ("xilinx7", 100.0, "rom")
    given = Options(fps=1000.0, family="ecp5")
    assert ensure(example, "fold", given, output=tmp_path / "e").design.family == "ecp5"
    on_board = Options(board="ulx3s-12f")
    assert ensure(example, "fold", on_board, output=tmp_path / "u").design.family == "ecp5"


def test_read_folding(example, tmp_path):
    """A design.json is a folding file as well."""
    build = ensure(example, "fold", output=tmp_path / "b").folder
    read = read_folding(build / "design.json")
    assert read["folding"]["c"] == FOLDING["c"] and read["clock_mhz"] == 100.0
    path = tmp_path / "f.json"
    path.write_text((build / "design.json").read_text().replace('"version": 2', '"version": 99'))
    with pytest.raises(FileError, match="has version 99, this Sterna reads 2; give only"):
        read_folding(path)
    path.write_text(json.dumps({"family": "ecp5", "c": {"pe": 2}}))
    assert read_folding(path) == {"family": "ecp5", "folding": {"c": {"pe": 2}}}
    path.write_text(json.dumps({"clock_mhz": 50, "axis_width": 8, "folding": {"c": {"pe": 2}}}))
    assert read_folding(path) == {"clock_mhz": 50, "axis_width": 8, "folding": {"c": {"pe": 2}}}


@pytest.mark.parametrize("patchable", [True, False])
def test_a_design_given_back_is_patchable_as_it_was(patchable, example, tmp_path):
    first = ensure(example, "fold", Options(patchable=patchable), output=tmp_path / "a")
    settings = read_folding(first.folder / "design.json")
    again = ensure(example, "fold", Options(**settings), output=tmp_path / "b")
    assert settings["patchable"] is again.design.core("f").patchable is patchable
    assert again.design == first.design
    # Where no core has fixed weights, it was of no matter, and is not said.
    rams = ensure(example, "fold", Options(memory="ram", patchable=True), output=tmp_path / "c")
    assert "patchable" not in read_folding(rams.folder / "design.json")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"famly": "ecp5", "folding": {}}, FileError, "'famly' beside 'folding' is not one of fam"),
        ({"c": {"pe": 2}, "b": 1, "folding": {}}, FileError, "'b', 'c' beside .* move a core into"),
        ({"format": "other", "folding": {}}, FileError, "'format' beside"),
        ({"patchable": "no", "folding": {}}, DesignError, "patchable 'no' is not true or false"),
        ({"folding": None}, DesignError, "'folding' is not an object; give core -> pe, simd, tp"),
        ({"format": "sterna-design"}, DesignError, "'folding' is not an object; give core -> pe"),
    ],
)
def test_nothing_in_a_folding_file_is_passed_over(body, kind, words, example, tmp_path):
    (example / "folding.json").write_text(json.dumps(body))
    with pytest.raises(kind, match=words) as e:
        ensure(example, "fold", output=tmp_path / "b")
    assert "\n" not in str(e.value)


def test_memory_of_every_core_can_be_said_at_once(example, tmp_path):
    build = ensure(example, "fold", Options(memory="ram"), output=tmp_path / "b")
    assert {c.name: c.memory for c in build.design.cores} == {"c": "ram", "f": "ram"}
    assert build.design.core("c").pe == FOLDING["c"]["pe"]
    assert build.design.region_count == 4
    build = ensure(example, "fold", Options(memory="rom"), output=tmp_path / "b")
    assert not build.design.reloadable
    with pytest.raises(DesignError, match="memory 'flash' is not rom or ram"):
        ensure(example, "fold", Options(memory="flash"), output=tmp_path / "b")
