"""Bit heap and compressor tree: many single bits of given weights become one binary sum.

The heap is planned in plain Python from the column heights alone (so latency is known before
elaboration) and then built bit-sliced: every bit of the plan is a *vector* with one position per
tree, so any number of equal trees costs the same amount of Verilog text.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["Counter", "Stage", "Plan", "Shape", "SHAPES", "build", "count_bits", "plan"]


@dataclass(frozen=True)
class Shape:
    """How trees are cut for one family of FPGAs. It alters cost and latency, never the sum.

    ``arities`` are the counters tried, widest first; ``levels`` counter levels lie between two
    registers.
    """

    arities: tuple[int, ...]
    levels: int


#: LUT6 families count six bits in three LUTs; LUT4 families pay two LUTs per bit removed with full
#: adders and more with anything wider, so they use nothing else.
SHAPES = {
    "generic": Shape((6, 3), 1),
    "xilinx7": Shape((6, 3), 1),
    "ecp5": Shape((3,), 2),
    "ice40": Shape((3,), 2),
}


@dataclass(frozen=True)
class Counter:
    """Counts the bits ``inputs`` (ids, all of weight ``2**column``) into ``outputs``, low first."""

    column: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """One level of counters, followed by a register when ``register``; ``alive`` ids leave it."""

    counters: tuple[Counter, ...]
    register: bool
    alive: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The tree: ``leaves[k]`` ids of weight 2**k enter, ``rows`` (<= 2 ids a column) are added.

    ``latency`` in clocks from the leaves to the registered sum, ``width`` of the sum in bits.
    """

    leaves: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]
    rows: tuple[tuple[int, ...], ...]
    width: int
    latency: int


def plan(heights: tuple[int, ...], width: int, shape: Shape) -> Plan:
    """Plan the tree of ``heights[k]`` bits of weight ``2**k`` into a sum of ``width`` bits.

    The caller chooses ``width`` such that the sum cannot overflow; columns above it never appear
    in a true sum and are dropped.
    """
    counter = iter(range(1 << 30))
    columns = [[next(counter) for _ in range(height)] for height in heights]
    columns += [[] for _ in range(width - len(columns))]
    leaves = tuple(tuple(column) for column in columns)
    stages: list[Stage] = []
    while max(len(column) for column in columns) > 2:
        after: list[list[int]] = [[] for _ in range(width + 3)]
        made: list[Counter] = []
        for k, column in enumerate(columns):
            left = list(column)
            for arity in shape.arities:
                while len(left) >= arity:
                    taken, left = left[:arity], left[arity:]
                    outputs = tuple(next(counter) for _ in range(arity.bit_length()))
                    made.append(Counter(k, tuple(taken), outputs))
                    for j, bit in enumerate(outputs):
                        after[k + j].append(bit)
            after[k] = left + after[k]
        columns = after[:width]
        register = len(stages) % shape.levels == shape.levels - 1
        alive = tuple(bit for column in columns for bit in column)
        stages.append(Stage(tuple(made), register, alive))
    rows = tuple(tuple(column) for column in columns)
    latency = sum(stage.register for stage in stages) + 1
    return Plan(leaves, tuple(stages), rows, width, latency)


def count_bits(bits: list[Value]) -> list[Value]:
    """Bitwise count of 1..7 equally wide vectors: the binary digits, low first (vectors too)."""
    if len(bits) == 1:
        return bits
    if len(bits) == 2:
        return [bits[0] ^ bits[1], bits[0] & bits[1]]
    if len(bits) == 3:
        a, b, c = bits
        return [a ^ b ^ c, (a & b) | (c & (a ^ b))]
    low = count_bits(bits[:3])
    rest = count_bits(bits[3:6]) if len(bits) > 5 else count_bits(bits[3:])
    if len(rest) == 1:
        rest.append(Const(0, len(bits[0])))
    last = [bits[6]] if len(bits) == 7 else []
    first = count_bits([low[0], rest[0], *last])
    return [first[0], *count_bits([low[1], rest[1], first[1]])]


def build(m: Module, tree: Plan, leaves: list[list[Value]], name: str) -> list[Value]:
    """Build ``tree`` in ``m.d.sync``; ``leaves[k][i]`` are vectors, one bit per parallel tree.

    Returns one registered sum of ``tree.width`` bits per tree, ``tree.latency`` clocks later.
    """
    trees = len(leaves[0][0])
    bits: dict[int, Value] = {}
    for ids, values in zip(tree.leaves, leaves, strict=False):
        bits.update(zip(ids, values, strict=True))
    for number, stage in enumerate(tree.stages):
        for counter in stage.counters:
            counted = count_bits([bits[bit] for bit in counter.inputs])
            bits.update(zip(counter.outputs, counted, strict=True))
        domain = m.d.sync if stage.register else m.d.comb
        held: dict[int, Value] = {}
        for bit in stage.alive:
            held[bit] = Signal(trees, name=f"{name}_s{number}_b{bit}", reset_less=True)
            domain += held[bit].eq(bits[bit])
        bits = held
    zero = Const(0, trees)
    first = [bits[row[0]] if row else zero for row in tree.rows]
    second = [bits[row[1]] if len(row) > 1 else zero for row in tree.rows]
    # Columns below the lowest pair need no adder.
    low = next((k for k, row in enumerate(tree.rows) if len(row) > 1), tree.width)
    sums: list[Value] = []
    for t in range(trees):
        total = Signal(tree.width, name=f"{name}_{t}", reset_less=True)
        left = Cat(vector[t] for vector in first)
        right = Cat(vector[t] for vector in second)
        added = (left[low:] + right[low:])[: tree.width - low]
        m.d.sync += total.eq(Cat(left[:low], added))
        sums.append(total)
    return sums
