"""A Sterna design in the logic of a Zynq, from the processor beside it, with pynq."""

__all__ = ["NetworkInfo", "PynqBoard"]

import contextlib
import functools
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import WeightsImage
from sterna.golden.errors import UsageError
from sterna.golden.result import Result
from sterna.golden.words.names import show
from sterna.golden.words.values import flag
from sterna.host.inputs import design_of
from sterna.host.load import check_built_in, load_weights, weights_of
from sterna.host.patience import check_timeout
from sterna.host.registers import (
    HOLD,
    IDLE,
    Counters,
    check_map,
    check_structure,
    counters,
    ready,
    result_of,
)
from sterna.host.zynq.bus import BusRegisters
from sterna.host.zynq.dma import AxiDma
from sterna.host.zynq.overlay import find, opened, pynq
from sterna.host.zynq.transfers import Transfers

F = TypeVar("F", bound=Callable[..., Any])


def _alone(method: F) -> F:
    """One call at a time, of an open board: others wait."""

    @functools.wraps(method)
    def within(*words: Any, **options: Any) -> Any:
        with words[0]._lock:
            words[0]._check()
            return method(*words, **options)

    return cast(F, within)


@dataclass(frozen=True)
class NetworkInfo:
    """What a network says of itself. structure_id, weights_id: first 16 hexadecimal digits;
    weights_id None where no weights are loaded whole. image_bytes: of an image's packet. classes:
    logits of a result. cores: with a stall counter. regions: reloadable memories. held: it starts
    no image. most_bytes: of one transfer of the DMA."""

    structure_id: str
    weights_id: str | None
    image_bytes: int
    classes: int
    cores: int
    regions: int
    held: bool
    most_bytes: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class PynqBoard:
    """One network of an overlay, with its DMA; also a context manager. Runs on the board, as root.

    ::

        with sterna.PynqBoard("mnist.bit", "mnist") as board:
            board.load()  # of a design whose weights are loaded
            result = board.infer(images)

    Parameters
    ----------
    overlay : str, path or pynq.Overlay
        A .bit with its .hwh beside it, or an overlay that is there.
    build : str or path
        The build folder that the bitstream was made of, of which network.json,
        network.safetensors, design.json, csr.json and weights.sterna are read. A board with another
        design is refused.
    ip, dma : str, optional
        Names of the network and of its AXI DMA in the overlay; default the only ones.
    download : bool
        Whether a .bit is loaded into the logic, which also resets it.
    timeout : float
        Seconds without progress after which every call fails.

    Raises
    ------
    LinkError
        As all methods: the network, the DMA or the memory, in one sentence. After it, and after
        Ctrl-C, the next call drops what was under way.
    FileError
        As all methods: a file is damaged or of another design.
    UsageError
        As all methods: names, images or registers that do not fit.
    ToolMissing
        pynq is not there.
    """

    def __init__(
        self,
        overlay: Any,
        build: str | os.PathLike[str],
        *,
        ip: str | None = None,
        dma: str | None = None,
        download: bool = True,
        timeout: float = 10.0,
    ):
        timeout = check_timeout(timeout)
        flag(f"download {show(download)} must be True or False", download, UsageError)
        self._images, beat_bytes = design_of(build)
        self.overlay = opened(overlay, download)
        found = find(self.overlay, ip, dma)
        self._lock, self._closed = threading.RLock(), False
        self._registers = BusRegisters(found.network, timeout)
        check_map(self._registers)
        check_structure(self._structure, self._images)
        check_built_in(self._registers, self._images)
        size, words = self._images.packet_bytes(beat_bytes), 1 + (self._images.classes or 0)
        if (needed := max(size, 4 * words)) > found.most:
            raise UsageError(
                f"a packet of this design has {needed} bytes and one transfer of the DMA at most "
                f"{found.most}; give the DMA a wider length register (c_sg_length_width), up to 26 "
                "bits"
            )
        self._most = found.most
        self._dma = AxiDma(found.dma, timeout)
        self._transfers = Transfers(
            self._dma, pynq().allocate, size, beat_bytes, words, found.align, timeout
        )
        self._dirty = True  # whoever was here before may have left half an image
        try:
            self._settle()
        except BaseException:
            with contextlib.suppress(LinkError):  # what is told is what failed first
                self.close()
            raise

    def __enter__(self) -> "PynqBoard":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with contextlib.suppress(LinkError) if kind else contextlib.nullcontext():
            self.close()

    def close(self) -> None:
        """Stop the DMA and give its buffers back. The design stays in the logic. Twice is as good
        as once.

        Raises
        ------
        LinkError
            The DMA does not come out of its reset: its buffers stay, as it may still write to them.
        """
        with self._lock:
            if self._closed and not self._transfers.kept:
                return
            self._closed = True
            try:
                self._transfers.stop()
            except LinkError as error:
                if kept := self._transfers.kept:
                    raise LinkError(
                        f"{error}; until then its {kept} buffers are kept, since it may still "
                        "write to them: close() again gives them back"
                    ) from error
            self._transfers.free()

    def _check(self) -> None:
        """It is open, and the network still answers: a clock that stands still, or another
        overlay, is seen here, and not taken for what a register says."""
        if self._closed:
            raise LinkError("the board is closed; open it again")
        check_map(self._registers)

    @property
    def _structure(self) -> str:
        low, high = self._registers.read("structure_id_lo", 2)
        return f"{high << 32 | low:016x}"

    @_alone
    def identify(self) -> NetworkInfo:
        """What the network is and what it holds."""
        low, high, config, control = self._registers.read("weights_id_lo", 4)
        weights = high << 32 | low
        return NetworkInfo(
            structure_id=self._structure,
            weights_id=f"{weights:016x}" if weights else None,
            image_bytes=self._transfers.image_bytes,
            classes=self._images.classes or 0,
            cores=config & 0xFFFF,
            regions=config >> 16,
            held=bool(control & HOLD),
            most_bytes=self._most,
        )

    @_alone
    def read(self, register: str | int, count: int = 1) -> tuple[int, ...]:
        """Words of ``count`` registers from ``register`` on, a name of golden/device/csr.py or a
        byte address. One that the design does not have is refused before the bus is asked, where
        it would end the program."""
        return self._registers.read(register, count)

    @_alone
    def write(self, register: str | int, *words: int) -> None:
        """Write registers from ``register`` on."""
        self._registers.write(register, *words)

    @_alone
    def load(self, weights: str | os.PathLike[str] | bytes | WeightsImage | None = None) -> str:
        """Load weights and verify them, as `sterna.Board.load` does.

        Parameters
        ----------
        weights : str, path, bytes or WeightsImage, optional
            A weights.sterna; default the build's.

        Returns
        -------
        str
            Their weights_id.
        """
        image, build = weights_of(weights, self._images)
        self._settle()
        load_weights(self._registers, image, build.structures if build else ())
        return image.weights_id

    @_alone
    def infer(self, images: Any) -> Result:
        """Compute images, which are sent while others are computed. Refused without complete
        weights.

        Parameters
        ----------
        images : uint8 [B,C,H,W], or [T,B,C,H,W] for 'frames'

        Returns
        -------
        Result
            Logits and classes as ``sterna.run`` gives them, without spikes.
        """
        rows = self._images.rows(images, self._transfers.image_bytes)
        self._settle()
        ready(self._registers)
        self._dirty = True
        try:
            words = self._transfers.run(rows)
        except BaseException:
            with contextlib.suppress(Exception):
                self._transfers.stop()  # it must not write to buffers that may be freed
            raise
        self._dirty = False
        return result_of(words)

    run = infer

    @_alone
    def counters(self, clear: bool = False) -> Counters:
        """The counters; ``clear``: and set them to zero afterwards."""
        return counters(self._registers, self._images.cores, clear)

    @_alone
    def reset(self) -> None:
        """Drop the images under way and reset the DMA; weights and counters stay."""
        self._dirty = True
        self._settle()

    def _settle(self) -> None:
        """Whatever a call before left under way is over."""
        if self._dirty:
            (control,) = self._registers.read("control")
            if control & HOLD:  # of a load that was cut; images in front of it would never end
                self._registers.write("control", 0)
            self._transfers.settle(lambda: bool(self._registers.read("status")[0] & IDLE))
            self._dirty = False
