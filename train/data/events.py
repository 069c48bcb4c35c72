"""Recordings of event cameras, binned into T frames: of bits, or of counts.

A recording is four columns x, y, t, p of whole numbers: column and row, time in any unit, polarity
(0 or -1: darker, 1: brighter). In files: a .npy [N,4] of them in this order, a .npz of arrays x, y,
t and p, or a .bin with 5 bytes an event as N-MNIST has them (nmnist.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.arrays import parse_npy, parse_npz
from sterna.golden.files.disk import read_bytes
from sterna.golden.files.sources import Source
from sterna.train.data.picture import MOST_BYTES
from sterna.train.data.sets import Wanted

__all__ = [
    "Binning",
    "Events",
    "SUFFIXES",
    "binning",
    "columns",
    "read_bin",
    "read_recordings",
    "to_frames",
]

SUFFIXES = (".bin", ".npy", ".npz")
OVERFLOW = 240  # as y in a .bin: no event, but a time 2**13 later from here on
LATER = 1 << 13
_FILE = 1 << 28
_AGAIN = "copy it again"

Events = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x, y, polarity (0 and 1) and time, each int64 (N,)."""


class Binning(NamedTuple):
    """What recordings become: ``steps`` frames of ``shape`` (C, H, W), of values of ``bits``."""

    shape: tuple[int, int, int]
    steps: int
    bits: int = 1

    @property
    def top(self) -> int:
        """The largest value."""
        return (1 << self.bits) - 1

    @property
    def note(self) -> str:
        """A sentence for people."""
        what = "bits" if self.bits == 1 else f"counts, those above {self.top} as {self.top}"
        size = f"{self.shape[1]} x {self.shape[2]}"
        return f"events were binned into {self.steps} frames of {size} {what}"


def read_bin(data: bytes, where: str, height: int, width: int) -> Events:
    """The events of a .bin: x, y, then polarity in bit 7 above 7 bits of the time, 16 more bits.

    As N-MNIST's authors' reader: y = 240 marks an overflow of the time, and events keep the order
    of the file. FileError where bytes are missing or an event lies outside of ``height`` x
    ``width`` pixels.
    """
    if not data or len(data) % 5:
        raise FileError(
            f"{where}: truncated ({len(data)} bytes are no whole number of events of 5 bytes); "
            f"{_AGAIN}"
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, 5).astype(np.int64)
    x, y, polarity = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    time = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    over = y == OVERFLOW
    time = time + LATER * np.cumsum(over)
    kept = tuple(a[~over] for a in (x, y, polarity, time))
    wrong = ~over & ((x >= width) | (y >= height))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise FileError(
            f"{where}: altered (event {k} is at x {x[k]}, y {y[k]}, outside of {height} x {width});"
            f" {_AGAIN}"
        )
    if not len(kept[0]):
        raise FileError(f"{where}: holds no events; {_AGAIN}")
    return kept[0], kept[1], kept[2], kept[3]


def columns(given: Any, where: str, height: int, width: int) -> Events:
    """Events of four arrays x, y, t, p. FileError where they are no events of that sensor."""
    found = [np.asarray(a) for a in given]
    if any(a.ndim != 1 or a.dtype.kind not in "iub" or a.shape != found[0].shape for a in found):
        raise FileError(
            f"{where}: is no recording: x, y, t and p are whole numbers, as many of each; write "
            "them so"
        )
    if not len(found[0]):
        raise FileError(f"{where}: holds no events; take it out")
    if any(a.dtype == np.uint64 and int(a.max()) >> 63 for a in found):
        raise FileError(f"{where}: has numbers above 2**63; count times from the start")
    x, y, t, p = (a.astype(np.int64) for a in found)
    wrong = (x < 0) | (y < 0) | (x >= width) | (y >= height)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise FileError(
            f"{where}: event {k} is at x {x[k]}, y {y[k]}, outside of {height} x {width}; give the "
            "sensor's size with --size HxW"
        )
    if not set(np.unique(p)) <= {0, 1} and not set(np.unique(p)) <= {-1, 1}:
        raise FileError(f"{where}: a polarity is none of 0 and 1, or -1 and 1; write p as these")
    if int(t.max()) - int(t.min()) >= 1 << 50:
        raise FileError(f"{where}: its times span more than 2**50; repair them")
    return x, y, (p > 0).astype(np.int64), t


def to_frames(events: Events, how: Binning) -> np.ndarray:
    """uint8 [T,C,H,W]: the span from the earliest to the latest event in T equal parts, and how
    many events fell into each, at most ``how.top``; of two channels one is a polarity (0: darker,
    1: brighter), one channel has both."""
    x, y, polarity, time = events
    since = time - time.min()
    size = (how.steps, *how.shape)
    channel = polarity if how.shape[0] == 2 else np.zeros_like(polarity)
    at = since * how.steps // (int(since.max()) + 1), channel, y, x
    counts = np.bincount(np.ravel_multi_index(at, size), minlength=int(np.prod(size)))
    return np.minimum(counts, how.top).astype(np.uint8).reshape(size)


def binning(where: str, wanted: Wanted, source: Source) -> Binning:
    """What the network wants, where ``source`` says nothing else. UsageError where nothing says
    it."""
    shape, given = wanted.shape, source.steps or wanted.steps
    if source.size is not None:
        shape = (2 if shape is None else shape[0], *source.size)
    if shape is None or given is None:
        need = "--size HxW, the sensor's" if shape is None else "the number of frames, ?steps=8"
        raise UsageError(f"{where}: holds recordings of events; give {need}")
    if shape[0] not in (1, 2):
        raise UsageError(
            f"{where}: events have 2 polarities, or 1 for both; the input has {shape[0]} channels"
        )
    return Binning(shape, given, source.bits or wanted.frame_bits)


def read_recording(path: Path, where: str, height: int, width: int) -> Events:
    """One recording's events. FileError where the file is damaged or holds something else."""
    data = read_bytes(path, _FILE, _AGAIN)
    if path.suffix.lower() == ".bin":
        return read_bin(data, where, height, width)
    if path.suffix.lower() == ".npz":
        arrays = parse_npz(data, where, again=_AGAIN)
        if set(arrays) != set("xytp"):
            raise FileError(f"{where}: holds other arrays than x, y, t and p; write these")
        return columns([arrays[k] for k in "xytp"], where, height, width)
    array = parse_npy(data, where, _AGAIN)
    if array.ndim != 2 or array.shape[1] != 4:
        raise FileError(f"{where}: is no [N, 4] of x, y, t, p, but {list(array.shape)}; write that")
    return columns(array.T, where, height, width)


def read_recordings(
    files: Sequence[tuple[str, Path]], where: str, wanted: Wanted, source: Source
) -> tuple[np.ndarray, list[str]]:
    """(frames uint8 [N,T,C,H,W], notes) of recordings, each (name, path)."""
    how = binning(where, wanted, source)
    if len(files) * how.steps * int(np.prod(how.shape)) > MOST_BYTES:
        raise UsageError(f"{where}: has more than {MOST_BYTES} bytes of frames; give fewer")
    out = np.empty((len(files), how.steps, *how.shape), np.uint8)
    for k, (name, path) in enumerate(files):
        events = read_recording(path, f"{where}: {name}", *how.shape[1:])
        out[k] = to_frames(events, how)
    return out, [how.note]
