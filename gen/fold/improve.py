"""Foldings that were chosen neuron by neuron, made to fit each other.

A neuron's cheapest folding may ask a dear stream of the one before it. So the other foldings of
each neuron are tried in the whole design, those that take most first, and kept where the whole gets
cheaper: one step at a time, until none helps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sterna.gen.design.folding import Foldings
from sterna.gen.fold.candidates import Candidate
from sterna.gen.fold.choice import Choice, Limits
from sterna.gen.tools.progress import at

__all__ = ["CLOSE", "SHORT", "Polish"]

CLOSE = 1.15
"""A design that is this much dearer than another may turn out better when both are polished."""
SHORT = 1.06
"""One that takes so many times what there is may fit when polished."""
CHEAPEST = 8  # foldings of a neuron that are tried, the cheapest ones
OVER_CHEAPEST = 1.5  # times the price of its cheapest
ALWAYS = 300.0  # LUTs of difference that streams may make, however small the neuron
ROUNDS = 3
MOST = 5000  # cores planned and estimated, in one search: about ten seconds


@dataclass
class Polish:
    """options: foldings of every neuron, by its main node; price: of a folding by itself; excess:
    of a design against what there is, the smaller the better; weigh: the design of foldings, for a
    bound."""

    options: dict[str, list[Candidate]]
    price: Callable[[Candidate], float]
    excess: Callable[[Choice, Limits], tuple[float, float]]
    weigh: Callable[[Foldings, int], Choice]
    known: dict[str, Choice] = field(default_factory=dict)
    spent: int = 0  # of `MOST`

    def of(self, choice: Choice, target: int, limits: Limits) -> Choice:
        """``choice``, or a better one (cheaper; nearer to ``limits``, where they are too little)
        of at most ``target`` clocks, with streams for the same bound."""
        # What takes as much for another bound most probably has the same streams.
        key = f"{choice.estimate.total} {target} {limits} {choice.entries}"
        if key not in self.known:
            self.known[key] = self._polish(choice, target, limits)
        return self.known[key]

    def afresh(self) -> None:
        """As many tries again."""
        self.spent = 0
        self.known.clear()

    def _polish(self, choice: Choice, target: int, limits: Limits) -> Choice:
        best, cores = choice, len(choice.design.cores)
        for _ in range(ROUNDS):
            before = best
            taken = {main: best.estimate.cores[main].luts for main in self.options}
            for main in sorted(taken, key=lambda n: -taken[n]):
                for other in self._others(main, target):
                    entries = best.entries | other.entries
                    if entries == best.entries:
                        continue
                    if self.spent + cores > MOST:
                        return best
                    self.spent += cores
                    at(self.spent, MOST)
                    found = self.weigh(entries, best.bound)
                    less = self.excess(found, limits) < self.excess(best, limits)
                    if found.interval <= target and less:
                        best = found
            if best is before:
                break
        return best

    def _others(self, main: str, target: int) -> list[Candidate]:
        """Foldings of a neuron that are fast enough and by themselves nearly the cheapest."""
        fast = [c for c in self.options[main] if c.clocks <= target and not c.narrow]
        found = sorted(fast, key=self.price)[:CHEAPEST]
        return [c for c in found if self.price(c) <= OVER_CHEAPEST * self.price(found[0]) + ALWAYS]
