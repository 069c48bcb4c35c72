"""From dot products to the weighted sum of every step: accumulators, bit weights, step order."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.bounds import signed_bits
from sterna.golden.errors import DesignError
from sterna.hw.core.pool import LargestSums, PoolWalk
from sterna.hw.memory.shape import Memories, MemoryShape
from sterna.hw.stream.buffers import counter_of, step_counter

__all__ = ["Accumulator", "StepFeeder"]

REGISTER_TURNS = 4
"""Up to this many plane groups the sums circulate in registers; beyond, in LUT RAM."""


class Accumulator(wiring.Component):
    """Adds the dot products of a visit's window words, for each of ``turns`` plane groups.

    Items come plane group fastest, and where output groups take turns at a word, these outside:
    ``turns`` is then that of all of them. The sums of the last word come out one clock later, each
    plus ``constant`` (minus the dot product's offset times the words). Binary: 2 * sum - pop.
    Numbers wrap modulo 2**width: exact, because only the final value needs to fit.

    Parameters: pe outputs, sums a plane group (steps side by side), in_width of a sum, pop_width
    (0: ternary), pops (1 shared or pe), turns, width of z, constant, words of a visit (0: not
    known): with a single one there is nothing to keep, and only ``valid`` matters. ``whole``: the
    items of a visit come one a clock. Sums in registers then move in every clock, from the start
    value where nothing comes: no enable of all their bits. Behind a reset there must be ``turns``
    clocks without an item.

    Ports: in ``valid``, ``first`` (the item's word is the visit's first), ``coming`` and ``ending``
    (a clock ahead: an item comes, and is of the visit's last word), ``sum`` (pe*sums*in_width),
    ``pop``; out ``ready_z`` a pulse, ``z`` (pe*sums*width, signed fields), value (p, j) at
    (p*sums + j)*width; latency 1 (ternary) or 2 (binary).
    """

    def __init__(
        self,
        *,
        pe: int,
        sums: int,
        in_width: int,
        turns: int,
        width: int,
        constant: int = 0,
        pops: int = 0,
        pop_width: int = 0,
        words: int = 0,
        whole: bool = False,
    ):
        self.pe, self.sums, self.in_width, self.words = pe, sums, in_width, words
        self.turns, self.width, self.constant, self.whole = turns, width, constant, whole
        self.pops, self.pop_width = pops, pop_width
        self.latency = self.latency_of(pops)
        self.memories = self.memories_of(pe * sums * width, pops * sums * width, turns, words)
        ports = {
            "valid": In(1),
            "first": In(1),
            "coming": In(1),
            "ending": In(1),
            "sum": In(pe * sums * in_width),
            "ready_z": Out(1),
            "z": Out(pe * sums * width),
        }
        if pops:
            ports["pop"] = In(pops * sums * pop_width)
        super().__init__(ports)

    @staticmethod
    def latency_of(pops: int) -> int:
        """Clocks from the last word to ``ready_z``."""
        return 2 if pops else 1

    @staticmethod
    def memories_of(sum_bits: int, pop_bits: int, turns: int, words: int) -> Memories:
        """Of ``sum_bits`` bits of all sums of a plane group, ``pop_bits`` of its popcounts."""
        if turns <= REGISTER_TURNS or words == 1:
            return {}
        bits = {"sum_memory": sum_bits, "pop_memory": pop_bits}
        return {name: MemoryShape(b, turns, "comb") for name, b in bits.items() if b}

    def _ring(
        self, m: Module, name: str, values: list[Value], constant: int, clear: Value, flush: Value
    ) -> list[Value]:
        """``turns`` deep accumulators for a list of values; returns the sums, one clock later.
        ``clear``, ``flush``: what brings the start value into the first register, the others."""
        moves = Const(1) if self.whole else self.valid
        if self.words == 1:
            return self._alone(m, name, values, constant)
        width = self.width
        old = Signal(len(values) * width, name=f"{name}_old")
        new = Signal(len(values) * width, name=f"{name}_new")
        start = Const(constant % (1 << width), width)
        for n, value in enumerate(values):
            field = slice(n * width, (n + 1) * width)
            if self.turns <= REGISTER_TURNS:
                m.d.comb += new[field].eq(value + old[field])
            else:
                m.d.comb += new[field].eq(value + Mux(self.first, start, old[field]))
        # Looked at in the clock of ``ready_z`` alone: no enable of all its bits.
        head = Signal(len(values) * width, name=f"{name}_sum", reset_less=True)
        m.d.sync += head.eq(new)
        if self.turns <= REGISTER_TURNS:
            # Behind a visit's last word the registers go back to the start value by their
            # synchronous reset: a multiplexer before the adder would cost a LUT a bit. What
            # resets hundreds of them comes from a register, which takes the design's reset, too.
            starts = start.replicate(len(values))
            init = sum(start.value << n * width for n in range(len(values)))
            tail: Value = new
            for turn in range(self.turns):
                register = Signal(
                    len(values) * width, name=f"{name}_{turn}", init=init, reset_less=True
                )
                with m.If(clear if turn == 0 else flush):
                    m.d.sync += register.eq(starts)
                with m.Elif(moves):
                    m.d.sync += register.eq(tail)
                tail = register
            m.d.comb += old.eq(tail)
        else:
            memory = m.submodules[f"{name}_memory"] = self.memories[f"{name}_memory"].make()
            read, write = memory.read_port(domain="comb"), memory.write_port()
            turn = Signal(range(self.turns), name=f"{name}_turn")
            with m.If(self.valid):
                m.d.sync += turn.eq(Mux(turn == self.turns - 1, 0, turn + 1))
            m.d.comb += [
                read.addr.eq(turn),
                old.eq(read.data),
                write.addr.eq(turn),
                write.data.eq(new),
                # Where nothing comes the place is that of a visit's first item, which ignores it.
                write.en.eq(moves),
            ]
        return [head[n * width : (n + 1) * width] for n in range(len(values))]

    def _alone(self, m: Module, name: str, values: list[Value], constant: int) -> list[Value]:
        """The values with their constant, one clock later, in no more bits than they have."""
        bits = signed_bits(constant, constant + (1 << len(values[0])) - 1)
        heads: list[Value] = []
        for n, value in enumerate(values):
            head = Signal(signed(bits), name=f"{name}_{n}", reset_less=True)
            m.d.sync += head.eq(value + constant)
            heads.append(_extend(head, self.width))
        return heads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        done = Signal()
        last = Signal()
        clear = Signal(init=1)
        flush: Value = Const(0)
        m.d.sync += [
            last.eq(self.ending),
            done.eq(self.valid & last if self.words != 1 else self.valid),
        ]
        if self.whole:
            m.d.sync += clear.eq(self.ending | ~self.coming)
        else:
            flush = Signal(init=1, name="flush")
            m.d.sync += [clear.eq(self.ending), flush.eq(0)]
        fields = _fields(self.sum, self.pe * self.sums, self.in_width)
        sums = self._ring(m, "sum", fields, self.constant, clear, flush)
        if not self.pops:
            m.d.comb += [self.ready_z.eq(done), self.z.eq(Cat(sums))]
            return m
        fields = _fields(self.pop, self.pops * self.sums, self.pop_width)
        pops = self._ring(m, "pop", fields, 0, clear, flush)
        m.d.sync += self.ready_z.eq(done)
        for p in range(self.pe):
            for j in range(self.sums):
                n = p * self.sums + j
                pop = pops[n if self.pops > 1 else j]
                field = self.z[n * self.width : (n + 1) * self.width]
                m.d.sync += field.eq((sums[n] << 1) - pop)
        return m


def _fields(value: Value, count: int, width: int) -> list[Value]:
    return [value[n * width : (n + 1) * width] for n in range(count)]


class StepFeeder(wiring.Component):
    """Gives the neuron scan one step's weighted sums a clock.

    Three shapes of input: ``parts`` > 1 pulses a step (bit-plane groups of ``part_bits`` bits, low
    first, shifted together here); ``sums`` > 1 steps a pulse, put in order; or, with ``hold``, one
    value a visit for all steps (direct pixels: the current is computed once). Behind a ``pool``,
    whose positions bring all these pulses each, the largest sums are given.

    Ports: in ``ready_z``, ``z`` (pe * sums * in_width); out ``valid``, ``first`` (step 0),
    ``last`` (step T-1), ``x`` (pe * width, signed fields). Pulses of the next visit must come at
    least ``steps`` clocks after those of this one. With several ``banks`` visits go to them in
    turns, all outputs are there for each of them, bank 0 in the low bits, and the distance is that
    of the visits of one bank.
    """

    def __init__(
        self,
        *,
        pe: int,
        sums: int,
        in_width: int,
        width: int,
        steps: int,
        parts: int = 1,
        part_bits: int = 0,
        hold: bool = False,
        banks: int = 1,
        pool: PoolWalk | None = None,
    ):
        if sums > 1 and (parts > 1 or hold):
            raise DesignError("several steps a pulse exclude parts of a step and a held value")
        self.pe, self.sums, self.in_width, self.width = pe, sums, in_width, width
        self.steps, self.parts, self.part_bits, self.hold = steps, parts, part_bits, hold
        self.banks, self.pool = banks, pool
        self.latency = self.latency_of(sums) + (0 if pool is None else LargestSums.latency)
        self.memories = self.memories_of(pe * sums * width, sums, steps, banks)
        super().__init__(
            {
                "ready_z": In(1),
                "z": In(pe * sums * in_width),
                "valid": Out(banks),
                "first": Out(banks),
                "last": Out(banks),
                "x": Out(banks * pe * width),
            }
        )

    @staticmethod
    def latency_of(sums: int) -> int:
        """Clocks from a pulse, or the last one that makes a step with ``parts``, less one where
        there are these, to its first step: sums that wait are stored first."""
        return 2 if sums > 1 else 1

    @staticmethod
    def pulses_of(sums: int, steps: int, hold: bool) -> int:
        """Pulses of a visit, or of a position of it, behind joined parts."""
        return 1 if hold else -(-steps // sums)

    @staticmethod
    def memories_of(bits: int, sums: int, steps: int, banks: int) -> Memories:
        """One a bank, of ``bits`` bits a pulse of ``sums`` steps, where a visit has several."""
        groups = -(-steps // sums)
        if sums == 1 or groups == 1:
            return {}
        names = [f"store_{n}" for n in range(banks)] if banks > 1 else ["store"]
        return {name: MemoryShape(bits, groups, "comb") for name in names}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pulse, values = self._joined(m) if self.parts > 1 else (self.ready_z, self._plain())
        if self.pool is not None:
            pulse, values = self._largest(m, pulse, values, self.pool)
        if self.banks == 1:
            self._feed(m, pulse, values, 0)
            return m
        bank = counter_of(self.banks, name="bank")
        pulses = self.pulses_of(self.sums, self.steps, self.hold)
        left = counter_of(pulses, name="pulses")
        with m.If(pulse):
            step_counter(m, left, pulses)
            with m.If(left == pulses - 1):
                step_counter(m, bank, self.banks)
        for n in range(self.banks):
            self._feed(m, pulse & (bank == n), values, n)
        return m

    def _feed(self, m: Module, pulse: Value, values: list[Value], bank: int) -> None:
        """The steps of one bank."""
        step = Signal(range(max(2, self.steps)))
        running = Signal()
        x = Signal(self.pe * self.width, reset_less=True)
        m.d.comb += self.x.word_select(bank, len(x)).eq(x)
        if self.sums > 1:
            groups = -(-self.steps // self.sums)
            begin = self._store(m, pulse, values, groups, step, x, bank)
            m.d.comb += running.eq(begin | (step != 0))
        else:
            m.d.comb += running.eq(pulse | (step != 0) if self.hold else pulse)
            # Held is what all steps read; else x is looked at beside its ``valid`` alone.
            with m.If(pulse if self.hold else 1):
                m.d.sync += x.eq(Cat(values))
        with m.If(running):
            m.d.sync += step.eq(Mux(step == self.steps - 1, 0, step + 1))
        m.d.sync += [
            self.valid[bank].eq(running),
            self.first[bank].eq(step == 0),
            self.last[bank].eq(step == self.steps - 1),
        ]

    def _largest(
        self, m: Module, pulse: Value, values: list[Value], pool: PoolWalk
    ) -> tuple[Value, list[Value]]:
        """The largest of each value over a pool's positions, at the last of them."""
        m.submodules.pool = largest = LargestSums(
            fields=len(values),
            width=self.width,
            pool=pool,
            turns=self.pulses_of(self.sums, self.steps, self.hold),
        )
        m.d.comb += [largest.ready_z.eq(pulse), largest.z.eq(Cat(values))]
        return largest.ready, _fields(largest.largest, len(values), self.width)

    def _plain(self) -> list[Value]:
        fields = _fields(self.z, self.pe * self.sums, self.in_width)
        return [_extend(f, self.width) for f in fields]

    def _joined(self, m: Module) -> tuple[Value, list[Value]]:
        """sum of part_k << (k * part_bits): parts enter on top and move down, nothing is lost."""
        part = Signal(range(self.parts))
        pulse = Signal()
        top = self.part_bits * (self.parts - 1)
        values: list[Value] = []
        for n, z in enumerate(_fields(self.z, self.pe, self.in_width)):
            total = Signal(self.width, name=f"joined_{n}", reset_less=True)
            down = (total.as_signed() >> self.part_bits)[: self.width]
            with m.If(self.ready_z):
                m.d.sync += total.eq(Mux(part == 0, 0, down) + (_extend(z, self.width) << top))
            values.append(total)
        with m.If(self.ready_z):
            m.d.sync += part.eq(Mux(part == self.parts - 1, 0, part + 1))
        m.d.sync += pulse.eq(self.ready_z & (part == self.parts - 1))
        return pulse, values

    def _store(
        self,
        m: Module,
        pulse: Value,
        values: list[Value],
        groups: int,
        step: Signal,
        x: Signal,
        bank: int,
    ) -> Value:
        """Plane groups of ``sums`` steps, kept until the scan has read them; starts a scan."""
        shape = self.pe * self.sums * self.width
        group_in = Signal(range(max(2, groups)))
        group_out = Signal(range(max(2, groups)))
        sub = Signal(range(self.sums))
        begin = Signal()
        with m.If(pulse):
            m.d.sync += group_in.eq(Mux(group_in == groups - 1, 0, group_in + 1))
        m.d.sync += begin.eq(pulse & (group_in == 0))
        if groups == 1:
            store = Signal(shape, reset_less=True)
            with m.If(pulse):
                m.d.sync += store.eq(Cat(values))
            held: Value = store
        else:
            name = list(self.memories)[bank]
            memory = m.submodules[name] = self.memories[name].make()
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(group_in),
                write.data.eq(Cat(values)),
                write.en.eq(pulse),
                read.addr.eq(group_out),
            ]
            held = read.data
        with m.If(begin | (step != 0)):
            end = step == self.steps - 1
            m.d.sync += sub.eq(Mux(end | (sub == self.sums - 1), 0, sub + 1))
            with m.If(end):
                m.d.sync += group_out.eq(0)
            with m.Elif(sub == self.sums - 1):
                m.d.sync += group_out.eq(Mux(group_out == groups - 1, 0, group_out + 1))
        for p in range(self.pe):
            at = p * self.sums * self.width
            field = held[at : at + self.sums * self.width]
            m.d.sync += x[p * self.width : (p + 1) * self.width].eq(
                field.word_select(sub, self.width)
            )
        return begin


def _extend(value: Value, width: int) -> Value:
    wide = value.as_signed()
    return Cat(wide, wide[-1].replicate(max(0, width - len(value))))[:width]
