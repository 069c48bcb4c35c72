"""The decoder of the register map: addresses to values and strobes."""

from collections.abc import Collection, Sequence

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.device.csr import ADDRESS_BITS
from sterna.hw.control.registers import Access, Register

__all__ = ["RegisterDecoder"]


class RegisterDecoder(wiring.Component):
    """Chooses a register by its address: values in, read data and write strobes out.

    Everything leaves two clocks after ``request``: ``decided``; ``rdata`` and ``hit`` (the address
    has a register, and of a write one with a writable field), which stay; and the strobe of the one
    register addressed, for one clock.

    ``late``: names of registers, none of them writable, that have one value together: that of the
    one addressed, at some time after the address. For them everything waits for ``late_ready``.

    Members
    -------
    request : in, one clock
    write : in
    address : in, 14 bits, in words
    decided : out, one clock
    rdata : out, 32 bits
    hit : out
    <register>_<field> : in, ``field.width`` bits, the value a read returns; PULSE fields and late
        registers have none
    late_value, late_ready : in, 32 bits, and that they are those of the address's register
    <register>_written : out, of registers with a writable field
    <register>_read : out, of registers with ``acts_on_read``
    """

    def __init__(self, registers: Sequence[Register], late: Collection[str] = ()):
        self.registers = tuple(r for r in registers if r.name not in late)
        self.late = tuple(r for r in registers if r.name in late)
        members = {
            "request": In(1),
            "write": In(1),
            "address": In(ADDRESS_BITS - 2),
            "decided": Out(1),
            "rdata": Out(32),
            "hit": Out(1),
        }
        for register in self.registers:
            for field in register.fields:
                if field.access is not Access.PULSE:
                    members[f"{register.name}_{field.name}"] = In(field.width)
            if register.writable:
                members[f"{register.name}_written"] = Out(1)
            if register.acts_on_read:
                members[f"{register.name}_read"] = Out(1)
        if self.late:
            members |= {"late_value": In(32), "late_ready": In(1)}
        super().__init__(members)

    def elaborate(self, platform: object):
        m = Module()
        # One flip-flop a register tells that it is meant: a case over the address cost 1.3 to
        # 1.6 times the LUT4s (benchmarks/control_size.py).
        asked = Signal()
        write = Signal()
        waiting = Signal()
        m.d.sync += [self.decided.eq(asked), write.eq(self.write)]
        data, hit = Const(0, 32), Const(0, 1)
        if self.late:
            meant = Signal(name="meant_late")
            m.d.sync += meant.eq(Cat(self.address == r.address // 4 for r in self.late).any())
            m.d.sync += waiting.eq(self.request | waiting & ~asked)
            m.d.comb += asked.eq(waiting & (~meant | self.late_ready))
            data, hit = self.late_value & meant.replicate(32), meant & ~write
        else:
            m.d.sync += asked.eq(self.request)
        for register in self.registers:
            meant = Signal(name=f"meant_{register.name}")
            m.d.sync += meant.eq(self.address == register.address // 4)
            if register.writable:
                m.d.sync += getattr(self, f"{register.name}_written").eq(asked & meant & write)
            if register.acts_on_read:
                m.d.sync += getattr(self, f"{register.name}_read").eq(asked & meant & ~write)
            data = data | self._value(register) & meant.replicate(32)
            hit = hit | meant & (1 if register.writable else ~write)
        with m.If(asked):
            m.d.sync += [self.rdata.eq(data), self.hit.eq(hit)]
        return m

    def _value(self, register: Register):
        parts, at = [], 0
        for field in sorted(register.fields, key=lambda field: field.low):
            parts.append(Const(0, field.low - at))
            if field.access is Access.PULSE:
                parts.append(Const(0, field.width))
            else:
                parts.append(getattr(self, f"{register.name}_{field.name}"))
            at = field.low + field.width
        return Cat(*parts)
