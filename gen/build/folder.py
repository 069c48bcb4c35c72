"""A build folder: its files, who writes them, and its record ``stages.json``.

Whatever is written or removed lies inside the folder, whichever links somebody put there. The
record has, of each stage, the hashes of what it read and of the very bytes that it wrote, under
this installation's seal (`gen.tools.trust`): what has none was made elsewhere and is made again.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.tools.trust import is_sealed, seal
from sterna.golden.errors import FileError
from sterna.golden.files import network_files as files
from sterna.golden.files.classes import read_classes
from sterna.golden.files.disk import (
    canonical_json,
    decode,
    hash_file,
    make_folder,
    parse_json,
    read_bytes,
    sha256,
    write_atomic,
)
from sterna.golden.files.locks import held
from sterna.golden.files.sources import data_of_folder
from sterna.golden.network import Network
from sterna.golden.words import values
from sterna.golden.words.names import module_name
from sterna.golden.words.shown import Shown

__all__ = [
    "BOARD",
    "Build",
    "LIMIT",
    "PLACED",
    "RECORD",
    "STAGE_NAMES",
    "is_build",
    "is_inside",
]

STAGE_NAMES = ("fold", "pack", "verilog", "sim")
RECORD = "stages.json"
BOARD = "board"
"""What `gen.board` makes is in this folder, and in that file what it knows of place and route."""
PLACED = "placed_record.json"
LIMIT = 1 << 28
MADE_LIMIT = 1 << 32  # Verilog with the contents of all memories
_KEYS = {"reads": dict, "options": dict, "writes": dict, "generator": str, "seal": str}


def is_build(folder: Path) -> bool:
    """Whether commands work in this folder; they copy from one that only has a network."""
    return (folder / RECORD).exists() or (folder / "design.json").exists()


def is_inside(name: Any) -> bool:
    """Whether a name of a file in a record is one below the build folder, by its text."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    path = Path(name)
    return not path.is_absolute() and not path.drive and ".." not in path.parts and bool(path.parts)


