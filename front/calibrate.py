"""Real weights to ternary (or binary) ones, layer by layer, without labels and without training.

Each layer's weights become trits by ternary weight networks' rule (Li et al. 2016: threshold 0.7 of
the mean size, one scale a channel), and a batch norm that folds away brings the mean and deviation
of each channel's input, over images, steps and the map, back to what they were in the real-valued
network, measured on the already ternary layers in front. A neuron with several inputs has one norm
over their sum, so that their ratios stay. Deterministic.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sterna.front.check import _split
from sterna.front.report import APPROXIMATED, EXACT, Report
from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import real_drive, walk
from sterna.golden.errors import UsageError

__all__ = ["calibrate", "to_trits"]

DELTA = 0.7  # of the mean size of a channel's weights: below it is 0 (ternary weight networks)


def to_trits(weight: np.ndarray, kind: str) -> np.ndarray:
    """-1, 0, +1 ('ternary') or -1, +1 ('binary') of real weights (O, ...), float64."""
    w = np.asarray(weight, np.float64)
    flat = np.abs(w).reshape(len(w), -1)
    if kind == "binary":
        return np.where(w < 0, -1.0, 1.0)
    delta = DELTA * flat.mean(1).reshape(-1, *[1] * (w.ndim - 1))
    return np.sign(w) * (np.abs(w) > delta)


def calibrate(
    network: FloatNetwork, report: Report, data: Any, kind: str = "ternary", count: int = 256
) -> tuple[FloatNetwork, Report]:
    """(the network with weights of ``kind``, its report): see the module.

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
    if kind not in ("ternary", "binary"):
        raise UsageError(f"calibrate: kind '{kind}' is not ternary or binary")
    real = plain_input(network)
    if all(n.kind != "real" for n in real.nodes if isinstance(n, FloatConv2d | FloatLinear)):
        return network, report
    axis = 1 if real.input.coding == "frames" else 0
    images = np.asarray(_split(data)[0])
    images = np.take(images, range(min(count, images.shape[axis])), axis)
    if not images.size:
        raise UsageError("calibrate: no images; give some of the training set")
    wanted = _statistics(real, images)
    found = _ternary(real, images, wanted, kind)
    return found, _told(report, kind)


def _statistics(network: FloatNetwork, images: np.ndarray) -> dict[str, tuple[Any, Any]]:
    """Mean and deviation (C,) of every neuron's input, by name."""
    out = {}
    for node, streams in walk(network, images):
        drive = real_drive(network, node, streams)
        out[node.name] = drive.mean((0, 1, 3, 4)), drive.std((0, 1, 3, 4))
    return out


def _ternary(
    network: FloatNetwork, images: np.ndarray, wanted: dict[str, tuple[Any, Any]], kind: str
) -> FloatNetwork:
    nodes: dict[str, FloatNode] = {n.name: n for n in network.nodes}
    streams: dict[str, np.ndarray] = {}
    order = [n.name for n in network.nodes if isinstance(n, FloatNeuron | FloatReadout)]
    for name in order:
        node = nodes[name]
        assert isinstance(node, FloatNeuron | FloatReadout)
        for layer in _layers(nodes, node):
            if layer.kind == "real":
                nodes[layer.name] = _bare(layer, kind)
        now = FloatNetwork(network.steps, nodes.values())
        # streams of the layers in front are known: only this one is computed
        for at, known in walk(now, images):
            known.update(streams)
            if at.name == name:
                drive = real_drive(now, at, known)
                _fit(nodes, at, drive, wanted[name])
                break
        if isinstance(node, FloatNeuron):
            now = FloatNetwork(network.steps, nodes.values())
            for at, known in walk(now, images):
                known.update(streams)
                if at.name == name:
                    streams[name] = _spikes(now, at, known)
                    break
    return FloatNetwork(network.steps, nodes.values())


