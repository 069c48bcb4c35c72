"""The Python of docs/front.md runs as it is printed."""

import re

import pytest
from repo import ROOT

PAGE = ROOT / "docs" / "front.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=["import", "own"])
def test_the_blocks_of_the_page_run(block: str, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("snntorch")
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "__main__"}
    exec(compile(block, str(PAGE), "exec"), space)
    said = capsys.readouterr().out
    assert "exact" in said and "refused" not in said
    if "build" in space:
        assert "classes agree on 100.00%" in said
        assert (space["build"].folder / f"{space['network'].name}.v").is_file()
