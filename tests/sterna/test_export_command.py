"""sterna export and Build.export: the folder, the answer, refusals before any work."""

import json
from pathlib import Path

import buildcase
import pytest

import sterna
from sterna.cli import main


def test_export_writes_a_block_and_says_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(buildcase.save_example(tmp_path / "source"))
    words = ["export", source, "-o", str(tmp_path / "b"), "--ip", str(tmp_path / "ip")]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["top"] == "tiny_axi" and answer["wrote"] == [str(tmp_path / "ip")]
    there = {p.relative_to(tmp_path / "ip").as_posix() for p in (tmp_path / "ip").rglob("*.*")}
    assert there == set(answer["files"])
    first = buildcase.contents(tmp_path / "ip")
    assert main(words) == 0
    said = capsys.readouterr()
    assert f"run --target sim {answer['vlnv']}" in said.out
    assert buildcase.contents(tmp_path / "ip") == first
    # The same from Python, and the other place of memories from the shell.
    made = sterna.build(tmp_path / "b").export(tmp_path / "api")
    assert list(made) == sorted(answer["files"])
    assert buildcase.contents(tmp_path / "api") == first
    assert main([*words, "--memories", "files"]) == 0
    text = (tmp_path / "ip/tiny.v").read_text()
    assert '$readmemh({`TINY_MEM, "tiny-f_weights.mem"}' in text
    assert (tmp_path / "ip/mem/tiny-f_weights.mem").is_file()


def test_an_export_over_something_else_runs_no_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(buildcase.save_example(tmp_path / "source"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    words = ["export", source, "-o", str(tmp_path / "b"), "--ip"]
    assert main([*words, str(tmp_path / "thesis")]) == 2
    assert "is not empty, and no exported block" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "thesis/chapter.tex")]) == 1
    assert "is a file where a folder is needed" in capsys.readouterr().err
    assert main([*words[:-1]]) == 2  # without --ip
    assert not (tmp_path / "b").exists()
