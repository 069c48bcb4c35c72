"""Images to a network and results from it by DMA: two buffers each way, used in turns.

A transfer of the DMA's simple mode is one packet, and a packet is one image, or one result
(docs/streams.md): so there are as many transfers as images, each of which costs some accesses of
Python to registers.
"""

__all__ = ["Transfers"]

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.host.zynq.dma import AxiDma, Channel

HALF = 1 << 20
"""Bytes of images in one of the two buffers, about."""
MOST = 1024
"""Images in one of the two buffers."""
LINE = 64
"""Rows begin at multiples of it: of every bus up to 512 bits, and of lines of the caches."""
PATIENCE, PAUSE = 1e-3, 1e-4
"""Seconds without news after which the processor rests between two looks, and how long."""
UNWRITTEN = 0xFF
"""Of the bytes of a result that did not come yet: all of its flags would be set."""
_KEPT: "set[Transfers]" = set()
"""Those whose DMA is in a reset that has not ended: pynq frees buffers that nobody holds."""
QUIET = 0.05
"""Seconds without a result after which half an image is taken to be in the network."""


class Transfers:
    """Moves images.

    Args:
        dma: idle.
        allocate: as pynq's.
        image_bytes: of an image's packet, whole beats. beat_bytes: of a beat.
        words: 32-bit words of a result.
        align: what the addresses of transfers must be a multiple of.
        timeout: seconds without an image taken or a result given after which a run is given up.
    """

    def __init__(
        self,
        dma: AxiDma,
        allocate: Callable[..., Any],
        image_bytes: int,
        beat_bytes: int,
        words: int,
        align: int,
        timeout: float,
        now: Callable[[], float] = time.monotonic,
    ):
        self._dma, self._timeout, self._now = dma, timeout, now
        self.image_bytes, self._beat_bytes, self._words = image_bytes, beat_bytes, words
        grain = max(LINE, align)
        self._step = -(-image_bytes // grain) * grain
        self._result_step = -(-4 * words // grain) * grain
        self.half = max(1, min(MOST, HALF // max(self._step, self._result_step)))
        self._allocate = allocate
        self._images: list[Any] = []
        self._results: list[Any] = []

    def _buffers(self) -> None:
        """The buffers, made when they are first needed. ``half`` was counted before."""
        if self._results:
            return
        made: list[Any] = []
        try:
            for step in (self._step, self._step, self._result_step, self._result_step):
                made.append(self._allocate(shape=(self.half, step), dtype=np.uint8))
                _set(made[-1], 0)
        except BaseException as error:  # all of them, or none
            _give_back(made)
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            cause = " ".join(str(error).split()) or type(error).__name__
            raise LinkError(
                f"pynq has no memory for {self.half} images ({cause}); free other buffers, or "
                "restart the notebooks that hold them"
            ) from error
        self._images, self._results = made[:2], made[2:]

    def stop(self) -> None:
        """Reset the DMA, so that it touches no memory any more. Where it does not come out of its
        reset (LinkError) it may still write to its buffers: then nobody frees them, not even
        Python, until a later reset is seen to end."""
        _KEPT.add(self)
        self._dma.reset()
        _KEPT.discard(self)

    @property
    def kept(self) -> int:
        """Buffers that the DMA may still write to."""
        return len(self._images + self._results) if self in _KEPT else 0

    def free(self) -> None:
        """Give the buffers back, but for those that the DMA may still write to."""
        if self not in _KEPT:
            _give_back([*self._images, *self._results])
            self._images, self._results = [], []

    def run(self, rows: np.ndarray) -> np.ndarray:
        """Results, uint32 (B, words), of packets of images, uint8 (B, image_bytes).

        LinkError where nothing moves, the DMA fails, or a result has a wrong length. Afterwards, as
        after Ctrl-C, `settle` puts things right.
        """
        if rows.ndim != 2 or rows.shape[1] != self.image_bytes:
            raise UsageError(f"rows of {rows.shape[1:]} are no images of {self.image_bytes} bytes")
        self._buffers()
        send, receive, count = self._dma.send, self._dma.receive, len(rows)
        out = np.empty((count, self._words), np.uint32)
        sent = asked = got = 0
        last = self._now()
        while got < count:
            moved = False
            if receive.busy and receive.over():
                self._check_length(got, receive.transferred)
                got += 1
                moved = True
                if got % self.half == 0 or got == count:
                    self._fetch(out, got)
            if not receive.busy and asked < count:
                if asked % self.half == 0:
                    # What it held has been fetched. Where the DMA writes no result, or the cache
                    # keeps an old one, this is what is found, and no result begins so.
                    _set(self._results[asked // self.half % 2], UNWRITTEN)
                self._begin(receive, self._results, asked, self._result_step, 4 * self._words)
                asked += 1
            if send.busy and send.over():
                moved = True
            if not send.busy and sent < count:
                if sent % self.half == 0:
                    self._fill(rows, sent)
                self._begin(send, self._images, sent, self._step, self.image_bytes)
                sent += 1
            if moved:
                last = self._now()
            else:
                self._rest(last, sent, got, count)
        return out

    def _begin(self, channel: Channel, halves: list[Any], k: int, step: int, size: int) -> None:
        half, row = divmod(k, self.half)
        channel.begin(int(halves[half % 2].physical_address) + row * step, size)

    def _fill(self, rows: np.ndarray, start: int) -> None:
        """The next half; what it held has been read, since transfers end in order."""
        buffer, part = self._images[start // self.half % 2], rows[start : start + self.half]
        buffer[: len(part), : self.image_bytes] = part
        buffer.flush()

    def _fetch(self, out: np.ndarray, end: int) -> None:
        """Copy the half that ends with result ``end`` out before it is written again."""
        start = (end - 1) // self.half * self.half
        buffer = self._results[start // self.half % 2]
        buffer.invalidate()
        part = np.array(buffer[: end - start, : 4 * self._words], np.uint8, order="C")
        out[start:end] = part.view("<u4")
        if (missing := out[start:end, 0] == UNWRITTEN * 0x01010101).any():
            raise LinkError(
                f"the DMA says that the result of image {start + int(missing.argmax())} came, and "
                "it is not in the memory; map the whole memory for the DMA's masters, and use "
                "buffers of the pynq that made this overlay"
            )

    def _check_length(self, image: int, size: int) -> None:
        if size != 4 * self._words:
            raise LinkError(
                f"the result of image {image} has {size} bytes instead of {4 * self._words}; name "
                "the build that the bitstream was made of"
            )

    def _rest(self, last: float, sent: int, got: int, count: int) -> None:
        quiet = self._now() - last
        if quiet > self._timeout:
            send, receive = self._dma.send, self._dma.receive
            taken = sent - send.busy
            where = f"{taken} of {count} images were taken and {got} results came"
            raise LinkError(
                f"{where}, and nothing has moved for {self._timeout:.3g} s (DMASR of MM2S "
                f"{send.status:#x}, of S2MM {receive.status:#x}); {_why(send.busy)}, or give more "
                "time with timeout="
            )
        if quiet > PATIENCE:
            time.sleep(PAUSE)

    def settle(self, idle: Callable[[], bool]) -> None:
        """Take what is still under way in the network, until it is ``idle``; nobody sees it.

        Half an image, of a transfer that was cut, is ended by a packet of one beat.
        """
        self.stop()
        if idle():
            return
        self._buffers()
        last = start = self._now()
        ended = False
        send, receive = self._dma.send, self._dma.receive
        while not idle():
            if not receive.busy:
                self._begin(receive, self._results, 0, self._result_step, 4 * self._words)
            elif receive.over():
                last = self._now()
            if send.busy:
                send.over()
            elif not ended and self._now() - last > min(QUIET, self._timeout / 4):
                self._begin(send, self._images, 0, self._step, self._beat_bytes)
                ended = True
            if self._now() - max(start, last) > self._timeout:
                raise LinkError(
                    f"the network holds images that do not end within {self._timeout:.3g} s; "
                    "download the overlay again, which resets it"
                )
            time.sleep(PAUSE)
        self.stop()


def _set(buffer: Any, byte: int) -> None:
    """In the memory, too: a dirty line that left the cache later would overwrite what the DMA
    wrote."""
    buffer[:] = byte
    buffer.flush()


def _give_back(buffers: list[Any]) -> None:
    for buffer in buffers:
        with contextlib.suppress(Exception):
            buffer.freebuffer()


def _why(sending: bool) -> str:
    if sending:
        return "does the network take images? reset() the board, or download the overlay again"
    return "its m_axis must lead to the DMA's S2MM; download the overlay again"
