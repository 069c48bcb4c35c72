"""A reset in mid-run: from any state of registers and memories, a component is as good as new.

Two of it side by side get the same inputs. One starts with anything in its registers, both with
anything in their memories; after one clock of reset their outputs are the same in every clock.
Payloads count where they are valid.
"""

from collections.abc import Callable

from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Elaboratable,
    Module,
    Mux,
    ResetInserter,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sterna.hw.control.axil import AxiLiteSlave
from sterna.hw.core.accumulate import StepFeeder
from sterna.hw.core.credit import Credit
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.memory.chain_master import ChainMaster
from sterna.hw.memory.word_assembler import WordAssembler
from sterna.hw.neuron.collector import BeatCollector, WordSerializer
from sterna.hw.stream.axis import ImageInput, ResultOutput
from sterna.hw.stream.buffers import Buffer, Fifo, Slot
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.fork import Fork
from sterna.hw.stream.skip_fifo import KINDS, SkipFifo
from sterna.hw.stream.slices import Downsizer, Upsizer
from sterna.sim.proofs.kit import Proof, mutant
from sterna.sim.proofs.windows import GEOMETRIES, Core, nest

__all__ = ["PROOFS"]

_WILD = "wild_one"

_QUALIFIED = {
    "payload": "valid",
    "tdata": "tvalid",
    "tlast": "tvalid",
    "bresp": "bvalid",
    "rdata": "rvalid",
    "rresp": "rvalid",
    "address": "request",
    "wdata": "request",
    "write": "request",
    "logits": "logit_valid",
    "x": "valid",
    "first": "valid",
    "last": "valid",
}
"""Outputs that mean something only beside another one of the same interface."""


class _Twins(Elaboratable):
    """Two of a component.

    behind: outputs that mean something only so many clocks after a signal of the new one was 1, or
    from then on. ``promise``: ``last`` comes with every so-manieth ``push``.
    """

    def __init__(
        self,
        make: Callable[[], wiring.Component],
        behind: dict[str, tuple[str, int, bool]] | None = None,
        promise: int = 0,
    ):
        self.wild, self.new, self.behind, self.promise = make(), make(), behind or {}, promise
        self.domain = ClockDomain("sync", reset_less=True)
        self.free: list[Signal] = []
        self.ins, self.outs = [], []
        for path, member, value in self.new.signature.flatten(self.new):
            other = self.wild
            for name in path:
                other = getattr(other, str(name))
            pair = (path, Value.cast(other), Value.cast(value))
            if member.flow == In:
                free = Signal(len(pair[2]), name="_".join(map(str, path)))
                self.free.append(free)
                self.ins.append((*pair, free))
            else:
                self.outs.append(pair)

    @property
    def ports(self) -> list[Value]:
        return [self.domain.clk, *self.free]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = self.domain
        started = Signal(name="started")
        m.d.sync += started.eq(1)
        m.submodules[_WILD] = ResetInserter(~started)(self.wild)
        m.submodules.new_one = ResetInserter(~started)(self.new)
        for _, one, other, free in self.ins:
            m.d.comb += [one.eq(free), other.eq(free)]
        named = {"_".join(map(str, path)): new for path, _, new in self.outs}
        named |= {"_".join(map(str, path)): free for path, _, _, free in self.ins}
        if self.promise:
            count = Signal(range(self.promise), name="pushes")
            over = count == self.promise - 1
            with m.If(started & named["push"].any()):
                m.d.sync += count.eq(Mux(over, 0, count + 1))
            m.d.comb += Assume(named["last"] == over)
        for path, one, other in self.outs:
            name = "_".join(map(str, path))
            when: Value = started
            beside = _QUALIFIED.get(str(path[-1]))
            if name in self.behind:
                when = self._behind(m, name, started, named, *self.behind[name])
            elif beside is not None and (q := "_".join([*map(str, path[:-1]), beside])) in named:
                when = started & named[q].any()
            m.d.comb += Assert(~when | (one == other))
        return m

    def _behind(
        self,
        m: Module,
        name: str,
        started: Value,
        named: dict,
        event: str,
        clocks: int,
        since: bool,
    ) -> Value:
        """The event was this many clocks ago, or, ``since`` then, longer."""
        value = started & (named[event] if event in named else getattr(self.new, event)).any()
        for n in range(clocks):
            register = Signal(name=f"{name}_behind_{n}")
            m.d.sync += register.eq(value)
            value = register
        if not since:
            return value
        begun = Signal(name=f"{name}_begun")
        m.d.sync += begun.eq(begun | value)
        return begun | value


