"""The Python of docs/data.md runs as it is printed."""

import re

import pytest
from repo import ROOT

PAGE = ROOT / "docs" / "data.md"


def test_the_set_of_the_page_is_run(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "ImageSet(90 images of 1 x 8 x 8, 3 classes, test)" in said