def _spikes(network: FloatNetwork, node: Any, known: dict[str, np.ndarray]) -> np.ndarray:
    from sterna.gen.quantize.reference import reference

    return reference(network, node, known)[0]


def _layers(
    nodes: dict[str, FloatNode], node: FloatNeuron | FloatReadout
) -> list[FloatConv2d | FloatLinear]:
    found = []
    for name in node.inputs:
        source = nodes[name]
        if isinstance(source, FloatPool) and isinstance(
            nodes[source.input], FloatConv2d | FloatLinear
        ):
            source = nodes[source.input]
        if isinstance(source, FloatConv2d | FloatLinear):
            found.append(source)
    return found


def _bare(layer: FloatConv2d | FloatLinear, kind: str) -> FloatConv2d | FloatLinear:
    """Trits times one scale for the layer: what a channel is worth is left to its norm."""
    trits = to_trits(layer.weight, kind)
    size = np.abs(np.asarray(layer.weight, np.float64))
    scale = float(size[trits != 0].mean()) if np.any(trits) else 1.0
    return replace(layer, weight=trits * scale, kind=kind)


def _fit(
    nodes: dict[str, FloatNode],
    node: FloatNeuron | FloatReadout,
    drive: np.ndarray,
    wanted: tuple[np.ndarray, np.ndarray],
) -> None:
    """Give ``node``'s input the ``wanted`` mean and deviation of each channel."""
    mean, deviation = drive.mean((0, 1, 3, 4)), drive.std((0, 1, 3, 4))
    some = (deviation > 0) & (wanted[1] > 0)
    gain = np.where(some, wanted[1] / np.where(some, deviation, 1.0), 1.0)
    if isinstance(node, FloatReadout) and node.mode != "count":
        known = float(np.sqrt((wanted[1] ** 2).sum() / max((deviation**2).sum(), 1e-30)))
        gain = np.full(len(mean), known if np.any(some) else 1.0)
    norm = BatchNorm(gain, wanted[0], mean, np.ones_like(mean), 0.0)
    layers = _layers(nodes, node)
    if len(layers) == 1 and len(node.inputs) == 1 and node.inputs[0] == layers[0].name:
        layer = layers[0]
        g, o = norm.affine()
        old_g, old_o = layer.norm.affine() if layer.norm is not None else (1.0, 0.0)
        bias = 0.0 if layer.bias is None else layer.bias
        if isinstance(node, FloatReadout) and node.mode != "count":
            one = float(g[0])
            assert layer.norm is None, "a readout's layer has no norm"
            nodes[layer.name] = replace(layer, weight=layer.weight * one, bias=bias * one + o)
            return
        nodes[layer.name] = replace(
            layer,
            bias=None,
            norm=BatchNorm(
                old_g * g, (old_g * bias + old_o) * g + o, np.zeros_like(g), np.ones_like(g), 0.0
            ),
        )
    elif isinstance(node, FloatNeuron):
        nodes[node.name] = replace(node, norm=_after(node.norm, norm))
    else:
        g, o = norm.affine()
        for layer in layers:
            nodes[layer.name] = replace(
                layer,
                weight=layer.weight * float(g[0]),
                bias=None if layer.bias is None else layer.bias * float(g[0]),
            )
        own = 0.0 if node.bias is None else np.asarray(node.bias)
        nodes[node.name] = replace(node, bias=own + o)


def _after(first: BatchNorm | None, second: BatchNorm) -> BatchNorm:
    if first is None:
        return second
    (g1, o1), (g2, o2) = first.affine(), second.affine()
    return BatchNorm(g1 * g2, o1 * g2 + o2, np.zeros_like(g1), np.ones_like(g1), 0.0)


def _told(report: Report, kind: str) -> Report:
    out = Report()
    for v in report.verdicts:
        if v.verdict == EXACT and v.detail.startswith("weights are real"):
            v = replace(v, verdict=APPROXIMATED, detail=f"real weights are {kind} now, calibrated")
        out.verdicts.append(v)
    return out
