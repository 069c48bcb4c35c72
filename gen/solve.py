"""The folding solver: the smallest design that is fast enough, or the fastest that is small enough.

For a bound on the clocks of an image every neuron takes its cheapest folding by itself
(`gen.candidates`); the whole design is then planned and estimated, and bisection over the bounds
that foldings can reach finds the fastest one within the limits. What is said of a design is always
the estimate of the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sterna.gen.boards import board as board_of
from sterna.gen.candidates import Candidate, candidates
from sterna.gen.cost import Cost, Estimate, estimate
from sterna.gen.design import Design
from sterna.gen.fold import check_folding, fold, legal_choices, neuron_groups
from sterna.gen.goals import check_goals, check_settings, with_memories
from sterna.gen.graph import walk
from sterna.gen.plan import plan
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.network import Network

__all__ = ["HEAD_ROOM", "Limits", "Solution", "board_limits", "solve"]

HEAD_ROOM = 0.88
"""Share of a board's LUTs and flip-flops that a design may take by the estimate: estimates are a
few percent off, and fuller devices lose clock or are not routed. Block RAM is exact: all of it."""
BLOCK_WORTH = {"ecp5": 200.0, "xilinx7": 300.0, "ice40": 176.0, "generic": 300.0}
"""LUTs that a block RAM is worth where neither runs out: about its share of a chip."""
LINK_LUTS = 1300  # the UART link of a board's top, its FIFOs included
LINK_BRAM = {"ecp5": 2, "xilinx7": 1, "ice40": 4}
REGEARED = 8  # tries to find streams that fit each other
FASTER = 3  # bounds below the chosen one that are tried, as costs do not fall quite evenly
Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """What there is, None: no limit. lut: with LUT RAM; bram as `gen.synth` counts; where: in
    words."""

    lut: float | None = None
    ff: float | None = None
    bram: float | None = None
    where: str = ""

    def shares(self, cost: Cost) -> dict[str, float]:
        """Used share of every resource that is limited."""
        used = {"lut": cost.luts, "ff": cost.ff, "bram": cost.bram}
        return {
            k: used[k] / limit for k in used if (limit := getattr(self, k)) is not None
        }  # fmt: skip

    def fits(self, cost: Cost) -> bool:
        """Nothing is used up."""
        return all(share <= 1 for share in self.shares(cost).values())


@dataclass(frozen=True)
class Choice:
    """A design that was weighed: clocks an image, estimate, foldings."""

    interval: int
    estimate: Estimate
    entries: Entries
    design: Design

    def as_dict(self, clock_mhz: float) -> dict[str, Any]:
        """Clocks, images a second and costs, rounded."""
        fps = clock_mhz * 1e6 / self.interval
        total = self.estimate.total
        return {"clocks_per_image": self.interval, "fps": round(fps, 1),
                "luts": round(total.luts), **total.as_dict()}  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """design: sized and complete; limited_by: a sentence; faster, slower: the next designs on the
    frontier, None where there is none."""

    design: Design
    chosen: Choice
    limits: Limits
    limited_by: str
    faster: Choice | None
    slower: Choice | None
    goal: dict[str, Any] = field(default_factory=dict)

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


def board_limits(name: str) -> tuple[str, Limits]:
    """(family, what a network may use) of a board: without the link, with head room."""
    b = board_of(name)
    per_lut = 2 if b.family == "xilinx7" else 1
    room = b.lut * HEAD_ROOM - LINK_LUTS
    return b.family, Limits(
        lut=round(room), ff=round(b.lut * per_lut * HEAD_ROOM - LINK_LUTS),
        bram=b.bram - LINK_BRAM[b.family], where=name,
    )  # fmt: skip


@dataclass
class _Search:
    """Everything that stays the same while bounds are tried."""

    network: Network
    given: Entries
    family: str
    clock_mhz: float
    axis_width: int | None
    patchable: bool
    limits: Limits
    options: dict[str, list[Candidate]] = field(default_factory=dict)
    worth: float = 0.0  # of a block RAM, in LUTs
    tried: dict[tuple[int, float], Choice] = field(default_factory=dict)

    def prepare(self) -> None:
        cores = walk(self.network)
        groups = neuron_groups(self.network, cores)
        least = {
            name: self._first(name)
            for group in groups for name in group
        }  # fmt: skip
        for group in groups:  # inputs of one neuron share their pe
            pe = max(least[name]["pe"] for name in group)
            for name in group:
                least[name]["pe"] = self.given.get(name, {}).get("pe", pe)
        base = plan(self.network, cores, least, 1 << 40, self.family, self.clock_mhz,
                    self.axis_width, self.patchable)  # fmt: skip
        self.options = candidates(
            self.network, base, groups, self.given, constants=not self.patchable
        )
        self.worth = BLOCK_WORTH[self.family]

    def _first(self, name: str) -> dict[str, Any]:
        """Any folding of a node that agrees with what is given."""
        given = self.given.get(name, {})
        choices = legal_choices(self.network, name, given, self.family)
        return {k: choices[k][0] for k in ("pe", "simd", "tp")} | given

    def price(self, cost: Cost, worth: float) -> float:
        return cost.luts + worth * cost.bram + cost.ff / 50

    def bounds(self) -> list[int]:
        """Clocks that some folding reaches and all can, fastest first."""
        fastest = max(min(c.clocks for c in found) for found in self.options.values())
        every = {c.clocks for found in self.options.values() for c in found}
        return sorted(c for c in every if c >= fastest)

    def choose(self, bound: int, worth: float, slow: list[Entries]) -> Entries | None:
        """The cheapest foldings that take at most ``bound`` clocks, none of ``slow`` among them;
        None where a neuron has no other. Weight words are read in pieces only where block RAM is
        ``worth`` more than usual, because it runs out."""
        out: Entries = {}
        for found in self.options.values():
            fast = [c for c in found if c.clocks <= bound and c.entries not in slow
                    and (worth > self.worth or not c.narrow)]  # fmt: skip
            if not fast:
                return None
            best = min(fast, key=lambda c: (self.price(c.cost, worth), c.clocks))
            for name, entry in best.entries.items():
                given = self.given.get(name, {})
                out[name] = entry | {"memory": given.get("memory", "rom")}
        return out

    def at(self, bound: int) -> Choice:
        """The design for a bound; where block RAM runs out, one that takes less of it."""
        worth, best = self.worth, None
        for _ in range(5):
            now = self._planned(bound, worth)
            if best is None or self._excess(now) < self._excess(best):
                best = now
            shares = self.limits.shares(now.estimate.total)
            if shares.get("bram", 0) > 1:
                worth *= 3
            elif shares.get("lut", 0) > 1 and shares.get("bram", 0) < 0.8:
                worth /= 3
            else:
                break
        assert best is not None
        return best

    def _excess(self, choice: Choice) -> tuple[float, float]:
        total = choice.estimate.total
        shares = self.limits.shares(total).values()
        return max([1.0, *shares]), self.price(total, self.worth)

    def _planned(self, bound: int, worth: float) -> Choice:
        if (bound, worth) not in self.tried:
            entries, design = self._fast_streams(bound, worth)
            cost = estimate(self.network, design)
            self.tried[bound, worth] = Choice(design.interval, cost, entries, design)
        return self.tried[bound, worth]

    def _fast_streams(self, bound: int, worth: float) -> tuple[Entries, Design]:
        """The cheapest foldings whose streams keep up, too: between unlike widths a gearbox may
        take many times the clocks of either side. Else what comes nearest."""
        slow: list[Entries] = []
        best: tuple[Entries, Design] | None = None
        for _ in range(REGEARED):
            entries = self.choose(bound, worth, slow)
            if entries is None:
                break
            design = plan(self.network, walk(self.network), entries, bound, self.family,
                          self.clock_mhz, self.axis_width, self.patchable)  # fmt: skip
            if best is None or design.interval < best[1].interval:
                best = entries, design
            late = {c.name for c in design.cores if c.law.get("gearbox", 0) > bound}
            found = [c.entries for options in self.options.values() for c in options
                     if late & set(c.entries) and self._same(c.entries, entries)]  # fmt: skip
            if not found:
                break
            slow += found
        assert best is not None
        return best

    @staticmethod
    def _same(some: Entries, chosen: Entries) -> bool:
        """Whether foldings are the chosen ones, but for where weights are kept."""
        return all(e[k] == chosen[n][k] for n, e in some.items() for k in ("pe", "simd", "tp"))


def solve(
    network: Network,
    given: Entries | None = None,
    *,
    family: str = "generic",
    clock_mhz: float = 100.0,
    fps: float | None = None,
    luts: float | None = None,
    board: str | None = None,
    axis_width: int | None = None,
    memory: str | None = None,
    patchable: bool = False,
) -> Solution:
    """Choose the folding of every core that ``given`` leaves open.

    ``fps``: the smallest design that reaches it at ``clock_mhz``; ``luts`` (LUT RAM counts too),
    ``board``: the fastest within these limits; both: the smallest that reaches it, refused where it
    does not fit. ``family`` is the board's where one is given. Raises DesignError where nothing is
    fast or small enough, naming what limits and the way out, and for settings that are none;
    UsageError for goals that are no positive numbers.
    """
    check_goals(fps, luts)
    check_settings(family=family, clock_mhz=clock_mhz, axis_width=axis_width, memory=memory,
                   patchable=patchable)  # fmt: skip
    limits = Limits(lut=luts, where=f"{luts:g} LUTs" if luts is not None else "")
    if board is not None:
        theirs, limits = board_limits(board)
        if family not in ("generic", theirs):
            raise UsageError(f"{board} is of family {theirs}, not {family}; leave --family out")
        family = theirs
        if luts is not None and luts < (limits.lut or 0):
            limits = Limits(luts, limits.ff, limits.bram, f"{board} and {luts:g} LUTs")
    groups = neuron_groups(network, walk(network))
    check_folding(network, [n for group in groups for n in group], given or {})
    given = with_memories(groups, given or {}, memory)
    search = _Search(network, given, family, clock_mhz, axis_width, patchable, limits)
    search.prepare()
    bounds = search.bounds()
    goal = {k: v for k, v in (("fps", fps), ("luts", luts), ("board", board)) if v is not None}
    if fps is not None:
        found, limited = _fast_enough(search, bounds, fps)
    else:
        found, limited = _small_enough(search, bounds)
    return _complete(search, bounds, found, limited, goal, fps)


def _fast_enough(search: _Search, bounds: list[int], fps: float) -> tuple[int, str]:
    """(bound, sentence): the smallest design for ``fps``; DesignError where none is or fits."""
    target = int(search.clock_mhz * 1e6 / fps)
    if target < bounds[0]:
        name = max(search.options, key=lambda n: min(c.clocks for c in search.options[n]))
        raise DesignError(
            f"node '{name}': its fastest folding takes {bounds[0]} clocks an image, {target} are "
            f"left at {fps:g} fps and {search.clock_mhz:g} MHz; lower the fps or raise the clock"
        )
    choice = search.at(target)
    if choice.interval > target:
        raise DesignError(
            f"node '{choice.design.bottleneck}': takes {choice.interval} clocks an image, "
            f"{target} are left at {fps:g} fps and {search.clock_mhz:g} MHz; lower the fps or "
            "raise the clock"
        )
    if not search.limits.fits(choice.estimate.total):
        best = _fastest(search, bounds)
        reach = "nothing of this network fits"
        if best is not None:
            rate = search.clock_mhz * 1e6 / search.at(best).interval
            reach = f"the fastest that fits makes {rate:.0f} fps"
        raise DesignError(
            f"{_too_big(search, choice)}; {reach}; lower the fps, raise the clock, or take a "
            "larger device"
        )
    name = choice.design.bottleneck
    return target, f"{fps:g} fps leave {target} clocks an image; '{name}' takes {choice.interval}"


def _too_big(search: _Search, choice: Choice) -> str:
    """What a choice needs more of than there is, and which core takes most of it."""
    shares = search.limits.shares(choice.estimate.total)
    what = max(shares, key=lambda k: shares[k])
    total = choice.estimate.total
    used = {"lut": total.luts, "ff": total.ff, "bram": total.bram}[what]
    words = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs"}[what]
    limit = getattr(search.limits, what)
    name = choice.estimate.largest("luts" if what == "lut" else what)
    has = f"{search.limits.where} has {limit:,g} for it"
    if search.limits.where.endswith("LUTs") and what == "lut":
        has = f"{limit:,g} are allowed"
    return (
        f"node '{name}': takes most of the {used:,.0f} {words} that {choice.interval:,} clocks an "
        f"image need, {has}"
    )


def _fastest(search: _Search, bounds: list[int]) -> int | None:
    """The smallest bound whose design fits; None where none does."""

    def fits(n: int) -> bool:
        return search.limits.fits(search.at(bounds[n]).estimate.total)

    low, high = 0, len(bounds) - 1
    if not fits(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    # Costs do not fall quite evenly: a few faster ones may fit, too.
    for n in range(max(0, low - FASTER), low):
        if fits(n):
            return bounds[n]
    return bounds[low]


def _small_enough(search: _Search, bounds: list[int]) -> tuple[int, str]:
    """(bound, sentence): the fastest design within the limits; DesignError where none fits."""
    best = _fastest(search, bounds)
    if best is None:
        smallest = search.at(bounds[-1])
        raise DesignError(
            f"{_too_big(search, smallest)}; that is its smallest folding: take a larger device, or "
            "a smaller network"
        )
    index = bounds.index(best)
    if index == 0:
        name = search.at(best).design.bottleneck
        return best, f"'{name}' is as fast as it can be folded; no limit is reached"
    return best, _too_big(search, search.at(bounds[index - 1]))


def _complete(
    search: _Search, bounds: list[int], bound: int, limited: str, goal: dict[str, Any],
    fps: float | None,
) -> Solution:  # fmt: skip
    """The design with its buffers sized; slower by a notch where they take what was left."""
    later = [b for b in bounds if b > bound] if fps is None else []
    for now in [bound, *later[:FASTER]]:
        choice = search.at(now)
        design = fold(
            search.network, choice.entries, family=search.family, clock_mhz=search.clock_mhz,
            axis_width=search.axis_width, patchable=search.patchable, target=now,
        )  # fmt: skip
        final = Choice(design.interval, estimate(search.network, design), choice.entries, design)
        if search.limits.fits(final.estimate.total):
            break
    else:
        raise DesignError(
            f"{_too_big(search, final)}; its skip buffers take it over the limit: lower the "
            "fps, or take a larger device"
        )
    total = final.estimate.total

    def other(order: list[int], wanted: Callable[[Choice], bool]) -> Choice | None:
        for b in order:
            choice = search.at(b)
            if wanted(choice):
                return choice
        return None

    faster = other(
        [b for b in reversed(bounds) if b < now][:12],
        lambda c: c.interval < final.interval and c.estimate.total.luts > total.luts,
    )
    slower = other(
        [b for b in bounds if b > now][:12],
        lambda c: c.interval > final.interval and c.estimate.total.luts < total.luts,
    )
    return Solution(design, final, search.limits, limited, faster, slower, goal)
