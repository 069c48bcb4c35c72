"""``sterna.evaluate``: how many images of a labelled set a network puts into the right class, and
what it does for that, counted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.gen.model.counted import SPIKES_AT_ONCE, Counter, Counts, sites
from sterna.gen.quantize.arguments import labels_of
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import float_classes
from sterna.gen.tools.progress import at
from sterna.golden.coding import check_images
from sterna.golden.errors import UsageError
from sterna.golden.network import Network
from sterna.golden.result import Result, joined
from sterna.golden.words.given import images_of
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages
from sterna.golden.words.shares import accuracy_text
from sterna.golden.words.shown import Shown

__all__ = ["Evaluation", "counted_run", "evaluate"]

NETWORKS = Network | FloatNetwork


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Shown):
    """What ``evaluate`` found.

    Parameters
    ----------
    classes : int64 [B]
        Of each image.
    labels : integers [B]
        As they were given.
    outputs : int
        Of the network: its classes are 0 to ``outputs - 1``.
    counts : Counts, optional
        What the network did on the images, by NeuroBench's definitions; None for real numbers.
    """

    classes: np.ndarray
    labels: np.ndarray
    outputs: int = field(repr=False)
    counts: Counts | None = field(default=None, repr=False)

    @property
    def images(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> int:
        return int((self.classes == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    @property
    def confusion(self) -> np.ndarray:
        """Images [label, class], int64: a row for each class, and one more for all labels that are
        none of them, where there are such."""
        known = (self.labels >= 0) & (self.labels < self.outputs)
        counts = np.zeros((self.outputs + (not known.all()), self.outputs), np.int64)
        np.add.at(counts, (np.where(known, self.labels, self.outputs), self.classes), 1)
        return counts

    @property
    def class_accuracy(self) -> np.ndarray:
        """Of the images of each label, float64 [rows of ``confusion``]; NaN where there is none."""
        each = self.confusion
        there, right = each.sum(1), np.zeros(len(each), np.int64)
        right[: self.outputs] = each.diagonal()
        return np.divide(right, there, np.full(len(each), np.nan), where=there > 0)

    def __str__(self) -> str:
        return f"{self.right} of {self.images} right: {accuracy_text(self.accuracy, self.images)}"


def evaluate(network: Any, data: Any) -> Evaluation:
    """The accuracy of a network on labelled images.

    Integers run in the golden model, whose every spike is the hardware's, and are counted; real
    numbers in the reference that ``quantize`` is measured against.

    Parameters
    ----------
    network : Network, FloatNetwork, or what has one: Build, Imported, Run
    data : (images, labels) or an image set
        Images as ``sterna.run`` takes them; of a set, its test part.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError, NetworkError
        There are no labels, or images or labels that do not fit.
    """
    found = network if isinstance(network, NETWORKS) else getattr(network, "network", None)
    if not isinstance(found, NETWORKS):
        raise UsageError(
            f"evaluate: {show(network)} is no network; give a Network, a FloatNetwork, a Build, an "
            "Imported or a Run"
        )
    images, labels = images_of(data)
    if labels is None:
        raise UsageError("evaluate: has no labels to compare with; give (images, labels)")
    counts = None
    if isinstance(found, FloatNetwork):
        classes = float_classes(plain_input(found), images)
    else:
        result, counts = counted_run(found, images)
        classes = result.classes
    if not len(classes):
        raise UsageError("evaluate: no images; give at least one")
    labels = labels_of(found, labels, len(classes))
    return Evaluation(classes, labels, found.shape[found.readout.name][0], counts)


def counted_run(network: Network, images: Any) -> tuple[Result, Counts]:
    """What `sterna.run` gives, without spikes, and what the network did. ``images`` as there."""
    with packages():  # torch, only where integers run
        from sterna.golden.exact import run

    pixels = check_images(network.input, images_of(images)[0], network.steps)
    axis = 1 if network.input.coding == "frames" else 0
    counter, results = Counter(network), []
    chunk = max(1, SPIKES_AT_ONCE // max(1, sites(network)))
    for start in range(0, pixels.shape[axis], chunk):
        part = slice(start, start + chunk)
        cut = pixels[:, part] if axis else pixels[part]
        result = run(network, cut, counter.wanted)
        counter.add(cut, result)
        results.append(Result(result.logits, result.classes))
        at(start + chunk, pixels.shape[axis])
    return joined(results), counter.counts()
