"""The files of a run folder: whose run they are, what they say, and that they stay so.

Nothing is deleted or written before the first thing that training itself has to write, so that a
run that is refused, for whatever reason, has changed nothing.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.run_record import CHECKPOINT, RECORD, read_record
from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.golden.files.disk import (
    hash_file,
    parse_json,
    read_bytes,
    read_text,
    sha256,
    sweep,
    write_atomic,
)
from sterna.golden.files.sources import with_data
from sterna.train.recipe.recipe import LIMIT
from sterna.train.run.checkpoint import read_checkpoint, write_checkpoint

__all__ = ["RunFolder"]

_LOG_LIMIT = 1 << 28


@dataclass
class RunFolder:
    """The folder at ``path`` for one recipe (its text), seed and data set (its identity).
    ``kept``: the recipe's text as it is true in here, with the data set that was taken.
    ``writes``: this process is the one that does. ``find`` comes first."""

    path: Path
    recipe: str
    seed: int
    data: str
    kept: str
    writes: bool
    is_over: bool = False  # trained to the end, by what is known without a checkpoint
    untrained: bool = False  # holds random weights
    resumed: bool = False
    _begun: bool = False

    def find(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """(head, tensors) of the checkpoint to go on from; None where there is none, since
        training starts from nothing or ``is_over``. UsageError where the folder holds another
        recipe, seed or data set, FileError where what it holds is damaged."""
        checkpoint = self.path / CHECKPOINT
        if checkpoint.is_file():
            head, tensors = read_checkpoint(checkpoint)
            self._agree(checkpoint, self._is_same(head["recipe"], "data" in head), head)
            self.resumed = True
            at_start = head["position"] == [0, 0, 0]  # so of random weights only, in version 1
            self.untrained = head.get("untrained", at_start)
            return head, tensors
        record, own = read_record(self.path), self._has_recipe()
        if record is not None:
            said = record.get("recipe_sha256", "")  # "": of an earlier Sterna
            same = said in self._recipe_hashes if said else own
            self._agree(self.path / RECORD, same is True, record)
            self.untrained = bool(record.get("untrained"))
            self.is_over = not self.untrained
        elif own is False:
            raise UsageError(
                f"{self.path / 'recipe.toml'}: is another recipe; give another folder, or delete "
                "it to begin anew"
            )
        return None

    def _agree(self, file: Path, recipe: bool, said: dict[str, Any]) -> None:
        if not recipe or said["seed"] != self.seed:
            raise UsageError(
                f"{file}: was made by another recipe or seed; give another folder, or delete "
                f"{self.path} to begin anew"
            )
        data = said.get("data", self.data)  # none: of an earlier Sterna
        if data != self.data:
            raise UsageError(
                f"{file}: was trained on {data}, not on {self.data}; train on that, or give "
                "another folder"
            )

    def _has_recipe(self) -> bool | None:
        """Whether recipe.toml is this one; None where there is none."""
        path = self.path / "recipe.toml"
        try:
            return self._is_same(read_text(path, LIMIT)) if path.exists() else None
        except FileError:
            return False

    def _is_same(self, text: str, data_is_known: bool = True) -> bool:
        """Whether a recipe is this one, whatever it calls the data: that is compared by itself."""
        if text == self.recipe or not data_is_known:
            return text == self.recipe
        return _without_data(text) == _without_data(self.recipe)

    @property
    def _recipe_hashes(self) -> list[str]:
        """Of the recipe without its data, as it is written; and, of an earlier Sterna, of all."""
        return [sha256(text.encode()) for text in (_without_data(self.recipe), self.recipe)]

    # -- a run that is over ---------------------------------------------------------------------

    def outcome(self) -> dict[str, Any] | None:
        """run.json of this run; None where it is lost or damaged: measured again then."""
        with suppress(FileError):
            record = read_record(self.path)
            if record is not None and record["seed"] == self.seed:
                return record
        return None

    def restore(self, export: Callable[[], FloatNetwork], report: Callable[[str], None]) -> None:
        """Write the network and the recipe of a run that is over again where they are lost or
        damaged. FileError where there is no checkpoint to ``export`` the network from."""
        if not self.writes:
            return
        try:
            FloatNetwork.load(self.path)
        except SternaError as e:
            if not self.resumed:
                raise FileError(
                    f"{str(e).rsplit(';', 1)[0]}, and the run has no checkpoint to restore it from;"
                    f" delete {self.path / RECORD} to train it again, or give another folder"
                ) from e
            export().save(self.path)
            report(f"{self.path}: float.json and float.safetensors restored from the checkpoint")
        path = self.path / "recipe.toml"
        if hash_file(path) != sha256(self.kept.encode()):
            write_atomic(path, self.kept.encode())
            report(f"{self.path}: recipe.toml restored")

    # -- writing --------------------------------------------------------------------------------

    def save(
        self, head: dict[str, Any], tensors: dict[str, np.ndarray], network: FloatNetwork
    ) -> None:
        """The checkpoint, the recipe and the network in real numbers."""
        self._begin()
        head = head | {"seed": self.seed, "data": self.data, "recipe": self.recipe}
        write_checkpoint(self.path / CHECKPOINT, head, tensors)
        write_atomic(self.path / "recipe.toml", self.kept.encode())
        network.save(self.path)

    def log(self, line: dict[str, Any]) -> None:
        """A line of log.jsonl, in place of those of its epoch and later ones: an epoch is trained
        again where the process ended between its line and its checkpoint."""
        self._begin()
        path, kept = self.path / "log.jsonl", []
        lines = read_bytes(path, _LOG_LIMIT).splitlines() if path.is_file() else ()
        for old in lines:
            with suppress(FileError, TypeError, KeyError):  # a damaged line is left out
                if parse_json(old, path)["epoch"] < line["epoch"]:
                    kept.append(old.decode())
        write_atomic(path, "".join(f"{x}\n" for x in [*kept, json.dumps(line)]).encode())

    def record(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Write run.json; what it says: the summary, with the recipe and data set it is of."""
        summary = summary | {"data": self.data, "recipe_sha256": self._recipe_hashes[0]}
        if self.writes:
            text = json.dumps(summary, indent=1, sort_keys=True) + "\n"
            write_atomic(self.path / RECORD, text.encode())
        return summary

    def _begin(self) -> None:
        """Before the first file is written: what an earlier run left here is no longer true."""
        if not self._begun:
            self._begun = True
            sweep(self.path)
            (self.path / RECORD).unlink(missing_ok=True)
            if not self.resumed:
                (self.path / "log.jsonl").unlink(missing_ok=True)


def _without_data(text: str) -> str:
    """A recipe's text without its data; the text itself where that stands unusually."""
    try:
        return with_data(text, "")
    except (FileError, UsageError):
        return text
