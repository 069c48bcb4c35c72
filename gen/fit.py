"""A design that does not fit a board: which layer is too big, and which folding would fit."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sterna.gen.boards import Board
from sterna.gen.design import Design
from sterna.gen.fold import fold, legal_folding
from sterna.gen.stages import Build
from sterna.golden.errors import DesignError

__all__ = ["layer_cells", "smaller_folding", "too_big"]

Used = Mapping[str, tuple[int, int]]
TRIES = 3
ROOM = 0.95
"""How much less a folding must take than one for which there was no place."""
_RESOURCE = {"lut": "logic cells", "ff": "flip-flops", "bram": "block RAMs"}
_BLOCKS = ("DP16KD", "SB_RAM40_4K")
_NO_CELL = ("$scopeinfo", "SB_CARRY")


def layer_cells(netlist: Mapping[str, Any], design: Design, resource: str) -> Counter[str]:
    """Cells of a netlist by layer; ``link`` is the board's share, ``control`` the registers.

    A cell is a layer's if its hierarchical name runs through the layer's module; a LUT has the name
    of the signal it drives. For flip-flops and LUTs the larger number counts: a logic cell has one
    of each.
    """
    names = {c.name for c in design.cores} | {"control", "link"}
    counts: dict[str, Counter[str]] = {"lut": Counter(), "ff": Counter(), "bram": Counter()}
    top = next(m for m in netlist["modules"].values() if _is_top(m))
    for name, cell in top["cells"].items():
        kind = cell["type"]
        if kind in _NO_CELL:
            continue
        parts = name.split(".")
        owner = next((p for p in parts for n in (p, *_served(p)) if n in names), "link")
        owner = next((n for n in (owner, *_served(owner)) if n in names), owner)
        if kind.startswith(_BLOCKS):
            counts["bram"][owner] += 1
        elif "FF" in kind:
            counts["ff"][owner] += 1
        else:
            counts["lut"][owner] += 2 if kind == "CCU2C" else 1
    if resource != "lut":
        return counts[resource]
    return Counter({n: max(counts["lut"][n], counts["ff"][n]) for n in names})


def _is_top(module: Mapping[str, Any]) -> bool:
    return int(str(module.get("attributes", {}).get("top", "0")), 2) == 1


def _served(part: str) -> list[str]:
    """Gearboxes and buffers count to the layer they feed: gear_<layer>, wait_<layer>_1."""
    for prefix in ("gear_", "wait_"):
        if part.startswith(prefix):
            name = part.removeprefix(prefix)
            return [name, name.rpartition("_")[0]]
    return []


def too_big(
    build: Build,
    where: Board,
    netlist: Mapping[str, Any],
    used: Used,
    attempt: Callable[[Build], Used],
) -> DesignError:
    """The refusal of a design that uses more than the board has, or so much that there is no legal
    placement. ``attempt`` synthesises another folding of the build and says what it uses."""
    resource = max(used, key=lambda r: used[r][0] / used[r][1])
    have, most = used[resource]
    cells = layer_cells(netlist, build.design, resource)
    layer, count = max(cells.items(), key=lambda item: item[1])
    what, room = _RESOURCE[resource], 1.0
    text = f"{build.name}: needs {have} {what} and {where.name} has {most}"
    if have <= most:
        room = ROOM * have / most
        text = (
            f"{build.name}: takes {have} of the {most} {what} of {where.name}, and nextpnr finds "
            "no place for all"
        )
    part = "the" if layer in ("link", "control") else "layer"
    text += f"; the largest part is {part} '{layer}' with {count}"
    found, tried = smaller_folding(build, have / most / room, attempt, room)
    if found is None:
        return DesignError(
            f"{text}; {tried} smaller foldings do not fit either; take another board"
        )
    design, uses = found
    folding = ", ".join(
        f"{c.name} pe {c.pe} simd {c.simd} tp {c.tp}" for c in design.cores if c.op == "conv"
    )
    fits = " and ".join(f"{h} of {m} {_RESOURCE[r]}" for r, (h, m) in uses.items() if r != "ff")
    slower = design.interval / build.design.interval
    return DesignError(
        f"{text}; this folding fits (tried: {fits}; {slower:.1f} times the clocks): {folding}"
    )


def smaller_folding(
    build: Build, excess: float, attempt: Callable[[Build], Used], room: float = 1.0
) -> tuple[tuple[Design, Used] | None, int]:
    """The first of at most `TRIES` smaller foldings that ``attempt`` finds to fit into ``room`` of
    what there is, and how many were tried. Each has fewer lanes by ``excess`` and then some, taken
    from the layers that can spare them."""
    tried = 0
    last = None
    for step in range(1, TRIES + 1):
        design = _fewer_lanes(build, excess ** (2 * step) * 2)
        if design is None or design == last:
            continue
        smaller = copy.copy(build)
        smaller._cache = {"network": build.network, "design": design}
        uses = attempt(smaller)
        tried, last = tried + 1, design
        if all(
            have <= most * (room if name == "lut" else 1) for name, (have, most) in uses.items()
        ):
            return (design, uses), tried
    return None, tried


def _fewer_lanes(build: Build, factor: float) -> Design | None:
    """The design with the lanes divided by ``factor``: always the widest layer gives first."""
    network, old = build.network, build.design
    folding = old.folding
    goal = sum(_lanes(f) for f in folding.values()) / factor
    while sum(_lanes(f) for f in folding.values()) > goal:
        steps = [s for name in folding if (s := _step(network, name, folding[name])) is not None]
        if not steps:
            break
        _, name, key, value = max(steps)
        folding[name][key] = value
        if key != "tp":  # fewer lanes than weights: they come from a memory
            folding[name]["engine"] = "compress"
    same = all(
        (c.pe, c.simd, c.tp) == tuple(folding[c.name][k] for k in ("pe", "simd", "tp"))
        for c in old.cores
        if c.op == "conv"
    )
    if same:
        return None
    return fold(network, folding, family=old.family, clock_mhz=old.clock_mhz,
                axis_width=old.axis_width)  # fmt: skip


def _lanes(f: Mapping[str, Any]) -> int:
    return f["pe"] * f["simd"] * f["tp"]


def _step(network: Any, name: str, f: Mapping[str, Any]) -> tuple[int, str, str, int] | None:
    """(lanes, layer, what, smaller value) of the next smaller folding of a layer."""
    legal = legal_folding(network, name)
    for key in sorted(("pe", "simd", "tp"), key=lambda k: -f[k]):
        below = [v for v in legal[key] if v < f[key]]
        if below:
            return _lanes(f), name, key, max(below)
    return None
