"""Another frequency in a finished configuration: only the bits of the PLL change.

Place and route tells which frequency the PLL may have, and its result does not depend on which it
has, so the PLL's dividers are written into the finished text instead of running it once more.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from sterna.gen.board.pins import constraints, wrapper
from sterna.gen.board.place import place, synthesise
from sterna.gen.device.boards import Board
from sterna.gen.device.family import family_of
from sterna.gen.device.pll import PllSetting
from sterna.golden.errors import DesignError

__all__ = ["set_pll"]

_STUB = """\
module stub(input clk, input rst, input uart_clk, input uart_rst, input rx, output tx, output led);
  reg a, b;
  always @(posedge clk) a <= rx & ~rst;
  always @(posedge uart_clk) b <= a & ~uart_rst;
  assign tx = b;
  assign led = a;
endmodule
"""


def set_pll(text: str, board: Board, old: PllSetting, new: PllSetting, folder: Path) -> str:
    """``text`` (placed with the PLL set to ``old``) with the PLL set to ``new``."""
    if old.parameters == new.parameters:
        return text
    pll = family_of(board.family).pll
    if pll is not None and pll.words:
        return _words(text, new.parameters)
    return _difference(text, board, (old, new), folder)


def _words(text: str, parameters: Mapping[str, float]) -> str:
    """ECP5's text has the dividers by name, less one."""
    for name, value in parameters.items():
        text, count = re.subn(
            rf"^word: {name} [01]{{7}}$", f"word: {name} {int(value) - 1:07b}", text, flags=re.M
        )
        if count != 1:
            raise DesignError(f"the configuration has {count} PLLs with {name}, not one")
    return text


def _difference(
    text: str, board: Board, settings: tuple[PllSetting, PllSetting], folder: Path
) -> str:
    """iCE40's text has them as bits of I/O tiles that no tool names: what differs between two small
    designs with the two settings is turned over in ``text``."""
    old, new = (_tiles(_stub(board, s, folder / "pll")) for s in settings)
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    if not all(name.startswith("io_tile ") for name in changed):
        raise DesignError("place and route of the PLL alone is not repeatable; report this")

    def turn(name: str, lines: str) -> str:
        if name not in changed:
            return lines
        bits = zip(lines, old[name], new[name], strict=True)
        return "".join(c if a == b else str(int(c) ^ 1) for c, a, b in bits)

    return _each_tile(text, turn)


def _stub(board: Board, setting: PllSetting, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "pins.v").write_text(wrapper(board, "stub", setting) + _STUB, encoding="utf-8")
    suffix, rules = constraints(board, 20.0)
    (folder / f"pins{suffix}").write_text(rules, encoding="utf-8")
    synthesise(folder, board, ["pins.v"])
    return place(folder, board, 1).text


def _each_tile(text: str, what: Callable[[str, str], str]) -> str:
    return re.sub(
        r"^\.(\w+ \d+ \d+)\n((?:[01]+\n)+)",
        lambda m: f".{m[1]}\n{what(m[1], m[2])}",
        text,
        flags=re.M,
    )


def _tiles(text: str) -> dict[str, str]:
    found: dict[str, str] = {}

    def keep(name: str, lines: str) -> str:
        found[name] = lines
        return lines

    _each_tile(text, keep)
    return found
