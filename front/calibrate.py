"""Real weights to ternary (or binary) ones, layer by layer, without labels and without training.

Each layer's weights become the trits that put out most nearly the same on what the already ternary
layers in front give it (``front.trits``), and a batch norm brings the mean and deviation of each
channel's input, over images, steps and the map, back to what they were in the real-valued network.
A neuron with several inputs has one norm over their sum; the layers that meet there keep their
ratio to the nearest power of two. A readout's layer has one scale, and a bias a class.
Deterministic.

The same network with real weights as latents is what training starts from (`Calibrated.latents`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sterna.front.arguments import word_of
from sterna.front.check import data_of
from sterna.front.report import APPROXIMATED, EXACT, Report
from sterna.front.trits import discrete, fitted
from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatNode,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import real_drive, reference, walk
from sterna.golden.errors import UsageError

__all__ = ["Calibrated", "calibrate"]

EPS = 1e-5  # of the norms, as torch's
LATENT = 0.1  # mean size of latents: what training moves best
AXES = (0, 1, 3, 4)


@dataclass(frozen=True)
class Calibrated:
    """The network with ternary weights, the same with real latents in their place, the report."""

    network: FloatNetwork
    latents: FloatNetwork
    report: Report


def calibrate(
    network: FloatNetwork, report: Report, data: Any, kind: str = "ternary", count: int = 256
) -> Calibrated:
    """Ternary weights for every layer that has real ones: see the module.

    Parameters
    ----------
    network : FloatNetwork
    report : Report
        Of the import; verdicts of weights are replaced.
    data : images, (images, labels) or an ImageSet
        Integers as ``sterna.run`` takes them; labels are not looked at.
    kind : str
        'ternary' or 'binary'.
    count : int
        How many of the images.

    Raises
    ------
    UsageError
        ``kind`` is another word, or there are no images.
    """
    kind = word_of("calibrate: kind", kind, ("ternary", "binary"))
    real = plain_input(network)
    images, _ = data_of("calibrate", data, real, count)
    work = _Work(real, images, kind)
    for node, wanted in list(_statistics(real, images)):
        work.layer(node.name, wanted)
    return Calibrated(
        FloatNetwork(real.steps, work.nodes.values()),
        FloatNetwork(real.steps, work.latents.values()),
        _told(report, kind),
    )


def _statistics(
    network: FloatNetwork, images: np.ndarray
) -> Iterator[tuple[FloatNeurons, tuple[np.ndarray, np.ndarray]]]:
    """Mean and deviation (C,) of every neuron's input."""
    for node, streams in walk(network, images):
        drive = real_drive(network, node, streams)
        yield node, (drive.mean(AXES), drive.std(AXES))


