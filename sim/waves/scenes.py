"""What an exported block is asked to do so that its datasheet can show it, and what it did.

Scenes, in their order: ``reset``, ``image``, ``result``, ``registers``, ``early``, ``late``. The
images are those of the build's bench; a packet that is not the golden model's is an error.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sterna.gen.ip.exported import Exported
from sterna.gen.timing.samples import Samples
from sterna.gen.tools.cache import Cache
from sterna.golden.device.csr import ADDRESS, FLAG_EARLY, FLAG_LATE
from sterna.sim.batch import SimulationError
from sterna.sim.verilate import Port
from sterna.sim.waves.sampler import Sampler

__all__ = ["RESET_CLOCKS", "sampled"]

RESET_CLOCKS = 4
"""Clocks in reset."""
_QUIET = 3
"""Idle clocks before and behind what a scene shows."""
_MOST_IMAGES = 4
"""So many images back to back, if no earlier one has to wait."""
_LARGE = 100_000
"""Clocks from which on a model that is slower to compile and runs faster is sooner done."""


@dataclass
class _Ends:
    """What is on the other side of a block's ports: it offers words, takes results, and reads and
    writes registers, a clock at a time."""

    sampler: Sampler
    watchdog: int
    offered: deque[tuple[int, int]] = field(default_factory=deque)  # s_axis: data, last
    asked: deque[tuple[int, int | None]] = field(default_factory=deque)  # address, None: read
    results: list[list[int]] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)  # response, data
    takes: Callable[[int, int], bool] = lambda word, waited: True
    """Whether the word of a packet is taken that has waited so many clocks."""
    waited_in: bool = False
    """Whether an image's word has had to wait since this was set to False."""
    _packet: list[int] = field(default_factory=list)
    _waited: int = 0
    _open: set[str] = field(default_factory=set)  # channels of the access that have yet to move
    _idle: int = 0

    def clock(self, most: int = 1) -> None:
        """One clock, and more where nothing happens in it, up to ``most``."""
        given = self.sampler.values
        self._offer(given)
        # Ready does not depend on valid in the same clock: it is a register's.
        given["m_axis_tready"] = int(self.takes(len(self._packet), self._waited))
        found = self.sampler.step()
        moved = self._seen(found)
        self._idle = 0 if moved else self._idle + 1
        if not moved and not found["m_axis_tvalid"] and most > 1:
            self._idle += self.sampler.hold(most - 1)
        if self._idle > self.watchdog:
            raise SimulationError(f"the design did nothing for {self._idle:,} clocks")

    def _offer(self, given: dict[str, int]) -> None:
        data, last = self.offered[0] if self.offered else (0, 0)
        given |= {
            "s_axis_tvalid": int(bool(self.offered)),
            "s_axis_tdata": data,
            "s_axis_tlast": last,
        }
        if self.asked and not self._open:
            self._open = {"ar", "r"} if self.asked[0][1] is None else {"aw", "w", "b"}
        address, value = self.asked[0] if self.asked else (0, 0)
        for channel in ("ar", "aw", "w"):
            given[f"s_axil_{channel}valid"] = int(channel in self._open)
        given["s_axil_araddr"] = address if "ar" in self._open else 0
        given["s_axil_awaddr"] = address if "aw" in self._open else 0
        given["s_axil_wdata"] = value or 0 if "w" in self._open else 0
        given["s_axil_wstrb"] = 0xF if "w" in self._open else 0
        for channel in ("r", "b"):
            given[f"s_axil_{channel}ready"] = int(channel in self._open)

    def _seen(self, found: Mapping[str, int]) -> bool:
        """Take note of what moved in a clock; whether anything did."""
        moved = False
        if found["s_axis_tvalid"]:
            moved = bool(found["s_axis_tready"])
            self.waited_in |= not moved
            if moved:
                self.offered.popleft()
        if found["m_axis_tvalid"] and found["m_axis_tready"]:
            moved, self._waited = True, 0
            self._packet.append(found["m_axis_tdata"])
            if found["m_axis_tlast"]:
                self.results.append(self._packet)
                self._packet = []
        elif found["m_axis_tvalid"]:
            self._waited += 1
        for channel in sorted(self._open):
            name = f"s_axil_{channel}"
            if found[f"{name}valid"] and found[f"{name}ready"]:
                moved = True
                self._open.discard(channel)
                if channel in "rb":
                    self.answers.append((found[f"{name}resp"], found.get(f"{name}data", 0)))
                    self.asked.popleft()
        return moved

    def until(self, done: Callable[[], Any]) -> None:
        while not done():
            self.clock(self.watchdog)

    def rest(self, clocks: int = _QUIET) -> None:
        for _ in range(clocks):
            self.clock()

    def access(self, *wanted: tuple[int, int | None]) -> None:
        """Reads (None) and writes of registers, to their answers."""
        for one in wanted:
            self.asked.append(one)
            self.until(lambda: not self.asked)


