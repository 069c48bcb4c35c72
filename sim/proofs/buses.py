"""AxiLiteSlave and ChainMaster: the bus's rules, the right answers, and all of them in time."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Const, Mux, Signal, Value

from sterna.hw.control.axil import AxiLiteSlave, Response
from sterna.hw.memory.chain_master import ChainMaster
from sterna.sim.proofs.kit import Bench, Proof, counter, mutant, patience

__all__ = ["PROOFS"]

_ANSWER = 3  # clocks from a request to its ``done``, at most
_WITHIN = 2 * (_ANSWER + 3) + 2  # a transfer may have to wait for one of the other direction


def _noted(b: Bench, event: Value, number: Value, chosen: Value, what: Value, name: str) -> Signal:
    """What ``what`` was at the event of the chosen number."""
    note = Signal(len(what), name=f"note_{name}")
    with b.m.If(event & (number == chosen)):
        b.m.d.sync += note.eq(what)
    return note


def _asked(b: Bench, dut: AxiLiteSlave) -> Signal:
    """The other side: ``done`` once for every request, at least one clock after it."""
    asked, waited = Signal(name="asked"), Signal(range(_ANSWER + 1), name="waited")
    b.m.d.sync += [
        asked.eq((asked | dut.request) & ~dut.done),
        waited.eq(Mux(asked & ~dut.done, waited + 1, 0)),
    ]
    b.assume(~dut.done | asked)
    b.assume(dut.done | (waited < _ANSWER - 1))
    b.check(~(asked & dut.request))  # one at a time
    b.check((waited < _ANSWER) & (asked | (waited == 0)))
    return asked


def _axil(component: type = AxiLiteSlave, invariants: bool = True) -> Bench:
    dut = component(4)
    bus = dut.bus
    address = Cat(bus.wdata, bus.wstrb)

    def body(b: Bench) -> None:
        m = b.m
        for valid, ready, what in (
            (bus.awvalid, bus.awready, bus.awaddr),
            (bus.wvalid, bus.wready, address),
            (bus.arvalid, bus.arready, bus.araddr),
        ):
            b.assume(b.stays(valid, ready, what))
        b.check(b.stays(bus.bvalid, bus.bready, bus.bresp))
        b.check(b.stays(bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp)))
        asked = _asked(b, dut)
        # Writes and reads by number: accepted, answered inside, given back.
        chosen = AnyConst(2)
        waiting, whole = b.inside("waiting"), b.inside("whole")
        ends = Signal(name="ends")
        m.d.comb += ends.eq(waiting & (dut.done | (dut.write & ~whole)))
        made = [
            counter(b, ends & which, 4, f"made_{n}")
            for which, n in ((dut.write, "w"), (~dut.write, "r"))
        ]
        events = {
            "aw": bus.awvalid & bus.awready,
            "w": bus.wvalid & bus.wready,
            "ar": bus.arvalid & bus.arready,
            "b": bus.bvalid & bus.bready,
            "r": bus.rvalid & bus.rready,
        }
        count = {n: counter(b, event, 4, f"count_{n}") for n, event in events.items()}
        sent = {
            "aw": bus.awaddr[2:],
            "w": bus.wdata,
            "ar": bus.araddr[2:],
        }
        note = {n: _noted(b, events[n], count[n], chosen, what, n) for n, what in sent.items()}
        strobe = _noted(b, events["w"], count["w"], chosen, bus.wstrb, "strobe")
        w_error = _noted(b, ends & dut.write, made[0], chosen, dut.error, "w_error")
        answer = Cat(dut.error, dut.rdata)
        r_answer = _noted(b, ends & ~dut.write, made[1], chosen, answer, "answer")
        for name, out in (("b", bus.bvalid), ("r", bus.rvalid)):
            before = count["aw"] if name == "b" else count["ar"]
            b.check((before - count[name])[:2] <= 2)
            b.check(before != count[name], out)  # no answer before the question
        b.check(count["w"] != count["b"], bus.bvalid)
        _axil_claims(b, dut, (made, chosen, note, strobe, w_error, r_answer, count))
        willing = bus.bready & bus.rready
        writes = ((count["aw"] - count["b"])[:2] != 0) & ((count["w"] - count["b"])[:2] != 0)
        patience(b, willing & writes, events["b"], _WITHIN)
        patience(b, willing & (count["ar"] != count["r"]), events["r"], _WITHIN)
        if invariants:
            _axil_invariants(b, dut, asked, made, chosen, note, strobe, w_error, r_answer, count)

    free = [
        bus.awaddr,
        bus.awvalid,
        bus.wdata,
        bus.wstrb,
        bus.wvalid,
        bus.bready,
        bus.araddr,
        bus.arvalid,
        bus.rready,
        dut.done,
        dut.error,
        dut.rdata,
    ]
    return Bench(dut, [], [], body, free)


def _right(strobe: Value, error: Value) -> Value:
    """What a write is answered."""
    okay, wrong = int(Response.OKAY.value), int(Response.SLVERR.value)
    return Mux(strobe == 0, okay, Mux(strobe == 15, Mux(error, wrong, okay), wrong))


def _axil_claims(b: Bench, dut: AxiLiteSlave, what: tuple) -> None:
    """Requests are those of whole writes and of reads, and every answer is the right one."""
    made, chosen, note, strobe, w_error, r_answer, count = what
    bus, mine = dut.bus, [n == chosen for n in made]
    writes, reads = dut.request & dut.write, dut.request & ~dut.write
    b.check(strobe == 15, writes & mine[0])
    b.check((dut.address == note["aw"]) & (dut.wdata == note["w"]), writes & mine[0])
    b.check(dut.address == note["ar"], reads & mine[1])
    b.check(bus.bresp == _right(strobe, w_error), bus.bvalid & (count["b"] == chosen))
    right = Cat(bus.rresp == Mux(r_answer[0], 2, 0), bus.rdata == r_answer[1:]).all()
    b.check(right, bus.rvalid & (count["r"] == chosen))
    asked_once = Signal(name="asked_once")
    ends = b.inside("waiting") & (dut.done | (dut.write & ~b.inside("whole")))
    b.m.d.sync += asked_once.eq((asked_once | dut.request) & ~ends)
    b.check(asked_once == (strobe == 15), ends & dut.write & mine[0])
    b.check(asked_once == (b.inside("waiting") & ~dut.request & (~dut.write | b.inside("whole"))))


def _axil_invariants(
    b: Bench,
    dut: AxiLiteSlave,
    asked: Value,
    made: list,
    chosen: Value,
    note: dict,
    strobe: Value,
    w_error: Value,
    r_answer: Value,
    count: dict,
) -> None:
    bus, inside = dut.bus, b.inside
    waiting, whole = inside("waiting"), inside("whole")
    held = {n: inside(f"held_{n}") for n in ("aw", "w", "ar")}
    for name in ("aw", "w", "ar"):
        b.check((count[name] - made[name == "ar"])[:2] == held[name])
    for k, (name, out) in enumerate((("b", bus.bvalid), ("r", bus.rvalid))):
        b.check((made[k] - count[name])[:2] == out)
    b.check(Mux(dut.write, held["aw"] & held["w"] & ~bus.bvalid, held["ar"] & ~bus.rvalid), waiting)
    b.check(waiting, dut.request)
    b.check((waiting & (~dut.write | whole)) == (dut.request | asked))
    mine = held["w"] & (made[0] == chosen)
    b.check((whole == (strobe == 15)) & (dut.wdata == note["w"]), mine)
    b.check(inside("partial") == ((strobe != 15) & (strobe != 0)), mine)
    b.check(inside("write_address") == note["aw"], held["aw"] & (made[0] == chosen))
    b.check(inside("read_address") == note["ar"], held["ar"] & (made[1] == chosen))
    b.check(dut.address == note["aw"], waiting & dut.write & (made[0] == chosen))
    b.check(dut.address == note["ar"], waiting & ~dut.write & (made[1] == chosen))


def _master(component: type = ChainMaster, answers: bool = False) -> Bench:
    """A ring that may do anything, also never answer."""
    dut = component(settle=2, patience=5)
    # A start, settling, a word around, the end: clocks of a single access at most.
    within = 2 + 5 + 6

    def body(b: Bench) -> None:
        back, pending = dut.chain_i.word, Signal(name="pending")
        b.m.d.sync += pending.eq((pending | dut.start) & ~dut.done)
        b.assume(~dut.start | ~(pending | dut.crc_busy))
        b.check(pending, dut.done)
        patience(b, pending & ~dut.done, dut.done, within)
        away = Signal(name="away")  # a word has left and not come back
        b.m.d.sync += away.eq((away | dut.chain_o.word.valid) & ~back.valid)
        b.assume(~back.valid | away)
        # Images are held up no longer than the memories need after the end.
        patience(b, dut.hold & ~pending & ~dut.crc_busy, Const(0), 2 + 2)
        # A pass moves on, too: to its next word, or to its end.
        still = Signal(range(32), name="still")
        before = Signal(len(dut.left), name="left_before")
        b.m.d.sync += [
            before.eq(dut.left),
            still.eq(Mux(dut.crc_busy & (dut.left == before), still + 1, 0)),
        ]
        b.check(still < 5 + 8)

    word = dut.chain_i.word
    free = [dut.seek, dut.start, dut.write, dut.walk, dut.data, dut.idle, Value.cast(word)]
    return Bench(dut, [], [], body, free)


def _proofs() -> list[Proof]:
    strobes = (
        "Mux(self.write & ~whole, partial, self.error)",
        "self.error | (self.write & ~whole)",
    )
    drops = (
        "with m.If(bus.bready):\n            m.d.sync += bus.bvalid.eq(0)",
        "m.d.sync += bus.bvalid.eq(0)",
    )
    waits = ("over = back.valid | settled", "over = back.valid")
    return [
        Proof(
            "axil",
            f"AxiLiteSlave: rules, answers, all within {_WITHIN} clocks of willing ends",
            _axil,
            "prove",
            _WITHIN + 2,
        ),
        Proof(
            "chain_master",
            "ChainMaster: every access and pass moves on, whatever the ring does",
            _master,
            "bmc",
            20,
        ),
        Proof(
            "fault_axil_strobe",
            "AxiLiteSlave that refuses a write of no byte",
            lambda: _axil(mutant(AxiLiteSlave, *strobes), False),
            "bmc",
            10,
            fails=True,
        ),
        Proof(
            "fault_axil_response",
            "AxiLiteSlave whose response does not wait",
            lambda: _axil(mutant(AxiLiteSlave, *drops), False),
            "bmc",
            10,
            fails=True,
        ),
        Proof(
            "fault_chain_master",
            "ChainMaster that waits for ever for a silent ring",
            lambda: _master(mutant(ChainMaster, *waits)),
            "bmc",
            20,
            fails=True,
        ),
    ]


PROOFS = _proofs()
