"""Weight words out of several rows of memory: each in its clock, until the next one."""

import itertools
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

    def __init__(self, rows, width, reads, compact, again=False):
        pieces = split_rows(rows, width, reads)
        self.memory = WeightMemory(len(pieces), piece_width(width, reads), pieces, compact=compact)
        apart = 0 if self.memory.compact else 1
        self.words = WordAssembler(len(rows), width, reads, apart, again)
        more = {"again": In(1), "group": In(1)} if again else {}
        super().__init__({"fetch": In(1), "on": In(1), "word": Out(width)} | more)

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
        if self.words.regroups:
            m.d.comb += [self.words.again.eq(self.again), self.words.group.eq(self.group)]
        return m


def read(rows, width, reads, compact, fetches, more=None):
    """The word of every clock. fetches: clock -> whether it is the word after the last one; more:
    clock -> (whether it is the first of its group again, whether it begins a group)."""
    dut = Reader(rows, width, reads, compact, more is not None)
    seen = []

    async def bench(ctx):
        for clock in range(max(fetches) + dut.words.latency + 20):
            ctx.set(dut.fetch, clock in fetches)
            ctx.set(dut.on, fetches.get(clock, 1))  # without a fetch it must not count
            if more is not None:  # without a fetch these must not count either
                ctx.set(dut.again, more.get(clock, (1, 1))[0])
                ctx.set(dut.group, more.get(clock, (1, 1))[1])
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


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(("reads", "words"), [(2, 3), (4, 2), (3, 1)])
def test_words_of_a_group_are_read_again(reads, words, compact):
    """Three groups of words, each read at three positions, then the first group's again."""
    rng = random.Random(reads)
    rows = [rng.getrandbits(8) for _ in range(3 * words)]
    fetches, more, wanted, clock = {}, {}, {}, 3
    for group, position, word in itertools.product((0, 1, 2, 0, 1), range(3), range(words)):
        fresh = position == 0 and word == 0
        fetches[clock] = not (fresh and group == 0)
        more[clock] = (position > 0 and word == 0, fresh and group > 0)
        wanted[clock] = rows[group * words + word]
        clock += reads + (rng.randrange(6) if rng.random() < 0.3 else 0)
    seen, latency = read(rows, 8, reads, compact, fetches, more)
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
