"""Where the boxes and arrows of a graph stand: units from the image down to the classes, streams
that pass some of them in lanes on the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Drawing", "Edge", "Node", "drawing"]

WIDTH, HEIGHT, GAP_X, GAP_Y = 214, 56, 28, 30
MARGIN, LANE = 14, 24
NAME, ABOUT = 20, 37
"""Characters that have room in a box."""


@dataclass
class Node:
    """One box. number: its place among the nodes; share: of the clocks of an image; layers: numbers
    of its rows; inputs, outputs: numbers of edges."""

    number: int
    name: str
    kind: str
    x: int
    y: int
    title: str
    about: str
    whole: str
    share: float | None
    layers: list[int]
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Edge:
    """One arrow. path: as SVG has it; buffer: number of its row, None where nothing waits; at:
    where its label stands."""

    number: int
    source: int
    unit: int
    path: str
    buffer: int | None
    at: tuple[int, int] | None
    width: int


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    nodes: list[Node]
    edges: list[Edge]


def drawing(answer: Mapping[str, Any]) -> Drawing:
    """Of a report."""
    units, streams = answer["graph"]["nodes"], answer["graph"]["edges"]
    number = {unit["name"]: n for n, unit in enumerate(units)}
    rank = _ranks(units, streams)
    rows: dict[int, list[int]] = {}
    for unit in units:
        rows.setdefault(rank[unit["name"]], []).append(number[unit["name"]])
    span = max(len(r) for r in rows.values()) * (WIDTH + GAP_X) - GAP_X
    layers = {row["name"]: n for n, row in enumerate(answer["layers"])}
    nodes = [_node(n, unit, answer["layers"], layers) for n, unit in enumerate(units)]
    for at, row in rows.items():
        left = MARGIN + (span - len(row) * (WIDTH + GAP_X) + GAP_X) // 2
        for k, n in enumerate(row):
            nodes[n].x, nodes[n].y = left + k * (WIDTH + GAP_X), MARGIN + at * (HEIGHT + GAP_Y)
    for k, stream in enumerate(streams):
        nodes[number[stream["source"]]].outputs.append(k)
        nodes[number[stream["unit"]]].inputs.append(k)
    pairs = [(rank[s["source"]], rank[s["unit"]]) for s in streams]
    lanes = _lanes(pairs, [s["buffer"] is not None for s in streams])
    edges = _edges(streams, nodes, number, lanes, MARGIN + span)
    count = 1 + max(lanes.values(), default=-1)
    width = 2 * MARGIN + span + count * LANE
    return Drawing(width, 2 * MARGIN + len(rows) * (HEIGHT + GAP_Y) - GAP_Y, nodes, edges)


def _ranks(units: Sequence[Mapping[str, Any]], streams: Sequence[Mapping[str, Any]]) -> Any:
    rank: dict[str, int] = {}
    for unit in units:
        read = [rank[s["source"]] for s in streams if s["unit"] == unit["name"]]
        rank[unit["name"]] = 1 + max(read, default=-1)
    return rank


def _node(
    number: int,
    unit: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    layers: Mapping[str, int],
) -> Node:
    mine = [layers[name] for name in unit["layers"] if name in layers]
    share = max((rows[n]["busy"] for n in mine), default=None)
    size = "x".join(map(str, unit["output"]))
    return Node(
        number=number,
        name=unit["name"],
        kind=unit["op"],
        x=0,
        y=0,
        title=f"{_cut(unit['name'], NAME)}  {size}",
        about=_cut(unit["about"], ABOUT),
        whole=f"{unit['name']}: {size}, {unit['about']}",
        share=share,
        layers=mine,
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _lanes(pairs: Sequence[tuple[int, int]], waits: Sequence[bool]) -> dict[int, int]:
    """A lane for every edge that passes ranks or waits, the short ones inside; two in one lane
    share no rank."""
    long = [n for n, (a, b) in enumerate(pairs) if b - a > 1 or waits[n]]
    taken: list[list[tuple[int, int]]] = []
    out: dict[int, int] = {}
    for n in sorted(long, key=lambda n: (pairs[n][1] - pairs[n][0], pairs[n])):
        a, b = pairs[n]
        free = (k for k, spans in enumerate(taken) if all(b <= c or d <= a for c, d in spans))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((a, b))
        out[n] = lane
    return out


def _edges(
    streams: Sequence[Mapping[str, Any]],
    nodes: Sequence[Node],
    number: Mapping[str, int],
    lanes: Mapping[int, int],
    right: int,
) -> list[Edge]:
    """Edges leave a box below and enter it above, those in lanes at its right side: each at a place
    of its own, the outer lanes further from the middle."""
    out = []
    for k, stream in enumerate(streams):
        a, b = nodes[number[stream["source"]]], nodes[number[stream["unit"]]]
        at = None
        if k not in lanes:
            x, y, u, v = a.x + WIDTH // 2, a.y + HEIGHT, b.x + WIDTH // 2, b.y - 6
            path = f"M{x} {y}C{x} {y + 16} {u} {v - 14} {u} {v}"
        else:
            leaves, enters = (
                sorted((lanes[e], e) for e in mine if e in lanes) for mine in (a.outputs, b.inputs)
            )
            y = a.y + HEIGHT - 8 - _step(leaves, (lanes[k], k))
            v = b.y + 10 + _step(enters, (lanes[k], k))
            x = right + LANE * lanes[k] + LANE // 2 + 4
            path = f"M{a.x + WIDTH} {y}H{x - 6}q6 0 6 6V{v - 6}q0 6 -6 6H{b.x + WIDTH + 6}"
            at = (x, (y + v) // 2)
        out.append(Edge(k, a.number, b.number, path, stream["buffer"], at, stream["width"]))
    return out


def _step(there: Sequence[tuple[int, int]], mine: tuple[int, int]) -> int:
    """How far from the first place."""
    room = (HEIGHT - 18) // 2
    return there.index(mine) * min(9, room // max(1, len(there) - 1) if len(there) > 1 else 9)
