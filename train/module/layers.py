"""Layers of a recipe as nodes of a FloatNetwork.

Layers are written as in papers: ``32C5s2p2`` is a convolution to 32 channels, kernel 5, stride 2,
padding 2, followed by neurons; ``32C3p1-MP2`` (``-AP2``) the same with a max pool (average pool)
of 2 x 2 between its batch norm and its neurons; ``128FC`` a full connection followed by neurons;
``P2sum``, ``P2max``, ``P2or``, ``P2avg``, ``P2first`` a pool of spikes, ``P3s2p1or`` with a stride
of 2 and padding; ``FC10`` (last) the readout's full connection to 10 classes. Tables:

``{ block = [layers], skips = [[i, j, "ASC"], ...] }``  the output of the block's layer i (0: what
enters the block) also enters its layer j >= i+2, added to it (ASC) or as more channels (DSC);
``{ residual = [layers], coef = 4, shift = 1 }``  what enters is added before the last layer's
neurons: its spikes, worth ``coef`` units of the last convolution's sum each, or where shapes
differ a convolution 1 x 1 of them, worth ``2**shift`` units.
"""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
)
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.rule import MAX_SHIFT
from sterna.golden.words.names import meant, show
from sterna.train.module.settings import check_settings

__all__ = ["Layers"]

LATENT = 0.1  # latent weights start uniform in +-0.1 (METHODS: what worked)
COEFFICIENT = 4  # of an identity shortcut: about the deviation of a sum over 16 x 3 x 3 spikes
SHIFT = 1  # of a 1 x 1 shortcut, whose sum is narrower
MOST_WEIGHTS = 1 << 28  # of a network: 1 GiB as float32, and three times that to train them
SKIPS = {"ASC": ("add", "add"), "DSC": ("concat", "cat")}  # mode of the merge, its name

_N = r"([1-9]\d{0,17})"  # not so long that Python refuses to read it
_WINDOW = rf"{_N}(?:s{_N})?(?:p(\d{{1,18}}))?"  # side, stride, padding
_CONV = re.compile(rf"{_N}C{_WINDOW}(?:-([MA])P{_WINDOW})?\Z")
_FULL = re.compile(rf"{_N}FC\Z")
_POOL = re.compile(rf"P{_WINDOW}(sum|avg|max|or|first)\Z")
_LAST = re.compile(rf"FC{_N}\Z")


