"""A verilated top that takes whole batches of images in one call.

:class:`BatchModel` is the fast way to run RTL: the clock loop is C++ (harness.cpp), Python only
hands over arrays. It checks the streams as it runs, and ends with a sentence instead of hanging.
"""

import ctypes
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sterna.gen.tools.cache import Cache
from sterna.golden.errors import SternaError, UsageError
from sterna.golden.words.names import meant
from sterna.sim.taps import Tap, decode
from sterna.sim.verilate import batch_library, forget_memories

__all__ = ["BatchModel", "BatchResult", "SimulationError", "AxiError"]

_ANY = 2**64 - 1
_DONE, _STUCK, _LAST_WRONG, _EXTRA_OUTPUT, _TAP_FULL, _UNSTABLE, _THROWN = range(7)


class SimulationError(SternaError):
    """The simulated design broke a rule of its streams or stopped moving."""


class AxiError(SternaError):
    """An AXI4-Lite access was answered with an error, or not at all."""


class _Job(ctypes.Structure):
    # struct Job of harness.cpp, field for field.
    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                "input",
                "last",
                "output",
                "clocks",
                "tap_data",
                "tap_room",
                "tap_count",
                "tap_state",
                "tap_clocks",
            )
        ),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "words",
                "word_bytes",
                "words_per_image",
                "packets",
                "words_out",
                "in_stall",
                "out_stall",
                "seed",
                "watchdog",
                "drain",
                "max_clocks",
                "status",
                "where",
                "words_taken",
                "words_given",
                "clocks_run",
            )
        ),
    ]


