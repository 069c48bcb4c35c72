"""A network that came in, against the forward pass of its own framework, neuron by neuron.

Every neuron gets what the foreign model's own neurons gave it, so that one difference cannot make
others; a neuron stops at its first tie, since from there on both are right. Twice: with the foreign
model in float64, where only ties that rounding decides may differ, and as it is used, in float32,
where sums in another order move a membrane by some 1e-7.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import (
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatReadout,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import float_classes, real_drive, scan_real, walk
from sterna.golden.errors import UsageError
from sterna.golden.samples import samples

__all__ = ["Check", "Site", "check", "data_of"]

NEAR = 1e-5  # relative distance from the threshold at which float32 may decide either way


@dataclass(frozen=True)
class Site:
    """One neuron layer: ``sites`` (steps x images x neurons), the foreign model's spikes, and for
    'float64' and 'float32' the neurons that differ, without and by a tie."""

    name: str
    path: str
    sites: int
    spikes: int
    different: int
    ties: int
    different32: int
    ties32: int


@dataclass(frozen=True)
class Check:
    """What ``Imported.check`` found.

    ``classes``: the share of images that both put into one class (the network runs whole here);
    ``accuracy`` and ``accuracy_own``: ours and the foreign model's, None without labels.
    """

    images: int
    layers: tuple[Site, ...]
    classes: float
    accuracy: float | None
    accuracy_own: float | None

    @property
    def exact(self) -> bool:
        """Whether no neuron differs but where float32 ties."""
        return all(s.different == 0 and s.different32 == 0 for s in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"exact": self.exact}

    def table(self) -> str:
        """For people."""
        wide = max([5, *(len(s.name) for s in self.layers)])
        rows = [f"{'layer':<{wide}}  {'sites':>10} {'spikes':>9}  float64 ties  float32 ties"]
        rows += [
            f"{s.name:<{wide}}  {s.sites:>10,} {s.spikes:>9,}  {s.different:>7} {s.ties:>4}  "
            f"{s.different32:>7} {s.ties32:>4}"
            for s in self.layers
        ]
        rows.append(
            f"{self.images} images: classes agree on {self.classes:.2%}"
            + (
                ""
                if self.accuracy is None
                else f", accuracy {self.accuracy:.2%} (its own {self.accuracy_own:.2%})"
            )
        )
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.table()


def check(
    network: FloatNetwork, cells: dict[str, str], replay: Any, data: Any, count: int = 64
) -> Check:
    """``Imported.check``; see there."""
    network = plain_input(network)
    images, labels = data_of("check", data, network, count)
    paths = {node: path for path, node in cells.items()}
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    output = np.zeros(0)
    for dtype in ("float64", "float32"):
        recorded = replay(images, dtype)
        output = recorded.output
        for node, streams in walk(network, images):
            path = paths.get(node.name)
            if path is None or isinstance(node, FloatReadout) and node.mode != "count":
                continue
            own = recorded.spikes[path]
            amplitude = node.amplitude if isinstance(node, FloatNeuron) else _size(own)
            fired = own > 0
            found.setdefault(node.name, []).append(_compare(network, node, streams, fired))
            if isinstance(node, FloatNeuron):
                whole = np.rint(own / amplitude)
                streams[node.name] = whole.astype(np.uint8)
    layers = tuple(
        Site(name, paths[name], a[0], a[1], a[2], a[3], b[2], b[3])
        for name, (a, b) in found.items()
    )
    ours = float_classes(network, images)
    theirs = output.argmax(1)
    both = (None, None)
    if labels is not None:
        both = (float((ours == labels).mean()), float((theirs == labels).mean()))
    return Check(len(ours), layers, float((ours == theirs).mean()), *both)


def _size(own: np.ndarray) -> float:
    return float(own.max(initial=0.0)) or 1.0


def data_of(
    who: str, data: Any, network: FloatNetwork, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The first ``count`` images of what a user gave, and their labels or None."""
    images, labels = samples(data)
    axis = 1 if network.input.coding == "frames" else 0
    images = np.take(np.asarray(images), range(min(count, np.shape(images)[axis])), axis)
    if not images.size:
        raise UsageError(f"{who}: no images; give at least one")
    return images, None if labels is None else np.asarray(labels)[: images.shape[axis]]


def _compare(
    network: FloatNetwork,
    node: FloatNeurons,
    streams: dict[str, np.ndarray],
    own: np.ndarray,
) -> tuple[int, int, int, int]:
    """(sites, spikes, neurons that differ, neurons that first differ at a tie)."""
    potentials: list[np.ndarray] = []
    drive = real_drive(network, node, streams)
    fired, _ = scan_real(drive, node, network.steps, potentials)
    wrong = (fired > 0) != own
    first = wrong.argmax(0)
    some = wrong.any(0)
    u = np.take_along_axis(np.stack(potentials), first[None], 0)[0]
    threshold = np.broadcast_to(np.asarray(node.threshold, np.float64), u.shape[1])
    threshold = threshold.reshape(-1, 1, 1)
    size = np.maximum(np.abs(threshold), np.abs(drive).max(initial=0.0) * 1e-2)
    tie = some & (np.abs(u - threshold) <= NEAR * size)
    return int(wrong.size), int(own.sum()), int((some & ~tie).sum()), int(tie.sum())
