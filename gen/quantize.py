"""FloatNetwork -> integer Network: the one place where real numbers become hardware integers.

Batch norms, weight scales, negative gains, pool divisors, '>' against '>=' and the fraction bits F
are decided here and nowhere else (DESIGN section 3). Each channel is divided by the real value of
one integer unit of its weighted sum, so only threshold, reset_by, bias and v_init carry reals.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from sterna.gen.floatnet import (
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.gen.floatrun import (
    float_logits,
    merge_shifts,
    real_drive,
    scan_real,
    walk,
    weighted_sum,
)
from sterna.gen.rulefold import Unit, fold_rule, is_lossless, pattern_rule
from sterna.gen.runrecord import finished_record
from sterna.gen.units import check_finite, find_unit, trits_of
from sterna.golden.bounds import node_bounds
from sterna.golden.errors import NetworkError
from sterna.golden.files import save
from sterna.golden.network import (
    MAX_VALUE,
    Conv2d,
    Input,
    Linear,
    Merge,
    Network,
    Neuron,
    Node,
    Pool,
    Readout,
)
from sterna.golden.rule import NeuronRule

__all__ = [
    "quantize", "quantize_run", "QuantizeReport", "LayerReport", "FRACTION_RANGE", "MISMATCH",
]  # fmt: skip

FRACTION_RANGE = range(2, 11)
MISMATCH = 1e-3  # of sites (step, image, channel, y, x)
CALIBRATION = 256


@dataclass(frozen=True)
class LayerReport:
    """One neuron layer: F, bits of its membrane register, share of its spikes that differ from
    the float neuron's on the same inputs, channels that are constant or can never fire."""

    name: str
    fraction_bits: int
    width: int
    mismatch: float
    constant: int
    silent: int


@dataclass
class QuantizeReport:
    """What quantize decided and what it cost; accuracies are None where no labels were given."""

    layers: list[LayerReport] = field(default_factory=list)
    images: int = 0
    accuracy_float: float | None = None
    accuracy_integer: float | None = None
    evaluated: int = 0

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    def table(self) -> str:
        """For people."""
        rows = [f"{'layer':<12} {'F':>2} {'bits':>4} {'mismatch':>9} constant silent"]
        rows += [
            f"{r.name:<12} {r.fraction_bits:>2} {r.width:>4} {r.mismatch:>9.2e} "
            f"{r.constant:>8} {r.silent:>6}"
            for r in self.layers
        ]
        if self.accuracy_float is not None and self.accuracy_integer is not None:
            rows.append(
                f"accuracy on {self.evaluated} images: float {self.accuracy_float:.2%}, "
                f"integer {self.accuracy_integer:.2%}"
            )
        return "\n".join(rows)


def quantize(
    network: FloatNetwork,
    calibration: np.ndarray,
    *,
    name: str = "network",
    fraction_bits: Mapping[str, int] | None = None,
    evaluate: tuple[np.ndarray, np.ndarray] | None = None,
    leak_tolerance: float = 0.0,
) -> tuple[Network, QuantizeReport]:
    """The exact integer network of a trained float network.

    Parameters
    ----------
    calibration : uint8 images [B,C,H,W] ([T,B,C,H,W] for 'frames'); the first 256 are used
    fraction_bits : F by neuron name, where training already chose it; else 0 where that is
        lossless and the smallest of 2..10 whose spikes differ at no more than 1e-3 of the sites
    evaluate : (images, labels) to report the accuracy of both networks on
    leak_tolerance : how far a leak may be moved to the nearest 1 - 2**-k1 [- 2**-k2]

    Raises NetworkError (node, cause, next step) for everything that cannot be exact.
    """
    axis = 1 if network.input.coding == "frames" else 0
    images = np.take(calibration, range(min(CALIBRATION, calibration.shape[axis])), axis)
    if not images.size:
        raise NetworkError("quantize: no calibration images; give at least one, better 256")
    for node in network.nodes:
        check_finite(node)
    network = _plain_input(network)
    nodes, maximum, trits = _shared_nodes(network)
    report = QuantizeReport(images=images.shape[axis])
    layers: list[tuple[str, float, int, int]] = []
    for node, streams in walk(network, images):
        unit, flips = find_unit(network, node, trits, maximum)
        for source, flip in flips.items():
            trits[source] = trits[source] * flip
        layer = _Layer(network, node, unit, trits, streams, leak_tolerance)
        rule, mismatch, silent = layer.choose((fraction_bits or {}).get(node.name))
        layers.append((node.name, mismatch, int(unit.constant.sum()), silent))
        if isinstance(node, FloatReadout):
            scale = float(unit.size[0]) / 2**rule.fraction_bits
            scale = 1.0 if node.mode != "membrane" else scale
            nodes[node.name] = Readout(node.name, node.inputs, rule, node.mode, scale)
        else:
            nodes[node.name] = Neuron(node.name, node.inputs, rule, float(node.amplitude))
            streams[node.name] = layer.spikes
    for node in network.nodes:
        if isinstance(node, FloatConv2d):
            nodes[node.name] = Conv2d(node.name, node.input, trits[node.name], node.stride,
                                      node.padding, node.groups, node.kind)  # fmt: skip
        elif isinstance(node, FloatLinear):
            nodes[node.name] = Linear(node.name, node.input, trits[node.name], node.kind)
    result = Network(network.steps, [nodes[n.name] for n in network.nodes], name)
    for layer_name, mismatch, constant, silent in layers:
        width = node_bounds(result, layer_name).width("u", "v")
        bits = rule_of(result, layer_name).fraction_bits
        report.layers.append(LayerReport(layer_name, bits, width, mismatch, constant, silent))
    if evaluate is not None:
        _evaluate(network, result, evaluate, report)
    return result, report


