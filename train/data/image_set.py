"""`ImageSet`: the images of one split of a data set, whoever's it is, for every call of Sterna."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sterna.golden.errors import UsageError
from sterna.golden.files.sources import Source, read_source
from sterna.golden.words.names import not_one_of, show
from sterna.golden.words.values import real, whole
from sterna.train.data import datasets
from sterna.train.data.arrays_file import as_images, as_labels
from sterna.train.data.own import Heap, data_set
from sterna.train.data.sets import PARTS, DataSet, Wanted

__all__ = ["ImageSet"]


class ImageSet:
    """Images with labels: of a file or folder, a known set, arrays, or a torch Dataset.

    Parameters
    ----------
    source : str, path, array, (images, labels) or torch Dataset
        A name ('mnist'), 'folder:PATH', 'FILE.npz' or 'tonic:NAME'; or images themselves: raw
        unsigned pixels [N,H,W], [N,C,H,W] or [N,H,W,C], or frames [N,T,C,H,W], with labels (N,).
    split : str
        'train', 'validation' or 'test'; of images that are given themselves only a name, for they
        are taken as they are.
    size : (height, width), optional
        Resize pictures to this; the sensor's, of events.
    scale : float, optional
        What 1 stands for in images of real numbers: 255 for those of ToTensor.
    steps : int, optional
        Frames that events are binned into.
    bits : int, optional
        Of a value in these, 1 .. 8: counts of events up to 2**bits - 1.
    like : Network, FloatNetwork or Build, optional
        Whose input says the channels of pictures, the order of axes, and the frames of events.

    Attributes
    ----------
    images : uint8 [N,C,H,W], or frames [N,T,C,H,W]
    labels : int64 (N,), or None
    classes : tuple of str
        Names by label.
    files : tuple of str
        Where each image is from.
    hash : str
        SHA-256 of images, labels and names: of content, never of paths or times.
    notes : tuple of str
        What was done to the images, in sentences.

    Raises
    ------
    UsageError
        There is no such data, or it cannot be used as it is.
    FileError
        A file is damaged.
    """

    def __init__(
        self,
        source: Any,
        split: str = "train",
        *,
        size: tuple[int, int] | None = None,
        scale: float | None = None,
        steps: int | None = None,
        bits: int | None = None,
        like: Any = None,
    ) -> None:
        if not isinstance(split, str) or split not in PARTS:
            raise UsageError(f"ImageSet: split {not_one_of(split, PARTS)}")
        self.split = split
        options, wanted = _options(size, scale, steps, bits), _wanted(like)
        self._whole: DataSet | None = None
        self.classes: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        if isinstance(source, str | os.PathLike):
            name = _named(source, options)
            self._take(datasets.load(str(name), None, wanted), split)
            if not name.own:
                self.classes = datasets.class_names(str(name)) or self.classes
        else:
            if options.keys() & {"size", "steps", "bits"}:
                raise UsageError("ImageSet: size, steps and bits are for files; leave them out")
            self._given(source, options.get("scale"), wanted)

    def _take(self, parts: DataSet, split: str) -> None:
        """The images of one part of a data set."""
        images, labels = parts.part(split)
        self._whole = parts
        self.images = images.swapaxes(0, 1) if images.ndim == 5 else images
        self.labels: np.ndarray | None = labels
        self.classes = parts.classes or tuple(map(str, range(parts.outputs())))
        self.files = parts.files.get(split) or tuple(map(str, range(len(labels))))
        self.notes = parts.notes

    def _given(self, source: Any, scale: float | None, wanted: Wanted) -> None:
        images, labels, names = _arrays(source)
        self.images, notes = as_images(images, "ImageSet: images", wanted, scale)
        self.labels = None
        if labels is not None:
            self.labels = as_labels(labels, "ImageSet: labels", self.images)
            most = 1 + int(self.labels.max(initial=-1))
            self.classes = names if len(names) >= most else tuple(map(str, range(most)))
        self.files, self.notes = tuple(map(str, range(len(self.images)))), tuple(notes)

    @property
    def hash(self) -> str:
        """SHA-256 of images, labels and names of classes."""
        found = hashlib.sha256()
        for array in (self.images, self.labels):
            if array is not None:
                found.update(f"{array.dtype} {array.shape}\n".encode())
                found.update(np.ascontiguousarray(array).data)
        found.update(json.dumps(self.classes).encode())
        return found.hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.images.shape[1:]))
        return f"ImageSet({len(self)} images of {size}, {len(self.classes)} classes, {self.split})"

    def parts(self) -> DataSet:
        """All three parts, for training: of a file or folder its own; images that were given
        themselves are split by content.

        Raises
        ------
        UsageError
            There are no labels, or too few images.
        """
        if self._whole is None:
            if self.labels is None:
                raise UsageError("ImageSet: has no labels to train on; give (images, labels)")
            heap = Heap(self.images, self.labels, self.files)
            self._whole = data_set({"": heap}, self.classes, "ImageSet", self.notes)
        return self._whole


def _options(size: Any, scale: Any, steps: Any, bits: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if size is not None:
        sides = [whole(v) for v in size] if isinstance(size, list | tuple) else []
        if len(sides) != 2 or any(v is None or not 1 <= v <= 65535 for v in sides):
            raise UsageError(f"ImageSet: size {show(size)} is not (height, width)")
        out["size"] = tuple(sides)
    if scale is not None:
        number = real(scale)
        if number is None or not 0 < number <= 1e9:
            raise UsageError(f"ImageSet: scale {show(scale)} is not a number above 0")
        out["scale"] = number
    for key, value, most in (("steps", steps, 1024), ("bits", bits, 8)):
        if value is not None:
            count = whole(value)
            if count is None or not 1 <= count <= most:
                raise UsageError(
                    f"ImageSet: {key} {show(value)} is not a whole number from 1 to {most}"
                )
            out[key] = count
    return out


def _wanted(like: Any) -> Wanted:
    if like is None:
        return Wanted()
    network = getattr(like, "network", like)
    try:
        return Wanted.by(network)
    except AttributeError:
        raise UsageError(f"ImageSet: like {show(like)} is no network and no build") from None


def _named(source: str | os.PathLike[str], options: dict[str, Any]) -> Source:
    """The name of a data set; a path alone is that folder or file."""
    text = os.fspath(source)
    if isinstance(source, os.PathLike) and not str(text).endswith(".npz"):
        text = f"folder:{text}"
    name = read_source(text, "ImageSet")
    if options and not name.own:
        raise UsageError(f"ImageSet: '{name}' takes no {', '.join(sorted(options))}; leave it out")
    return replace(name, **options)


def _arrays(source: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """(images, labels or None, names of classes) of what was given itself."""
    if isinstance(source, tuple) and len(source) == 2 and not np.isscalar(source[0]):
        return source[0], source[1], ()
    if isinstance(source, Sequence | np.ndarray) or hasattr(source, "detach"):
        return source, None, ()
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        return source, None, ()
    try:
        pairs = [source[k] for k in range(len(source))]
        images = np.stack([np.asarray(_plain(pair[0])) for pair in pairs])
        labels = np.array([int(pair[1]) for pair in pairs])
        names = getattr(source, "classes", ())
        names = tuple(map(str, names)) if isinstance(names, list | tuple) else ()
    except Exception as error:  # somebody else's data set raises what it likes
        text = " ".join(str(error).split())[:120]
        raise UsageError(
            f"ImageSet: {show(source)} is no data set of (image, label) of one size ({text}); give "
            "arrays"
        ) from None
    return images, labels, names


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