class Layers:
    """A network under construction. ``head`` is the node that the next layer reads; layers are
    counted from 1 through all blocks, and nodes carry that number."""

    def __init__(self, where: str, settings: dict[str, Any], seed: int) -> None:
        self.where = where
        d = dict(settings)
        check_settings(where, d)
        self.steps, shape = d.pop("steps"), tuple(d.pop("shape"))
        self.kind = d.pop("kind", "ternary")
        for key in ("weight_threshold", "activation"):  # read by whoever trains
            d.pop(key, None)
        self.neuron, self.readout = d.pop("neuron", {}), d.pop("readout", {})
        self.coding = d.get("coding", "direct")
        entry = FloatInput(
            "image", shape, d.pop("coding", "direct"), d.pop("bits", None), d.pop("seed", 0)
        )
        if d:
            raise UsageError(f"{where}: [network] key '{min(d)}' is unknown; remove it")
        self.rng = np.random.default_rng(seed)
        self.nodes: list[FloatNode] = [entry]
        self.shape: dict[str, tuple[int, int, int]] = {"image": shape}
        self.head = "image"
        self.count = 0
        self._weights, self._text = 0, ""  # drawn so far, and the layer they are drawn for

    def network(self) -> FloatNetwork:
        """What has been added so far."""
        return FloatNetwork(self.steps, self.nodes)

    def add(self, entry: Any) -> None:
        """One entry of a recipe's ``layers``. UsageError where it is not understood."""
        if isinstance(entry, str):
            self._layer(entry)
        elif isinstance(entry, dict) and "block" in entry:
            self._block(entry)
        elif isinstance(entry, dict) and "residual" in entry:
            self._residual(entry)
        else:
            raise UsageError(
                f"{self.where}: layer {entry!r} is not understood; write a text, "
                "{ block = [...], skips = [...] } or { residual = [...] }"
            )

    # -- plain layers --------------------------------------------------------------------------

    def _put(self, *nodes: FloatNode) -> None:
        for node in nodes:
            self.nodes.append(node)
            # a stand-in readout lets the network say the shapes of an unfinished chain
            part = [n for n in self._before(node) if not isinstance(n, FloatReadout)]
            end = node.name if not isinstance(node, FloatReadout) else node.inputs[0]
            try:
                made = FloatNetwork(self.steps, [*part, FloatReadout("end_of_chain", (end,))])
            except NetworkError as e:
                raise NetworkError(f"{self.where}: layer '{self._text}': {e}") from e
            self.shape[node.name] = made.shape[end]
            self.head = node.name

    def _before(self, node: FloatNode) -> list[FloatNode]:
        """The node and all it depends on."""
        wanted, stack = set(), [node.name]
        by_name = {n.name: n for n in self.nodes}
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                stack.extend(by_name[name].inputs)
        return [n for n in self.nodes if n.name in wanted]

    def _draw(self, *shape: int) -> np.ndarray:
        self._weights += math.prod(shape)
        if self._weights > MOST_WEIGHTS:  # before memory is asked for
            raise UsageError(
                f"{self.where}: layer '{self._text}' has {math.prod(shape)} weights; a network may "
                f"have {MOST_WEIGHTS} in all: make its layers smaller"
            )
        return self.rng.uniform(-LATENT, LATENT, shape).astype(np.float32)

    def _layer(self, text: str) -> None:
        self.count += 1
        k, source, self._text = self.count, self.head, text
        if any(isinstance(n, FloatReadout) for n in self.nodes):
            raise UsageError(f"{self.where}: layer '{text}' comes after the last one; remove it")
        size = math.prod(self.shape[source])
        if m := _CONV.match(text):
            groups = m.groups()
            out, kernel, stride, pad = (int(g or d) for g, d in zip(groups, (0, 0, 1, 0)))
            pool, sums = f"pool{k}", f"conv{k}"
            if pad >= kernel:
                raise UsageError(
                    f"{self.where}: layer '{text}': padding {pad} must be smaller than the kernel"
                )
            self._put(self._conv(sums, source, out, kernel, stride, pad))
            if groups[4]:
                mode = {"M": "max", "A": "avg"}[groups[4]]
                self._put(_pool(pool, sums, mode, *groups[5:]))
                sums = pool
            self._put(FloatNeuron(f"spike{k}", (sums,), **self.neuron))
        elif m := _FULL.match(text):
            out = int(m[1])
            weight = self._draw(out, size)
            self._put(
                FloatLinear(f"full{k}", source, weight, self.kind, norm=_norm(out)),
                FloatNeuron(f"spike{k}", (f"full{k}",), **self.neuron),
            )
        elif m := _POOL.match(text):
            self._put(_pool(f"pool{k}", source, m[4], m[1], m[2], m[3]))
        elif m := _LAST.match(text):
            out = int(m[1])
            weight = self._draw(out, size) * np.float32(5 / np.sqrt(size))  # logits of about 1
            bias = np.zeros(out, np.float32)
            self._put(
                FloatLinear(f"full{k}", source, weight, self.kind, bias=bias),
                FloatReadout("readout", (f"full{k}",), **self.readout),
            )
        else:
            raise UsageError(
                f"{self.where}: layer {show(text)} is not understood; write 32C5s2p2, 32C3p1-MP2, "
                "128FC, P2sum, P2max, P2or, P2avg, P2first or FC10"
            )

    def _conv(
        self, name: str, source: str, out: int, kernel: int, stride: int, pad: int
    ) -> FloatConv2d:
        weight = self._draw(out, self.shape[source][0], kernel, kernel)
        padding = (pad, pad, pad, pad)
        return FloatConv2d(
            name, source, weight, (stride, stride), padding, 1, self.kind, norm=_norm(out)
        )

    # -- blocks with skips ---------------------------------------------------------------------

    def _block(self, entry: dict[str, Any]) -> None:
        layers = self._layers_of(entry, "block", {"skips"})
        given = entry.get("skips", [])
        if not isinstance(given, list):
            raise UsageError(
                f'{self.where}: skips {given!r} is not a list; write [[0, 2, "ASC"], ...]'
            )
        skips = [self._skip(s, len(layers)) for s in given]
        seen: set[tuple[int, int]] = set()
        for i, j, _ in skips:
            if (i, j) in seen:
                raise UsageError(f"{self.where}: skip [{i}, {j}] is given twice; remove one")
            seen.add((i, j))
        outputs = [self.head]
        for j, text in enumerate(layers, 1):
            for type_ in SKIPS:  # what is added first has the channels of layer j-1
                joined = [outputs[i] for i, to, kind in skips if to == j and kind == type_]
                if joined:
                    self._join(type_, joined)
            self._layer(text)
            outputs.append(self.head)

    def _join(self, type_: str, others: list[str]) -> None:
        mode, word = SKIPS[type_]
        main = self.shape[self.head]
        if "image" in others and self.coding == "direct":
            raise UsageError(
                f"{self.where}: a skip from layer 0 would merge the image's pixels with spikes; "
                "put a convolution before the block"
            )
        for other in others:
            shape = self.shape[other]
            if shape[1:] != main[1:] or (mode == "add" and shape[0] != main[0]):
                raise UsageError(
                    f"{self.where}: the {type_} skip from '{other}' {shape} to layer "
                    f"{self.count + 1} does not fit its input '{self.head}' {main}; "
                    + (
                        "use DSC, or equal channels"
                        if shape[1:] == main[1:]
                        else "skip only where height and width stay"
                    )
                )
        name = f"{word}{self.count + 1}"
        self._put(FloatMerge(name, (self.head, *others), mode))

    def _skip(self, skip: Any, count: int) -> tuple[int, int, str]:
        if not (
            isinstance(skip, list) and len(skip) == 3 and all(type(v) is int for v in skip[:2])
        ):
            raise UsageError(
                f'{self.where}: skip {skip!r} is not understood; write [0, 2, "ASC"]: the output '
                "of layer 0 (what enters the block) joins the input of layer 2"
            )
        i, j, kind = skip
        if not isinstance(kind, str) or kind not in SKIPS:
            raise UsageError(
                f"{self.where}: skip [{i}, {j}] has type {kind!r}; choose ASC (add) or DSC (concat)"
            )
        if not 0 <= i <= j - 2 or j > count:
            raise UsageError(
                f"{self.where}: skip [{i}, {j}] is not possible in a block of {count} layers; "
                f"i >= 0 and i + 2 <= j <= {count}, since layer j reads layer j-1 anyway"
            )
        return i, j, kind

    def _layers_of(self, entry: dict[str, Any], key: str, others: set[str]) -> list[str]:
        for unknown in sorted(set(entry) - {key} - others):
            raise UsageError(
                f"{self.where}: {key} has the unknown key '{unknown}'"
                f"{meant(unknown, (key, *others))}; remove it"
            )
        layers = entry[key]
        if not (isinstance(layers, list) and layers and all(isinstance(t, str) for t in layers)):
            raise UsageError(
                f'{self.where}: {key} {layers!r} is not a list of layers; write ["32C3p1", ...]'
            )
        if last := [t for t in layers if _LAST.match(t)]:
            raise UsageError(f"{self.where}: '{last[0]}' is inside a {key}; put it after all of it")
        return layers

    # -- adds before the neuron ----------------------------------------------------------------

    def _residual(self, entry: dict[str, Any]) -> None:
        layers = self._layers_of(entry, "residual", {"coef", "shift"})
        coef = self._number(entry, "coef", COEFFICIENT, 1, 1 << MAX_SHIFT)
        shift = self._number(entry, "shift", SHIFT, 0, MAX_SHIFT)
        start = self.head
        for text in layers:
            self._layer(text)
        conv, neuron = self.nodes[-2:]
        if not isinstance(conv, FloatConv2d) or not isinstance(neuron, FloatNeuron):
            raise UsageError(
                f"{self.where}: residual ends in '{layers[-1]}'; end it in a convolution"
            )
        if start == "image" and self.coding == "direct":
            raise UsageError(
                f"{self.where}: a residual cannot add the image's pixels to sums of spikes; put a "
                "convolution before it"
            )
        k, main, shape = self.count, self.shape[conv.name], self.shape[start]
        if shape == main:
            unit, shortcut = 1 / coef, start
        else:
            unit, shortcut = 1.0, f"short{k}"
        self.nodes[-2:] = [replace(conv, norm=None, unit=unit)]
        if shortcut != start:
            stride = -(-shape[1] // main[1])
            short = self._conv(shortcut, start, main[0], 1, stride, 0)
            self._put(replace(short, norm=None, unit=unit * 2**shift))
            if self.shape[shortcut] != main:
                raise UsageError(
                    f"{self.where}: a residual from '{start}' {shape} to {main} cannot be bridged "
                    f"by a 1 x 1 convolution with stride {stride}; pad its convolutions"
                )
        channels = main[0]
        self._put(replace(neuron, inputs=(conv.name, shortcut), norm=_norm(channels)))

    def _number(self, entry: dict[str, Any], key: str, default: int, least: int, most: int) -> int:
        value = entry.get(key, default)
        if type(value) is not int or not least <= value <= most:
            raise UsageError(
                f"{self.where}: residual {key} {value!r} is not a whole number from {least} to "
                f"{most}; correct it"
            )
        return value


def _pool(
    name: str, source: str, mode: str, side: str, stride: str | None, pad: str | None
) -> FloatPool:
    k, s, p = int(side), int(stride or side), int(pad or 0)
    return FloatPool(name, source, mode, (k, k), (s, s), padding=(p, p, p, p))


def _norm(channels: int) -> BatchNorm:
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return BatchNorm(ones, zeros, zeros, ones)
