"""What may be asked of a folding, checked before anything is folded or searched."""

from numbers import Real
from typing import Any

from sterna.gen.design.design import FOLDING_KEYS
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.fabric import fabric_of
from sterna.golden.names import show
from sterna.golden.network import Network
from sterna.golden.values import whole
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = [
    "LEAST",
    "MAX_PIXELS",
    "MEMORIES",
    "MOST",
    "as_folding",
    "check_family",
    "check_goals",
    "check_network",
    "check_settings",
    "python_number",
    "with_memories",
]

LEAST, MOST = 1e-6, 1e12
"""What images a second, MHz and LUTs are between: beyond, clocks an image are no clocks."""
MAX_PIXELS = 1 << 21
"""Of a map: more than 1920 x 1080. Buffers are sized by a model of every beat of some images."""
MEMORIES = ("rom", "ram")


def check_network(network: Any) -> None:
    """UsageError for anything else, such as the folder of one; DesignError, naming the node, for
    maps so large that no model of their streams ends."""
    if not isinstance(network, Network):
        raise UsageError(f"{show(network)} is not a Network; give sterna.load(FOLDER)")
    for name, (_, height, width) in network.shape.items():
        if height * width > MAX_PIXELS:
            raise DesignError(
                f"node '{name}': a map of {height} x {width} has {height * width} pixels, and "
                f"hardware is planned for at most {MAX_PIXELS}; scale the images down or cut them "
                "into tiles"
            )


def check_family(family: str, board: str, theirs: str) -> None:
    """UsageError where a board is of another family than asked for."""
    if family != theirs:
        raise UsageError(f"{board} is of family {theirs}, not {family}; leave --family out")


def check_goals(fps: Any, luts: Any, board: Any = None) -> None:
    """UsageError where a goal, None if there is none, is not a number (a name) that can be one."""
    if board is not None and not isinstance(board, str):
        raise UsageError(f"board {show(board)} must be the name of a board")
    for what, value in (("fps", fps), ("luts", luts)):
        if value is not None and not (_is_number(value) and LEAST < value < MOST):
            raise UsageError(
                f"{what} {show(value)}: give a number above {LEAST:g} and below {MOST:g}"
            )


def check_settings(
    *,
    family: Any,
    clock_mhz: Any,
    axis_width: Any = None,
    memory: Any = None,
    patchable: Any = False,
) -> None:
    """DesignError where one is not of its type and range: a folding file may hold anything."""
    fabric_of(family)
    if not (_is_number(clock_mhz) and LEAST < clock_mhz < MOST):
        raise DesignError(
            f"clock_mhz {show(clock_mhz)} must be a number above {LEAST:g} and below {MOST:g}"
        )
    if axis_width is not None and (
        whole(axis_width) is None or axis_width % 8 or not 8 <= axis_width <= MAX_WIDTH
    ):
        raise DesignError(
            f"an AXI4-Stream of {show(axis_width)} bits; use a multiple of 8 up to {MAX_WIDTH}"
        )
    if memory is not None and not (isinstance(memory, str) and memory in MEMORIES):
        raise DesignError(f"memory {show(memory)} is not rom or ram")
    if not isinstance(patchable, bool):
        raise DesignError(f"patchable {show(patchable)} is not true or false")


def python_number(value: Any) -> Any:
    """numpy's numbers as Python's own, which JSON knows; all else as it is."""
    if (found := whole(value)) is not None:
        return found
    return float(value) if _is_number(value) and not isinstance(value, float) else value


def as_folding(given: Any) -> dict[str, dict[str, Any]]:
    """A copy of a folding, None is an empty one. DesignError where it is not core -> key -> word or
    number; what these may be is `check_folding`'s."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise DesignError(f"folding {show(given)} must be core -> {', '.join(FOLDING_KEYS)}")
    out = {}
    for name, entry in given.items():
        if isinstance(entry, dict):
            entry = {key: python_number(value) for key, value in entry.items()}
            for key in entry:
                if not isinstance(key, str):
                    raise DesignError(
                        f"folding of '{name}': unknown {show(key)}; use {', '.join(FOLDING_KEYS)}"
                    )
        out[name] = entry
    return out


def with_memories(
    groups: list[list[str]], given: dict[str, dict[str, Any]], memory: str | None
) -> dict[str, dict[str, Any]]:
    """A copy of a given folding with ``memory`` for every core; without, with that of one input of
    a neuron for its others, which share one chain. ``groups``: weighted nodes by neuron.
    DesignError where two inputs of a neuron have been given unlike ones."""
    out = {name: dict(entry) for name, entry in given.items()}
    for group in groups:
        said = {name: out[name]["memory"] for name in group if "memory" in out.get(name, {})}
        for name in group:
            if memory is not None:
                out[name] = out.get(name, {}) | {"memory": memory}
            elif said:
                first, wanted = next(iter(said.items()))
                if said.get(name, wanted) != wanted:
                    raise DesignError(
                        f"node '{name}': memory {said[name]} differs from the {wanted} of "
                        f"'{first}', which feeds the same neuron; give both the same"
                    )
                out[name] = out.get(name, {}) | {"memory": wanted}
    return out


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
