"""Plans and scripts that the tests of `sterna sweep` run."""

from pathlib import Path
from typing import Any

from sterna.sweep.cluster import Place
from sterna.sweep.command import run_sweep
from sterna.sweep.plan import read_plan

__all__ = ["HERE", "SCRIPT", "swept", "write_plan"]

HERE = Place(workers=2, threads=True)
"""Workers without processes: a second instead of several."""
SCRIPT = """
import helper

def square(n, word="a"):
    if n == 3:
        raise ValueError("three is bad")
    return {"square": helper.twice(n) * n // 2, "said": word}
"""


def write_plan(folder: Path, jobs: str, script: str = SCRIPT) -> Path:
    """A plan in ``folder``, with the script ``calls.py`` and a module that it imports."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calls.py").write_text(script)
    (folder / "helper.py").write_text("def twice(n):\n    return 2 * n\n")
    path = folder / "plan.toml"
    path.write_text(jobs)
    return path


def swept(plan: Path, out: Path, retry: bool = False) -> tuple[dict[str, Any], str, int]:
    return run_sweep(read_plan(plan), out, HERE, retry)
