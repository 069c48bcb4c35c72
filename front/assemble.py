"""From the expressions of one step to a ``FloatNetwork``, with a verdict for every part.

Every front end that has expressions ends here. A value is a stream of spikes, weighted sums that a
neuron still has to add up, or the pixels; what a layer may read of them is decided once, below.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sterna.front.cell import Cell
from sterna.front.expression import Expr, Output, at
from sterna.front.report import APPROXIMATED, EXACT, SUBSTITUTED, Report
from sterna.front.values import (
    Value,
    by_group,
    check_reads,
    composed,
    kind_of,
    neuron_of,
    per_input,
    plain,
    readout_of,
    times,
    unscaled,
    window_of,
)
from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeurons,
    FloatNode,
    FloatPool,
    Weighted,
)
from sterna.gen.quantize.scales import check_classes, refusal
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import Scope, legal_name

__all__ = ["Assembled", "assemble"]


@dataclass(frozen=True)
class Assembled:
    """A network, the verdicts, and the node that each cell (by module path) became."""

    network: FloatNetwork
    report: Report
    cells: dict[str, str]


def assemble(
    steps: int,
    source: FloatInput,
    cells: dict[str, tuple[Cell, Expr]],
    output: Output,
    kind: str = "module",
) -> Assembled:
    """The network of ``output``, whose cells (by path) are what ``cells`` says, each with the
    expression that it reads. NetworkError: what cannot be built, with the path in the user's model
    or graph, whose parts are called ``kind`` (a model's 'module', a graph's 'node')."""
    builder = _Builder(steps, source, cells, kind)
    builder.readout(output)
    network = FloatNetwork(steps, builder.nodes)
    last = [v.path for v in builder.report.verdicts if v.node in network.readout.inputs]
    check_classes(network, builder.at(last[-1] if last else ""))
    for node in network.nodes:
        if isinstance(node, FloatNeurons) and (why := refusal(network, node)):
            builder.report.note(node.name, f"`quantize` refuses it as it is: {why}")
    return Assembled(network, builder.report, builder.cell_nodes)


class _Builder:
    def __init__(
        self, steps: int, source: FloatInput, cells: dict[str, tuple[Cell, Expr]], kind: str
    ) -> None:
        self.steps, self.kind = steps, kind
        self.cells = cells
        self.nodes: list[FloatNode] = [source]
        self.source = source
        self.report = Report()
        self.report.add("", f"input {source.coding}", EXACT, node=source.name)
        self.cell_nodes: dict[str, str] = {}
        self.scope = Scope([source.name])
        self.ones: set[str] = set()  # layers that carry spikes to a neuron
        self._values: dict[int, Value] = {}

    def at(self, path: str) -> str:
        return at(path, self.kind)

    def value(self, expr: Expr) -> Value:
        """Of an expression, made once; without recursion over long networks."""
        todo = [expr]
        while todo:
            e = todo[-1]
            if id(e) in self._values:
                todo.pop()
                continue
            missing = [n for n in self._reads(e) if id(n) not in self._values]
            if missing:
                todo += missing
                continue
            self._values[id(e)] = self._make(e)
            todo.pop()
        return self._values[id(expr)]

    def _make(self, e: Expr) -> Value:
        make = getattr(self, f"_{e.kind}", None)
        if make is None:
            raise NetworkError(
                f"{self.at(e.path)}: a {e.kind} of the steps is used inside the network; it can "
                "only be the output"
            )
        reads = self._reads(e)
        check_reads(self.at(e.path), e, reads, [self._values[id(r)].shape for r in reads])
        return make(e)

    def _reads(self, e: Expr) -> list[Expr]:
        return [self.cells[e.path][1]] if e.kind == "cell" else list(e.args)

    def _input(self, e: Expr) -> Value:
        kind = "pixels" if self.source.coding == "direct" else "spikes"
        return Value(kind, self.source.shape, node=self.source.name)

    def _cell(self, e: Expr) -> Value:
        if e.part != 0:
            raise NetworkError(
                f"{self.at(e.path)}: its membrane is read by another layer; let that read its "
                "spikes"
            )
        if e.path in self.cell_nodes:
            node = self.cell_nodes[e.path]
            shape = self._values[id(self.cells[e.path][1])].shape
            return Value("spikes", shape, node=node)
        cell, read = self.cells[e.path]
        sums = self._gained(cell, self._sums(self.value(read), e.path), e.path)
        name = self._name(e.path)
        self.cell_nodes[e.path] = name
        self.nodes.append(neuron_of(name, cell, sums))
        self._told(e.path, "neuron", cell, name)
        return Value("spikes", sums.shape, node=name)

    def _told(self, path: str, what: str, cell: Cell, node: str) -> None:
        verdict = APPROXIMATED if cell.approximated else EXACT
        self.report.add(path, what, verdict, "; ".join(cell.approximated or cell.notes), node)

    def _weighted(self, e: Expr) -> Value:
        read = e.args[0]
        pad = (0, 0, 0, 0)
        source = self.value(read)
        while read.kind == "pad":
            pad = tuple(a + b for a, b in zip(pad, read.values["padding"], strict=True))
            read = read.args[0]
            source = self.value(read)
        if self.ones & set(source.terms):
            raise NetworkError(
                f"{self.at(e.path)}: reads spikes that are added with factors or constants (as "
                "a + 0.5*b), which are no spikes; add them as they are, or put a spiking neuron "
                "behind the sum"
            )
        if source.kind == "sums":
            raise NetworkError(
                f"{self.at(e.path)}: reads weighted sums ({', '.join(source.terms)}) with no "
                "neuron between, which are no spikes; put a spiking neuron there, or multiply the "
                "two weights into one layer"
            )
        weight, bias = e.values["weight"], e.values["bias"]
        if source.kind == "pixels":
            source = self._plain_pixels(source, e.path)
        name = self._name(e.path)
        bias = self._offset_bias(e, source, weight, bias, pad)
        if e.kind == "linear":
            weight = weight * per_input(source.gain, source.shape)
            if weight.shape[1] != int(np.prod(source.shape)):
                raise NetworkError(
                    f"{self.at(e.path)}: a linear layer along the last axis of {source.shape}; "
                    "flatten its input first"
                )
            node: FloatNode = FloatLinear(name, source.node, weight, kind_of(weight), bias)
            shape = (len(weight), 1, 1)
        else:
            node, shape = self._convolution(e, name, source, weight, bias, pad)
        self.nodes.append(node)
        told = f"weights are {node.kind}"
        if node.kind == "real":
            told += "; `calibrate` and `sterna train --from` make them ternary"
        size = "x".join(map(str, weight.shape))
        self.report.add(e.path, f"{e.kind} {size}", EXACT, told, name)
        return Value("sums", shape, terms=(name,))

    _conv = _linear = _weighted

    def _offset_bias(
        self, e: Expr, source: Value, weight: np.ndarray, bias: Any, pad: tuple[int, ...]
    ) -> Any:
        """A bias that takes in what is added to the spikes, as -1 is to those of +-1: under a
        whole window it is the same number at every place."""
        offset = np.broadcast_to(np.asarray(source.offset, np.float64), (source.shape[0],))
        if not offset.any():
            return bias
        if e.kind == "linear":
            added = weight @ per_input(offset, source.shape)
        else:
            if any(e.values["padding"]) or any(pad):
                raise NetworkError(
                    f"{self.at(e.path)}: reads spikes with a constant added (as +-1 are), between "
                    "which its padding is neither; use padding 0, or spikes of 0 and 1"
                )
            rows = by_group(offset, e.values["groups"], len(weight))
            added = (weight.sum((2, 3)) * rows).sum(1)
        return added if bias is None else added + np.asarray(bias, np.float64)

    def _convolution(
        self, e: Expr, name: str, source: Value, weight: np.ndarray, bias: Any, pad: Any
    ) -> tuple[FloatConv2d, tuple[int, int, int]]:
        v = e.values
        gain = np.broadcast_to(np.asarray(source.gain, np.float64), (source.shape[0],))
        if not np.all(gain == 1):
            weight = weight * by_group(gain, v["groups"], len(weight))[:, :, None, None]
        padding = tuple(a + b for a, b in zip(v["padding"], pad, strict=True))
        how: Any = v["stride"], padding, v["groups"], kind_of(weight), bias
        node = FloatConv2d(name, source.node, weight, *how, dilation=tuple(v["dilation"]))
        return node, node.shape_of([source.shape])

    def _plain_pixels(self, value: Value, path: str) -> Value:
        """Pixels as they are: an affine in front of them is the input's mean and deviation."""
        if unscaled(value):
            return value
        if self.source.mean is not None or self.source.std is not None or np.any(value.gain == 0):
            raise NetworkError(
                f"{self.at(path)}: normalises pixels that mean= and std= normalise already"
            )
        std = 1 / np.asarray(value.gain, np.float64)
        mean = -np.asarray(value.offset, np.float64) * std
        known = self.nodes[0]
        assert isinstance(known, FloatInput)
        if known.mean is None:
            self.nodes[0] = replace(known, mean=plain(mean), std=plain(std))
            self.report.add(
                "", "normalised pixels", EXACT, "the input's mean and deviation", known.name
            )
        elif not (np.array_equal(known.mean, mean) and np.array_equal(known.std, std)):
            raise NetworkError(f"{self.at(path)}: pixels are normalised in two ways; use one")
        return replace(value, gain=1.0, offset=0.0)

    def _pad(self, e: Expr) -> Value:
        return self.value(e.args[0])  # its reader looks through it

    def _norm(self, e: Expr) -> Value:
        v = e.values
        norm = BatchNorm(v["gamma"], v["beta"], v["mean"], v["var"], v["eps"])
        return self._scaled(e, norm, "batch norm")

    def _affine(self, e: Expr) -> Value:
        source = self.value(e.args[0])
        gain, offset = (np.asarray(e.values[k], np.float64) for k in ("gain", "offset"))
        if source.kind in ("pixels", "spikes"):
            return replace(
                source,
                gain=plain(source.gain * gain),
                offset=plain(np.asarray(source.offset) * gain + offset),
            )
        return self._scaled(e, times(source, gain, offset), "constant")

    def _gained(self, cell: Cell, sums: Value, path: str) -> Value:
        """Sums behind the gain that a neuron multiplies its input by."""
        if cell.gain == 1:
            return sums
        return self._behind(path, sums, times(sums, cell.gain), "input gain")

    def _scaled(self, e: Expr, norm: BatchNorm, what: str) -> Value:
        return self._behind(e.path, self._sums(self.value(e.args[0]), e.path), norm, what)

    def _behind(self, path: str, source: Value, norm: BatchNorm, what: str) -> Value:
        """An affine behind sums goes to the layer where it stands alone, else to the neuron."""
        if len(source.terms) == 1 and source.norm is None:
            k = next(i for i, n in enumerate(self.nodes) if n.name == source.terms[0])
            node = self.nodes[k]
            if isinstance(node, Weighted):
                self.nodes[k] = replace(node, norm=composed(node.norm, norm))
                self.report.add(path, what, EXACT, "folded into the layer before", node.name)
                return source
        largest = {n.name for n in self.nodes if isinstance(n, FloatPool) and n.mode == "max"}
        if largest & set(source.terms) and np.any(norm.affine()[0] < 0):
            raise NetworkError(
                f"{self.at(path)}: a {what} with a negative factor behind a max pool of sums needs "
                "their minimum, which is not built; put it in front of the pool, or keep the "
                "factor positive"
            )
        self.report.add(path, what, EXACT, "folded into the neuron behind")
        return replace(source, norm=composed(source.norm, norm))

    def _pool(self, e: Expr) -> Value:
        source, v = self.value(e.args[0]), e.values
        mode = op = v["op"]
        if source.kind == "pixels":
            raise NetworkError(
                f"{self.at(e.path)}: pools pixels; put a convolution and its neuron in front, or "
                "give images of that size"
            )
        if source.kind == "sums":
            return self._pooled_sums(e, source)
        if mode == "max" and np.any(np.asarray(source.gain) < 0):
            raise NetworkError(
                f"{self.at(e.path)}: a max pool of spikes with a negative factor (-s, 1 - s) needs "
                "their minimum, which is not built; let it read s, and train again"
            )
        if mode == "avg" and any(v["padding"]) and np.any(np.asarray(source.offset) != 0):
            raise NetworkError(
                f"{self.at(e.path)}: averages padding and spikes with a constant added, which "
                "cannot be built; use padding 0, or spikes of 0 and 1"
            )
        if mode == "avg" and v["divisor"] is not None:
            size = v["kernel"][0] * v["kernel"][1]
            offset = plain(np.asarray(source.offset) * size / v["divisor"])
            gain = plain(source.gain / v["divisor"])
            mode, source = ("sum", replace(source, gain=gain, offset=offset))
            if v["divisor"] == size:
                mode, source = "avg", replace(source, gain=plain(source.gain * size))
        name = self._name(e.path)
        self.nodes.append(node := FloatPool(name, source.node, mode, **window_of(v)))
        self.report.add(e.path, f"{op} pool {v['kernel'][0]}x{v['kernel'][1]}", EXACT, node=name)
        return replace(source, node=name, shape=node.shape_of([source.shape]))

    def _pooled_sums(self, e: Expr, source: Value) -> Value:
        v, mode = e.values, e.values["op"]
        if len(source.terms) != 1 or source.norm is not None:
            raise NetworkError(
                f"{self.at(e.path)}: pools the total of several layers; pool each of them, or "
                "behind the neuron"
            )
        name = self._name(e.path)
        divisor = v["divisor"] if mode == "avg" else None
        mode = mode if divisor is None else "sum"
        self.nodes.append(node := FloatPool(name, source.terms[0], mode, **window_of(v)))
        self.report.add(e.path, f"{e.values['op']} pool of sums", EXACT, node=name)
        source = replace(source, terms=(name,), shape=node.shape_of([source.shape]))
        if divisor in (None, 1):
            return source
        return self._behind(e.path, source, times(source, 1 / divisor), "divisor")

    def _flatten(self, e: Expr) -> Value:
        return self.value(e.args[0])

    def _order(self, e: Expr) -> Value:
        raise NetworkError(
            f"{self.at(e.path)}: a softmax cannot be built in a network; use a neuron"
        )

    def _add(self, e: Expr) -> Value:
        a, b = (self.value(x) for x in e.args)
        if a.shape != b.shape:
            raise NetworkError(
                f"{self.at(e.path)}: adds {a.shape} and {b.shape}; add one shape only"
            )
        if a.kind == b.kind == "spikes" and unscaled(a) and unscaled(b):
            return self._merge(e, "add", (a, b))
        a, b = self._sums(a, e.path), self._sums(b, e.path)
        if a.norm is not None or b.norm is not None:
            raise NetworkError(
                f"{self.at(e.path)}: a batch norm over the total of several layers is followed by "
                "another sum, which cannot be built; normalise once, at the end"
            )
        return Value("sums", a.shape, terms=a.terms + b.terms)

    def _mul(self, e: Expr) -> Value:
        a, b = (self.value(x) for x in e.args)
        if a.kind == b.kind == "spikes":
            if unscaled(a) and unscaled(b):
                return self._merge(e, "and", (a, b))
            for x, y in ((a, b), (b, a)):  # x * (1 - y)
                if unscaled(x) and np.all(y.gain == -1) and np.all(y.offset == 1):
                    return self._merge(e, "andnot", (x, replace(y, gain=1.0, offset=0.0)))
        raise NetworkError(
            f"{self.at(e.path)}: a product of two streams that are not both spikes (or one minus "
            "spikes) cannot be built; add them, or put a neuron behind each"
        )

    def _concat(self, e: Expr) -> Value:
        parts = [self.value(x) for x in e.args]
        if not all(p.kind == "spikes" and unscaled(p) for p in parts):
            raise NetworkError(
                f"{self.at(e.path)}: only spikes can be concatenated; put a neuron in front"
            )
        return self._merge(e, "concat", tuple(parts))

    def _merge(self, e: Expr, mode: str, parts: tuple[Value, ...]) -> Value:
        name = self._name(e.path or mode)
        self.nodes.append(FloatMerge(name, tuple(p.node for p in parts), mode))
        self.report.add(e.path, f"{mode} of spikes", EXACT, node=name)
        c, h, w = parts[0].shape
        c = sum(p.shape[0] for p in parts) if mode == "concat" else c
        return Value("spikes", (c, h, w), node=name)

    def _sums(self, value: Value, path: str) -> Value:
        """What a neuron can read: sums as they are; spikes or pixels by a layer of ones."""
        if value.kind == "sums":
            return value
        c, h, w = value.shape
        self.ones.add(name := self._name(f"{path}_input" if path else "input_layer"))
        gain = np.broadcast_to(np.asarray(value.gain, np.float64), (c,))
        offset = np.broadcast_to(np.asarray(value.offset, np.float64), (c,))
        weight = np.ones((c, 1, 1, 1)) * gain.reshape(c, 1, 1, 1)
        bias = None if np.all(offset == 0) else offset
        self.nodes.append(
            FloatConv2d(name, value.node, weight, groups=c, kind=kind_of(weight), bias=bias)
        )
        self.report.add(
            path,
            "1x1 layer",
            SUBSTITUTED,
            "one weight a channel carries spikes to the neuron",
            name,
        )
        return Value("sums", value.shape, terms=(name,))

    def readout(self, output: Output) -> None:
        expr, mode = output.expr, output.mode
        while expr.kind in ("flatten", "order"):
            expr = expr.args[0]
        check_reads(self.at(expr.path), Expr("output", ""), [expr], [])
        name = self.scope.name("readout")
        if expr.kind == "cell":
            cell, read = self.cells[expr.path]
            sums = self._gained(cell, self._sums(self.value(read), expr.path), expr.path)
            if mode == "membrane" and not cell.membrane:
                cell = replace(
                    cell,
                    reset="none",
                    approximated=(
                        *cell.approximated,
                        "its membrane is read and it resets; ours is never reset",
                    ),
                )
            self.cell_nodes[expr.path] = name
            self.nodes.append(readout_of(name, cell, sums, mode))
            self._told(expr.path, f"output: {mode}", cell, name)
            return
        sums = self._sums(self.value(expr), expr.path)
        self.nodes.append(readout_of(name, Cell(output.leak, reset="none"), sums, "membrane"))
        self.report.add(expr.path, "output: sum over time", EXACT, node=name)

    def _name(self, path: str) -> str:
        return self.scope.name(legal_name(path or "node"))
