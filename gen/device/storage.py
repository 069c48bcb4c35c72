"""What the storage of beats costs in a family, and which is the cheapest."""

from functools import lru_cache

from sterna.gen.device.family import family_of
from sterna.hw.stream.skip_fifo import check_size, known

__all__ = ["memory_prices", "storage_bits", "storage_depth", "storage_kind"]

_GRAIN = {"registers": 1, "lutram": 16, "block": 512}
_DEAREST = 200.0
"""LUT4 that a block RAM is worth at most: where a LUT has six inputs, they are fewer."""


@lru_cache(maxsize=1 << 14)
def memory_prices(width: int, depth: int, family: str, wide: bool = False) -> dict[str, float]:
    """LUT4 of a memory by the kind of its storage, of those that the family has.

    LUT RAM comes in pieces of 4 bits x 16 words (some 6 LUT4 with its share of the output
    selector); a block RAM, in the shape that needs fewest (``wide``: in its widest), costs its
    share of the chip.
    """
    of = family_of(family)
    least = min(block.count for block in of.blocks)
    shapes = [shape for block in of.blocks if block.count == least for shape in block.shapes]
    shapes = [max(shapes)] if wide else shapes
    blocks = min(-(-width // bits) * -(-depth // words) for bits, words in shapes)
    out = {"block": blocks * min(of.block_worth, _DEAREST)}
    if of.fabric.lut_ram is None:
        return out
    return {"lutram": -(-width // 4) * -(-depth // 16) * 6.0} | out


def storage_depth(kind: str, width: int, depth: int) -> int:
    """``depth`` rounded up to what the storage has anyway: 16 words of LUT RAM, 512 of a block."""
    check_size(width, depth)
    grain = _GRAIN[known(kind)]
    return -(-depth // grain) * grain


def storage_bits(kind: str, width: int, depth: int) -> int:
    """Bits of data that a FIFO built :func:`storage_depth` deep holds."""
    return width * storage_depth(kind, width, depth)


def storage_kind(width: int, depth: int, family: str) -> str:
    """The cheapest storage of a FIFO: a register costs the LUT that shifts it, a memory its
    counters, too."""
    check_size(width, depth)
    prices = memory_prices(width, depth, family)
    cost = {"registers": float(width * depth)}
    cost |= {kind: price + 2 * depth.bit_length() for kind, price in prices.items()}
    return min(cost, key=lambda kind: cost[kind])
