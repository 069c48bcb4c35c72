"""The images that a command computes on: of a data set or of files, with what is told of them."""

import argparse
import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.commands.arguments import count, file_name, out_file
from sterna.golden.errors import UsageError
from sterna.golden.files.classes import class_name
from sterna.golden.files.disk import write_atomic
from sterna.golden.words.shares import accuracy_text
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "PARTS",
    "Chosen",
    "add_options",
    "add_size",
    "choose",
    "data_name",
    "names_text",
    "outcome",
    "write_predictions",
]

PARTS = ("train", "validation", "test")  # as train/data/sets.py has them
SHOWN = 20
"""Images that are named one by one."""


@dataclass
class Chosen:
    """Images as `sterna.run` takes them, labels or None, where each is from, names of classes.
    warning: why an accuracy on them says little; '' where nothing is known against it."""

    images: "np.ndarray"
    labels: "np.ndarray | None"
    files: tuple[str, ...]
    classes: tuple[str, ...]
    warning: str = ""

    def __len__(self) -> int:
        return self.images.shape[1 if self.images.ndim == 5 else 0]


def add_options(sub: argparse.ArgumentParser, predictions: bool = True) -> None:
    """The options that say which images; ``predictions``: and where what they are goes."""
    group = sub.add_argument_group("images (default: the test part of the network's data set)")
    group.add_argument("--images", type=count, metavar="N", help="only the first N of them")
    group.add_argument(
        "--data", help="data set (default: the build's): a name, folder:PATH, FILE.npz, tonic:NAME"
    )
    group.add_argument("--split", choices=PARTS, help="part of the data set (default test)")
    group.add_argument(
        "--file",
        type=file_name,
        metavar="FILE|FOLDER",
        help="instead: images without labels, in a picture, a .npy or a folder of pictures",
    )
    add_size(group)
    if predictions:
        group.add_argument(
            "--predictions",
            type=out_file,
            metavar="OUT.csv",
            help="write file, class, its name and the logits of every image",
        )


def add_size(sub: Any) -> None:
    sub.add_argument(
        "--size", metavar="HxW", help="resize pictures to this; of events: the sensor has this size"
    )


def data_name(options: argparse.Namespace, default: str | None) -> str:
    """The data set that is asked for, with --size as an option of its name; '' where none is."""
    from sterna.golden.files.sources import read_size, read_source

    name = options.data or default or ""
    if options.size is None or not name:
        return name
    source = read_source(name, "--data")
    if not source.own:
        raise UsageError(f"--size: '{name}' has a size of its own; leave --size out")
    return str(replace(source, size=read_size(options.size, "--size")))


def choose(
    options: argparse.Namespace,
    network: Any,
    folder: Path,
    default: str | None,
    few: int | None,
) -> Chosen:
    """The images that the options ask for, looked at: they fit the network of ``folder``, whose
    data set is ``default``. ``few``: how many at most, unless --images says."""
    from sterna.golden.files.classes import read_classes
    from sterna.train.data import datasets
    from sterna.train.data.sets import Wanted
    from sterna.train.module.frames import check_fits, pick

    names = read_classes(folder, network.shape[network.readout.name][0])
    names = names or datasets.class_names(default or "")
    if options.file:
        found, name = _of_files(options, Wanted.by(network)), options.file
        way = "give others, or --size HxW to resize pictures"
    else:
        name = data_name(options, default)
        if not name:
            raise UsageError(f"{folder}: no recipe.toml names images; give --data or --file")
        found, way = (
            _of_set(options, network, name, names),
            f"choose another than {name} with --data",
        )
    there = len(found)
    check_fits(str(folder), network.input, network.steps, found.images, way)
    wanted = options.images or min(few or there, there)
    if wanted > there:
        what = name if options.file else f"the {options.split or 'test'} part of '{name}'"
        raise UsageError(f"{what} has {there} images, {wanted} were asked; say fewer with --images")
    labels = None if found.labels is None else found.labels[:wanted]
    images = pick(found.images, slice(wanted))
    warning = "" if labels is None else _against(name, options.split, default)
    return Chosen(images, labels, found.files[:wanted], names or found.classes, warning)


