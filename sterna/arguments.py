"""Numbers of command lines that have a range."""

import argparse

__all__ = ["minutes", "seed", "tolerance"]


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
