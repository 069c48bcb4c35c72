"""Other names for files whose paths make cannot carry.

Verilator's makefiles and cocotb's linker flags take paths as words: one with a space in it, of an
environment or of a cache in "My Projects", is two.
"""

import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sterna.gen.tools.programs import ToolFailed

__all__ = ["Plain", "plain_paths"]

_PLAIN = re.compile(r"[\w./+@%,~-]*", re.ASCII)


class Plain:
    """Calling it with a path gives one of the same file that is one word; ``folder`` is one to
    work in. Both are there for as long as the context of `plain_paths` lasts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._given: dict[Path, Path] = {}

    def __call__(self, path: str | Path) -> Path:
        path = Path(path)
        if _PLAIN.fullmatch(str(path)):
            return path
        if path not in self._given:
            link = self.folder / f"link{len(self._given)}"
            link.symlink_to(path)
            self._given[path] = link
        return self._given[path]


@contextmanager
def plain_paths() -> Generator[Plain]:
    """ToolFailed: where the folder for temporary files is no word either."""
    with tempfile.TemporaryDirectory(prefix="sterna-") as folder:
        if not _PLAIN.fullmatch(folder):
            raise ToolFailed(
                f"make cannot build in {folder}, whose path has a space or a sign of the shell; "
                "set TMPDIR to a folder without"
            )
        yield Plain(Path(folder))
