"""sterna export and Build.export: the folder, the answer, refusals before any work."""

import json
import shlex
import shutil
from pathlib import Path

import buildcase
import pytest

import sterna
from sterna.cli import main


def test_export_writes_a_block_and_says_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(buildcase.save_example(tmp_path / "source"))
    words = ["export", source, "-o", str(tmp_path / "b"), "--ip", str(tmp_path / "i p")]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["top"] == "tiny_axi" and answer["wrote"] == [str(tmp_path / "i p")]
    there = {p.relative_to(tmp_path / "i p").as_posix() for p in (tmp_path / "i p").rglob("*.*")}
    assert there == set(answer["files"])
    readme = (tmp_path / "i p/README.txt").read_text()
    assert "Datasheet      tiny_datasheet.html:" in readme
    first = buildcase.contents(tmp_path / "i p")
    assert main(words) == 0
    said = capsys.readouterr()
    where = shlex.quote(str(tmp_path / "i p"))
    assert f"fusesoc --cores-root {where} run --target sim {answer['vlnv']}" in said.out
    assert buildcase.contents(tmp_path / "i p") == first
    # The same from Python, and the other place of memories from the shell.
    made = sterna.build(tmp_path / "b").export(tmp_path / "api")
    assert list(made) == sorted(answer["files"])
    assert buildcase.contents(tmp_path / "api") == first
    assert main([*words, "--memories", "files"]) == 0
    text = (tmp_path / "i p/tiny.v").read_text()
    assert '$readmemh({`TINY_MEM, "tiny-f_weights.mem"}' in text
    assert (tmp_path / "i p/mem/tiny-f_weights.mem").is_file()


def test_an_export_over_something_else_runs_no_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(buildcase.save_example(tmp_path / "source"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    words = ["export", source, "-o", str(tmp_path / "b"), "--ip"]
    assert main([*words, str(tmp_path / "thesis")]) == 1
    assert "is not empty, and no exported block" in capsys.readouterr().err
    (tmp_path / "block").mkdir()
    other = {"format": "sterna-ip", "module": "other", "files": {}}
    (tmp_path / "block/ip.json").write_text(json.dumps(other))
    assert main([*words, str(tmp_path / "block")]) == 1
    said = capsys.readouterr().err
    assert "holds the block of the network 'other'" in said and "/1]" not in said
    assert not (tmp_path / "b/design.json").exists()
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(sterna.FileError, match="holds the block of the network 'other'"):
        sterna.build(source, tmp_path / "b").export(tmp_path / "block")
    shutil.rmtree(tmp_path / "b")
    assert main([*words, str(tmp_path / "thesis/chapter.tex")]) == 1
    assert "is a file where a folder is needed" in capsys.readouterr().err
    (tmp_path / "nowhere").symlink_to("gone")
    for name, cause in (
        ("nowhere", "is a link to what is not there, where a folder is needed"),
        ("nowhere/ip", "is below a link to what is not there"),
        ("two\nlines", "has a line break or another control character in it"),
    ):
        assert main([*words, str(tmp_path / name)]) == 1
        said = capsys.readouterr().err
        assert cause in said and said.count("\n") == 1
    (tmp_path / "block/ip.json").write_text('{"format": "sterna-ip", "files": {}}')
    assert main([*words, str(tmp_path / "block")]) == 1
    assert "block: is not empty, and no exported block" in capsys.readouterr().err
    assert main([*words, ""]) == 2
    assert "--ip: the name is empty; give that of a folder" in capsys.readouterr().err
    assert main([*words[:-1]]) == 2  # without --ip
    assert not (tmp_path / "b").exists()
