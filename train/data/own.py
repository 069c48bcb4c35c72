"""Data of one's own as a `DataSet`: read by its place, split where it is not, looked at.

What no network could learn from, or would learn wrongly, is refused here: one class, a class
without training images, parts of two shapes, damaged files (see the readers).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import UsageError
from sterna.golden.files.sources import Source
from sterna.golden.words.names import show
from sterna.golden.words.values import path
from sterna.train.data import arrays_file, events, listing, picture, split, tonic_sets
from sterna.train.data.sets import PARTS, DataSet, Wanted

__all__ = ["Heap", "data_set", "read_files", "read_own"]


@dataclass(frozen=True)
class Heap:
    """Images uint8 [N,C,H,W] or frames [N,T,C,H,W], labels int64 (N,) and where each is from."""

    images: np.ndarray
    labels: np.ndarray
    files: tuple[str, ...]

    def take(self, index: np.ndarray) -> "Heap":
        files = tuple(self.files[k] for k in index)
        return Heap(self.images[index], self.labels[index], files)


def read_own(source: Source, folder: Path | None, wanted: Wanted) -> DataSet:
    """What ``source`` names; relative paths begin at ``folder`` (None: the working directory)."""
    where = str(source)
    if source.kind == "folder":
        heaps, classes, notes = _folder(source, path("data", source.path(folder)), where, wanted)
    elif source.kind == "tonic":
        _refuse(where, source, "scale")
        found, classes, notes = tonic_sets.read_tonic(source, wanted)
        heaps = {part: _heap(*pair) for part, pair in found.items()}
    else:
        _refuse(where, source, "size", "steps", "bits")
        place = path("data", source.path(folder))
        if not place.exists():
            raise UsageError(
                f"data set '{where}': there is no file {place}; correct the path{source.hint}"
            )
        found, notes = arrays_file.read_arrays(place, where, wanted, source.scale)
        heaps, classes = {part: _heap(*pair) for part, pair in found.items()}, ()
    return data_set(heaps, classes, where, notes)


def _refuse(where: str, source: Source, *options: str) -> None:
    for option in options:
        if getattr(source, option) is not None:
            raise UsageError(f"{where}: takes no {option}, which is for other data; leave it out")


def _heap(images: np.ndarray, labels: np.ndarray) -> Heap:
    return Heap(images, labels, tuple(map(str, range(len(labels)))))


def _folder(
    source: Source, root: Path, where: str, wanted: Wanted
) -> tuple[dict[str, Heap], tuple[str, ...], list[str]]:
    if not root.is_dir():
        raise UsageError(
            f"data set '{where}': there is no folder {root}; correct the path{source.hint}"
        )
    listed, other = {}, 0
    unnamed: list[str] = []
    for part, place in listing.parts_of(root, where).items():
        listed[part], left, more = listing.list_classes(place, root, where)
        other += left
        unnamed += more
    items = [i for part in listed.values() for i in part]
    classes = listing.class_order(root, (i.label for i in items), where)
    images, notes = read_files([(i.name, i.path) for i in items], where, wanted, source)
    if other:
        notes.append(f"{other} files of other kinds were left out")
    if unnamed:
        first = f"{listing.LABELS} does not name them; the first is {show(unnamed[0])}"
        notes.append(f"{len(unnamed)} pictures or recordings were left out, since {first}")
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[i.label] for i in items], np.int64)
    whole = Heap(images, labels, tuple(i.name for i in items))
    heaps, start = {}, 0
    for part, own in listed.items():
        heap = whole.take(np.arange(start, start + len(own)))
        heaps[part] = heap.take(split.order(split.digests(heap.images)))
        start += len(own)
    return heaps, classes, notes


def read_files(
    files: Sequence[tuple[str, Path]], where: str, wanted: Wanted, source: Source
) -> tuple[np.ndarray, list[str]]:
    """(images [N,...], notes) of files that are all pictures or all recordings."""
    are = [file.suffix.lower() in picture.SUFFIXES for _, file in files]
    if not all(are) and any(are):
        a, b = files[are.index(True)][0], files[are.index(False)][0]
        raise UsageError(f"{where}: {a} is a picture and {b} a recording; give one kind")
    if are and are[0]:
        _refuse(where, source, "steps", "bits", "scale")
        return picture.read_pictures(files, where, wanted, source.size)
    _refuse(where, source, "scale")
    return events.read_recordings(files, where, wanted, source)


def data_set(
    heaps: dict[str, Heap], classes: Sequence[str], where: str, notes: Sequence[str] = ()
) -> DataSet:
    """The parts of heaps by part, '' for a whole that is to be split; ``classes``: their names, if
    they have some. UsageError where nothing can be learnt from them."""
    _check_shapes(heaps, where)
    largest = max(int(h.labels.max(initial=0)) for h in heaps.values())
    names = tuple(classes) or tuple(map(str, range(largest + 1)))
    notes = [*notes, *_twice(heaps, names)]
    if "" in heaps:
        whole = heaps[""]
        _check_classes(whole.labels, names, where, "")
        found = split.digests(whole.images)
        shares = (split.TEST, split.VALIDATION)
        cuts = _cut(found, whole, shares, names, where)
        index = dict(zip(("test", "validation", "train"), cuts))
        heaps = {part: whole.take(own) for part, own in index.items()}
        notes.append("split by content: a fifth for the test, a tenth for validation")
    elif "train" in heaps:
        _check_classes(heaps["train"].labels, names, where, "train")
        for part, share in (("test", split.TEST), ("validation", split.VALIDATION)):
            if part not in heaps:
                whole = heaps["train"]
                found = split.digests(whole.images)
                own, rest = _cut(found, whole, (share,), names, where)
                heaps = heaps | {part: whole.take(own), "train": whole.take(np.sort(rest))}
                notes.append(f"one in {share} of the train part's images is for the {part}")
    some = next(iter(heaps.values()))
    empty = some.take(np.zeros(0, np.int64))
    full = {part: heaps.get(part, empty) for part in PARTS}
    train, validation, test = [(engine(full[p].images), full[p].labels) for p in PARTS]
    files = {p: full[p].files for p in PARTS}
    return DataSet(train, validation, test, tuple(classes), files, tuple(notes))


def engine(images: np.ndarray) -> np.ndarray:
    """Frames [N,T,C,H,W] as recordings [T,N,C,H,W]; images as they are."""
    return np.ascontiguousarray(images.swapaxes(0, 1)) if images.ndim == 5 else images


def _cut(found: Any, whole: Heap, shares: Any, names: Any, where: str) -> list[np.ndarray]:
    try:
        return split.cut(found, whole.labels, shares, names, whole.files)
    except UsageError as e:
        raise UsageError(f"{where}: {e}") from None


def _check_shapes(heaps: dict[str, Heap], where: str) -> None:
    first = next(iter(heaps.values()))
    for part, heap in heaps.items():
        if heap.images.shape[1:] != first.images.shape[1:]:
            raise UsageError(
                f"{where}: the {part} part has images of {list(heap.images.shape[1:])}, another "
                f"{list(first.images.shape[1:])}; bring them to one shape"
            )


def _check_classes(labels: np.ndarray, names: Sequence[str], where: str, part: str) -> None:
    there = np.bincount(labels, minlength=len(names))
    if len(names) < 2:
        raise UsageError(f"{where}: has one class, '{names[0]}'; a classifier tells two apart")
    if (there == 0).any():
        lacking = names[int(np.argmin(there))]
        raise UsageError(
            f"{where}: class '{lacking}' has no images{' to train on' if part else ''}; add some, "
            "or number the classes without it"
        )


def _twice(heaps: dict[str, Heap], names: Sequence[str]) -> list[str]:
    """Sentences about images that are there more than once: none is taken away."""
    seen: dict[bytes, tuple[str, int, str]] = {}
    within = across = 0
    clash = ""
    for part, heap in heaps.items():
        for digest, label, file in zip(split.digests(heap.images), heap.labels, heap.files):
            old = seen.setdefault(digest, (part, int(label), file))
            if old[2] == file and old[0] == part:
                continue
            within += old[0] == part
            across += old[0] != part
            if old[1] != label and not clash:
                clash = (
                    f"{old[2]} and {file} are the same image in the classes '{names[old[1]]}' and "
                    f"'{names[int(label)]}'"
                )
    out = [f"{within} images are there twice"] if within else []
    out += [f"{across} images are in two parts, so that the test is easier"] if across else []
    return out + ([clash] if clash else [])
