"""Two small blocks, made once for all tests of this folder."""

from pathlib import Path

import pytest
from blockcase import block_of, lay_out, small

from sterna.gen.build.stages import Build
from sterna.gen.ip.exported import Exported


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Build, Exported]]:
    """``alpha`` reads its memories from files, those of ``be_ta`` are written at run time."""
    folder = tmp_path_factory.mktemp("blocks")
    return {
        "alpha": block_of(small("alpha"), folder / "alpha", memories="files"),
        "be_ta": block_of(small("be_ta", "frames"), folder / "be_ta", memory="ram"),
    }


@pytest.fixture(scope="session")
def blocks(
    made: dict[str, tuple[Build, Exported]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Exported, Path]]:
    """The same, each with the folder in which its modules of Python are."""
    folder = tmp_path_factory.mktemp("laid_out")
    return {name: (block, lay_out(block, folder / name)) for name, (_, block) in made.items()}
