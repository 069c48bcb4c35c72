"""A script of examples/front as the notebook that it is, run as Jupyter would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repo import ROOT

__all__ = ["EXAMPLES", "digits", "shown", "told"]

EXAMPLES = ROOT / "examples" / "front"
RUN = """
import json, sys
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"))
"""


def notebook(name: str, given: dict[str, Any], hardware: bool) -> str:
    """JSON of the notebook: with what is ``given`` behind its cell of parameters, as papermill has
    it, and with the cells that make Verilog or without them."""
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.read(EXAMPLES / f"{name}.py")
    at = [k for k, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(at) == 1, "one cell has the tag 'parameters'"
    unknown = [n for n in given if n not in book.cells[at[0]].source]
    assert unknown == [], "are no parameters of it"
    cells = [c for c in book.cells if hardware or "hardware" not in c.metadata.get("tags", [])]
    assert len(cells) < len(book.cells) or hardware
    found = json.loads(jupytext.writes(book, "ipynb"))
    assert len(found["cells"]) == len(book.cells)
    kept = [c for c, b in zip(found["cells"], book.cells, strict=True) if b in cells]
    lines = [f"{n} = {v}" for n, v in given.items()]
    kept.insert(at[0] + 1, {"cell_type": "code", "source": ["\n".join(["import pathlib", *lines])]})
    return json.dumps(found | {"cells": kept})


def told(name: str, given: dict[str, Any], folder: Path, hardware: bool) -> str:
    """What the notebook prints."""
    path = folder / f"{name}.ipynb"
    path.write_text(notebook(name, given | {"folder": shown(folder / "out")}, hardware))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def shown(path: Path) -> str:
    return f"pathlib.Path({str(path)!r})"


def digits(folder: Path, side: int = 28) -> str:
    """An .npz of scikit-learn's digits, enlarged to side x side; its words in Python."""
    from sterna.data import ImageSet

    arrays = {}
    for part in ("train", "val", "test"):
        known = ImageSet("digits", {"val": "validation"}.get(part, part))
        images = known.images[:200].repeat(side // 8, 2).repeat(side // 8, 3)
        edge = side - images.shape[-1]
        edges = (edge // 2, edge - edge // 2)
        arrays |= {f"x_{part}": np.pad(images, ((0, 0), (0, 0), edges, edges))}
        arrays |= {f"y_{part}": known.labels[:200]}
    np.savez(folder / "digits.npz", **arrays)
    return repr(str(folder / "digits.npz"))
