"""Whether a network may take the place of the one that a build folder holds."""

from pathlib import Path

from sterna.gen.tools.progress import Progress
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Network

__all__ = ["check_replaced"]


def check_replaced(
    folder: Path, network: Network, whence: str, named: bool, progress: Progress | None
) -> None:
    """Tell, or refuse, that ``network`` replaces another one in a build ``folder``.

    Folders are made by a network's name, which several have. Where the user ``named`` the folder,
    or where both have the same layers, as after more training, it is told, where both is so it is
    what was asked; else UsageError. ``whence``: what replaces it, in words. One that cannot be read
    is replaced. ``progress``: what is told; None is stderr, since it is never silent.
    """
    try:
        there = files.load(folder)
    except FileError:
        return
    if there.digest == network.digest:
        return
    same = _layers(there) == _layers(network)
    if not (same or named):
        raise UsageError(
            f"{folder}: holds the build of another network called '{there.name}' ({there.line()}); "
            f"say with -o (out in Python) where {whence} goes, or remove that folder"
        )
    if not (same and named):
        other = "other weights" if same else "another network"
        (progress or Progress()).note(f"{folder}: held {other}, replaced by {whence}")


def _layers(network: Network) -> tuple[object, ...]:
    nodes = [network[name] for name in network.order]
    return network.steps, [(n.name, n.op, network.shape[n.name], n.inputs) for n in nodes]
