"""What `train` returns, and its curves."""

import csv
import io
from pathlib import Path
from typing import Any

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.disk import parse_json, read_bytes, write_atomic
from sterna.golden.errors import FileError

__all__ = ["LOG", "Run", "read_history", "write_curves"]

LOG = "log.jsonl"
_LIMIT = 1 << 28


class Run(dict[str, Any]):
    """The summary of a training, as run.json has it, and the folder it is in."""

    def __init__(self, folder: Path, summary: dict[str, Any]) -> None:
        super().__init__(summary)
        self.folder = folder

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dictionary an epoch, those of earlier slices too: epoch, loss, validation ..."""
        return read_history(self.folder)

    @property
    def metrics(self) -> dict[str, float]:
        """The accuracies: validation and test, in real numbers and folded."""
        return {k: v for k, v in self.items() if k.startswith(("validation", "test"))}

    @property
    def network(self) -> FloatNetwork:
        """The trained network, for `quantize`."""
        return FloatNetwork.load(self.folder)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl; damaged ones are left out."""
    path = folder / LOG
    out = []
    for line in read_bytes(path, _LIMIT).splitlines() if path.is_file() else ():
        try:
            found = parse_json(line, path)
        except FileError:
            continue
        if isinstance(found, dict) and isinstance(found.get("epoch"), int):
            out.append(found)
    return out


def write_curves(path: Path, history: list[dict[str, Any]]) -> None:
    """A CSV file of the history, a column a key."""
    heads = list(dict.fromkeys(key for line in history for key in line))
    text = io.StringIO()
    table = csv.DictWriter(text, heads or ["epoch"], lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    write_atomic(path, text.getvalue().encode())
