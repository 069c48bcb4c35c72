"""The networks that come with a clone of the repository."""

from pathlib import Path

from sterna.golden.errors import UsageError
from sterna.golden.files.network_files import load
from sterna.golden.network import Network
from sterna.golden.words.names import not_one_of

__all__ = ["example", "example_folder", "examples"]

FOLDER = Path(__file__).resolve().parents[1] / "examples"


def examples() -> tuple[str, ...]:
    """Names of the shipped networks, which ``example`` loads.

    Returns
    -------
    tuple of str
        Empty where only the wheel is installed.

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
