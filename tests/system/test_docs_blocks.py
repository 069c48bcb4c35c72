"""Commands and Python of the pages run as they are printed, or say by a mark why not."""

from pathlib import Path

import pytest
from docblocks import PAGES, blocks, run_page, wrong
from repo import ROOT

QUICK = [p for p in PAGES if any(b.mark == "run" for b in blocks(p))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_is_marked(page: Path) -> None:
    assert wrong(page) == []


@pytest.mark.parametrize("page", QUICK, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_quick_blocks_run(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    run_page(page, ("run",), tmp_path)
