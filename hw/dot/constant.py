"""The dot product with its weights in the logic: engine ``constant``.

Each output has a compressor tree of its own over the lanes whose weight is not zero. A weight of -1
adds ``~s``, one too many, and a constant of the output takes that back. First, lanes that several
outputs add alike are added once for all (`sterna.hw.dot.sharing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.bounds import signed_bits
from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError
from sterna.hw.dot.compress import check_lanes
from sterna.hw.dot.compressor_tree import CompressorTree, build, cheapest_tree, count_bits
from sterna.hw.dot.sharing import Terms, Triple, share
from sterna.hw.memory.delay import delay
from sterna.hw.once import once

__all__ = ["ConstantDot", "ConstantTrees", "constant_trees"]


@dataclass(frozen=True)
class _Tree:
    """The tree of one output: ``width`` bits of a sum that is ``constant`` too small for now."""

    terms: Terms
    width: int
    constant: int
    tree: CompressorTree | None  # None: no weight but zeros


@dataclass(frozen=True)
class ConstantTrees:
    """How constants are added, from the weights alone.

    early: clocks to the shared sums (their register, where logic between two is short). pop: the
    tree of all spikes, for binary weights where each output counts only the rarer of its two
    weights; side: that one (+1 or -1) of each output. cost: LUTs by the model.
    """

    triples: tuple[Triple, ...]
    outputs: tuple[_Tree, ...]
    early: int
    pop: CompressorTree | None
    side: tuple[int, ...]
    latency: int
    cost: int

    def waits(self, tree: CompressorTree, after: int) -> int:
        """Clocks for which the sum of a tree, whose leaves are there ``after`` so many, waits. The
        subtraction of the popcount ends in a register of its own."""
        return self.latency - (self.pop is not None) - after - tree.latency


def _tree(
    terms: Terms, triples: Sequence[Triple], group: int, top: int | None, family: str, depth: int
) -> _Tree:
    """The tree of one output. top: most bits of the sum; None: it is a count, without a sign."""
    signs = [s for _, s in terms.lanes]
    signs += [s * t for n, s in terms.triples for t in triples[n].signs]
    weight = 2**group - 1
    minus, plus = signs.count(-1) * weight, signs.count(1) * weight
    if not signs:
        return _Tree(terms, 1, 0, None)
    bits = signed_bits(-minus, plus) if top is not None else plus.bit_length()
    width = min(bits, top or bits)
    constant = -minus % (1 << width)
    heights = [constant >> k & 1 for k in range(width)] + [0] * (group + 1)
    for k in range(group):
        heights[k] += len(terms.lanes) + len(terms.triples)
        heights[k + 1] += len(terms.triples)
    # What is beyond the width is a multiple of 2**width: it counts for nothing.
    found = cheapest_tree(heights[:width], width, family, depth=depth if terms.triples else 0)
    return _Tree(terms, width, constant, found)


def _trees_of(
    weights: np.ndarray, group: int, width: int, family: str, common: bool, counted: bool
) -> ConstantTrees:
    """common: look for shared sums; counted: binary weights against the count of all spikes."""
    shape, side, pop = fabric_of(family).tree, (), None
    if counted:
        plus = (weights > 0).sum(1)
        side = tuple(1 if 2 * int(n) <= weights.shape[1] else -1 for n in plus)
        weights = (weights == np.array(side)[:, None]).astype(np.int8)
        pop = cheapest_tree(
            [weights.shape[1]] * group, (weights.shape[1] * (2**group - 1)).bit_length(), family
        )
    triples, terms = share(weights, common)
    early = int(bool(triples) and shape.budget == 1)
    depth = 0 if early else 1
    top = None if counted else width
    trees = [_tree(t, triples, group, top, family, depth) for t in terms]
    latency = max([early + t.tree.latency for t in trees if t.tree] + [pop.latency if pop else 1])
    cost = len(triples) * group * shape.counters[3] + sum(t.tree.cost for t in trees if t.tree)
    if pop is not None:
        cost += pop.cost + len(trees) * width
        latency += 1
    return ConstantTrees(tuple(triples), tuple(trees), early, pop, side, latency, cost)


def constant_trees(
    pe: int,
    simd: int,
    group: int,
    sums: int,
    kind: str,
    depthwise: bool,
    family: str,
    row: int,
    width: int,
) -> ConstantTrees:
    """The cheaper of the ways there are; arguments as of `ConstantDot`, ``sums`` steps of ``group``
    planes a clock."""
    one = _trees_of_step(pe, simd, group, kind, depthwise, family, row, width)
    return replace(one, cost=one.cost * sums)


@lru_cache(maxsize=512)
def _trees_of_step(
    pe: int, simd: int, group: int, kind: str, depthwise: bool, family: str, row: int, width: int
) -> ConstantTrees:
    weights = _weights(pe, simd, kind, depthwise, row)
    ways = [False] + [True] * (kind == "binary" and not depthwise)
    found = [_trees_of(weights, group, width, family, not depthwise, counted) for counted in ways]
    return min(found, key=lambda p: p.cost)


def _weights(pe: int, simd: int, kind: str, depthwise: bool, row: int) -> np.ndarray:
    """int8 (pe, act_lanes) of a row of the weight memory."""
    wb = 2 if kind == "ternary" else 1
    data = np.frombuffer(row.to_bytes(-(-pe * simd * wb // 8), "little"), np.uint8)
    bits = np.unpackbits(data, bitorder="little")[: pe * simd * wb].reshape(pe, simd, wb)
    bits = bits.astype(np.int8)
    own = bits[:, :, 0] - bits[:, :, 1] if wb == 2 else 2 * bits[:, :, 0] - 1
    if not depthwise:
        return own
    out = np.zeros((pe, pe, simd), np.int8)
    out[np.arange(pe), np.arange(pe)] = own
    return out.reshape(pe, pe * simd)


@once
class ConstantDot(wiring.Component):
    """Dot products of binary planes with weights that never change, fully pipelined.

    Parameters: ``pe``, ``simd``, ``tp``, ``bits_per_step``, ``kind``, ``depthwise`` and ``family``
    as of `DotProduct`; ``row``, all weights as one row of a weight memory would hold them;
    ``width``, bits of a result. DesignError for the shapes that `DotProduct` refuses.

    Ports, free running (no enable, no valid):

    - in  ``act``  unsigned(act_lanes*tp), as of `DotProduct`
    - out ``z``    unsigned(pe*sums*width), value of (p, j) at ``(p*sums + j)*width``: the dot
      product itself modulo 2**width, a signed number where it fits

    Attributes: ``latency`` clocks from ``act`` to ``z``, at least 1; ``sums``; ``act_lanes``;
    ``trees``.
    """

    act: Signal
    z: Signal

    def __init__(
        self,
        pe: int,
        simd: int,
        tp: int,
        bits_per_step: int,
        kind: str,
        depthwise: bool = False,
        family: str = "generic",
        *,
        row: int,
        width: int,
    ) -> None:
        check_lanes(pe, simd, tp, bits_per_step, kind, family)
        bits = pe * simd * (2 if kind == "ternary" else 1)
        if not 0 <= row < 1 << bits:
            raise DesignError(f"constant weights: a row outside {bits} unsigned bits; pack it anew")
        self.pe, self.simd, self.tp, self.width = pe, simd, tp, width
        self.sums = max(1, tp // bits_per_step)
        self.group = tp // self.sums
        self.act_lanes = simd * (pe if depthwise else 1)
        self.trees = constant_trees(
            pe, simd, self.group, self.sums, kind, depthwise, family, row, width
        )
        self.latency = self.trees.latency
        super().__init__({"act": In(self.act_lanes * tp), "z": Out(pe * self.sums * width)})

    def _spikes(self, lane: int, plane: int) -> Value:
        """Spikes of plane ``plane`` of each sub-step on one lane: a bit per sub-step."""
        at = [(j * self.group + plane) * self.act_lanes + lane for j in range(self.sums)]
        return Cat(self.act[n] for n in at)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        triples = [self._triple(m, n) for n in range(len(self.trees.triples))]
        lanes: dict[int, list[Value]] = {}
        for tree in self.trees.outputs:
            for lane, _ in tree.terms.lanes:
                if lane not in lanes:
                    lanes[lane] = self._lane(m, lane)
        counts = [self._sum(m, p, triples, lanes) for p in range(self.pe)]
        if self.trees.pop is not None:
            counts = self._counted(m, counts)
        m.d.comb += self.z.eq(Cat(value for values in counts for value in values))
        return m

    def _triple(self, m: Module, number: int) -> list[list[Value]]:
        """Digits of a shared sum in each plane, vectors over the sub-steps."""
        triple, out = self.trees.triples[number], []
        for k in range(self.group):
            bits = [self._spikes(lane, k) for lane in triple.lanes]
            bits = [b if s > 0 else ~b for b, s in zip(bits, triple.signs, strict=True)]
            digits = [
                Signal(self.sums, name=f"common_{number}_{k}_{j}", reset_less=True)
                for j in range(2)
            ]
            domain = m.d.sync if self.trees.early else m.d.comb
            domain += [d.eq(value) for d, value in zip(digits, count_bits(bits), strict=True)]
            out.append(digits)
        return out

    def _lane(self, m: Module, lane: int) -> list[Value]:
        """A lone lane in each plane, as late as the shared sums."""
        planes: list[Value] = [self._spikes(lane, k) for k in range(self.group)]
        return [
            delay(m, v, self.trees.early, f"lane_{lane}_{k}_{{0}}", True)
            for k, v in enumerate(planes)
        ]

    def _sum(
        self,
        m: Module,
        p: int,
        triples: list[list[list[Value]]],
        lanes: dict[int, list[Value]],
    ) -> list[Value]:
        """The sums of output p, one a sub-step, as late as all others."""
        t = self.trees.outputs[p]
        if t.tree is None:
            return [Const(0, self.width) for _ in range(self.sums)]
        leaves: list[list[Value]] = [[] for _ in range(max(t.width, self.group + 1))]
        ones = Const(-1, self.sums)
        for k in range(t.width):
            leaves[k] += [ones] * (t.constant >> k & 1)
        for k in range(self.group):
            leaves[k] += [lanes[n][k] if s > 0 else ~lanes[n][k] for n, s in t.terms.lanes]
            for n, sign in t.terms.triples:
                for j, digit in enumerate(triples[n][k]):
                    leaves[k + j].append(digit if sign > 0 else ~digit)
        digits = build(m, t.tree, leaves[: t.width], f"out{p}", self.sums)
        late = self.trees.waits(t.tree, self.trees.early)
        digits = [delay(m, d, late, f"out{p}_late_{k}_{{0}}", True) for k, d in enumerate(digits)]
        values: list[Value] = [Cat(d[j] for d in digits) for j in range(self.sums)]
        # A count has no sign, and is doubled before it meets the popcount.
        return values if self.trees.pop else [_extend(value, self.width) for value in values]

    def _counted(self, m: Module, counts: list[list[Value]]) -> list[list[Value]]:
        """Of binary weights: twice the count of one kind against the count of all spikes."""
        tree = self.trees.pop
        assert tree is not None
        spikes = [
            [self._spikes(lane, k) for lane in range(self.act_lanes)] for k in range(self.group)
        ]
        digits = build(m, tree, spikes, "pop", self.sums)
        late = self.trees.waits(tree, 0)
        digits = [delay(m, d, late, f"pop_late_{k}_{{0}}", True) for k, d in enumerate(digits)]
        out = []
        for p, (values, side) in enumerate(zip(counts, self.trees.side, strict=True)):
            z = [Signal(self.width, name=f"z_{p}_{j}", reset_less=True) for j in range(self.sums)]
            for j, value in enumerate(values):
                pop = Cat(d[j] for d in digits)
                twice = Cat(Const(0, 1), value)
                m.d.sync += z[j].eq(twice - pop if side > 0 else pop - twice)
            out.append(z)
        return out


def _extend(value: Value, width: int) -> Value:
    """A signed value of at most ``width`` bits in exactly so many."""
    return Cat(value, value[-1].replicate(width - len(value)))
