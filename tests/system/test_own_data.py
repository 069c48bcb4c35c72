"""From a folder of pictures to Verilog that says of every file what the reference says."""

import csv
import json
from pathlib import Path

import pytest
from owncase import CLASSES, picture_folder

from sterna.cli import main

RECIPE = """
name = "own"
data = "folder:../png"
batch = 21
shift = 1
[network]
shape = [1, 12, 12]
steps = 2
layers = ["4C3s2", "FC3"]
[[stage]]
epochs = 30
steps = 2
lr = 2e-2
norms = 42
[[stage]]
epochs = 2
steps = 2
folded = true
lr = 1e-4
"""


def test_pictures_come_out_of_the_verilog_as_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    picture_folder(tmp_path / "png")
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "recipe.toml").write_text(RECIPE)
    assert main(["train", "net", "-o", "run"]) == 0
    assert main(["quantize", "run", "-o", "b"]) == 0
    assert main(["eval", "b", "--file", "png", "--predictions", "golden.csv"]) == 0
    capsys.readouterr()
    assert main(["sim", "b", "--file", "png", "--predictions", "verilog.csv", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["mismatches"] == 0 and answer["spikes_compared"] == 60 * 2 * 4 * 25
    assert Path("verilog.csv").read_bytes() == Path("golden.csv").read_bytes()
    rows = list(csv.DictReader(open("verilog.csv")))
    right = sum(row["name"] == row["file"].split("/")[0] for row in rows)
    assert [r["file"] for r in rows][:2] == ["circle/00.png", "circle/01.png"]
    assert {r["name"] for r in rows} == set(CLASSES) and right > 40  # 20 by chance
    assert main(["sim", "b"]) == 0
    assert "12 images, accuracy" in (said := capsys.readouterr().out) and "bit-exact" in said
