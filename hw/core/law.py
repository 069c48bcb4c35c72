"""The clocks of a core: the law of its initiation interval, and the delays of a visit.

A visit (one pixel, PE outputs, all steps) takes as long as its window words and as its scan,
whichever is longer; the other terms are beats in and beats out. Foldings are chosen by the same
functions that specifications answer with.
"""

from dataclasses import dataclass

__all__ = [
    "Delays",
    "NESTS",
    "early_clocks",
    "last_clocks",
    "visit_clocks",
    "visit_terms",
]

NESTS = ("window", "arrival")
"""The order of a core's loops: when the window is there, all folds of an output group before the
next one's; or, of a flattened map, all output groups at each fold, as the map arrives."""
_SHARE = 16
"""Of an image's clocks, one in so many is given for fewer neuron scans, in the nest 'arrival'."""


def visit_clocks(words: int, steps: int, banks: int = 1) -> int:
    """Clocks from a visit to the next. words: clocks of its window words, folds x P; banks: of
    neuron scans, to which visits go in turns."""
    return max(words, -(-steps // banks))


def early_clocks(folds: int, groups: int, word: int) -> int:
    """In the nest 'arrival', clocks of an image in front of the last fold's. word: P, clocks of a
    window word; groups: of outputs."""
    return (folds - 1) * groups * word


def last_clocks(folds: int, word: int, steps: int, banks: int, pe: int) -> int:
    """In the nest 'arrival', clocks from a visit of the last fold to the next: of its window word
    and of its scan, or, where that is little of the image, of scans that its outputs share."""
    turns = [n for n in range(2, pe + 1) if pe % n == 0]
    shared = [word + n * steps for n in turns if _SHARE * (word + n * steps) <= folds * word]
    least = visit_clocks(word, steps, banks)
    return max([least, *(shared if banks == 1 else [])])


def visit_terms(
    visits: int, clocks: int, input_beats: int, output_beats: int | None = None, early: int = 0
) -> dict[str, int]:
    """The terms of the law by name, of which the interval is the largest. clocks: of a visit;
    input_beats: of an image; output_beats: of a visit, None where another core makes the output;
    early: clocks of an image that are no visit's."""
    terms = {"compute": early + visits * clocks, "input": input_beats}
    return terms if output_beats is None else terms | {"output": visits * output_beats}


@dataclass(frozen=True)
class Delays:
    """What decides when a core that walks over a map moves; data and waiting come on top.

    tokens: clocks from a visit's start until each of its beats or words is offered, or, of sums
    that are queued, until all of them are there for the main front. back: from the clock in which
    the last of these is taken to the first in which a visit may start in its place. `LineBuffer`
    says when rows are free.
    """

    tokens: tuple[int, ...]
    back: int
