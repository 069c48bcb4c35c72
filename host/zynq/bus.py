"""A design's registers on a processor's own bus.

There an access that the design refuses (SLVERR) is no sentence but an abort: Linux ends the program
with SIGBUS. So nothing is tried that would be refused.
"""

__all__ = ["BusRegisters", "Mmio"]

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.host.registers import IDLE, address_of, count_of, words_of

CHAIN = frozenset(csr.ADDRESS[n] for n in ("chain_address", "chain_data", "crc_words"))
"""Registers that are refused while an image is in flight or a CRC pass is under way."""
ONLY_RAM = CHAIN | {csr.ADDRESS["crc_result"]}
WRITABLE = CHAIN | {csr.ADDRESS[n] for n in ("control", "status")}
WEIGHTS = {csr.ADDRESS["weights_id_lo"], csr.ADDRESS["weights_id_hi"]}
CRC_BUSY = 1 << 8
CRC_WORDS = 21
"""Bits of crc_words."""


class Mmio(Protocol):
    """What pynq's MMIO is: 32-bit words at byte offsets."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, data: int) -> None: ...


class BusRegisters:
    """`sterna.host.registers.Registers` over memory-mapped words.

    Args:
        mmio: of the design's AXI4-Lite slave.
        timeout: seconds until something is given up.
    """

    def __init__(self, mmio: Mmio, timeout: float):
        self.timeout = timeout
        self.now: Callable[[], float] = time.monotonic
        self._mmio = mmio
        self._size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Cores with a stall counter, and reloadable memories."""
        if self._size is None:
            word = int(self._mmio.read(csr.ADDRESS["config"]))
            self._size = word & 0xFFFF, word >> 16
        return self._size

    def read(self, register: str | int, count: int = 1) -> tuple[int, ...]:
        """Words of ``count`` registers from one on, by name or by address in bytes. UsageError
        where the design has no such register."""
        first = address_of(register)
        addresses = range(first, first + 4 * count_of(count), 4)
        for address in addresses:
            self._check(address)
        if csr.ADDRESS["chain_data"] in addresses:
            self._drained()
        return tuple(int(self._mmio.read(address)) for address in addresses)

    def write(self, register: str | int, *words: int) -> None:
        """Write registers from one on. UsageError where one cannot be written."""
        self.write_all([(register, words, False)])

    def write_all(self, writes: Sequence[tuple[str | int, Sequence[int], bool]]) -> None:
        """Many writes in order: (register, words, whether all go to that one register)."""
        for register, words, same in writes:
            first, words = address_of(register), words_of(words)
            places = [first if same else first + 4 * k for k in range(len(words))]
            for address, word in zip(places, words):
                self._check(address, word)
            if CHAIN & {*places}:
                self._drained()
            for address, word in zip(places, words):
                self._mmio.write(address, word)

    def _check(self, address: int, word: int | None = None) -> None:
        """UsageError where the design would refuse to read, or to write ``word``."""
        if address in (csr.ADDRESS["id"], csr.ADDRESS["version"]) and word is None:
            return
        cores, regions = self.size
        stalls = range(csr.ADDRESS["stalls"], csr.ADDRESS["stalls"] + 4 * cores, 4)
        known = {*csr.ADDRESS.values()} - {csr.ADDRESS["stalls"]}
        if address not in stalls and (address not in known or address in ONLY_RAM and not regions):
            raise UsageError(f"the design has no register at {address:#x}; csr.json lists its own")
        if word is None:
            return
        if address == csr.ADDRESS["repeat"]:
            raise UsageError(
                "repeat would make results that no transfer takes; give infer() the images again"
            )
        if address not in WRITABLE and not (regions and address in WEIGHTS):
            raise UsageError(f"the register at {address:#x} is read only; csr.json says which are")
        if address == csr.ADDRESS["crc_words"] and word >= 1 << CRC_WORDS:
            raise UsageError(f"{word:#x} does not fit the register at {address:#x}; write less")

    def _drained(self) -> None:
        """Wait until the memories may be accessed."""
        end = self.now() + self.timeout
        while (status := int(self._mmio.read(csr.ADDRESS["status"]))) & (IDLE | CRC_BUSY) != IDLE:
            if self.now() > end:
                what = "a CRC pass" if status & CRC_BUSY else "an image"
                raise LinkError(
                    f"{what} has been under way for {self.timeout:.3g} s and does not end; "
                    "reset() the board, or download its overlay again"
                )
