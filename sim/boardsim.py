"""A board in Verilator: the whole board top with its two clocks, and a serial line at its pins.

:class:`SimulatedBoard` is what a computer would see at the other end of the cable, in a time of its
own: bytes go in, clocks pass, bytes come out. sim/boardpty.py puts it behind a serial port.
"""

import ctypes
import os
import weakref
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from sterna.gen.tools.cache import Cache
from sterna.golden.errors import DesignError, UsageError
from sterna.sim.batch import SimulationError
from sterna.sim.verilate import build_library, forget_memories, harness_files, ports

__all__ = ["BOARD_PORTS", "BYTE_BITS", "SimulatedBoard", "board_library"]

BOARD_PORTS = {
    "clk": "input",
    "rst": "input",
    "uart_clk": "input",
    "uart_rst": "input",
    "rx": "input",
    "tx": "output",
    "led": "output",
}
"""Name -> direction of a board top's ports, each of one bit."""
BYTE_BITS = 10
"""Bits of a byte on the line, start and stop bit included."""

_WRAPPER = "SternaBoard"  # no network has this name: theirs have no capitals
_FULL, _THROWN = 2, 3
_ROOM = 1 << 16


class _Run(ctypes.Structure):
    # struct Run of board_harness.cpp, field for field.
    _fields_ = [
        ("input", ctypes.c_char_p),
        ("output", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in ("count", "room", "clocks", "quiet", "received", "ran", "status")
        ),
    ]


def board_library(
    verilog: str,
    top: str,
    *,
    models: Sequence[tuple[str, str]] = (),
    optimize: str = "run",
    store: Cache | None = None,
) -> Path:
    """Build, or find, the library :class:`SimulatedBoard` runs.

    Args:
        verilog: text holding module ``top`` with the ports of :data:`BOARD_PORTS`.
        top: the module's name.
        models, optimize, store: as :func:`sterna.sim.verilate.batch_library` has them.

    Raises:
        DesignError: ``top`` has other ports.
        ToolMissing, ToolFailed: Verilator or the compiler.
    """
    found = {port.name: (port.direction, port.width) for port in ports(verilog, top)}
    if found != {name: (direction, 1) for name, direction in BOARD_PORTS.items()}:
        raise DesignError(
            f"'{top}' is no board top: its ports are {', '.join(found)}, those of one are "
            f"{', '.join(BOARD_PORTS)}; give the Verilog of hw.top.board_top.BoardTop"
        )
    return build_library(
        verilog + _wrapper(top),
        _WRAPPER,
        harness_files("board_harness.cpp"),
        models=models,
        optimize=optimize,
        store=store,
    )


