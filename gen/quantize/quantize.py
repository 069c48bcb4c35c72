"""FloatNetwork -> integer Network: the one place where real numbers become hardware integers.

Batch norms, weight scales, negative gains, pool divisors, '>' against '>=' and the fraction bits F
are decided here and nowhere else (docs/design.md). Each channel is divided by the real value of
one integer unit of its weighted sum, so only threshold, reset_by, bias and v_init carry reals.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.quantize.arguments import batch_axis, check_arguments
from sterna.gen.quantize.float_network import (
    FloatNetwork,
    FloatNeuron,
    FloatNeurons,
    FloatReadout,
    StreamMaker,
    Weighted,
)
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.neuron_rules import (
    Unit,
    approximated,
    decays_of,
    integer_rule,
    is_lossless,
    pattern_rule,
)
from sterna.gen.quantize.reference import (
    at_decision,
    float_classes,
    order_of,
    reference,
    walk,
    weighted_sum,
)
from sterna.gen.quantize.run_record import finished_record
from sterna.gen.quantize.scales import find_unit, trits_of
from sterna.golden.bounds import RANK_BITS, node_bounds, rule_bounds, signed_bits, wide_registers
from sterna.golden.errors import NetworkError
from sterna.golden.files.network_files import save
from sterna.golden.network import MAX_VALUE, Network
from sterna.golden.nodes import Made, Node
from sterna.golden.rule import MAX_FRACTION, NeuronRule
from sterna.golden.words.shares import accuracy_text
from sterna.golden.words.shown import Shown

__all__ = [
    "quantize",
    "quantize_run",
    "QuantizeReport",
    "LayerReport",
    "FRACTION_RANGE",
    "MISMATCH",
]

FRACTION_RANGE = range(2, MAX_FRACTION + 1)
MISMATCH = 1e-3  # of a layer's spikes, of a readout's classes


@dataclass(frozen=True)
class LayerReport:
    """One neuron layer: F, bits of its membrane register, ``mismatch``, channels that are constant
    or can never fire.

    ``mismatch``: the spikes (step, image, channel, y, x) that differ from the float layer's on the
    same inputs, divided by the float layer's spikes (by 1 where it has none); of a readout, the
    share of images whose class differs. ``approximated``: a sentence for each leak or synapse that
    is not what it was.
    """

    name: str
    fraction_bits: int
    width: int
    mismatch: float
    constant: int
    silent: int
    approximated: tuple[str, ...] = ()


@dataclass(repr=False)
class QuantizeReport(Shown):
    """What quantize decided and what it cost; accuracies are None where no labels were given."""

    layers: list[LayerReport] = field(default_factory=list)
    images: int = 0
    accuracy_float: float | None = None
    accuracy_integer: float | None = None
    evaluated: int = 0

    def as_dict(self) -> dict[str, Any]:
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
        rows += [
            f"{r.name}: at no F that fits does less than {MISMATCH:g} of it differ"
            for r in self.layers
            if r.mismatch > MISMATCH
        ]
        rows += [f"{r.name}: {text}" for r in self.layers for text in r.approximated]
        if self.accuracy_float is not None and self.accuracy_integer is not None:
            rows.append(
                f"accuracy on {self.evaluated} images: float {self.accuracy_float:.2%}, "
                f"integer {accuracy_text(self.accuracy_integer, self.evaluated)}"
            )
        return "\n".join(rows)

    def line(self) -> str:
        """It in short."""
        worst = max(self.layers, key=lambda r: r.mismatch, default=None)
        most = "" if worst is None else f", at most {worst.mismatch:.2e} differ ({worst.name})"
        return f"{len(self.layers)} layers on {self.images} images{most}"

    def __str__(self) -> str:
        return self.table()


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
    network : FloatNetwork, or what has one: Imported, Run
    calibration : integers [B,C,H,W], or [T,B,C,H,W] for 'frames'
        Images as ``sterna.run`` takes them, also (images, labels) or an `ImageSet`; the first 256
        are used.
    name : str
        Of the integer network.
    fraction_bits : mapping of str to int, optional
        F by neuron name, where training already chose it; else 0 where that is lossless and the
        smallest of 2 .. 16 that fits 32 bits and whose ``mismatch`` is <= 1e-3 (of a count readout
        also that of its spikes).
    evaluate : (images, labels) or ImageSet, optional
        To report the accuracy of both networks on.
    leak_tolerance : float
        How far a leak may be moved to the nearest 1 - 2**-k1 [- 2**-k2], which costs least; else
        it is the nearest num/4096, and the report says so.

    Returns
    -------
    network : Network
    report : QuantizeReport

    Raises
    ------
    NetworkError
        Something cannot be exact: node, cause, next step.
    UsageError
        Images do not fit.
    """
    if fraction_bits is None:  # what training chose
        fraction_bits = getattr(network, "fraction_bits", None)
    network, images, fraction_bits, evaluate, leak_tolerance = check_arguments(
        network, calibration, name, fraction_bits, evaluate, leak_tolerance
    )
    network = plain_input(network)
    nodes, maximum, trits = _shared_nodes(network)
    signs = _Signs(network, trits)
    report = QuantizeReport(images=images.shape[batch_axis(network)])
    layers: list[tuple[str, float, int, int]] = []
    for node, streams in walk(network, images):
        unit, flips = find_unit(network, node, signs.plain, maximum)
        for source, flip in flips.items():
            trits[source] = signs.turn(source, node.name, flip)
        layer = _Layer(network, node, unit, trits, streams, leak_tolerance)
        rule, mismatch, silent = layer.choose(fraction_bits.get(node.name))
        layers.append((node.name, mismatch, int(unit.constant.sum()), silent))
        if isinstance(node, FloatReadout):
            scale = float(unit.size[0]) / 2**rule.fraction_bits
            scale = 1.0 if node.mode != "membrane" else scale
            nodes[node.name] = node.integer(rule=rule, scale=scale)
        else:
            nodes[node.name] = node.integer(rule=rule)
            streams[node.name] = layer.spikes
    for node_name, of_node in trits.items():
        nodes[node_name] = network.weighted(node_name).integer(weight=of_node)
    result = Network(network.steps, [nodes[n.name] for n in network.nodes], name)
    report.layers = [_layer_report(network, result, *counted) for counted in layers]
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
    result, report = quantize(
        FloatNetwork.load(source), calibration, name=name, fraction_bits=chosen, evaluate=evaluate
    )
    save(result, out)
    return result, report


