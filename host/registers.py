"""A design behind its registers, whichever way these are reached: a serial link or a bus."""

__all__ = [
    "HOLD",
    "IDLE",
    "LAST_CORES",
    "Counters",
    "Registers",
    "address_of",
    "check_map",
    "check_structure",
    "clear_counters",
    "count_of",
    "counters",
    "ready",
    "result_of",
    "same_map",
    "words_of",
]

import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.golden.result import Result
from sterna.golden.words.names import show
from sterna.golden.words.values import integer, whole
from sterna.host.inputs import Images

HOLD = 2
"""Of ``control``: no image is started."""
IDLE = 1
"""Of ``status``: no image is in flight, and one can start."""
CLEAR = 1
LAST_CORES = ((1 << csr.ADDRESS_BITS) - csr.ADDRESS["stalls"]) // 4
"""Cores whose counters have an address."""
LOAD_AGAIN = (
    "the board has no complete weights (weights_id is 0); load the weights again with 'sterna load'"
    " or load()"
)


class Registers(Protocol):
    """How registers are read and written. Every method may raise LinkError.

    Attributes
    ----------
    timeout : float
        Seconds without progress after which something is given up.
    now : callable
        The time in seconds.
    """

    timeout: float
    now: Callable[[], float]

    def read(self, register: str | int, count: int = 1) -> tuple[int, ...]:
        """Words of ``count`` registers from one on, a name of golden/device/csr.py or a byte
        address."""
        ...

    def write(self, register: str | int, *words: int) -> None:
        """Write registers from one on."""
        ...

    def write_all(self, writes: Sequence[tuple[str | int, Sequence[int], bool]]) -> None:
        """Many writes in order: (register, words, whether all go to that one register)."""
        ...


@dataclass(frozen=True)
class Counters:
    """A design's counters. image_clocks: of an image, first input beat to last output beat, the
    latest that was measured; images, total_clocks (modulo 2**32): of those begun since the clear;
    dropped_early, dropped_late: packets of a wrong length; stalls: clocks each core had to wait."""

    image_clocks: int
    images: int
    total_clocks: int
    dropped_early: int
    dropped_late: int
    stalls: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def address_of(register: str | int) -> int:
    """Byte address of a register, given by name or address. UsageError where there is none."""
    if isinstance(register, str):
        if register not in csr.ADDRESS:
            raise UsageError(f"no register '{register}'; use one of {', '.join(csr.ADDRESS)}")
        return csr.ADDRESS[register]
    address = whole(register)
    if address is None:
        raise UsageError(f"{show(register)} is no register; give its name, or its address in bytes")
    if not 0 <= address < 1 << csr.ADDRESS_BITS or address % 4:
        raise UsageError(f"{address:#x} is no register's address; use multiples of 4 to 0xfffc")
    return address


def count_of(count: Any) -> int:
    """How many registers are read. UsageError where that is no number above 0."""
    most = 1 << csr.ADDRESS_BITS - 2
    refusal = f"count {show(count)}: give how many registers to read, 1 to {most}"
    return integer(refusal, count, 1, most, UsageError)


def words_of(words: Sequence[Any]) -> list[int]:
    """Words to write. UsageError where one is no whole number of 32 bits."""
    for word in words:
        if (found := whole(word)) is None or not 0 <= found < 1 << 32:
            shown = f"{found:#x}" if found is not None and found >= 0 else show(word)
            raise UsageError(f"{shown} does not fit a register; give a whole number of 32 bits")
    return [operator.index(word) for word in words]


def same_map(version: int) -> bool:
    """Whether registers of this version are those that are known here."""
    return version >> 16 == csr.VERSION >> 16 and version >= csr.VERSION


def check_map(registers: Registers) -> None:
    """LinkError where this is no Sterna network, or one of another map of registers."""
    magic, version = registers.read("id", 2)
    if magic != csr.ID:
        raise LinkError(
            f"behind the link is no Sterna network (id {magic:#010x}); "
            "program the board with a bitstream of this Sterna"
        )
    if not same_map(version):
        raise LinkError(
            f"the board's registers are of version {version >> 16}.{version & 0xFFFF}, this "
            f"Sterna knows {csr.VERSION >> 16}.{csr.VERSION & 0xFFFF}; build its bitstream anew"
        )


def check_structure(found: str, images: Images | None) -> None:
    """LinkError where the board's design, 16 digits of its structure_id, is not the build's."""
    wanted = images.structure if images else None
    if images and wanted is not None and found not in (wanted, *images.structures):
        raise LinkError(
            f"the board has another design (structure {found}) than the build ({wanted}); "
            "program the build's bitstream, or name the build of the board's"
        )


def ready(registers: Registers) -> None:
    """Weights are complete, else LinkError; then nothing holds images back."""
    low, high, _, control = registers.read("weights_id_lo", 4)
    if not low | high:
        raise LinkError(LOAD_AGAIN)
    if control & HOLD:  # a load was cut between its last two writes
        registers.write("control", 0)


def counters(registers: Registers, names: Sequence[str] = (), clear: bool = False) -> Counters:
    """The counters, of cores called ``names`` where there are as many; ``clear``: and set them to
    zero afterwards."""
    _, _, clocks, images, total, dropped = registers.read("status", 6)
    cores = registers.read("config")[0] & 0xFFFF
    if cores > LAST_CORES:
        raise LinkError(
            f"the board says it has {cores} cores, more than the {LAST_CORES} whose counters "
            "have an address; program it with a bitstream of this Sterna"
        )
    stalls = registers.read("stalls", cores) if cores else ()
    known = names if len(names) == cores else [f"core{k}" for k in range(cores)]
    if clear:
        clear_counters(registers)
    return Counters(
        clocks, images, total, dropped & 0xFFFF, dropped >> 16, dict(zip(known, stalls))
    )


def clear_counters(registers: Registers) -> None:
    """Set all counters to zero; images in flight will not be counted."""
    (control,) = registers.read("control")
    registers.write("control", control & HOLD | CLEAR)


def result_of(words: np.ndarray) -> Result:
    """uint32 [B, 1 + classes] to a Result; LinkError where one is flagged."""
    flags, classes = words[:, 0] >> 16, (words[:, 0] & 0xFFFF).astype(np.int64)
    logits = np.ascontiguousarray(words[:, 1:]).view(np.int32)
    if flags.any():
        k = int(np.argmax(flags != 0))
        if flags[k] & csr.FLAG_UNLOADED:
            raise LinkError(f"image {k} was computed without complete weights; {LOAD_AGAIN}")
        raise LinkError(
            f"image {k} came back with flags {flags[k]:#x}: it had a wrong length on its way into "
            "the network; reset the network and try again"
        )
    if (classes != np.argmax(logits, axis=1)).any():
        k = int(np.argmax(classes != np.argmax(logits, axis=1)))
        raise LinkError(
            f"image {k} has class {classes[k]}, which is not its largest logit; please report this "
            "mistake of the design"
        )
    return Result(logits, classes)
