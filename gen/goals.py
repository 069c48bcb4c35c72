"""What may be asked of a folding, checked before anything is folded or searched."""

from numbers import Real
from typing import Any

from sterna.gen.design import FAMILIES
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.network import Network
from sterna.hw.stream import MAX_WIDTH

__all__ = [
    "LEAST", "MAX_PIXELS", "MEMORIES", "MOST", "check_family", "check_goals", "check_network",
    "check_settings", "with_memories",
]  # fmt: skip

LEAST, MOST = 1e-6, 1e12
"""What images a second, MHz and LUTs are between: beyond, clocks an image are no clocks."""
MAX_PIXELS = 1 << 21
"""Of a map: more than 1920 x 1080. Buffers are sized by a model of every beat of some images."""
MEMORIES = ("rom", "ram")


def check_network(network: Any) -> None:
    """UsageError for anything else, such as the folder of one; DesignError, naming the node, for
    maps so large that no model of their streams ends."""
    if not isinstance(network, Network):
        raise UsageError(f"{network!r} is not a Network; give sterna.load(FOLDER)")
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


def check_goals(fps: Any, luts: Any) -> None:
    """UsageError where a goal, None if there is none, is not a number that can be one."""
    for what, value in (("fps", fps), ("luts", luts)):
        if value is not None and not (_is_number(value) and LEAST < value < MOST):
            raise UsageError(f"{what} {value!r}: give a number above {LEAST:g} and below {MOST:g}")


def check_settings(
    *, family: Any, clock_mhz: Any, axis_width: Any = None, memory: Any = None,
    patchable: Any = False,
) -> None:  # fmt: skip
    """DesignError where one is not of its type and range: a folding file may hold anything."""
    if family not in FAMILIES:
        raise DesignError(f"family {family!r} is not one of {', '.join(FAMILIES)}")
    if not (_is_number(clock_mhz) and LEAST < clock_mhz < MOST):
        raise DesignError(
            f"clock_mhz {clock_mhz!r} must be a number above {LEAST:g} and below {MOST:g}"
        )
    if axis_width is not None and (
        not isinstance(axis_width, int) or axis_width % 8 or not 8 <= axis_width <= MAX_WIDTH
    ):
        raise DesignError(
            f"an AXI4-Stream of {axis_width!r} bits; use a multiple of 8 up to {MAX_WIDTH}"
        )
    if memory not in (None, *MEMORIES):
        raise DesignError(f"memory {memory!r} is not rom or ram")
    if not isinstance(patchable, bool):
        raise DesignError(f"patchable {patchable!r} is not true or false")


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
