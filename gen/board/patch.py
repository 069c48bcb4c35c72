"""Weights into a bitstream that is already placed and routed, and what a bitstream holds.

Nothing is synthesised: `gen.board.block_ram` knows which bit of which block RAM is which bit of
which memory. Making the bitstream anew with the same weights takes the same way and gives the same
bytes.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.board.block_ram import Column, Contents, fill, read_memory, unused_columns
from sterna.gen.board.place import pack, suffix, unpack
from sterna.gen.board.place_record import placed_record
from sterna.gen.build.folder import BOARD
from sterna.gen.build.stages import Build
from sterna.gen.device.boards import Board, board
from sterna.gen.tools.trust import is_sealed, seal
from sterna.gen.verilog.memory_images import MemoryImage, ident_image, memory_images
from sterna.golden.device.weights_image import read_weights_image
from sterna.golden.errors import DesignError, FileError
from sterna.golden.files.disk import (
    canonical_json,
    parse_json,
    read_bytes,
    read_text,
    sha256,
    write_atomic,
)
from sterna.golden.files.network_files import structure_ids, weights_id
from sterna.hw.memory.chain import WORD_BITS, ChainLayout

__all__ = ["fill_bitstream", "made_bitstream", "opened", "patch", "verify", "weights_memories"]

FACTS = "bitstream.json"
_AGAIN = "run `sterna bitstream`"


def fill_bitstream(
    build: Build,
    where: Board,
    record: Mapping[str, Any],
    images: Sequence[MemoryImage],
    ident: MemoryImage,
    output: Path | None = None,
) -> dict[str, Any]:
    """Write the bitstream with ``images`` in its fixed memories; returns the facts about it."""
    folder = build.folder / BOARD
    text = read_text(folder / "placeholder.txt", 1 << 30, _AGAIN)
    contents, columns = Contents(text, where.family), [Column(*c) for c in record["columns"]]
    held = [*_held(images, record), *([ident] if _fixed(images) else [])]
    fill(contents, columns, {i.name: (i.width, i.rows) for i in held})
    facts = _facts(build, where, record, images, ident)
    path = output or build.folder / f"{build.name}{suffix(where)}"
    with build.held(BOARD), build.held():
        data = pack(build.workshop(BOARD), where, contents.text(), build.name)
        write_atomic(path, data)
        if output is None:
            # Last: of a bitstream that was replaced before it is said what it is, it is not said.
            of = {"sha256": sha256(data), "network": weights_id(build.network), "facts": facts}
            body = facts | {"of": of | {"seal": seal("bitstream", of)}}
            write_atomic(build.folder / FACTS, canonical_json(body).encode())
    return facts | {"bitstream": str(path)}


def made_bitstream(build: Build, path: Path) -> dict[str, Any]:
    """The facts about the build's own bitstream at ``path``. FileError where this installation did
    not make it, or made it before the network of the build was replaced."""
    known: dict[str, Any] = {}
    if (build.folder / FACTS).is_file():
        body = parse_json(read_bytes(build.folder / FACTS, 1 << 26, _AGAIN), build.folder / FACTS)
        known = body.get("of", {}) if isinstance(body, dict) else {}
    rest = {k: v for k, v in known.items() if k != "seal"} if isinstance(known, dict) else {}
    data = read_bytes(path, 1 << 26, _AGAIN)
    if not is_sealed("bitstream", rest, known.get("seal")) or rest["sha256"] != sha256(data):
        raise FileError(
            f"{path}: is not as this installation made it; {_AGAIN} again, or name it with "
            "--bitstream if you trust who made it"
        )
    if rest["network"] != weights_id(build.network):
        raise FileError(
            f"{path}: was made before the network of {build.folder} was replaced; {_AGAIN} again, "
            "or `sterna patch`"
        )
    return rest["facts"]


def _fixed(images: Sequence[MemoryImage]) -> list[MemoryImage]:
    return [i for i in images if i.region is None]


def _held(images: Sequence[MemoryImage], record: Mapping[str, Any]) -> list[MemoryImage]:
    """Fixed memories in block RAM."""
    return [i for i in _fixed(images) if i.name not in record["logic"]]


def _facts(
    build: Build,
    where: Board,
    record: Mapping[str, Any],
    images: Sequence[MemoryImage],
    ident: MemoryImage,
) -> dict[str, Any]:
    interval = build.design.modelled_interval or build.design.interval
    low, high = ident.rows[:2]
    return {
        "board": where.name,
        "part": where.part,
        "family": where.family,
        "used": record["used"],
        "fmax_mhz": record["fmax_mhz"],
        "oscillator_mhz": where.clock_mhz,
        "clock_mhz": record["clock_mhz"],
        "pll": record["pll"],
        "baud": record["options"]["baud"],
        "interval": interval,
        "images_per_second": record["clock_mhz"] * 1e6 / interval,
        "tools": record.get("tools"),
        "structure_id": record["structure_id"],
        "weights_id": f"{high << 32 | low:016x}" if _fixed(images) else None,
        "in_block_ram": [i.name for i in _held(images, record)],
        "in_logic": record["logic"],
        "constant": build.design.constants,
        "loaded_by_host": [i.name for i in images if i.region is not None],
    }


def opened(build: Build) -> tuple[dict[str, Any], Board]:
    """What place and route left in a build, and the board. FileError where it left nothing."""
    record = placed_record(build.folder / BOARD)
    if record is None and (projects := sorted(build.folder.glob("vivado_*"))):
        raise FileError(
            f"{build.folder}: holds a Vivado project, {projects[0].name}: Vivado makes and loads "
            "its bitstream; other weights are other files in its mem folder (sterna bitstream)"
        )
    if record is None:
        raise FileError(
            f"{build.folder}: holds no placed and routed design that this installation made; "
            f"{_AGAIN}"
        )
    if record["structure_id"] not in structure_ids(build.network, build.design.to_json()):
        raise FileError(
            f"{build.folder}: the design was folded anew after its bitstream was made; run `sterna "
            "bitstream` again"
        )
    options = record["options"]
    return record, board(options["board"], options["uart"])


def weights_memories(build: Build, path: str | Path) -> tuple[list[MemoryImage], MemoryImage]:
    """The memories of a build with the contents of a weights.sterna, and their identity.

    FileError where the file is for another structure or another design.
    """
    new = read_weights_image(path)
    record, _ = opened(build)
    if new.structure_id not in structure_ids(build.network, build.design.to_json()):
        raise FileError(
            f"{path}: is for structure {new.structure_id[:16]} and {build.folder} is "
            f"{record['structure_id'][:16]}; pack it for this build with sterna pack --onto"
        )
    images = memory_images(build.network, build.design)
    if sorted(new.regions) != sorted(i.number for i in images):
        raise FileError(f"{path}: does not hold this design's memories; pack it again")
    out = []
    for image in images:
        words, layout = new.regions[image.number], ChainLayout(image.depth, image.width)
        if len(words) != layout.words:
            raise FileError(f"{path}: memory '{image.name}' has another size; pack it again")
        rows = _rows(words, layout)
        out.append(
            MemoryImage(image.name, image.depth, image.width, rows, image.region, image.number)
        )
    number = int(new.weights_id[:16], 16)
    fixed = sorted(_fixed(out), key=lambda image: image.number)
    crc = zlib.crc32(b"".join(new.regions[i.number].astype("<u4").tobytes() for i in fixed))
    rows = [number & 0xFFFFFFFF, number >> 32, crc]
    return out, MemoryImage("ident", len(rows), 32, rows, None, -1)


def _rows(words: np.ndarray, layout: ChainLayout) -> list[int]:
    """Row values of the linear words of a region."""
    table = words.reshape(layout.depth, -1)
    return [
        sum(int(row[k]) << WORD_BITS * k for k in range(layout.per_row)) for row in table.tolist()
    ]


def patch(build: Build, weights: str | Path, output: Path | None = None) -> dict[str, Any]:
    """Put the weights of a weights.sterna into the build's bitstream (or write it to ``output``).

    FileError where they are for another structure; DesignError where weights differ that are built
    of logic.
    """
    record, where = opened(build)
    images, ident = weights_memories(build, weights)
    if not _fixed(images):
        raise DesignError(
            f"{build.name}: all memories of this design are loaded by the host; use `sterna load`"
        )
    built = {i.name: i.rows for i in memory_images(build.network, build.design)}
    for image in images:
        if image.name in record["logic"] and image.rows != _full(built[image.name], image.depth):
            raise DesignError(
                f"memory '{image.name}' is built of logic, because the block RAMs of {where.name} "
                "were used up, and the new weights differ in it; make the bitstream anew"
            )
    return fill_bitstream(build, where, record, images, ident, output)


def _full(rows: Sequence[int], depth: int) -> list[int]:
    return [*rows, *[0] * (depth - len(rows))]


def verify(
    build: Build, weights: str | Path | None = None, bitstream: Path | None = None
) -> dict[str, Any]:
    """Unpack the build's bitstream and compare every fixed memory with ``mem/*.mem`` (or with a
    weights.sterna).

    Returns ``equal`` (names of memories that are in block RAM bit for bit), ``different`` (name ->
    number of rows), ``in_logic`` (names), ``unread`` (name -> bits that the design never reads, so
    that no block RAM has them), ``constant`` (cores whose weights are the logic itself, so there is
    nothing to compare), ``weights_id`` of the bitstream and ``expected_weights_id``.
    """
    record, where = opened(build)
    path = bitstream or build.folder / f"{build.name}{suffix(where)}"
    data = read_bytes(path, 1 << 26, _AGAIN)
    with build.held(BOARD):
        contents = Contents(unpack(build.workshop(BOARD), where, data), where.family)
    columns = [Column(*c) for c in record["columns"]]
    if weights is None:
        images = memory_images(build.network, build.design)
        ident = ident_image(build.network, images)
        expected = {i.name: _read_mem(build.folder / f"mem/{i.name}.mem") for i in _fixed(images)}
    else:
        images, ident = weights_memories(build, weights)
        expected = {i.name: i.rows for i in _fixed(images)}
    expected["ident"] = ident.rows
    held = [*_held(images, record), *([ident] if _fixed(images) else [])]
    equal, different, unread = [], {}, {}
    for image in held:
        mask = (1 << image.width) - 1
        missing = unused_columns(columns, image.name, image.width, image.depth)
        if missing:
            unread[image.name] = missing
            mask &= ~sum(1 << bit for bit in missing)
        found = read_memory(contents, columns, image.name, image.width, image.depth)
        wanted = _full(expected[image.name], image.depth)
        rows = sum((a ^ b) & mask != 0 for a, b in zip(found, wanted, strict=True))
        if rows:
            different[image.name] = rows
        else:
            equal.append(image.name)
    found = read_memory(contents, columns, "ident", 32, 3) if _fixed(images) else None
    return {
        "bitstream": str(path),
        "equal": equal,
        "different": different,
        "unread": unread,
        "in_logic": record["logic"],
        "constant": build.design.constants,
        "loaded_by_host": [i.name for i in images if i.region is not None],
        "weights_id": f"{found[1] << 32 | found[0]:016x}" if found else None,
        "expected_weights_id": f"{ident.rows[1] << 32 | ident.rows[0]:016x}",
    }


def _read_mem(path: Path) -> list[int]:
    text = read_bytes(path, 1 << 28, "run `sterna pack`").decode("ascii", "replace")
    try:
        return [int(line, 16) for line in text.splitlines() if line and not line.startswith("//")]
    except ValueError:
        raise FileError(f"{path}: is no memory file; run `sterna pack`") from None