def quantize_run(
    source: str | Path,
    out: str | Path,
    calibration: np.ndarray,
    evaluate: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Network, QuantizeReport]:
    """``sterna quantize``: SOURCE is a run folder or a float network's json; writes network.json
    and network.safetensors into OUT. A run's name and its chosen fraction bits are kept."""
    source = Path(source)
    folder = source if source.is_dir() else source.parent
    head = finished_record(folder)
    chosen, name = head.get("fraction_bits"), head.get("name", "network")
    result, report = quantize(FloatNetwork.load(source), calibration, name=name,
                              fraction_bits=chosen, evaluate=evaluate)  # fmt: skip
    save(result, out)
    return result, report


def rule_of(network: Network, name: str) -> NeuronRule:
    """The rule of a Neuron or Readout."""
    node = network[name]
    assert isinstance(node, Neuron | Readout)
    return node.rule


def _evaluate(network: FloatNetwork, result: Network, evaluate: tuple[np.ndarray, np.ndarray],
              report: QuantizeReport) -> None:  # fmt: skip
    from sterna.golden.exact import run  # torch only where accuracies are asked for

    images, labels = evaluate
    report.evaluated = len(labels)
    report.accuracy_float = float(np.mean(float_logits(network, images).argmax(1) == labels))
    report.accuracy_integer = float(np.mean(run(result, images).classes == labels))


def _plain_input(network: FloatNetwork) -> FloatNetwork:
    """The network with a single deviation folded into the pixel's scale; others are refused."""
    node = network.input
    way_out = "feed raw pixels and let the first batch norm learn mean and deviation"
    for what, value in (("mean", node.mean), ("std", node.std)):
        if value is not None and np.size(value) > 1 and len(set(np.ravel(value).tolist())) > 1:
            raise NetworkError(
                f"node '{node.name}': a {what} for each channel cannot be built exactly (pixels "
                f"enter as integers); {way_out}"
            )
    if node.mean is not None and np.any(np.asarray(node.mean) != 0):
        raise NetworkError(
            f"node '{node.name}': a mean of {np.ravel(node.mean)[0]:g} moves pixels below zero and "
            f"away from the zero padding; {way_out}"
        )
    std = 1.0 if node.std is None else float(np.ravel(node.std)[0])
    if not std > 0:
        raise NetworkError(f"node '{node.name}': std {std} is not positive; {way_out}")
    plain = replace(node, mean=None, std=None, scale=node.scale / std)
    return FloatNetwork(network.steps, [plain if n is node else n for n in network.nodes])


