"""The one description of the register map: names, addresses, fields and what each is for.

From `register_map` come the RTL's decoder (`hw.control.decoder`), and the machine-readable map and
the header for C hosts (`hw.control.register_files`): they cannot differ.
"""

__all__ = ["RULES", "Access", "Field", "Register", "register_map"]

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from sterna.golden.device.csr import ADDRESS, ADDRESS_BITS
from sterna.golden.errors import DesignError
from sterna.hw.memory.chain_master import PATIENCE

STALLS_AT = ADDRESS["stalls"]
RULES = (
    "An access to an address without a register answers SLVERR, and so does a write to a register "
    "that is only read.",
    "A write with some of its byte strobes off answers SLVERR; one with all of them off does "
    "nothing, and answers OKAY at any address.",
    "The two low bits of an address count for nothing.",
    "What answers SLVERR has no effect but what its description says.",
)
"""Of accesses to any register; what else a register refuses is in its description."""


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
    if STALLS_AT + 4 * len(cores) > 1 << ADDRESS_BITS or len(set(cores)) != len(cores):
        raise DesignError(
            f"the {len(cores)} cores need distinct names and at most "
            f"{((1 << ADDRESS_BITS) - STALLS_AT) // 4} counters; name fewer cores"
        )
    stalls = [
        _word(f"stall_{core}", Access.READ, f"clocks core {core} had to wait", STALLS_AT + 4 * k)
        for k, core in enumerate(cores)
    ]
    return (
        *_identity(ram),
        *_commands(ram),
        *_measurements(),
        *(_chain() if ram else ()),
        *stalls,
    )


def _identity(ram: bool) -> list[Register]:
    """What the design is."""
    reads = Access.READ
    identity = Access.WRITE if ram else reads
    loaded = ""
    if ram:
        loaded = (
            "; a chain write clears it, and who writes it, at any time, vouches for the weights"
        )
    return [
        _word("id", reads, "the letters STRN, S in the low byte"),
        _word("version", reads, "version of this register map, major in the high half"),
        _word("structure_id_lo", reads, "structure_id, low 32 bits"),
        _word("structure_id_hi", reads, "structure_id, high 32 bits"),
        _word("weights_id_lo", identity, f"weights_id, low 32 bits{loaded}"),
        _word("weights_id_hi", identity, f"weights_id, high 32 bits{loaded}"),
        Register(
            "config",
            ADDRESS["config"],
            "what this design has",
            (
                Field("cores", 0, 16, reads, "cores with a stall counter"),
                Field("regions", 16, 16, reads, "reloadable memories"),
            ),
        ),
    ]


def _commands(ram: bool) -> list[Register]:
    """What it is to do, and how it stands."""
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
    return [
        Register(
            "control",
            ADDRESS["control"],
            "commands",
            (
                Field(
                    "clear",
                    0,
                    1,
                    acts,
                    "set all counters to zero; images then in flight are not counted",
                ),
                Field("hold", 1, 1, writes, "start no image while set"),
            ),
        ),
        Register("status", ADDRESS["status"], "state and errors", tuple(status)),
        _word(
            "repeat",
            writes,
            "repetitions of the last image still to be started, each with the flags of its length; "
            "one that is coming in is completed first, and is the last then; SLVERR where no whole "
            "image has come in since the reset",
        ),
    ]


def _measurements() -> list[Register]:
    reads = Access.READ
    return [
        _word(
            "image_clocks",
            reads,
            "clocks of an image, first input beat to last output beat; one image is measured at "
            "a time, this is the latest",
        ),
        _word("images", reads, "images done, of those that began since the counters were cleared"),
        _word(
            "total_clocks",
            reads,
            "clocks from the first input beat since the counters were cleared to the last output "
            "beat of the latest image counted",
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
        _word("rom_crc", reads, "CRC-32 (zlib) of the fixed memories' words, as in weights.sterna"),
    ]


def _chain() -> list[Register]:
    """Of memories that can be written."""
    reads, writes = Access.READ, Access.WRITE
    return [
        Register(
            "chain_address",
            ADDRESS["chain_address"],
            "where chain_data and the CRC pass read and write; SLVERR during a CRC pass",
            (
                Field("addr", 0, 20, writes, "32-bit word in the region; counts up by itself"),
                Field("region", 24, 8, writes, "memory"),
            ),
        ),
        Register(
            "chain_data",
            ADDRESS["chain_data"],
            "reads or writes the word at chain_address, which then counts up; SLVERR while an "
            "image is in flight, during a CRC pass, and where the word does not come back within "
            f"{PATIENCE:,} clocks, so of one that no memory has "
            "(whose write clears weights_id all the same)",
            (Field("value", 0, 32, writes, "the word; never cached"),),
            acts_on_read=True,
        ),
        _word(
            "crc_words",
            writes,
            "a write starts a CRC-32 pass over so many words (21 bits) from chain_address on; "
            "reads the words left; SLVERR while an image is in flight, during a CRC pass, and of "
            "more words",
        ),
        _word("crc_result", reads, "CRC-32 (zlib) of the words' little-endian bytes"),
    ]
