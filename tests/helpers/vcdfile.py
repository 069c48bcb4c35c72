"""What a VCD says: its names, values at every rising edge of its clock, toggles. pyvcd's reader
stops at the scope ``$rootio``, as Verilator calls a model without a name."""

from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["names", "samples", "toggles"]


def names(path: Path) -> dict[str, tuple[str, int]]:
    """Code and bits of each signal, by its path with dots, its range left out."""
    found, scopes = {}, []
    with path.open() as file:
        for line in file:
            word, *rest = line.split() or [""]
            if word == "$scope":
                scopes.append(rest[1])
            elif word == "$upscope":
                scopes.pop()
            elif word == "$var":
                found[".".join([*scopes, rest[3]])] = rest[2], int(rest[1])
            elif word == "$enddefinitions":
                return found
    raise AssertionError(f"{path} has no end of its definitions")


def samples(path: Path, scope: str, wanted: Iterable[str]) -> Iterator[dict[str, int]]:
    """Values just before each rising edge of ``scope``.clk, by their names in that scope."""
    known = names(path)
    codes = {name: known[f"{scope}.{name}"][0] for name in (*wanted, "clk")}
    now: dict[str, int] = dict.fromkeys(codes.values(), 0)
    before, clock, late = dict(now), codes["clk"], 1
    with path.open() as file:
        for line in file:
            if line[0] == "#":
                if now[clock] and not late:
                    yield {name: before[code] for name, code in codes.items()}
                late, before = now[clock], dict(now)
            elif line[0] in "01" and line[1:-1] in now:
                now[line[1:-1]] = int(line[0])
            elif line[0] == "b":
                value, code = line[1:].split()
                if code in now:
                    now[code] = int(value, 2)


def toggles(path: Path) -> dict[str, list[int]]:
    """How often each bit of each signal changed, lowest first, by the signal's path with dots;
    before the first values all are 0."""
    known = names(path)
    now = {code: 0 for code, _ in known.values()}
    found = {code: [0] * size for code, size in known.values()}
    with path.open() as file:
        for line in file:
            if line[0] == "b":
                value, code = line[1:].split()
            elif line[0] in "01":
                value, code = line[0], line[1:-1]
            else:
                continue
            new = int(value, 2)
            changed = new ^ now[code]
            now[code] = new
            while changed:
                low = changed & -changed
                found[code][low.bit_length() - 1] += 1
                changed ^= low
    return {name: found[code] for name, (code, _) in known.items()}
