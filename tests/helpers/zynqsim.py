"""A simulated Zynq: memory, an AXI DMA by its registers (PG021, simple mode), a verilated network.

Only what a chip would see is modelled: the memory holds what was flushed to it, and a channel that
was stopped or failed stays so until the DMA is reset. What PG021 calls undefined is an
AssertionError here, and so is what ends a program on a chip (an access that is answered by SLVERR).
"""

import ctypes
import random
import re
import weakref

import numpy as np
from repo import ROOT
from tinyboard import network

from sterna.gen.build.stages import Build
from sterna.golden.numpyrun import run_arrays
from sterna.sim.verilate import build_library, forget_memories, harness_files

__all__ = ["NEVER", "BusFault", "Zynq", "equal"]

MEMORY, SIZE = 0x1000_0000, 1 << 24
NEVER = 1 << 32
CONTROL, STATUS, ADDRESS, HIGH, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 1, 4
HALTED, IDLE, INTERNAL, SLAVE, DECODE, COMPLETE = 1, 2, 16, 32, 64, 1 << 12
PORTS = {
    "plain": "#define ZYNQ_CLOCK clk\n#define ZYNQ_RESET(top, on) (top).rst = (on)\n",
    "axi": "#define ZYNQ_CLOCK aclk\n#define ZYNQ_RESET(top, on) (top).aresetn = !(on)\n",
}


class BusFault(AssertionError):
    """SLVERR on a processor's bus: Linux ends the program."""


