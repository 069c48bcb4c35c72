"""ConvSpec: everything that shapes a SpikingConv, and the clocks and sizes that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from sterna.golden.errors import DesignError
from sterna.hw.core.credit import Credit
from sterna.hw.core.front_spec import FrontSpec
from sterna.hw.core.geometry import Geometry
from sterna.hw.core.input_join import (
    ShortcutQueue,
    ShortcutSpec,
    SumQueue,
    add_up_clocks,
    shortcut_visits,
    sum_visits,
)
from sterna.hw.core.law import Delays, visit_terms
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.memory.shape import Memories, inside
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.neuron.collector import DONE_LATENCY, BeatCollector, WordSerializer
from sterna.hw.neuron.lane_turns import LaneTurns, most_turns
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.neuron.scan import NeuronScan
from sterna.hw.neuron.scan_banks import ScanBanks
from sterna.hw.stream.edge import Edge

__all__ = ["ConvSpec"]


@dataclass(frozen=True)
class ConvSpec:
    """Everything that shapes a SpikingConv; weights and parameters come as memory rows.

    front: the first weighted input; others: further ones, in the order of the rule's shifts;
    shortcuts: spike inputs, in the order of its coefficients, lanes = PE and whole steps a beat.
    param_style: see `WeightMemory`; more rows than needed make the memory deeper.
    All inputs have the same output pixels, channels, steps and PE. Several banks (of the first
    input) exclude others, shortcuts, a readout and parameters of every step.
    """

    stalls: ClassVar[bool] = True
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
        if self.joined and any(f.arrives for f in self.fronts):
            raise DesignError("nest 'arrival' beside further inputs; give it 'window'")
        if self.banks > 1 and (self.joined or self.readout or self.params.per_step):
            raise DesignError(
                f"{self.banks} banks of scans beside further inputs, in a readout or with "
                "parameters of every step; give it one"
            )
        for s in self.shortcuts:
            wanted = self.pe, self.steps * s.bits, self.front.out_channels
            if (s.edge.lanes, s.edge.planes, s.edge.channels) != wanted:
                raise DesignError(
                    f"node '{s.name}': a shortcut of {s.edge.lanes} lanes, {s.edge.planes} planes "
                    f"and {s.edge.channels} channels; (pe, planes, channels) are {wanted}"
                )

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """Of its line buffers."""
        return tuple(f.geometry for f in self.fronts)

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
    def banks(self) -> int:
        """Of neuron scans, see `sterna.hw.neuron.scan_banks`."""
        return self.front.banks

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
        """Initiation interval of the law, clocks an image (docs/design.md#interval)."""
        inputs = [f.geometry.input_beats for f in self.fronts]
        inputs += [self.front.visits * s.edge.plane_beats for s in self.shortcuts]
        terms = visit_terms(
            self.front.visits,
            self.visit_clocks,
            max(inputs),
            self.out_beats,
            self.front.early_clocks,
        )
        return max(terms.values())

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
        row = ScanBanks.row_clocks(self.banks, self.param_depth)
        return max(row, add_up_clocks(self.term_clocks))

    @cached_property
    def turns(self) -> int:
        """Turns in which a visit's outputs share the neuron scans: as many as its clocks allow.

        1 where inputs meet, because their queues are as wide as the visit, where the last beat
        of a visit is part-filled, and where there are several banks, each with time for one.
        """
        if self.banks > 1 or self.joined or (not self.readout and self.steps % self.out_pb):
            return 1
        f = self.front
        return most_turns(f.pe, f.steps, f.visit_clocks, f.step_clocks, f.held, not f.compact)

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

    @property
    def stored_param_depth(self) -> int:
        """Rows that are built: placeholders fill whole blocks."""
        return max(self.param_depth, len(self.param_rows))

    def sum_visits(self, other: FrontSpec) -> int:
        """Visits in the queue of a further weighted input."""
        return sum_visits(self.front, other, self.visit_interval)

    @property
    def shortcut_visits(self) -> int:
        """Visits in the queue of a shortcut."""
        return shortcut_visits(self.front, self.visit_interval)

    @property
    def bank_credits(self) -> int:
        """Visits in the collector of one bank: of ``credits`` in a row it has no more."""
        return -(-self.credits // self.banks)

    def memories(self) -> Memories:
        """What a `SpikingConv` makes, by its place."""
        out = {}
        for n, front in enumerate(self.fronts):
            out |= inside(f"front_{n}" if n else "front", front.memories())
        row, chained = (self.stored_param_depth, self.param_width), self.param_region is not None
        out |= inside("params", WeightMemory.memories_of(*row, chained, self.param_style))
        if self.turns > 1:
            f = self.front
            out |= inside("turns", LaneTurns.memories_of(f.pe * f.z_width, f.steps, f.held))
        for n, other in enumerate(self.others, 1):
            out |= inside(f"sums_{n}", SumQueue.memories_of(other, self.sum_visits(other)))
        for n, shortcut in enumerate(self.shortcuts):
            queue = ShortcutQueue.memories_of(shortcut, self.shortcut_visits)
            out |= inside(f"shortcut_{n}", queue)
        if self.readout:
            words = self.scan_pe, self.logit_bits, self.credits, self.turns
            return out | inside("out", WordSerializer.memories_of(*words))
        beats = BeatCollector.memories_of(self.out_edge, self.bank_credits)
        places = [f"banks.out_{n}" for n in range(self.banks)] if self.banks > 1 else ["out"]
        for place in places:
            out |= inside(place, beats)
        return out

    def scan_clocks(self) -> tuple[int, ...]:
        """Clocks from the start of a visit of the main front to the result of every step of every
        turn at the collector."""
        came = self.front.step_clocks
        if self.turns > 1:
            came = LaneTurns.clocks(came, self.turns, self.front.held)
        behind = self.join_latency + NeuronScan.latency_of(self.params)
        return tuple(clock + behind for clock in came)

    def delays(self) -> Delays:
        """Of the main front's visits; see `sterna.hw.core.input_join` for those of other inputs."""
        scan, steps = self.scan_clocks(), self.steps
        if self.readout:
            # All words of a turn come out of one register.
            ends = [(turn + 1) * steps - 1 for turn in range(self.turns)]
            at = [scan[t] + WordSerializer.latency for t in ends for _ in range(self.scan_pe)]
        else:
            # A beat is complete in the last turn.
            e, before = self.out_edge, (self.turns - 1) * steps
            ends = [min((beat + 1) * e.pb, e.planes) - 1 for beat in range(e.plane_beats)]
            at = [scan[before + t] + BeatCollector.latency for t in ends]
        return Delays(tuple(at), DONE_LATENCY + Credit.latency)

    @property
    def credits(self) -> int:
        """Visits between the start of the main front and the last beat's leaving."""
        scan = NeuronScan.latency_of(self.params)
        flight = LineBuffer.latency + self.front.dot_latency + scan + self.steps * self.turns + 12
        # A rough upper bound of issue to output; more only costs FIFO words.
        most = -(-(flight + self.join_latency) // self.visit_interval) + 2
        # All results of an image come at once there, and wait here while the next one's arrives.
        return most + (self.output_groups if self.front.arrives else 0)
