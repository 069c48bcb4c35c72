"""What every proof is made of: a component between free streams, and what must hold around it.

The streams' other ends are the prover's: any beat at any time, any stall. At inputs the stream
rules are assumed, at outputs asserted. Proofs start from the power-on state. Words are told apart
by their number modulo ``2**bits`` (more than can be inside at once): the prover picks any number,
its payload is noted whenever a word of that number enters, and compared when it leaves. Every word
has such a number, so what holds for any number holds for every word, without end.
"""

import inspect
import linecache
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    ClockDomain,
    Const,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    Signal,
    Value,
)
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib import stream

from sterna.golden.errors import SternaError

__all__ = ["Bench", "Inside", "Proof", "Tracker", "counter", "mutant", "patience", "taken"]


@dataclass(frozen=True)
class Proof:
    """One claim and how it is checked.

    Attributes:
        name: unique; also the folder's name.
        claim: what is proven, in a few words.
        build: makes the bench.
        mode: 'prove' (k-induction: holds for ever) or 'bmc' (every run of ``depth`` clocks).
        depth: k of the induction, or clocks.
        fails: True where the claim must be refuted: the component is wrong on purpose.
        quick: part of the smoke test.
        wild: submodules of the bench whose registers may hold anything at the start, as all
            memories then may: what a reset in mid-run finds.
        verilog: makes further modules, the text of each file by its name.
    """

    name: str
    claim: str
    build: Callable[[], "Bench"]
    mode: str
    depth: int
    fails: bool = False
    quick: bool = False
    wild: tuple[str, ...] = ()
    verilog: Callable[[], dict[str, str]] = dict


class Inside:
    """The registers and memories within a component, by name: what invariants speak of."""

    def __init__(self, fragment: Fragment):
        self._fragment = fragment

    def part(self, name: str) -> "Inside":
        """A submodule."""
        return Inside(self._fragment.find_subfragment(name))

    def __call__(self, name: str, count: int = 1) -> Signal:
        """A signal driven in the component itself, the first of ``count`` of that name.

        Raises:
            SternaError: not so many of that name.
        """
        # By identity: signals are equal to nothing that python could compare.
        found = {id(s): s for s in self._signals() if s.name == name}
        if len(found) != count:
            raise SternaError(
                f"a proof looks for one signal {name!r} and finds {len(found)}; the component was "
                "changed: adapt the invariant"
            )
        return next(iter(found.values()))

    def _signals(self) -> Iterator[Signal]:
        for statements in self._fragment.statements.values():
            for statement in statements:
                yield from statement._lhs_signals()

    def _instance(self) -> MemoryInstance:
        assert isinstance(self._fragment, MemoryInstance)
        return self._fragment

    @property
    def depth(self) -> int:
        """Rows of a memory."""
        return self._instance()._data.depth

    @property
    def write_address(self) -> Value:
        """Of a memory's only write port."""
        return self._instance()._write_ports[0]._addr

    @property
    def write_enable(self) -> Value:
        """Of a memory's only write port."""
        return self._instance()._write_ports[0]._en

    @property
    def read_data(self) -> Value:
        """Of a memory's first read port."""
        return self._instance()._read_ports[0]._data

    @property
    def read_address(self) -> Value:
        """Of a memory's first read port."""
        return self._instance()._read_ports[0]._addr

    def peek(self, address: Value) -> Value:
        """A row of a memory, through a read port that only the proof has."""
        memory = self._instance()
        first = memory._read_ports[0]
        data = Signal(len(first._data), name="peeked")
        row = Cat(address, Const(0, len(first._addr)))[: len(first._addr)]
        memory.read_port(domain="comb", addr=row, data=data, en=Const(1), transparent_for=())
        return data


class Bench(Elaboratable):
    """The top module of a proof: ``dut`` with free streams, and the properties of ``body``.

    ``body(bench)`` adds its claims with :meth:`check`; it finds ``m``, ``dut``, ``inside``
    and ``started`` (low in the first clock after power-on). ``free``: further inputs, the prover's.
    """

    m: Module
    inside: Inside
    started: Signal

    def __init__(
        self,
        dut: Elaboratable,
        inputs: Sequence[str],
        outputs: Sequence[str],
        body: Callable[["Bench"], None],
        free: Sequence[Value] = (),
    ):
        self.dut, self.body = dut, body
        # Without a reset: from power-on, once.
        self.domain = ClockDomain("sync", reset_less=True)
        self.inputs = [getattr(dut, name) for name in inputs]
        self.outputs = [getattr(dut, name) for name in outputs]
        self.free = list(free)

    @property
    def ports(self) -> list[Value]:
        """The clock, and what the prover chooses."""
        free = [value for s in self.inputs for value in (s.payload, s.valid)]
        return [self.domain.clk, *free, *(s.ready for s in self.outputs), *self.free]

    def check(self, claim: Value, when: Value | int = 1) -> None:
        """Claim something of every clock (in which ``when`` holds)."""
        self.m.d.comb += Assert(~Value.cast(when).any() | Value.cast(claim).any())

    def assume(self, fact: Value) -> None:
        """Restrict what the prover chooses."""
        self.m.d.comb += Assume(fact)

    def elaborate(self, platform: object) -> Module:
        m = self.m = Module()
        m.domains.sync = self.domain
        fragment = Fragment.get(self.dut, platform)
        self.inside = Inside(fragment)
        m.submodules.dut = fragment
        self.started = Signal()
        m.d.sync += self.started.eq(1)
        for s in self.inputs:
            m.d.comb += Assume(self._stays(s))
        for s in self.outputs:
            self.check(self._stays(s))
        self.body(self)
        return m

    def _stays(self, s: stream.Interface) -> Value:
        return self.stays(s.valid, s.ready, Value.cast(s.payload))

    def stays(self, valid: Value, ready: Value, payload: Value) -> Value:
        """A beat that was offered and not taken is offered still, unchanged."""
        waits, before = Signal(name="rule_waits"), Signal(len(payload), name="rule_payload")
        self.m.d.sync += [waits.eq(valid & ~ready), before.eq(payload)]
        return ~waits | (valid & (payload == before))


