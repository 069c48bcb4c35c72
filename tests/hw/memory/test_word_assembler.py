"""Weight words out of several rows of memory: each in its clock, until the next one."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from sterna.golden.errors import DesignError
from sterna.hw.memory.weight_memory import WeightMemory
from sterna.hw.memory.word_assembler import MOST_READS, WordAssembler, piece_width, split_rows


class Reader(wiring.Component):
    """An assembler with its memory."""

    def __init__(self, rows, width, reads, compact):
        pieces = split_rows(rows, width, reads)
        self.memory = WeightMemory(len(pieces), piece_width(width, reads), pieces, compact=compact)
        self.words = WordAssembler(len(rows), width, reads, 0 if self.memory.compact else 1)
        super().__init__({"fetch": In(1), "on": In(1), "word": Out(width)})

    def elaborate(self, platform: object):
        m = Module()
        m.submodules.memory, m.submodules.words = self.memory, self.words
        m.d.comb += [
            self.words.fetch.eq(self.fetch),
            self.words.on.eq(self.on),
            self.memory.addr.eq(self.words.addr),
            self.words.data.eq(self.memory.data),
            self.word.eq(self.words.word),
        ]
        return m


def read(rows, width, reads, compact, fetches):
    """The word of every clock. fetches: clock -> whether it is the word after the last one."""
    dut = Reader(rows, width, reads, compact)
    seen = []

    async def bench(ctx):
        for clock in range(max(fetches) + dut.words.latency + 20):
            ctx.set(dut.fetch, clock in fetches)
            ctx.set(dut.on, fetches.get(clock, 1))  # without a fetch it must not count
            seen.append(ctx.get(dut.word))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return seen, dut.words.latency


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(("reads", "width"), [(2, 8), (2, 7), (3, 20), (4, 32), (4, 5), (4, 3)])
def test_every_word_in_its_clock(reads, width, compact):
    rng = random.Random(reads * width)
    rows = [rng.getrandbits(width) for _ in range(5)]
    fetches, wanted, clock, row = {}, {}, 3, 0
    for _ in range(40):
        on = bool(fetches) and row < 4 and rng.random() < 0.8
        row = row + 1 if on else 0
        fetches[clock], wanted[clock] = on, rows[row]
        clock += reads + (rng.randrange(9) if rng.random() < 0.3 else 0)
    seen, latency = read(rows, width, reads, compact, fetches)
    starts = [*sorted(fetches), clock + 9]
    for start, following in zip(starts, starts[1:]):
        held = seen[start + latency : following + latency]
        assert held == [wanted[start]] * len(held) and len(held) >= reads


def test_pieces():
    assert piece_width(7, 2) == 4 and split_rows([0b1010011, 0b0001100], 7, 2) == [3, 5, 12, 0]


@pytest.mark.parametrize("reads", [0, 1, MOST_READS + 1])
def test_reads_that_are_none(reads):
    with pytest.raises(DesignError, match=f"2 to {MOST_READS} reads, not {reads}"):
        WordAssembler(4, 8, reads, 1)
