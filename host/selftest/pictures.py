"""The images of a selftest, what they must give, and the digests by which reports name both."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sterna.golden.coding import check_images
from sterna.golden.files.disk import sha256
from sterna.golden.network import Network
from sterna.golden.numpyrun import run_arrays
from sterna.golden.result import Result, joined

__all__ = ["EXPECTED_BY", "RANDOM", "Pictures", "few", "random_pictures", "results_digest"]

EXPECTED_BY = "golden/numpyrun.py, the exact integer model in numpy"
RANDOM = "random over the whole range"
"""What the set of images is called that follows from the network alone."""
AT_ONCE = 16
"""Images that the model computes at a time."""


@dataclass
class Pictures:
    """Images as ``Board.infer`` takes them, what they are called, and their labels or None."""

    name: str
    network: Network
    images: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.images = check_images(self.network.input, self.images, self.network.steps)

    def __len__(self) -> int:
        return self.images.shape[self._axis]

    @property
    def _axis(self) -> int:
        return 1 if self.images.ndim == 5 else 0

    @cached_property
    def expected(self) -> Result:
        """What golden gives."""
        starts = range(0, len(self), AT_ONCE)
        take = [few(self.images, slice(at, at + AT_ONCE)) for at in starts]
        return joined([run_arrays(self.network, part) for part in take])

    def as_dict(self) -> dict[str, Any]:
        """Of what a report has of them before anything is computed."""
        given = np.ascontiguousarray(self.images)
        digest = sha256(f"{given.shape}".encode() + given.tobytes())
        return {"set": self.name, "images": len(self), "images_sha256": digest}

    def right(self, result: Result) -> int | None:
        """How many are in the class of their label."""
        return None if self.labels is None else int((result.classes == self.labels).sum())


def few(images: np.ndarray, which: slice) -> np.ndarray:
    """Some of a batch, [B,C,H,W] or [T,B,C,H,W]."""
    return images[:, which] if images.ndim == 5 else images[which]


def random_pictures(network: Network, count: int) -> Pictures:
    """The same for everybody who has the network: bits of every pixel are thrown by its name."""
    rng = np.random.default_rng(int(sha256(network.name.encode())[:16], 16))
    node = network.input
    shape = (network.steps, count) if node.coding == "frames" else (count,)
    images = rng.integers(0, 1 << node.bits, (*shape, *node.shape)).astype(np.uint8)
    return Pictures(RANDOM, network, images)


def results_digest(result: Result) -> str:
    """sha256 of each image's class (u32) and logits (i32), little-endian, as they come over the
    link."""
    rows = np.concatenate([result.classes[:, None], result.logits], axis=1)
    return sha256(rows.astype("<i4").tobytes())
