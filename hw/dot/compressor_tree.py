"""Bit heap and compressor tree: many single bits of given weights become one binary sum.

The tree is drawn up in plain Python from the column heights alone (so cost and latency are known
before elaboration) and then built bit-sliced: every bit of the tree is a *vector* with one position
per tree, so any number of equal trees costs the same number of lines of Verilog.

Counter levels come first, then row adders on carry chains. When to change over is not a rule but
the cheapest of all that were tried, by a LUT cost model of the family (`TreeShape`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from amaranth.hdl import Cat, Const, Module, Signal, Value

from sterna.golden.device.fabric import TreeShape, fabric_of

__all__ = ["Counter", "Adder", "Stage", "CompressorTree", "build", "count_bits", "cheapest_tree"]


@dataclass(frozen=True)
class Counter:
    """Counts the bits ``inputs`` (ids of equal weight) into the ids ``outputs``, low first."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Adder:
    """Adds two rows of ids (low first, None = 0) and a ``carry`` into the ids ``outputs``."""

    left: tuple[int | None, ...]
    right: tuple[int | None, ...]
    outputs: tuple[int, ...]
    carry: int | None = None


@dataclass(frozen=True)
class Stage:
    """Counters or adders side by side, then a register if ``register``; ``alive`` ids leave it."""

    items: tuple[Counter | Adder, ...]
    register: bool
    alive: tuple[int, ...]


@dataclass(frozen=True, eq=False)  # known by itself: to hash thousands of ids takes its time
class CompressorTree:
    """``leaves[k]`` are the ids of weight 2**k that enter, ``result`` the sum's (None = 0).

    ``latency`` in clocks from the leaves' inputs to the sum, ``cost`` in LUTs by the model.
    """

    leaves: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]
    result: tuple[int | None, ...]
    latency: int
    cost: int


@dataclass(frozen=True)
class _Level:
    """Of a draft. counters: of each column the inputs of its counters; adders: of each pair of rows
    the columns that are made, from .. to. Neither: a register and nothing else."""

    counters: Sequence[Sequence[int]] = ()
    adders: Sequence[tuple[int, int]] = ()


