"""What a data set is called: one that Sterna knows by its name, or one's own by its place.

One text says all of it, so that recipes, runs, imports and builds hand on one thing::

    digits    nmnist_8    random_3x32x32         known by name (train/data/datasets.py)
    folder:PATH           pictures or recordings of events, a class a sub-folder or labels.csv
    FILE.npz              arrays
    tonic:NAME            a data set of the package tonic

One's own may have options behind a question mark: ``?size=28x28`` (resize pictures, sensor of
events), ``?scale=255`` (what a float image's 1 stands for), ``?steps=8`` (frames that events are
binned into), ``?bits=4`` (of the counts in these). Paths are relative to the recipe that names
them, on a command line to where it is run. Standard library only.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import parse_toml, read_bytes
from sterna.golden.words.names import not_one_of, show

__all__ = [
    "KINDS",
    "Source",
    "bare_recipe",
    "data_of_folder",
    "moved",
    "read_size",
    "read_source",
    "rebased",
    "recipe_source",
    "with_data",
]

KINDS = "'folder:PATH', 'FILE.npz' or 'tonic:NAME'"
"""How data of one's own is written."""
_FOLDER, _TONIC, _NPZ = "folder:", "tonic:", ".npz"
_OPTIONS = re.compile(r"\?(\w+=[^?&/]*(?:&\w+=[^?&/]*)*)\Z")
_KEYS = "size=HxW, scale=N, steps=T and bits=B"
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})\Z")
_DATA = re.compile(r"""(?m)^([ \t]*data[ \t]*=[ \t]*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")
_TABLE = re.compile(r"(?m)^[ \t]*\[")
_RECIPE, _LIMIT = "recipe.toml", 1 << 20
_MOST_STEPS = 1024
_MOST_SCALE = 1e9


@dataclass(frozen=True)
class Source:
    """A data set's name. kind: 'named', 'folder', 'npz' or 'tonic'; place: its path or name."""

    kind: str
    place: str
    size: tuple[int, int] | None = None
    scale: float | None = None
    steps: int | None = None
    bits: int | None = None

    @property
    def own(self) -> bool:
        """Whether it is a user's, not one that Sterna knows."""
        return self.kind != "named"

    @property
    def is_path(self) -> bool:
        return self.kind in ("folder", "npz")

    @property
    def hint(self) -> str:
        """What may be meant where there is nothing of that name, as the end of a sentence."""
        return f", or the options behind '?', which are {_KEYS}" if "?" in self.place else ""

    def path(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """Where it lies, a relative one from ``folder`` on (None: from where the program runs).
        That folder need not be there yet: ``..`` at the beginning leads out of it by its name."""
        place = Path(self.place).expanduser()
        if folder is None or place.is_absolute():
            return place
        base, rest = Path(os.path.realpath(folder)), list(place.parts)
        while rest[:1] == [".."]:
            base = base.parent
            del rest[0]
        return base.joinpath(*rest)

    def __str__(self) -> str:
        mark = {"folder": _FOLDER, "tonic": _TONIC}.get(self.kind, "")
        size = None if self.size is None else f"{self.size[0]}x{self.size[1]}"
        scale = None if self.scale is None else f"{self.scale:.12g}"
        given = {"size": size, "scale": scale, "steps": self.steps, "bits": self.bits}
        text = "&".join(f"{k}={v}" for k, v in given.items() if v is not None)
        return f"{mark}{self.place}{'?' if text else ''}{text}"


def read_source(text: Any, where: str = "data") -> Source:
    """The name of a data set as its parts. UsageError, beginning with ``where``, where it is none.
    Whether there is one of that name is not looked at."""
    if not isinstance(text, str) or not text or "\0" in text or not _is_utf8(text):
        raise UsageError(
            f"{where}: {show(text)} is no data set; give a name, or your own as {KINDS}"
        )
    found = _OPTIONS.search(text)
    place = text if found is None else text[: found.start()]
    if place.startswith(_FOLDER):
        source = Source("folder", place.removeprefix(_FOLDER))
    elif place.startswith(_TONIC):
        source = Source("tonic", place.removeprefix(_TONIC))
    elif place.endswith(_NPZ):
        source = Source("npz", place)
    elif found is None:
        return Source("named", text)
    else:
        raise UsageError(
            f"{where}: {show(text)} has options, which are for data of one's own: {KINDS}"
        )
    if not source.place:
        raise UsageError(f"{where}: {show(text)} names nothing behind the colon; add it")
    return replace(source, **_options(found[1], where) if found else {})


def _is_utf8(text: str) -> bool:
    """Names with bytes of another encoding fit into no recipe."""
    try:
        return len(text.encode()) < 4096
    except UnicodeEncodeError:
        return False


def _options(text: str, where: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    readers = {"size": read_size, "scale": _scale, "steps": _steps, "bits": _bits}
    for key, value in (part.split("=", 1) for part in text.split("&")):
        if key not in readers:
            raise UsageError(f"{where}: option {not_one_of(key, readers)}; correct it")
        if key in out:
            raise UsageError(f"{where}: option {key} is there twice; keep one")
        out[key] = readers[key](value, where)
    return out


def read_size(text: Any, where: str = "size") -> tuple[int, int]:
    """(height, width) of 'HxW'; UsageError for anything else."""
    found = _SIZE.match(text) if isinstance(text, str) else None
    if found is None or max(int(found[1]), int(found[2])) > 65535:
        raise UsageError(f"{where}: size {show(text)} is not HEIGHTxWIDTH; write it as 28x28")
    return int(found[1]), int(found[2])


def _scale(text: Any, where: str) -> float:
    try:
        value = 0.0 if isinstance(text, bool) else float(text)
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value <= _MOST_SCALE:
        raise UsageError(
            f"{where}: scale {show(text)} is not a number above 0; write what 1 stands for, as 255"
        )
    return value


def _steps(text: Any, where: str) -> int:
    plain = isinstance(text, str) and re.match(r"\d{1,6}\Z", text)
    if not plain or not 1 <= int(text) <= _MOST_STEPS:
        raise UsageError(f"{where}: steps {show(text)} is not a number from 1 to {_MOST_STEPS}")
    return int(text)


def _bits(text: Any, where: str) -> int:
    if not isinstance(text, str) or not re.match(r"[1-8]\Z", text):
        raise UsageError(f"{where}: bits {show(text)} is not a number from 1 to 8")
    return int(text)


def moved(text: str, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> str:
    """The same data set's name in the folder ``new``, which in ``old`` is ``text``. Absolute paths
    and names stay; so does what is no data set's name at all."""
    try:
        source = read_source(text)
    except UsageError:
        return text
    if not source.is_path or Path(source.place).is_absolute() or source.place.startswith("~"):
        return text
    real = os.path.realpath(source.path(old))
    return str(replace(source, place=os.path.relpath(real, os.path.realpath(new))))


def recipe_source(body: Mapping[str, Any], where: str) -> str:
    """What a recipe trains on, its keys ``size`` and ``scale`` as options of its ``data``: those in
    the text itself come first."""
    data = body.get("data")
    if not isinstance(data, str):
        raise FileError(f"{where}: data {show(data)} is not a text; repair it")
    source = read_source(data, where)
    size, scale = body.get("size") or None, body.get("scale") or None
    if size is None and scale is None:
        return data
    if not source.own:
        raise UsageError(
            f"{where}: size and scale are for data of one's own, {KINDS}; remove them, or name that"
        )
    if size is not None and source.size is None:
        source = replace(source, size=read_size(size, where))
    if scale is not None and source.scale is None:
        source = replace(source, scale=_scale(scale, where))
    return str(source)


def with_data(text: str, data: str, where: str = "recipe") -> str:
    """A recipe's text with another ``data``, and all else as it is, comments too."""
    before = parse_toml(text.encode(), where, finite=False)
    end = _TABLE.search(text)
    head = text if end is None else text[: end.start()]
    value = json.dumps(data, ensure_ascii=False).replace("\x7f", "\\u007f")
    changed = _DATA.sub(lambda m: m[1] + value, head, count=1) + text[len(head) :]
    try:
        right = repr(parse_toml(changed.encode(), where, finite=False)) == repr(
            before | {"data": data}
        )
    except FileError:
        right = False
    if not right:
        raise UsageError(
            f'{where}: data is not on a line of its own; write data = "..." before the tables'
        )
    return changed


def rebased(recipe: bytes, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> bytes:
    """A recipe's bytes for the folder ``new``, copied from ``old``: relative paths of data lead to
    where they led. What is no recipe stays as it is."""
    try:
        body = parse_toml(recipe, _RECIPE, finite=False)
        before = read_source(body.get("data"))
        if not before.is_path:
            return recipe
        after = moved(str(before), old, new)
        same = after == str(before)
        return recipe if same else with_data(recipe.decode("utf-8-sig"), after).encode()
    except (FileError, UsageError):
        return recipe


def bare_recipe(name: str, data: str, folder: str | os.PathLike[str]) -> bytes:
    """What a folder says of the images of a network that no recipe trained, ``data`` as from where
    the program runs."""
    said = {"name": name, "data": moved(data, os.curdir, folder)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    return "\n".join(["# It came in trained: this only names its images.", *lines, ""]).encode()


def data_of_folder(folder: str | os.PathLike[str]) -> str | None:
    """The data set that a folder's recipe.toml names, with paths as from where the program runs;
    None where there is no recipe, or none in it. FileError where it is damaged."""
    path = Path(folder) / _RECIPE
    if not path.is_file():
        return None
    body = parse_toml(read_bytes(path, _LIMIT), path, "repair it")
    if body.get("data") is None:
        return None
    return moved(recipe_source(body, str(path)), folder, os.curdir)
