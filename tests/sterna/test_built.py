"""What sterna.build returns: reports, counts and bitstreams by the code of the commands."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from smallcores import layer

import sterna
from sterna import cli, shipped

COUNTS = dict.fromkeys(("luts", "logic", "lutram", "carry", "ff", "bram", "dsp"), 60)


@pytest.fixture
def built(tmp_path: Path) -> sterna.Build:
    return sterna.build(layer(), tmp_path / "b", family="ecp5", upto="fold")


def said(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """The answer of a command, but for the files that it wrote."""
    assert cli.main([*map(str, words), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    answer.pop("wrote", None)
    return answer


def test_reports_are_those_of_the_command(
    built: sterna.Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by = {f.how for f in built.report.figures}
    assert by == {"counted", "estimated"} and str(built.report).startswith("network: T = 4")
    fake = lambda files, top, target, folder, parts: {**COUNTS, "target": target}  # noqa: E731
    monkeypatch.setattr("sterna.gen.build.synthesis.synth", fake)
    counted = built.synth("ice40")
    assert counted == said(capsys, "synth", built.folder, "--target", "ice40")
    made = {f.what: f for f in built.report.figures if f.how == "synthesised"}
    assert made["LUTs"] == ("LUTs", 60, "synthesised", "synth_ice40")
    answer = said(capsys, "report", built.folder)
    assert answer.pop("build") == str(built.folder)
    assert answer == json.loads(json.dumps(built.report))
    with pytest.raises(sterna.UsageError, match="progress 3 must be a Progress"):
        built.synth(progress=3)  # type: ignore[arg-type]
    assert sterna.Build(str(built.folder)).report == built.report  # type: ignore[arg-type]
    for wrong in ("asic", 3, []):
        with pytest.raises(sterna.UsageError, match="target .* is not one of"):
            built.synth(wrong)  # type: ignore[arg-type]


def test_bitstreams_are_those_of_the_command(
    built: sterna.Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    found = lambda build, options, progress: asked.append(options) or {"bitstream": "x"}  # noqa: E731
    monkeypatch.setattr("sterna.gen.board.for_board.bitstream", found)
    monkeypatch.setattr("sterna.gen.board.for_board.find", lambda name: None)
    made = built.bitstream("ulx3s-85f", seeds=2)
    assert made == {"build": str(built.folder), "bitstream": "x"}
    assert (asked[0].board, asked[0].seeds) == ("ulx3s-85f", 2)
    for given, sentence in (
        ({}, "give the board with --board: one of .*ulx3s-85f"),
        ({"board": "none"}, "no board is called 'none'"),
        ({"board": 3}, "board 3 must be a name"),
        ({"board": "ulx3s-85f", "baud": 20_000_000}, "20000000 baud cannot be made of ulx3s-85f"),
        ({"board": "ulx3s-85f", "seeds": 0}, "seeds 0 must be a whole number from 1 to 100"),
        ({"board": "ulx3s-85f", "uart": 3}, "uart 3 must be the names of two pins"),
    ):
        with pytest.raises(sterna.UsageError, match=sentence):
            built.bitstream(**given)
    assert len(asked) == 1
    other = sterna.build(built, board="ulx3s-45f", upto="fold")
    other.bitstream()  # it was folded for one
    assert asked[1].board == "ulx3s-45f"


def test_a_design_of_another_family_gets_no_bitstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.gen.board.for_board.find", lambda name: None)
    made = sterna.build(layer(), tmp_path / "b", family="ice40", upto="fold")
    with pytest.raises(sterna.DesignError, match="is folded for ice40 and ulx3s-85f is ecp5"):
        made.bitstream("ulx3s-85f")


def test_a_notebook_shows_a_build_whatever_it_is_called(tmp_path: Path) -> None:
    made = sterna.build(layer(), tmp_path / "<script>alert(1)<&", family="ecp5", upto="fold")
    page = made._repr_html_()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;&amp;" in page
    assert "clocks an image" in page and "estimated" in page and "conv2d" in page
    shutil.rmtree(made.folder)
    made.forget()
    assert "does not exist" in made._repr_html_() or "cannot be read" in made._repr_html_()
    assert "<script" not in made._repr_html_() and repr(made).startswith("Build(")


def test_no_object_fills_the_screen(built: sterna.Build, tmp_path: Path) -> None:
    import numpy as np

    network = built.network
    images = np.zeros((4, 3, 4, 6, 6), np.uint8)  # [T,B,C,H,W]
    result = sterna.run(network, images, trace="all")
    shown = [network, *network.nodes, network["n"].rule, built, built.design, built.report]
    shown += [result, sterna.evaluate(network, (images, [0, 1, 2]))]
    shown += [sterna.solve(network, family="ecp5", luts=20_000), sterna.Run(tmp_path)]
    shown += [sterna.compare(result, sterna.run(network, 1 - images, trace="all"))]
    for thing in shown:
        text = repr(thing)
        assert "\n" not in text and len(text) < 300, text
        assert "array(" not in text and " object at " not in text, text
        page = getattr(thing, "_repr_html_", str)()
        assert "Traceback" not in page


def test_a_network_does_not_lose_its_build_to_another_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wide, longer = layer(), layer(steps=2)  # of one name, of other steps
    wide.save("one")
    longer.save("two")
    assert cli.main(["fold", "one"]) == 0
    design = Path("build/network/design.json").read_bytes()
    capsys.readouterr()
    assert cli.main(["fold", "two"]) == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "build/network: holds the build of another network" in sentence and "-o" in sentence
    for other in (longer, "two"):
        with pytest.raises(sterna.UsageError, match="holds the build of another network"):
            sterna.build(other, upto="fold")
    assert Path("build/network/design.json").read_bytes() == design
    assert cli.main(["fold", "two", "-o", "build/network"]) == 0  # it was said which
    assert "held another network, 'network' of weights_id " in capsys.readouterr().err
    assert sterna.build(longer, upto="fold").network.digest == longer.digest


def test_a_build_whose_folder_holds_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two networks of one name and the same layers: the first Build must not become the second."""
    monkeypatch.chdir(tmp_path)
    first = sterna.example("digits")
    rule = replace(first["spike1"].rule, threshold=first["spike1"].rule.threshold + 1)
    other = sterna.Network(
        first.steps,
        [replace(n, rule=rule) if n.name == "spike1" else n for n in first.nodes],
        first.name,
    )
    one = sterna.build(first, upto="fold")
    two = sterna.build(other, upto="fold")
    assert ", replaced by this network; what was built of it is stale" in capsys.readouterr().err
    assert two.network.digest == other.digest
    with pytest.raises(sterna.SternaError, match="another network than when this Build was made"):
        sterna.build(one)
    sterna.build(two, upto="fold")
    first.save("again")
    assert sterna.build("again", upto="fold").network.digest == first.digest
    assert ", replaced by that of again" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["recipe.toml", "network.json", "folding.json", "classes.json"])
def test_files_of_a_folder_that_is_no_build_stay(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text('mine = "notes"\n')
    assert cli.main(["fold", str(shipped.FOLDER / "digits"), "-o", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{name}: would be replaced, and {tmp_path} is no build folder" in said
    assert (tmp_path / name).read_text() == 'mine = "notes"\n'
    assert {p.name for p in tmp_path.iterdir()} <= {name, ".lock"}
