"""Neuron scan: the steps of a neuron, one a clock, for PE neurons side by side."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.bounds import RANK_BITS
from sterna.golden.rule import Decay
from sterna.hw.memory.delay import delay, delay_line
from sterna.hw.neuron.decay import decayed_sums
from sterna.hw.neuron.params import NeuronParams

__all__ = ["NeuronScan"]


class NeuronScan(wiring.Component):
    """The neuron rule for ``pe`` channels at once, one step a clock, in two-candidate form.

    Both futures of the membrane (u, and u less the reset) are kept and the sign of u - threshold
    chooses between them a clock later: compare and subtract are not in series.

    Ports: in ``valid``, ``first``, ``last`` and ``x`` (pe * x_width signed), ``params_in`` (pe *
    NeuronParams.width) in the same clock. Spiking (``readout`` None): out ``spike_valid``,
    ``spike_last``, ``spikes`` (pe). Readout: out ``logit_valid`` once a visit, ``logits`` (pe *
    32, signed). ``latency`` clocks from a step's x to its spike. x is shifted left by ``x_shift``
    (and the fraction bits) first; without it by the rule's only shift.
    """

    def __init__(
        self,
        params: NeuronParams,
        *,
        pe: int,
        x_width: int,
        readout: str | None = None,
        x_shift: int | None = None,
    ):
        self.params, self.pe, self.x_width, self.readout = params, pe, x_width, readout
        self.x_shift = params.rule.shifts[0] if x_shift is None else x_shift
        self.latency = self.latency_of(params)
        ports = {
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "x": In(pe * x_width),
            "params_in": In(pe * params.width),
        }
        if readout is None:
            ports |= {"spike_valid": Out(1), "spike_last": Out(1), "spikes": Out(pe)}
        else:
            ports |= {"logit_valid": Out(1), "logits": Out(pe * 32)}
        super().__init__(ports)

    @staticmethod
    def latency_of(params: NeuronParams) -> int:
        """Clocks from a step's x to its spike."""
        return 3 + (2 if params.rule.synapse is not None else 0)

    @staticmethod
    def size_of(params: NeuronParams) -> dict[str, int]:
        """Bits of what one channel is made of, by kind: adders, registers of drives that depend on
        parameters, its fields of a row, what chooses the membrane that is kept, adders of decays,
        registers of the current. The cost model's coefficients are of these."""
        rule, bounds = params.rule, params.bounds
        width, margin = bounds.width("u", "v", "current"), bounds.width("margin")
        back = rule.reset == "subtract" and not params.shared_reset
        drives = {"add": width, "back": width * back, "over": margin * params.fires}
        out = {
            "adders": sum(drives.values()),
            "drives": sum(w for k, w in drives.items() if k in params.fields or k == "add"),
            "fields": params.width,
            "keeps": width * ((rule.reset != "none") + (rule.floor is not None)),
        }
        out["adders"] += width * (rule.floor is not None)  # compares
        for decay, sums in ((rule.leak, 1 + back + params.fires), (rule.synapse, 1)):
            # A factor of 2**-n is a shift, without an adder.
            if not isinstance(decay, Decay) or decay.num <= 1:
                continue
            key, bits = "decays", width * (1 if decay.k2 is None else 3)
            if decay.ratio is not None:
                rows = max(0, len(decay.digits) - 2) + sums * (len(decay.digits) > 1)
                key, bits = "rows_of_decay", (width + decay.shift) * rows
            out[key] = out.get(key, 0) + bits
        if rule.synapse is not None:
            out["currents"] = bounds.width("current") + bounds.width("drive")
        return out

    @staticmethod
    def logit_bits(params: NeuronParams, readout: str) -> int:
        """Signed bits that hold every logit."""
        if readout == "membrane":
            return params.bounds.width("u", "v", "current")
        return params.steps.bit_length() + (0 if readout == "count" else RANK_BITS) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flags = Cat(self.valid, self.first, self.last)
        stages = delay_line(m, flags, self.latency - 1, "flags_{0}")
        end = stages[-1]
        remaining = Signal(range(self.params.steps + 1))  # T - t of the step at the end
        if self.readout == "first_spike":
            now = Mux(end[1], self.params.steps, remaining)
            with m.If(end[0]):
                m.d.sync += remaining.eq(now - 1)
        else:
            now = Const(0)
        out: list[Value] = []
        for p in range(self.pe):
            drives, start = self._drive(m, p, stages)
            floor = None if self.params.rule.floor is None else self._kept(m, p, "floor")
            u, fire = self._membrane(m, p, stages[-2], drives, start, floor)
            if self.readout is None:
                out.append(self._spike(m, p, end, fire))
            else:
                v = u if floor is None else _not_below(_later(m, floor, 1), u)
                out.append(self._logit(m, p, end, v, fire, now))
        valid = Signal()
        last = Signal()
        m.d.sync += [valid.eq(end[0]), last.eq(end[2])]
        if self.readout is None:
            m.d.comb += [self.spike_valid.eq(valid), self.spike_last.eq(last)]
            m.d.comb += self.spikes.eq(Cat(out))
        else:
            m.d.comb += [self.logit_valid.eq(valid & last), self.logits.eq(Cat(out))]
        return m

    def _drive(self, m: Module, p: int, stages: list[Value]) -> tuple[list[Value], Value]:
        """[i, i - reset_by, i - threshold] and the start value, registered for the membrane."""
        rule, bounds = self.params.rule, self.params.bounds
        get = lambda name: self._field(p, name)  # noqa: E731
        x = self.x[p * self.x_width : (p + 1) * self.x_width].as_signed()
        x <<= rule.fraction_bits + self.x_shift
        width = bounds.width("u", "v", "current")
        widths = {"add": width, "back": width, "over": bounds.width("margin")}
        wanted = ["add"]
        wanted += ["back"] if rule.reset == "subtract" and not self.params.shared_reset else []
        wanted += ["over"] if self.params.fires else []
        drive = {n: _data(widths[n], f"drive_{n}_{p}") for n in wanted}
        if rule.synapse is None:
            for name, register in drive.items():
                m.d.sync += register.eq(x + get(name))
            return [drive.get(n) for n in widths], self._kept(m, p, "start")  # type: ignore
        base = _data(bounds.width("drive"), f"drive_{p}")
        current = _data(bounds.width("current"), f"current_{p}")
        m.d.sync += base.eq(x + get("add"))
        decay = rule.synapse if isinstance(rule.synapse, Decay) else None
        anew = stages[1][1]
        zero = Const(0)
        (total,) = decayed_sums(decay, current, [base], [len(current)], anew, zero)
        with m.If(stages[1][0]):
            m.d.sync += current.eq(total)
        for name, register in drive.items():
            less = 0 if name == "add" else _later(m, get(name), 2)
            m.d.sync += register.eq(current - less)
        return [drive.get(n) for n in widths], self._kept(m, p, "start")  # type: ignore

    def _field(self, p: int, name: str) -> Value:
        """A field of the row that comes with x, 0 where it has none."""
        value = self.params.field(self.params_in, p, name)
        return Const(0, signed(1)) if value is None else value

    def _kept(self, m: Module, p: int, name: str) -> Value:
        """A field until the membrane is computed."""
        return _later(m, self._field(p, name), self.latency - 2)

    def _membrane(
        self,
        m: Module,
        p: int,
        scan: Value,
        drives: list[Value],
        start: Value,
        floor: Value | None,
    ) -> tuple[Signal, Value]:
        """The recurrence; returns u and whether it reached the threshold, both of the last step."""
        rule, bounds = self.params.rule, self.params.bounds
        add, back, over = drives
        u = _data(bounds.width("u", "v", "current"), f"u_{p}")
        margin = _data(bounds.width("margin"), f"margin_{p}")
        fire = ~margin[-1] if self.params.fires else Const(0, 1)
        if rule.reset == "subtract":
            after: Value = margin
            if back is not None:
                after = _data(len(u), f"after_{p}")
            kept = Mux(fire, after, u)
        elif rule.reset == "zero":
            after, kept = u, Mux(fire, 0, u)
        elif rule.reset in ("once", "none"):
            after = kept = u
        else:
            raise AssertionError(f"reset '{rule.reset}' has no hardware")
        kept = kept if floor is None else _not_below(floor, kept)
        v = Signal.like(u, name=f"v_{p}")
        # A start of 0 is the leak of 0: it goes into the choice before the leak, for no LUT of its
        # own and none in the loop.
        zero = "start" not in self.params.fields
        m.d.comb += v.eq(Mux(scan[1], 0, kept) if zero else kept)
        to = {"u": (u, add)}
        if self.params.fires:
            to["margin"] = (margin, over)
        if back is not None:
            to["after"] = (after, back)
        registers = [r for r, _ in to.values()]
        sums = decayed_sums(
            rule.leak,
            v,
            [a for _, a in to.values()],
            [len(r) for r in registers],
            scan[1],
            None if zero else start,
        )
        with m.If(scan[0]):
            m.d.sync += [r.eq(s) for r, s in zip(registers, sums, strict=True)]
        if rule.reset != "once":
            return u, fire
        fired = Signal(name=f"fired_{p}")
        with m.If(scan[0]):
            m.d.sync += fired.eq(~scan[1] & (fired | fire))
        return u, fire & ~fired

    def _spike(self, m: Module, p: int, end: Value, fire: Value) -> Signal:
        spike = Signal(name=f"spike_{p}")
        if not self.params.rule.delay:
            m.d.sync += spike.eq(fire)
            return spike
        before = Signal(name=f"before_{p}")
        m.d.sync += spike.eq(before & ~end[1])
        with m.If(end[0]):
            m.d.sync += before.eq(fire)
        return spike

    def _logit(
        self, m: Module, p: int, end: Value, v: Value, fire: Value, remaining: Value
    ) -> Value:
        logit = _data(32, f"logit_{p}")
        if self.readout == "membrane":
            m.d.sync += logit.eq(v)
        elif self.readout == "count":
            count = Signal(range(self.params.steps + 1), name=f"count_{p}")
            with m.If(end[0]):
                m.d.sync += count.eq(Mux(end[1], 0, count) + fire)
            return Cat(count, Const(0, 32 - len(count)))
        else:
            found = Signal(name=f"found_{p}")
            seeking = end[1] | ~found
            rank = v + (1 << (RANK_BITS - 1))
            with m.If(end[0]):
                m.d.sync += found.eq(~seeking | fire)
                with m.If(seeking):
                    m.d.sync += logit.eq(rank + Mux(fire, remaining << RANK_BITS, 0))
        return logit.as_unsigned()


def _data(width: int, name: str) -> Signal:
    """A register of numbers. A visit's first step does not look at what was there before, so a
    reset has nothing to do: its net has that many sinks less."""
    return Signal(signed(width), name=name, reset_less=True)


def _not_below(floor: Value, x: Value) -> Value:
    return Mux(x < floor, floor, x)


def _later(m: Module, value: Value, clocks: int) -> Value:
    return delay(m, value, clocks, "register", True)
