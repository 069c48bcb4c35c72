"""Proofs that accumulators add up what a visit brings, and that turns lose no step of it.

Where items come one a clock, nothing enables the registers: they move through clocks in which
nothing comes, too. So the registers of these may hold anything at the start, as behind a reset in
mid-run, and the first visit comes as early as it may.
"""

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value

from sterna.hw.core.accumulate import REGISTER_TURNS, Accumulator
from sterna.hw.neuron.lane_turns import LaneTurns, have_gaps
from sterna.sim.proofs.kit import Bench, Proof, mutant

__all__ = ["PROOFS"]

_BITS, _WIDTH, _CONSTANT = 3, 6, -5
"""Bits of what comes and of a sum; what every sum begins at."""


def _later(b: Bench, value: Value, clocks: int, name: str) -> Value:
    for n in range(clocks):
        register = Signal(len(value), name=f"{name}_{n}")
        b.m.d.sync += register.eq(value)
        value = register
    return value


def _sums(turns: int, words: int, pops: int, whole: bool, component: type = Accumulator) -> Bench:
    """Visits of ``words`` words for each of ``turns`` plane groups, at any time."""
    dut = component(
        pe=1,
        sums=1,
        in_width=_BITS,
        turns=turns,
        width=_WIDTH,
        constant=_CONSTANT,
        pops=pops,
        pop_width=2 if pops else 0,
        words=words,
        whole=whole,
    )
    items = words * turns

    def body(b: Bench) -> None:
        m = b.m
        item, valid = Signal(range(max(2, items)), name="item"), Signal(name="rule_valid")
        after = Mux(valid, Mux(item == items - 1, 0, item + 1), item)
        m.d.sync += [item.eq(after), valid.eq(dut.coming)]
        m.d.comb += [
            dut.valid.eq(valid),
            dut.first.eq(item < turns),
            dut.ending.eq(dut.coming & (after >= items - turns)),
        ]
        if whole:
            b.assume(dut.coming | (after == 0))
            quiet = Signal(range(turns + 2), init=turns + 1, name="quiet")
            with m.If(quiet != 0):
                m.d.sync += quiet.eq(quiet - 1)
            b.assume(~dut.coming | (quiet == 0))
        turn = Signal(range(max(2, turns)), name="rule_turn")
        with m.If(valid):
            m.d.sync += turn.eq(Mux(turn == turns - 1, 0, turn + 1))
        kept = Array(Signal(2 * _WIDTH, name=f"rule_{n}") for n in range(turns))
        old = Mux(item < turns, Const(_CONSTANT % (1 << _WIDTH), 2 * _WIDTH), kept[turn])
        total = (old[:_WIDTH] + dut.sum)[:_WIDTH]
        minus = (old[_WIDTH:] + dut.pop)[:_WIDTH] if pops else Const(0, _WIDTH)
        with m.If(valid):
            m.d.sync += kept[turn].eq(Cat(total, minus))
        said = (2 * total - minus)[:_WIDTH] if pops else total
        meant = _later(b, Cat(valid & (item >= items - turns), said), dut.latency, "meant")
        b.check(dut.z == meant[1:], meant[0])
        known = _later(b, Const(1, 1), dut.latency, "known")
        b.check(dut.ready_z == meant[0], known)

    return Bench(dut, [], [], body, [dut.coming, dut.sum, *([dut.pop] if pops else [])])


