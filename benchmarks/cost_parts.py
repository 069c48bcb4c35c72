"""What each part of a synthesised design took, by the names of its cells."""

import json
from collections import Counter
from pathlib import Path

__all__ = ["by_module"]


def by_module(netlist: Path, top: str) -> dict[str, dict[str, int]]:
    """Cells by type of every module instance (its path, dots between) of a flattened netlist.

    yosys names a cell after the nearest signal with a name of its own, so a LUT counts for the
    module whose register it feeds.
    """
    body = json.loads(netlist.read_text())["modules"][top]
    # A flattened module leaves a cell that says where it was.
    paths = {name for name, cell in body["cells"].items() if cell["type"] == "$scopeinfo"}
    out: dict[str, Counter[str]] = {}
    for name, cell in body["cells"].items():
        if cell["type"] == "$scopeinfo":
            continue
        path = name
        while path and path not in paths:
            path = path.rpartition(".")[0]
        out.setdefault(path, Counter())[cell["type"]] += 1
    return {path: dict(cells) for path, cells in sorted(out.items())}
