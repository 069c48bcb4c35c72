"""The networks that come with Sterna, in a clone of the repository and in the wheel."""

from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import parse_json, read_bytes
from sterna.golden.files.network_files import load
from sterna.golden.network import Network
from sterna.golden.words.names import not_one_of

__all__ = ["ACCURACY", "example", "example_folder", "examples", "measured"]

_HERE = Path(__file__).resolve()
FOLDER = next(
    (p for p in (_HERE.parents[1] / "examples", _HERE.parent / "examples") if p.is_dir()),
    _HERE.parent / "examples",
)
"""That of the clone, else that of the wheel."""
ACCURACY = "accuracy.json"
"""What benchmarks/examples.py found of a network, beside it."""


def examples() -> tuple[str, ...]:
    """Names of the shipped networks, which ``example`` loads.

    Returns
    -------
    tuple of str
        Empty where an installation has none.

    Raises
    ------
    FileError
        Never of a whole clone.
    """
    return tuple(sorted(p.parent.name for p in FOLDER.glob("*/network.json")))


def example(name: str) -> Network:
    """A shipped network: integers, as it was trained.

    Parameters
    ----------
    name : str
        One of ``examples()``.

    Returns
    -------
    Network

    Raises
    ------
    UsageError
        There is none of that name, or the repository is not here.
    """
    return load(example_folder(name))


def example_folder(name: str) -> Path:
    """The folder of a shipped network, with its recipe and folding. UsageError as ``example``."""
    known = examples()
    if not known:
        raise UsageError("the examples are not here; run it in a clone of the repository")
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"example {not_one_of(name, known)}")
    return FOLDER / name


def measured(folder: Path) -> dict[str, Any] | None:
    """What was measured of the network in ``folder``: ``data``, ``images``, ``right``; None where
    nothing was, or of another one."""
    try:
        body = parse_json(read_bytes(folder / ACCURACY, 1 << 16), folder / ACCURACY)
        digest = load(folder).digest
    except FileError:
        return None
    good = isinstance(body, dict) and body.get("network") == digest
    numbers = good and all(type(body.get(k)) is int for k in ("images", "right"))
    return body if numbers and body["images"] > 0 else None