@dataclass(repr=False)
class Build(Shown):
    """A build folder. ``network`` and ``design`` are read when first asked for.

    ``example``: the folder that its network is copied from, with the folding of the first of
    ``variants`` there is one for; None where it is its own.
    """

    folder: Path
    example: Path | None = None
    variants: tuple[str, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict, init=False)
    written: dict[str, str] = field(default_factory=dict, init=False)
    """Hashes of the bytes that ``write`` was given, by the file's name."""

    def __post_init__(self) -> None:
        self.folder = values.path("build", self.folder)

    @property
    def network(self) -> Network:
        if "network" not in self.cache:
            self.cache["network"] = files.load(self.folder)
        return self.cache["network"]

    @property
    def name(self) -> str:
        """Of the top module and of every file named after the network: `module_name`."""
        return module_name(self.network.name)

    @property
    def design(self) -> Design:
        if "design" not in self.cache:
            path = self.folder / "design.json"
            text = decode(read_bytes(path, LIMIT, "run `sterna fold`"), path, "run `sterna fold`")
            self.cache["design"] = Design.from_json(text, str(path))
        return self.cache["design"]

    @property
    def verilog(self) -> Path:
        return self.folder / f"{self.name}.v"

    @property
    def data(self) -> str | None:
        """Name of the data set the network was made for, where a recipe says so; its path is one
        from where the program runs."""
        for folder in (self.folder, self.example):
            if folder is not None and (folder / "recipe.toml").is_file():
                return data_of_folder(folder)
        return None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the network's classes, () where they are known by number only."""
        return read_classes(self.folder, self.network.shape[self.network.readout.name][0])

    def __str__(self) -> str:
        known = self.cache.get("design", self.cache.get("network"))  # nothing is read for it
        return f"{self.folder}" + ("" if known is None else f": {known.line()}")

    # --- the record ---------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """The entries of stages.json that have their shape, whoever made them."""
        path = self.folder / RECORD
        try:
            body = parse_json(read_bytes(path, LIMIT), path)
        except FileError:
            return {}  # a damaged record only costs time: every stage is stale
        entries = body.items() if isinstance(body, dict) else ()
        return {k: v for k, v in entries if k in STAGE_NAMES and _is_entry(v)}

    def sealed(self, stage: str) -> dict[str, Any] | None:
        """A stage's entry, where this installation made it."""
        entry = self.record().get(stage)
        if entry is None:
            return None
        rest = {k: v for k, v in entry.items() if k != "seal"}
        return entry if is_sealed(f"stage {stage}", rest, entry["seal"]) else None

    def enter(self, stage: str, entry: dict[str, Any]) -> None:
        """Replace a stage's entry, sealed."""
        entry = {k: v for k, v in entry.items() if k != "seal"}
        entry["seal"] = seal(f"stage {stage}", entry)
        self.write(RECORD, canonical_json(self.record() | {stage: entry}))

    def make_stale(self, stage: str) -> None:
        """What is written from now on is not as recorded; options and names of files stay known."""
        entry = self.sealed(stage)
        if entry is not None:
            self.enter(stage, entry | {"generator": ""})

    def made(self, stage: str, name: str) -> bytes:
        """A file that this installation made in ``stage``, as it was then. FileError otherwise."""
        data = read_bytes(self.folder / name, MADE_LIMIT, f"run `sterna {stage}`")
        if self.made_hash(stage, name) != sha256(data):
            raise FileError(
                f"{self.folder / name}: is not as this installation made it; run `sterna {stage}` "
                "again"
            )
        return data

    def made_hash(self, stage: str, name: str) -> str | None:
        """The hash of a file as this installation made it in ``stage``."""
        known = self.cache.get("entries")
        entry = known[stage] if known is not None else self.sealed(stage)
        return None if entry is None else entry["writes"].get(name)

    def start(self) -> None:
        """Be a build folder from now on, in which commands work, not one that they copy from."""
        if not os.path.lexists(self.folder / RECORD):
            self.write(RECORD, canonical_json({}))

    # --- files --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def held(self, part: str = "") -> Generator[None]:
        """Be the only command that writes into this folder, or into a folder below it where
        programs work for minutes; see `golden.locks`. Whoever takes both takes ``part`` first."""
        with held(self._own(part) if part else self.folder):
            yield

    def keep_state(self) -> None:
        """Read network, design and record now, under the lock: what is asked of this object later
        is of one state, and ``made`` refuses what another command has replaced since."""
        entries = {stage: self.sealed(stage) for stage in STAGE_NAMES}
        self.cache |= {"network": self.network, "design": self.design, "entries": entries}

    def place(self, name: str) -> Path:
        """The path of a file below the folder. FileError where a link leads out of it."""
        path = self.folder / name
        root = self.folder.resolve()
        if not is_inside(name) or not path.parent.resolve().is_relative_to(root):
            raise FileError(
                f"{path}: would be written outside of {self.folder}, since a part of its path is a "
                "link; remove that link"
            )
        return path

    def workshop(self, name: str) -> Path:
        """A folder below this one for programs to work in: made, and without links, through which
        they would write elsewhere."""
        path = self._own(name)
        for place, folders, names in os.walk(path):
            for n in (*folders, *names):
                found = os.lstat(os.path.join(place, n))
                second = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
                plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
                if not plain or second:
                    os.unlink(os.path.join(place, n))
        return path

    def _own(self, name: str) -> Path:
        """A folder below this one, made where there is none; no link."""
        path = self.place(name)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
        make_folder(path)
        return path

    def write(self, name: str, data: str | bytes) -> None:
        """Replace a file, and remember the hash of these bytes."""
        data = data.encode() if isinstance(data, str) else data
        write_atomic(self.place(name), data)
        self.written[name] = sha256(data)

    def remove(self, name: str) -> None:
        """Remove a file, or a link in its place; nothing where a link leads out."""
        with contextlib.suppress(FileError, OSError):
            self.place(name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """Remove a folder and all in it, following no link."""
        path = self.place(name)
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)

    def hash(self, name: str) -> str | None:
        return hash_file(self.folder / name)

    def forget(self) -> None:
        self.cache.clear()
        self.written.clear()


def _is_entry(entry: Any) -> bool:
    """Whether a stage's record has its shape and names files inside the build folder only."""
    if not isinstance(entry, dict):
        return False
    entry.setdefault("seal", "")  # of an earlier Sterna
    if set(entry) != set(_KEYS) or any(type(entry[k]) is not t for k, t in _KEYS.items()):
        return False
    hashes = [*entry["reads"].values(), *entry["writes"].values()]
    if not all(h is None or isinstance(h, str) for h in hashes):
        return False
    return all(map(is_inside, (*entry["reads"], *entry["writes"])))
