"""The counters of a design in one small memory, with one adder for all of them."""

__all__ = ["Tally"]

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.control.counters import counter_members
from sterna.hw.control.stopwatch import Stopwatch
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.stream.buffers import counter_of, step_counter

FLIGHT_BITS = 6
"""Images in flight: fewer than 64, or what the design says."""

_ROWS = ("image_clocks", "_image", "total_clocks", "_total", "images", "dropped")


class Tally(wiring.Component):
    """Counts what `ImageCounters` counts, and follows images; reads one counter at a time.

    Every clock one row of a memory is read, what has happened to it since its last turn is added,
    and it is written back: a turn of all rows takes ``rows`` clocks, in which a row needs only a
    small count of its own. The results are exact, with ``clear`` as with all else. For what is
    counted, and the inputs, see `ImageCounters`.

    ``image_clocks``: images overlap, so one is followed at a time and images that start meanwhile
    are not measured.

    Members
    -------
    clear, image_start, image_done, older, drop_early, drop_late, stall : in
    wanted : in, the row of a counter: `row`
    ready : out, for one clock in ``rows``: it is the turn of what was wanted a clock ago; ``value``
        is the counter's with what was in three clocks ago (times), four (events) or five (stalls),
        and never from before a ``clear``
    value : out, ``width`` bits; of 'dropped' the early ones in the lower half and the late ones in
        the upper half

    ``in_flight``: images that may be between the input and their result.

    Raises DesignError where half a row does not hold the events of a turn.
    """

    def __init__(self, cores: int, width: int = 32, in_flight: int = 0):
        self.cores, self.width = cores, width
        self.flight_bits = max(FLIGHT_BITS, (in_flight + 8).bit_length())
        self.memories = self.memories_of(cores, width)
        self.row_bits, self.rows = self.memories["memory"].width, self.memories["memory"].depth
        if width % 2 or self.rows + 1 >= 1 << width // 2:
            raise DesignError(
                f"counters of {width} bits for {cores} cores; give an even and a greater width"
            )
        super().__init__(
            counter_members(cores)
            | {
                "wanted": In(range(self.rows)),
                "ready": Out(1),
                "value": Out(width),
            }
        )

    @staticmethod
    def memories_of(cores: int, width: int = 32) -> Memories:
        return {"memory": MemoryShape(width + 2, len(_ROWS) + cores, "latched")}

    @staticmethod
    def row(name: str, core: int = 0) -> int:
        """Of 'image_clocks', 'images', 'total_clocks', 'dropped', or of 'stalls' of a core."""
        return len(_ROWS) + core if name == "stalls" else _ROWS.index(name)

    def elaborate(self, platform: object):
        m = Module()
        # Whose turn it is, as a number and as a bit each; and in the first turns rows become zero.
        turn = counter_of(self.rows)
        turns = Signal(self.rows, init=1)
        clearing = Signal(init=1)
        step_counter(m, turn, self.rows)
        m.d.sync += turns.eq(turns.rotate_left(1))
        with m.If(turns[-1]):
            m.d.sync += clearing.eq(0)
        with m.If(self.clear):
            m.d.sync += [turn.eq(0), turns.eq(1), clearing.eq(1)]

        at = {name: turns[row] for row, name in enumerate(_ROWS)}
        image, total = self._stopwatches(m, at)
        late = self._events(m, "late", self.drop_late, at["dropped"])
        more = [
            image.more,
            total.more,
            self._events(m, "images", self.image_done & ~self.older, at["images"]),
            self._events(m, "early", self.drop_early, at["dropped"]),
        ]
        for k in range(self.cores):
            # The register keeps the counters out of the cores' timing.
            waits = Signal(name=f"waits_{k}")
            m.d.sync += waits.eq(self.stall[k])
            more.append(self._events(m, f"stalls_{k}", waits, turns[self.row("stalls", k)]))
        # The running time lies right behind the latest one, in an odd row.
        place = turn | (image.copies | total.copies)
        zero = clearing | image.zero | total.zero
        self._add(m, turn, place, zero, _either(more), late, at["dropped"])
        return m

    def _events(self, m: Module, name: str, event: Value, its_turn: Value) -> Value:
        """Events since the last turn, at this turn; else zero."""
        count = Signal(range(self.rows + 1), name=f"new_{name}")
        m.d.sync += count.eq(Mux(its_turn, 0, count) + event)
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        return Mux(its_turn, count, 0)

    def _stopwatches(self, m: Module, at: dict[str, Value]) -> tuple[Stopwatch, Stopwatch]:
        """Of one image at a time, and of all since the first."""
        running = Signal()
        following = Signal()
        begun, ended, followed = (
            Signal(self.flight_bits, name=n) for n in ("begun", "ended", "which")
        )
        m.d.sync += [begun.eq(begun + self.image_start), ended.eq(ended + self.image_done)]
        m.submodules.image = image = Stopwatch(self.rows)
        m.submodules.total = total = Stopwatch(self.rows)
        m.d.comb += [
            image.start.eq(self.image_start & ~following),
            image.stop.eq(self.image_done & following & (ended == followed)),
            total.start.eq(self.image_start & ~running),
            total.stop.eq(self.image_done & ~self.older & running),
        ]
        with m.If(~following):
            m.d.sync += [following.eq(self.image_start), followed.eq(begun)]
        with m.Elif(image.stop):
            m.d.sync += following.eq(0)
        with m.If(self.image_start):
            m.d.sync += running.eq(1)
        with m.If(self.clear):
            m.d.sync += [following.eq(0), running.eq(0)]
        for watch, latest, row in (
            (image, "image_clocks", "_image"),
            (total, "total_clocks", "_total"),
        ):
            m.d.comb += [
                watch.clear.eq(self.clear),
                watch.at_latest.eq(at[latest]),
                watch.at_running.eq(at[row]),
            ]
        return image, total

    def _add(
        self,
        m: Module,
        turn: Value,
        place: Value,
        zero: Value,
        more: Value,
        late: Value,
        split: Value,
    ) -> None:
        """The memory, and three stages: read, add to the lower half, add to the upper one.

        ``split`` rows are two counters. Behind the bits are two that say that a half, or the whole,
        has passed its largest value, which a read shows then.
        """
        half = self.width // 2
        m.submodules.memory = memory = self.memories["memory"].make()
        read, write = memory.read_port(domain="comb"), memory.write_port()
        row = Signal(self.row_bits)
        low = Signal(half + 1)
        high = Signal(half + 1)
        upper = Signal(half)
        m.d.comb += read.addr.eq(place)
        m.d.sync += row.eq(read.data)
        with m.If(zero):
            m.d.sync += row.eq(0)
        more = _later(m, more, 1, "more")
        late = _later(m, late, 2, "late")
        split_2 = _later(m, split, 2, "split")
        split_3 = _later(m, split_2, 1, "split")
        known = Signal(3)
        m.d.sync += [
            low.eq(row[:half] + more),
            upper.eq(row[half : self.width]),
            high.eq(upper + (late | low[half] & ~split_2)),
            known.eq(Cat(1, known)),
        ]
        with m.If(self.clear):
            m.d.sync += known.eq(0)
        lower = _later(m, low, 1, "lower")
        passed = _later(m, row[self.width :], 2, "passed")
        over_high = passed[1] | high[half]
        over_low = Mux(split_3, passed[0] | lower[half], over_high)
        m.d.comb += [
            write.addr.eq(_later(m, turn, 3, "turn")),
            write.data.eq(Cat(lower[:half], high[:half], over_low, over_high)),
            write.en.eq(1),
            self.value[:half].eq(lower[:half] | over_low.replicate(half)),
            self.value[half:].eq(high[:half] | over_high.replicate(half)),
            self.ready.eq(known[-1] & (write.addr == _later(m, self.wanted, 1, "wanted"))),
        ]


def _later(m: Module, value: Value, clocks: int, name: str) -> Value:
    return delay(m, value, clocks, name + "_{1}", False)


def _either(values: Sequence[Value]) -> Value:
    """Of values that are zero but for one."""
    found = values[0]
    for value in values[1:]:
        found = found | value
    return found