def _layer_report(
    network: FloatNetwork, result: Network, name: str, mismatch: float, constant: int, silent: int
) -> LayerReport:
    width = node_bounds(result, name).width("u", "v")
    rule, node = result.neuron(name).rule, network.by_name[name]
    assert isinstance(node, FloatNeurons)
    near = approximated(node, rule)
    return LayerReport(name, rule.fraction_bits, width, mismatch, constant, silent, near)


def _evaluate(
    network: FloatNetwork,
    result: Network,
    evaluate: tuple[np.ndarray, np.ndarray],
    report: QuantizeReport,
) -> None:
    from sterna.golden.exact import run  # torch only where accuracies are asked for

    images, labels = evaluate
    report.evaluated = len(labels)
    report.accuracy_float = float(np.mean(float_classes(network, images) == labels))
    report.accuracy_integer = float(np.mean(run(result, images).classes == labels))


class _Signs:
    """Trits of the weighted nodes, turned once for all that read them."""

    def __init__(self, network: FloatNetwork, plain: dict[str, np.ndarray]) -> None:
        self.network, self.plain = network, dict(plain)
        self.readers: dict[str, list[tuple[str, np.ndarray]]] = {}

    def turn(self, name: str, reader: str, flip: np.ndarray) -> np.ndarray:
        """The trits of ``name`` times the gains' signs (0: none) of what reads it. NetworkError
        where another reader's are others.

        Binary weights cannot be 0: where a reader has no gain, any sign does.
        """
        trits, sign = self.plain[name], flip
        for other, old in self.readers.setdefault(name, []):
            clash = trits * flip != trits * old
            if self._binary(name):
                clash &= (flip != 0) & (old != 0)
                sign = np.where(sign == 0, old, sign)
            if clash.any():
                o = int(np.argwhere(clash)[0, 0])
                gains = [("negative", "zero", "positive")[int(f.flat[o]) + 1] for f in (old, flip)]
                raise NetworkError(
                    f"node '{name}': its weights are read by '{other}' with a {gains[0]} gain and "
                    f"by '{reader}' with a {gains[1]} gain (channel {o}), but can be turned for "
                    f"one of them only; give each a copy of '{name}' of its own"
                )
        self.readers[name].append((reader, flip))
        return (trits * np.where(sign == 0, self._binary(name), sign)).astype(np.int8)

    def _binary(self, name: str) -> bool:
        return self.network.by_name[name].kind == "binary"  # type: ignore[union-attr]


def _shared_nodes(
    network: FloatNetwork,
) -> tuple[dict[str, Node], dict[str, int], dict[str, np.ndarray]]:
    """Integer nodes that need no choice, the largest value of each stream, trits by node."""
    nodes: dict[str, Node] = {}
    made: dict[str, Made] = {}
    trits: dict[str, np.ndarray] = {}
    for node in network.nodes:
        given = [made[i] for i in node.inputs if i in made]
        if isinstance(node, StreamMaker) and network.sums(node.name) is None:
            node.check([g.maximum or 0 for g in given])
            nodes[node.name] = whole = node.stream(network.amplitudes(node))
            made[node.name] = m = whole.made(given, network.steps)
            if m.maximum and m.maximum > MAX_VALUE:
                raise NetworkError(
                    f"node '{node.name}': its values reach {m.maximum}, more than {MAX_VALUE}; "
                    "add or pool fewer streams"
                )
        elif isinstance(node, Weighted):
            trits[node.name] = trits_of(node)
        elif isinstance(node, StreamMaker):  # of sums
            nodes[node.name] = node.stream(network.amplitudes(node))
        elif isinstance(node, FloatNeuron):
            made[node.name] = Made(network.shape[node.name], 1, once=node.reset == "once")
    return nodes, {name: m.maximum or 0 for name, m in made.items()}, trits


