"""The register map for others: csr.json, and a header for C hosts."""

from collections.abc import Sequence
from typing import Any

from sterna.golden.device.csr import ADDRESS_BITS
from sterna.golden.errors import DesignError
from sterna.hw.control.registers import RULES, Access, Field, Register

__all__ = ["c_header", "csr_json", "registers_of"]


def csr_json(registers: Sequence[Register]) -> dict[str, Any]:
    """The map as plain data, for csr.json: same map, same bytes."""
    return {
        "format": "sterna-csr",
        "version": 1,
        "address_bits": ADDRESS_BITS,
        "data_bits": 32,
        "rules": list(RULES),
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


def registers_of(body: dict[str, Any]) -> tuple[Register, ...]:
    """The map that `csr_json` made ``body`` of."""
    return tuple(
        Register(
            row["name"],
            row["address"],
            row["description"],
            tuple(
                Field(f["name"], f["low"], f["width"], Access(f["access"]), f["description"])
                for f in row["fields"]
            ),
            row["acts_on_read"],
        )
        for row in body["registers"]
    )


def c_header(registers: Sequence[Register], name: str = "sterna") -> str:
    """The map as a C header: byte offsets, and shift and mask of fields smaller than a register.

    ``name`` is the design's, a C identifier; every macro begins with it in capitals.
    """
    prefix = name.upper()
    if not prefix.isidentifier() or not prefix.isascii():
        raise DesignError(f"{name!r} is no C identifier; use letters, digits and underscores")
    lines = [
        "/* Register map, 32-bit registers, byte offsets. Made by Sterna.",
        *(f" * {rule}" for rule in RULES),
        " */",
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