def _against(name: str, part: str | None, default: str | None) -> str:
    """What is known against an accuracy on a part of a data set, ``default`` being the network's:
    it has seen these images, or others were asked of it. Pictures of one's own may be either."""
    from sterna.golden.files.sources import read_source

    if not default:
        return ""
    asked, own = read_source(name, "--data"), read_source(default)
    if (asked.kind, asked.place) == (own.kind, own.place):
        seen = {"train": "was trained on", "validation": "was chosen by"}.get(part or "")
        return seen and f"the network {seen} these images, and may do worse on others" or ""
    if asked.own or own.own:
        return ""
    return f"the network is made for {default}, and these are images of {name}"


def _of_files(options: argparse.Namespace, wanted: Any) -> Chosen:
    from sterna.golden.files.sources import read_size
    from sterna.train.data.loose import read_loose

    if options.data or options.split:
        raise UsageError("--file has no parts and no labels; leave --data and --split out")
    size = None if options.size is None else read_size(options.size, "--size")
    images, files, notes = read_loose(options.file, wanted, size)
    _tell(options.file, notes)
    return Chosen(images, None, files, ())


def _of_set(options: argparse.Namespace, network: Any, name: str, own: tuple[str, ...]) -> Chosen:
    """One part of a data set, its labels those of the network's classes, which are ``own``."""
    from sterna.golden.files.sources import read_source
    from sterna.train.data import datasets
    from sterna.train.data.sets import Wanted

    outputs = network.shape[network.readout.name][0]
    part = options.split or "test"
    parts = datasets.load(name, None, Wanted.by(network))
    images, labels = parts.part(part)
    _tell(name, parts.notes)
    if not len(labels):
        raise UsageError(f"{name}: has no {part} images; choose another --split")
    labels = _as_networks(labels, parts.classes, own, name)
    if read_source(name).own and int(labels.max()) >= outputs:
        raise UsageError(
            f"{name}: label {int(labels.max())} is none of the network's classes 0 to "
            f"{outputs - 1}; give the data it was trained for"
        )
    files = parts.files.get(part) or tuple(map(str, range(len(labels))))
    return Chosen(images, labels, files, parts.classes)


def _as_networks(labels: Any, theirs: tuple[str, ...], own: tuple[str, ...], name: str) -> Any:
    """Labels by name: a folder with other classes has another order than the network."""
    import numpy as np

    if not theirs or not own or theirs == own:
        return labels
    if other := [c for c in theirs if c not in own]:
        raise UsageError(
            f"{name}: class '{other[0]}' is none of the network's ({', '.join(own)[:200]}); rename "
            "its folder, or take it away"
        )
    return np.array([own.index(c) for c in theirs], np.int64)[labels]


def outcome(options: argparse.Namespace, found: Chosen, result: Any) -> tuple[dict[str, Any], str]:
    """The answer of a command that computed classes, and its text; writes --predictions."""
    if options.predictions:
        write_predictions(options.predictions, found, result)
    number = len(found)
    if found.labels is None:
        names = [class_name(found.classes, c) for c in result.classes.tolist()]
        answer = {"images": number, "classes": result.classes.tolist(), "names": names}
        return answer, names_text(found, result.classes)
    right = int((result.classes == found.labels).sum())
    answer = {"images": number, "right": right, "accuracy": right / number}
    return answer, f"{right} of {number} right: {accuracy_text(right / number, number)}"


def names_text(found: Chosen, classes: Any) -> str:
    """A line for each of a few images: what it is."""
    files = found.files[:SHOWN]
    wide = max(len(f) for f in files)
    lines = [f"{f:<{wide}}  {class_name(found.classes, int(c))}" for f, c in zip(files, classes)]
    more = len(found.files) - SHOWN
    return "\n".join(lines) + (f"\nand {more} more; see --predictions" if more > 0 else "")


def write_predictions(path: str, found: Chosen, result: Any) -> None:
    """A CSV file: of every image its file, class, class name and logits."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = [f"logit {class_name(found.classes, k)}" for k in range(result.logits.shape[1])]
    table.writerow(["file", "class", "name", *heads])
    for file, own, logits in zip(found.files, result.classes.tolist(), result.logits.tolist()):
        table.writerow([file, own, class_name(found.classes, own), *logits])
    write_atomic(path, text.getvalue().encode())


def _tell(name: str, notes: Any) -> None:
    for note in notes:
        tell(f"{name}: {note}")
