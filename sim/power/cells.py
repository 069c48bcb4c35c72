"""A netlist as yosys writes it: names that Verilator can trace, bits that its cells drive."""

import re
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["driven", "shortened", "untraced"]

Place = tuple[str, int | None]
"""A bit: its net, its index counted from its range's lowest, as in a SAIF; None of a single one."""
_ROOM = 100  # Verilator hashes longer names, and its tracing fails on what it has hashed
_SPELLED = 7  # letters that it makes of a sign
_NAME = r"\\\S+ |[A-Za-z_][\w$]*"
_ESCAPED = re.compile(r"\\(\S+) ")
_CELL = re.compile(r"  (\w+) (?:#\(|(?:\\\S+ |\w+) ?\()")
_PORT = re.compile(r"    \.(\w+)\((.*)\),?\n?\Z")
_BITS = re.compile(rf"({_NAME})\s*(?:\[(\d+)(?::(\d+))?\])?")
_WIRE = re.compile(rf"  (?:wire|reg|output|input|inout) \[(\d+):(\d+)\] ({_NAME})")


def shortened(netlist: str) -> str:
    """The netlist with short names instead of too long ones. They keep what stands before their
    first dot: the part of the design that they are in."""
    names: dict[str, str] = {}

    def short(found: re.Match[str]) -> str:
        name = found[1]
        if sum(1 if c.isalnum() or c == "_" else _SPELLED for c in name) <= _ROOM:
            return found[0]
        head, dot, _ = name.partition(".")
        return names.setdefault(name, f"\\{head + dot if dot else ''}long{len(names)} ")

    return _ESCAPED.sub(short, netlist)


def untraced(models: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """(file name, text) of cell models, without waves of what is inside the cells."""
    return tuple((name, f"/*verilator tracing_off*/\n{text}") for name, text in models)


def driven(netlist: str, models: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[Place]]]:
    """Of every cell its type and the bits that it drives."""
    outputs = _outputs("".join(text for _, text in models))
    ranges = {
        m[3].strip().lstrip("\\"): range(int(m[2]), int(m[1]) + 1) for m in _WIRE.finditer(netlist)
    }
    kind, drives, ports = "", [], False
    for line in netlist.splitlines():
        if found := _PORT.match(line):
            if ports and found[1] in outputs.get(kind, ()):
                drives += _places(found[2], ranges)
        elif line.startswith("  ) "):  # behind its parameters
            ports = True
        elif line == "  );":
            if kind:
                yield kind, drives
            kind, drives = "", []
        elif (found := _CELL.match(line)) and found[1] in outputs:
            kind, drives, ports = found[1], [], not line.endswith("#(")


def _outputs(models: str) -> dict[str, set[str]]:
    """Names of the output ports of each module."""
    found: dict[str, set[str]] = {}
    for module in re.finditer(r"^module (\w+)\b(.*?)^endmodule", models, re.M | re.S):
        # A declaration goes on until the next word of Verilog's, or its end.
        declared = re.findall(
            r"\boutput\b((?:\s*(?:reg|wire|signed|\[[^\]]*\]|,?\s*(?!input|output|inout)\w+))+)",
            re.sub(r"//[^\n]*", "", module[2]),
        )
        words = set(re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", " ".join(declared))))
        found[module[1]] = words - {"reg", "wire", "signed"}
    return found


def _places(given: str, ranges: Mapping[str, range]) -> list[Place]:
    places: list[Place] = []
    for found in _BITS.finditer(given):
        name = found[1].strip().lstrip("\\")
        there = ranges.get(name, range(1))
        wanted = there
        if found[2] is not None:
            wanted = range(int(found[3] or found[2]), int(found[2]) + 1)
        # A range of one bit is a net of one bit to Verilator.
        places += [(name, None if len(there) == 1 else k - there.start) for k in wanted]
    return places