@dataclass(eq=False)
class BatchResult:
    """What a batch of B images gave.

    Attributes:
        words: uint32 [B, words_out], the output packets.
        beats: uint8 [B, beats, beat_bytes] of each traced tap.
        clocks: int64 [B, 4], the clock of the first and last input word taken and of the first
            and last output word given.
        beat_clocks: int64 [B, beats] of each tap, the clock of each beat, if asked for.
        clocks_run: clocks simulated, those after the last word included.
        seconds: wall time they took.
    """

    words: NDArray[np.uint32]
    beats: dict[str, NDArray[np.uint8]]
    clocks: NDArray[np.int64]
    clocks_run: int
    taps: dict[str, Tap] = field(default_factory=dict)
    seconds: float = 0.0
    beat_clocks: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def spikes(self, node: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Spikes [T, B, C, H, W] of a traced node."""
        return decode(self.taps[node], self.beats[node])

    @property
    def latency(self) -> NDArray[np.int64]:
        """[B] clocks from the first input word to the last output word."""
        return self.clocks[:, 3] - self.clocks[:, 0] + 1

    @property
    def interval(self) -> NDArray[np.int64]:
        """[B-1] clocks from the last output word of an image to that of the next."""
        return np.diff(self.clocks[:, 3])


class BatchModel:
    """One simulated design, in reset until :meth:`reset`; not safe for use by two threads at once.

    Args:
        library: from :func:`sterna.sim.verilate.batch_library`.
        taps: those the library was built with, in the same order.
        word_bytes: bytes of an s_axis word.
        words_out: words of an output packet.
        seed: not 0: registers and memories without an initial value start at random from it.
    """

    def __init__(
        self,
        library: str | os.PathLike[str],
        taps: Sequence[Tap],
        word_bytes: int,
        words_out: int,
        seed: int = 0,
    ):
        self.taps = tuple(taps)
        self.word_bytes, self.words_out = word_bytes, words_out
        self._model = None
        self._job_at_hand: _Job | None = None
        self._lib = lib = ctypes.CDLL(str(Path(library).absolute()))
        pointer, number, word = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32
        for name, result, arguments in (
            ("sterna_new", pointer, [number]),
            ("sterna_delete", None, [pointer]),
            ("sterna_message", ctypes.c_char_p, [pointer]),
            ("sterna_taps", number, []),
            ("sterna_clock", ctypes.c_int64, [pointer]),
            ("sterna_reset", ctypes.c_int, [pointer, number]),
            ("sterna_limit", ctypes.c_int, [pointer, number, number]),
            ("sterna_run", number, [pointer, ctypes.POINTER(_Job)]),
            ("sterna_axil_write", ctypes.c_int, [pointer, word, word, word, number]),
            ("sterna_axil_read", ctypes.c_int, [pointer, word, ctypes.POINTER(word), number]),
            (
                "sterna_wave_open",
                ctypes.c_int,
                [pointer, ctypes.c_char_p, number, ctypes.c_char_p, number],
            ),
            ("sterna_wave_flush", ctypes.c_int, [pointer]),
            ("sterna_wave_close", None, [pointer]),
        ):
            function = getattr(lib, name, None)
            if function is not None:
                function.restype, function.argtypes = result, arguments
        if lib.sterna_taps() != len(self.taps):
            raise UsageError("the simulator was built with other taps; build it again")
        self._model = lib.sterna_new(seed)
        self._check(lib.sterna_message(self._model))
        self.reset()

    @classmethod
    def build(
        cls,
        verilog: str,
        top: str,
        taps: Sequence[Tap],
        word_bytes: int,
        words_out: int,
        *,
        seed: int = 0,
        random_memory: bool = False,
        optimize: str = "run",
        store: Cache | None = None,
    ) -> "BatchModel":
        """Verilate, unless that was done before, and make a model.

        ``random_memory``: written memories lose their initial zeros (give a ``seed`` too).
        Errors as :func:`sterna.sim.verilate.batch_library`.
        """
        text = forget_memories(verilog) if random_memory else verilog
        library = batch_library(text, top, taps, optimize=optimize, store=store)
        return cls(library, taps, word_bytes, words_out, seed)

    def __del__(self) -> None:
        if self._model is not None:
            self._lib.sterna_delete(self._model)
            self._model = None

    @property
    def clock(self) -> int:
        """Clocks simulated so far."""
        return int(self._lib.sterna_clock(self._model))

    def given(self) -> int:
        """Output words of the run at hand, while it runs in another thread; else 0."""
        job = self._job_at_hand
        return int(job.words_given) if job is not None else 0

    def reset(self, clocks: int = 8) -> None:
        """Hold reset for ``clocks`` clocks; whatever was under way is lost."""
        if self._lib.sterna_reset(self._model, clocks) != _DONE:
            self._check(self._lib.sterna_message(self._model))

    def limit(self, buffer: int, depth: int) -> None:
        """Let the buffer of this number behave as one of ``depth`` beats (0: as built); resets.

        UsageError where a simulation build has no such buffer.
        """
        if not self._lib.sterna_limit(self._model, buffer, depth):
            raise UsageError(f"this build has no buffer {buffer} whose depth can be lowered")
        self.reset()

    def open_wave(
        self, path: str | os.PathLike[str], limit: int, unit: str = "1ns", half: int = 5
    ) -> None:
        """Write what every signal does into a file from now on, until it has ``limit`` bytes.
        Half a clock is ``half`` times ``unit``.

        Raises:
            UsageError: the library was built without waves.
            SimulationError: the file cannot be written.
        """
        if getattr(self._lib, "sterna_wave_open", None) is None:
            raise UsageError("this simulator was built without waves; build it with them")
        if not self._lib.sterna_wave_open(
            self._model, os.fsencode(path), limit, unit.encode(), half
        ):
            raise SimulationError(f"{path}: cannot be written; choose another place for the waves")

    def flush_wave(self) -> bool:
        """Bring the waves so far into their file; whether they are whole."""
        return bool(self._lib.sterna_wave_flush(self._model))

    def close_wave(self) -> None:
        """Write no more; a SAIF comes into its file now."""
        self._lib.sterna_wave_close(self._model)

    def run(
        self,
        images: NDArray[np.uint8],
        trace: Iterable[str] | None = None,
        *,
        in_stall: float = 0.0,
        out_stall: float = 0.0,
        seed: int = 1,
        watchdog: int = 200_000,
        drain: int = 16,
        timed: bool = False,
    ) -> BatchResult:
        """Push images back to back, take their packets, record the taps of ``trace``.

        Args:
            images: uint8 [B, bytes], rows as :func:`sterna.golden.coding.image_bits` gives them.
            trace: nodes to record; None = all.
            in_stall: probability that no new input word is offered in a clock.
            out_stall: probability that no output word is taken in a clock.
            seed: of the stalls.
            watchdog: clocks without any movement after which the run is given up.
            drain: clocks to watch after the last word, for output that must not come.
            timed: also record the clock of every beat of every tap.

        Raises:
            SimulationError: nothing moved for ``watchdog`` clocks (the sentence says which streams
                wait), a packet of another length, more beats than an image has, or a stream that
                changed a beat before it was taken. The model needs a :meth:`reset` then.
            UsageError: an unknown node in ``trace``.
        """
        count = len(images)
        words = -(-images.shape[1] // self.word_bytes)
        padded = np.zeros((count, words * self.word_bytes), np.uint8)
        padded[:, : images.shape[1]] = images
        wanted = self._wanted(trace)
        beats = {
            tap.node: np.empty((count, tap.beats, tap.beat_bytes), np.uint8)
            for tap in self.taps
            if tap.node in wanted
        }
        output = np.zeros((count, self.words_out), np.uint32)
        clocks = np.zeros((count, 4), np.int64)
        job = self._job(padded, words, count, in_stall, out_stall, seed, watchdog)
        job.drain = drain
        job.output, job.clocks = output.ctypes.data, clocks.ctypes.data
        moved = {tap.node: np.zeros((count, tap.beats), np.int64) for tap in self.taps if timed}
        if timed:
            tables = (ctypes.c_void_p * (len(moved) + 1))(*(a.ctypes.data for a in moved.values()))
            job.tap_clocks = ctypes.addressof(tables)
        start = time.perf_counter()
        self._run(job, beats, [count * tap.beats for tap in self.taps])
        seconds = time.perf_counter() - start
        taps = {tap.node: tap for tap in self.taps}
        return BatchResult(output, beats, clocks, int(job.clocks_run), taps, seconds, moved)

    def feed(
        self,
        words: NDArray[np.uint8],
        last: Sequence[bool] | NDArray[np.bool_],
        packets: int = 0,
        *,
        watchdog: int = 200_000,
        drain: int = 0,
        max_clocks: int = 0,
    ) -> NDArray[np.uint32]:
        """Push single words with TLAST as given, broken packets included, and record nothing.

        Args:
            words: uint8 [N, word_bytes].
            last: [N], TLAST of each word.
            packets: output packets to wait for.
            max_clocks: stop after so many clocks whatever is left; 0 = never.

        Returns:
            uint32 [packets, words_out].

        Raises:
            SimulationError: as :meth:`run`.
        """
        words = np.ascontiguousarray(words, np.uint8).reshape(len(last), self.word_bytes)
        flags = np.ascontiguousarray(last, np.uint8)
        output = np.zeros((packets, self.words_out), np.uint32)
        job = self._job(words, 1, packets, 0.0, 0.0, 1, watchdog)
        job.last, job.output = flags.ctypes.data, output.ctypes.data
        job.drain, job.max_clocks = drain, max_clocks
        self._run(job, {}, [_ANY] * len(self.taps))
        return output

    def write(self, address: int, data: int, strobe: int = 15) -> None:
        """AXI4-Lite write of 32 bits; AxiError unless the answer is OKAY."""
        answer = self._axil("sterna_axil_write", address, data & 0xFFFFFFFF, strobe)
        _check_answer("write", address, answer)

    def read(self, address: int) -> int:
        """AXI4-Lite read of 32 bits; AxiError unless the answer is OKAY."""
        data = ctypes.c_uint32()
        answer = self._axil("sterna_axil_read", address, ctypes.byref(data))
        _check_answer("read", address, answer)
        return int(data.value)

    def _axil(self, name: str, address: int, *arguments: object) -> int:
        if getattr(self._lib, name, None) is None:
            raise UsageError("this design has no AXI4-Lite port")
        return getattr(self._lib, name)(self._model, address, *arguments, 10_000)

    def _wanted(self, trace: Iterable[str] | None) -> set[str]:
        known = [tap.node for tap in self.taps]
        wanted = set(known if trace is None else trace)
        if unknown := sorted(wanted - set(known)):
            raise UsageError(
                f"no spikes of '{unknown[0]}' can be traced; this build taps: {', '.join(known)}"
                f"{meant(unknown[0], known)}"
            )
        return wanted

    def _job(
        self,
        words: NDArray[np.uint8],
        per_image: int,
        packets: int,
        in_stall: float,
        out_stall: float,
        seed: int,
        watchdog: int,
    ) -> _Job:
        job = _Job()
        job.input = words.ctypes.data
        job.words = words.size // self.word_bytes
        job.word_bytes, job.words_per_image = self.word_bytes, per_image
        job.packets, job.words_out = packets, self.words_out
        job.in_stall, job.out_stall = (int(p * 2**32) for p in (in_stall, out_stall))
        job.seed, job.watchdog = seed, watchdog
        return job

    def _run(self, job: _Job, beats: dict[str, NDArray[np.uint8]], room: list[int]) -> None:
        size = len(self.taps)
        data = (ctypes.c_void_p * max(1, size))()
        for k, tap in enumerate(self.taps):
            if tap.node in beats:
                data[k] = beats[tap.node].ctypes.data
        rooms = np.array(room + [0], np.uint64)
        counts = np.zeros(size + 1, np.uint64)
        state = np.zeros(size + 2, np.uint8)
        job.tap_data = ctypes.addressof(data)
        job.tap_room, job.tap_count = rooms.ctypes.data, counts.ctypes.data
        job.tap_state = state.ctypes.data
        self._job_at_hand = job
        status = self._lib.sterna_run(self._model, ctypes.byref(job))
        self._job_at_hand = None
        if status == _DONE:
            return
        if status == _THROWN:
            self._check(self._lib.sterna_message(self._model))
        where = int(job.where)
        stream = f"tap '{self.taps[where].node}'" if where < size else "the output stream"
        if status == _STUCK:
            raise SimulationError(self._stuck(job, rooms, counts, state))
        raise SimulationError(
            {
                _LAST_WRONG: f"output packet {where} is not {self.words_out} words long: TLAST "
                f"came at the wrong word (clock {self.clock})",
                _EXTRA_OUTPUT: f"the design gave more than {job.packets} output packets for as "
                f"many images (clock {self.clock})",
                _TAP_FULL: f"{stream} has more beats than the images have (clock {self.clock})",
                _UNSTABLE: f"{stream} changed or dropped a beat that was not yet taken "
                f"(clock {self.clock})",
            }[status]
        )

    def _stuck(
        self,
        job: _Job,
        room: NDArray[np.uint64],
        count: NDArray[np.uint64],
        state: NDArray[np.uint8],
    ) -> str:
        kinds = ("idle", "valid without ready", "ready without valid", "moving")
        names = [f"tap '{tap.node}'" for tap in self.taps]
        parts = [f"input {kinds[state[-2] & 3]} after {job.words_taken} of {job.words} words"]
        for k, name in enumerate(names):
            if room[k] == _ANY:
                parts.append(f"{name} {kinds[state[k] & 3]}")
            elif count[k] != room[k]:
                parts.append(f"{name} {kinds[state[k] & 3]} after {count[k]} of {room[k]} beats")
        total = job.packets * job.words_out
        parts.append(f"output {kinds[state[-1] & 3]} after {job.words_given} of {total} words")
        return f"nothing moved for {job.watchdog} clocks (clock {self.clock}): {'; '.join(parts)}"

    def _check(self, message: bytes) -> None:
        if message:
            raise SimulationError(f"the simulated Verilog stopped: {message.decode()}")


def _check_answer(what: str, address: int, answer: int) -> None:
    if answer == 0:
        return
    if answer < 0:
        raise AxiError(f"AXI4-Lite {what} of 0x{address:x} was not answered within 10000 clocks")
    name = {1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}[answer]
    raise AxiError(f"AXI4-Lite {what} of 0x{address:x} was answered with {name}")
