"""Data sets of event cameras through the package tonic, where it is installed."""

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import FileError, ToolMissing, UsageError
from sterna.golden.files.sources import Source
from sterna.golden.words.names import show
from sterna.train.data import events
from sterna.train.data.picture import MOST_BYTES
from sterna.train.data.sets import Wanted

__all__ = ["read_tonic"]

Found = dict[str, tuple[np.ndarray, np.ndarray]]


def read_tonic(source: Source, wanted: Wanted) -> tuple[Found, tuple[str, ...], list[str]]:
    """((frames [N,T,C,H,W], labels) of train and test, names of classes, notes) of ``tonic:NAME``.

    ToolMissing without tonic; UsageError for a name it has not, or one whose recordings have no
    class; FileError where it cannot fetch or read it.
    """
    where = str(source)
    try:
        module = importlib.import_module("tonic.datasets")
    except ImportError as e:
        raise ToolMissing(f"{where}: needs tonic, which is not installed; pip install tonic") from e
    make = getattr(module, source.place, None) if source.place.isidentifier() else None
    if make is None or not isinstance(make, type):
        raise UsageError(f"{where}: tonic has no data set {show(source.place)}; see its list")
    sensor = getattr(make, "sensor_size", None)
    if source.size is None and sensor is not None:
        source = replace(source, size=(int(sensor[1]), int(sensor[0])))
    how = events.binning(where, wanted, source)
    place = Path(os.environ.get("STERNA_DATA") or Path.home() / ".cache" / "sterna") / "tonic"
    found: Found = {}
    names: tuple[str, ...] = ()
    for part in ("train", "test"):
        try:
            own = make(save_to=str(place), train=part == "train")
            names = tuple(map(str, getattr(own, "classes", ()) or ()))
            pairs = [own[k] for k in range(len(own))]
        except Exception as e:  # downloads, archives, formats: each with errors of its own
            text = " ".join(str(e).split())[:120]
            raise FileError(f"{where}: tonic cannot read it ({text}); see its documentation") from e
        found[part] = _frames(pairs, f"{where}: {part}", how)
    largest = max(int(labels.max(initial=0)) for _, labels in found.values())
    names = names if len(names) > largest else ()
    return found, names, [how.note]


def _frames(pairs: list[Any], where: str, how: events.Binning) -> Any:
    if len(pairs) * how.steps * int(np.prod(how.shape)) > MOST_BYTES:
        raise UsageError(f"{where}: has more than {MOST_BYTES} bytes of frames; give fewer steps")
    out = np.empty((len(pairs), how.steps, *how.shape), np.uint8)
    labels = np.empty(len(pairs), np.int64)
    for k, (recording, label) in enumerate(pairs):
        if not isinstance(label, int | np.integer):
            raise UsageError(f"{where}: recording {k} has no class but {show(label)}; give another")
        four = [recording[axis] for axis in "xytp"]
        found = events.columns(four, f"{where}: recording {k}", *how.shape[1:])
        out[k], labels[k] = events.to_frames(found, how), int(label)
    return out, labels
