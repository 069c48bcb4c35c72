"""Shift registers: what a synthesiser of a family with LUT RAM makes of delays.

A bit that at least `family.SHORTEST` registers hold one after the other, unchanged and read by
nothing else, takes one LUT and no flip-flop.
"""

from collections import Counter
from functools import lru_cache

from sterna.hw.dot.compressor_tree import CompressorTree

__all__ = ["Delays", "tree_delays"]

Delays = Counter[int]
"""Clocks of a delay -> how many bits."""


@lru_cache(maxsize=1 << 14)
def tree_delays(
    tree: CompressorTree, late: int = 0, *, result: bool = True, leaves: bool = True
) -> Delays:
    """How long the bits of a tree of counters and adders wait to be added; its sum is delayed by
    ``late`` clocks more. Of what also something else reads on the way each register is one by
    itself: of the sum without ``result``, of what is added without ``leaves``. Kept, since a search
    asks for the same trees in thousands of foldings: not to be altered."""
    clocks = Counter(bit for s in tree.stages if s.register for bit in s.alive)
    ends = {bit for bit in tree.result if bit is not None}
    read = set() if leaves else {bit for column in tree.leaves for bit in column}
    read |= set() if result else ends
    out = Delays()
    for bit in {*clocks, *ends}:
        waits = clocks[bit] + (late if bit in ends else 0)
        out[1 if bit in read else waits] += waits if bit in read else 1
    return out
