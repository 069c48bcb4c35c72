"""Folding: every decision about the hardware of a network, in the steps that `fold` lists."""

from dataclasses import dataclass
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.design.fixed_widths import with_widths
from sterna.gen.design.folding import Foldings, Given
from sterna.gen.design.graph import CoreNodes, walk
from sterna.gen.design.plan import plan
from sterna.gen.fold.complete import completed, compute_clocks, neuron_groups
from sterna.gen.fold.goals import (
    LEAST,
    MOST,
    check_network,
    check_settings,
    check_styles,
    python_number,
    read_given,
    with_memories,
)
from sterna.gen.model.buffers import size_buffers
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.golden.words.names import show
from sterna.golden.words.values import integer

__all__ = ["fold"]


def fold(
    network: Network,
    folding: dict[str, dict[str, Any]] | None = None,
    *,
    family: str = "generic",
    clock_mhz: float = 100.0,
    fps: float | None = None,
    axis_width: int | None = None,
    memory: str | None = None,
    patchable: bool = False,
    target: int | None = None,
) -> Design:
    """Decide everything about the hardware of a network.

    Parameters
    ----------
    network : Network
    folding : dict, optional
        Some or all keys of a folding of some or all weighted nodes, by name; the rest gets the
        fewest lanes that reach ``fps``, or without ``fps`` that are not slower than the given ones
        (without those: than reading the image at one pixel in 8 clocks).
    family : str
        'generic', 'ecp5', 'xilinx7' or 'ice40'.
    clock_mhz : float
        Clock that ``fps`` and estimates assume, MHz.
    fps : float, optional
        Images a second to reach.
    axis_width : int, optional
        Bits of the AXI4-Stream input.
    memory : str, optional
        'rom' or 'ram', of every core, whatever ``folding`` says of it.
    patchable : bool
        Fixed cores are sized as reloadable ones are, for all weights whose parameters are in the
        declared ranges, so that a bitstream can take retrained ones; else for the weights at hand.
    target : int, optional
        Clocks an image that streams keep up with, instead of what follows from the above.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        A folding is illegal, or no folding reaches ``fps``; names the node.
    """
    asked = _check(network, folding, family, clock_mhz, fps, axis_width, memory, patchable, target)
    foldings = _complete(asked)
    design = _plan(asked, foldings)
    design = _keep_up(asked, design)
    design = with_widths(network, design)
    return size_buffers(network, design)


@dataclass(frozen=True)
class _Asked:
    """What is asked of a folding, checked. ``groups``: weighted nodes by neuron; ``target``: clocks
    an image."""

    network: Network
    cores: list[CoreNodes]
    groups: list[list[str]]
    given: dict[str, Given]
    target: int
    fps: float | None
    family: str
    clock_mhz: float
    axis_width: int | None
    patchable: bool


def _check(
    network: Network,
    folding: dict[str, dict[str, Any]] | None,
    family: str,
    clock_mhz: float,
    fps: float | None,
    axis_width: int | None,
    memory: str | None,
    patchable: bool,
    target: int | None,
) -> _Asked:
    """All that `fold` was given, as numbers of Python's own; refused where it cannot be."""
    check_network(network)
    check_settings(
        family=family,
        clock_mhz=clock_mhz,
        axis_width=axis_width,
        memory=memory,
        patchable=patchable,
    )
    clock_mhz, axis_width, fps, target = map(python_number, (clock_mhz, axis_width, fps, target))
    if fps is not None and (type(fps) not in (int, float) or not LEAST < fps < MOST):
        raise DesignError(f"fps {show(fps)} must be a number above {LEAST:g} and below {MOST:g}")
    if target is not None:
        wanted = f"target {show(target)} must be a whole number of clocks"
        target = integer(wanted, target, 1, 10**30, DesignError)
    cores = walk(network)
    groups = neuron_groups(network, cores)
    convs = [core.name for core in cores if core.op == "conv"]
    given = with_memories(groups, read_given(network, convs, folding), memory)
    check_styles(given, patchable, family)
    if target is None:
        target = _target(network, given, fps, clock_mhz)
    return _Asked(
        network, cores, groups, given, target, fps, family, clock_mhz, axis_width, patchable
    )


def _target(network: Network, given: dict[str, Given], fps: float | None, clock_mhz: float) -> int:
    """Clocks an image that foldings are completed for."""
    if fps is not None:
        return int(clock_mhz * 1e6 / fps)
    if whole := [name for name, each in given.items() if each.whole]:
        return max(compute_clocks(network, name, given[name]) for name in whole)
    _, h, w = network.input.shape
    return 8 * h * w


def _complete(asked: _Asked, times: int = 1) -> Foldings:
    """Foldings of all weighted nodes, of ``times`` the rate where there are as fast ones; a rate
    itself has to be reached."""
    fps = asked.fps if times == 1 else None
    return completed(
        asked.network, asked.groups, asked.given, asked.target // times, fps, asked.family
    )


def _plan(asked: _Asked, foldings: Foldings) -> Design:
    """Cores and the streams between them, without a rate as fast as its slowest core."""
    target = asked.target
    if asked.fps is None:
        clocks = (compute_clocks(asked.network, n, f) for n, f in foldings.items())
        target = max(target, *clocks)
    return plan(
        asked.network,
        asked.cores,
        foldings,
        target,
        asked.family,
        asked.clock_mhz,
        asked.axis_width,
        asked.patchable,
    )


def _keep_up(asked: _Asked, design: Design) -> Design:
    """The design, or where its streams miss the rate one of more lanes, which may have wider ones;
    DesignError where none reaches it."""
    if asked.fps is None:
        return design
    for times in (2, 4, asked.target):
        if design.interval <= asked.target:
            return design
        faster = _plan(asked, _complete(asked, times))
        design = min(design, faster, key=lambda d: d.interval)
    if design.interval <= asked.target:
        return design
    raise DesignError(
        f"node '{design.bottleneck}': takes {design.interval} clocks an image, {asked.target} are "
        f"left at {asked.fps:g} fps and {asked.clock_mhz:g} MHz; lower the fps or raise the clock"
    )
