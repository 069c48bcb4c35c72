"""Compressor trees of adders in carry chains (`sterna.hw.dot.carry_chain`), for the families whose
chains have LUTs in them.

An adder of n columns takes n + 1 slots and away n bits, where it has a carry in. So the tree that
is sought has few adders, and long ones. Masked bits cost nothing where an adder takes them before
the first register: the leaves are the masked bits themselves.
"""

from collections.abc import Sequence
from functools import lru_cache

from amaranth.hdl import Const, Module, Signal, Value

from sterna.golden.device.adder_rows import ABSENT, MINUS, PLAIN, PLUS, Row
from sterna.golden.device.fabric import fabric_of
from sterna.hw.dot.carry_chain import CarryChain
from sterna.hw.dot.compressor_tree import Adder, CompressorTree, Stage

__all__ = ["Bit", "build_chained", "chained_tree"]

Bit = tuple[str, tuple[Value, ...]]
"""A bit of a heap, as a vector of a bit a tree: its kind (`adder_rows`), what makes it."""

_Segment = tuple[int, int, bool]
"""Of a draft: the columns that an adder makes, from .. to, and whether it has a carry in."""
_Draft = tuple[int, tuple[tuple[_Segment, ...], ...]]
"""Slots, and the adders of each level."""
_SHORTEST = (2, 3, 4, 99)
"""Columns that an adder without a carry in must have to be worth it: those that are tried."""
_SHARES = (1.0, 6 / 7)
"""Of the bits of a column, those that adders of a level take at most: what is left is a carry in at
the next (7 bits: two full adders, and an adder of two columns that takes the seventh)."""
_KEPT = 24
"""Drafts that go on from level to level."""


@lru_cache(maxsize=4096)
def chained_tree(heights: tuple[int, ...], width: int, family: str, masked: bool) -> CompressorTree:
    """The cheapest tree found from ``heights[k]`` bits of weight ``2**k`` to a sum of ``width``
    bits. ``masked``: its leaves are logic, and it ends in a register. Its cost is in LUTs, of
    which a slot is one."""
    start = (*heights, *[0] * width)[:width]
    drafts: dict[tuple[int, ...], _Draft] = {start: (0, ())}
    best: _Draft | None = None
    while drafts:
        after: dict[tuple[int, ...], _Draft] = {}
        for now, (cost, levels) in drafts.items():
            if max(now) <= 1:
                best = min(best or (cost, levels), (cost, levels), key=lambda d: (d[0], len(d[1])))
                continue
            for made in {
                _level(now, n, share) or _last(now) for n in _SHORTEST for share in _SHARES
            }:
                then = _heights(now, made)
                dearer = cost + sum(ends - low + 1 for low, ends, _ in made)
                if then not in after or dearer < after[then][0]:
                    after[then] = dearer, (*levels, made)
        # What is left to be taken away costs at least a slot a bit.
        order = sorted(after, key=lambda h: (after[h][0] + sum(h), h))[:_KEPT]
        drafts = {h: after[h] for h in order if best is None or after[h][0] < best[0]}
    assert best is not None
    return _tree(start, best, fabric_of(family).tree.chained, masked)


def _level(heights: tuple[int, ...], shortest: int, share: float) -> tuple[_Segment, ...]:
    """Adders of one level: from the lowest column on, as long as there are two bits each."""
    left, made = list(heights), []
    most = [max(3, int(h * share)) for h in heights]
    for low in range(len(left)):
        while left[low] >= 2:
            carry, ends = left[low] > 2, low + 1
            while ends < len(left) and left[ends] >= 2:
                ends += 1
            if heights[low] - left[low] + 3 > most[low] + 2 or (
                not carry and ends - low < shortest
            ):
                break
            left[low] -= carry
            for k in range(low, ends):
                left[k] -= 2
            made.append((low, ends, carry))
    return tuple(made)


def _last(heights: tuple[int, ...]) -> tuple[_Segment, ...]:
    """The adder that makes one row of two."""
    low = next(k for k, h in enumerate(heights) if h > 1)
    top = max(k + 1 for k, h in enumerate(heights) if h)
    return ((low, top, False),)


def _heights(heights: tuple[int, ...], made: Sequence[_Segment]) -> tuple[int, ...]:
    after = [*heights, 0]
    for low, ends, carry in made:
        for k in range(low, ends):
            after[k] -= min(after[k], 2) - 1
        after[low] -= carry
        after[ends] += 1
    return tuple(after[:-1])


