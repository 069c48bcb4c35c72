"""Whether a network may take the place of the one that a build folder holds."""

from pathlib import Path

from sterna.gen.build.measurements import read_object
from sterna.gen.tools.progress import Progress
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.network_files import weights_id
from sterna.golden.network import Network
from sterna.golden.words.values import real, whole

__all__ = ["check_replaced"]


def check_replaced(
    folder: Path, network: Network, whence: str, named: bool, progress: Progress | None
) -> None:
    """Tell, or refuse, that ``network`` replaces another one in a build ``folder``.

    Folders are made by a network's name, which several have. Where the user ``named`` the folder,
    or where both have the same layers, as after more training, it is told; else UsageError.
    ``whence``: what replaces it, in words. One that cannot be read is replaced. ``progress``: what
    is told; None is stderr, since it is never silent.
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
    other = "other weights" if same else "another network"
    (progress or Progress()).note(
        f"{folder}: held {other}, {_named(there, folder)}, replaced by {whence}"
        + (f"; {_STALE}" if (folder / "design.json").exists() else "")
    )


_STALE = "what was built of it is stale and is made anew"


def _named(there: Network, folder: Path) -> str:
    """Which network it was: name, weights and, where eval left it, accuracy."""
    said = f"'{there.name}' of weights_id {weights_id(there)[:16]}"
    body = read_object(folder / "measured" / "eval.json") or {}
    found = body.get("values")
    if body.get("of") != {"network": there.digest} or not isinstance(found, dict):
        return said
    share, count = real(found.get("accuracy")), whole(found.get("images"))
    return (
        said if share is None or count is None else f"{said}, {share:.2%} of {count} images right"
    )


def _layers(network: Network) -> tuple[object, ...]:
    nodes = [network[name] for name in network.order]
    return network.steps, [(n.name, n.op, network.shape[n.name], n.inputs) for n in nodes]