class _Work:
    """The nodes as they become ternary, and their twins with latents, layer by layer."""

    def __init__(self, network: FloatNetwork, images: np.ndarray, kind: str) -> None:
        self.steps, self.images, self.kind = network.steps, images, kind
        self.nodes: dict[str, FloatNode] = {n.name: n for n in network.nodes}
        self.latents = dict(self.nodes)
        self.spikes: dict[str, np.ndarray] = {}

    def layer(self, name: str, wanted: tuple[np.ndarray, np.ndarray]) -> None:
        node = self._neurons(name)
        layers = _layers(self.nodes, node)
        real = [n.name for n in layers if n.kind == "real"]
        alone = len(node.inputs) == 1 and len(layers) == 1
        if real and isinstance(node, FloatReadout):
            self._readout(node, layers, wanted)
        elif real and alone and getattr(self.nodes[node.inputs[0]], "passes_norms", True):
            self._alone(node, layers[0], wanted)
        elif real:
            self._together(node, layers, wanted)
        if isinstance(node, FloatNeuron):
            network, node, streams = self._now(name)
            self.spikes[name] = reference(network, node, streams)[0]

    def _neurons(self, name: str) -> FloatNeurons:
        node = self.nodes[name]
        assert isinstance(node, FloatNeurons)
        return node

    def _now(self, name: str) -> tuple[FloatNetwork, FloatNeurons, dict[str, np.ndarray]]:
        """(the network so far, the neurons ``name``, the streams in front of them)."""
        network = FloatNetwork(self.steps, self.nodes.values())
        for node, streams in walk(network, self.images):
            if node.name == name:
                return network, node, streams
            streams[node.name] = self.spikes[node.name]
        raise AssertionError(name)

    def _drive(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (C,) of the input of ``name`` as the nodes are."""
        network, node, streams = self._now(name)
        drive = real_drive(network, node, streams)
        return drive.mean(AXES), drive.var(AXES)

    def _trits(
        self, node: FloatNeurons, layer: Weighted, one_scale: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        _, _, streams = self._now(node.name)
        return fitted(layer, streams[layer.input], self.kind, one_scale)

    def _alone(self, node: FloatNeurons, layer: Weighted, wanted: Any) -> None:
        """A layer with a neuron of its own: trits of a scale a channel, and a norm behind, in front
        of a pool of its sums (whose maximum or mean of normed sums is the normed one)."""
        q, a = self._trits(node, layer)
        self.nodes[layer.name] = bare = replace(
            layer, weight=q * a, kind=self.kind, bias=None, norm=None
        )
        norm = _matched(*self._drive(node.name), wanted)
        self.nodes[layer.name] = replace(bare, norm=norm)
        size = np.abs(layer.weight).reshape(len(q), -1).mean(1)
        level = LATENT / np.maximum(size, 1e-12)
        latent = np.asarray(layer.weight, np.float64) * level.reshape(-1, *[1] * (q.ndim - 1))
        norm = replace(norm, mean=norm.mean * level, var=norm.var * level**2)
        self.latents[layer.name] = replace(bare, weight=latent, norm=norm)

    def _together(self, node: FloatNeurons, layers: list[Weighted], wanted: Any) -> None:
        """Layers that meet in a neuron, maybe with spikes: fixed units, one norm over the sum."""
        assert isinstance(node, FloatNeuron)
        units = self._units(node, layers)
        _, _, streams = self._now(node.name)
        for layer, unit in zip(layers, units, strict=True):
            kind = self.kind if layer.kind == "real" else layer.kind
            q, _ = discrete(layer.weight, kind, False)
            if layer.kind == "real":
                q, _ = fitted(layer, streams[layer.input], kind, False)
            bare = replace(layer, weight=q * unit, kind=kind, bias=None, norm=None, unit=unit)
            self.nodes[layer.name] = bare
            size = float(np.abs(layer.weight).mean()) or 1.0
            self.latents[layer.name] = replace(bare, weight=layer.weight * (LATENT / size))
        self.nodes[node.name] = bare_node = replace(node, norm=None)
        norm = _matched(*self._drive(node.name), wanted)
        self.nodes[node.name] = self.latents[node.name] = replace(bare_node, norm=norm)

    def _units(self, node: FloatNeurons, layers: list[Weighted]) -> list[float]:
        """The size of each layer's weights, powers of two from the first's, of which a spike that
        comes along is a whole number."""
        network = FloatNetwork(self.steps, self.nodes.values())
        sizes = []
        for layer in layers:
            gain = 1.0 if layer.norm is None else float(np.abs(layer.norm.affine()[0]).mean())
            sizes.append(float(discrete(layer.weight, self.kind, True)[1].flat[0]) * gain)
        worth = [s * network.amplitude[n.input] for s, n in zip(sizes, layers, strict=True)]
        names = {n.name for n in layers}
        known = [network.amplitude[i] for i in node.inputs if i not in names]
        base = min(w for w in worth if w > 0) if any(worth) else 1.0
        if known:  # a spike is 1, 2, 4 .. units
            base = known[0] / 2.0 ** max(0, round(float(np.log2(known[0] / base))))
        near = [2.0 ** max(0, round(float(np.log2(w / base)))) if w > 0 else 1.0 for w in worth]
        return [n * base / network.amplitude[x.input] for n, x in zip(near, layers, strict=True)]

    def _readout(self, node: FloatReadout, layers: list[Weighted], wanted: Any) -> None:
        """One scale for all classes, and what they differ in on the mean as a bias."""
        if len(layers) != 1:
            raise UsageError(
                f"node '{node.name}': a readout of several layers cannot be calibrated; train it"
            )
        layer = layers[0]
        q, a = self._trits(node, layer, one_scale=True)
        bare = replace(layer, weight=q * a, kind=self.kind, bias=None, norm=None)
        self.nodes[layer.name] = bare
        mean, var = self._drive(node.name)
        gain = float(np.sqrt((wanted[1] ** 2).sum() / var.sum())) if var.sum() > 0 else 1.0
        bias = wanted[0] - gain * mean
        self.nodes[layer.name] = replace(bare, weight=bare.weight * gain, bias=bias)
        latent = np.asarray(layer.weight, np.float64) * gain
        self.latents[layer.name] = replace(bare, weight=latent, bias=bias)


def _layers(nodes: dict[str, FloatNode], node: FloatNeurons) -> list[Weighted]:
    """The weighted layers whose sums a neuron adds up, behind their pools, too."""
    found = []
    for name in node.inputs:
        source = nodes[name]
        if isinstance(source, FloatPool) and isinstance(nodes[source.input], Weighted):
            source = nodes[source.input]
        if isinstance(source, Weighted):
            found.append(source)
    return found


def _matched(mean: np.ndarray, var: np.ndarray, wanted: tuple[Any, Any]) -> BatchNorm:
    """The norm that takes ``mean`` and ``var`` to the mean and deviation ``wanted``; where nothing
    varies, to the mean only."""
    gain = np.where((var > 0) & (wanted[1] > 0), wanted[1] / np.sqrt(np.where(var > 0, var, 1)), 1)
    return BatchNorm(gain * np.sqrt(var + EPS), wanted[0], mean, var, EPS)


def _told(report: Report, kind: str) -> Report:
    out = Report()
    for v in report.verdicts:
        if v.verdict == EXACT and v.detail.startswith("weights are real"):
            v = replace(v, verdict=APPROXIMATED, detail=f"real weights are {kind} now, calibrated")
        out.verdicts.append(v)
    return out