def _turns(pe: int, turns: int, steps: int, component: type = LaneTurns) -> Bench:
    """Steps that come one a clock, visits as close as they may be or later."""
    bits, room = 2, turns * steps
    assert not have_gaps(tuple(range(steps)))
    dut = component(pe=pe, turns=turns, width=bits, steps=steps, held=False, gaps=False)
    begin = Signal(name="begin")

    def body(b: Bench) -> None:
        m, size = b.m, pe // turns * bits
        clock = Signal(range(room), name="clock")  # since a visit began, 0 while none has
        here = (clock != 0) | begin
        with m.If(here):
            m.d.sync += clock.eq(Mux(clock == room - 1, 0, clock + 1))
        b.assume(~begin | (clock == 0))
        first_clock = Signal(init=1, name="first_clock")
        m.d.sync += first_clock.eq(0)
        b.assume(~first_clock | ~begin)
        m.d.comb += [
            dut.valid_in.eq(here & (clock < steps)),
            dut.first_in.eq(clock == 0),
            dut.last_in.eq(clock == steps - 1),
        ]
        kept = Array(Signal(pe * bits, name=f"rule_{n}") for n in range(steps))
        with m.If(dut.valid_in):
            m.d.sync += kept[clock].eq(dut.x_in)
        # The items of a visit come out behind its last step, though the next one has begun.
        shown = Array(Signal(pe * bits, name=f"shown_{n}") for n in range(steps))
        out = Signal(range(room + 1), init=room, name="out")
        with m.If(dut.valid_in & dut.last_in):
            m.d.sync += [out.eq(0), *(shown[n].eq(kept[n]) for n in range(steps - 1))]
            m.d.sync += shown[steps - 1].eq(dut.x_in)
        with m.Elif(out != room):
            m.d.sync += out.eq(out + 1)
        running = out != room
        lanes = Array(
            shown[n % steps][n // steps * size : (n // steps + 1) * size] for n in range(room)
        )
        b.check(dut.valid == running, ~first_clock)
        b.check(dut.x == lanes[out], running)
        b.check(dut.first == Cat(out == n * steps for n in range(turns)).any(), running)
        b.check(dut.last == Cat(out == (n + 1) * steps - 1 for n in range(turns)).any(), running)

    return Bench(dut, [], [], body, [begin, dut.x_in])


def _proofs() -> list[Proof]:
    found: list[Proof] = []

    def add(
        name: str, claim: str, shape: tuple[int, int, int, bool], component: type = Accumulator
    ):
        turns, words, _, whole = shape
        found.append(
            Proof(
                name,
                claim,
                lambda: _sums(*shape, component),
                "bmc",
                turns + 2 * words * turns + 7,
                fails=name.startswith("fault_"),
                wild=("dut",) * (whole and turns <= REGISTER_TURNS),
            )
        )

    for name, shape in {
        "one": (1, 3, 0, True),
        "turns": (2, 2, 0, True),
        "memory": (5, 2, 0, True),
        "binary": (1, 3, 1, True),
        "binary_turns": (2, 2, 1, True),
        "gaps": (2, 2, 0, False),
        "gaps_binary": (1, 3, 1, False),
    }.items():
        turns, words, pops, whole = shape
        kind = "binary" if pops else "ternary"
        after = " after anything" if turns <= REGISTER_TURNS else ""
        how = f"one a clock{after}" if whole else "with gaps"
        add(f"sums_{name}", f"Accumulator, {kind}, {words} words x {turns} turns {how}", shape)
    for name, claim, shape, fault in (
        (
            "idle",
            "that adds up what comes between visits",
            (1, 3, 0, True),
            ("clear.eq(self.ending | ~self.coming)", "clear.eq(self.ending)"),
        ),
        (
            "last",
            "that takes the wrong word for the last",
            (2, 2, 0, True),
            ("last.eq(self.ending)", "last.eq(self.valid)"),
        ),
    ):
        add(f"fault_sums_{name}", f"Accumulator {claim}", shape, mutant(Accumulator, *fault))
    stops = ("if self.gaps else Const(1)", "if self.gaps else running")
    for turns, steps, component in (
        *((2, 1, LaneTurns), (2, 3, LaneTurns), (3, 2, LaneTurns)),
        (2, 3, mutant(LaneTurns, *stops)),
    ):
        faulty = component is not LaneTurns
        found.append(
            Proof(
                "fault_turns" if faulty else f"turns_{turns}_{steps}",
                f"LaneTurns of {turns} turns, {steps} steps one a clock"
                + (", which do not move in" if faulty else ""),
                lambda t=turns, s=steps, c=component: _turns(t, t, s, c),
                "bmc",
                3 * turns * steps + 3,
                fails=faulty,
            )
        )
    return found


PROOFS = _proofs()
