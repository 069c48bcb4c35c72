"""Where the inputs of one neuron meet: queues that line them up, and the sum of all of them.

The main front (the first weighted input) sets the pace and is never queued. Every other input
waits in a queue of its own, and a visit of the main front is issued only when each queue holds that
visit whole and the output has room for its spikes. So from then on nothing can be missing: each
``valid`` of the main front takes one step from every queue, blindly, exactly as many clocks later
as ``FrontSpec.step_clocks`` says. A shortcut thus waits as spikes, not as sums, and a neuron with
one weighted input has no queue of sums at all.

What happens when (clocks; c is the clock of the event on the left)::

    step T-1 of another front is valid            its visit is ready for the main front: c + 1
      (held pixels: step 0, all steps are one)
    last beat of a shortcut's visit is taken      its visit is ready for the main front: c + 1
    main ``start`` (all ready, output credit)     step t is taken from every queue:
                                                  c + main.step_clocks[t]
    step T-1 is taken                             room for a visit of another front: it may start
                                                  at c + 1
    last step of a shortcut's beat is taken       room for a beat: its ``ready`` is 1 at c + 1
    step t is taken                               x of step t meets its threshold: c + latency

Full rate (a visit every V clocks, V = max(T, slowest front's visit, output beats)) needs the room
that is in flight from one use of it to the next: ``sum_visits``, ``shortcut_visits``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.core.credit import Credit
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.law import Delays
from sterna.hw.memory.delay import delay
from sterna.hw.memory.shape import Memories, inside
from sterna.hw.stream.buffers import Fifo, counter_of, step_counter
from sterna.hw.stream.edge import Edge

__all__ = [
    "ShortcutSpec",
    "ShortcutQueue",
    "SumQueue",
    "add_up",
    "add_up_clocks",
    "shortcut_frees",
    "shortcut_visits",
    "sum_delays",
    "sum_visits",
]


@dataclass(frozen=True)
class ShortcutSpec:
    """A spike input: the node ``name``, its beats of whole steps, ``bits`` of one value."""

    name: str
    edge: Edge
    bits: int

    def __post_init__(self) -> None:
        if self.edge.pb % self.bits:
            raise DesignError(
                f"node '{self.name}': pb {self.edge.pb} of a shortcut is not a multiple of the "
                f"{self.bits} bits of a value; resize its stream"
            )

    @property
    def beat_steps(self) -> int:
        """Whole steps in a beat; the last beat of a visit may hold fewer."""
        return self.edge.pb // self.bits


def sum_visits(main: FrontSpec, other: FrontSpec, visit: int) -> int:
    """Visits of sums another front's queue holds, for a visit every ``visit`` clocks.

    From a start of the other front until the place its sums took may be used again: they are
    complete, the main front starts a clock later, takes the last step, and a clock later the other
    front may start. The queue is as many visits deep (T steps each, held pixels one value).
    """
    delays = sum_delays(main, other)
    return -(-(delays.tokens[0] + delays.back) // visit)


def sum_delays(main: FrontSpec, other: FrontSpec) -> Delays:
    """Of another front, whose sums the ``main`` one takes."""
    complete = other.step_clocks[0 if other.held else -1]
    return Delays((complete + Credit.latency,), main.step_clocks[-1] + Credit.latency)


def shortcut_frees(main: FrontSpec, shortcut: ShortcutSpec) -> tuple[int, ...]:
    """Clocks from a start of the main front until each beat of a shortcut's visit has left room."""
    e, k = shortcut.edge, shortcut.beat_steps
    ends = [min((beat + 1) * k, main.steps) - 1 for beat in range(e.plane_beats)]
    return tuple(main.step_clocks[t] + Fifo.freeing for t in ends)


def shortcut_visits(main: FrontSpec, visit: int) -> int:
    """Visits of beats a shortcut's queue holds, for a visit every ``visit`` clocks.

    From the last beat of a visit until its place may be used again: a clock until the main front
    starts, which takes the last step, and a clock until the next beat may come.
    """
    return -(-(Credit.latency + main.step_clocks[-1] + Fifo.freeing) // visit)


class SumQueue(wiring.Component):
    """Steps of sums of a front that is ahead of the main one, ``visits`` visits of them.

    Ports, from and to the front: in ``start``, ``valid``, ``first``, ``last``, ``x``; out ``go``
    (a register: room for a visit). To and from the main one: out ``ready`` (a register: a whole
    visit is here that no start has claimed), in ``claim`` (main start), ``pop`` and ``pop_last``
    (a main step, the last), out ``z`` (the step popped in the clock before).
    """

    def __init__(self, front: FrontSpec, visits: int):
        self.front, self.visits = front, visits
        width = front.pe * front.z_width
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "x": In(width),
                "go": Out(1),
                "ready": Out(1),
                "claim": In(1),
                "pop": In(1),
                "pop_last": In(1),
                "z": Out(width),
            }
        )

    @staticmethod
    def depth_of(front: FrontSpec, visits: int) -> int:
        """Words of the FIFO: steps, or values of held pixels."""
        return max(2, visits * (1 if front.held else front.steps))

    @staticmethod
    def memories_of(front: FrontSpec, visits: int) -> Memories:
        depth = SumQueue.depth_of(front, visits)
        return inside("fifo", Fifo.memories_of(front.pe * front.z_width, depth))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.depth_of(self.front, self.visits)
        m.submodules.fifo = fifo = Fifo(len(self.x), depth)
        m.submodules.room = room = Credit(self.visits)
        m.submodules.here = here = Credit(self.visits, start=0)
        z = Signal(len(self.z), reset_less=True)
        m.d.sync += z.eq(fifo.o.payload)
        held = self.front.held
        m.d.comb += [
            # It never looks whether there is room: the visit has a credit.
            fifo.i.valid.eq(self.valid & self.first if held else self.valid),
            fifo.i.payload.eq(self.x),
            fifo.o.ready.eq(self.pop & self.pop_last if held else self.pop),
            self.z.eq(z),
            room.take.eq(self.start),
            room.give.eq(self.pop & self.pop_last),
            self.go.eq(room.some),
            here.give.eq(self.valid & (self.first if held else self.last)),
            here.take.eq(self.claim),
            self.ready.eq(here.some),
        ]
        return m


