"""SpikingConv: the one core for convolutions and fully connected layers, spiking or readout."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.chain import Chain
from sterna.hw.collect import BeatCollector, WordSerializer
from sterna.hw.credit import Credit
from sterna.hw.front import Front, FrontSpec, delay
from sterna.hw.geometry import Geometry
from sterna.hw.join import (
    ShortcutQueue,
    ShortcutSpec,
    SumQueue,
    add_up,
    add_up_clocks,
    shortcut_visits,
    sum_visits,
)
from sterna.hw.line_buffer import LineBuffer
from sterna.hw.memory import WeightMemory
from sterna.hw.neuron import NeuronParams, NeuronScan
from sterna.hw.stream import Edge
from sterna.hw.turns import LaneTurns, most_turns

__all__ = ["ConvSpec", "SpikingConv"]


@dataclass(frozen=True)
class ConvSpec:
    """Everything that shapes a SpikingConv; weights and parameters come as memory rows.

    front: the first weighted input; others: further ones, in the order of the rule's shifts;
    shortcuts: spike inputs, in the order of its coefficients, lanes = PE and whole steps a beat.
    param_style: see `WeightMemory`; more rows than needed make the memory deeper.
    All inputs have the same output pixels, channels, steps and PE.
    """

    front: FrontSpec
    params: NeuronParams
    out_pb: int = 1
    readout: str | None = None
    param_region: int | None = None
    param_rows: Sequence[int] = field(default_factory=list)
    param_style: str = "auto"
    others: tuple[FrontSpec, ...] = ()
    shortcuts: tuple[ShortcutSpec, ...] = ()

    def __post_init__(self) -> None:
        same = lambda f: (f.pe, f.steps, f.out_channels, f.visits)  # noqa: E731
        for other in self.others:
            if same(other) != same(self.front):
                raise DesignError(
                    f"weighted inputs of one neuron have (pe, steps, channels, visits) "
                    f"{same(self.front)} and {same(other)}; give them the same"
                )
        for s in self.shortcuts:
            wanted = self.pe, self.steps * s.bits, self.front.out_channels
            if (s.edge.lanes, s.edge.planes, s.edge.channels) != wanted:
                raise DesignError(
                    f"node '{s.name}': a shortcut of {s.edge.lanes} lanes, {s.edge.planes} planes "
                    f"and {s.edge.channels} channels; (pe, planes, channels) are {wanted}"
                )

    @property
    def geometry(self) -> Geometry:
        """Window of the first weighted input."""
        return self.front.geometry

    @property
    def pe(self) -> int:
        return self.front.pe

    @property
    def steps(self) -> int:
        return self.front.steps

    @property
    def folds(self) -> int:
        return self.front.folds

    @property
    def plane_groups(self) -> int:
        return self.front.plane_groups

    @property
    def weight_depth(self) -> int:
        """Of the first weighted input, as ``weight_width`` and ``weights``."""
        return self.front.weight_depth

    @property
    def weight_width(self) -> int:
        return self.front.weight_width

    @property
    def weights(self) -> Sequence[int]:
        return self.front.weights

    @property
    def lanes(self) -> int:
        """Multiply lanes of all weighted inputs."""
        return sum(f.lanes for f in self.fronts)

    @property
    def fronts(self) -> tuple[FrontSpec, ...]:
        """All weighted inputs."""
        return (self.front, *self.others)

    @property
    def joined(self) -> bool:
        """Several inputs."""
        return bool(self.others or self.shortcuts)

    @property
    def output_groups(self) -> int:
        return self.front.output_groups

    @property
    def out_edge(self) -> Edge:
        return Edge(self.front.out_channels, self.pe, self.steps, self.out_pb)

    @property
    def out_beats(self) -> int:
        """Beats (or logit words) of a visit."""
        return self.pe if self.readout else self.out_edge.plane_beats

    @property
    def logit_bits(self) -> int:
        """Signed bits of a readout's logits; at the port they have 32."""
        return min(32, NeuronScan.logit_bits(self.params, self.readout)) if self.readout else 0

    @property
    def visit_clocks(self) -> int:
        """Of the slowest weighted input."""
        return max(f.visit_clocks for f in self.fronts)

    @property
    def visit_interval(self) -> int:
        """Clocks from a visit to the next at full rate, nothing missing."""
        return max(self.visit_clocks, self.out_beats)

    @property
    def interval(self) -> int:
        """Initiation interval of the law, clocks an image (DESIGN section 4)."""
        inputs = [f.geometry.input_beats for f in self.fronts]
        inputs += [self.front.visits * s.edge.plane_beats for s in self.shortcuts]
        return max(self.front.visits * self.visit_interval, *inputs)

    @property
    def weight_region(self) -> int | None:
        """Of the first weighted input; None: the core is not in the chain."""
        return self.front.weight_region

    @property
    def term_clocks(self) -> list[int]:
        """Clocks from a main step to each term of x: queued sums are read into a register, and
        coefficients into two before they are multiplied."""
        present = [n for n in range(len(self.shortcuts)) if f"coef{n}" in self.params.fields]
        products = [b for n in present for b in range(self.shortcuts[n].bits)]
        return [0, *(1 for _ in self.others), *(WeightMemory.latency for _ in products)]

    @property
    def join_latency(self) -> int:
        """Clocks from a main step to its x at the neuron scan, which needs its parameters, too."""
        return max(WeightMemory.latency, add_up_clocks(self.term_clocks))

    @property
    def turns(self) -> int:
        """Turns in which a visit's outputs share the neuron scans: as many as its clocks allow.

        1 where inputs meet, because their queues are as wide as the visit, and where the last beat
        of a visit is part-filled.
        """
        if self.joined or (not self.readout and self.steps % self.out_pb):
            return 1
        f = self.front
        return most_turns(
            f.pe, f.steps, f.visit_clocks, f.step_clocks(), f.held, f.family != "ice40"
        )

    @property
    def scan_pe(self) -> int:
        """Neuron scans side by side, and channels in a row of parameters."""
        return self.pe // self.turns

    @property
    def param_depth(self) -> int:
        """Rows of parameters."""
        return self.params.depth(self.scan_pe)

    @property
    def param_width(self) -> int:
        return self.scan_pe * self.params.width

    def scan_clocks(self) -> tuple[int, ...]:
        """Clocks from the start of a visit of the main front to the result of every step of every
        turn at the collector."""
        came = self.front.step_clocks()
        if self.turns > 1:
            came = LaneTurns.clocks(came, self.turns, self.front.held)
        behind = self.join_latency + NeuronScan.latency_of(self.params)
        return tuple(clock + behind for clock in came)

    @property
    def credits(self) -> int:
        """Visits between the start of the main front and the last beat's leaving."""
        scan = NeuronScan.latency_of(self.params)
        flight = LineBuffer.latency + self.front.dot_latency + scan + self.steps * self.turns + 12
        # A rough upper bound of issue to output; more only costs FIFO words.
        return -(-(flight + self.join_latency) // self.visit_interval) + 2


class SpikingConv(wiring.Component):
    """Weighted sums -> neuron scan -> beats, all free running.

    Nothing in the pipeline is ever stopped. A visit (one pixel, PE outputs, all steps) is issued
    only when its results have room in the output FIFO, so back-pressure needs no clock enables.
    With several inputs it is issued when they are there, too: ``sterna.hw.join``.

    Ports: ``i``, stream of ``spec.geometry.edge``; ``i_1``, ``i_2`` ..., streams of the other
    weighted inputs' edges; ``s_0`` ..., streams of the shortcuts' edges; ``o``, stream of
    ``spec.out_edge`` or, for a readout, of 32-bit logits in class order; with regions ``chain_i``,
    ``chain_o``; out ``stalled``: the core waits for room at its output; with an engine 'tables'
    out ``ready``: the tables of all inputs are written.

    Where a visit has the clocks for it, its outputs go through fewer scans in turns
    (``sterna.hw.turns``). Timing of the output: the spikes of a step reach the collector
    ``spec.scan_clocks()`` behind the main front's ``start``; see ``sterna.hw.collect``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: ConvSpec):
        self.spec = spec
        s = spec
        self.fronts = [Front(f) for f in s.fronts]
        main = self.fronts[0]
        self.loops, self.walker, self.buffer = main.loops, main.walker, main.buffer
        self.scan = NeuronScan(
            s.params, pe=s.scan_pe, readout=s.readout,
            x_width=s.params.bounds.width("x") if s.joined else s.front.z_width,
            x_shift=0 if s.joined else s.front.shift,
        )  # fmt: skip
        self.visits = s.credits
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
        self.expanded = [f for f in self.fronts if f.spec.engine == "tables"]
        if self.expanded:
            ports["ready"] = Out(1)
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        s, main = self.spec, self.fronts[0]
        for n, front in enumerate(self.fronts):
            m.submodules[f"front_{n}" if n else "front"] = front
            wiring.connect(m, wiring.flipped(getattr(self, f"i_{n}" if n else "i")), front.i)
        m.submodules.params = params = WeightMemory(
            max(s.param_depth, len(s.param_rows)),
            s.param_width,
            s.param_rows,
            s.param_region,
            s.param_style,
            compact=s.front.family == "ice40",
        )
        self._chain(m, params)
        if self.expanded:
            m.d.comb += self.ready.eq(Cat(front.ready for front in self.expanded).all())
        credit = m.submodules.credit = Credit(self.visits)
        m.d.comb += [
            credit.take.eq(main.start),
            self.stalled.eq(~credit.some),
        ]
        valid, first, last, sums = self._turns(m)
        depth = s.param_depth
        row = Signal(range(max(2, depth)))
        with m.If(valid & (1 if s.params.per_step else last)):
            m.d.sync += row.eq(Mux(row == depth - 1, 0, row + 1))
        m.d.comb += params.addr.eq(row)
        if s.joined:
            x = self._join(m, params.data, credit.some)
        else:
            m.d.comb += main.go.eq(credit.some)
            x = delay(m, sums, WeightMemory.latency, "scan_x")
        scan = m.submodules.scan = self.scan
        flags = delay(m, Cat(valid, first, last), s.join_latency, "scan_flags")
        late = s.join_latency - WeightMemory.latency
        m.d.comb += [
            scan.x.eq(x),
            scan.params_in.eq(delay(m, params.data, late, "scan_params")),
            Cat(scan.valid, scan.first, scan.last).eq(flags),
        ]
        m.d.comb += credit.give.eq(self._output(m))
        return m

    def _turns(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """The main front's steps, for so many outputs at a time as there are scans."""
        s, main = self.spec, self.fronts[0]
        if s.turns == 1:
            return main.valid, main.first, main.last, main.x
        m.submodules.turns = turns = LaneTurns(
            pe=s.pe, turns=s.turns, width=s.front.z_width, steps=s.steps, held=s.front.held
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
            queue = SumQueue(front.spec, sum_visits(s.front, front.spec, s.visit_interval))
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
            queue = ShortcutQueue(shortcut, shortcut_visits(s.front, s.visit_interval))
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
        totals = [add_up(m, terms, self.scan.x_width, s.join_latency, f"x_{p}")
                  for p, terms in enumerate(self._terms(m, row, queues))]  # fmt: skip
        return Cat(_extend(total, self.scan.x_width) for total in totals)

    def _terms(
        self, m: Module, row: Value, queues: list[SumQueue | ShortcutQueue]
    ) -> list[list[tuple[int, Value]]]:
        """The terms of x of each output: clocks behind a main step, value."""
        s = self.spec
        sums = [self.fronts[0].x, *(q.z for q in queues if isinstance(q, SumQueue))]
        spikes = [q for q in queues if isinstance(q, ShortcutQueue)]
        late = WeightMemory.latency
        values = [delay(m, q.s, late - 1, f"s_{n}") for n, q in enumerate(spikes)]
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

    def _output(self, m: Module) -> Value:
        """Spikes to beats, or logits to words; returns the pulse of a visit that has left."""
        s, scan = self.spec, self.scan
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
