"""A board with a Sterna design, from Python: load weights, compute images, read counters."""

__all__ = ["Board", "BoardInfo", "Counters"]

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

import numpy as np

from sterna.golden.device import csr
from sterna.golden.device.link import RESULT_WORDS, Identity, LinkError
from sterna.golden.device.weights_image import WeightsImage
from sterna.golden.errors import UsageError
from sterna.golden.result import Result
from sterna.golden.words.names import show
from sterna.golden.words.values import flag, real
from sterna.host.connection import Connection
from sterna.host.inputs import Images, build_beside, build_weights, from_build, from_shape
from sterna.host.load import HOLD, IDLE, load_weights, parse_weights
from sterna.host.patience import Allowance, Countdown, Pace, check_timeout
from sterna.host.reader import LinkStats
from sterna.host.serialport import SerialPort, Transport

F = TypeVar("F", bound=Callable[..., Any])
SLICE = 4096
"""Images given to the link at once."""
LAST_CORES = ((1 << csr.ADDRESS_BITS) - csr.ADDRESS["stalls"]) // 4
"""Cores whose counters have an address."""
CLEAN_UP = 1.0
"""Seconds to set a board right again after a failure."""
LOAD_AGAIN = (
    "the board has no complete weights (weights_id is 0); load the weights again with 'sterna load'"
)


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


@dataclass(frozen=True)
class Counters:
    """A design's counters. image_clocks: of an image, first input beat to last output beat, the
    latest that was measured; images and total_clocks (modulo 2**32): since they were cleared;
    dropped_early, dropped_late: packets of a wrong length; stalls: clocks each core had to wait."""

    image_clocks: int
    images: int
    total_clocks: int
    dropped_early: int
    dropped_late: int
    stalls: dict[str, int]

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
        self._images = from_build(build)
        with self._link.call():
            self._check()

    def _check(self) -> None:
        """This is a Sterna network, of this map of registers, and of the build."""
        magic, version = self._link.read("id", 2)
        if magic != csr.ID:
            raise LinkError(
                f"behind the link is no Sterna network (id {magic:#010x}); "
                "program the board with a bitstream of this Sterna"
            )
        if version >> 16 != csr.VERSION >> 16 or version < csr.VERSION:
            raise LinkError(
                f"the board's registers are of version {version >> 16}.{version & 0xFFFF}, this "
                f"Sterna knows {csr.VERSION >> 16}.{csr.VERSION & 0xFFFF}; build its bitstream anew"
            )
        board, wanted = self._structure, self._images.structure if self._images else None
        if self._images and wanted is not None and board not in (wanted, *self._images.structures):
            raise LinkError(
                f"the board has another design (structure {board}) than the build ({wanted}); "
                "program the build's bitstream, or name the build of the board's"
            )
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
        if weights is None:
            if self._images is None or self._images.weights is None:
                raise UsageError("no weights: give the path of a weights.sterna, or a build")
            image, build = build_weights(self._images.weights.parent), self._images
        else:
            image, build = parse_weights(weights), self._images
            if isinstance(weights, str | os.PathLike) and (found := build_beside(weights)):
                build = found
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
            self._ready()
            engine = self._link.engine
            slices = [data[at : at + SLICE * size] for at in range(0, len(data), SLICE * size)]
            requests = [engine.images(part) for part in slices]
            words = [word for request in requests for word in _words(self._link.wait(request))]
        return _result(np.array(words, np.uint32))

    def _ready(self) -> None:
        """Weights are complete; then nothing holds images back."""
        low, high, _, control = self._link.read("weights_id_lo", 4)
        if not low | high:
            raise LinkError(LOAD_AGAIN)
        if control & HOLD:  # a load was cut between its last two writes
            self._link.write("control", 0)

    @_bounded
    def counters(self, clear: bool = False) -> Counters:
        """The counters; ``clear``: and set them to zero afterwards."""
        _, _, clocks, images, total, dropped = self._link.read("status", 6)
        cores = self._link.read("config")[0] & 0xFFFF
        if cores > LAST_CORES:
            raise LinkError(
                f"the board says it has {cores} cores, more than the {LAST_CORES} whose counters "
                "have an address; program it with a bitstream of this Sterna"
            )
        stalls = self._link.read("stalls", cores) if cores else ()
        names = self._images.cores if self._images else ()
        names = names if len(names) == cores else [f"core{k}" for k in range(cores)]
        if clear:
            self._clear()
        return Counters(
            clocks, images, total, dropped & 0xFFFF, dropped >> 16, dict(zip(names, stalls))
        )

    def _clear(self) -> None:
        (control,) = self._link.read("control")
        self._link.write("control", control & HOLD | 1)

    @_bounded
    def repeat(self, count: int) -> int:
        """Compute the last image ``count`` times more without the link; returns the clocks from the
        first input beat to the last output beat (below 2**32, else modulo). Clears the counters.
        """
        if not 1 <= count < 1 << 32:
            raise UsageError(f"{count} repetitions; use 1 to {2**32 - 1}")
        self._ready()
        link = self._link
        link.wait(link.engine.mode(mute=True))
        try:
            self._clear()
            link.write("repeat", count)
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
                raise LinkError(
                    "no repetition is computed; compute an image first (repeat sends the last "
                    "one again)"
                )
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


def _result(words: np.ndarray) -> Result:
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
