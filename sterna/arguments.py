"""Numbers of command lines that have a range."""

import argparse

__all__ = ["file_name", "megahertz", "minutes", "rate", "seed", "tolerance"]

_LEAST, _MOST = 1e-6, 1e12  # as in gen/goals.py, which takes long to import


def file_name(text: str) -> str:
    """The name of a file; an empty one, as of a variable that is not set, is none."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give a file, or leave the option out")
    return text


def rate(text: str) -> float:
    """Images a second, of which there are some."""
    return _between(text, "images a second")


def megahertz(text: str) -> float:
    """A clock that runs."""
    return _between(text, "MHz")


def _between(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}") from None
    if not _LEAST < value < _MOST:
        raise argparse.ArgumentTypeError(
            f"{text} is not a number of {what} above {_LEAST:g} and below {_MOST:g}"
        )
    return value


def minutes(text: str) -> float:
    """A time that may be endless, but not negative and not NaN."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes")
    return value


def seed(text: str) -> int:
    """A whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def tolerance(text: str) -> float:
    """A distance of two factors that lie between 0 and 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to below 1")
    return value
