"""ScanBanks: several banks of neuron scans for cores that are faster than one time step a clock."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.memory.delay import delay
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.neuron.collector import BeatCollector
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.neuron.scan import NeuronScan
from sterna.hw.stream.buffers import counter_of, step_counter
from sterna.hw.stream.edge import Edge

__all__ = ["ScanBanks"]


class ScanBanks(wiring.Component):
    """A visit's T steps take a scan T clocks; visits that come more often go to banks in turns.

    Visit n belongs to bank n modulo ``banks``, which scans it while the others have those before
    and after it, and keeps its beats until its turn has come to send them.

    Ports: in ``valid``, ``first``, ``last``, a bit a bank, and ``x`` (banks * pe * x_width): the
    steps of visits, at most one ``first`` a clock, in the order of the visits; in ``row``, the
    parameters of a visit ``WeightMemory.latency`` clocks behind its ``first``, and, if
    ``row_changes``, only then; ``o``, stream of ``edge``; out ``visit_done``, a registered pulse
    when the last beat of a visit has left.
    Latency: `row_clocks` from a step to the scan, then that of NeuronScan and BeatCollector.
    """

    o: stream.Interface

    def __init__(
        self,
        params: NeuronParams,
        *,
        banks: int,
        pe: int,
        x_width: int,
        x_shift: int,
        edge: Edge,
        visits: int,
        row_changes: bool,
    ):
        assert banks > 1 and edge.lanes == pe
        self.params, self.banks, self.pe, self.x_width = params, banks, pe, x_width
        self.edge, self.row_changes = edge, row_changes
        self.scans = [
            NeuronScan(params, pe=pe, readout=None, x_width=x_width, x_shift=x_shift)
            for _ in range(banks)
        ]
        self.collectors = [BeatCollector(edge, visits) for _ in range(banks)]
        super().__init__(
            {
                "valid": In(banks),
                "first": In(banks),
                "last": In(banks),
                "x": In(banks * pe * x_width),
                "row": In(pe * params.width),
                "o": Out(stream.Signature(unsigned(edge.width))),
                "visit_done": Out(1),
            }
        )

    @staticmethod
    def row_clocks(banks: int, rows: int) -> int:
        """Clocks from a step of a visit to its parameters at the scan: with several banks, each
        keeps its row in a register unless there is only one."""
        return WeightMemory.latency + int(banks > 1 and rows > 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        late = WeightMemory.latency
        size = self.pe * self.x_width
        for n, (scan, out) in enumerate(zip(self.scans, self.collectors, strict=True)):
            m.submodules[f"scan_{n}"], m.submodules[f"out_{n}"] = scan, out
            flags = Cat(self.valid[n], self.first[n], self.last[n])
            flags = delay(m, flags, late, f"flags_{n}_{{0}}")
            x = delay(m, self.x[n * size : (n + 1) * size], late, f"scan_x_{n}_{{0}}")
            row: Value = self.row
            if self.row_changes:
                kept = Signal(len(row), name=f"row_{n}", reset_less=True)
                with m.If(flags[0] & flags[1]):
                    m.d.sync += kept.eq(row)
                row = kept
                flags = delay(m, flags, 1, f"behind_{n}_{{0}}")
                x = delay(m, x, 1, f"x_behind_{n}_{{0}}")
            m.d.comb += [
                Cat(scan.valid, scan.first, scan.last).eq(flags),
                scan.x.eq(x),
                scan.params_in.eq(row),
                out.push.eq(scan.spike_valid),
                out.last.eq(scan.spike_last),
                out.spikes.eq(scan.spikes),
            ]
        self._send(m)
        return m

    def _send(self, m: Module) -> None:
        """The beats of a visit of one bank, then of the next."""
        turn = counter_of(self.banks, name="turn")
        beat = counter_of(self.edge.plane_beats, name="beat")
        for n, out in enumerate(self.collectors):
            with m.If(turn == n):
                m.d.comb += [
                    self.o.valid.eq(out.o.valid),
                    self.o.payload.eq(out.o.payload),
                    out.o.ready.eq(self.o.ready),
                ]
        with m.If(self.o.valid & self.o.ready):
            step_counter(m, beat, self.edge.plane_beats)
            with m.If(beat == self.edge.plane_beats - 1):
                step_counter(m, turn, self.banks)
        m.d.comb += self.visit_done.eq(Cat(out.visit_done for out in self.collectors).any())
