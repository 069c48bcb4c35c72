"""The slower blocks of the pages: Verilog, training, synthesis, run as they are printed."""

from pathlib import Path

import pytest
from docblocks import PAGES, blocks, run_page
from repo import ROOT

SLOW = [p for p in PAGES if any(b.mark == "slow" for b in blocks(p))]


@pytest.mark.slow
@pytest.mark.yosys
@pytest.mark.parametrize("page", SLOW, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_blocks_run(page: Path, tmp_path: Path) -> None:
    """With the quick ones in front of them, whose files they may use."""
    pytest.importorskip("snntorch")
    run_page(page, ("run", "slow"), tmp_path)
