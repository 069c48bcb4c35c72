"""The designs that the solver weighs: for a bound on the clocks of an image, the cheapest one.

Every neuron takes its cheapest folding that is fast enough by itself (`gen.fold.candidates`); the
whole design is then planned with its streams and estimated, and where it is a good one, made better
as a whole (`gen.fold.improve`). What is said of a design is always the estimate of the whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, pairwise

from sterna.gen.design.design import Design
from sterna.gen.design.folding import Foldings, Given
from sterna.gen.design.graph import walk
from sterna.gen.design.plan import plan
from sterna.gen.device.family import family_of
from sterna.gen.fold.candidates import Candidate, candidates
from sterna.gen.fold.choice import Choice, Limits
from sterna.gen.fold.complete import neuron_groups, smallest
from sterna.gen.fold.fold import fold
from sterna.gen.fold.improve import CLOSE, Polish
from sterna.gen.model.cost import Cost, Estimate, estimate
from sterna.golden.network import Network

__all__ = ["Search"]

REGEARED = 8  # tries to find streams that fit each other
SURE = 0.95
"""Share of an estimated cost that narrower streams do not save."""
OTHERS = (1 / 3, 3, 1 / 9, 9, 1 / 27)
"""Times what a block RAM is worth: other designs of the same speed, where buffers are too much."""
GAP = 1.05
"""Between bounds further apart, streams may be made for more clocks than foldings take."""
HOPELESS = 1.25
"""A design that takes so many times what there is of LUTs is not tried with other storage."""
BEST = 3
"""Of the designs for a rate, so many of the cheapest are polished."""


@lru_cache(maxsize=16)
def _options(
    network: Network,
    said: tuple[tuple[str, Given], ...],
    family: str,
    clock_mhz: float,
    axis_width: int | None,
    patchable: bool,
) -> dict[str, list[Candidate]]:
    """Candidates follow from no goal and no limit: whoever asks for several designs of a network
    has them once."""
    cores, given = walk(network), dict(said)
    groups = neuron_groups(network, cores)
    least: Foldings = {}
    for group in groups:  # any that agrees with what is given
        least |= smallest(network, group, 1 << 40, given, None, family)
    base = plan(network, cores, least, 1 << 40, family, clock_mhz, axis_width, patchable)
    return candidates(network, base, groups, given, constants=not patchable)


@dataclass
class Search:
    """Everything that stays the same while bounds are tried."""

    network: Network
    given: dict[str, Given]
    family: str
    clock_mhz: float
    axis_width: int | None
    patchable: bool
    limits: Limits
    on_board: bool = False  # estimates are of tops of boards
    options: dict[str, list[Candidate]] = field(default_factory=dict)
    worth: float = 0.0  # of a block RAM, in LUTs
    tried: dict[tuple[int, float], Choice] = field(default_factory=dict)
    chosen: dict[int, Choice] = field(default_factory=dict)  # by bound
    final: dict[str, Choice] = field(default_factory=dict)  # with buffers, by bound and foldings
    floors: list[tuple[list[int], list[float], list[float]]] = field(default_factory=list)
    fixed: float = float("inf")  # price of what no folding changes
    better: Polish = field(init=False)

    def prepare(self) -> None:
        self.options = _options(
            self.network,
            tuple(self.given.items()),
            self.family,
            self.clock_mhz,
            self.axis_width,
            self.patchable,
        )
        self.worth = family_of(self.family).block_worth
        self.better = Polish(
            self.options,
            lambda c: self.price(c.cost, self.worth),
            self.excess,
            self.weigh,
        )
        for found in self.options.values():
            ordered = sorted(found, key=lambda c: c.clocks)
            prices = [self.price(c.cost, self.worth) for c in ordered]
            self.floors.append(
                (
                    [c.clocks for c in ordered],
                    list(accumulate(prices, min)),
                    list(accumulate((c.cost.luts for c in ordered), min)),
                )
            )

    def floor(self, bound: int) -> tuple[float, float]:
        """(price, LUTs) that designs of at most ``bound`` clocks hardly fall below: `SURE` of the
        weighted nodes with the streams they would like, and to the price of what control and AXI
        have taken so far."""
        price, luts = 0.0, 0.0
        for clocks, prices, least in self.floors:
            at = bisect_right(clocks, bound) - 1
            if at < 0:
                return float("inf"), float("inf")
            price, luts = price + prices[at], luts + least[at]
        return SURE * (price + (self.fixed if self.tried else 0.0)), SURE * luts

    def price(self, cost: Cost, worth: float) -> float:
        return cost.luts + worth * cost.bram + cost.ff / 50

    def bounds(self) -> list[int]:
        """Clocks that some folding reaches and all can, fastest first; and those just below the
        next, for which streams may be narrower."""
        fastest = max(min(c.clocks for c in found) for found in self.options.values())
        every = sorted({c.clocks for found in self.options.values() for c in found})
        every = [c for c in every if c >= fastest]
        ends = [n - 1 for c, n in pairwise(every) if n - 1 > GAP * c]
        return sorted({*every, *ends})

    def cheapest(self, bound: int, worth: float, slow: list[Foldings]) -> list[Candidate] | None:
        """Of every neuron the cheapest foldings that take at most ``bound`` clocks, none of
        ``slow`` among them; None where one has no other. Weight words are read in pieces only
        where block RAM is ``worth`` more than usual, because it runs out."""
        out = []
        for found in self.options.values():
            fast = [
                c
                for c in found
                if c.clocks <= bound
                and c.entries not in slow
                and (worth > self.worth or not c.narrow)
            ]
            if not fast:
                return None
            out.append(min(fast, key=lambda c: (self.price(c.cost, worth), c.clocks)))
        return out

    def choose(self, bound: int, worth: float, slow: list[Foldings]) -> Foldings | None:
        """Their foldings, by node."""
        found = self.cheapest(bound, worth, slow)
        if found is None:
            return None
        out: Foldings = {}
        for candidate in found:
            out |= candidate.entries
        return out

    def looser(self, bounds: Sequence[int], target: int) -> list[int]:
        """The bounds beyond ``target`` whose cheapest foldings are as fast as that: their streams
        may be narrower."""
        out = []
        for bound in bounds[bisect_right(bounds, target) :]:
            found = self.cheapest(bound, self.worth, [])
            if found is None or max(c.clocks for c in found) > target:
                break
            out.append(bound)
        return out

    def at(self, bound: int) -> Choice:
        """The design for a bound; where block RAM runs out, one that takes less of it."""
        if bound not in self.chosen:
            self.chosen[bound] = self._at(bound)
        return self.chosen[bound]

    def _at(self, bound: int) -> Choice:
        best = self._within(bound)
        if best.interval <= bound:
            return best
        # Its streams hold it up: foldings that another worth of block RAM chooses may be faster.
        others = [self._planned(bound, worth) for worth in (self.worth / 3, self.worth * 3)]
        return min([best, *others], key=lambda c: (self.excess(c)[0], c.interval))

    def _within(self, bound: int) -> Choice:
        worth, best = self.worth, None
        for _ in range(5):
            now = self._planned(bound, worth)
            if best is None or self.excess(now) < self.excess(best):
                best = now
            shares = self.limits.shares(now.estimate.total)
            if shares.get("luts", 0) > HOPELESS:
                break
            if shares.get("bram", 0) > 1:
                worth *= 3
            elif shares.get("luts", 0) > 1 and shares.get("bram", 0) < 0.8:
                worth /= 3
            else:
                break
        assert best is not None
        return best

    def _planned(self, bound: int, worth: float) -> Choice:
        if (bound, worth) not in self.tried:
            entries, design = self._fast_streams(bound, worth)
            self.tried[bound, worth] = choice = self._choice(entries, design, bound)
            cores = {c.name for c in design.cores}
            parts = choice.estimate.cores.items()
            rest = sum((c for n, c in parts if n not in cores), Cost())
            self.fixed = min(self.fixed, self.price(rest, self.worth))
        return self.tried[bound, worth]

    def _choice(self, entries: Foldings, design: Design, bound: int) -> Choice:
        return Choice(design.interval, self._estimate(design), entries, design, bound)

    def _estimate(self, design: Design) -> Estimate:
        return estimate(self.network, design, on_board=self.on_board)

    def _plan(self, entries: Foldings, bound: int) -> Design:
        return plan(
            self.network,
            walk(self.network),
            entries,
            bound,
            self.family,
            self.clock_mhz,
            self.axis_width,
            self.patchable,
        )

    def weigh(self, entries: Foldings, bound: int) -> Choice:
        """A complete folding with streams for ``bound`` clocks."""
        return self._choice(entries, self._plan(entries, bound), bound)

    def polish(
        self, choice: Choice, target: int | None = None, limits: Limits | None = None
    ) -> Choice:
        """``choice`` made better as a whole, of at most ``target`` clocks (None: not slower), held
        against ``limits`` (None: those there are)."""
        target = choice.interval if target is None else target
        return self.better.of(choice, target, limits or self.limits)

    def _fast_streams(self, bound: int, worth: float) -> tuple[Foldings, Design]:
        """The cheapest foldings whose streams keep up, too: between unlike widths a gearbox may
        take many times the clocks of either side. Else what comes nearest."""
        slow: list[Foldings] = []
        best: tuple[Foldings, Design] | None = None
        for _ in range(REGEARED):
            entries = self.choose(bound, worth, slow)
            if entries is None:
                break
            design = self._plan(entries, bound)
            if best is None or design.interval < best[1].interval:
                best = entries, design
            late = {c.name for c in design.cores if c.law.get("gearbox", 0) > bound}
            found = [
                c.entries
                for options in self.options.values()
                for c in options
                if late & set(c.entries) and self._same(c.entries, entries)
            ]
            if not found:
                break
            slow += found
        assert best is not None
        return best

    @staticmethod
    def _same(some: Foldings, chosen: Foldings) -> bool:
        """Whether foldings are the chosen ones, but for where weights are kept."""
        lanes = lambda f: (f.pe, f.simd, f.tp)  # noqa: E731
        return all(lanes(f) == lanes(chosen[n]) for n, f in some.items())

    def fits(self, choice: Choice) -> bool:
        return self.limits.fits(choice.estimate.total)

    def excess(self, choice: Choice, limits: Limits | None = None) -> tuple[float, float]:
        """How many times what there is it takes of what is short, at least 1; its price."""
        total = choice.estimate.total
        shares = (limits or self.limits).shares(total).values()
        return max([1.0, *shares]), self.price(total, self.worth)

    def rank(self, choice: Choice) -> tuple[bool, float]:
        """What is better comes first: what fits, then what is cheaper."""
        return not self.fits(choice), self.price(choice.estimate.total, self.worth)

    def sized(self, choice: Choice) -> Choice:
        """The same, complete: with its buffers and the widths its weights need."""
        key = f"{choice.bound} {choice.entries}"
        if key not in self.final:
            design = fold(
                self.network,
                {name: folding.entry() for name, folding in choice.entries.items()},
                family=self.family,
                clock_mhz=self.clock_mhz,
                axis_width=self.axis_width,
                patchable=self.patchable,
                target=choice.bound,
            )
            self.final[key] = replace(
                choice,
                interval=design.interval,
                estimate=self._estimate(design),
                design=design,
            )
        return self.final[key]

    def complete(self, choice: Choice) -> Choice:
        """The same, sized; where it fits but for its buffers, with other storage of its weights
        or other foldings that leave room for them, if there are."""
        final, seen = self.sized(choice), [choice.entries]
        for times in OTHERS if self.fits(choice) and not self.fits(final) else ():
            other = self._planned(choice.bound, self.worth * times)
            if other.entries in seen or other.interval > choice.interval or not self.fits(other):
                continue
            seen.append(other.entries)
            if self.fits(other := self.sized(other)):
                return other
        if self.fits(choice) and not self.fits(final):
            left = self.limits.without(choice.estimate.total, final.estimate.total)
            other = self.polish(choice, limits=left)
            if left.fits(other.estimate.total) and self.fits(other := self.sized(other)):
                return other
        return final

    def variants(self, bound: int) -> Iterator[Choice]:
        """The design for a bound, and those with other storage of weights."""
        yield self.at(bound)
        for times in OTHERS:
            yield self._planned(bound, self.worth * times)

    def smallest(
        self,
        bounds: Sequence[int],
        target: int,
        known: Sequence[Choice] = (),
        *,
        limited: bool = True,
    ) -> list[Choice]:
        """Designs of at most ``target`` clocks, the best one first; all that could be the best (not
        ``limited``: the cheapest, whether it fits or not) were looked at, and those ``known``."""
        found = list(known)
        tighter = reversed(bounds[: bisect_left(bounds, target)])
        for bound in [target, *self.looser(bounds, target), *tighter]:
            good = [p for late, p in map(self.rank, found) if not (late and limited)]
            if good and self.floor(bound)[0] >= min(good) and bound < target:
                break
            if self.floor(bound)[0] == float("inf"):
                break
            choice = self.at(bound)
            if choice.interval <= target and choice not in found:
                found.append(choice)
        found.sort(key=self.rank)
        good = [c for c in found if self.close(c, found[0], CLOSE)][:BEST]
        found = [self.polish(c, target) for c in good] + found[len(good) :]
        same = {f"{self.rank(c)} {c.entries}": c for c in reversed(found)}
        return sorted(same.values(), key=self.rank)

    def close(self, choice: Choice, best: Choice, times: float) -> bool:
        """Whether it fits as well and takes at most so many times what the better one takes."""
        (over, price), (least, lowest) = self.excess(choice), self.excess(best)
        return over <= times * least and price <= times * lowest
