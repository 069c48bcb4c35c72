"""SpikingConv: the one core for convolutions and fully connected layers, spiking or readout."""

from dataclasses import dataclass, field

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.accumulate import Accumulator, StepFeeder
from sterna.hw.chain import Chain
from sterna.hw.collect import BeatCollector, WordSerializer
from sterna.hw.credit import Credit
from sterna.hw.dotproduct import DotProduct
from sterna.hw.geometry import Geometry
from sterna.hw.line_buffer import LineBuffer
from sterna.hw.memory import WeightMemory
from sterna.hw.neuron import NeuronParams, NeuronScan
from sterna.hw.stream import Edge
from sterna.hw.walker import Loop, Walker

__all__ = ["ConvSpec", "SpikingConv"]


@dataclass(frozen=True)
class ConvSpec:
    """Everything that shapes a SpikingConv; weights and parameters come as memory rows.

    geometry: window over the input; its edge has lanes = a multiple of the read channels and pb a
    multiple of tp. bits: b of one input value. held: direct pixels, one value for all steps.
    channels: C/groups read for one output. split_channels: channels of a window word (rows and
    columns are the geometry's). z_width: signed bits of a weighted sum.
    """

    geometry: Geometry
    out_channels: int
    channels: int
    split_channels: int
    groups: int
    depthwise: bool
    kind: str
    bits: int
    held: bool
    steps: int
    pe: int
    tp: int
    z_width: int
    params: NeuronParams
    out_pb: int = 1
    readout: str | None = None
    family: str = "generic"
    weight_region: int | None = None
    param_region: int | None = None
    weights: list[int] = field(default_factory=list)
    param_rows: list[int] = field(default_factory=list)

    @property
    def simd(self) -> int:
        return self.split_channels * self.geometry.rows * self.geometry.columns

    @property
    def folds(self) -> int:
        """Window words of a visit."""
        return self.channels * self.geometry.kernel[0] * self.geometry.kernel[1] // self.simd

    @property
    def plane_groups(self) -> int:
        """P, clocks a window word is held."""
        edge = self.geometry.edge
        return edge.plane_beats * (edge.pb // self.tp)

    @property
    def output_groups(self) -> int:
        return self.out_channels // self.pe

    @property
    def out_edge(self) -> Edge:
        return Edge(self.out_channels, self.pe, self.steps, self.out_pb)

    @property
    def out_beats(self) -> int:
        """Beats (or logit words) of a visit."""
        return self.pe if self.readout else self.out_edge.plane_beats

    @property
    def visit_clocks(self) -> int:
        return max(self.folds * self.plane_groups, self.steps)

    @property
    def interval(self) -> int:
        """Initiation interval of the law, clocks an image (DESIGN section 4)."""
        g = self.geometry
        pixels = g.out_height * g.out_width * self.output_groups
        return max(pixels * max(self.visit_clocks, self.out_beats), g.input_beats)

    @property
    def weight_depth(self) -> int:
        return self.output_groups * self.folds

    @property
    def weight_width(self) -> int:
        return self.pe * self.simd * (2 if self.kind == "ternary" else 1)

    @property
    def lanes(self) -> int:
        """Multiply lanes: PE x SIMD x TP."""
        return self.pe * self.simd * self.tp

    def loops(self) -> list[Loop]:
        """The loop nest inside a pixel: output groups, folds, plane groups fastest."""
        g, edge = self.geometry, self.geometry.edge
        beats, subs = edge.plane_beats, edge.pb // self.tp
        if self.depthwise:
            outer = [Loop("o", self.output_groups, words=beats, visit=True)]
            inner = []
        else:
            group = self.out_channels // self.groups // self.pe
            group_words = self.channels * beats // edge.lanes if self.groups > 1 else 0
            outer = [
                Loop("g", self.groups, words=group_words, visit=True),
                Loop("o", group, visit=True),
            ]
            inner = [
                Loop("word", max(1, self.channels // edge.lanes), words=beats),
                Loop("sub", edge.lanes // self.split_channels),
            ]
        fold = [
            Loop("row", g.kernel[0] // g.rows, rows=g.rows),
            Loop("column", g.kernel[1] // g.columns, words=edge.beats_per_pixel, columns=g.columns),
            *inner,
        ]
        return [*outer, *fold, Loop("beat", beats, words=1), Loop("part", subs)]


class SpikingConv(wiring.Component):
    """Line buffer -> dot product -> accumulate -> neuron scan -> beats, all free running.

    Nothing in the pipeline is ever stopped. A visit (one pixel, PE outputs, all steps) is issued
    only when its results have room in the output FIFO, so back-pressure needs no clock enables.

    Ports: ``i``, stream of ``spec.geometry.edge``; ``o``, stream of ``spec.out_edge`` or, for a
    readout, of 32-bit logits in class order; with regions ``chain_i``, ``chain_o``; out
    ``stalled``: the core waits for room at its output.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: ConvSpec):
        self.spec = spec
        s = spec
        self.loops = s.loops()
        g = s.geometry
        self.walker = Walker(g.out_height, g.out_width, self.loops, s.visit_clocks)
        self.buffer = LineBuffer(g, self.loops)
        self.dot = DotProduct(
            s.pe, s.simd, s.tp, s.bits, s.kind, depthwise=s.depthwise, family=s.family
        )
        self.scan = NeuronScan(s.params, pe=s.pe, x_width=s.z_width, readout=s.readout)
        # A rough upper bound of issue to output; more only costs FIFO words.
        flight = LineBuffer.latency + self.dot.latency + self.scan.latency + s.steps + 14
        self.visits = -(-flight // max(s.visit_clocks, s.out_beats)) + 2
        width = 32 if s.readout else s.out_edge.width
        ports = {
            "i": In(stream.Signature(unsigned(g.edge.width))),
            "o": Out(stream.Signature(unsigned(width))),
            "stalled": Out(1),
        }
        if s.weight_region is not None:
            ports |= {"chain_i": In(Chain), "chain_o": Out(Chain)}
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        walker = m.submodules.walker = self.walker
        m.submodules.buffer = self.buffer
        m.submodules.dot = self.dot
        wiring.connect(m, wiring.flipped(self.i), self.buffer.i)
        m.d.comb += [
            walker.rows_ok.eq(self.buffer.rows_ok),
            self.buffer.row_end.eq(walker.row_end),
            self.buffer.image_end.eq(walker.image_end),
            self.buffer.valid.eq(walker.valid),
            self.buffer.step.eq(walker.step),
            self.buffer.top.eq(walker.top),
        ]
        names = [p.name for p in self.loops]
        folds = [n for n, name in enumerate(names) if name in ("row", "column", "word", "sub")]
        flags = Cat(
            walker.valid,
            Cat(walker.first[n] for n in folds).all(),
            Cat(walker.last[n] for n in folds).all(),
        )
        # The act is registered once behind the word (selection of lanes and planes).
        flags = _delay(m, flags, LineBuffer.latency + 1 + self.dot.latency, "flags")
        self._operands(m, names)
        z, ready = self._sums(m, flags)
        self._neurons(m, z, ready)
        return m

    def _operands(self, m: Module, names: list[str]) -> None:
        """Window word and weight word of an item meet at the dot product."""
        s, g, edge = self.spec, self.spec.geometry, self.spec.geometry.edge
        walker = self.walker
        part = _delay(m, walker.index_part, LineBuffer.latency, "part")
        sub = None
        if not s.depthwise:
            sub = _delay(m, walker.index_sub, LineBuffer.latency, "sub")  # type: ignore
        pixels = g.rows * g.columns
        lanes = s.pe if s.depthwise else s.split_channels
        # word: pixel, plane, lane -> the part's tp planes and the sub's lanes of each pixel
        picked: list[Value] = []
        for pixel in range(pixels):
            word = self.buffer.word[pixel * edge.width : (pixel + 1) * edge.width]
            planes = word.word_select(part, s.tp * edge.lanes) if edge.pb > s.tp else word
            for plane in range(s.tp):
                line = planes[plane * edge.lanes : (plane + 1) * edge.lanes]
                if sub is not None and edge.lanes > lanes:
                    line = line.word_select(sub, lanes)
                picked.append(line)
        at = lambda pixel, plane: picked[pixel * s.tp + plane]  # noqa: E731
        order: list[Value] = []
        for plane in range(s.tp):
            if s.depthwise:
                order += [at(n, plane)[p] for p in range(s.pe) for n in range(pixels)]
            else:
                order += [at(n, plane) for n in range(pixels)]
        m.d.sync += self.dot.act.eq(Cat(order))
        # Weight words follow the items: one on at every fold or output group, back at a pixel.
        address = Signal(range(max(2, s.weight_depth)))
        held = [n for n, name in enumerate(names) if name in ("beat", "part")]
        hold = Cat(walker.step[n + 2] for n in held).any()
        with m.If(walker.valid):
            with m.If(walker.step[0] | walker.step[1]):
                m.d.sync += address.eq(0)
            with m.Elif((walker.step != 0) & ~hold):
                m.d.sync += address.eq(address + 1)
        m.submodules.weights = weights = WeightMemory(
            s.weight_depth, s.weight_width, s.weights, s.weight_region
        )
        self.weight_memory = weights
        # item -> address register (1) ... memory (2) -> dot, together with the act
        late = LineBuffer.latency + 1 - 1 - WeightMemory.latency
        m.d.comb += weights.addr.eq(_delay(m, address, late, "weight_address"))
        m.d.comb += self.dot.weight.eq(weights.data)

    def _sums(self, m: Module, flags: Value) -> tuple[Value, Value]:
        s, dot = self.spec, self.dot
        parts = s.bits // s.tp if s.tp < s.bits else 1
        width = s.z_width
        pops = 0 if s.kind == "ternary" else (s.pe if s.depthwise else 1)
        m.submodules.accumulate = acc = Accumulator(
            pe=s.pe, sums=dot.sums, in_width=len(dot.sum) // (s.pe * dot.sums),
            turns=s.plane_groups, width=width, constant=-dot.offset * s.folds,
            pops=pops, pop_width=len(dot.pop) // (dot.sums * pops) if pops else 0,
        )  # fmt: skip
        m.d.comb += [
            acc.valid.eq(flags[0]),
            acc.first.eq(flags[1]),
            acc.last.eq(flags[2]),
            acc.sum.eq(dot.sum),
        ]
        if s.kind == "binary":
            m.d.comb += acc.pop.eq(dot.pop)
        m.submodules.feeder = self.feeder = feeder = StepFeeder(
            pe=s.pe, sums=dot.sums, in_width=width, width=width, steps=s.steps,
            parts=parts, part_bits=s.tp, hold=s.held,
        )  # fmt: skip
        m.d.comb += [feeder.ready_z.eq(acc.ready_z), feeder.z.eq(acc.z)]
        return feeder.x, feeder.valid

    def _neurons(self, m: Module, x: Value, valid: Value) -> None:
        s, scan, feeder = self.spec, self.scan, self.feeder
        m.submodules.scan = scan
        depth = s.params.depth(s.pe)
        m.submodules.params = params = WeightMemory(
            depth, s.pe * s.params.width, s.param_rows, s.param_region
        )
        if s.weight_region is not None:
            wiring.connect(m, wiring.flipped(self.chain_i), self.weight_memory.chain_i)
            wiring.connect(m, self.weight_memory.chain_o, params.chain_i)
            wiring.connect(m, params.chain_o, wiring.flipped(self.chain_o))
        row = Signal(range(max(2, depth)))
        with m.If(valid & (1 if s.params.per_step else feeder.last)):
            m.d.sync += row.eq(Mux(row == depth - 1, 0, row + 1))
        flags = _delay(m, Cat(valid, feeder.first, feeder.last), WeightMemory.latency, "scan_flags")
        m.d.comb += [
            params.addr.eq(row),
            scan.x.eq(_delay(m, x, WeightMemory.latency, "scan_x")),
            scan.params_in.eq(params.data),
            Cat(scan.valid, scan.first, scan.last).eq(flags),
        ]
        credit = m.submodules.credit = Credit(self.visits)
        m.d.comb += [
            credit.take.eq(self.walker.start),
            self.walker.go.eq(credit.some),
            self.stalled.eq(~credit.some),
        ]
        if s.readout:
            out = WordSerializer(s.pe, 32, self.visits)
            m.d.comb += [out.push.eq(scan.logit_valid), out.words.eq(scan.logits)]
        else:
            out = BeatCollector(s.out_edge, self.visits)
            m.d.comb += [
                out.push.eq(scan.spike_valid),
                out.last.eq(scan.spike_last),
                out.spikes.eq(scan.spikes),
            ]
        m.submodules.out = out
        m.d.comb += credit.give.eq(out.visit_done)
        wiring.connect(m, out.o, wiring.flipped(self.o))


def _delay(m: Module, value: Value, clocks: int, name: str) -> Value:
    for n in range(clocks):
        register = Signal(len(value), name=f"{name}_{n}", reset_less=len(value) > 8)
        m.d.sync += register.eq(value)
        value = register
    return value
