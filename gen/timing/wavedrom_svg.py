"""Timing diagrams as SVG: of WaveJSON what `gen.timing.wavejson` writes.

That is rows of 'p', '0', '1', 'x', '=', '.' and '|', labels of '=', groups of rows and the numbers
of clocks. Colours are the page's, where it has them; a file of its own brings light and dark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sterna.gen.timing.wavejson import clocks_of, lanes_of

__all__ = ["svg"]

ROW, HIGH, SLOPE = 26, 16, 3
"""Height of a row, of a signal in it, and how much of a brick a change takes."""
HEAD = 30
"""Height of what stands above the rows."""
DIGIT = 7.3
"""Width of a digit, of a letter of a name."""

STYLE = """
.wave{--w-ink:var(--ink,light-dark(#1b2027,#e6e9ee));--w-soft:var(--soft,light-dark(#566070,#a3adba));
--w-line:var(--line,light-dark(#d8dde4,#363d47));--w-bg:var(--bg,light-dark(#fff,#14171c));
--w-fill:var(--blue-soft,light-dark(#d9ebf6,#173b52));--w-blue:var(--blue,light-dark(#0072b2,#56b4e9))}
.wave text{font:12px ui-monospace,"SFMono-Regular",Menlo,Consolas,monospace;fill:var(--w-ink)}
.wave .tick{font-size:10px;fill:var(--w-soft)}
.wave .grid{stroke:var(--w-line);stroke-width:1;stroke-dasharray:2 2}
.wave .net{fill:none;stroke:var(--w-ink);stroke-width:1.3;stroke-linejoin:round}
.wave .clock{stroke:var(--w-soft)}
.wave .bus{fill:var(--w-fill);stroke:var(--w-blue);stroke-width:1.3}
.wave .unknown{fill:var(--w-line);stroke:none;opacity:.75}
.wave .gap{fill:var(--w-bg)}
.wave .cut{fill:none;stroke:var(--w-soft);stroke-width:1}
.wave .group{fill:none;stroke:var(--w-soft);stroke-width:1}
"""


def svg(wave: Mapping[str, Any], alone: bool = False) -> Markup:
    """A WaveJSON's picture, an ``svg`` element.

    Args:
        alone: for a file of its own, which brings `STYLE`; a page has it once.
    """
    rows = lanes_of(wave)
    clocks = clocks_of(wave)
    ticks = [_tick(clocks, k) for k in range(len(clocks))]
    longest = max((len(v) for row in rows for v in row.get("data", ())), default=0)
    brick = max(30.0, longest * DIGIT + 2 * SLOPE + 6, max(map(len, ticks)) * 6.0 + 8)
    grouped = any(isinstance(row, list) for row in wave["signal"])
    left = max(len(row["name"]) for row in rows) * DIGIT + 14 + 74 * grouped
    width, height = left + brick * len(ticks) + 8, HEAD + ROW * len(rows) + 8
    title = wave["head"]["text"]
    out = [
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="wave" width="{w}" height="{h}" '
            'viewBox="0 0 {w} {h}" role="img" aria-label="{title}">'
        ).format(w=_n(width), h=_n(height), title=title)
    ]
    if alone:
        out.append(Markup("<style>svg{{color-scheme:light dark}}{}</style>").format(Markup(STYLE)))
        out.append(Markup('<rect class="gap" width="100%" height="100%"/>'))
    out.append(_ticks(ticks, left, brick, height))
    y = HEAD
    for row in rows:
        out.append(_text(left - 8, y + HIGH - 3, row["name"], "name", "end"))
        out.append(_net(row, left, y, brick))
        y += ROW
    out += _groups(wave["signal"][1:], HEAD)
    out += [_cut(left + k * brick, height, brick) for k, c in enumerate(clocks) if c is None]
    return Markup("").join([*out, Markup("</svg>")])


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> Markup:
    form = '<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>'
    return Markup(form).format(kind, _n(x), _n(y), anchor, text)


def _tick(clocks: Sequence[int | None], brick: int) -> str:
    """The number of a clock; of a gap how many it stands for."""
    clock = clocks[brick]
    if clock is not None:
        return str(clock)
    before, behind = clocks[brick - 1], clocks[brick + 1]
    return "" if before is None or behind is None else f"+{behind - before - 1:,}"


def _ticks(ticks: Sequence[str], left: float, brick: float, height: float) -> Markup:
    out = []
    for k, tick in enumerate(ticks):
        x = left + k * brick
        path = f"M{_n(x)} {HEAD - 6}V{_n(height - 6)}"
        out.append(Markup('<path class="grid" d="{}"/>').format(path))
        out.append(_text(x + brick / 2, HEAD - 12, tick, "tick", "middle"))
    return Markup("").join(out)


def _net(row: Mapping[str, Any], left: float, y: float, brick: float) -> Markup:
    """A row's line and boxes: stretches of one value each."""
    if row["wave"][0] == "p":
        return _clock(len(row["wave"]), left, y, brick)
    labels = iter(row.get("data", ()))
    stretches: list[tuple[str, str, int, int]] = []  # mark, label, first brick, bricks
    for k, mark in enumerate(row["wave"]):
        if mark in ".|" and stretches:
            mark, label, first, bricks = stretches.pop()
            stretches.append((mark, label, first, bricks + 1))
        else:
            stretches.append((mark, next(labels) if mark == "=" else "", k, 1))
    out, line = [], ""
    for mark, label, first, bricks in stretches:
        start, end = left + first * brick, left + (first + bricks) * brick
        if mark in "01":
            level = y + (0 if mark == "1" else HIGH)
            line += f"{'L' if line else 'M'}{_n(start + (SLOPE if line else 0))} {level}H{_n(end)}"
            continue
        if line:
            out.append(_path("net", line))
            line = ""
        out.append(_path("bus" if mark == "=" else "unknown", _box(start, end, y)))
        if label:
            shown = min(bricks, 1 if "|" in row["wave"][first : first + bricks] else bricks)
            out.append(_text(start + shown * brick / 2, y + HIGH - 4, label, "label", "middle"))
    if line:
        out.append(_path("net", line))
    return Markup("").join(out)


def _path(kind: str, path: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(kind, path)


def _box(start: float, end: float, y: float) -> str:
    middle, low, in_, out = _n(y + HIGH / 2), y + HIGH, _n(start + SLOPE), _n(end - SLOPE)
    upper = f"M{_n(start)} {middle}L{in_} {y}H{out}L{_n(end)} {middle}"
    return f"{upper}L{out} {low}H{in_}Z"


def _clock(bricks: int, left: float, y: float, brick: float) -> Markup:
    path = f"M{_n(left)} {y + HIGH}"
    for k in range(bricks):
        x = left + k * brick
        path += f"V{y}H{_n(x + brick / 2)}V{y + HIGH}H{_n(x + brick)}"
    return _path("net clock", path)


def _groups(signal: list[Any], y: int) -> list[Markup]:
    """A bracket and its name left of the rows of each group."""
    out = []
    for row in signal:
        if isinstance(row, list):
            rows = len(row) - 1
            end = y + rows * ROW - (ROW - HIGH)
            out.append(_path("group", f"M72 {y}H68V{end}H72"))
            out.append(_text(64, (y + end) / 2 + 4, str(row[0]), "tick", "end"))
            y += rows * ROW
        else:
            y += ROW
    return out


def _cut(x: float, height: float, brick: float) -> Markup:
    """A band across all rows where clocks are cut."""
    middle, top, bottom = x + brick / 2, HEAD - 4, height - 6
    waves = "".join(
        f"M{_n(middle + at)} {top}" + f"q4 {ROW / 4:g} 0 {ROW / 2:g}t0 {ROW / 2:g}" * _rows(height)
        for at in (-4, 4)
    )
    band = f"M{_n(middle - 4)} {top}H{_n(middle + 4)}V{_n(bottom)}H{_n(middle - 4)}Z"
    return _path("gap", band) + _path("cut", waves)


def _rows(height: float) -> int:
    return int((height - HEAD) // ROW)
