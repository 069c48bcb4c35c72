"""A reset in mid-run: from any state of registers and memories, a component is as good as new.

Two of it side by side get the same inputs. One starts with anything in its registers, both with
anything in their memories; after one clock of reset their outputs are the same in every clock.
Payloads count where they are valid.
"""

from collections.abc import Callable

from amaranth.hdl import (
    Assert, ClockDomain, Const, Elaboratable, Module, ResetInserter, Signal, Value,
)  # fmt: skip
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sterna.hw.accumulate import StepFeeder
from sterna.hw.assembler import WordAssembler
from sterna.hw.axil import AxiLiteSlave
from sterna.hw.axis import ImageInput, ResultOutput
from sterna.hw.chain_master import ChainMaster
from sterna.hw.collect import BeatCollector, WordSerializer
from sterna.hw.credit import Credit
from sterna.hw.fifo import Buffer, Fifo, Slot
from sterna.hw.fork import Fork
from sterna.hw.line_buffer import LineBuffer
from sterna.hw.skip_fifo import KINDS, SkipFifo
from sterna.hw.slices import Cut, Join
from sterna.hw.stream import Edge
from sterna.sim.proofs.kit import Proof, mutant
from sterna.sim.proofs.windows import _GEOMETRIES, _Core, _nest

__all__ = ["PROOFS"]

_WILD = "wild_one"

_QUALIFIED = {
    "payload": "valid", "tdata": "tvalid", "tlast": "tvalid", "bresp": "bvalid", "rdata": "rvalid",
    "rresp": "rvalid", "address": "request", "wdata": "request", "write": "request",
    "logits": "logit_valid", "x": "valid", "first": "valid", "last": "valid",
}  # fmt: skip
"""Outputs that mean something only beside another one of the same interface."""


class _Twins(Elaboratable):
    """Two of a component; ``behind``: outputs that mean something only so many clocks after an
    input or output of the new one was 1 for the first time."""

    def __init__(self, make: Callable[[], wiring.Component], behind: dict[str, tuple[str, int]]):
        self.wild, self.new, self.behind = make(), make(), behind
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

    def elaborate(self, platform) -> Module:
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
        for path, one, other in self.outs:
            name = "_".join(map(str, path))
            when: Value = started
            beside = _QUALIFIED.get(str(path[-1]))
            if name in self.behind:
                when = started & self._behind(m, name, named, *self.behind[name])
            elif beside is not None and (q := "_".join([*map(str, path[:-1]), beside])) in named:
                when = started & named[q].any()
            m.d.comb += Assert(~when | (one == other))
        return m

    def _behind(self, m: Module, name: str, named: dict, event: str, clocks: int) -> Value:
        """The event was this many clocks ago, or longer."""
        value = named[event].any() if event in named else getattr(self.new, event)
        for n in range(clocks):
            register = Signal(name=f"{name}_behind_{n}")
            m.d.sync += register.eq(value)
            value = register
        begun = Signal(name=f"{name}_begun")
        m.d.sync += begun.eq(begun | value)
        return begun | value


class _Windows(_Core):
    """Walker and line buffer, with the clock in which a word is one."""

    def __init__(self):
        g = _GEOMETRIES["2x2"]
        super().__init__(g, _nest(g), LineBuffer, 0)


_CASES: dict[str, tuple[Callable[[], wiring.Component], dict, int]] = {
    "buffer": (lambda: Buffer(2), {}, 8),
    "slot": (lambda: Slot(2), {}, 8),
    "fifo": (lambda: Fifo(2, 3), {}, 10),
    **{f"skip_fifo_{k}": (lambda k=k: SkipFifo(2, 3, k), {}, 12) for k in KINDS},
    "fork": (lambda: Fork(2, 2), {}, 8),
    "cut": (lambda: Cut(2, 3, period=2, last=2), {}, 12),
    "join": (lambda: Join(2, 3, period=2, last=2), {}, 12),
    "credit": (lambda: Credit(3), {}, 8),
    "collector": (lambda: BeatCollector(Edge(2, 2, 3, 2), 2), {}, 12),
    "collector_turns": (lambda: BeatCollector(Edge(4, 4, 2, 1), 2, 2), {}, 12),
    "serializer": (lambda: WordSerializer(2, 2, 2), {}, 12),
    "feeder": (lambda: StepFeeder(pe=1, sums=2, in_width=2, width=2, steps=3), {}, 12),
    "feeder_parts": (
        lambda: StepFeeder(pe=1, sums=1, in_width=2, width=4, steps=2, parts=2, part_bits=1), {}, 12
    ),
    "assembler": (lambda: WordAssembler(3, 4, 2, 1), {"word": ("fetch", 6)}, 16),
    "axil": (lambda: AxiLiteSlave(4), {}, 12),
    "chain_master": (
        lambda: ChainMaster(2, 4),
        {"rdata": ("never", 0), "crc": ("never", 0), "error": ("done", 0),
         "chain_o_word": ("never", 0)},
        12,
    ),
    "image_input": (lambda: ImageInput(Edge(2, 2, 1, 1), 2, 3, 8), {}, 14),
    "image_repeat": (lambda: ImageInput(Edge(2, 2, 1, 1), 2, 3, 8, repeat=True), {}, 12),
    "result_output": (lambda: ResultOutput(2, bits=3), {}, 14),
    "result_compact": (lambda: ResultOutput(2, compact=True, bits=3), {}, 14),
}


def _proofs() -> list[Proof]:
    found = [
        Proof(f"reset_{name}", "as good as new after a reset in any state",
              lambda a=make, b=behind: _Twins(a, b), "bmc", depth, wild=(_WILD,))
        for name, (make, behind, depth) in _CASES.items()
    ]  # fmt: skip
    keeps = ("front_valid = Signal()", "front_valid = Signal(reset_less=True)")
    found.append(Proof(
        "fault_reset", "Buffer whose reset forgets that it is full",
        lambda: _Twins(lambda: mutant(Buffer, *keeps)(2), {}), "bmc", 6, fails=True, wild=(_WILD,),
    ))  # fmt: skip
    return found


PROOFS = _proofs()
