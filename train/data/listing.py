"""What lies in a folder of one's own: files with their classes, and nothing from outside of it."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import read_text
from sterna.golden.words.names import show
from sterna.train.data import events, picture

__all__ = ["CLASSES", "Item", "LABELS", "class_order", "list_classes", "list_files", "parts_of"]

LABELS = "labels.csv"
CLASSES = "classes.txt"
_TEXT = 1 << 28  # bytes of a labels.csv
_NAMES = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_KNOWN = (*picture.SUFFIXES, *events.SUFFIXES)
_MOST_CLASSES = 65535


@dataclass(frozen=True)
class Item:
    """A file of a data set: its name below the folder, with slashes, and its class."""

    name: str
    path: Path
    label: str


def parts_of(root: Path, where: str) -> dict[str, Path]:
    """The folders of the parts by 'train', 'validation' and 'test', or the whole under ''."""
    folders = [p.name for p in _entries(root, root, where) if p.is_dir()]
    named = [f for f in folders if f in _NAMES]
    if not named or os.path.lexists(root / LABELS):
        return {"": root}
    if other := [f for f in folders if f not in _NAMES]:
        raise UsageError(
            f"{where}: has the part {named[0]}/ beside the folder {show(other[0])}; put every "
            "class into train/, val/ and test/, or none"
        )
    if len({_NAMES[f] for f in named}) < len(named):
        raise UsageError(f"{where}: has val/ and validation/; keep one")
    return {_NAMES[f]: root / f for f in named}


def list_classes(folder: Path, root: Path, where: str) -> tuple[list[Item], int, list[str]]:
    """(the files of one part with their classes, how many files are of no known kind, those of a
    known kind that are not named): by its labels.csv, else by sub-folder."""
    if os.path.lexists(folder / LABELS):
        items = list(_labelled(folder, root, where))
        return items, 0, _unnamed(folder, root, {i.name for i in items})
    found, other = [], 0
    for entry in _entries(folder, root, where):
        if not entry.is_dir():
            known = entry.suffix.lower() in _KNOWN
            if known:
                raise UsageError(
                    f"{where}: {entry.name} lies in no class; put it into a sub-folder, or write "
                    f"{LABELS} with file,label"
                )
            continue
        items = [Item(n, p, entry.name) for n, p in list_files(entry, root, where)]
        kept = [i for i in items if i.path.suffix.lower() in _KNOWN]
        other += len(items) - len(kept)
        if not kept:
            raise UsageError(
                f"{where}: class {show(entry.name)} is empty; put pictures into it or take it away"
            )
        found += kept
    if not found:
        raise UsageError(f"{where}: holds no classes; make a sub-folder for each, or {LABELS}")
    return found, other, []


def _unnamed(folder: Path, root: Path, named: set[str]) -> list[str]:
    """Pictures and recordings of a folder that its labels.csv leaves out; no link is followed."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        paths = (Path(place, f) for f in files if not f.startswith("."))
        found += [str(p.relative_to(root)) for p in paths if p.suffix.lower() in _KNOWN]
    return sorted(set(found) - named)


def _labelled(folder: Path, root: Path, where: str) -> Iterator[Item]:
    """The items of a labels.csv, in its order."""
    path, seen, good = folder / LABELS, set(), 0
    text = _text(path, root, where)
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        heads = [h.strip() for h in rows.fieldnames or []]
        good = rows.line_num
        if not {"file", "label"} <= set(heads):
            raise FileError(f"{path}: its first line is not file,label; write that")
        if len(set(heads)) < len(heads):
            raise FileError(f"{path}: its first line names a column twice; keep one")
        rows.fieldnames = heads
        for row in rows:
            if None in row:
                raise FileError(
                    f"{path}: line {rows.line_num} has more fields than the first; put a name with "
                    "a comma into quotes"
                )
            name, label = (row.get("file") or "").strip(), (row.get("label") or "").strip()
            good = rows.line_num
            line = f"{path}: line {good}"
            if not name or not label:
                raise FileError(f"{line} has no file or no label; complete it")
            place = Path(name)
            if place.is_absolute() or ".." in place.parts or "\0" in name:
                raise FileError(f"{line}: {show(name)} leaves the folder; copy the file into it")
            if name in seen:
                raise FileError(f"{line}: {show(name)} is there a second time; keep one line")
            seen.add(name)
            if place.suffix.lower() not in _KNOWN:
                raise FileError(f"{line}: {show(name)} is none of {', '.join(_KNOWN)}; convert it")
            _inside(folder / name, root, line)
            if not os.path.isfile(folder / name):  # False of a name that no file can have, too
                raise FileError(f"{line}: {show(name)} does not exist; take the line out")
            yield Item(str((folder / name).relative_to(root)), folder / name, label)
    except csv.Error as e:
        raise FileError(f"{path}: is no CSV from line {good + 1} on ({e}); repair that") from e
    if not seen:
        raise FileError(f"{path}: names no files; write a line file,label for each")


def _text(path: Path, root: Path, where: str) -> str:
    """Of labels.csv or classes.txt, whatever has that name: a folder, a pipe are refused."""
    if path.is_symlink():
        _inside(path, root, where)
    return read_text(path, _TEXT, "write it again, or take it away")


def list_files(folder: Path, root: Path, where: str) -> Iterator[tuple[str, Path]]:
    """(name below ``root``, path) of all plain files of a folder and those below, by name."""
    for entry in _entries(folder, root, where):
        if entry.is_dir():
            yield from list_files(entry, root, where)
        else:
            yield str(entry.relative_to(root)), entry


def _entries(folder: Path, root: Path, where: str) -> list[Path]:
    """What a folder holds, by name, without hidden things. UsageError for a link out of ``root`` or
    to a folder, and for a name that is no text."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as e:
        raise FileError(f"{where}: {folder} cannot be read ({e.strerror}); repair that") from e
    out = []
    for name in names:
        if name.startswith("."):
            continue
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{where}: the name {show(os.fsencode(name))} is not UTF-8; rename it"
            ) from None
        path = folder / name
        if path.is_symlink():
            _inside(path, root, where)
            if path.is_dir():
                raise UsageError(f"{where}: {name} is a link to a folder; copy what is in it")
        out.append(path)
    return out


def _inside(path: Path, root: Path, where: str) -> None:
    """UsageError where a link leads out of the folder."""
    real, base = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath([real, base]) != base:
        raise UsageError(
            f"{where}: {path.relative_to(root)} is a link out of the folder; copy the file"
        )


def class_order(root: Path, found: Iterable[str], where: str) -> tuple[str, ...]:
    """The classes in the order of their outputs: as classes.txt has them, a name a line; else by
    number where all names are numbers; else by code points."""
    names = set(found)
    path = root / CLASSES
    if os.path.lexists(path):
        lines = [n.strip() for n in _text(path, root, where).splitlines()]
        order = [n for n in lines if n]
        if len(set(order)) < len(order):
            raise FileError(f"{path}: names a class twice; keep one")
        if missing := sorted(names - set(order)):
            raise FileError(f"{path}: class {show(missing[0])} is not in it; add it")
    elif all(n.isascii() and n.isdecimal() and len(n) < 19 for n in names):
        order = sorted(names, key=lambda n: (int(n), n))
    else:
        order = sorted(names)
    if len(order) > _MOST_CLASSES:
        raise UsageError(f"{where}: has {len(order)} classes, more than {_MOST_CLASSES}; join some")
    return tuple(order)
