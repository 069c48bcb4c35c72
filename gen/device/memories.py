"""Which storage yosys gives a memory: block RAM, LUT RAM or logic, and how much of it.

The rules of yosys' ``memory_libmap`` with its libraries for the three families: of all shapes the
one of lowest cost, where cost counts blocks, multiplexers in depth and what must be imitated. Tests
hold them against yosys.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sterna.gen.device.family import Block, Family, family_of
from sterna.hw.memory.shape import MemoryShape

__all__ = ["Mapped", "mapped"]


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


@lru_cache(maxsize=1 << 16)
def mapped(shape: MemoryShape, family: str) -> Mapped:
    """What a memory becomes in ``family``. ValueError where the
    family has no such storage."""
    chip = family_of(family)
    options: list[tuple[float, Mapped]] = []
    rom = shape.use == "rom"
    if shape.style != "block":
        if rom or shape.style == "auto":
            bits = shape.bits / (1 if not rom else 1 << chip.lut_inputs)
            options.append((bits, Mapped(logic=shape.bits)))
        if not rom:
            options += _lut_ram(shape, chip)
    if shape.use != "comb" and shape.style != "distributed":
        for block in chip.blocks:
            options += [_block(shape, block, w, words, chip.old_word) for w, words in block.shapes]
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
    shape: MemoryShape, block: Block, width: int, words: int, old: int
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
    emulated = {"rom": 1, "window": old, "fifo": 1, "ram": int(block.simple), "latched": old}[
        shape.use
    ]
    muxes, extra = _muxes(shape.width, pieces, rom)
    imitated = shape.width if shape.use == "window" and old > 1 else 0
    cost = units * block.cost + 2 * emulated + extra
    return cost, Mapped(bram=units * block.count, muxes=muxes, imitated=imitated)


def _lut_ram(shape: MemoryShape, chip: Family) -> list[tuple[float, Mapped]]:
    """LUT RAM with one writer and one reader; of one port for a ram, where there is such."""
    imitated = 0 if shape.use in ("comb", "latched") else shape.width
    single = chip.lut_ram_single if shape.use == "ram" else ()
    emulated = 2 if imitated and not single else 0
    out = []
    for mode in single or chip.lut_ram:
        pieces = ceil(shape.depth / mode.words)
        whole, rest = divmod(shape.width, mode.width)
        part = mode.cost - mode.scaled + mode.scaled * rest / mode.width if rest else 0
        muxes, extra = _muxes(shape.width, pieces, False)
        luts = pieces * ((whole + bool(rest)) * mode.unit + shape.width * mode.bit)
        price = pieces * (whole * mode.cost + part)
        out.append((price + emulated + extra, Mapped(lutram=luts, muxes=muxes, imitated=imitated)))
    return out
