"""The weights image ``weights.sterna``, which a host loads into a board.

numpy only: a board's host imports this module. All numbers are little-endian.

======  =====  =========================================================================
offset  bytes  meaning
======  =====  =========================================================================
0       8      magic, the characters "STERNAW" and a zero
8       4      u32 version, 1
12      4      u32 length of the whole file in bytes
16      32     structure_id (sha256): must equal the design's
48      32     weights_id (sha256): which tensors these are; never a reason to refuse
80      4      u32 number of regions n, 0 .. 256
84      16*n   region table, ascending region number, each entry: u32 region (0 .. 255),
               u32 offset of its first word from the start of the file, u32 words
               (1 .. 2**20), u32 CRC-32 of its bytes
84+16n  4      u32 CRC-32 of all bytes before this one
then           the regions' u32 words, one region after the other, nothing between or after
======  =====  =========================================================================

CRC-32 is zlib's (IEEE 802.3, reflected, 0xFFFFFFFF in and out). Word k of a region is what a
host writes to address k of that region of the daisy chain. Regions behind those of the chain
are the contents of the fixed memories.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sterna.golden.errors import FileError
from sterna.golden.files.disk import StrPath, read_bytes, write_atomic

__all__ = [
    "WeightsImage",
    "pack_weights_image",
    "parse_weights_image",
    "write_weights_image",
    "read_weights_image",
]

VERSION = 1
MAGIC = b"STERNAW\0"
HEAD, ENTRY = struct.Struct("<8sII32s32sI"), struct.Struct("<IIII")
MAX_REGIONS, MAX_WORDS = 256, 1 << 20
AGAIN = "copy it again or make it again with 'sterna pack'"


@dataclass(frozen=True, eq=False)
class WeightsImage:
    """structure_id and weights_id, 64 hexadecimal digits each; regions: number -> uint32 words.

    Of a design with n reloadable memories (register ``config``), regions 0 .. n - 1 are these, and
    those from n on are the contents of its fixed ones.
    """

    structure_id: str
    weights_id: str
    regions: dict[int, np.ndarray]

    def reloadable(self, count: int) -> dict[int, np.ndarray]:
        """The regions that can be loaded into a design with ``count`` reloadable memories."""
        return {number: words for number, words in self.regions.items() if number < count}

    def rom_crc(self, count: int) -> int:
        """CRC-32 of the words of the other regions, in ascending number, 0 without any: what such
        a design's register ``rom_crc`` must show."""
        fixed = sorted(number for number in self.regions if number >= count)
        return zlib.crc32(b"".join(self.regions[n].astype("<u4").tobytes() for n in fixed))


def pack_weights_image(structure: str, weights: str, regions: Mapping[int, np.ndarray]) -> bytes:
    """The bytes of weights.sterna (layout: module docstring). ``regions``: number 0 .. 255 ->
    uint32 (words,), 1 .. 2**20 words. FileError for anything else."""
    ids = []
    for name, text in (("structure_id", structure), ("weights_id", weights)):
        if len(text) != 64 or set(text) - set("0123456789abcdef"):
            raise FileError(f"weights image: {name} {text!r} is not 64 hexadecimal digits")
        ids.append(bytes.fromhex(text))
    table, body = b"", b""
    start = HEAD.size + ENTRY.size * len(regions) + 4
    for number in sorted(regions):
        words = np.asarray(regions[number])
        if not 0 <= number < MAX_REGIONS or words.dtype != np.uint32 or words.ndim != 1:
            raise FileError(
                f"weights image: region {number} is not uint32 words with number 0..255"
            )
        if not 1 <= len(words) <= MAX_WORDS:
            raise FileError(f"weights image: region {number} has {len(words)} words, not 1..2**20")
        data = words.astype("<u4").tobytes()
        table += ENTRY.pack(number, start + len(body), len(words), zlib.crc32(data))
        body += data
    head = HEAD.pack(MAGIC, VERSION, start + len(body), *ids, len(regions)) + table
    return head + struct.pack("<I", zlib.crc32(head)) + body


def parse_weights_image(data: bytes, name: StrPath = "weights image") -> WeightsImage:
    """The content of a weights image; FileError, naming ``name``, unless every byte is right."""

    def need(right: bool, cause: str) -> None:
        if not right:
            raise FileError(f"{name}: truncated or altered, {cause}; {AGAIN}")

    need(len(data) >= HEAD.size + 4, f"only {len(data)} bytes")
    magic, version, size, structure, weights, count = HEAD.unpack_from(data)
    if magic != MAGIC:
        raise FileError(f"{name}: is not a Sterna weights image; {AGAIN}")
    if version > VERSION:
        raise FileError(
            f"{name}: is version {version}, this Sterna reads version {VERSION}; update Sterna"
        )
    need(count <= MAX_REGIONS and version == VERSION, "impossible header")
    end = HEAD.size + ENTRY.size * count
    need(len(data) >= end + 4, "the region table is cut")
    need(zlib.crc32(data[:end]) == struct.unpack_from("<I", data, end)[0], "header CRC differs")
    need(len(data) == size, f"{len(data)} bytes instead of {size}")
    regions: dict[int, np.ndarray] = {}
    at, last = end + 4, -1
    for k in range(count):
        number, offset, words, crc = ENTRY.unpack_from(data, HEAD.size + 16 * k)
        need(last < number < MAX_REGIONS and 1 <= words <= MAX_WORDS, "impossible region table")
        need(offset == at and at + 4 * words <= size, f"region {number} is out of place")
        part = data[at : at + 4 * words]
        need(zlib.crc32(part) == crc, f"CRC of region {number} differs")
        regions[number] = np.frombuffer(part, "<u4").astype(np.uint32)
        at, last = at + 4 * words, number
    need(at == size, "bytes after the last region")
    return WeightsImage(structure.hex(), weights.hex(), regions)


def write_weights_image(
    path: StrPath, structure: str, weights: str, regions: Mapping[int, np.ndarray]
) -> None:
    """Write weights.sterna: ``pack_weights_image``, then ``write_atomic``."""
    write_atomic(path, pack_weights_image(structure, weights, regions))


def read_weights_image(path: StrPath) -> WeightsImage:
    """Read weights.sterna; FileError unless every byte is right."""
    limit = HEAD.size + 4 + MAX_REGIONS * (ENTRY.size + 4 * MAX_WORDS)
    return parse_weights_image(read_bytes(path, limit, AGAIN), path)
