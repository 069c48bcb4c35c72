"""What may be asked of a folding, checked before anything is folded or searched."""

from numbers import Real
from typing import Any

from sterna.gen.design.engines import one_row
from sterna.gen.design.folding import (
    KEYS,
    MEMORIES,
    Given,
    check_keys,
    check_style,
    legal_values,
    refusal,
)
from sterna.gen.device.family import family_of
from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.network import Network
from sterna.golden.words.names import meant, show
from sterna.golden.words.values import whole
from sterna.hw.dot.engines import ENGINES
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = [
    "LEAST",
    "MAX_PIXELS",
    "MOST",
    "as_they_arrive",
    "check_clock",
    "check_family",
    "check_goals",
    "check_network",
    "check_settings",
    "check_styles",
    "python_number",
    "read_given",
    "with_memories",
]

LEAST, MOST = 1e-6, 1e12
"""What images a second, MHz and LUTs are between: beyond, clocks an image are no clocks."""
MAX_PIXELS = 1 << 21
"""Of a map: more than 1920 x 1080. Buffers are sized by a model of every beat of some images."""


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


def check_goals(fps: Any, luts: Any, board: Any = None, latency: Any = None) -> None:
    """UsageError where a goal, None if there is none, is not a number (a name) that can be one."""
    if board is not None and not isinstance(board, str):
        raise UsageError(f"board {show(board)} must be the name of a board")
    for what, value in (("fps", fps), ("luts", luts), ("latency", latency)):
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
    check_clock(clock_mhz, family)
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


def check_clock(clock_mhz: float, family: str) -> None:
    """DesignError for a clock that no device of a family has."""
    where = family_of(family)
    if clock_mhz > where.most_mhz:
        device = "any family" if where.pll is None else where.fabric.title
        raise DesignError(
            f"a clock of {clock_mhz:g} MHz: no PLL of {device} makes more than {where.most_mhz:g} "
            "MHz, and designs are routed at some tens to about 150; give a lower --clock"
        )


def python_number(value: Any) -> Any:
    """numpy's numbers as Python's own, which JSON knows; all else as it is."""
    if (found := whole(value)) is not None:
        return found
    return float(value) if _is_number(value) and not isinstance(value, float) else value


def read_given(network: Network, convs: list[str], given: Any) -> dict[str, Given]:
    """What is said of every weighted node (``convs``): of foldings by node, of any origin, None for
    nothing. DesignError, naming the node, where they are none: unknown cores or keys, values that
    are not legal."""
    keys = ", ".join(KEYS)
    entries = {} if given is None else given
    if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
        raise DesignError(f"folding {show(given)} must be core -> {keys}")
    out = {name: Given.of({}) for name in convs}
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise DesignError(f"folding of '{name}': is not an object with {keys}")
        if name not in convs:
            raise DesignError(
                f"folding: there is no core '{name}'; the cores are {', '.join(convs)}"
                f"{meant(name, convs)}"
            )
        if unknown := [k if isinstance(k, str) else show(k) for k in entry if k not in KEYS]:
            raise DesignError(
                f"folding of '{name}': unknown {', '.join(sorted(unknown))}; use {keys}"
                f"{meant(unknown[0], KEYS)}"
            )
        out[name] = Given.of({key: python_number(value) for key, value in entry.items()})
        check_keys(network, name, out[name])
        _check_whole(network, name, out[name])
    return out


def _check_whole(network: Network, name: str, given: Given) -> None:
    """DesignError where an engine that has all weights at work is given to a node with too many."""
    whole = one_row(network, name) if ENGINES[given.engine].in_logic else {}
    if whole and (why := refusal(network, name, given.complete(**whole))):
        cause, _, _ = why.partition("; ")
        raise DesignError(
            f"{cause}; engine {given.engine!r} has all weights at work in every clock, so use "
            "engine 'compress'"
        )


def with_memories(
    groups: list[list[str]], given: dict[str, Given], memory: str | None
) -> dict[str, Given]:
    """What is given, with ``memory`` for every core; without, with that of one input of a neuron
    for its others, which share one chain. ``groups``: weighted nodes by neuron. DesignError where
    two inputs of a neuron have been given unlike ones."""
    out = dict(given)
    for group in groups:
        said = {name: out[name].memory for name in group if "memory" in out[name].said}
        first, wanted = next(iter(said.items()), ("", memory))
        for name in group:
            if memory is None and said.get(name, wanted) != wanted:
                raise DesignError(
                    f"node '{name}': memory {said[name]} differs from the {wanted} of '{first}', "
                    "which feeds the same neuron; give both the same"
                )
            if memory or wanted:
                out[name] = out[name].also(memory=memory or wanted)
    return out


def as_they_arrive(network: Network, given: dict[str, Given]) -> dict[str, Given]:
    """What is given, with the nest of the least latency where none was said and it can be."""
    return {
        name: each.also(nest="arrival")
        if "nest" not in each.said and "arrival" in legal_values(network, name, "nest")
        else each
        for name, each in given.items()
    }


def check_styles(given: dict[str, Given], patchable: bool, family: str) -> None:
    """`check_style` of all that is said."""
    for name, each in given.items():
        check_style(name, each, patchable, family)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
