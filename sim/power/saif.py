"""A SAIF file as Verilator writes it, read back: how often every bit changed.

Strict: a line that Verilator does not write is refused, as is a file without its end.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from sterna.golden.errors import FileError

__all__ = ["Bit", "Saif", "bits"]

_HEAD = (
    r"\(SAIFILE",
    r'\(SAIFVERSION "2\.0"\)',
    r'\(DIRECTION "backward"\)',
    r'\(PROGRAM_NAME "[^"]*"\)',
    r"\(DIVIDER / \)",
    r"\(TIMESCALE (?P<unit>\d+ ?[munpf]?s)\)",
    r"\(DURATION (?P<duration>\d+)\)",
)
_BIT = re.compile(r"\((\S+) \(T0 (\d+)\) \(T1 (\d+)\) \(TZ 0\) \(TX 0\) \(TB 0\) \(TC (\d+)\)\)\Z")
_PLACE = re.compile(r"(.+)\\\[(\d+)\\\]\Z")
_LONGEST = 1 << 16  # characters of a line


@dataclass(frozen=True)
class Bit:
    """A bit of a net. scope: its instances, outermost first; index: None of a net of one bit; high:
    time at 1; toggles: how often it changed, where it is taken for 0 before the first moment."""

    scope: tuple[str, ...]
    name: str
    index: int | None
    high: int
    toggles: int


@dataclass(frozen=True)
class Saif:
    """The head of a file: ``unit`` of time, ``duration`` in it; ``path``."""

    path: Path
    unit: str
    duration: int

    @classmethod
    def of(cls, path: Path) -> "Saif":
        """FileError: no file, or no SAIF of Verilator's."""
        lines = _lines(path)
        return cls(path, *_head(path, lines))

    def bits(self) -> Iterator[Bit]:
        """All bits, in the file's order; FileError where a line is not as it should be."""
        return bits(self.path)


def bits(path: Path) -> Iterator[Bit]:
    """All bits of a file, as `Saif.bits`."""
    lines = _lines(path)
    _, duration = _head(path, lines)
    scope: list[str] = []
    in_nets, ended = False, False
    for number, line in lines:
        if ended:
            raise _wrong(path, number, line)
        if line == ")":
            if in_nets:
                in_nets = False
            elif scope:
                scope.pop()
            else:
                ended = True
        elif in_nets:
            yield _bit(path, number, line, tuple(scope), duration)
        elif line == "(NET" and scope:
            in_nets = True
        elif line.startswith("(INSTANCE ") and len(line.split()) == 2:
            scope.append(line.split()[1])
        else:
            raise _wrong(path, number, line)
    if not ended:
        raise FileError(f"{path}: ends too early; make it again with `sterna power`")


def _bit(path: Path, number: int, line: str, scope: tuple[str, ...], duration: int) -> Bit:
    found = _BIT.match(line)
    if found is None or int(found[2]) + int(found[3]) != duration:
        raise _wrong(path, number, line)
    place = _PLACE.match(found[1])
    name, index = (place[1], int(place[2])) if place else (found[1], None)
    return Bit(scope, name, index, int(found[3]), int(found[4]))


def _head(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[str, int]:
    known: dict[str, str] = {}
    for pattern in _HEAD:
        number, line = next(lines, (0, ""))
        found = re.fullmatch(pattern, line)
        if found is None:
            raise _wrong(path, number, line)
        known |= found.groupdict()
    return known["unit"], int(known["duration"])


def _lines(path: Path) -> Generator[tuple[int, str]]:
    """Its lines that are no comments, with their numbers, no spaces around them."""
    try:
        with path.open(encoding="utf-8") as file:
            number = 0
            while line := file.readline(_LONGEST):
                number += 1
                if not line.startswith("//"):
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise FileError(f"{path}: {reason}; make it again with `sterna power`") from None


def _wrong(path: Path, number: int, line: str) -> FileError:
    shown = repr(line[:60]) if number else "its end"
    where = f"line {number}, " if number else ""
    return FileError(
        f"{path}: {where}{shown} is not as Verilator writes SAIF; make it again with `sterna power`"
    )
