"""A data set in memory: three parts that never overlap, and what is told of them.

Images are uint8 [B,C,H,W], recordings [T,B,C,H,W], as `sterna.run` takes them.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sterna.golden.errors import UsageError
from sterna.golden.words.names import not_one_of

__all__ = ["PARTS", "DataSet", "Part", "Wanted"]

PARTS = ("train", "validation", "test")
Part = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Wanted:
    """What a network takes, for data that can be made to fit: shape (C, H, W) or None where no
    network is known yet, T, whether it reads frames, and the bits of a value."""

    shape: tuple[int, int, int] | None = None
    steps: int | None = None
    frames: bool | None = None
    bits: int | None = None

    @classmethod
    def by(cls, network: Any) -> "Wanted":
        """Of a network in integers or real numbers."""
        node = network.input
        return cls(tuple(node.shape), network.steps, node.coding == "frames", node.bits)

    @property
    def frame_bits(self) -> int:
        """Of a value in the frames that events are binned into."""
        return 1 if self.bits is None or self.frames is False else self.bits

    @property
    def channels(self) -> int | None:
        return None if self.shape is None else self.shape[0]


@dataclass(frozen=True, eq=False)
class DataSet:
    """The parts train, validation (for choosing anything) and test (reported, never chosen by):
    each images and their labels, int64 [B].

    classes: names by label, () where they have none. files: where each image came from, by part.
    notes: what was done to the images, in sentences.
    """

    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> Part:
        """One part by its name. UsageError for another name."""
        if name not in PARTS:
            raise UsageError(f"split {not_one_of(name, PARTS)}")
        return getattr(self, name)

    @cached_property
    def hash(self) -> str:
        """sha256 of all images, labels and names of classes: of content, never of paths."""
        whole = hashlib.sha256()
        for name in PARTS:
            for array in self.part(name):
                whole.update(f"{array.dtype} {array.shape}\n".encode())
                whole.update(np.ascontiguousarray(array).data)
        if self.classes:
            whole.update(json.dumps(self.classes).encode())
        return whole.hexdigest()

    @property
    def identity(self) -> str:
        """What a run says it was trained on, where the set has no name that all know."""
        return f"images with sha256 {self.hash[:16]}"

    def outputs(self) -> int:
        """Classes that a network must tell apart: by names, or by the largest label."""
        largest = max(int(self.part(p)[1].max(initial=0)) for p in PARTS)
        return max(len(self.classes), 1 + largest)
