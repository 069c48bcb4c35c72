"""Commands and Python of the pages run as they are printed, or say by a mark why not."""

import re
from pathlib import Path

import pytest
from docblocks import PAGES, blocks, run_page, wrong
from repo import ROOT

from sterna.train.recipe.recipe import parse_recipe
from sterna.train.recipe.recipe_check import check_recipe

QUICK = [p for p in PAGES if any(b.mark == "run" for b in blocks(p))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_is_marked(page: Path) -> None:
    assert wrong(page) == []


@pytest.mark.parametrize("page", QUICK, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_quick_blocks_run(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    run_page(page, ("run",), tmp_path)


def test_the_sentences_of_troubleshooting_are_said_somewhere() -> None:
    """Each message in its tables stands in the code, between the dots."""
    folders = ("golden", "gen", "hw", "sim", "host", "train", "front", "sterna")
    code = "\n".join(p.read_text("utf-8") for f in folders for p in (ROOT / f).rglob("*.py"))
    code = re.sub(r"""(["'])\s*\n\s*f?["']""", "", code)  # a text in several parts
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    said = re.findall(r"^\| [^|`]*`([^|`]+)`", page, re.M)
    pieces = [piece.strip() for text in said for piece in text.split("...") if piece.strip()]
    assert [piece for piece in pieces if piece not in code] == [] and len(said) > 30


def test_whole_recipes_of_the_pages_can_be_trained() -> None:
    found = [b for p in PAGES for b in blocks(p) if b.language == "toml" and "\nlayers" in b.text]
    whole = [b for b in found if "[[stage]]" in b.text]
    for block in whole:
        check_recipe(parse_recipe(block.text, block.place))
    assert whole