def taken(s: stream.Interface) -> Value:
    """A beat changes hands in this clock."""
    return s.valid & s.ready


def counter(bench: Bench, event: Value, period: int, name: str) -> Signal:
    """Counts events, 0 to ``period - 1`` and round."""
    count = Signal(range(max(2, period)), name=name)
    with bench.m.If(event):
        bench.m.d.sync += count.eq(Mux(count == period - 1, 0, count + 1))
    bench.check(count < period)
    return count


class Tracker:
    """Follows any one word through: none lost, doubled, reordered or invented.

    Args:
        bench: whose properties these are.
        enter: a word enters; word: which.
        leave: a word leaves; offered: one is on offer (leaving or not).
        capacity: words inside at most, asserted.
        number: of the word, where several trackers follow words of the same number.

    ``fill`` words are inside; the one followed is at position ``offset``, if that is below
    ``fill``, and was ``note`` when it entered. ``next`` says that it is on offer.
    """

    def __init__(
        self,
        bench: Bench,
        enter: Value,
        word: Value,
        leave: Value,
        offered: Value,
        capacity: int,
        number: Value | None = None,
        name: str = "track",
    ):
        m, self.bench = bench.m, bench
        bits = capacity.bit_length()
        given = counter(bench, enter, 1 << bits, f"{name}_given")
        gone = counter(bench, leave, 1 << bits, f"{name}_gone")
        number = AnyConst(bits) if number is None else number
        self.note = Signal(len(word), name=f"{name}_note")
        with m.If(enter & (given == number)):
            m.d.sync += self.note.eq(word)
        self.fill = Signal(bits, name=f"{name}_fill")
        self.offset = Signal(bits, name=f"{name}_offset")
        m.d.comb += [self.fill.eq(given - gone), self.offset.eq(number - gone)]
        self.offered, self.next = offered, offered & (self.offset == 0)
        bench.check(self.fill <= capacity)
        bench.check(self.fill != 0, offered)

    @classmethod
    def between(
        cls,
        bench: Bench,
        i: stream.Interface,
        o: stream.Interface,
        capacity: int,
        name: str = "track",
    ) -> "Tracker":
        """From one stream to another that gives the same words."""
        track = cls(bench, taken(i), i.payload, taken(o), o.valid, capacity, name=name)
        bench.check(o.payload == track.note, track.next)
        return track

    def prompt(self, latency: int) -> None:
        """A word inside is on offer ``latency`` clocks after it entered or became the first."""
        late = Signal(range(latency + 1), name="late")
        waits = (self.fill != 0) & ~self.offered
        self.bench.m.d.sync += late.eq(Mux(waits, late + 1, 0))
        self.bench.check(~waits | (late < latency - 1))

    def exact_room(self, ready: Value, capacity: Value | int) -> None:
        """There is room exactly when fewer than ``capacity`` words are inside."""
        self.bench.check(ready == (self.fill < capacity), self.bench.started)

    def invariant(self, count: Value, contents: Sequence[Value]) -> None:
        """Where the words are: ``count`` of them, the oldest first. Makes the induction close."""
        self.bench.check(self.fill == count)
        for index, word in enumerate(contents):
            here = (self.offset == index) & (self.offset < self.fill)
            self.bench.check(word == self.note, here)

    def invariant_at(self, word: Value) -> None:
        """``word`` is the one at position ``offset``, where that is inside."""
        self.bench.check(word == self.note, self.offset < self.fill)


def patience(bench: Bench, willing: Value, moves: Value, limit: int) -> None:
    """If ``willing`` holds for ``limit`` clocks running, something moves in one of them."""
    waited = Signal(range(limit + 1), name="patience")
    bench.m.d.sync += waited.eq(Mux(willing & ~moves, waited + 1, 0))
    bench.check(waited < limit)


def mutant(component: Any, old: str, new: str) -> Any:
    """The class, or function, with one passage of its module's source replaced: a fault on purpose.

    Raises:
        SternaError: the passage is not there exactly once.
    """
    module = inspect.getmodule(component)
    assert module is not None
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise SternaError(
            f"the passage {old!r} is {source.count(old)} times in {module.__name__}; the component "
            "was changed: put the fault in elsewhere"
        )
    source = source.replace(old, new)
    name = f"{module.__name__}_with_a_fault_{abs(hash((old, new)))}"
    changed = types.ModuleType(name)
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    sys.modules[name] = changed  # dataclasses look their module up
    exec(compile(source, name, "exec"), changed.__dict__)
    return getattr(changed, component.__name__)
