"""Which bit of which block RAM holds which bit of which memory; reading and filling them.

A fixed memory is synthesised with random contents (`gen.verilog.placeholders`), so each of its bit
columns is a bit string that no other has. Place and route writes the contents of all block RAMs as
text (``.config`` for ECP5, ``.asc`` for iCE40); there every column is looked up in every layout
that a block RAM can have. What is found is the map; through it new contents are written without
synthesis, place or route, and contents are read back from an unpacked bitstream.

A block is 2048 words of 9 bits (ECP5) or 256 words of 16 bits (iCE40).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sterna.gen.device.family import family_of
from sterna.golden.errors import DesignError, FileError

__all__ = [
    "Column",
    "Contents",
    "fill",
    "find_columns",
    "read_memory",
    "unclaimed",
    "unused_columns",
]

_MIRROR = np.array([int(f"{k:04b}"[::-1], 2) for k in range(16)])


@dataclass(frozen=True)
class _Format(ABC):
    """How a configuration's text has block RAMs: the keyword, words and bits of a block, the depths
    that its layouts have."""

    keyword: str
    words: int
    width: int
    depths: tuple[int, ...]

    @abstractmethod
    def parse(self, text: str) -> list[int]:
        """The words of a block."""

    @abstractmethod
    def write(self, words: np.ndarray) -> str:
        """The text of a block of these words."""

    @abstractmethod
    def lines(self, depth: int) -> int:
        """Data bits of a block that is used ``depth`` rows deep."""

    @abstractmethod
    def where(self, depth: int, line: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """(word, bit) of data bit ``line`` in rows 0 .. rows-1."""


class _Config(_Format):
    """Of prjtrellis, for ECP5."""

    def parse(self, text: str) -> list[int]:
        return [int(word, 16) for word in text.split()]

    def write(self, words: np.ndarray) -> str:
        return "".join(" ".join(f"{v:03x}" for v in row) + "\n" for row in words.reshape(-1, 8))

    def lines(self, depth: int) -> int:
        return 9 * 2048 // depth if depth <= 2048 else 8192 * 2 // depth

    def where(self, depth: int, line: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        a = np.arange(rows)
        if depth <= 2048:
            return a * (2048 // depth) + line // 9, np.full(rows, line % 9)
        fold = depth // 2048
        return a // fold, a % fold * (8 // fold) + line


class _Asc(_Format):
    """Of icestorm, for iCE40: each line is 16 words, the last one first."""

    def parse(self, text: str) -> list[int]:
        lines = [line[::-1] for line in text.split()]
        return [int(line[i : i + 4][::-1], 16) for line in lines for i in range(0, 64, 4)]

    def write(self, words: np.ndarray) -> str:
        rows = words.reshape(16, 16)[:, ::-1]
        return "".join("".join(f"{v:04x}" for v in row) + "\n" for row in rows)

    def lines(self, depth: int) -> int:
        return 4096 // depth

    def where(self, depth: int, line: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        # yosys gives the lowest address bits the part of the word, and mirrors the bits of a word.
        a, fold = np.arange(rows), depth // 256
        return a // fold, _MIRROR[a % fold * (16 // fold) + line]


_FORMATS: dict[str, _Format] = {
    "config": _Config("bram_init", 2048, 9, (512, 1024, 2048, 4096, 8192, 16384)),
    "asc": _Asc("ram_data", 256, 16, (256, 512, 1024, 2048)),
}


@dataclass(frozen=True)
class Column:
    """A bit column of a memory, or a part of it, in a block: rows ``first`` .. ``first + rows - 1``
    of bit ``bit`` of ``memory`` are data bit ``line`` of ``block``, used as ``depth`` rows deep."""

    memory: str
    bit: int
    first: int
    rows: int
    block: str
    depth: int
    line: int


class Contents:
    """The block RAM contents in a ``.config`` or ``.asc`` text: ``blocks``, name (number of ECP5's
    bram_init, ``x y`` of iCE40) -> uint8 array of its bits, (words, bits of a word)."""

    def __init__(self, text: str, family: str):
        how = family_of(family).nextpnr
        assert how is not None
        self.format, self._text = _FORMATS[how.text], text
        self.blocks: dict[str, np.ndarray] = {}
        pattern = rf"^\.{self.format.keyword} ([\d ]+)\n((?:[0-9a-f ]+\n)+)"
        self._places: dict[str, tuple[int, int]] = {}
        for match in re.finditer(pattern, text, re.M):
            name = match[1].strip()
            try:
                self.blocks[name] = _bits(match[2], self.format)
            except ValueError:
                raise FileError(
                    f"block RAM {name}: its contents are not "
                    f"{(self.format.words, self.format.width)} bits; make the bitstream again"
                ) from None
            self._places[name] = match.span(2)

    def text(self) -> str:
        """The whole text with the contents as they are now."""
        parts, at = [], 0
        for name, (start, end) in self._places.items():  # in order of the text
            parts += [self._text[at:start], self.format.write(_words(self.blocks[name]))]
            at = end
        return "".join([*parts, self._text[at:]])


def _bits(text: str, form: _Format) -> np.ndarray:
    values = np.array(form.parse(text))
    if values.shape != (form.words,):
        raise ValueError
    return (values[:, None] >> np.arange(form.width) & 1).astype(np.uint8)


def _words(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.int64) << np.arange(bits.shape[1])).sum(axis=1)


def _columns(rows: Sequence[int], width: int) -> np.ndarray:
    """Row values as bits, (rows, width)."""
    size = -(-width // 8)
    data = np.frombuffer(b"".join(row.to_bytes(size, "little") for row in rows), np.uint8)
    bits = np.unpackbits(data.reshape(len(rows), size), axis=1, bitorder="little")
    return bits[:, :width]


def find_columns(
    contents: Contents, memories: Mapping[str, tuple[int, Sequence[int]]]
) -> list[Column]:
    """Where the columns of ``memories`` (name -> width, random rows) are. A memory that is not in
    block RAM has none; a memory read in two places may have each twice."""
    form = contents.format
    bits = {name: _columns(rows, width) for name, (width, rows) in memories.items()}
    found: dict[tuple[Any, ...], Column] = {}
    for depth in form.depths:
        # Parts of at most `depth` rows, by their length: a block may be deeper than what is left.
        wanted: dict[int, dict[bytes, tuple[str, int, int]]] = {}
        for name, array in bits.items():
            for first in range(0, len(array), depth):
                part = array[first : first + depth]
                table = wanted.setdefault(len(part), {})
                for bit in range(part.shape[1]):
                    table[np.packbits(part[:, bit]).tobytes()] = (name, bit, first)
        for block, array in contents.blocks.items():
            for line in range(form.lines(depth)):
                word, at = form.where(depth, line, depth)
                column = array[word, at]
                for rows, table in wanted.items():
                    hit = table.get(np.packbits(column[:rows]).tobytes())
                    if hit is not None:
                        # A short column looks the same in a deeper layout: one entry for its bits.
                        key = (*hit, block, word[:rows].tobytes(), at[:rows].tobytes())
                        name, bit, first = hit
                        found.setdefault(key, Column(name, bit, first, rows, block, depth, line))
    return sorted(found.values(), key=lambda c: (c.memory, c.bit, c.first, c.block, c.line))


def unclaimed(contents: Contents, columns: Iterable[Column]) -> list[str]:
    """Blocks with contents that no column accounts for.

    No other memory of a design starts with contents, so such a block holds a part of a placeholder
    in a layout that was not recognised: filling would leave random weights there.
    """
    left = {name: array.astype(bool) for name, array in contents.blocks.items()}
    for c in columns:
        left[c.block][contents.format.where(c.depth, c.line, c.rows)] = False
    return [name for name, array in left.items() if array.any()]


def unused_columns(columns: Iterable[Column], name: str, width: int, depth: int) -> list[int]:
    """Bits of memory ``name`` that are in no block RAM in all of its ``depth`` rows."""
    covered = np.zeros((width, depth), bool)
    for c in columns:
        if c.memory == name:
            covered[c.bit, c.first : c.first + c.rows] = True
    return [int(bit) for bit in np.flatnonzero(~covered.all(axis=1))]


def fill(
    contents: Contents, columns: Iterable[Column], memories: Mapping[str, tuple[int, Sequence[int]]]
) -> None:
    """Write ``memories`` (name -> width, rows) into the blocks; rows that are not given are 0."""
    bits = {name: _columns(rows, width) for name, (width, rows) in memories.items()}
    for c in columns:
        if c.memory not in bits:
            raise DesignError(f"memory '{c.memory}' has no contents; run `sterna pack`")
        word, at = contents.format.where(c.depth, c.line, c.rows)
        part = np.zeros(c.rows, np.uint8)
        given = bits[c.memory][c.first : c.first + c.rows, c.bit]
        part[: len(given)] = given
        contents.blocks[c.block][word, at] = part


def read_memory(
    contents: Contents, columns: Iterable[Column], name: str, width: int, depth: int
) -> list[int]:
    """Rows of memory ``name`` as the blocks hold them; bits that are in no block are 0. Where a bit
    is held more than once and not alike, FileError."""
    bits, seen = np.zeros((depth, width), np.uint8), np.zeros((depth, width), bool)
    for c in columns:
        if c.memory != name or c.first >= depth:
            continue
        if c.block not in contents.blocks:
            raise FileError(f"memory '{name}': the bitstream has no block RAM {c.block}")
        rows = min(c.rows, depth - c.first)
        word, at = contents.format.where(c.depth, c.line, rows)
        value, part = contents.blocks[c.block][word, at], slice(c.first, c.first + rows)
        known = seen[part, c.bit]
        if (bits[part, c.bit][known] != value[known]).any():
            raise FileError(f"memory '{name}': bit {c.bit} differs between its copies")
        bits[part, c.bit], seen[part, c.bit] = value, True
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]
