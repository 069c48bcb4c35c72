"""The folding solver: the smallest design that is fast enough, or the fastest that is small enough.

Costs do not fall evenly with the clocks of an image, so it looks at every bound that foldings can
reach, but for those whose weighted nodes alone show that they cannot be the answer
(`gen.fold.search`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sterna.gen.design.design import Design
from sterna.gen.design.graph import walk
from sterna.gen.device.family import RESOURCES
from sterna.gen.fold.choice import HEAD_ROOM, Choice, Limits, board_limits
from sterna.gen.fold.complete import neuron_groups
from sterna.gen.fold.goals import (
    as_they_arrive,
    check_clock,
    check_family,
    check_goals,
    check_network,
    check_settings,
    check_styles,
    python_number,
    read_given,
    with_memories,
)
from sterna.gen.fold.improve import SHORT
from sterna.gen.fold.search import Search
from sterna.gen.tools.progress import at, stretch
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.network import Network
from sterna.golden.words.names import show
from sterna.golden.words.shown import Shown

__all__ = ["HEAD_ROOM", "Limits", "NothingFits", "Solution", "board_limits", "solve"]

# About the shares in the time of a search, until every core's foldings are known, and the best.
_PREPARED, _FOUND = 0.4, 0.7
BOUNDS = 40  # bounds that are looked at for the next design of the frontier
EVEN = 1.01  # times the cost of the best design: buffers decide which is better
TRIED = 3  # of those
ENDS = {
    "axis_input": "the image input",
    "axis_output": "the result output",
    "control": "the control plane",
}


class NothingFits(DesignError):
    """No design is within the limits; ``smallest``: what comes nearest by the estimate."""

    def __init__(self, sentence: str, smallest: Choice):
        super().__init__(sentence)
        self.smallest = smallest


@dataclass(frozen=True, repr=False)
class Solution(Shown):
    """design: sized and complete; limited_by: a sentence; faster, slower: the next designs on the
    frontier, None where there is none."""

    design: Design
    chosen: Choice
    limits: Limits
    limited_by: str
    faster: Choice | None
    slower: Choice | None
    goal: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.design}, limit: {self.limited_by}"

    def as_dict(self) -> dict[str, Any]:
        """What ``sterna fold --json`` says under 'solver'."""
        clock = self.design.clock_mhz
        named = {"chosen": self.chosen, "faster": self.faster, "slower": self.slower}
        return {
            "goal": self.goal,
            "limits": {k: v for k, v in vars(self.limits).items() if v not in (None, "")},
            "limited_by": self.limited_by,
            **{k: None if c is None else c.as_dict(clock) for k, c in named.items()},
        }


def solve(
    network: Network,
    given: dict[str, dict[str, Any]] | None = None,
    *,
    family: str = "generic",
    clock_mhz: float = 100.0,
    fps: float | None = None,
    latency: float | None = None,
    luts: float | None = None,
    board: str | None = None,
    limits: Limits | None = None,
    axis_width: int | None = None,
    memory: str | None = None,
    patchable: bool = False,
) -> Solution:
    """Choose the folding of every core that ``given`` leaves open.

    With ``fps`` or ``latency`` it is the smallest design that reaches it (for a latency of those
    that were looked at), with ``luts`` or ``board`` the fastest within these limits; with both the
    smallest that reaches it, refused where it does not fit.

    Parameters
    ----------
    network : Network
    given : dict, optional
        Some or all keys of a folding of some or all weighted nodes, by name.
    family : str
        'ecp5', 'xilinx7' or 'ice40'; the board's where one is given.
    clock_mhz : float
        Clock that ``fps`` and estimates assume, MHz.
    fps : float, optional
        Images a second to reach.
    latency : float, optional
        Microseconds of one image alone at most, from its first word in to its result's last word
        out. Linear layers then take their maps as they arrive where they can and ``given`` does not
        say otherwise.
    luts : float, optional
        LUTs of the family at most; LUT RAM counts too.
    board : str, optional
        Name of the board that the design has to fit.
    limits : Limits, optional
        What there is on a board, where that is known better than by ``board``.
    axis_width : int, optional
        Bits of the AXI4-Stream input.
    memory : str, optional
        'rom' or 'ram', of every core, whatever ``given`` says of it.
    patchable : bool
        As ``fold`` takes it.

    Returns
    -------
    Solution

    Raises
    ------
    NothingFits, DesignError
        Nothing is fast or small enough (`NothingFits` without ``fps``; names what limits, and the
        way out), or a setting is none.
    UsageError
        A goal is no positive number; ``limits`` are none, or not alone.
    """
    check_network(network)
    check_goals(fps, luts, board, latency)
    if limits is not None and not (isinstance(limits, Limits) and board is None and luts is None):
        raise UsageError(
            f"limits {show(limits)}: give a Limits, or a board or LUTs in its place, not both"
        )
    check_settings(
        family=family,
        clock_mhz=clock_mhz,
        axis_width=axis_width,
        memory=memory,
        patchable=patchable,
    )
    clock_mhz, axis_width, fps, luts, latency = map(
        python_number, (clock_mhz, axis_width, fps, luts, latency)
    )
    on_board = board is not None or limits is not None
    if limits is None:
        family, limits = _within(family, board, luts)
        check_clock(clock_mhz, family)
    groups = neuron_groups(network, walk(network))
    said = read_given(network, [n for group in groups for n in group], given)
    said = with_memories(groups, said, memory)
    check_styles(said, patchable, family)
    if latency is not None:
        said = as_they_arrive(network, said)
    search = Search(network, said, family, clock_mhz, axis_width, patchable, limits, on_board)
    with stretch(0.0, _PREPARED):
        search.prepare()
    bounds = search.bounds()
    goals = {"fps": fps, "latency": latency, "luts": luts, "board": board}
    goal = {k: v for k, v in goals.items() if v is not None}
    at(_PREPARED, 1)
    with stretch(_PREPARED, _FOUND):
        if latency is not None:
            final, limited = _soon_enough(search, bounds, fps, latency)
        elif fps is not None:
            final, limited = _fast_enough(search, bounds, _Rate.of(fps, search.clock_mhz))
        else:
            final, limited = _small_enough(search, bounds)
    with stretch(_FOUND, _FOUND):  # tries say nothing of how far this is
        at(1, 1)
        faster, slower = _neighbours(search, bounds, final)
    return Solution(final.design, final, limits, limited, faster, slower, goal)


def _within(family: str, board: str | None, luts: float | None) -> tuple[str, Limits]:
    """(family, limits) of a board and of LUTs, as far as they are given. UsageError: the board is
    of another family."""
    if board is None:
        where = f"{_number(luts)} LUTs" if luts is not None else ""
        return family, Limits(luts=luts, where=where)
    theirs, limits = board_limits(board)
    check_family(theirs if family == "generic" else family, board, theirs)
    if luts is not None and luts < (limits.luts or 0):
        limits = Limits(luts, limits.ff, limits.bram, f"{board} and {_number(luts)} LUTs")
    return theirs, limits


def _number(value: float) -> str:
    """As people write it."""
    return f"{value:,.10g}"


def _place(name: str) -> str:
    """A core as people know it."""
    return ENDS.get(name, f"node '{name}'")


@dataclass(frozen=True)
class _Rate:
    """target: clocks an image at most; goal, way: what asked for them, and what to ask instead."""

    target: int
    goal: str
    way: str

    @classmethod
    def of(cls, fps: float, clock_mhz: float) -> "_Rate":
        return cls(int(clock_mhz * 1e6 / fps), f"{_number(fps)} fps", "lower the fps")


def _soon_enough(
    search: Search, bounds: list[int], fps: float | None, latency: float
) -> tuple[Choice, str]:
    """The smallest design seen whose image alone takes ``latency`` us and what limits it;
    DesignError where none is or fits. One image alone takes about as many intervals at any rate."""
    most = int(latency * search.clock_mhz)
    goal = f"a latency of {_number(latency)} us"
    rate = _Rate(min(most, bounds[-1]), goal, "allow more latency")
    if fps is not None and (wanted := _Rate.of(fps, search.clock_mhz)).target < rate.target:
        rate = wanted
    while True:
        final, _ = _fast_enough(search, bounds, rate)
        took = final.design.latency or 0
        if took <= most:
            return final, f"{goal} leaves {most} clocks for one image alone, which takes {took}"
        if rate.target <= bounds[0]:
            raise DesignError(
                f"{_place(final.design.bottleneck)}: one image alone takes {took} clocks in the "
                f"fastest design there is, {most} are left at {goal} and {search.clock_mhz:g} MHz; "
                "allow more latency or raise the clock"
            )
        target = max(bounds[0], min(rate.target - 1, final.interval * most // took))
        rate = _Rate(target, goal, "allow more latency")


def _fast_enough(search: Search, bounds: list[int], rate: _Rate) -> tuple[Choice, str]:
    """The smallest design for a rate and what limits it; DesignError where none is or fits."""
    target, way = rate.target, rate.way
    left = f"{target} are left at {rate.goal} and {search.clock_mhz:g} MHz"
    if target < bounds[0]:
        name = max(search.options, key=lambda n: min(c.clocks for c in search.options[n]))
        held = {"pe", "simd", "tp", "banks"} & search.given[name].said
        raise DesignError(
            f"node '{name}': its folding is given, and takes {bounds[0]} clocks an image, {left}; "
            f"give it more lanes, {way} or raise the clock"
            if held
            else f"node '{name}': its fastest folding takes {bounds[0]} clocks an image, {left}; "
            f"{way} or raise the clock"
        )
    found = search.smallest(bounds, target)
    if not found:
        best = _fastest(search, bounds, 0, limited=False)
        assert best is not None
        raise DesignError(
            f"{_place(best.design.bottleneck)}: takes {best.interval} clocks an image in the "
            f"fastest design there is, {left}; {way} or raise the clock"
        )
    final = _completed(search, found, target, exactly=True)
    if final is not None:
        final = _cheaper_and_faster(search, bounds, final)
        name = final.design.bottleneck
        return final, (
            f"{rate.goal} leave {target} clocks an image; '{name}' takes {final.interval}"
        )
    if search.fits(least := search.sized(found[0])):
        took = max(least.interval, least.design.modelled_interval or 0)
        raise DesignError(
            f"{_place(least.design.bottleneck)}: takes {least.interval} clocks an image, but the "
            f"whole network {took}, {left}; {way} or raise the clock"
        )
    best = next(_fitting(search, bounds), None)
    reach = "nothing of this network fits"
    if best is not None:
        reach = f"the fastest that fits makes {search.clock_mhz * 1e6 / best.interval:.0f} fps"
    raise DesignError(
        f"{_too_big(search, search.sized(found[0]))}; {reach}; {way}, raise the clock, or "
        "take a larger device"
    )


def _cheaper_and_faster(search: Search, bounds: list[int], final: Choice) -> Choice:
    """The design, or a faster one that costs less: what is polished for fewer clocks may end so."""
    while (faster := _neighbours(search, bounds, final)[0]) is not None:
        if search.rank(faster) >= search.rank(final):
            break
        better = _completed(search, [faster], final.interval, exactly=True)
        if better is None or search.rank(better) >= search.rank(final):
            break
        final = better
    return final


def _completed(
    search: Search, found: Sequence[Choice], target: int, exactly: bool = False
) -> Choice | None:
    """Of designs, the best first, the best one with its buffers; None where none fits with them."""
    even = [c for c in found if search.close(c, found[0], EVEN)][:TRIED]
    finals = [*_complete(search, even, target, exactly)]
    finals = finals or [*islice(_complete(search, found, target, exactly), 1)]
    return min(finals, key=search.rank, default=None)


def _complete(
    search: Search, found: Sequence[Choice], target: int, exactly: bool
) -> Iterator[Choice]:
    """Of designs, the best first, those that also fit with their buffers. Where streams were made
    for more clocks than ``target``, those that the token model sees keep up; ``exactly``: it sees
    no more than ``target`` clocks an image."""
    for choice in found:
        final = search.complete(choice)
        keeps_up = final.bound <= target or final.design.warning is None
        if exactly:
            keeps_up = (final.design.modelled_interval or 0) <= target
        if search.fits(final) and final.interval <= target and keeps_up:
            yield final
        elif not search.fits(choice):
            break  # nor do those that follow


def _too_big(search: Search, choice: Choice, when: str = "") -> str:
    """What a choice needs more of than there is, and which core takes most of it."""
    shares = search.limits.shares(choice.estimate.total)
    what = max(shares, key=lambda k: shares[k])
    used = getattr(choice.estimate.total, what)
    limit = getattr(search.limits, what)
    name = choice.estimate.largest(what)
    has = f"{search.limits.where} has {_number(limit)} for it"
    if search.limits.where.endswith("LUTs") and what == "luts":
        has = f"{_number(limit)} are allowed"
    return (
        f"{_place(name)}: takes most of the {used:,.0f} {RESOURCES[what]} that {choice.interval:,} "
        f"clocks an image need{when and ' ' + when}, {has}"
    )


def _fastest(
    search: Search, bounds: list[int], after: int, *, limited: bool = True
) -> Choice | None:
    """The fastest design, if ``limited`` within the limits, of those of more than ``after`` clocks:
    streams may make a design slower than its bound, so all bounds below the best one so far are
    looked at."""
    best: Choice | None = None
    most = search.limits.luts if limited else None
    for bound in bounds:
        if best is not None and bound >= best.interval:
            break
        if search.floor(bound)[1] > (most or float("inf")):
            continue
        # Where designs that fit were too large with their buffers, others of the same bound.
        for choice in search.variants(bound) if after else (search.at(bound),):
            if limited and not search.fits(choice) and search.excess(choice)[0] < SHORT:
                choice = search.polish(choice)
            if choice.interval > after and (search.fits(choice) or not limited):
                best = min(best or choice, choice, key=lambda c: c.interval)
                break
    return best


def _fitting(search: Search, bounds: list[int]) -> Iterator[Choice]:
    """Designs within the limits, complete, the fastest first and of those that are as fast the
    smallest."""
    after = 0
    while (best := _fastest(search, bounds, after)) is not None:
        after = best.interval
        found = search.smallest(bounds, best.interval, [best])
        if (final := _completed(search, found, best.interval)) is not None:
            yield final


def _small_enough(search: Search, bounds: list[int]) -> tuple[Choice, str]:
    """The fastest design within the limits and what limits it; DesignError where none fits."""
    final, held = next(_fitting(search, bounds), None), _held(search)
    some: list[Choice] = []
    if final is None:
        some = sorted((search.at(b) for b in bounds[-BOUNDS:]), key=search.excess)[:3]
        search.better.afresh()  # faster ones may have taken all tries
        better = sorted(map(search.polish, some), key=search.rank)
        final = _completed(search, better, max(c.interval for c in better))
    if final is None:
        smallest = min(map(search.sized, some), key=search.excess)
        names = ", ".join(map(repr, held))
        way = f"leave more of the folding given for {names} open, " if held else ""
        raise NothingFits(
            f"{_too_big(search, smallest)}; no smaller folding was found: {way}allow more LUTs, "
            "take a larger device, or a smaller network",
            smallest,
        )
    for bound in [b for b in reversed(bounds) if b < final.interval][:BOUNDS]:
        choice = search.at(bound)
        if choice.interval < final.interval:
            if search.fits(choice := search.polish(choice)):
                return final, _too_big(search, search.sized(choice))  # its buffers are too much
            return final, _too_big(search, choice, "before buffers")
    place = _place(final.design.bottleneck)
    if final.design.bottleneck in held:
        return final, f"{place} has its folding given; no limit is reached"
    return final, f"{place} is as fast as it can be; no limit is reached"


def _held(search: Search) -> list[str]:
    """The nodes whose speed is given."""
    return [name for name, given in search.given.items() if {"pe", "simd", "tp"} & given.said]


def _neighbours(
    search: Search, bounds: Sequence[int], final: Choice
) -> tuple[Choice | None, Choice | None]:
    """The cheapest design that is faster than the chosen one, and the fastest that is smaller."""
    faster = slower = None
    for bound in [b for b in reversed(bounds) if b < final.interval][:BOUNDS]:
        if (choice := search.at(bound)).interval < final.interval:
            found = search.smallest(bounds, choice.interval, limited=False)
            faster = min(found, key=lambda c: search.price(c.estimate.total, search.worth))
            break
    for bound in [b for b in bounds if b > final.interval][:BOUNDS]:
        choice = search.at(bound)
        if choice.interval > final.interval and (
            choice.estimate.total.luts < final.estimate.total.luts
        ):
            slower = search.sized(search.polish(choice))
            if slower.estimate.total.luts < final.estimate.total.luts:
                break
            slower = None
    return faster and search.sized(faster), slower
