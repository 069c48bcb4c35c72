"""Bit heap and compressor tree: many single bits of given weights become one binary sum.

The tree is planned in plain Python from the column heights alone (so cost and latency are known
before elaboration) and then built bit-sliced: every bit of the plan is a *vector* with one position
per tree, so any number of equal trees costs the same number of lines of Verilog.

Counter levels come first, then row adders on carry chains. When to change over is not a rule but
the cheapest of all plans tried, by a LUT cost model of the family (`TreeShape`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from amaranth.hdl import Cat, Const, Module, Signal, Value

from sterna.golden.fabric import TreeShape, fabric_of

__all__ = ["Counter", "Adder", "Stage", "TreePlan", "build", "count_bits", "plan"]


@dataclass(frozen=True)
class Counter:
    """Counts the bits ``inputs`` (ids of equal weight) into the ids ``outputs``, low first."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Adder:
    """Adds two rows of ids (low first, None = 0) into the ids ``outputs``."""

    left: tuple[int | None, ...]
    right: tuple[int | None, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Counters or adders side by side, then a register if ``register``; ``alive`` ids leave it."""

    items: tuple[Counter | Adder, ...]
    register: bool
    alive: tuple[int, ...]


@dataclass(frozen=True, eq=False)  # known by itself: to hash thousands of ids takes its time
class TreePlan:
    """``leaves[k]`` are the ids of weight 2**k that enter, ``result`` the sum's (None = 0).

    ``latency`` in clocks from the leaves' inputs to the sum, ``cost`` in LUTs by the model.
    """

    leaves: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]
    result: tuple[int | None, ...]
    latency: int
    cost: int


@dataclass
class _Draft:
    """A plan under construction: columns of ids, and how deep the logic is since a register."""

    columns: list[list[int]]
    shape: TreeShape
    depth: int
    stages: list[Stage] = field(default_factory=list)
    cost: int = 0
    ids: int = 0

    def new(self) -> int:
        self.ids += 1
        return self.ids - 1

    def alive(self) -> tuple[int, ...]:
        return tuple(bit for column in self.columns for bit in column)

    def register(self) -> None:
        """A register behind the last stage (an empty one behind the leaves)."""
        self.stages.append(Stage((), True, self.alive()))
        self.depth = 0

    def reserve(self, levels: int) -> None:
        if self.depth and self.depth + levels > self.shape.budget:
            self.register()
        self.depth += levels

    def count(self, arities: tuple[int, ...]) -> bool:
        """One level of counters; False (and nothing done) where no column is tall enough."""
        width = len(self.columns)
        if max(map(len, self.columns)) < max(3, min(arities)):
            return False
        self.reserve(1)
        after: list[list[int]] = [[] for _ in range(width + 3)]
        made: list[Counter] = []
        for k, column in enumerate(self.columns):
            left = column
            for arity in arities:
                while len(left) >= arity:
                    taken, left = left[:arity], left[arity:]
                    outputs = tuple(self.new() for _ in range(arity.bit_length()))
                    made.append(Counter(tuple(taken), outputs))
                    self.cost += self.shape.counters[arity]
                    for j, bit in enumerate(outputs):
                        after[k + j].append(bit)
            after[k] = left + after[k]
        self.columns = after[:width]
        self.stages.append(Stage(tuple(made), False, self.alive()))
        return True

    def add(self) -> None:
        """One level of row adders: pairs of rows become one row each."""
        width = len(self.columns)
        self.reserve(self.shape.leaf_levels)
        rows = [
            [column[r] if r < len(column) else None for column in self.columns]
            for r in range(max(map(len, self.columns)))
        ]
        after: list[list[int]] = [[] for _ in range(width)]
        made: list[Adder] = []
        for one, two in zip(rows[::2], [*rows[1::2], None]):
            both = two or [None] * width
            # Below the lowest pair of bits there is nothing to add, nor above the last bit.
            pairs = [k for k in range(width) if one[k] is not None and both[k] is not None]
            low = pairs[0] if pairs else width
            top = max(k + 1 for k in range(width) if one[k] is not None or both[k] is not None)
            if not pairs:
                top = low
            ends = min(top + 1, width) if pairs else low
            outputs = [self.new() for _ in range(low, ends)]
            if pairs:
                made.append(Adder(tuple(one[low:ends]), tuple(both[low:ends]), tuple(outputs)))
                luts = top - low + (self.shape.carry_out if ends > top else 0)
                self.cost += -(-luts // self.shape.grain) * self.shape.grain
            for k in range(width):
                if low <= k < ends:
                    after[k].append(outputs[k - low])
                else:
                    after[k] += [bit for bit in (one[k], both[k]) if bit is not None]
        self.columns = after
        self.stages.append(Stage(tuple(made), True, self.alive()))
        self.depth = 0


def _draft(
    heights: tuple[int, ...],
    width: int,
    shape: TreeShape,
    depth: int,
    levels: int,
    arities: tuple[int, ...],
) -> TreePlan | None:
    draft = _Draft([], shape, depth)
    draft.columns = [[draft.new() for _ in range(h)] for h in (*heights, *[0] * width)[:width]]
    leaves = tuple(tuple(column) for column in draft.columns)
    for _ in range(levels):
        if not draft.count(arities):
            return None
    while max(map(len, draft.columns)) > 1:
        draft.add()
    if draft.depth:
        draft.register()
    result = tuple(column[0] if column else None for column in draft.columns)
    latency = sum(stage.register for stage in draft.stages)
    return TreePlan(leaves, tuple(draft.stages), result, latency, draft.cost)


@lru_cache(maxsize=4096)
def _plan(heights: tuple[int, ...], width: int, family: str, depth: int) -> TreePlan:
    shape = fabric_of(family).tree
    plans: list[TreePlan] = []
    for arities in shape.tried:
        for levels in range(32):
            draft = _draft(heights, width, shape, depth, levels, arities)
            if draft is None:
                break
            plans.append(draft)
    return min(plans, key=lambda p: (p.cost, p.latency))


def plan(
    heights: Sequence[int], width: int, family: str, masked: bool = False, depth: int = 0
) -> TreePlan:
    """The cheapest tree from ``heights[k]`` bits of weight ``2**k`` to a sum of ``width`` bits.

    The caller chooses ``width`` such that the sum cannot overflow; carries out of it never occur
    and are dropped. ``masked``: the leaves are logic (of `TreeShape.leaf_levels`), not registers;
    or ``depth``, so many levels of it.
    """
    depth = fabric_of(family).tree.leaf_levels if masked else depth
    return _plan(tuple(heights), width, family, depth)


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
    tree: TreePlan,
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
