"""Xilinx's AXI DMA in its simple mode ("Direct Register Mode" of PG021), by its registers.

pynq's own channels wait without end where a transfer does not, and flush or invalidate a whole
buffer at each. Here nothing is waited for; the caller looks, and bounds the time.
"""

__all__ = ["AxiDma", "Channel"]

import time
from collections.abc import Callable

from sterna.golden.device.link import LinkError
from sterna.host.zynq.bus import Mmio

DMACR, DMASR, ADDRESS, ADDRESS_MSB, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
MM2S, S2MM = 0x00, 0x30
RUN, RESET = 1, 4
HALTED, IDLE, SCATTER_GATHER = 1, 2, 8
_ERRORS = {
    "DMAIntErr": 1 << 4,
    "DMASlvErr": 1 << 5,
    "DMADecErr": 1 << 6,
}
_CAUSES = {
    ("DMAIntErr", MM2S): "it was given no bytes; please report this mistake of Sterna",
    ("DMAIntErr", S2MM): (
        "a result was longer than the build says; name the build that the bitstream was made of"
    ),
    ("DMASlvErr", MM2S): "the memory refused to be read; connect the DMA to a port of the memory",
    ("DMASlvErr", S2MM): "the memory refused a write; connect the DMA to a port of the memory",
    ("DMADecErr", MM2S): "nothing is at its address; map the whole memory for the DMA's masters",
    ("DMADecErr", S2MM): "nothing is at its address; map the whole memory for the DMA's masters",
}


class Channel:
    """One direction. ``name``: MM2S (memory to stream) or S2MM. At most one transfer at a time."""

    def __init__(self, mmio: Mmio, base: int):
        self._mmio, self._base, self.name = mmio, base, "S2MM" if base else "MM2S"
        self._high = 0
        self._where = 0
        self.busy = False

    def begin(self, address: int, size: int) -> None:
        """Start a transfer of ``size`` bytes from, or to, a physical address."""
        high = address >> 32
        self._mmio.write(self._base + ADDRESS, address & 0xFFFFFFFF)
        if high != self._high:  # a DMA of 32 bits has no such register
            self._mmio.write(self._base + ADDRESS_MSB, high)
            self._high = high
        self._mmio.write(self._base + LENGTH, size)
        self._where, self.busy = address, True

    def over(self) -> bool:
        """The transfer has ended. LinkError where it failed."""
        status = int(self._mmio.read(self._base + DMASR))
        for name, bit in _ERRORS.items():
            if status & bit:
                raise LinkError(
                    f"the DMA's {self.name} channel stopped with {name} at address "
                    f"{self._where:#x}: {_CAUSES[name, self._base]}"
                )
        if status & HALTED:
            raise LinkError(
                f"the DMA's {self.name} channel was stopped by somebody else; use one PynqBoard "
                "of a DMA, and not pynq's own channels beside it"
            )
        if not status & IDLE:
            return False
        self.busy = False
        return True

    @property
    def transferred(self) -> int:
        """Bytes of the transfer that ended; fewer than were asked for where the packet was
        shorter."""
        return int(self._mmio.read(self._base + LENGTH))

    @property
    def status(self) -> int:
        """DMASR."""
        return int(self._mmio.read(self._base + DMASR))

    def run(self) -> None:
        """Start the channel, which a reset has halted."""
        self._mmio.write(self._base + DMACR, RUN)
        self._high, self.busy = 0, False


class AxiDma:
    """Both channels of a DMA, running.

    Args:
        mmio: of its registers.
        timeout: seconds for it to answer a reset.

    Raises:
        LinkError: it has scatter and gather, or does not come out of its reset.
    """

    def __init__(self, mmio: Mmio, timeout: float, now: Callable[[], float] = time.monotonic):
        self._mmio, self._timeout, self._now = mmio, min(timeout, 1.0), now
        self.send, self.receive = Channel(mmio, MM2S), Channel(mmio, S2MM)
        if self.send.status & SCATTER_GATHER:
            raise LinkError(
                "the DMA has a scatter-gather engine, and Sterna drives it without; make the block "
                "design with c_include_sg 0"
            )
        self.reset()

    def reset(self) -> None:
        """Drop what is under way, clear errors, start both channels. Afterwards it touches no
        memory."""
        self._mmio.write(DMACR, RESET)  # of the whole engine, whichever channel is told
        self._until(lambda: not int(self._mmio.read(DMACR)) & RESET)
        for channel in (self.send, self.receive):
            channel.run()
        self._until(lambda: not (self.send.status | self.receive.status) & HALTED)

    def _until(self, done: Callable[[], bool]) -> None:
        end = self._now() + self._timeout
        while not done():
            if self._now() > end:
                raise LinkError(
                    "the DMA does not come out of its reset; do both its clocks run? Download the "
                    "overlay again"
                )
