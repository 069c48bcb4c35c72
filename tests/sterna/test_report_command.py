"""``sterna report``: the page and its path, a browser or none, boards, the frontier."""

import json
import re
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from smallcores import layer

import sterna
from sterna.cli import main
from sterna.gen.model.raster import unpacked
from sterna.train.data import datasets
from sterna.train.run.curves import curve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network's folder, its name in need of quotes."""
    layer().save(tmp_path / "a b")
    return tmp_path / "a b"


def test_a_browser_is_asked_and_the_path_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: asked.append(url) or True)
    assert main(["report", str(folder), "-o", str(folder)]) == 0
    said = capsys.readouterr()
    assert not asked and str(folder / "report.html") in said.out + said.err
    assert main(["report", str(folder), "--open"]) == 0
    said = "".join(capsys.readouterr())
    assert asked == [(folder / "report.html").resolve().as_uri()] and "no browser" not in said
    assert "%20" in asked[0] and str(folder / "report.html") in said

    def none(url: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    for broken in (none, lambda url: False):
        monkeypatch.setattr(webbrowser, "open", broken)
        assert main(["report", str(folder), "--open"]) == 0
        said = "".join(capsys.readouterr())
        assert "no browser was found" in said and str(folder / "report.html") in said


def test_a_board_that_is_none_is_refused_before_the_first_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", str(folder), "-o", str(folder), "--board"]
    assert main([*words, "ulx3s-86f"]) == 2
    assert "no board is called 'ulx3s-86f'" in capsys.readouterr().err
    assert not (folder / "design.json").exists()
    assert main([*words, "icebreaker", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (
        answer["device"]["holds"] is True
        and answer["device"]["luts"] == 5280
        and answer["device"]["why"] == "asked for"
    )
    (row,) = answer["resources"]
    assert row["family"] == "ice40" and row["shares"]["luts"] == row["luts"] / 5280
    assert answer["headline"]["luts"]["share"] == row["shares"]["luts"]
    assert main([*words, "orangecrab-25f", "--json"]) == 0  # without a UART
    assert json.loads(capsys.readouterr().out)["device"]["luts"] == 24288
    words = ["fold", str(folder), "-o", str(folder), "--board", "orangecrab-25f"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^uses \d+% of 52 block RAMs, .* that a design may take of orange", said, re.M
    )
    of = re.search(r"^of the whole chip: (\d+)% of 24,288 LUTs, .* of 56 block RAMs$", said, re.M)
    assert main(["report", str(folder), "-o", str(folder), "--json"]) == 0
    share = json.loads(capsys.readouterr().out)["headline"]["luts"]["share"]
    assert of is not None and of[1] == f"{share:.0%}".rstrip("%")


def test_the_frontier_is_kept_and_is_of_one_family(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", str(folder), "-o", str(folder), "--family", "ice40"]
    assert main([*words, "--frontier", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["frontier"]
    points = found["points"]
    assert found["family"] == "ice40" and len(points) > 3
    for faster, slower in zip(points, points[1:]):
        assert faster["clocks_per_image"] < slower["clocks_per_image"]
        assert faster["luts"] > slower["luts"]
    assert "this one" in (folder / "report.html").read_text()
    assert main(["report", str(folder), "--family", "ecp5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frontier"] == found
    html = (folder / "report.html").read_text()
    assert "this one" not in html and "for this family and clock" in html


def test_quantize_keeps_the_epochs_of_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert curve(run) is None
    lines: list[Any] = [
        {"epoch": n, "loss": 1 / n, "validation": n / 3000, "folded": False, "seconds": 3}
        for n in range(1, 2501)
    ]
    text = "\n".join(map(json.dumps, lines))
    (run / "log.jsonl").write_text(text + '\n{"epoch": 2501, "loss": NaN}\n')
    found = curve(run)
    assert found is not None and found["epochs"] in (2500, 2501)
    assert found["columns"] == ["loss", "validation"]
    assert len(found["history"]) <= 1000
    assert found["history"][-1]["epoch"] == found["epochs"]
    steps = {b["epoch"] - a["epoch"] for a, b in zip(found["history"], found["history"][1:])}
    assert steps == {3}


def test_eval_leaves_one_image_for_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = sterna.example("digits")
    network.save(tmp_path)
    words = ["eval", str(tmp_path), "-o", str(tmp_path), "--data", "digits", "--images", "2"]
    assert main(words) == 0, capsys.readouterr().err
    images, labels = datasets.load("digits").test
    kept = json.loads((tmp_path / "measured" / "raster.json").read_text())["values"]
    result = sterna.run(network, images[:1], trace="all")
    assert kept["logits"] == result.logits[0].tolist() and kept["label"] == labels[0]
    assert [e["node"] for e in kept["layers"]] == list(result.spikes)
    for entry in kept["layers"]:
        spikes = result.spikes[entry["node"]][:, 0].astype(int)  # [T,C,H,W]
        assert (unpacked(entry) == spikes.sum(1)).all()
        assert entry["spikes"] == spikes.sum((1, 2, 3)).tolist()
    assert (unpacked(kept["input"]) == images[0]).all()
    for spoilt in ({"values": "AAAA"}, {"shape": [1 << 14, 1 << 14]}, {"shape": [4, 9, 9]}):
        with pytest.raises(ValueError):
            unpacked(kept["layers"][0] | spoilt)
