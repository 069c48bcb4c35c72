"""Numbers of command lines that have a range."""

import argparse

__all__ = ["minutes", "seed"]


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