def _wrapper(top: str) -> str:
    """A module around ``top`` that holds both resets in registers; see sim/verilate.py."""
    held = {"rst": "held", "uart_rst": "uart_held"}
    lines = [
        "",
        f"module {_WRAPPER}({', '.join(BOARD_PORTS)});",
        *(f"  {direction} {name};" for name, direction in BOARD_PORTS.items()),
        "  reg held = 1'b1, uart_held = 1'b1;",
        "  always @(posedge clk) held <= rst;",
        "  always @(posedge uart_clk) uart_held <= uart_rst;",
        f"  {top} board ({', '.join(f'.{n}({held.get(n, n)})' for n in BOARD_PORTS)});",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


class SimulatedBoard:
    """One board, out of reset; not safe for use by two threads at once.

    Args:
        library: from :func:`board_library`.
        divisor: uart clocks a bit, as the top was made with.
        ratio: frequency of ``clk`` over that of ``uart_clk``. The lower, the fewer clocks of the
            network a byte takes, and the quicker is the simulation.
        drift: the computer's bits are longer by this part (0.02: 2%).
        seed: not 0: registers and memories without an initial value start at random from it.

    Time is counted in clocks of ``clk``; ``byte_clocks`` of them pass in a byte on the line.

    Raises:
        UsageError: a divisor below 4, or a ratio that is not above 0.
        SimulationError: the model ended the simulation; so does every method.
    """

    def __init__(
        self,
        library: str | os.PathLike[str],
        divisor: int,
        *,
        ratio: Fraction | int = Fraction(1, 4),
        drift: float = 0.0,
        seed: int = 1,
    ):
        ratio = Fraction(ratio)
        if divisor < 4:
            raise UsageError(f"a divisor of {divisor}; a bit takes at least 4 clocks of the UART")
        if ratio <= 0:
            raise UsageError(f"a ratio of {ratio} between the clocks; give one above 0")
        self.divisor, self.ratio = divisor, ratio
        self.byte_clocks = BYTE_BITS * divisor * ratio
        self._lib = lib = ctypes.CDLL(str(Path(library).absolute()))
        pointer, number = ctypes.c_void_p, ctypes.c_uint64
        for name, result, arguments in (
            ("board_new", pointer, [number, number, number, ctypes.c_double]),
            ("board_delete", None, [pointer]),
            ("board_message", ctypes.c_char_p, [pointer]),
            ("board_clock", number, [pointer]),
            ("board_queued", number, [pointer]),
            ("board_errors", number, [pointer]),
            ("board_led", ctypes.c_int, [pointer]),
            ("board_led_changes", number, [pointer]),
            ("board_reset", ctypes.c_int, [pointer, number]),
            ("board_run", number, [pointer, ctypes.POINTER(_Run)]),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        # Periods are the other clock's part of the ratio, and even: see the harness.
        self._model = lib.board_new(
            seed, 2 * ratio.denominator, 2 * ratio.numerator, divisor * (1 + drift)
        )
        self._end = weakref.finalize(self, lib.board_delete, self._model)
        self._output = ctypes.create_string_buffer(_ROOM)
        self._check()
        self.reset()

    @classmethod
    def build(
        cls,
        verilog: str,
        top: str,
        divisor: int,
        *,
        ratio: Fraction | int = Fraction(1, 4),
        drift: float = 0.0,
        seed: int = 1,
        models: Sequence[tuple[str, str]] = (),
        optimize: str = "run",
        store: Cache | None = None,
    ) -> "SimulatedBoard":
        """Verilate, unless that was done before, and make a board with random memories.

        Errors as :func:`board_library`.
        """
        text = forget_memories(verilog)
        library = board_library(text, top, models=models, optimize=optimize, store=store)
        return cls(library, divisor, ratio=ratio, drift=drift, seed=seed)

    @property
    def clock(self) -> int:
        """Clocks simulated so far."""
        return int(self._lib.board_clock(self._model))

    @property
    def queued(self) -> int:
        """Bytes given to :meth:`exchange` that are not yet wholly on the line."""
        return int(self._lib.board_queued(self._model))

    @property
    def framing_errors(self) -> int:
        """Bytes from the board without a stop bit; they were dropped."""
        return int(self._lib.board_errors(self._model))

    @property
    def led(self) -> bool:
        return bool(self._lib.board_led(self._model))

    @property
    def led_changes(self) -> int:
        """How often the LED went on or off."""
        return int(self._lib.board_led_changes(self._model))

    def reset(self, clocks: int = 8) -> None:
        """Hold both resets for ``clocks`` clocks of each domain; bytes under way are lost."""
        if self._lib.board_reset(self._model, clocks):
            self._check()

    def exchange(self, data: bytes, clocks: int, quiet: int = 0) -> bytes:
        """Put ``data`` behind what waits to be sent, run, and return the bytes that came.

        Args:
            data: bytes for the board; the line takes one in ``byte_clocks``, so some may still be
                :attr:`queued` at the end.
            clocks: how long to run.
            quiet: not 0: end as soon as the line was idle in both directions for so many clocks.
        """
        run = _Run()
        run.input, run.count = data, len(data)
        run.output, run.room = ctypes.addressof(self._output), _ROOM
        run.clocks, run.quiet = clocks, quiet
        came = []
        while True:
            status = self._lib.board_run(self._model, ctypes.byref(run))
            if status == _THROWN:
                self._check()
            came.append(self._output.raw[: run.received])
            if status != _FULL:
                return b"".join(came)
            run.count, run.clocks = 0, run.clocks - run.ran

    def _check(self) -> None:
        message = self._lib.board_message(self._model)
        if message:
            raise SimulationError(f"the simulated board ended: {message.decode()}")