class _Heap:
    """Bits by number in the columns that they stand in; the first are the leaves."""

    def __init__(self, heights: Sequence[int]) -> None:
        self.count = 0
        self.columns = [self.new(h) for h in heights]
        self.leaves = self.count

    def new(self, bits: int) -> list[int]:
        self.count += bits
        return list(range(self.count - bits, self.count))

    def adders(self, level: Sequence[_Segment]) -> tuple[Adder, ...]:
        """Those of a level. Leaves are taken first, since they are logic behind a register."""
        taken: list[tuple[int, list[list[int]], int | None]] = []
        for low, ends, carry in level:
            pairs = [
                [self.columns[k].pop(0) for _ in range(min(2, len(self.columns[k])))]
                for k in range(low, ends)
            ]
            taken.append((low, pairs, self.columns[low].pop(0) if carry else None))
        made = []
        for low, pairs, carry in taken:
            outputs = self.new(len(pairs) + (low + len(pairs) < len(self.columns)))
            left, right = zip(*((pair + [None, None])[:2] for pair in pairs))
            made.append(Adder(left, right, tuple(outputs), carry))
            for k, bit in enumerate(outputs, low):
                self.columns[k].append(bit)
        return tuple(made)

    @property
    def bits(self) -> tuple[int, ...]:
        return tuple(bit for column in self.columns for bit in column)


def _tree(heights: tuple[int, ...], draft: _Draft, budget: int, masked: bool) -> CompressorTree:
    """A draft with its bits numbered, and its registers."""
    cost, levels = draft
    heap = _Heap(heights)
    leaves = tuple(tuple(column) for column in heap.columns)
    stages: list[Stage] = []
    for number, level in enumerate(levels, 1):
        register = number % budget == 0 or number == len(levels)
        stages.append(Stage(heap.adders(level), register, heap.bits))
    if masked and not levels:
        stages.append(Stage((), True, heap.bits))
    if masked:
        first = next(stage for stage in stages if stage.register)
        cost += sum(bit < heap.leaves for bit in first.alive)
    result = tuple(column[0] if column else None for column in heap.columns)
    return CompressorTree(leaves, tuple(stages), result, sum(s.register for s in stages), cost)


def build_chained(
    m: Module, tree: CompressorTree, leaves: Sequence[Sequence[Bit]], name: str, trees: int
) -> list[Value]:
    """Build ``tree`` in ``m.d.sync``, ``trees`` times; ``leaves[k]`` are the bits of weight 2**k.

    Returns the digits of the sums, low first, vectors too, ``tree.latency`` clocks later.
    """
    bits: dict[int, Bit] = {}
    for ids, column in zip(tree.leaves, leaves):
        bits.update(zip(ids, column, strict=True))
    for number, stage in enumerate(tree.stages):
        if stage.items:
            adders = [item for item in stage.items if isinstance(item, Adder)]
            chain = _chain(m, adders, bits, f"{name}_s{number}", trees)
            bits.update((bit, (PLAIN, (digit,))) for bit, digit in chain.items())
        if stage.register:
            held: dict[int, Bit] = {}
            for bit in stage.alive:
                kept = Signal(trees, name=f"{name}_s{number}_b{bit}", reset_less=True)
                m.d.sync += kept.eq(_value(bits[bit]))
                held[bit] = PLAIN, (kept,)
            bits = held
    return [Const(0, trees) if bit is None else _value(bits[bit]) for bit in tree.result]


def _chain(
    m: Module, adders: Sequence[Adder], bits: dict[int, Bit], name: str, trees: int
) -> dict[int, Value]:
    """The adders of a level; digits by their number."""
    rows, inputs = [], []
    for adder in adders:
        columns = [
            _ordered([bits[bit] for bit in pair if bit is not None])
            for pair in zip(adder.left, adder.right)
        ]
        carry = (ABSENT, ()) if adder.carry is None else bits[adder.carry]
        kinds = tuple("".join(kind for kind, _ in column) for column in columns)
        rows.append(Row(carry[0], kinds, len(adder.outputs) > len(columns)))
        inputs += [carry, *(bit for column in columns for bit in column)]
    m.submodules[name] = chain = CarryChain(rows, trees)
    digits = chain.connect(m, [signals for _, signals in inputs])
    return dict(zip((bit for adder in adders for bit in adder.outputs), digits, strict=True))


def _ordered(column: list[Bit]) -> list[Bit]:
    """Two bits, of which the second is no `MINUS`."""
    column += [(ABSENT, ())] * (2 - len(column))
    one, two = sorted(column, key=lambda bit: (bit[0] == ABSENT, bit[0] != MINUS))
    return [one, (PLAIN, (_value(two),)) if two[0] == MINUS else two]


def _value(bit: Bit) -> Value:
    kind, signals = bit
    if kind == PLAIN:
        return signals[0]
    assert kind in (PLUS, MINUS)
    both = signals[0] & signals[1]
    return ~both if kind == MINUS else both