class _Windows(Core):
    """Walker and line buffer; a word counts where it is that of an item."""

    def __init__(self):
        g = GEOMETRIES["2x2"]
        super().__init__(g, nest(g), LineBuffer, 0)
        self.begins = self.walker.valid


# How it is made, what `_Twins` must know of it, clocks.
_CASES: dict[str, tuple[Callable[[], wiring.Component], dict | int, int]] = {
    "buffer": (lambda: Buffer(2), {}, 8),
    "slot": (lambda: Slot(2), {}, 8),
    "fifo": (lambda: Fifo(2, 3), {}, 10),
    **{f"skip_fifo_{k}": (lambda k=k: SkipFifo(2, 3, k), {}, 12) for k in KINDS},
    "fork": (lambda: Fork(2, 2), {}, 8),
    "cut": (lambda: Downsizer(2, 3, period=2, last=2), {}, 12),
    "join": (lambda: Upsizer(2, 3, period=2, last=2), {}, 12),
    "credit": (lambda: Credit(3), {}, 8),
    "collector": (lambda: BeatCollector(Edge(2, 2, 3, 2), 2), {}, 12),
    "collector_turns": (lambda: BeatCollector(Edge(4, 4, 2, 1), 2, 2), 2, 12),
    "serializer": (lambda: WordSerializer(2, 2, 2), {}, 12),
    "feeder": (lambda: StepFeeder(pe=1, sums=3, in_width=2, width=2, steps=3), {}, 12),
    "feeder_parts": (
        lambda: StepFeeder(pe=1, sums=1, in_width=2, width=4, steps=2, parts=2, part_bits=1),
        {},
        12,
    ),
    "assembler": (lambda: WordAssembler(3, 4, 2, 1), {"word": ("fetch", 6, True)}, 16),
    "axil": (lambda: AxiLiteSlave(4), {}, 12),
    "chain_master": (lambda: ChainMaster(2, 4), {}, 12),
    "windows": (_Windows, {"word": ("begins", LineBuffer.latency, False)}, 15),
    "image_input": (lambda: ImageInput(Edge(2, 2, 1, 1), 2, 3, 8), {}, 14),
    "image_repeat": (lambda: ImageInput(Edge(2, 2, 1, 1), 2, 3, 8, repeat=True), {}, 12),
    "result_output": (lambda: ResultOutput(2, bits=3), {}, 14),
    "result_compact": (lambda: ResultOutput(2, compact=True, bits=3), {}, 14),
}


def _proofs() -> list[Proof]:
    found = [
        Proof(
            f"reset_{name}",
            "as good as new after a reset in any state",
            lambda a=make, b=more: _Twins(a, promise=b) if isinstance(b, int) else _Twins(a, b),
            "bmc",
            depth,
            quick=name == "buffer",
            wild=(_WILD,),
        )
        for name, (make, more, depth) in _CASES.items()
    ]
    keeps = ("front_valid = Signal()", "front_valid = Signal(reset_less=True)")
    found.append(
        Proof(
            "fault_reset",
            "Buffer whose reset forgets that it is full",
            lambda: _Twins(lambda: mutant(Buffer, *keeps)(2), {}),
            "bmc",
            6,
            fails=True,
            quick=True,
            wild=(_WILD,),
        )
    )
    return found


PROOFS = _proofs()
