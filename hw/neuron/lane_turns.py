"""Turns: the sums of PE outputs go through fewer neuron scans, some outputs after the others."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.stream.buffers import counter_of, step_counter

__all__ = ["LaneTurns", "have_gaps", "most_turns"]

REGISTER_STEPS = 4
"""Up to this many steps are kept in shift registers; beyond, in LUT RAM."""


def most_turns(
    pe: int, steps: int, visit_clocks: int, arrivals: tuple[int, ...], held: bool, lut_ram: bool
) -> int:
    """The most turns, a divisor of ``pe``, for which a visit's scan is over before the next one's
    sums need its place. ``arrivals``: clock of each step's sums; ``lut_ram``: the family has it."""
    if not held and steps > REGISTER_STEPS and not lut_ram:
        return 1
    room = visit_clocks
    if not held and have_gaps(arrivals):
        # Sums with gaps between them share no clock with the scan of the visit before.
        room -= arrivals[-1] - arrivals[0] + 1
    return max(n for n in range(1, pe + 1) if pe % n == 0 and (n == 1 or n * steps <= room))


def have_gaps(arrivals: tuple[int, ...]) -> bool:
    """Whether a visit's steps, whose sums come at these clocks, do not come one a clock."""
    return arrivals[-1] - arrivals[0] >= len(arrivals)


class LaneTurns(wiring.Component):
    """Takes all steps of ``pe`` outputs side by side, gives ``pe / turns`` outputs at a time.

    All steps of the first outputs come first, one a clock, then all of the next ones. Lanes move
    down to where they are read: no multiplexer but the one between a sum and its neighbour's.

    Ports: in ``valid``, ``first``, ``last`` and ``x`` (pe * width), the steps of a visit; out the
    same with ``x`` of pe / turns * width, ``steps`` times ``turns`` clocks without a gap. They
    begin a clock behind the last step; with ``held`` (one value for all steps) behind the first.
    A visit may come as often as ``most_turns`` says. Without ``gaps`` (`have_gaps`) its steps come
    one a clock, and sums in registers move in every clock: what enables all of them is a LUT before
    hundreds of pins.
    """

    def __init__(
        self, *, pe: int, turns: int, width: int, steps: int, held: bool, gaps: bool = True
    ):
        assert pe % turns == 0
        self.gaps = gaps
        self.pe, self.turns, self.width, self.steps, self.held = pe, turns, width, steps, held
        self.memories = self.memories_of(pe * width, steps, held)
        out = pe // turns * width
        super().__init__(
            {
                "valid_in": In(1),
                "first_in": In(1),
                "last_in": In(1),
                "x_in": In(pe * width),
                "valid": Out(1),
                "first": Out(1),
                "last": Out(1),
                "x": Out(out),
            }
        )

    @staticmethod
    def memories_of(bits: int, steps: int, held: bool) -> Memories:
        """Of ``bits`` bits of all sums of a step."""
        kept = steps <= REGISTER_STEPS or held
        return {} if kept else {"memory": MemoryShape(bits, steps, "comb")}

    @staticmethod
    def kept_of(steps: int, held: bool) -> int:
        """Moves for which sums are kept, in registers where there is no memory."""
        return 1 if held else steps

    @staticmethod
    def clocks(arrivals: tuple[int, ...], turns: int, held: bool) -> tuple[int, ...]:
        """The clock of every item out, for steps in that come at ``arrivals``."""
        begin = 1 + arrivals[0 if held else -1]
        return tuple(range(begin, begin + turns * len(arrivals)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, turn = counter_of(self.steps, name="step"), counter_of(self.turns, name="turn")
        running = Signal()
        at_end = step == self.steps - 1
        begin = self.valid_in & (self.first_in if self.held else self.last_in)
        with m.If(running):
            step_counter(m, step, self.steps)
            with m.If(at_end):
                step_counter(m, turn, self.turns)
                with m.If(turn == self.turns - 1):
                    m.d.sync += running.eq(0)
        with m.If(begin):
            m.d.sync += running.eq(1)
        m.d.comb += [
            self.valid.eq(running),
            self.first.eq(step == 0),
            self.last.eq(at_end),
        ]
        if self.held:
            load = self.valid_in & self.first_in
            kept = self._chain(m, load, load | (running & at_end))
        elif self.memories:
            kept = self._memory(m, running, step)
        else:
            kept = self._chain(m, self.valid_in, self.valid_in | running if self.gaps else Const(1))
        m.d.comb += self.x.eq(kept)
        return m

    def _moved(self, load: Value, kept: Value) -> Value:
        """What goes in: the sums that come, or every lane group's next one."""
        size = len(self.x)
        return Cat(Mux(load, self.x_in[:-size], kept[size:]), self.x_in[-size:])

    def _chain(self, m: Module, load: Value, move: Value) -> Value:
        length = self.kept_of(self.steps, self.held)
        stages = [Signal(len(self.x_in), name=f"kept_{n}", reset_less=True) for n in range(length)]
        with m.If(move):
            for stage, value in zip(stages, [self._moved(load, stages[-1]), *stages]):
                m.d.sync += stage.eq(value)
        return stages[-1]

    def _memory(self, m: Module, running: Value, step: Value) -> Value:
        memory = m.submodules.memory = self.memories["memory"].make()
        write, read = memory.write_port(), memory.read_port(domain="comb")
        step_in = counter_of(self.steps, name="step_in")
        with m.If(self.valid_in):
            step_counter(m, step_in, self.steps)
        m.d.comb += [
            read.addr.eq(step),
            # A row is read for the last time when, or before, the next visit's is put there.
            write.addr.eq(Mux(self.valid_in, step_in, step)),
            write.data.eq(self._moved(self.valid_in, read.data)),
            write.en.eq(self.valid_in | running),
        ]
        return read.data
