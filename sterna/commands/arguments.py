"""What the words of a command line can be: every number has a range, every name is one.

Each function is, or makes, a ``type`` of argparse. Nothing of weight is imported.
"""

import argparse
import math
import os
import re
from collections.abc import Callable

from sterna.golden.files.disk import check_new_folder
from sterna.host.patience import LONGEST_TIMEOUT

__all__ = [
    "BAUD",
    "SEED",
    "OutFile",
    "OutFolder",
    "baud",
    "count",
    "file_name",
    "megahertz",
    "microseconds",
    "milliwatts",
    "milliwatts_or_none",
    "minutes",
    "out_file",
    "out_folder",
    "rate",
    "repetitions",
    "seed",
    "there",
    "time_step",
    "timeout",
    "tolerance",
    "whole",
]

_LEAST, _MOST = 1e-6, 1e12  # as in gen/fold/goals.py, which takes long to import
BAUD = (1, 100_000_000)
SEED = (0, 2**32 - 1)
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


def file_name(text: str) -> str:
    """The name of a file, folder or whatever else; an empty one, as of a variable that is not set,
    is none, and no system has names with a zero byte."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give one, or leave the option out")
    if "\0" in text:
        raise argparse.ArgumentTypeError("the name has a zero byte in it; no name can")
    return text


def there(text: str) -> str:
    """The name of a folder with a network. Where there is none of that name, ``examples/mnist``, or
    only ``mnist``, is the one that comes with Sterna."""
    name = file_name(text)
    if os.path.lexists(name):
        return name
    from sterna.shipped import FOLDER  # what needs long to import only where it is needed

    short = name.removeprefix("examples/").rstrip("/")
    known = short and "/" not in short and os.path.isfile(FOLDER / short / "recipe.toml")
    return os.path.relpath(FOLDER / short) if known else name


class OutFile(str):
    """A file to be written; `check` refuses what can be none, and what is another's, before
    anything is done. kind: of ``outfiles.KINDS``."""

    kind = ""

    def check(self) -> None:
        from sterna.commands.outfiles import check_replaced

        check_replaced(self, self.kind)


class OutFolder(str):
    """A folder to be written; `check` as of a file."""

    def check(self) -> None:
        check_new_folder(self)


def out_file(kind: str) -> Callable[[str], OutFile]:
    """A type of files of a kind (``outfiles.KINDS``), of which alone an older one is replaced."""

    def convert(text: str) -> OutFile:
        found = OutFile(file_name(text))
        found.kind = kind
        return found

    return convert


def out_folder(text: str) -> OutFolder:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give that of a folder")
    return OutFolder(file_name(text))


def whole(what: str, least: int, most: int, marks: str = "") -> Callable[[str], int]:
    """A type of whole numbers from ``least`` to ``most``. ``what`` they count; ``marks``: signs
    that may stand between digits."""

    def convert(text: str) -> int:
        plain = text.strip().translate(dict.fromkeys(map(ord, marks)))
        value = int(plain) if _WHOLE.match(plain) else None
        if value is None or not least <= value <= most:
            shown = f"{most:,}" if most < 1 << 20 else f"{most}"
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number of {what}; give a whole number from {least} to {shown}"
            )
        return value

    return convert


def _real(text: str, what: str) -> float:
    """A finite number written with ASCII digits."""
    value = float(text) if _NUMBER.match(text.strip()) else math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}")
    return value


count = whole("images", 1, 10**9)
"""Images, of which there are some."""
seed = whole("the seed", *SEED)
"""What random numbers start from."""
baud = whole("baud", *BAUD)
"""Bits a second of a serial line."""


def rate(text: str) -> float:
    """Images a second, of which there are some."""
    return _between(text, "images a second")


def megahertz(text: str) -> float:
    """A clock that runs."""
    return _between(text, "MHz")


def microseconds(text: str) -> float:
    """A time that is some."""
    return _between(text, "microseconds")


def milliwatts(text: str) -> float:
    """A power that is some."""
    return _between(text, "mW")


def milliwatts_or_none(text: str) -> float:
    """A power, or 0: a meter that subtracts what it read before."""
    return 0.0 if _real(text, "mW") == 0 else milliwatts(text)


def _between(text: str, what: str) -> float:
    value = _real(text, what)
    if not _LEAST < value < _MOST:
        raise argparse.ArgumentTypeError(
            f"{text} is not a number of {what} above {_LEAST:g} and below {_MOST:g}"
        )
    return value


def time_step(text: str) -> float:
    """A length of time, in whatever unit."""
    value = _real(text, "time")
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a time above 0")
    return value


def minutes(text: str) -> float:
    """A time that may be endless, but not negative and not NaN."""
    if text.strip().lower() in ("inf", "infinity"):
        return math.inf
    value = _real(text, "minutes")
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes")
    return value


def timeout(text: str) -> float:
    """Seconds of a wait, see ``host.patience.check_timeout``."""
    value = _real(text, "seconds")
    if not 0 < value <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"a timeout of {text} s; give some seconds, at most {LONGEST_TIMEOUT:,}"
        )
    return value


def repetitions(text: str) -> tuple[int | None, float]:
    """How many, or for how many seconds: 1000, 30s."""
    if not text.strip().endswith("s"):
        return whole("repetitions", 1, 10**12)(text), 0.0
    value = _real(text.strip()[:-1], "seconds")
    if not 0 < value <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text} is not a time; give seconds above 0, at most {LONGEST_TIMEOUT:,}"
        )
    return None, value


def tolerance(text: str) -> float:
    """A distance of two factors that lie between 0 and 1."""
    value = _real(text, "tolerance")
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to below 1")
    return value