class Channel:
    """One direction of the DMA."""

    def __init__(self, zynq: "Zynq", sends: bool):
        self.zynq, self.sends = zynq, sends
        self.reset()

    def reset(self) -> None:
        self.running = self.active = self.idle = False
        self.errors = self.low = self.high = self.length = self.asked = self.flags = 0
        self.slow = self.zynq.random.randrange(3)  # looks until it has started

    def read(self, offset: int) -> int:
        if offset == CONTROL:
            return 0x10002 | self.running
        if offset == STATUS:
            if self.running and self.slow:
                self.slow -= 1
                return HALTED
            return (not self.running) * HALTED | self.idle * IDLE | self.errors | self.flags
        return {ADDRESS: self.low, HIGH: self.high, LENGTH: self.length}[offset]

    def write(self, offset: int, word: int) -> None:
        assert not self.active or offset == CONTROL, "written while a transfer is under way"
        if offset == CONTROL:
            assert word & ~(RUN | RESET) == 0, f"control {word:#x}"
            self.running = bool(word & RUN) and not self.errors
        elif offset == STATUS:
            self.flags &= ~word
        elif offset == ADDRESS:
            self.low = word
        elif offset == HIGH:
            assert self.zynq.wide, "a DMA of 32-bit addresses has no such register"
            self.high = word
        elif offset == LENGTH:
            assert self.running, "a length for a channel that does not run"
            self.begin(word)
        else:
            raise AssertionError(f"no register at {offset:#x}")

    def begin(self, size: int) -> None:
        zynq = self.zynq
        self.length = self.asked = size & (1 << zynq.length_bits) - 1
        assert self.asked == size, "longer than the length register"
        address = self.high << 32 | self.low
        assert address % zynq.align == 0, "undefined: not aligned, and no DRE"
        if size == 0:
            return self.fail(INTERNAL)
        if not MEMORY <= address <= MEMORY + SIZE - size:
            return self.fail(DECODE)
        if self.sends in zynq.refuses:
            return self.fail(SLAVE)
        self.active, self.idle, at = True, False, address - MEMORY
        place = zynq.memory.ctypes.data + at
        if self.sends:
            assert size % zynq.beat_bytes == 0, "half a beat"
            zynq.lib.zynq_send(zynq.model, place, size // zynq.beat_bytes, zynq.beat_bytes)
        else:
            zynq.lib.zynq_receive(zynq.model, place, size // 4)

    def fail(self, error: int) -> None:
        self.errors |= error
        self.running = self.active = False

    def look(self, sent: int, beats: int, received: int, state: int) -> None:
        """What the streams have done meanwhile."""
        if not self.active:
            return
        if self.sends and sent == beats:
            self.active, self.idle, self.flags = False, True, self.flags | COMPLETE
        if not self.sends and state:
            self.length = 4 * received
            if state & 2:
                return self.fail(INTERNAL)
            self.active, self.idle, self.flags = False, True, self.flags | COMPLETE


class Zynq:
    """A network behind its DMA.

    ``empty``: its reloadable memories hold anything, and weights_id is 0. ``wrapper``: Verilog of
    the module NAME_axi around it.

    Attributes
    ----------
    length_bits, align, wide : of the DMA: its length register, bytes its addresses must be a
        multiple of, whether these have 64 bits
    refuses : directions (True: to the network) in which the memory answers with an error
    spoil : called with (address, word) of a write to the network's registers, gives the word
    pace : most clocks that pass at an access of the processor to the DMA
    clocks : that have passed
    """

    def __init__(
        self,
        build: Build,
        *,
        wrapper: str = "",
        seed: int = 1,
        length_bits: int = 14,
        empty: bool = False,
    ):
        text = build.made("verilog", f"{build.name}.v").decode()
        top, kind = (f"{build.name}_axi", "axi") if wrapper else (build.name, "plain")
        if empty:
            text = re.sub(
                r"(weights_id_\w\w_value) = 32'd\d+", r"\1 = 32'd0", forget_memories(text)
            )
        here = harness_files("batch.py")["verilator_ends.h"]
        harness = (ROOT / "tests/helpers/zynq_harness.cpp").read_text()
        extra = {"zynq.cpp": harness, "zynq_ports.h": PORTS[kind], "verilator_ends.h": here}
        library = build_library(text + wrapper, top, extra, optimize="none")
        self.random = random.Random(seed)
        self.length_bits, self.align, self.wide, self.pace = length_bits, 8, False, 400
        self.beat_bytes = build.design.axis_width // 8
        self.refuses: set[bool] = set()
        self.spoil = lambda address, word: word
        self.memory = np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)
        self.lib = ctypes.CDLL(str(library))
        pointer, number, word = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32
        for name, result, arguments in (
            ("new", pointer, [number]),
            ("delete", None, [pointer]),
            ("abort", None, [pointer]),
            ("reset", None, [pointer, number]),
            ("stalls", None, [pointer, number, number, number]),
            ("send", None, [pointer, pointer, number, number]),
            ("receive", None, [pointer, pointer, number]),
            ("run", None, [pointer, number]),
            ("state", None, [pointer, ctypes.POINTER(number)]),
            ("write", ctypes.c_int, [pointer, word, word, number]),
            ("read", ctypes.c_int, [pointer, word, ctypes.POINTER(word), number]),
        ):
            function = getattr(self.lib, f"zynq_{name}")
            function.restype, function.argtypes = result, arguments
        self.model = self.lib.zynq_new(seed)
        weakref.finalize(self, self.lib.zynq_delete, self.model)
        self.resets = 0
        self.resetting = 0
        self.channels = {0x00: Channel(self, True), 0x30: Channel(self, False)}
        self.download()

    def download(self) -> None:
        """As a bitstream does: reset everything."""
        for channel in self.channels.values():
            channel.reset()
        self.lib.zynq_reset(self.model, 8)

    def stalls(self, into: float, out: float, early: int = 0) -> None:
        """Shares of clocks in which a beat is not offered, or not taken; ``early``: the word of a
        result, from 1, with which TLAST comes."""
        self.lib.zynq_stalls(self.model, int(into * NEVER), int(out * NEVER), early)

    @property
    def clocks(self) -> int:
        return self._state()[4]

    @property
    def active(self) -> bool:
        """The DMA has a transfer under way, so it may write to the memory."""
        return any(channel.active for channel in self.channels.values())

    def _state(self) -> list[int]:
        state = (ctypes.c_uint64 * 5)()
        self.lib.zynq_state(self.model, state)
        return list(state)

    def _pass(self) -> None:
        self.lib.zynq_run(self.model, self.random.randrange(1, self.pace))
        state = self._state()
        for channel in self.channels.values():
            channel.look(*state[:4])

    def read_dma(self, offset: int) -> int:
        self._pass()
        base = offset // 0x30 * 0x30
        word = self.channels[base].read(offset - base)
        if offset - base == CONTROL and self.resetting:
            self.resetting -= 1
            return word | RESET
        return word

    def write_dma(self, offset: int, word: int) -> None:
        self._pass()
        base = offset // 0x30 * 0x30
        if offset - base == CONTROL and word & RESET:
            self.lib.zynq_abort(self.model)
            for channel in self.channels.values():
                channel.reset()
            self.resets, self.resetting = self.resets + 1, self.random.randrange(4)
            return
        assert not self.resetting, "written while it is reset"
        self.channels[base].write(offset - base, word)

    def read_network(self, offset: int) -> int:
        word = ctypes.c_uint32()
        answer = self.lib.zynq_read(self.model, offset, ctypes.byref(word), 20_000)
        if answer:
            raise BusFault(f"a read of {offset:#x} was answered by {answer}")
        return word.value

    def write_network(self, offset: int, word: int) -> None:
        answer = self.lib.zynq_write(self.model, offset, self.spoil(offset, word), 20_000)
        if answer:
            raise BusFault(f"a write to {offset:#x} was answered by {answer}")


def equal(result, images, seed=0) -> None:
    """They are the model's, of the tiny network of ``seed``."""
    wanted = run_arrays(network(seed), images)
    assert result.logits.dtype == np.int32 and result.classes.dtype == np.int64
    assert (result.logits == wanted.logits).all() and (result.classes == wanted.classes).all()
