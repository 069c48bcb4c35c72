"""Loading weights into a board: all of them, verified, or none that anybody would compute with."""

__all__ = ["check_built_in", "load_weights", "region_crc", "until_idle", "weights_of", "words_crc"]

import os
import zlib
from collections.abc import Sequence

import numpy as np

from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import WeightsImage, parse_weights_image, read_weights_image
from sterna.golden.errors import FileError, UsageError
from sterna.golden.words.names import show
from sterna.host.inputs import Images, build_beside, build_weights
from sterna.host.patience import Countdown, Pace
from sterna.host.registers import HOLD, IDLE, Registers

CRC_BUSY, CRC_DONE = 1 << 8, 1 << 9
BATCH = 59 * 64
"""Words given to the link at once."""


def weights_of(
    weights: str | os.PathLike[str] | bytes | WeightsImage | None, build: Images | None
) -> tuple[WeightsImage, Images | None]:
    """A weights image from what a caller gave, None: the build's; and the build it is of, where
    that is known. FileError unless every byte is right."""
    if weights is None:
        if build is None or build.weights is None:
            raise UsageError("no weights: give the path of a weights.sterna, or a build")
        return build_weights(build.weights.parent), build
    if isinstance(weights, WeightsImage):
        return weights, build
    if isinstance(weights, bytes | bytearray):
        return parse_weights_image(bytes(weights)), build
    if not isinstance(weights, str | os.PathLike):
        raise UsageError(
            f"weights {show(weights)} are none; give the path of a weights.sterna, or its bytes"
        )
    return read_weights_image(weights), build_beside(weights) or build


def load_weights(link: Registers, image: WeightsImage, same: Sequence[str] = ()) -> None:
    """Write the reloadable memories of a board and verify each by the board's own CRC pass.
    ``same``: first 16 digits of ids that name one structure (`golden.files.structure_ids`).

    Order: hold, wait until idle, write (which clears weights_id), verify, weights_id, release. So
    wherever this ends early, weights_id is zero, or the weights are whole.

    Raises:
        FileError: the image is of another structure, lacks a memory, or has other fixed contents.
        LinkError: the link, a refused access, or a memory that reads back wrong.
    """
    low, high = link.read("structure_id_lo", 2)
    board = f"{high << 32 | low:016x}"
    if image.structure_id[:16] != board and not {image.structure_id[:16], board} <= {*same}:
        raise FileError(
            f"the weights are for structure {image.structure_id[:16]}, the board's bitstream is "
            f"{board}; load weights packed with its design, or program the other bitstream"
        )
    count = link.read("config")[0] >> 16
    _check_fixed(link, image, count)
    if not count:
        return
    if missing := [n for n in range(count) if n not in image.regions]:
        raise FileError(
            f"the weights have no region {missing[0]} of the board's {count}; pack them again"
        )
    link.write("control", HOLD)
    until_idle(link)
    for region in range(count):
        _write(link, region, image.regions[region])
        _verify(link, region, image.regions[region])
    number = int(image.weights_id[:16], 16)
    words = number & 0xFFFFFFFF, number >> 32
    link.write("weights_id_lo", *words)  # one frame: both halves or none
    if link.read("weights_id_lo", 2) != words:
        raise LinkError("weights_id reads back otherwise than written; load the weights again")
    link.write("control", 0)


def check_built_in(link: Registers, images: Images | None) -> None:
    """LinkError where a board whose weights are all part of its bitstream has others than the
    build, whose results would not be those of the build's network."""
    if images is None or images.weights_id is None:
        return
    low, high, config, _ = link.read("weights_id_lo", 4)
    if config >> 16:
        return  # they are loaded, also those of other builds
    found, wanted = f"{high << 32 | low:016x}", images.weights_id[:16]
    if found != wanted:
        raise LinkError(
            f"the board's bitstream has the weights {found}, the build {wanted}; program the "
            "build's bitstream, or put its weights into that ('sterna patch'; of Vivado: make it "
            "anew)"
        )
    if images.weights is not None:
        image = build_weights(images.weights.parent)
        if image.rom_crc(0) != link.read("rom_crc")[0]:
            raise LinkError(
                "the memories of the board's bitstream have another rom_crc than the build's "
                "weights.sterna; program the build's bitstream"
            )


def _check_fixed(link: Registers, image: WeightsImage, count: int) -> None:
    """What is built into the bitstream must be what the file has in its place."""
    if image.rom_crc(count) == link.read("rom_crc")[0]:
        return
    what = "some of these weights are" if count else "the weights of this design are"
    raise FileError(
        f"{what} built into the board's bitstream and differ from the file's; put them into the "
        "bitstream ('sterna patch'; of Vivado: make it anew) and program it"
    )


def until_idle(link: Registers) -> None:
    """Wait for the images in flight; ``control.hold`` keeps others out."""
    end = link.now() + link.timeout
    while not link.read("status")[0] & IDLE:
        if link.now() > end:
            raise LinkError(
                f"an image has been in flight for {link.timeout:.3g} s and does not end; "
                "reset the network and load again"
            )


def _write(link: Registers, region: int, words: np.ndarray) -> None:
    link.write("chain_address", region << 24)
    for at in range(0, len(words), BATCH):
        link.write_all([("chain_data", words[at : at + BATCH].tolist(), True)])


def _verify(link: Registers, region: int, words: np.ndarray) -> None:
    """The board's CRC-32 of a region against the file's."""
    found, expected = region_crc(link, region, len(words)), words_crc(words)
    if found != expected:
        raise LinkError(
            f"region {region} reads back with CRC {found or 0:08x} instead of {expected:08x}; "
            "load the weights again, and lower the clock if it stays so"
        )


def words_crc(words: np.ndarray) -> int:
    """The CRC-32 that a memory with these words has."""
    return zlib.crc32(words.astype("<u4").tobytes())


def region_crc(link: Registers, region: int, count: int) -> int | None:
    """The CRC-32 that a held and idle board finds in the first ``count`` words of a region; None
    where it met an address that nobody answers."""
    link.write("chain_address", region << 24)
    link.write("crc_words", count)
    to_come = Countdown(count, link.timeout, link.now())
    while (status := link.read("status")[0]) & CRC_BUSY:
        before, (left,) = to_come.left, link.read("crc_words")
        pace = to_come.look(left, link.now())
        if pace is Pace.BACK:
            raise LinkError(
                f"the CRC pass over region {region} has {left} words to go after {before}; reset "
                "the network, and report this mistake of its design"
            )
        if pace is Pace.LATE:
            raise LinkError(f"the CRC pass over region {region} does not end; reset the network")
    (found,) = link.read("crc_result")
    return found if status & CRC_DONE else None
