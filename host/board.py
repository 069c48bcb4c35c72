"""A board with a Sterna design, from Python: load weights, compute images, read counters."""

__all__ = ["Board", "BoardInfo", "Counters"]

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

import numpy as np

from sterna.golden.device.link import RESULT_WORDS, Identity, LinkError, Refused
from sterna.golden.device.weights_image import WeightsImage
from sterna.golden.errors import UsageError
from sterna.golden.result import Result
from sterna.golden.words.names import show
from sterna.golden.words.values import flag, real
from sterna.host.connection import Connection
from sterna.host.inputs import Images, from_build, from_shape
from sterna.host.load import check_built_in, load_weights, weights_of
from sterna.host.patience import Allowance, Countdown, Pace, check_timeout
from sterna.host.reader import LinkStats
from sterna.host.registers import (
    HOLD,
    IDLE,
    Counters,
    check_map,
    check_structure,
    clear_counters,
    counters,
    ready,
    result_of,
)
from sterna.host.serialport import SerialPort, Transport

F = TypeVar("F", bound=Callable[..., Any])
SLICE = 4096
"""Images given to the link at once."""
CLEAN_UP = 1.0
"""Seconds to set a board right again after a failure."""
_NO_IMAGE = "no repetition is computed; compute an image first (repeat sends the last one again)"


@dataclass(frozen=True)
class BoardInfo:
    """What a board says of itself. structure_id, weights_id: first 16 hexadecimal digits;
    weights_id None where no weights are loaded whole. image_bytes: of an image on the link.
    classes: logits of a result. buffer: bytes of frames it queues. slots: images that may be under
    way. cores: with a stall counter. regions: reloadable memories. held: it starts no image."""

    structure_id: str
    weights_id: str | None
    image_bytes: int
    classes: int
    buffer: int
    slots: int
    cores: int
    regions: int
    held: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _bounded(method: F) -> F:
    """All that a method asks of the board is one call, whose time is bounded."""

    @functools.wraps(method)
    def within(*words: Any, **options: Any) -> Any:
        with words[0]._link.call():
            return method(*words, **options)

    return cast(F, within)


