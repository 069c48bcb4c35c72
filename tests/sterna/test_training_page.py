"""The Python of docs/training.md runs as it is printed."""

import re

from repo import ROOT

PAGE = ROOT / "docs" / "training.md"


def test_the_network_of_the_page_is_quantized(capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "readout" in said and "mismatch" in said
