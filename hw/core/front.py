"""Front: everything of a core up to the weighted sums, one step of PE outputs after another."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.core.accumulate import REGISTER_TURNS, Accumulator, StepFeeder
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.core.walker import Walker
from sterna.hw.core.window_read import PICKING
from sterna.hw.dot.compress import DotProduct
from sterna.hw.dot.expander import Expander
from sterna.hw.dot.tables import TablesDot
from sterna.hw.memory.chain import Chain
from sterna.hw.memory.delay import delay
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.memory.word_assembler import WordAssembler

__all__ = ["Front"]


class Front(wiring.Component):
    """Line buffer -> dot product -> accumulate -> steps, all free running.

    Nothing in the pipeline is ever stopped: a visit (one pixel, PE outputs, all steps) is issued
    only where someone has room for its sums, and says so with ``go``.

    Ports: ``i``, stream of ``spec.geometry.edge``; in ``go`` (a register: a visit may be issued);
    out ``start``, a pulse in the clock a visit is issued (in the nest 'arrival' those of the last
    fold, though ``go`` lets every word's begin); out ``valid``, ``first``, ``last`` and
    ``x`` (pe * z_width, signed fields): the sums of one step, pulses in step order, of each of
    ``spec.banks``, to which visits go in turns. Weights in a
    ram: ``chain_i``, ``chain_o``. Of an engine that is written: out ``ready``, a register: it is;
    no visit is issued before.

    Timing: ``start`` comes in the first clock in which ``go`` is 1, the rows of the visit are there
    and ``visit_clocks`` have passed since the last start; step t's ``valid`` exactly
    ``spec.step_clocks[t]`` clocks later. ``start`` follows ``go`` within the clock.
    """

    i: stream.Interface

    def __init__(self, spec: FrontSpec):
        self.spec = spec
        s, g = spec, spec.geometry
        self.loops = s.loops()
        self.walker = Walker(g.out_height, g.out_width, self.loops, s.visit_clocks, s.arrives)
        self.buffer = LineBuffer(g, self.loops, s.pick)
        self.dot = s.make_dot()
        self.weights = self._memory()
        ports = {
            "i": In(stream.Signature(unsigned(g.edge.width))),
            "go": In(1),
            "start": Out(1),
            "valid": Out(s.banks),
            "first": Out(s.banks),
            "last": Out(s.banks),
            "x": Out(s.banks * s.pe * s.z_width),
        }
        if s.weight_region is not None:
            ports |= {"chain_i": In(Chain), "chain_o": Out(Chain)}
        if s.dot_engine.written:
            ports["ready"] = Out(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m, s = Module(), self.spec
        walker = m.submodules.walker = self.walker
        m.submodules.buffer = self.buffer
        m.submodules.dot = self.dot
        wiring.connect(m, wiring.flipped(self.i), self.buffer.i)
        m.d.comb += [
            walker.go.eq(self.go & self.ready if s.dot_engine.written else self.go),
            self.start.eq(walker.start),
            walker.rows_ok.eq(self.buffer.rows_ok),
            self.buffer.row_end.eq(walker.row_end),
            self.buffer.image_end.eq(walker.image_end),
            self.buffer.valid.eq(walker.valid),
            self.buffer.step.eq(walker.step),
            self.buffer.top.eq(walker.top),
        ]
        added = ("row", "column", "word", "sub", *(("down", "across") if s.pool == "sum" else ()))
        folds = [n for n, p in enumerate(self.loops) if p.name in added]
        first, last = (Cat(flags[n] for n in folds).all() for flags in (walker.first, walker.last))
        if s.arrives:
            first, last = walker.top & first, walker.final
        flags = Cat(walker.valid, first, last)
        late = LineBuffer.latency + PICKING + self.dot.latency
        assert late > REGISTER_TURNS + 1, "no items for so long behind a reset, see Accumulator"
        # Of the last word a clock ahead: what it resets wants a register of its own.
        before = delay(m, flags, late - 1, "flags_{0}")
        coming, ending = before[0], before[0] & before[2]
        flags = delay(m, before[:2], 1, "flags")
        self._act(m)
        if self.weights is not None:
            m.submodules.weights = self.weights
            self._weights(m)
        if isinstance(self.dot, DotProduct) or s.accumulated > 1:
            ready, z = self._accumulate(m, flags, coming, ending)
        else:
            ready, z = flags[0], self.dot.z
        self._steps(m, ready, z)
        return m

    def _act(self, m: Module) -> None:
        """The lanes and planes of the window word that the dot product reads."""
        s, g, walker, buffer = self.spec, self.spec.geometry, self.walker, self.buffer
        if hasattr(buffer, "part"):
            m.d.comb += buffer.part.eq(walker.index_part)  # type: ignore[attr-defined]
        if hasattr(buffer, "sub"):
            m.d.comb += buffer.sub.eq(walker.index_sub)  # type: ignore[attr-defined]
        if s.pick.blanks:
            # Sums at the padding of a pool are 0, though the window may reach the map there.
            inside = [n for n, p in enumerate(self.loops) if not (p.visit or p.position)]
            step = walker.valid & Cat(walker.last[n] for n in inside).all()
            *_, outside = s.walk.place(m, step)
            m.d.comb += buffer.blank.eq(outside)
        # word: pixel, plane, lane
        pixels, lanes = range(g.rows * g.columns), s.pick.lanes
        line = lambda pixel, plane: buffer.word.word_select(pixel * s.tp + plane, lanes)  # noqa: E731
        order: list[Value] = []
        for plane in range(s.tp):
            if s.depthwise:
                order += [line(n, plane)[p] for p in range(s.pe) for n in pixels]
            else:
                order += [line(n, plane) for n in pixels]
        m.d.comb += self.dot.act.eq(Cat(order))

    def _row(self, m: Module, ahead: int) -> Signal:
        """The row of weights of each item, ``ahead`` clocks before its act: one on at every fold
        or output group, back at a pixel, and at a position of a pool to the group's first."""
        s, walker = self.spec, self.walker
        address = Signal(range(max(2, s.weight_depth)))
        held = [n for n, p in enumerate(self.loops) if p.name in ("beat", "part")]
        again, group = self._positions()
        if again is not None and s.folds == 1:
            held += [n for n, p in enumerate(self.loops) if p.position]
            again = None
        hold = Cat(walker.step[n + 2] for n in held).any()
        back = walker.valid & self._restarts()
        on = walker.valid & (walker.step != 0) & ~hold
        moves = Cat(back, on)
        if again is not None:
            moves = Cat(back, on, walker.valid & again, walker.valid & group)
        # The moves wait, not the address: fewer bits.
        moves = delay(m, moves, LineBuffer.latency - ahead, "moves_{0}")
        with m.If(moves[0]):
            m.d.sync += address.eq(0)
        with m.Elif(moves[1]):
            m.d.sync += address.eq(address + 1)
        if again is not None:
            first = Signal.like(address)  # row of the group
            with m.If(moves[2]):
                m.d.sync += address.eq(first if s.output_groups > 1 else 0)
            with m.If(moves[0]):
                m.d.sync += first.eq(0)
            with m.Elif(moves[3]):
                m.d.sync += first.eq(address + 1)
        return address

    def _restarts(self) -> Value:
        """Of an item: its weights are the first ones again, as at every pixel."""
        step = self.walker.step
        return step[0] & self.walker.top if self.spec.arrives else step[0] | step[1]

    def _positions(self) -> tuple[Value | None, Value]:
        """Of an item: it begins another position of a pool (None: there are none), or another
        output group."""
        steps = {
            kind: [self.walker.step[n + 2] for n, p in enumerate(self.loops) if getattr(p, kind)]
            for kind in ("position", "visit")
        }
        again = Cat(steps["position"]).any() if steps["position"] else None
        return again, Cat(steps["visit"]).any()

    def _memory(self) -> WeightMemory | Expander | None:
        """What holds the weights; constants need nothing."""
        s = self.spec
        return s.dot_engine.memory(
            self.dot,
            s.stored_depth,
            s.memory_width,
            s.weights,
            s.weight_region,
            s.ram_style,
            s.compact,
        )

    def _weights(self, m: Module) -> None:
        """Weight words, or the rows of tables, follow the items together with the act."""
        weights = self.weights
        if isinstance(weights, WeightMemory) and isinstance(self.dot, DotProduct):
            m.d.comb += self.dot.weight.eq(self._words(m, weights))
        elif isinstance(weights, Expander) and isinstance(self.dot, TablesDot):
            m.d.comb += [
                self.dot.load.eq(weights.load),
                weights.loaded.eq(self.dot.loaded),
                self.ready.eq(weights.ready),
            ]
            if self.spec.weight_depth > 1:
                m.d.comb += self.dot.row.eq(self._row(m, 0))
        if self.spec.weight_region is not None:
            assert weights is not None
            wiring.connect(m, wiring.flipped(self.chain_i), weights.chain_i)
            wiring.connect(m, weights.chain_o, wiring.flipped(self.chain_o))

    def _words(self, m: Module, memory: WeightMemory) -> Value:
        """The word of weights of each item, together with its act."""
        s, walker = self.spec, self.walker
        # The address is a register of its own (a compact memory has one), not the counter: a
        # memory in the logic is wide, and would look up its rows behind the counter's carries.
        apart = 0 if memory.compact else 1
        if s.reads == 1:
            row = self._row(m, WeightMemory.latency + apart)
            m.d.comb += memory.addr.eq(delay(m, row, apart, "weight_address_{0}"))
            return memory.data
        again, group = self._positions()
        m.submodules.assembler = words = WordAssembler(
            s.weight_depth, s.weight_width, s.reads, apart, again=again is not None
        )
        held = [n for n, p in enumerate(self.loops) if p.name in ("beat", "part")]
        fetch = walker.valid & Cat(walker.first[n] for n in held).all()
        on = (walker.step != 0) & ~self._restarts()
        early = Cat(fetch, on) if again is None else Cat(fetch, on, again, group)
        early = delay(m, early, LineBuffer.latency + PICKING - words.latency, "fetch_{0}")
        if again is not None:
            m.d.comb += [words.again.eq(early[2]), words.group.eq(early[3])]
        m.d.comb += [
            words.fetch.eq(early[0]),
            words.on.eq(early[1]),
            memory.addr.eq(words.addr),
            words.data.eq(memory.data),
        ]
        return words.word

    def _accumulate(
        self, m: Module, flags: Value, coming: Value, ending: Value
    ) -> tuple[Value, Value]:
        """(pulse, sums) of a visit's window words, for each plane group."""
        s, width, dot = self.spec, self.spec.z_width, self.dot
        pulses = lambda acc: [  # noqa: E731
            acc.valid.eq(flags[0]),
            acc.first.eq(flags[1]),
            acc.coming.eq(coming),
            acc.ending.eq(ending),
        ]
        if not isinstance(dot, DotProduct):
            m.submodules.accumulate = acc = Accumulator(
                pe=s.pe,
                sums=dot.sums,
                in_width=width,
                turns=s.sum_turns,
                width=width,
                words=s.accumulated,
                whole=not s.arrives,
            )
            m.d.comb += [*pulses(acc), acc.sum.eq(dot.z)]
            return acc.ready_z, acc.z
        m.submodules.accumulate = acc = Accumulator(
            pe=s.pe,
            sums=dot.sums,
            in_width=len(dot.sum) // (s.pe * dot.sums),
            turns=s.sum_turns,
            width=width,
            constant=-dot.offset * s.accumulated,
            pops=s.pops,
            pop_width=len(dot.pop) // (dot.sums * s.pops) if s.pops else 0,
            words=s.accumulated,
            whole=not s.arrives,
        )
        m.d.comb += [*pulses(acc), acc.sum.eq(dot.sum)]
        if s.kind == "binary":
            m.d.comb += acc.pop.eq(dot.pop)
        return acc.ready_z, acc.z

    def _steps(self, m: Module, ready: Value, z: Value) -> None:
        """Sums become the steps of the neuron."""
        s = self.spec
        m.submodules.feeder = feeder = StepFeeder(
            pe=s.pe,
            sums=self.dot.sums,
            in_width=s.z_width,
            width=s.z_width,
            steps=s.steps,
            parts=s.parts,
            part_bits=s.tp,
            hold=s.held,
            banks=s.banks,
            pool=s.largest,
        )
        m.d.comb += [
            feeder.ready_z.eq(ready),
            feeder.z.eq(z),
            Cat(self.valid, self.first, self.last).eq(Cat(feeder.valid, feeder.first, feeder.last)),
            self.x.eq(feeder.x),
        ]
