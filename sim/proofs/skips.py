"""A skip as a whole: fork, a branch that needs words before it gives any, FIFO, merge.

The deep branch is a :class:`Window`: as the line buffer of a core, it gives its first word only
when ``lead`` more have come. The other branch has to hold those words meanwhile: ``lead``, less the
two that the merge's buffer takes. At that depth the output moves whenever both ends are willing, at
one less the prover finds the clocks that end in a deadlock.
"""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.hw.stream.edge import Edge
from sterna.hw.stream.fork import Fork
from sterna.hw.stream.merge import MergeSpec, SpikingMerge
from sterna.hw.stream.skip_fifo import SkipFifo, latency_of
from sterna.sim.proofs.buffers import buffer_contents, fifo_control
from sterna.sim.proofs.joints import fork_invariants
from sterna.sim.proofs.kit import Bench, Proof, patience, taken

__all__ = ["PROOFS", "Window", "least_depth"]

_MERGE_HOLDS = 2  # beats in the merge's own buffer


def least_depth(lead: int) -> int:
    """Beats the FIFO beside a branch of ``lead`` must hold; 0: no FIFO is needed."""
    return max(0, lead - _MERGE_HOLDS)


class Window(wiring.Component):
    """Gives a word for every word, but only while more than ``lead`` are held; room for one more.

    The least room is the hardest case: a larger window only takes more words early.
    """

    i: stream.Interface
    o: stream.Interface
    held: Signal

    def __init__(self, lead: int):
        self.lead = lead
        port = stream.Signature(unsigned(1))
        super().__init__({"i": In(port), "o": Out(port), "held": Out(range(lead + 3))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal.like(self.held)
        m.d.comb += [
            self.i.ready.eq(held < self.lead + 2),
            self.o.valid.eq(held > self.lead),
            self.held.eq(held),
        ]
        m.d.sync += held.eq(held + taken(self.i) - taken(self.o))
        return m


class _Skip(wiring.Component):
    """Fork -> Window -> merge, and Fork -> SkipFifo -> merge."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lead: int, depth: int, kind: str):
        self.fork = Fork(1, 2)
        self.window = Window(lead)
        self.fifo = SkipFifo(1, depth, kind) if depth else None
        edge = Edge(1, 1, 1, 1)
        self.merge = SpikingMerge(MergeSpec("or", (edge, edge), (1, 1), (0, 0), 1, 1, 1))
        port = stream.Signature(unsigned(1))
        super().__init__({"i": In(port), "o": Out(port)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fork, m.submodules.window = self.fork, self.window
        m.submodules.merge = self.merge
        wiring.connect(m, wiring.flipped(self.i), self.fork.i)
        wiring.connect(m, self.fork.o_0, self.window.i)
        wiring.connect(m, self.window.o, self.merge.i_0)
        if self.fifo is None:
            wiring.connect(m, self.fork.o_1, self.merge.i_1)
        else:
            m.submodules.fifo = self.fifo
            wiring.connect(m, self.fork.o_1, self.fifo.i)
            wiring.connect(m, self.fifo.o, self.merge.i_1)
        wiring.connect(m, self.merge.o, wiring.flipped(self.o))
        return m


def _patience(lead: int, kind: str) -> int:
    """Clocks within which a word leaves: the first one waits for ``lead`` others."""
    return (lead + 1) * (latency_of(kind) + 1) + 6


def _skip(lead: int, depth: int, kind: str, invariants: bool = True) -> Bench:
    dut = _Skip(lead, depth, kind)

    def body(b: Bench) -> None:
        willing = dut.i.valid & dut.o.ready
        if not invariants:
            # To be refuted, by a real deadlock: no word moves anywhere, longer than any latency.
            inner = [dut.fork.o_0, dut.fork.o_1, dut.window.o, *([dut.fifo.o] if dut.fifo else [])]
            moves = Cat(taken(s) for s in (dut.i, dut.o, *inner)).any()
            patience(b, willing, moves, 2 * latency_of(kind) + 2)
            return
        # From any reachable state, after any stalls: if both ends are willing, a word leaves.
        patience(b, willing, taken(dut.o), _patience(lead, kind))
        merge = b.inside.part("merge")
        count, _ = buffer_contents(b.inside.part("fork").part("buffer"))
        b.check(count <= 2)
        done = fork_invariants(b, b.inside.part("fork"))
        deep, _ = buffer_contents(merge.part("buffer_0"))
        shallow, _ = buffer_contents(merge.part("buffer_1"))
        level = 0
        if dut.fifo is not None:
            level = dut.fifo.level
            fifo_control(b, b.inside.part("fifo"), dut.fifo)
        b.check(dut.window.held <= lead + 2)
        # Both branches have got the same words, but for the one that a fork's done bit tells of.
        b.check(dut.window.held + deep + done[1] == level + shallow + done[0])

    return Bench(dut, ["i"], ["o"], body)


def _proofs() -> list[Proof]:
    found = []
    for lead, kind in (
        (2, "registers"),
        (3, "registers"),
        (4, "registers"),
        (5, "lutram"),
        (7, "lutram"),
        (3, "block"),
        (6, "block"),
    ):
        depth, clocks = least_depth(lead), _patience(lead, kind)
        storage = f"SkipFifo in {kind}, depth {depth}" if depth else "no FIFO"
        found.append(
            Proof(
                f"skip_{kind}_lead_{lead}",
                f"no deadlock: window of {lead}, {storage}",
                lambda a=lead, d=depth, k=kind: _skip(a, d, k),
                "prove",
                clocks + 2,
            )
        )
        if depth:
            found.append(
                Proof(
                    f"fault_depth_{kind}_lead_{lead}",
                    f"window of {lead}, one beat less: {depth - 1}",
                    lambda a=lead, d=depth - 1, k=kind: _skip(a, d, k, False),
                    "bmc",
                    2 * lead + 20,
                    fails=True,
                )
            )
    return found


PROOFS = _proofs()
