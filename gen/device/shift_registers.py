"""Shift registers: what a synthesiser of a family with LUT RAM makes of delays.

A bit that at least `family.SHORTEST` registers hold one after the other, unchanged and read by
nothing else, takes one LUT and no flip-flop.
"""

from collections import Counter

from sterna.hw.dot.compressor_tree import TreePlan

__all__ = ["Delays", "tree_delays"]

Delays = Counter[int]
"""Clocks of a delay -> how many bits."""


def tree_delays(
    tree: TreePlan, late: int = 0, *, result: bool = True, leaves: bool = True
) -> Delays:
    """How long the bits of a tree of counters and adders wait to be added; its sum is delayed by
    ``late`` clocks more. Of what also something else reads on the way each register is one by
    itself: of the sum without ``result``, of what is added without ``leaves``."""
    # Kept with the tree: a search asks for the same ones in thousands of foldings.
    known = tree.__dict__.setdefault("_delays", {})
    if (late, result, leaves) not in known:
        known[late, result, leaves] = _tree_delays(tree, late, result, leaves)
    return known[late, result, leaves]


def _tree_delays(tree: TreePlan, late: int, result: bool, leaves: bool) -> Delays:
    clocks = Counter(bit for s in tree.stages if s.register for bit in s.alive)
    ends = {bit for bit in tree.result if bit is not None}
    read = set() if leaves else {bit for column in tree.leaves for bit in column}
    read |= set() if result else ends
    out = Delays()
    for bit in {*clocks, *ends}:
        waits = clocks[bit] + (late if bit in ends else 0)
        out[1 if bit in read else waits] += waits if bit in read else 1
    return out
