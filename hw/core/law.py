"""The clocks of a core: the law of its initiation interval, and the delays of a visit.

A visit (one pixel, PE outputs, all steps) takes as long as its window words and as its scan,
whichever is longer; the other terms are beats in and beats out. Foldings are chosen by the same
functions that specifications answer with.
"""

from dataclasses import dataclass

__all__ = ["Delays", "visit_clocks", "visit_terms"]


def visit_clocks(words: int, steps: int, banks: int = 1) -> int:
    """Clocks from a visit to the next. words: clocks of its window words, folds x P; banks: of
    neuron scans, to which visits go in turns."""
    return max(words, -(-steps // banks))


def visit_terms(
    visits: int, clocks: int, input_beats: int, output_beats: int | None = None
) -> dict[str, int]:
    """The terms of the law by name, of which the interval is the largest. clocks: of a visit;
    input_beats: of an image; output_beats: of a visit, None where another core makes the output."""
    terms = {"compute": visits * clocks, "input": input_beats}
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
