"""Which storage yosys gives a memory: block RAM, LUT RAM or logic, and how much of it.

The rules of yosys' ``memory_libmap`` with its libraries for the three families: of all shapes the
one of lowest cost, where cost counts blocks, multiplexers in depth and what must be imitated. Tests
hold them against yosys.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sterna.hw.memory.shape import MemoryShape

__all__ = ["Mapped", "STYLES", "mapped"]

#: Storage that may be demanded: block RAM; LUT RAM, of a rom logic; None is demanded.
STYLES = ("auto", "block", "distributed")


@dataclass(frozen=True)
class Mapped:
    """bram: DP16KD, RAMB36 (in halves) or SB_RAM40_4K; lutram: LUTs of LUT RAM; logic: bits that
    became logic (a rom) or flip-flops; muxes: bits times (pieces in depth - 1); imitated: bits of
    registers and bypasses that the storage does not have."""

    bram: float = 0
    lutram: int = 0
    logic: int = 0
    muxes: int = 0
    imitated: int = 0


@dataclass(frozen=True)
class _Block:
    """A block RAM mode: words by width, cost, blocks it counts as; packed: pieces in depth may
    share a block, by groups of ``byte`` bits where written."""

    shapes: tuple[tuple[int, int], ...]  # width, words
    cost: int
    count: float
    simple: bool  # one port reads, one writes
    byte: int = 9


_ECP5 = (
    _Block(((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024)), 128, 1, False),
    _Block(((36, 512),), 128, 1, True),
)
_XILINX = (
    _Block(((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024)), 129, 0.5, False),
    _Block(((1, 32768), (2, 16384), (4, 8192), (9, 4096), (18, 2048), (36, 1024)), 257, 1, False),
    _Block(((36, 512),), 129, 0.5, True),
    _Block(((72, 512),), 257, 1, True),
)
_ICE40 = (_Block(((2, 2048), (4, 1024), (8, 512), (16, 256)), 64, 1, True, 1),)
_BLOCKS = {"ecp5": _ECP5, "xilinx7": _XILINX, "ice40": _ICE40, "generic": _XILINX}
# What must be imitated where a block cannot read the old word of an address being written.
_OLD_WORD = {"ecp5": 7, "ice40": 7}


@lru_cache(maxsize=1 << 16)
def mapped(shape: MemoryShape, family: str) -> Mapped:
    """What a memory becomes in ``family`` ('generic': as on a 7-series). ValueError where the
    family has no such storage."""
    options: list[tuple[float, Mapped]] = []
    rom = shape.use == "rom"
    if shape.style != "block":
        bits = shape.bits / (1 if not rom else 16 if family in ("ecp5", "ice40") else 64)
        if rom or shape.style == "auto":
            options.append((bits, Mapped(logic=shape.bits)))
        if not rom and family == "ecp5":
            options.append(_trellis(shape))
        elif not rom and family != "ice40":
            options += _xilinx(shape)
    if shape.use != "comb" and shape.style != "distributed":
        for block in _BLOCKS[family]:
            options += [_block(shape, block, width, words, family) for width, words in block.shapes]
    if not options:
        raise ValueError(f"{family} has no {shape.style} memory for {shape}")
    # Of equals yosys takes logic, then LUT RAM, else the last.
    options.reverse()
    return min(options, key=lambda o: (o[0], o[1].bram > 0, not o[1].logic))[1]


def _muxes(width: int, pieces: int, rom: bool) -> tuple[int, float]:
    if pieces == 1:
        return 0, 0.0
    muxes = width * (pieces - 1)
    return muxes, (muxes + (0 if rom else pieces)) / 2


def _block(
    shape: MemoryShape, block: _Block, width: int, words: int, family: str
) -> tuple[float, Mapped]:
    rom, pieces = shape.use == "rom", ceil(shape.depth / words)
    if pieces == 1:
        units = ceil(shape.width / width)
    else:
        # Pieces lie side by side: one block may hold the ends of two.
        held = (
            shape.width
            if rom or width < block.byte
            else (ceil(shape.width / block.byte) * block.byte)
        )
        units = ceil(pieces * held / width)
    old = _OLD_WORD.get(family, 1)
    emulated = {"rom": 1, "window": old, "fifo": 1, "bank": int(block.simple), "latched": old}[
        shape.use
    ]
    muxes, extra = _muxes(shape.width, pieces, rom)
    imitated = shape.width if shape.use == "window" and old > 1 else 0
    cost = units * block.cost + 2 * emulated + extra
    return cost, Mapped(bram=units * block.count, muxes=muxes, imitated=imitated)


def _trellis(shape: MemoryShape) -> tuple[float, Mapped]:
    pieces = ceil(shape.depth / 16)
    units = pieces * ceil(shape.width / 4)
    muxes, extra = _muxes(shape.width, pieces, False)
    imitated = 0 if shape.use in ("comb", "latched") else shape.width
    cost = units * 4 + (2 if imitated else 0) + extra
    return cost, Mapped(lutram=6 * units, muxes=muxes, imitated=imitated)


# Words, bits, cost, its share that falls with unused bits, LUTs of the whole, LUTs of a bit.
_PAIRS = (
    (32, 4, 8, 8, 4, 0),
    (64, 2, 8, 8, 0, 2),
    (128, 1, 8, 8, 0, 4),
    (32, 6, 8, 7, 4, 0),
    (64, 3, 8, 7, 4, 0),
)
_SINGLES = (
    (32, 8, 8, 8, 4, 0),
    (64, 4, 8, 8, 0, 1),
    (128, 2, 8, 8, 0, 2),
    (256, 1, 8, 8, 0, 4),
)


def _xilinx(shape: MemoryShape) -> list[tuple[float, Mapped]]:
    """LUT RAM with one writer and one reader; of one port for banks."""
    imitated = 0 if shape.use in ("comb", "latched") else shape.width
    emulated = 2 if imitated and shape.use != "bank" else 0
    out = []
    for words, width, cost, scaled, unit, bit in _SINGLES if shape.use == "bank" else _PAIRS:
        pieces = ceil(shape.depth / words)
        whole, rest = divmod(shape.width, width)
        price = whole * cost + ((cost - scaled + scaled * rest / width) if rest else 0)
        muxes, extra = _muxes(shape.width, pieces, False)
        luts = pieces * ((whole + bool(rest)) * unit + shape.width * bit)
        out.append(
            (pieces * price + emulated + extra, Mapped(lutram=luts, muxes=muxes, imitated=imitated))
        )
    return out
