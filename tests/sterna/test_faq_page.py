"""The answers of docs/faq.md run as they are printed."""

import contextlib
import io
import re

import pytest
from repo import ROOT

from sterna.cli import main

PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
COMMANDS = [line.split()[1:] for line in re.findall(r"^    (sterna .*)$", PAGE, re.M)]
VERILOG = ("sim", "compare")


@pytest.fixture
def here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


def printed(block: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(block, "faq.md", "exec"), {"__name__": "__main__"})
    return said.getvalue()


def test_the_blocks_say_what_the_page_says(here: None) -> None:
    pytest.importorskip("snntorch")
    steps, near = (printed(block) for block in BLOCKS)
    shares = re.findall(r"T = (\d): ([\d.]+%), [\d,]+ LUTs", steps)
    told = re.search(r"trained at T = 4: (.*)\. Train", PAGE.replace("\n", " "))
    assert told is not None
    assert [f"{share} at {t}" for t, share in shares] == told[1].split(", ")
    assert "module '2': reset_delay=False subtracts" in near and "give approximate=True" in near
    assert "classes agree on" in near


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0] not in VERILOG], ids=" ".join)
def test_the_commands_run(words: list[str], here: None) -> None:
    assert main(words) == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0] in VERILOG], ids=" ".join)
def test_the_commands_of_the_verilog_run(words: list[str], here: None) -> None:
    assert main(words) == 0