class Board:
    """One board, one connection; also a context manager.

    ::

        with sterna.Board("/dev/ttyUSB0", build="build/mnist-ulx3s-85f") as board:
            board.load()
            result = board.infer(images)

    Parameters
    ----------
    port : str or Transport
        The serial port's name, or any ``host.serialport.Transport``.
    baud : int
        Bits a second, as the bitstream has it.
    build : str or path, optional
        The build folder of the design: shape and coding of images, names of cores, weights. A board
        with another design is refused.
    shape : (C, H, W), optional
        Instead of a build, of 8-bit images.
    timeout : float
        Seconds without progress after which every call fails (a third of it where the board is
        silent). Whatever the board answers, a call ends within it and what its work earns: see
        ``host.patience.Allowance``.
    reset : bool
        Reset the network first; its weights stay.

    Raises
    ------
    LinkError
        As all methods: port, link, or the board's refusal, in one sentence. After it, and after
        Ctrl-C, the next call connects anew.
    FileError
        As all methods: a file is damaged or of another design.
    """

    def __init__(
        self,
        port: str | Transport,
        baud: int = 1_000_000,
        build: str | os.PathLike[str] | None = None,
        *,
        shape: tuple[int, int, int] | None = None,
        timeout: float = 10.0,
        reset: bool = False,
    ):
        _check(port, timeout, reset)
        timeout = check_timeout(timeout)
        self._images: Images | None = None
        if build is not None:
            self._images = from_build(build)
        elif shape is not None:
            self._images = from_shape(shape)
        transport = SerialPort(port, baud, timeout / 3) if isinstance(port, str) else port
        try:
            self._link = Connection(transport, timeout, reset)
            with self._link.call():
                self._check()
        except BaseException:
            transport.close()
            raise

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port."""
        self._link.transport.close()

    def use(self, build: str | os.PathLike[str]) -> None:
        """Compute by this build from now on, as if the board had been opened with it.

        Parameters
        ----------
        build : str or path
            The build folder of the board's design; a board with another one is refused.
        """
        before, self._images = self._images, from_build(build)
        try:
            with self._link.call():
                self._check()
        except BaseException:
            self._images = before
            raise

    def _check(self) -> None:
        """This is a Sterna network, of this map of registers, and of the build."""
        check_map(self._link)
        check_structure(self._structure, self._images)
        check_built_in(self._link, self._images)
        classes = self._images.classes if self._images else None
        if classes is not None and classes != (self.identity.classes or 1 << 16):
            raise LinkError(
                f"the board says it has {self.identity.classes or 1 << 16} classes, its build "
                f"{classes}; program the build's bitstream"
            )

    @property
    def identity(self) -> Identity:
        """What the link says; see ``golden.link.Identity``."""
        identity = self._link.engine.identity
        assert identity is not None
        return identity

    @property
    def link(self) -> Connection:
        """The connection below."""
        return self._link

    @property
    def stats(self) -> LinkStats:
        """Counts of the current session."""
        return self._link.engine.stats

    @property
    def _structure(self) -> str:
        return f"{self.identity.structure_id:016x}"

    @_bounded
    def identify(self) -> BoardInfo:
        """What the board is and what it holds."""
        identity = self.identity
        low, high, config, control = self._link.read("weights_id_lo", 4)
        weights = high << 32 | low
        return BoardInfo(
            structure_id=self._structure,
            weights_id=f"{weights:016x}" if weights else None,
            image_bytes=identity.image_bytes,
            classes=identity.classes or 1 << 16,
            buffer=identity.buffer,
            slots=identity.slots,
            cores=config & 0xFFFF,
            regions=config >> 16,
            held=bool(control & HOLD),
        )

    @_bounded
    def read(self, register: str | int, count: int = 1) -> tuple[int, ...]:
        """Words of ``count`` registers from ``register`` on, a name of
        golden/device/csr.py or a byte address."""
        return self._link.read(register, count)

    @_bounded
    def write(self, register: str | int, *words: int) -> None:
        """Write registers from ``register`` on."""
        self._link.write(register, *words)

    @_bounded
    def load(self, weights: str | os.PathLike[str] | bytes | WeightsImage | None = None) -> str:
        """Load weights and verify them.

        Retrained weights of the same structure are fine. Cut short, it leaves a board that refuses
        to compute until weights are loaded again. Where the file's fixed contents are not those of
        the bitstream it is refused before anything is written.

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
        load_weights(self._link, image, build.structures if build else ())
        return image.weights_id

    def infer(self, images: Any) -> Result:
        """Compute images, which stream over the link while others are computed. Refused without
        complete weights.

        Parameters
        ----------
        images : uint8 [B,C,H,W], or [T,B,C,H,W] for 'frames'

        Returns
        -------
        Result
            Logits and classes as ``sterna.run`` gives them, without spikes.
        """
        if self._images is None:
            raise UsageError("the images' shape is not known; open the board with build or shape")
        data = self._images.pack(images, self.identity.image_bytes)
        return self.infer_bytes(data)

    def infer_bytes(self, data: bytes) -> Result:
        """As ``infer``, of images that are packed as the board takes them (docs/streams.md), each
        padded to ``identity.image_bytes``."""
        size = self.identity.image_bytes
        if not data or len(data) % size:
            raise UsageError(f"{len(data)} bytes are no images of {size} bytes; pad each to {size}")
        frames = -(-(1 + (self.identity.classes or 1 << 16)) // RESULT_WORDS)
        # The first image may take as long as each one earns.
        first = self._link.timeout + Allowance.of_frames(self._link.timeout, frames)
        with self._link.call(first):
            ready(self._link)
            engine = self._link.engine
            slices = [data[at : at + SLICE * size] for at in range(0, len(data), SLICE * size)]
            requests = [engine.images(part) for part in slices]
            words = [word for request in requests for word in _words(self._link.wait(request))]
        return result_of(np.array(words, np.uint32))

    @_bounded
    def counters(self, clear: bool = False) -> Counters:
        """The counters; ``clear``: and set them to zero afterwards."""
        return counters(self._link, self._images.cores if self._images else (), clear)

    @_bounded
    def repeat(self, count: int) -> int:
        """Compute the last image ``count`` times more without the link; returns the clocks from the
        first input beat to the last output beat (below 2**32, else modulo). Clears the counters.
        """
        if not 1 <= count < 1 << 32:
            raise UsageError(f"{count} repetitions; use 1 to {2**32 - 1}")
        ready(self._link)
        link = self._link
        link.wait(link.engine.mode(mute=True))
        try:
            clear_counters(link)
            try:
                link.write("repeat", count)
            except Refused:
                link.wait(link.engine.mode(mute=True))  # so that the next access is made
                raise LinkError(_NO_IMAGE) from None
            self._repeated(count)
            images, clocks = link.read("images", 2)
        except BaseException:
            # What is told is what failed first.
            with contextlib.suppress(LinkError), link.call(CLEAN_UP - link.timeout, anew=True):
                self._stop_repeating()
            raise
        self._stop_repeating()
        if images != count:
            raise LinkError(
                f"{images} of {count} repetitions were computed; was this design built with repeat?"
            )
        return clocks

    def _repeated(self, count: int) -> None:
        """Wait until ``count`` images are computed, or none is to come. Each has ``timeout``."""
        link = self._link
        to_come = Countdown(count, link.timeout, link.now(), parts=count)
        while True:
            status, repeat, _, images = link.read("status", 4)
            if not repeat and status & IDLE:
                return
            before = to_come.left
            pace = to_come.look(count - images, link.now())
            if pace is Pace.BACK:
                raise LinkError(
                    f"the board counts {images} images after {count - before} of {count} "
                    "repetitions; reset the network, and report this mistake of its design"
                )
            if pace is Pace.LATE and images:
                raise LinkError(
                    f"{images} of {count} repetitions were computed, and no further one for "
                    f"{link.timeout:.3g} s; reset the network"
                )
            if pace is Pace.LATE:
                raise LinkError(_NO_IMAGE)
            link.earned(0, before - to_come.left)

    def _stop_repeating(self) -> None:
        if self._link.alive:
            self._link.write("repeat", 0)
            self._link.wait(self._link.engine.mode())

    @_bounded
    def reset(self) -> None:
        """Reset the network: images under way, counters and ``hold`` are gone, its weights stay."""
        self._link.open(reset=True)


def _check(port: Any, timeout: Any, reset: Any) -> None:
    """UsageError where an argument is not of its type; its range is checked where it is used."""
    line = all(hasattr(port, name) for name in ("read", "write", "close", "monotonic"))
    if not (isinstance(port, str) and port and "\0" not in port or line):
        raise UsageError(f"port {show(port)} is none; give its name, as /dev/ttyUSB0 or COM3")
    if (number := real(timeout)) is None or number <= 0:
        raise UsageError(f"a timeout of {show(timeout)} s; give some seconds, at most 86,400")
    flag(f"reset {show(reset)} must be True or False", reset, UsageError)


def _words(value: object) -> list[tuple[int, ...]]:
    assert isinstance(value, list)
    return value
