"""A network that came in, against the forward pass of its own framework, neuron by neuron.

Every neuron gets what the foreign model's own neurons gave it, so that one difference cannot make
others; a neuron stops at its first tie, since from there on both are right. Twice: with the foreign
model in float64, where only ties that rounding decides may differ, and as it is used, in float32,
where sums in another order move a membrane by some 1e-7.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sterna.gen.quantize.arguments import batch_axis, labels_of
from sterna.gen.quantize.float_network import (
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatReadout,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import (
    at_decision,
    float_classes,
    raw_images,
    real_drive,
    scan_real,
    walk,
)
from sterna.golden.errors import UsageError
from sterna.golden.words import values
from sterna.golden.words.given import images_of
from sterna.golden.words.names import show
from sterna.golden.words.shown import Shown

__all__ = ["Check", "Recorded", "Site", "check", "data_of"]

# Of the largest membrane, what sums may be off: of float64, that weights were computed in float32.
ROUNDED = {"float64": 1e-6, "float32": 1e-5}
FLOAT32_ERROR = 1e-5  # relative distance from the threshold at which float32 may decide either way


@dataclass(frozen=True)
class Recorded:
    """What the foreign model did on a batch: the spikes of its cells, by module path, float64
    [T,B,C,H,W] in their own amplitude; its output [B,n]; the output neurons' membranes, of each
    step or of the last one, [T or 1,B,n,1,1], where it puts them out; and (gain, offset) of an
    output that is a sum over all steps of what the last layers give. ``dtype``: what it computed
    in, where that is not as asked."""

    spikes: dict[str, np.ndarray]
    output: np.ndarray
    membranes: np.ndarray | None = None
    scale: tuple[float, float] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Site:
    """One neuron layer, or what the readout reads: ``what`` is compared at ``sites`` (steps x
    images x neurons; of first spikes and of the last membranes images x neurons), the foreign
    model's spikes, and for 'float64' and 'float32' the neurons that differ, without and by a
    tie."""

    name: str
    path: str
    sites: int
    spikes: int
    different: int
    ties: int
    different32: int
    ties32: int
    what: str = "spikes"

    @property
    def exact(self) -> bool:
        """Whether nothing differs but where float32 ties."""
        return self.different == 0 and self.different32 == 0


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """What ``Imported.check`` found.

    ``classes``: the share of images that both put into one class (the network runs whole here; of
    a first_spike readout: into one of those that fire first there); ``accuracy`` and
    ``accuracy_own``: ours and the foreign model's, None without labels. ``approximated``: layers
    that are not meant to be equal.
    """

    images: int
    layers: tuple[Site, ...]
    classes: float
    accuracy: float | None
    accuracy_own: float | None
    approximated: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether no neuron differs but where float32 ties."""
        return all(s.exact for s in self.layers)

    @property
    def failed(self) -> list[Site]:
        """Layers that differ though their verdict is not 'approximated'."""
        return [s for s in self.layers if not s.exact and s.name not in self.approximated]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        failed = [s.name for s in self.failed]
        return asdict(self) | {"exact": self.exact, "failed": failed}

    def table(self) -> str:
        """For people."""
        wide = max([5, *(len(s.name) for s in self.layers)])
        rows = [
            f"{'layer':<{wide}}  {'what':<12} {'sites':>10} {'spikes':>9}  float64 ties  float32 "
            "ties"
        ]
        rows += [
            f"{s.name:<{wide}}  {s.what:<12} {s.sites:>10,} {s.spikes:>9,}  "
            f"{s.different:>7} {s.ties:>4}  {s.different32:>7} {s.ties32:>4}"
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

    def line(self) -> str:
        """It in short."""
        differ = ", ".join(s.name for s in self.layers if not s.exact)
        says = f"{differ} differ" if differ else "exact"
        return f"{says}, classes agree on {self.classes:.2%} of {self.images} images"

    def __str__(self) -> str:
        return self.table()


Found = tuple[int, int, int, int, str]


def check(
    network: FloatNetwork,
    cells: dict[str, str],
    replay: Any,
    data: Any,
    count: int = 64,
    approximated: Sequence[str] = (),
) -> Check:
    """``Imported.check``; see there."""
    network = plain_input(network)
    images, labels = data_of("check", data, network, count)
    paths = {node: path for path, node in cells.items()}
    found: dict[str, list[Found]] = {}
    theirs = np.zeros((0, 0), bool)
    for dtype in ("float64", "float32"):
        recorded: Recorded = replay(images, dtype)
        for node, streams in walk(network, images):
            own = recorded.spikes.get(paths.get(node.name, ""))
            if isinstance(node, FloatReadout):
                theirs = _their_classes(node, recorded, own)
                if node.mode != "count":
                    site = _readout(network, node, streams, recorded, own, dtype)
                    if site is not None:
                        found.setdefault(node.name, []).append(site)
                    continue
            if own is None:
                continue
            found.setdefault(node.name, []).append(_compare(network, node, streams, own > 0))
            if isinstance(node, FloatNeuron):
                streams[node.name] = np.rint(own / node.amplitude).astype(np.uint8)
    layers = tuple(
        Site(name, paths.get(name, ""), a[0], a[1], a[2], a[3], b[2], b[3], a[4])
        for name, (a, b) in found.items()
    )
    ours = float_classes(network, images)
    agree = float(theirs[np.arange(len(ours)), ours].mean())
    both = (None, None)
    if labels is not None:
        both = (float((ours == labels).mean()), float((theirs.argmax(1) == labels).mean()))
    return Check(len(ours), layers, agree, *both, approximated=tuple(approximated))


def _their_classes(node: FloatReadout, recorded: Recorded, own: np.ndarray | None) -> np.ndarray:
    """bool [B,n]: the foreign model's class; of a first_spike readout each that fires first."""
    if node.mode == "first_spike" and own is not None:
        times = _first(own > 0).reshape(own.shape[1], -1)
        return times == times.min(1, keepdims=True)
    best = recorded.output.argmax(1)
    return np.arange(recorded.output.shape[1]) == best[:, None]


def _first(fired: np.ndarray) -> np.ndarray:
    """The step of the first spike, T where there is none: [B,C,H,W] of [T,B,C,H,W]."""
    return np.where(fired.any(0), fired.argmax(0), len(fired))


def data_of(
    who: str, data: Any, network: FloatNetwork, count: Any, part: str = "train"
) -> tuple[np.ndarray, np.ndarray | None]:
    """The first ``count`` images of what a user gave, and, for 'check', their labels or None.
    UsageError or NetworkError where they do not fit."""
    refusal = f"{who}: images {show(count)} must be a whole number from 1"
    count = values.integer(refusal, count, 1, 1 << 62, UsageError)
    images, labels = images_of(data, part)
    images, axis = raw_images(network.input, images, network.steps), batch_axis(network)
    if labels is not None and who == "check":
        labels = labels_of(network, labels, images.shape[axis])[:count]
    return np.take(images, range(min(count, images.shape[axis])), axis), labels


def _readout(
    network: FloatNetwork,
    node: FloatReadout,
    streams: dict[str, np.ndarray],
    recorded: Recorded,
    own: np.ndarray | None,
    dtype: str,
) -> Found | None:
    """First spikes, membranes or sums of a readout; None where the model does not put them out."""
    potentials: list[np.ndarray] = []
    drive = real_drive(network, node, streams)
    fired, last = scan_real(drive, at_decision(node), network.steps, potentials)
    if node.mode == "first_spike":
        if own is None:
            return None
        first = [_first(f) for f in (fired > 0, own > 0)]
        wrong, at = first[0] != first[1], np.minimum(*first)
        at = np.minimum(at, network.steps - 1)
        tie = wrong & _near(potentials, at, node, drive)
        spikes = int((first[1] < network.steps).sum())
        return wrong.size, spikes, int((wrong & ~tie).sum()), int(tie.sum()), "first spikes"
    if recorded.membranes is not None:
        theirs = recorded.membranes
        ours = np.stack(potentials)[-len(theirs) :]
    elif recorded.scale is not None:
        gain, offset = recorded.scale
        theirs, ours = recorded.output, last.reshape(len(recorded.output), -1) * gain + offset
    else:
        return None
    allowed = ROUNDED[recorded.dtype or dtype] * max(float(np.abs(theirs).max(initial=0)), 1e-12)
    wrong = np.abs(ours.reshape(theirs.shape) - theirs) > allowed
    return int(wrong.size), 0, int(wrong.sum()), 0, "membranes"


def _compare(
    network: FloatNetwork, node: FloatNeurons, streams: dict[str, np.ndarray], own: np.ndarray
) -> Found:
    """(sites, spikes, neurons that differ, neurons that first differ at a tie, what)."""
    potentials: list[np.ndarray] = []
    drive = real_drive(network, node, streams)
    fired, _ = scan_real(drive, node, network.steps, potentials)
    wrong = (fired > 0) != own
    some = wrong.any(0)
    tie = some & _near(potentials, wrong.argmax(0), node, drive)
    return int(wrong.size), int(own.sum()), int((some & ~tie).sum()), int(tie.sum()), "spikes"


def _near(
    potentials: list[np.ndarray], at: np.ndarray, node: FloatNeurons, drive: np.ndarray
) -> np.ndarray:
    """Whether the membrane at step ``at`` [B,C,H,W] is where float32 may decide either way."""
    u = np.take_along_axis(np.stack(potentials), at[None], 0)[0]
    threshold = np.broadcast_to(np.asarray(node.threshold, np.float64), u.shape[1])
    threshold = threshold.reshape(-1, 1, 1)
    size = np.maximum(np.abs(threshold), np.abs(drive).max(initial=0.0) * 1e-2)
    return np.abs(u - threshold) <= FLOAT32_ERROR * size