def sampled(block: Exported, verilog: str, *, store: Cache | None = None) -> Samples:
    """Simulate a block through all scenes.

    Args:
        block: its facts.
        verilog: of the wrapper, the network and all below.
        store: where built libraries are kept.

    Raises:
        SimulationError: a result is not the golden model's, or the design stopped.
        ToolMissing, ToolFailed: Verilator or the compiler.
    """
    large = 6 * block.interval > _LARGE
    found = [Port(p.name, f"{p.way}put", p.bits) for p in block.ports]
    text = _inlined(block, verilog)
    optimize = "run" if large else "none"
    sampler = Sampler(text, block.wrapper, found, "aclk", optimize=optimize, store=store)
    ends = _Ends(sampler, 20_000 + 8 * block.design.interval)
    scenes = {name: sampler.scene() for name in _scenes(block, ends)}
    return Samples(block.wrapper, "aclk", "aresetn", 0, sampler.widths, scenes)


def _inlined(block: Exported, verilog: str) -> str:
    """The Verilog with the contents of its memories, where it reads them from files: the model is
    run in any folder."""

    def rows(match: re.Match[str]) -> str:
        lines = block.memories[match[1]].splitlines()
        found = [line for line in lines if not line.startswith("//")]
        return "".join(f"memory[{k}] = {4 * len(row)}'h{row};\n" for k, row in enumerate(found))

    return _READ.sub(rows, verilog)


_READ = re.compile(r'\$readmemh\(\{`\w+, "([\w-]+\.mem)"\}, memory, 0, \d+\);\n')


def _scenes(block: Exported, ends: _Ends) -> Iterator[str]:
    """Go through the scenes; the name of each once it is over."""
    sent, wanted = block.vectors
    packets = [_words(block, image.tobytes()) for image in sent]
    ends.sampler.values["aresetn"] = 0
    ends.rest(RESET_CLOCKS)
    ends.sampler.values["aresetn"] = 1
    ends.offered.extend(packets[0])
    ends.until(lambda: len(ends.offered) < len(packets[0]))
    ends.rest()
    yield "reset"
    _expect(ends, [wanted[0]])
    ends.rest()
    ends.sampler.scene()

    sending = 0
    ends.waited_in = False
    while not sending or (not ends.waited_in and sending < _MOST_IMAGES):
        ends.offered.extend(packets[sending])
        ends.until(lambda: not ends.offered)
        sending += 1
    ends.rest()
    yield "image"
    _expect(ends, wanted[:sending])
    ends.rest()
    ends.sampler.scene()

    # A receiver that is busy: the first word waits, then one in the middle.
    ends.takes = lambda word, waited: waited >= {0: 2, 3: 1}.get(word, 0)
    ends.offered.extend(packets[0])
    _expect(ends, [wanted[0]])
    ends.takes = lambda word, waited: True
    ends.rest()
    yield "result"

    ends.access((ADDRESS["control"], 1), (ADDRESS["id"], None))
    ends.rest()
    yield "registers"

    for name, flag, words in _wrong(packets[0]):
        ends.offered.extend(words)
        _expect(ends, [], flag)
        ends.rest()
        yield name
    ends.offered.extend(packets[1])  # the next image is right
    _expect(ends, [wanted[1]])


def _words(block: Exported, packet: bytes) -> list[tuple[int, int]]:
    """The words of an image's packet, each with its TLAST."""
    size = block.axis_width // 8
    words = [int.from_bytes(packet[k : k + size], "little") for k in range(0, len(packet), size)]
    return [(word, int(k == len(words) - 1)) for k, word in enumerate(words)]


def _wrong(packet: list[tuple[int, int]]) -> Iterator[tuple[str, int, list[tuple[int, int]]]]:
    """Packets of a wrong length: the scene's name, the flag of the result, the words."""
    if len(packet) > 1:
        few = packet[: min(3, len(packet) - 1)]
        yield "early", FLAG_EARLY, [*few[:-1], (few[-1][0], 1)]
    data = [(word, 0) for word, _ in packet]
    yield "late", FLAG_LATE, [*data, (0, 0), (0, 1)]


def _expect(ends: _Ends, packets: Any, flags: int = 0) -> None:
    """Wait for the results of ``packets``, or for one whose flags alone are known."""
    count = max(1, len(packets))
    ends.until(lambda: len(ends.results) >= count)
    for k, words in enumerate(packets):
        if ends.results[k] != [int(w) for w in words]:
            raise SimulationError(
                f"the simulated block gives {ends.results[k]} for image {k} of its bench, the "
                f"golden model {[int(w) for w in words]}"
            )
    if not len(packets) and ends.results[0][0] >> 16 != flags:
        raise SimulationError(
            f"the simulated block gives flags {ends.results[0][0] >> 16}, where {flags} is due"
        )
    ends.results.clear()
