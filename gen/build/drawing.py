"""The graph of a design as SVG: its cores, the streams between them, the buffers they wait in."""

from dataclasses import dataclass
from html import escape

from sterna.gen.design.design import BranchDesign, Design
from sterna.gen.design.graph import unit_of, weighted_inputs
from sterna.golden.network import Input, Merge, Network, NeuronNode, Node, Pool

__all__ = ["draw", "waits_for"]

WIDTH, HEIGHT, GAP_X, GAP_Y = 200, 46, 40, 34
BULGE, LABEL = 34, 248  # of an edge that passes ranks; width of a buffer's label


@dataclass(frozen=True)
class _Edge:
    source: str
    unit: str
    branch: BranchDesign


def waits_for(network: Network, branch: BranchDesign) -> list[str]:
    """The streams that the beats in a branch's buffer wait for: the other inputs of the first
    place on their way where several meet."""
    mine = _below(network, branch.reader)
    for name in network.order:
        node = network[name]
        if name not in mine or len(node.inputs) < 2:
            continue
        if name == branch.reader:
            ports = [i for n, i in enumerate(node.inputs) if n != branch.port]
        else:
            ports = [i for i in node.inputs if i not in mine]
        if ports:
            return [_stream(network, i) for i in ports]
    return []


def _below(network: Network, name: str) -> set[str]:
    """``name`` and everything computed from it."""
    found = {name}
    for other in network.order:
        if any(i in found for i in network[other].inputs):
            found.add(other)
    return found


def _stream(network: Network, name: str) -> str:
    """A weighted sum is no stream of its own: it comes with the stream it reads."""
    if not network.is_weighted(name):
        return name
    return f"{network.sums(name).weighted.input} through {name}"


def draw(network: Network, design: Design) -> str:
    """SVG text: boxes are cores from the image down to the logits, lines are streams; a branch that
    waits carries its buffer's depth, width, storage and what it waits for."""
    units = [n for n in network.order if not network.is_weighted(n)]
    edges = [_Edge(b.source, unit_of(network, b.reader), b) for b in design.branches]
    rank: dict[str, int] = {}
    for name in units:
        rank[name] = 1 + max((rank[e.source] for e in edges if e.unit == name), default=-1)
    rows: dict[int, list[str]] = {}
    for name in units:
        rows.setdefault(rank[name], []).append(name)
    span = max(len(r) for r in rows.values()) * (WIDTH + GAP_X) - GAP_X
    place = {
        name: (
            20 + (span - len(row) * (WIDTH + GAP_X) + GAP_X) // 2 + n * (WIDTH + GAP_X),
            20 + r * (HEIGHT + GAP_Y),
        )
        for r, row in rows.items()
        for n, name in enumerate(row)
    }
    lanes = _lanes(edges, rank)
    right = 20 + span + BULGE * (1 + max(lanes.values(), default=-1))
    body = [_line(e, place, lanes.get(n), 20 + span) for n, e in enumerate(edges)]
    body += [_box(network, design, name, *place[name]) for name in units]
    low = 0  # labels stand beside their readers, but never on one another
    for e in sorted(edges, key=lambda e: place[e.unit][1]):
        if e.branch.buffer is not None:
            y = max(low, place[e.unit][1] - 24)
            body.append(_label(network, e, right, y))
            low = y + 42
    wide = right + (LABEL + 20 if design.buffers else 20)
    high = max(low, 20 + len(rows) * (HEIGHT + GAP_Y))
    style = (
        "text{font:12px sans-serif;fill:#222}.s{font-size:10px;fill:#555}"
        ".n{fill:#eef4fb;stroke:#4a78a8}.p{fill:#f3f3f3;stroke:#888}.m{fill:#fdf1e0;stroke:#c98a2b}"
        ".b{fill:#e9f7ec;stroke:#3c9a54}.e{fill:none;stroke:#777;stroke-width:1.4}"
        ".k{stroke:#3c9a54;stroke-width:2}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" role="img" aria-label="graph of {escape(network.name)}">'
        f"<style>{style}</style>" + "".join(body) + "</svg>\n"
    )


