"""Where skips end: spike streams added, joined bit by bit, or laid side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.stream.buffers import Buffer, counter_of
from sterna.hw.stream.edge import Edge

__all__ = ["MERGE_MODES", "MergeSpec", "SpikingMerge"]

MERGE_MODES = ("add", "or", "and", "andnot", "concat")


@dataclass(frozen=True)
class MergeSpec:
    """What meets and how. Refusals name only values; the caller names the node.

    Attributes:
        stalls: whether the core says when it waits for room at its output.
        mode: of :data:`MERGE_MODES`; 'andnot' is the first and not the second.
        inputs: an edge an input: equal lanes, and equal whole steps a beat (``pb / bits``). Equal
            channels, but for 'concat', where lanes divide the channels of each.
        bits: of one step's value, an input.
        shifts: left shift of each input's values; zeros but for 'add' and 'concat'.
        out_bits: of one step's value; sums must fit by the declared maxima of the inputs.
        steps: T.
        pixels: of the map.
    """

    stalls: ClassVar[bool] = False
    mode: str
    inputs: tuple[Edge, ...]
    bits: tuple[int, ...]
    shifts: tuple[int, ...]
    out_bits: int
    steps: int
    pixels: int

    def __post_init__(self) -> None:
        edges, count = self.inputs, len(self.inputs)
        if self.mode not in MERGE_MODES:
            raise DesignError(f"merge mode {self.mode!r} is not one of {', '.join(MERGE_MODES)}")
        if count < 2 or (self.mode == "andnot" and count != 2):
            raise DesignError(f"cannot merge {count} inputs by {self.mode!r}")
        if not len(self.bits) == len(self.shifts) == count:
            raise DesignError(
                f"a merge of {count} inputs was given {len(self.bits)} widths and"
                f" {len(self.shifts)} shifts"
            )
        if min(self.bits) < 1 or min(self.shifts) < 0 or min(self.steps, self.pixels) < 1:
            raise DesignError("widths, steps and pixels of a merge are at least 1, shifts 0")
        if len({edge.lanes for edge in edges}) > 1:
            raise DesignError(f"a merge needs equal lanes, not {_list(e.lanes for e in edges)}")
        for edge, bits in zip(edges, self.bits):
            if edge.planes != self.steps * bits:
                raise DesignError(f"{edge.planes} planes are not {self.steps} steps of {bits} bits")
            if edge.pb % bits:
                raise DesignError(
                    f"a merge needs whole steps in a beat: pb {edge.pb} is not a multiple of"
                    f" {bits} bits"
                )
        if len({edge.pb // bits for edge, bits in zip(edges, self.bits)}) > 1:
            steps = _list(e.pb // bits for e, bits in zip(edges, self.bits))
            raise DesignError(f"a merge needs equal steps a beat, not {steps}")
        self._check_mode()

    def _check_mode(self) -> None:
        widest = max(b + s for b, s in zip(self.bits, self.shifts))
        if self.mode == "concat":
            for edge in self.inputs:
                if edge.channels % edge.lanes:
                    raise DesignError(
                        f"concat has no room for pad lanes: {edge.lanes} lanes do not divide"
                        f" {edge.channels} channels"
                    )
        elif len({edge.channels for edge in self.inputs}) > 1:
            channels = _list(edge.channels for edge in self.inputs)
            raise DesignError(f"{self.mode!r} needs equal channels, not {channels}")
        if self.mode in ("or", "and", "andnot") and (widest > 1 or self.out_bits != 1):
            raise DesignError(f"{self.mode!r} joins 1-bit spikes, without shifts")
        if self.out_bits < widest:
            raise DesignError(f"values of {widest} bits do not fit {self.out_bits}")

    @property
    def geometries(self) -> tuple[()]:
        """Of its line buffers: it has none."""
        return ()

    @property
    def beat_steps(self) -> int:
        """Whole steps of a beat, k."""
        return self.inputs[0].pb // self.bits[0]

    @property
    def out_edge(self) -> Edge:
        """DesignError where its beat is over 512 bits."""
        first, bits = self.inputs[0], self.out_bits
        channels = first.channels
        if self.mode == "concat":
            channels = sum(edge.channels for edge in self.inputs)
        return Edge(channels, first.lanes, self.steps * bits, self.beat_steps * bits)

    @property
    def interval(self) -> int:
        """Clocks an image: a beat a clock; the output has at least as many as any input."""
        return self.pixels * self.out_edge.beats_per_pixel

    def law(self) -> dict[str, int]:
        """Its clocks by their reason, as of other cores."""
        return {"output": self.interval}


class SpikingMerge(wiring.Component):
    """Ports: ``i_0`` .., streams of ``spec.inputs``; ``o``, stream of ``spec.out_edge``.

    Every input enters a :class:`Buffer`; behind it all is combinational. A beat leaves when every
    input has one; with 'concat', per pixel, all beats of input 0, then those of input 1 and so on.
    Latency 1 clock, one beat a clock, no combinational path. Steps past T in the last beat are
    zero at every input and stay zero in every mode.
    """

    o: stream.Interface

    def __init__(self, spec: MergeSpec):
        self.spec = spec
        super().__init__(
            {f"i_{k}": In(edge.signature) for k, edge in enumerate(spec.inputs)}
            | {"o": Out(stream.Signature(unsigned(spec.out_edge.width)))}
        )

    @property
    def inputs(self) -> list[stream.Interface]:
        """The inputs, in order."""
        return [getattr(self, f"i_{k}") for k in range(len(self.spec.inputs))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams: list[stream.Interface] = []
        for k, (port, edge) in enumerate(zip(self.inputs, self.spec.inputs)):
            m.submodules[f"buffer_{k}"] = buffer = Buffer(edge.width)
            wiring.connect(m, wiring.flipped(port), buffer.i)
            streams.append(buffer.o)
        if self.spec.mode == "concat":
            self._concat(m, streams)
            return m
        every = Signal()
        values = [self._values(k, s.payload) for k, s in enumerate(streams)]
        m.d.comb += [
            every.eq(Cat(s.valid for s in streams).all()),
            self.o.valid.eq(every),
            self.o.payload.eq(self._planes(m, "value", values)),
        ]
        m.d.comb += [s.ready.eq(every & self.o.ready) for s in streams]
        return m

    def _concat(self, m: Module, streams: list[stream.Interface]) -> None:
        """Counts the beats of a pixel and passes the input whose turn it is."""
        count = len(streams)
        beats = [edge.beats_per_pixel for edge in self.spec.inputs]
        turn = Signal(count, init=1)  # one-hot
        beat = counter_of(max(beats), name="beat")
        final = Signal()
        payloads = [
            self._planes(m, f"input_{k}", [self._values(k, s.payload)])
            for k, s in enumerate(streams)
        ]
        m.d.comb += [
            final.eq(_chosen(turn, [beat == n - 1 for n in beats])),
            self.o.payload.eq(_chosen(turn, payloads)),
            self.o.valid.eq(_chosen(turn, [s.valid for s in streams])),
        ]
        m.d.comb += [s.ready.eq(turn[k] & self.o.ready) for k, s in enumerate(streams)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += beat.eq(Mux(final, 0, beat + 1))
            with m.If(final):
                m.d.sync += turn.eq(turn.rotate_left(1))

    def _values(self, k: int, payload: Value) -> list[list[Value]]:
        """[step in beat][lane] of a beat of input ``k``, shifted."""
        s, lanes = self.spec, self.spec.inputs[k].lanes
        bits, shift = s.bits[k], s.shifts[k]
        return [
            [
                Cat(
                    Const(0, shift),
                    (payload[(step * bits + bit) * lanes + lane] for bit in range(bits)),
                )
                for lane in range(lanes)
            ]
            for step in range(s.beat_steps)
        ]

    def _planes(self, m: Module, name: str, inputs: list[list[list[Value]]]) -> Value:
        """The output beat of the inputs' values; ``name`` is that of the signals."""
        s, lanes = self.spec, self.spec.inputs[0].lanes
        planes: list[Value] = []
        for step in range(s.beat_steps):
            values = []
            for lane in range(lanes):
                value = Signal(s.out_bits, name=f"{name}_{step}_{lane}")
                m.d.comb += value.eq(self._joined([beat[step][lane] for beat in inputs]))
                values.append(value)
            planes += [value[bit] for bit in range(s.out_bits) for value in values]
        return Cat(planes)

    def _joined(self, terms: list[Value]) -> Value:
        if self.spec.mode == "andnot":
            return terms[0] & ~terms[1]
        if self.spec.mode == "and":
            return reduce(and_, terms)
        # Of a concat there is only one: the input whose turn it is.
        return reduce(or_, terms) if self.spec.mode != "add" else _sum(terms)


def _sum(terms: list[Value]) -> Value:
    """The terms added in a balanced tree."""
    while len(terms) > 1:
        terms = [
            terms[k] + terms[k + 1] if k + 1 < len(terms) else terms[k]
            for k in range(0, len(terms), 2)
        ]
    return terms[0]


def _chosen(turn: Signal, values: Sequence[Value]) -> Value:
    """The value at the one bit that is set in ``turn``."""
    return reduce(or_, (Mux(turn[k], value, 0) for k, value in enumerate(values)))


def _list(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
