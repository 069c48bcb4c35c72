"""What the logic of a design depends on of a family of FPGAs: LUTs, carry chains, LUT RAM.

Hardware and generators read these; so they are here, beside the golden model and without Amaranth.
All that only tools and estimates need of a family is in `gen.device.family`.
"""

from dataclasses import dataclass
from typing import Any

from sterna.golden.errors import DesignError
from sterna.golden.words.names import not_one_of

__all__ = ["FABRICS", "Fabric", "LutRam", "TreeShape", "fabric_of"]


@dataclass(frozen=True)
class TreeShape:
    """How compressor trees are cut. It alters cost and latency, never the sum.

    counters: LUTs of a counter by its number of inputs; tried: the sets of counters that trees may
    use, widest first; leaf_levels: LUT levels of a masked leaf; budget: LUT levels between
    registers; grain: LUTs of a carry chain come in multiples of it; carry_out: LUTs that bring the
    last carry out of the chain. chained: levels of adders in carry chains between registers, where
    the chain's LUTs have masked bits for nothing (`hw.dot.carry_chain`); 0: they have not.
    """

    counters: dict[int, int]
    tried: tuple[tuple[int, ...], ...]
    leaf_levels: int
    budget: int
    grain: int
    carry_out: int
    chained: int = 0


@dataclass(frozen=True)
class LutRam:
    """Distributed memory: address bits, bits a word, LUTs of one with its writer."""

    address: int
    width: int
    luts: int

    @property
    def rows(self) -> int:
        """Most rows of weights: three lanes, whose sum fills two bits, must be left of the
        address."""
        return 1 << self.address - 3


@dataclass(frozen=True)
class Fabric:
    """title: as its makers write it. lut_ram: None where there is none. compact: cells are dearer
    than clocks. block_rows: words of 32 bits that block RAM holds without a second one of the same
    bits. link_buffer: bytes of frames that wait in the link of a board, None where there is no
    board of its own.
    """

    name: str
    title: str
    tree: TreeShape
    lut_ram: LutRam | None = None
    compact: bool = False
    block_rows: int = 512
    link_buffer: int | None = None

    def in_blocks(self, rows: int) -> int:
        """``rows`` of a memory rounded up to whole blocks of block RAM."""
        return -(-rows // self.block_rows) * self.block_rows


# Six bits are counted by three LUT6 of one level: a LUT for each bit removed, as in a carry chain.
_LUT6 = TreeShape({3: 2, 5: 3, 6: 3}, ((6,), (6, 5), (6, 3), (6, 5, 3)), 1, 1, 1, 0)
# With LUT4 nothing beats the full adder (two LUTs for each bit removed) but long carry chains.
_LUT4 = TreeShape({3: 2}, ((3,),), 2, 3, 1, 1)
_LUT4_PAIRS = TreeShape({3: 2}, ((3,),), 2, 3, 2, 1, 2)
_RAM32M = LutRam(5, 6, 4)

FABRICS = {
    fabric.name: fabric
    for fabric in (
        Fabric("generic", "any", _LUT6, _RAM32M),
        Fabric("ecp5", "ECP5", _LUT4_PAIRS, LutRam(4, 4, 6), link_buffer=4096),
        Fabric("xilinx7", "7-series", _LUT6, _RAM32M, link_buffer=4096),
        Fabric("ice40", "iCE40", _LUT4, compact=True, block_rows=256, link_buffer=2048),
    )
}


def fabric_of(family: Any) -> Fabric:
    """DesignError for what is no family."""
    if not isinstance(family, str) or family not in FABRICS:
        raise DesignError(f"family {not_one_of(family, FABRICS)}")
    return FABRICS[family]