def _lanes(edges: list[_Edge], rank: dict[str, int]) -> dict[int, int]:
    """A lane on the right for every edge that passes ranks or waits; short ones inside."""
    long = [
        n
        for n, e in enumerate(edges)
        if rank[e.unit] - rank[e.source] > 1 or e.branch.buffer is not None
    ]
    taken: list[list[tuple[int, int]]] = []
    out: dict[int, int] = {}
    for n in sorted(long, key=lambda n: rank[edges[n].unit] - rank[edges[n].source]):
        a, b = rank[edges[n].source], rank[edges[n].unit]
        for lane, spans in enumerate([*taken, []]):
            if all(b <= c or d <= a for c, d in spans):
                if lane == len(taken):
                    taken.append([])
                taken[lane].append((a, b))
                out[n] = lane
                break
    return out


def _line(e: _Edge, place: dict[str, tuple[int, int]], lane: int | None, right: int) -> str:
    (ax, ay), (bx, by) = place[e.source], place[e.unit]
    kind = "e k" if e.branch.buffer is not None else "e"
    if lane is None:
        a, b = (ax + WIDTH // 2, ay + HEIGHT), (bx + WIDTH // 2, by)
        path = f"M{a[0]} {a[1]}C{a[0]} {a[1] + 18} {b[0]} {b[1] - 18} {b[0]} {b[1]}"
    else:
        out = right + BULGE * (lane + 1) - BULGE // 2
        a, b = (ax + WIDTH, ay + HEIGHT - 10), (bx + WIDTH, by + 10)
        path = f"M{a[0]} {a[1]}H{out - 8}q8 0 8 8V{b[1] - 8}q0 8 -8 8H{b[0]}"
    return f'<path class="{kind}" d="{path}"/>'


def _box(network: Network, design: Design, name: str, x: int, y: int) -> str:
    node = network[name]
    kind = {"merge": "m", "pool": "p", "input": "p"}.get(node.op, "n")
    channels, height, width = network.shape[name]
    lines = [f"{name}: {channels}x{height}x{width}", _about(network, design, node)]
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + 10}" y="{y + 19}">{escape(lines[0])}</text>'
        f'<text class="s" x="{x + 10}" y="{y + 36}">{escape(lines[1])}</text>'
    )


def _about(network: Network, design: Design, node: Node) -> str:
    if isinstance(node, Input):
        counts = node.coding == "frames" and node.bits > 1
        image = f"frames of {node.bits} bits" if counts else f"{node.coding} image"
        return f"{image}, T = {network.steps}"
    if isinstance(node, NeuronNode):
        cores = [design.core(name) for name in weighted_inputs(network, node)]
        if len(node.inputs) == 1:
            return f"{cores[0].name}: PE {cores[0].pe}, SIMD {cores[0].simd}, TP {cores[0].tp}"
        parts = [f"{c.name} {c.pe} x {c.simd} x {c.tp}" for c in cores]
        parts += ["+ spikes"] * (len(node.inputs) - len(parts))
        return ", ".join(parts)
    if isinstance(node, Pool):
        return f"{node.mode} pool {node.kernel[0]}x{node.kernel[1]}"
    return f"{node.mode} of {len(node.inputs)}" if isinstance(node, Merge) else node.op


def _label(network: Network, e: _Edge, right: int, y: int) -> str:
    buffer, width = e.branch.buffer, e.branch.given.edge.width
    assert buffer is not None
    waits = ", ".join(waits_for(network, e.branch)) or "its reader"
    lines = (
        f"{e.source} to {e.unit}: {buffer.depth} x {width} bits",
        f"{buffer.bits} bits of {buffer.kind}; least {buffer.min_no_deadlock}, full rate "
        f"{buffer.min_full_rate}",
        f"waits for {waits}",
    )
    text = "".join(
        f'<text class="s" x="{right + 6}" y="{y + 11 + 11 * n}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<rect class="b" x="{right}" y="{y}" width="{LABEL}" height="38" rx="3"/>{text}'
        f"<title>{escape(' / '.join(lines))}</title>"
    )