def _shared_nodes(
    network: FloatNetwork,
) -> tuple[dict[str, Node], dict[str, int], dict[str, np.ndarray]]:
    """Integer nodes that need no choice, the largest value of each stream, trits by node."""
    nodes: dict[str, Node] = {}
    maximum: dict[str, int] = {}
    trits: dict[str, np.ndarray] = {}
    for node in network.nodes:
        if isinstance(node, FloatInput):
            nodes[node.name] = Input(node.name, node.shape, node.coding, node.bits, node.seed)
            maximum[node.name] = (1 << node.bits) - 1 if node.coding == "direct" else 1
        elif isinstance(node, FloatPool):
            mode = "sum" if node.mode == "avg" else node.mode
            nodes[node.name] = Pool(node.name, node.input, mode, node.kernel, node.stride)
            times = node.kernel[0] * node.kernel[1] if mode == "sum" else 1
            maximum[node.name] = maximum[node.input] * times
        elif isinstance(node, FloatMerge):
            shifts = merge_shifts(network, node)
            nodes[node.name] = Merge(node.name, node.inputs, node.mode, shifts)
            tops = [maximum[n] << k for n, k in zip(node.inputs, shifts, strict=True)]
            maximum[node.name] = {"add": sum(tops), "concat": max(tops)}.get(node.mode, 1)
        elif isinstance(node, FloatNeuron):
            maximum[node.name] = 1
        elif not isinstance(node, FloatReadout):
            trits[node.name] = trits_of(node)
        if maximum.get(node.name, 0) > MAX_VALUE:
            raise NetworkError(
                f"node '{node.name}': its values reach {maximum[node.name]}, more than "
                f"{MAX_VALUE}; add or pool fewer streams"
            )
    return nodes, maximum, trits


class _Layer:
    """One neuron layer on the calibration images: tries fractions, keeps the best one's spikes."""

    def __init__(
        self, network: FloatNetwork, node: FloatNeuron | FloatReadout, unit: Unit,
        trits: dict[str, np.ndarray], streams: dict[str, np.ndarray], tolerance: float,
    ) -> None:  # fmt: skip
        self.node, self.unit, self.tolerance = node, unit, tolerance
        self.steps = network.steps
        self.real = scan_real(real_drive(network, node, streams), node, self.steps)
        self.spikes = self.real[0]
        self.sums: list[np.ndarray] = []
        self.shortcuts: list[np.ndarray] = []
        binary = False
        for i in node.inputs:
            source = network.by_name[i]
            if isinstance(source, FloatConv2d | FloatLinear):
                z = weighted_sum(source, trits[i], streams[source.input])
                self.sums.append(z.astype(np.int64))
                binary |= source.kind == "binary"
            else:
                self.shortcuts.append(streams[i])
        self.stuck = unit.constant & binary

    def choose(self, fixed: int | None) -> tuple[NeuronRule, float, int]:
        """(rule, mismatch, silent channels) at the fixed F, or at the smallest that is good."""
        if fixed is None and is_lossless(self.node, self.unit, self.steps):
            fixed = 0
        best: tuple[NeuronRule, float, int] | None = None
        for fraction in FRACTION_RANGE if fixed is None else [fixed]:
            rule, silent = fold_rule(self.node, self.unit, self.steps, fraction, self.tolerance)
            if self.stuck.any():
                fires = self.real[0][:, 0, :, 0, 0]
                rule = pattern_rule(self.node, rule, fires, self.unit, self.stuck)
            mismatch, spikes = self._compare(rule)
            if best is None or mismatch < best[1]:
                best, self.spikes = (rule, mismatch, silent), spikes
            if mismatch <= MISMATCH:
                break
        assert best is not None
        return best

    def _compare(self, rule: NeuronRule) -> tuple[float, np.ndarray]:
        """(share of sites that differ, integer spikes); a membrane readout compares classes."""
        from sterna.golden.exact import scan, torch  # here: importing gen does not import torch

        shortcuts = [torch.from_numpy(s) for s in self.shortcuts]
        done = scan([torch.from_numpy(z) for z in self.sums], rule, self.steps, shortcuts)
        spikes, v = done.spikes.numpy(), done.v.numpy()
        if isinstance(self.node, FloatReadout) and self.node.mode == "membrane":
            real = self.real[1].reshape(len(v), -1).argmax(1)
            return float(np.mean(v.reshape(len(v), -1).argmax(1) != real)), spikes
        return float(np.mean(spikes != self.real[0])), spikes
