"""A design that does not fit a board: which layer is too big, and which folding would fit."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sterna.gen.build.folder import BOARD, Build
from sterna.gen.design.design import Design
from sterna.gen.design.folding import Folding
from sterna.gen.device.boards import Board
from sterna.gen.fold.choice import Limits
from sterna.gen.fold.solve import NothingFits, solve
from sterna.gen.model.cost import Cost, estimate
from sterna.golden.errors import DesignError
from sterna.golden.files.disk import make_folder, write_atomic

__all__ = ["layer_cells", "smaller_folding", "too_big"]

Used = Mapping[str, tuple[int, int]]
FOLDING = "smaller.json"
TRIES = 3
ROOM = 0.95
"""How much less a folding must take than one for which there was no place."""
_RESOURCE = {"luts": "logic cells", "ff": "flip-flops", "bram": "block RAMs"}
_BLOCKS = ("DP16KD", "SB_RAM40_4K")
_NO_CELL = ("$scopeinfo", "SB_CARRY")


def layer_cells(netlist: Mapping[str, Any], design: Design, resource: str) -> Counter[str]:
    """Cells of a netlist by layer; ``link`` is the board's share, ``control`` the registers.

    A cell is a layer's if its hierarchical name runs through the layer's module; a LUT has the name
    of the signal it drives. For flip-flops and LUTs the larger number counts: a logic cell has one
    of each.
    """
    names = {c.name for c in design.cores} | {"control", "link"}
    counts: dict[str, Counter[str]] = {"luts": Counter(), "ff": Counter(), "bram": Counter()}
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
            counts["luts"][owner] += 2 if kind == "CCU2C" else 1
    if resource != "luts":
        return counts[resource]
    return Counter({n: max(counts["luts"][n], counts["ff"][n]) for n in names})


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
    placement. ``attempt`` synthesises another folding of the build and says what it uses. The
    design of one that fits is written to `FOLDING`, for ``--folding``."""
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
    found, reason = smaller_folding(build, where, used, attempt, room)
    if found is None:
        return DesignError(f"{text}; {reason}; take another board")
    design, uses = found
    fits = " and ".join(f"{h} of {m} {_RESOURCE[r]}" for r, (h, m) in uses.items() if r != "ff")
    slower = design.interval / build.design.interval
    kept = build.folder / BOARD / FOLDING
    make_folder(kept.parent)
    write_atomic(kept, design.to_json().encode())
    return DesignError(
        f"{text}; this folding fits (tried: {fits}; {slower:.1f} times the clocks): "
        f"{_in_words(design)}; take it with: sterna fold {build.folder} --folding {kept}"
    )


def _in_words(design: Design) -> str:
    """A folding as people read it: what is not as usual, and pe, simd and tp."""
    usual = {"memory": Folding.memory, "engine": Folding.engine}
    return ", ".join(
        " ".join([name, *(f"{k} {v}" for k, v in entry.items() if usual.get(k) != v)])
        for name, entry in design.folding.items()
    )


def smaller_folding(
    build: Build, where: Board, used: Used, attempt: Callable[[Build], Used], room: float = 1.0
) -> tuple[tuple[Design, Used] | None, str]:
    """The solver's fastest folding that ``attempt`` finds to fit into ``room`` of the logic cells
    and all of the rest; None where of at most `TRIES` none does, and that in words. ``used``: what
    the design takes now. Weights stay fixed, reloadable or patchable as they are."""
    old = design = build.design
    memories = {c.name: {"memory": c.memory} for c in old.cores if c.op == "conv"}
    limits, seen, least = Limits(where=where.name), [old.folding], False
    while len(seen) <= TRIES and not least:
        limits = _within(
            limits, estimate(build.network, design, where.family, on_board=True).total, used, room
        )
        try:
            design = solve(
                build.network,
                memories,
                family=where.family,
                clock_mhz=old.clock_mhz,
                limits=limits,
                axis_width=old.axis_width,
                patchable=any(c.patchable for c in old.cores),
            ).design
        except NothingFits as error:  # by the estimate: the tools may be of another mind
            design, least = error.smallest.design, True
        if design.folding in seen:
            break
        seen.append(design.folding)
        smaller = copy.copy(build)
        smaller.cache = {"network": build.network, "design": design}
        used = attempt(smaller)
        if all(have <= _room(name, most, room) for name, (have, most) in used.items()):
            return (design, used), ""
    tried = len(seen) - 1
    return (
        None,
        f"{tried} smaller foldings do not fit either" if tried else "it has no smaller folding",
    )


def _room(resource: str, most: int, room: float) -> float:
    return most * room if resource == "luts" else most


def _within(limits: Limits, cost: Cost, used: Used, room: float) -> Limits:
    """``limits``, and what may be estimated of a design that fits where one of estimated ``cost``
    has been found to use ``used``: of cells in proportion, of block RAM the same number less."""
    found = {"luts": cost.luts, "ff": cost.ff, "bram": cost.bram}
    for name, (have, most) in used.items():
        may = _room(name, most, room)
        found[name] = (
            found[name] + may - have if name == "bram" else found[name] * may / max(1, have)
        )
        known = getattr(limits, name)
        limits = replace(
            limits, **{name: found[name] if known is None else min(known, found[name])}
        )
    return limits