@dataclass
class _Draft:
    """A tree under construction, by the heights of its columns alone: enough to know what it
    costs. ``depth``: how deep the logic is since a register."""

    heights: list[int]
    shape: TreeShape
    depth: int
    levels: list[_Level] = field(default_factory=list)
    cost: int = 0
    latency: int = 0

    def register(self) -> None:
        """A register behind the last stage (an empty one behind the leaves)."""
        self.levels.append(_Level())
        self.latency += 1
        self.depth = 0

    def reserve(self, levels: int) -> None:
        if self.depth and self.depth + levels > self.shape.budget:
            self.register()
        self.depth += levels

    def count(self, arities: tuple[int, ...]) -> bool:
        """One level of counters; False (and nothing done) where no column is tall enough."""
        width = len(self.heights)
        if max(self.heights) < max(3, min(arities)):
            return False
        self.reserve(1)
        after, made = [0] * (width + 3), [[] for _ in range(width)]
        for k, left in enumerate(self.heights):
            for arity in arities:
                counters, left = divmod(left, arity)
                made[k] += [arity] * counters
                self.cost += counters * self.shape.counters[arity]
                for j in range(arity.bit_length()):
                    after[k + j] += counters
            after[k] += left
        self.heights = after[:width]
        self.levels.append(_Level(counters=made))
        return True

    def add(self) -> None:
        """One level of row adders: pairs of rows become one row each."""
        width = len(self.heights)
        self.reserve(self.shape.leaf_levels)
        after, made = [0] * width, []
        for row in range(0, max(self.heights), 2):
            # Below the lowest pair of bits there is nothing to add, nor above the last bit.
            low = next((k for k, h in enumerate(self.heights) if h > row + 1), width)
            top = max(k + 1 for k, h in enumerate(self.heights) if h > row)
            ends = min(max(low, top + 1), width)
            if low < ends:
                luts = top - low + (self.shape.carry_out if ends > top else 0)
                self.cost += -(-luts // self.shape.grain) * self.shape.grain
            for k, h in enumerate(self.heights):
                after[k] += 1 if low <= k < ends else max(0, min(h - row, 2))
            made.append((low, ends))
        self.heights = after
        self.levels.append(_Level(adders=made))
        self.latency += 1
        self.depth = 0

    def finished(self) -> "_Draft":
        """The same, with row adders until there is one row."""
        out = replace(self, levels=[*self.levels])
        while max(out.heights) > 1:
            out.add()
        if out.depth:
            out.register()
        return out


class _Numbered:
    """The tree of a draft: its bits, by ids in the columns they stand in."""

    def __init__(self, heights: Sequence[int]) -> None:
        self.ids = 0
        self.columns = [[self._new() for _ in range(h)] for h in heights]

    def _new(self) -> int:
        self.ids += 1
        return self.ids - 1

    def tree(self, draft: _Draft) -> CompressorTree:
        leaves = tuple(tuple(column) for column in self.columns)
        stages: list[Stage] = []
        for level in draft.levels:
            counters = bool(level.counters)
            items = self._counters(level.counters) if counters else self._adders(level.adders)
            alive = tuple(bit for column in self.columns for bit in column)
            stages.append(Stage(items, not counters, alive))
        result = tuple(column[0] if column else None for column in self.columns)
        return CompressorTree(leaves, tuple(stages), result, draft.latency, draft.cost)

    def _counters(self, level: Sequence[Sequence[int]]) -> tuple[Counter, ...]:
        width = len(self.columns)
        after: list[list[int]] = [[] for _ in range(width + 3)]
        made: list[Counter] = []
        for k, (left, arities) in enumerate(zip(self.columns, level)):
            for arity in arities:
                taken, left = left[:arity], left[arity:]
                outputs = tuple(self._new() for _ in range(arity.bit_length()))
                made.append(Counter(tuple(taken), outputs))
                for j, bit in enumerate(outputs):
                    after[k + j].append(bit)
            after[k] = left + after[k]
        self.columns = after[:width]
        return tuple(made)

    def _adders(self, level: Sequence[tuple[int, int]]) -> tuple[Adder, ...]:
        if not level:
            return ()
        after: list[list[int]] = [[] for _ in self.columns]
        made: list[Adder] = []
        for row, (low, ends) in zip(range(0, 2 * len(level), 2), level):
            pairs = [(c[row : row + 2] + [None, None])[:2] for c in self.columns]
            outputs = [self._new() for _ in range(low, ends)]
            if outputs:
                one, two = zip(*pairs[low:ends])
                made.append(Adder(one, two, tuple(outputs)))
            for k, pair in enumerate(pairs):
                here = low <= k < ends
                after[k] += [outputs[k - low]] if here else [b for b in pair if b is not None]
        self.columns = after
        return tuple(made)


@lru_cache(maxsize=4096)
def _cheapest(heights: tuple[int, ...], width: int, family: str, depth: int) -> CompressorTree:
    shape = fabric_of(family).tree
    heights = (*heights, *[0] * width)[:width]
    drafts: list[_Draft] = []
    for arities in shape.tried:
        draft = _Draft([*heights], shape, depth)
        drafts.append(draft.finished())
        for _ in range(31):
            if not draft.count(arities):
                break
            drafts.append(draft.finished())
    return _Numbered(heights).tree(min(drafts, key=lambda d: (d.cost, d.latency)))


def cheapest_tree(
    heights: Sequence[int], width: int, family: str, masked: bool = False, depth: int = 0
) -> CompressorTree:
    """The cheapest tree from ``heights[k]`` bits of weight ``2**k`` to a sum of ``width`` bits.

    The caller chooses ``width`` such that the sum cannot overflow; carries out of it never occur
    and are dropped. ``masked``: the leaves are logic (of `TreeShape.leaf_levels`), not registers;
    or ``depth``, so many levels of it.
    """
    depth = fabric_of(family).tree.leaf_levels if masked else depth
    return _cheapest(tuple(heights), width, family, depth)


def count_bits(bits: Sequence[Value]) -> list[Value]:
    """Bitwise count of 1..7 equally wide vectors: the binary digits, low first (vectors too)."""
    if len(bits) == 1:
        return [bits[0]]
    if len(bits) == 2:
        return [bits[0] ^ bits[1], bits[0] & bits[1]]
    if len(bits) == 3:
        a, b, c = bits
        return [a ^ b ^ c, (a & b) | (c & (a ^ b))]
    low = count_bits(bits[:3])
    rest = count_bits(bits[3:6])
    if len(rest) == 1:
        rest.append(Const(0, len(bits[0])))
    first = count_bits([low[0], rest[0], *bits[6:]])
    return [first[0], *count_bits([low[1], rest[1], first[1]])]


def build(
    m: Module,
    tree: CompressorTree,
    leaves: Sequence[Sequence[Value]],
    name: str,
    trees: int | None = None,
) -> list[Value]:
    """Build ``tree`` in ``m.d.sync``; ``leaves[k][i]`` are vectors, one bit per parallel tree.

    ``trees`` says how many where the lowest column is empty. Returns the digits of the sums, low
    first: vectors too, ``tree.latency`` clocks later.
    """
    trees = trees or len(leaves[0][0])
    bits: dict[int, Value] = {}
    for ids, values in zip(tree.leaves, leaves):
        bits.update(zip(ids, values, strict=True))
    for number, stage in enumerate(tree.stages):
        for item in stage.items:
            if isinstance(item, Counter):
                digits = count_bits([bits[bit] for bit in item.inputs])
            else:
                digits = _added(m, item, bits, trees, f"{name}_s{number}")
            bits.update(zip(item.outputs, digits, strict=True))
        domain = m.d.sync if stage.register else m.d.comb
        held: dict[int, Value] = {}
        for bit in stage.alive:
            held[bit] = Signal(trees, name=f"{name}_s{number}_b{bit}", reset_less=True)
            domain += held[bit].eq(bits[bit])
        bits = held
    return [Const(0, trees) if bit is None else bits[bit] for bit in tree.result]


def _added(m: Module, item: Adder, bits: dict[int, Value], trees: int, name: str) -> list[Value]:
    """The row adder of every tree; digits as vectors."""
    zero = Const(0, trees)
    left = [zero if bit is None else bits[bit] for bit in item.left]
    right = [zero if bit is None else bits[bit] for bit in item.right]
    width = len(item.outputs)
    totals: list[Signal] = []
    for t in range(trees):
        total = Signal(width, name=f"{name}_sum{item.outputs[0]}_{t}")
        one, two = Cat(v[t] for v in left), Cat(v[t] for v in right)
        m.d.comb += total.eq(one + two)
        totals.append(total)
    return [Cat(total[k] for total in totals) for k in range(width)]
