"""A design that does not fit a board: which layer is too big, and which folding would fit."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sterna.gen.build.stages import Build
from sterna.gen.design.design import Design
from sterna.gen.device.boards import Board
from sterna.gen.fold.complete import fold
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
    what there is, and how many were tried. Each has the fewest lanes for more clocks, by ``excess``
    and then some."""
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
    """The design with the fewest lanes that takes ``factor`` times the clocks; None where it has
    no fewer. Weights stay fixed, reloadable or patchable as they are, in memories: constants need
    all their lanes."""
    network, old = build.network, build.design
    convs = [c for c in old.cores if c.op == "conv"]
    design = fold(
        network,
        {c.name: {"memory": c.memory} for c in convs},
        family=old.family,
        clock_mhz=old.clock_mhz,
        axis_width=old.axis_width,
        patchable=any(c.patchable for c in convs),
        target=math.ceil(old.interval * factor),
    )
    lanes = sum(c.lanes for c in convs)
    return design if sum(c.lanes for c in design.cores if c.op == "conv") < lanes else None
