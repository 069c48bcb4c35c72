"""The law of the initiation interval: what bounds the clocks of an image in a core.

A visit (one pixel, PE outputs, all steps) takes as long as its window words and as its scan,
whichever is longer; the other terms are beats in and beats out. Foldings are chosen by the same
functions that specifications answer with.
"""

__all__ = ["visit_clocks", "visit_terms"]


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