class ShortcutQueue(wiring.Component):
    """Beats of a spike input, ``visits`` visits of them, given step by step.

    Ports: ``i``, stream of ``spec.edge`` (ready is a register: room for a beat); out ``ready``,
    in ``claim``, ``pop``, ``pop_last`` as of ``SumQueue``; out ``s`` (bits * lanes, bit k of the
    lanes' values at k * lanes), the step popped in the clock before.
    """

    i: stream.Interface

    def __init__(self, spec: ShortcutSpec, visits: int):
        self.spec, self.visits = spec, visits
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(spec.edge.width))),
                "ready": Out(1),
                "claim": In(1),
                "pop": In(1),
                "pop_last": In(1),
                "s": Out(spec.bits * spec.edge.lanes),
            }
        )

    @staticmethod
    def depth_of(spec: ShortcutSpec, visits: int) -> int:
        """Beats of the FIFO."""
        return max(2, visits * spec.edge.plane_beats)

    @staticmethod
    def memories_of(spec: ShortcutSpec, visits: int) -> Memories:
        depth = ShortcutQueue.depth_of(spec, visits)
        return inside("fifo", Fifo.memories_of(spec.edge.width, depth))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        edge, steps = self.spec.edge, self.spec.beat_steps
        depth = self.depth_of(self.spec, self.visits)
        m.submodules.fifo = fifo = Fifo(edge.width, depth)
        m.submodules.here = here = Credit(depth // edge.plane_beats, start=0)
        beat = counter_of(edge.plane_beats)
        step = counter_of(steps)
        s = Signal(len(self.s), reset_less=True)
        wiring.connect(m, wiring.flipped(self.i), fifo.i)
        taken = self.i.valid & self.i.ready
        with m.If(taken):
            step_counter(m, beat, edge.plane_beats)
        ends = (step == steps - 1) | self.pop_last
        with m.If(self.pop):
            m.d.sync += step.eq(Mux(ends, 0, step + 1))
        head = fifo.o.payload
        m.d.sync += s.eq(head.word_select(step, len(s)) if steps > 1 else head)
        m.d.comb += [
            fifo.o.ready.eq(self.pop & ends),
            here.give.eq(taken & (beat == edge.plane_beats - 1)),
            here.take.eq(self.claim),
            self.ready.eq(here.some),
            self.s.eq(s),
        ]
        return m


def _pairs(times: Sequence[int]) -> list[tuple[int, int]]:
    """Which terms to add, those that are there first: indices, a sum is the next free one."""
    waiting = sorted((time, n) for n, time in enumerate(times))
    pairs, fresh = [], len(times)
    while len(waiting) > 1:
        (_, a), (later, b), *waiting = waiting
        pairs.append((a, b))
        waiting = sorted([*waiting, (later + 1, fresh)])
        fresh += 1
    return pairs


def add_up_clocks(times: Sequence[int]) -> int:
    """When the sum of terms that are there at ``times`` is: a clock an addition."""
    at = list(times)
    for a, b in _pairs(times):
        at.append(max(at[a], at[b]) + 1)
    return at[-1] if len(at) > 1 else at[0]


def add_up(
    m: Module, terms: Sequence[tuple[int, Value]], width: int, until: int, name: str
) -> Value:
    """The sum of signed ``terms`` (clock at which it is there, value) modulo 2**width, signed.

    One registered addition a clock, the earliest terms first; the sum is there at clock ``until``,
    at or after ``add_up_clocks``.
    """

    def later(value: Value, clocks: int) -> Value:
        return delay(m, value, clocks, f"{name}_wait_{{0}}", True)

    at = [(time, value.as_signed()) for time, value in terms] or [(0, Const(0, 1).as_signed())]
    for a, b in _pairs([time for time, _ in at]):
        time = max(at[a][0], at[b][0])
        one, two = (later(at[n][1], time - at[n][0]) for n in (a, b))
        total = (one + two)[:width].as_signed()
        register = Signal(total.shape(), name=f"{name}_{len(at)}", reset_less=True)
        m.d.sync += register.eq(total)
        at.append((time + 1, register))
    return later(at[-1][1], until - at[-1][0])
