"""SpikingConv: the one core for convolutions and fully connected layers, spiking or readout."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.credit import Credit
from sterna.hw.core.front import Front
from sterna.hw.core.input_join import ShortcutQueue, SumQueue, add_up
from sterna.hw.memory.chain import Chain
from sterna.hw.memory.delay import delay
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.neuron.collector import BeatCollector, WordSerializer
from sterna.hw.neuron.lane_turns import LaneTurns, have_gaps
from sterna.hw.neuron.scan import NeuronScan
from sterna.hw.neuron.scan_banks import ScanBanks

__all__ = ["SpikingConv", "front_name"]


def front_name(n: int) -> str:
    """The module of the n-th front inside a core's."""
    return f"front_{n}" if n else "front"


class SpikingConv(wiring.Component):
    """Weighted sums -> neuron scan -> beats, all free running.

    Nothing in the pipeline is ever stopped. A visit (one pixel, PE outputs, all steps) is issued
    only when its results have room in the output FIFO, so back-pressure needs no clock enables.
    With several inputs it is issued when they are there, too: ``sterna.hw.core.input_join``.

    Ports: ``i``, stream of ``spec.geometry.edge``; ``i_1``, ``i_2`` ..., streams of the other
    weighted inputs' edges; ``s_0`` ..., streams of the shortcuts' edges; ``o``, stream of
    ``spec.out_edge`` or, for a readout, of 32-bit logits in class order; with regions ``chain_i``,
    ``chain_o``; out ``stalled``: the core waits for room at its output; with an engine 'tables'
    out ``ready``: the tables of all inputs are written.

    Where a visit has the clocks for it, its outputs go through fewer scans in turns
    (``sterna.hw.neuron.lane_turns``); where it has too few, visits go to several banks of scans
    (``sterna.hw.neuron.scan_banks``). Timing: the spikes of a step reach the collector
    ``spec.scan_clocks()`` behind the main front's ``start``; see ``sterna.hw.neuron.collector``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: ConvSpec):
        self.spec = spec
        s = spec
        self.fronts = [Front(f) for f in s.fronts]
        main = self.fronts[0]
        self.loops, self.walker, self.buffer = main.loops, main.walker, main.buffer
        self.visits = s.credits
        self.scan: NeuronScan | ScanBanks
        if s.banks > 1:
            self.scan = ScanBanks(
                s.params,
                banks=s.banks,
                pe=s.pe,
                x_width=s.front.z_width,
                x_shift=s.front.shift,
                edge=s.out_edge,
                visits=s.bank_credits,
                row_changes=s.param_depth > 1,
            )
        else:
            self.scan = NeuronScan(
                s.params,
                pe=s.scan_pe,
                readout=s.readout,
                x_width=s.params.bounds.width("x") if s.joined else s.front.z_width,
                x_shift=0 if s.joined else s.front.shift,
            )
        width = 32 if s.readout else s.out_edge.width
        ports = {
            "i": In(stream.Signature(unsigned(s.front.geometry.edge.width))),
            "o": Out(stream.Signature(unsigned(width))),
            "stalled": Out(1),
        }
        for n, other in enumerate(s.others, 1):
            ports[f"i_{n}"] = In(stream.Signature(unsigned(other.geometry.edge.width)))
        for n, shortcut in enumerate(s.shortcuts):
            ports[f"s_{n}"] = In(stream.Signature(unsigned(shortcut.edge.width)))
        self.reloadable = any(f.weight_region is not None for f in s.fronts)
        if self.reloadable:
            ports |= {"chain_i": In(Chain), "chain_o": Out(Chain)}
        self.expanded = [f for f in self.fronts if f.spec.dot_engine.written]
        if self.expanded:
            ports["ready"] = Out(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s, main = self.spec, self.fronts[0]
        for n, front in enumerate(self.fronts):
            m.submodules[front_name(n)] = front
            wiring.connect(m, wiring.flipped(getattr(self, f"i_{n}" if n else "i")), front.i)
        m.submodules.params = params = WeightMemory(
            s.stored_param_depth,
            s.param_width,
            s.param_rows,
            s.param_region,
            s.param_style,
            compact=s.front.compact,
        )
        self._chain(m, params)
        if self.expanded:
            m.d.comb += self.ready.eq(Cat(front.ready for front in self.expanded).all())
        credit = m.submodules.credit = Credit(self.visits)
        m.d.comb += [
            credit.take.eq(main.start),
            self.stalled.eq(~credit.some),
        ]
        if isinstance(self.scan, ScanBanks):
            m.d.comb += main.go.eq(credit.some)
            # Each bank keeps the row that is there at its first step.
            self._row(m, params, (main.valid & main.first).any())
            self._banks(m, self.scan, params, credit)
            return m
        valid, first, last, sums = self._turns(m)
        self._row(m, params, valid & (1 if s.params.per_step else last))
        if s.joined:
            x = self._join(m, params.data, credit.some)
        else:
            m.d.comb += main.go.eq(credit.some)
            x = delay(m, sums, WeightMemory.latency, "scan_x_{0}")
        scan = m.submodules.scan = self.scan
        flags = delay(m, Cat(valid, first, last), s.join_latency, "scan_flags_{0}")
        late = s.join_latency - WeightMemory.latency
        m.d.comb += [
            scan.x.eq(x),
            scan.params_in.eq(delay(m, params.data, late, "scan_params_{0}")),
            Cat(scan.valid, scan.first, scan.last).eq(flags),
        ]
        m.d.comb += credit.give.eq(self._output(m, scan))
        return m

    def _row(self, m: Module, params: WeightMemory, on: Value) -> None:
        """Rows of parameters, one after another: ``on`` ends a row's use."""
        depth = self.spec.param_depth
        row = Signal(range(max(2, depth)))
        with m.If(on):
            m.d.sync += row.eq(Mux(row == depth - 1, 0, row + 1))
        m.d.comb += params.addr.eq(row)

    def _banks(self, m: Module, banks: ScanBanks, params: WeightMemory, credit: Credit) -> None:
        """From the main front's steps to beats, where visits go to several banks of scans."""
        main = self.fronts[0]
        m.submodules.banks = banks
        m.d.comb += [
            Cat(banks.valid, banks.first, banks.last).eq(Cat(main.valid, main.first, main.last)),
            banks.x.eq(main.x),
            banks.row.eq(params.data),
            credit.give.eq(banks.visit_done),
        ]
        wiring.connect(m, banks.o, wiring.flipped(self.o))

    def _turns(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """The main front's steps, for so many outputs at a time as there are scans."""
        s, main = self.spec, self.fronts[0]
        if s.turns == 1:
            return main.valid, main.first, main.last, main.x
        m.submodules.turns = turns = LaneTurns(
            pe=s.pe,
            turns=s.turns,
            width=s.front.z_width,
            steps=s.steps,
            held=s.front.held,
            gaps=have_gaps(s.front.step_clocks),
        )
        m.d.comb += [
            Cat(turns.valid_in, turns.first_in, turns.last_in).eq(
                Cat(main.valid, main.first, main.last)
            ),
            turns.x_in.eq(main.x),
        ]
        return turns.valid, turns.first, turns.last, turns.x

    def _chain(self, m: Module, params: WeightMemory) -> None:
        """The daisy chain: all weight memories in order, then the parameters."""
        if not self.reloadable:
            return
        nodes = [f for f in self.fronts if f.spec.weight_region is not None]
        at = wiring.flipped(self.chain_i)
        for node in [*nodes, *([params] if params.region is not None else [])]:
            wiring.connect(m, at, node.chain_i)
            at = node.chain_o
        wiring.connect(m, at, wiring.flipped(self.chain_o))

    def _join(self, m: Module, row: Value, credit: Value) -> Value:
        """Queues of all inputs but the main one; returns x, ``join_latency`` behind a main step."""
        s, main = self.spec, self.fronts[0]
        queues: list[SumQueue | ShortcutQueue] = []
        for n, front in enumerate(self.fronts[1:], 1):
            queue = SumQueue(front.spec, s.sum_visits(front.spec))
            m.submodules[f"sums_{n}"] = queue
            m.d.comb += [
                front.go.eq(queue.go),
                queue.start.eq(front.start),
                Cat(queue.valid, queue.first, queue.last).eq(
                    Cat(front.valid, front.first, front.last)
                ),
                queue.x.eq(front.x),
            ]
            queues.append(queue)
        for n, shortcut in enumerate(s.shortcuts):
            queue = ShortcutQueue(shortcut, s.shortcut_visits)
            m.submodules[f"shortcut_{n}"] = queue
            wiring.connect(m, wiring.flipped(getattr(self, f"s_{n}")), queue.i)
            queues.append(queue)
        for queue in queues:
            m.d.comb += [
                queue.claim.eq(main.start),
                queue.pop.eq(main.valid),
                queue.pop_last.eq(main.last),
            ]
        m.d.comb += main.go.eq(credit & Cat(queue.ready for queue in queues).all())
        totals = [
            add_up(m, terms, self.scan.x_width, s.join_latency, f"x_{p}")
            for p, terms in enumerate(self._terms(m, row, queues))
        ]
        return Cat(_extend(total, self.scan.x_width) for total in totals)

    def _terms(
        self, m: Module, row: Value, queues: list[SumQueue | ShortcutQueue]
    ) -> list[list[tuple[int, Value]]]:
        """The terms of x of each output: clocks behind a main step, value."""
        s = self.spec
        sums = [self.fronts[0].x, *(q.z for q in queues if isinstance(q, SumQueue))]
        spikes = [q for q in queues if isinstance(q, ShortcutQueue)]
        late = WeightMemory.latency
        values = [delay(m, q.s, late - 1, f"s_{n}_{{0}}") for n, q in enumerate(spikes)]
        out = []
        for p in range(s.pe):
            terms: list[Value] = []
            for front, z in zip(s.fronts, sums, strict=True):
                width = front.z_width
                terms.append(z[p * width : (p + 1) * width].as_signed() << front.shift)
            for n, (shortcut, value) in enumerate(zip(s.shortcuts, values, strict=True)):
                coef = s.params.field(row, p, f"coef{n}")
                for bit in range(shortcut.bits if coef is not None else 0):
                    assert coef is not None
                    terms.append(Mux(value[bit * s.pe + p], coef, 0).as_signed() << bit)
            out.append(list(zip(s.term_clocks, terms, strict=True)))
        return out

    def _output(self, m: Module, scan: NeuronScan) -> Value:
        """Spikes to beats, or logits to words; returns the pulse of a visit that has left."""
        s = self.spec
        if s.readout:
            bits = s.logit_bits
            m.submodules.out = out = WordSerializer(s.scan_pe, bits, self.visits, s.turns)
            words = (scan.logits.word_select(p, 32)[:bits] for p in range(s.scan_pe))
            m.d.comb += [
                out.push.eq(scan.logit_valid),
                out.words.eq(Cat(words)),
                self.o.payload.eq(out.o.payload.as_signed()),
                self.o.valid.eq(out.o.valid),
                out.o.ready.eq(self.o.ready),
            ]
            return out.visit_done
        m.submodules.out = out = BeatCollector(s.out_edge, self.visits, s.turns)
        m.d.comb += [
            out.push.eq(scan.spike_valid),
            out.last.eq(scan.spike_last),
            out.spikes.eq(scan.spikes),
        ]
        wiring.connect(m, out.o, wiring.flipped(self.o))
        return out.visit_done


def _extend(value: Value, width: int) -> Value:
    """A signed value of at most ``width`` bits in exactly so many."""
    return Cat(value, value[-1].replicate(width - len(value)))