class _Layer:
    """One neuron layer on the calibration images: tries fractions, keeps the best one's spikes."""

    def __init__(
        self,
        network: FloatNetwork,
        node: FloatNeurons,
        unit: Unit,
        trits: dict[str, np.ndarray],
        streams: dict[str, np.ndarray],
        tolerance: float,
    ) -> None:
        self.node, self.unit, self.tolerance = node, unit, tolerance
        decays_of(node, tolerance)  # refused before anything grows without bounds
        self.steps = network.steps
        self.real, v = reference(network, node, streams, unit.size)
        self.spikes = self.real
        self.classes: np.ndarray | None = None
        if isinstance(node, FloatReadout):
            if node.mode == "first_spike":
                v = reference(network, at_decision(node), streams, unit.size)[1]
            self.classes = order_of(node, self.real, v).argmax(1)
        self.sums: list[np.ndarray] = []
        self.shortcuts: list[np.ndarray] = []
        binary = False
        for i in node.inputs:
            if (found := network.sums(i)) is not None:
                source, pool = found
                z = weighted_sum(source, trits[source.name], streams[source.input])
                z = z.astype(np.int64)
                self.sums.append(z if pool is None else pool.pooled(z))
                binary |= source.kind == "binary"
            else:
                self.shortcuts.append(streams[i])
        self.stuck = unit.constant & binary

    def choose(self, fixed: int | None) -> tuple[NeuronRule, float, int]:
        """(rule, mismatch, silent channels) at the fixed F, or at the smallest that is good."""
        if fixed is None and is_lossless(self.node, self.unit, self.steps):
            fixed = 0
        if fixed is not None:
            rule, silent = self._rule(fixed)
            mismatch, _, self.spikes = self._compare(rule)
            return rule, mismatch, silent
        best: tuple[NeuronRule, float, int] | None = None
        least = np.inf
        for fraction in (*FRACTION_RANGE, 1, 0):
            if best is not None and fraction < FRACTION_RANGE.start:
                break  # these are for layers that have no room for more
            found = self._rule_if_it_fits(fraction)
            if found is None and best is not None:
                break  # nor will more have room
            if found is None:
                continue
            mismatch, worst, spikes = self._compare(found[0])
            if best is None or worst < least:
                best, self.spikes, least = (found[0], mismatch, found[1]), spikes, worst
            if worst <= MISMATCH:
                break
        if best is None:  # whoever looks at the network's bounds says why
            rule, silent = self._rule(0)
            best = rule, 1.0, silent
        return best

    def _rule_if_it_fits(self, fraction: int) -> tuple[NeuronRule, int] | None:
        """None where registers have no room for that F, as ``golden.bounds`` will ask."""
        try:
            rule, silent = self._rule(fraction)
        except NetworkError:
            if fraction == 0:
                raise
            return None
        mode = self.node.mode if isinstance(self.node, FloatReadout) else None
        b = rule_bounds(rule, (self.unit.low, self.unit.high), self.steps)
        ranked = mode != "first_spike" or signed_bits(*b.u) <= RANK_BITS
        return (rule, silent) if ranked and not wide_registers(rule, b, mode) else None

    def _rule(self, fraction: int) -> tuple[NeuronRule, int]:
        rule, silent = integer_rule(self.node, self.unit, self.steps, fraction, self.tolerance)
        if self.stuck.any():
            fires = self.real[:, 0, :, 0, 0]
            rule = pattern_rule(self.node, rule, fires, self.unit, self.stuck)
        return rule, silent

    def _compare(self, rule: NeuronRule) -> tuple[float, float, np.ndarray]:
        """(mismatch as in ``LayerReport``, what F is chosen by, integer spikes): the same but for
        counts, which are to be right beyond their order."""
        from sterna.golden.exact import scan, torch  # here: importing gen does not import torch

        shortcuts = [torch.from_numpy(s) for s in self.shortcuts]
        sums = [torch.from_numpy(z) for z in self.sums]
        done = scan(sums, rule, self.steps, shortcuts)
        spikes, v = done.spikes.numpy(), done.v.numpy()
        differ = float(np.count_nonzero(spikes != self.real) / max(1, np.count_nonzero(self.real)))
        if isinstance(self.node, FloatReadout):
            if self.node.mode == "first_spike":  # whose membranes are those at the first spike
                v = scan(sums, replace(rule, reset="once"), self.steps, shortcuts).v.numpy()
            whole = v.astype(np.float64)
            classes = order_of(self.node, spikes, whole, exact=True).argmax(1)
            wrong = float(np.mean(classes != self.classes))
            return wrong, max(wrong, differ) if self.node.mode == "count" else wrong, spikes
        return differ, differ, spikes
