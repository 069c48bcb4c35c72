"""The one description of the register map, and what is made from it.

From `register_map` come the RTL's decoder (`RegisterDecoder`), the machine-readable map
(`csr_json`) and the header for C hosts (`c_header`): they cannot differ.
"""

__all__ = [
    "Access",
    "Field",
    "Register",
    "RegisterDecoder",
    "c_header",
    "csr_json",
    "register_map",
]

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.csr import ADDRESS, ADDRESS_BITS
from sterna.golden.errors import DesignError

STALLS_AT = ADDRESS["stalls"]


class Access(enum.Enum):
    """What a host may do to a field. Writing a register without a writable field is SLVERR."""

    READ = "read"
    WRITE = "read-write"
    CLEAR = "write-1-to-clear"
    PULSE = "write-1-to-act"


@dataclass(frozen=True)
class Field:
    """Bits ``low .. low + width - 1`` of a register. Bits of no field read zero."""

    name: str
    low: int
    width: int
    access: Access
    text: str


@dataclass(frozen=True)
class Register:
    """A 32-bit register at byte address ``address``; ``fields`` from bit 0 up."""

    name: str
    address: int
    text: str
    fields: tuple[Field, ...]
    acts_on_read: bool = False

    @property
    def writable(self) -> bool:
        """A write to it may have an effect; else it is refused."""
        return any(field.access is not Access.READ for field in self.fields)


def _word(name: str, access: Access, text: str, address: int | None = None) -> Register:
    """A register that is one number, at its fixed address unless another is given."""
    at = ADDRESS[name] if address is None else address
    return Register(name, at, text, (Field("value", 0, 32, access, text),))


def register_map(cores: Sequence[str] = (), ram: bool = False) -> tuple[Register, ...]:
    """The registers of a design, by address.

    ``cores`` are the names of the cores with a stall counter, in the order of the counters. ``ram``
    says whether memories can be written at run time: without it the chain's registers do not exist
    (their addresses answer SLVERR) and weights_id is constant.
    """
    identity = Access.WRITE if ram else Access.READ
    reads, writes, clears, acts = Access.READ, Access.WRITE, Access.CLEAR, Access.PULSE
    status = [
        Field("idle", 0, 1, reads, "no image is in flight, and one can start"),
        Field("held", 1, 1, reads, "no image is started"),
        Field("tlast_early", 2, 1, clears, "a packet ended before its image was complete"),
        Field("tlast_late", 3, 1, clears, "a packet went on after its image was complete"),
    ]
    if ram:
        status += [
            Field("crc_busy", 8, 1, reads, "a CRC pass is under way"),
            Field("crc_done", 9, 1, reads, "crc_result is that of the last pass started"),
            Field("crc_error", 10, 1, reads, "the last pass met an address nobody answers"),
        ]
    registers = [
        _word("id", reads, "the letters STRN, S in the low byte"),
        _word("version", reads, "version of this register map"),
        _word("structure_id_lo", reads, "structure_id, low 32 bits"),
        _word("structure_id_hi", reads, "structure_id, high 32 bits"),
        _word("weights_id_lo", identity, "weights_id, low 32 bits; a chain write clears it"),
        _word("weights_id_hi", identity, "weights_id, high 32 bits; a chain write clears it"),
        Register(
            "config",
            ADDRESS["config"],
            "what this design has",
            (
                Field("cores", 0, 16, reads, "cores with a stall counter"),
                Field("regions", 16, 16, reads, "reloadable memories"),
            ),
        ),
        Register(
            "control",
            ADDRESS["control"],
            "commands",
            (
                Field("clear", 0, 1, acts, "set all counters to zero"),
                Field("hold", 1, 1, writes, "start no image while set"),
            ),
        ),
        Register("status", ADDRESS["status"], "state and errors", tuple(status)),
        _word("repeat", writes, "repetitions of the last image still to be started"),
        _word(
            "image_clocks",
            reads,
            "clocks of an image, first input beat to last output beat; one image is measured at "
            "a time, this is the latest",
        ),
        _word("images", reads, "images done"),
        _word(
            "total_clocks",
            reads,
            "clocks from the first input beat since the counters were cleared to the last output "
            "beat of the latest image",
        ),
        Register(
            "dropped",
            ADDRESS["dropped"],
            "packets of a wrong length (their results are flagged)",
            (
                Field("early", 0, 16, reads, "that ended early and were filled with zeros"),
                Field("late", 16, 16, reads, "that went on too long and were cut"),
            ),
        ),
    ]
    registers.append(
        _word("rom_crc", reads, "CRC-32 (zlib) of the fixed memories' words, as in weights.sterna")
    )
    if ram:
        registers += [
            Register(
                "chain_address",
                ADDRESS["chain_address"],
                "where chain_data and the CRC pass read and write",
                (
                    Field("addr", 0, 20, writes, "32-bit word in the region; counts up by itself"),
                    Field("region", 24, 8, writes, "memory"),
                ),
            ),
            Register(
                "chain_data",
                ADDRESS["chain_data"],
                "reads or writes the word at chain_address, which then counts up",
                (Field("value", 0, 32, writes, "the word; never cached"),),
                acts_on_read=True,
            ),
            _word(
                "crc_words",
                writes,
                "a write starts a CRC-32 pass over so many words (21 bits) from chain_address on; "
                "reads the words left",
            ),
            _word("crc_result", reads, "CRC-32 (zlib) of the words' little-endian bytes"),
        ]
    if STALLS_AT + 4 * len(cores) > 1 << ADDRESS_BITS or len(set(cores)) != len(cores):
        raise DesignError(
            f"the {len(cores)} cores need distinct names and at most "
            f"{((1 << ADDRESS_BITS) - STALLS_AT) // 4} counters; name fewer cores"
        )
    registers += [
        _word(f"stall_{core}", reads, f"clocks core {core} had to wait", STALLS_AT + 4 * k)
        for k, core in enumerate(cores)
    ]
    return tuple(registers)


