"""What the front ends may be asked, converted and refused by the same sentences."""

from typing import Any

from sterna.golden.errors import SternaError, UsageError
from sterna.golden.network import MAX_STEPS
from sterna.golden.words import values
from sterna.golden.words.names import not_one_of, show

__all__ = ["CODINGS", "coding_of", "steps_of", "word_of"]

CODINGS = ("direct", "frames")
RATE = (
    "input 'rate': random spikes (spikegen.rate) cannot be repeated; give input='direct' (pixels), "
    "'frames' (spikes or counts of your own), or use a network with Sterna's own rate coding"
)


def steps_of(value: Any, error: type[SternaError] = UsageError) -> int:
    """T."""
    refusal = f"steps {show(value)} must be a whole number from 1 to {MAX_STEPS}"
    return values.integer(refusal, value, 1, MAX_STEPS, error)


def word_of(what: str, value: Any, legal: tuple[str, ...]) -> str:
    """One of the words ``legal``."""
    if not isinstance(value, str) or value not in legal:
        raise UsageError(f"{what} {not_one_of(value, legal)}")
    return value


def coding_of(value: Any) -> str:
    """How images enter: one of `CODINGS`."""
    if isinstance(value, str) and value == "rate":
        raise UsageError(RATE)
    return word_of("input", value, CODINGS)