def csr_json(registers: Sequence[Register]) -> dict[str, Any]:
    """The map as plain data, for csr.json: same map, same bytes."""
    return {
        "format": "sterna-csr",
        "version": 1,
        "address_bits": ADDRESS_BITS,
        "data_bits": 32,
        "registers": [
            {
                "name": register.name,
                "address": register.address,
                "writable": register.writable,
                "acts_on_read": register.acts_on_read,
                "description": register.text,
                "fields": [
                    {
                        "name": field.name,
                        "low": field.low,
                        "width": field.width,
                        "access": field.access.value,
                        "description": field.text,
                    }
                    for field in register.fields
                ],
            }
            for register in registers
        ],
    }


def c_header(registers: Sequence[Register], name: str = "sterna") -> str:
    """The map as a C header: byte offsets, and shift and mask of fields smaller than a register.

    ``name`` is the design's, a C identifier; every macro begins with it in capitals.
    """
    prefix = name.upper()
    if not prefix.isidentifier() or not prefix.isascii():
        raise DesignError(f"{name!r} is no C identifier; use letters, digits and underscores")
    lines = [
        "/* Register map, 32-bit registers, byte offsets. Made by Sterna. */",
        f"#ifndef {prefix}_CSR_H",
        f"#define {prefix}_CSR_H",
    ]
    for register in registers:
        macro = f"{prefix}_{register.name.upper()}"
        lines += ["", f"/* {register.text} */", f"#define {macro} 0x{register.address:04x}u"]
        for field in register.fields:
            if field.width == 32:
                continue
            mask = ((1 << field.width) - 1) << field.low
            bits = f"{macro}_{field.name.upper()}"
            lines += [
                f"#define {bits}_SHIFT {field.low}",
                f"#define {bits}_MASK 0x{mask:08x}u /* {field.access.value}: {field.text} */",
            ]
    return "\n".join([*lines, "", f"#endif /* {prefix}_CSR_H */", ""])


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

    def elaborate(self, platform):
        m = Module()
        # One flip-flop a register tells that it is meant: a case over the address cost 1.3 to
        # 1.6 times the LUT4s (benchmarks/control_size.py).
        asked, write, waiting = Signal(), Signal(), Signal()
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
