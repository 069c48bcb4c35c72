"""What stands where a network or a recipe is wanted, and the command that leads on from there.

The one place that knows files of other programs, and the folders of ours, by what they are called.
"""

import os
import shlex
from pathlib import Path

from sterna.golden.words.names import legal_name, nearest

__all__ = ["instead"]

_WANTED = {
    "network": ("network.json", "a folder with a network", "a build folder or an example"),
    "float": ("float.json", "a run folder", "the folder of a run, or of an import"),
    "recipe": ("recipe.toml", "a recipe", "a recipe file, or a folder that holds one"),
    "packed": ("weights.sterna", "packed weights", "a build folder, or a .sterna file"),
    "model": ("", "a model", "FILE.py:FUNCTION, FILE.nir or FILE.onnx"),
}
_WEIGHTS = "sterna import FILE.py:FUNCTION --state {path} --data DATA -o RUN"
_FILES = {
    ".pt": ("weights of PyTorch", _WEIGHTS),
    ".pth": ("weights of PyTorch", _WEIGHTS),
    ".ckpt": ("a checkpoint of PyTorch", _WEIGHTS),
    ".safetensors": ("tensors without a network", _WEIGHTS),
    ".onnx": ("an ONNX graph", "sterna import {path} --data DATA -o {run}"),
    ".nir": ("a NIR graph", "sterna import {path} --dt DT --steps T -o {run}"),
    ".py": ("a Python file", "sterna import {path}:FUNCTION --data DATA -o {run}"),
    ".toml": ("a recipe", "sterna train {path} -o {run}"),
    ".npz": ("arrays, as a data set has them", "sterna new NAME --data {path}"),
}
"""Files by the end of their names: what they are, and the command that takes them."""
_ENDS = {
    "network": (),
    "float": (".json",),
    "recipe": (".toml",),
    "packed": (".sterna",),
    "model": (".py", ".nir", ".onnx"),
}
"""Files that may be what is wanted."""
_OTHERS = {
    ".h5": "Keras",
    ".keras": "Keras",
    ".tflite": "TensorFlow Lite",
    ".pb": "TensorFlow",
    ".mlir": "MLIR",
}
_PLACES = ("examples", "build", "runs")
"""Where a name that stands alone may have been meant."""
_FEW, _MANY = 4, 10_000


def instead(path: str | os.PathLike[str], wanted: str) -> str | None:
    """The sentence that refuses ``path`` where a ``wanted`` (a key of `_WANTED`) is to be; None
    where it is one, in whatever state."""
    place = Path(path)
    name, what, generic = _WANTED[wanted]
    if name and os.path.lexists(place / name):  # what is no plain file is refused by its reader
        return None
    if not os.path.lexists(place):
        return f"{place}: does not exist{_near(place, name)}; give {generic}"
    if not place.is_dir():
        return _file(place, wanted, what, generic)
    return _folder(place, name, generic)


def _file(place: Path, wanted: str, what: str, generic: str) -> str | None:
    if place.suffix in _ENDS[wanted]:
        return None
    if place.name in ("network.json", "network.safetensors", "float.json", "float.safetensors"):
        return f"{place}: is one file of a folder; give the folder, {place.parent}"
    if place.suffix in _OTHERS:
        return (
            f"{place}: is a file of {_OTHERS[place.suffix]}, which Sterna does not read; write it "
            "as NIR or QONNX, or say it in PyTorch, and take that in with sterna import"
        )
    if place.suffix not in _FILES:
        return f"{place}: is a file, and what is wanted is {what}; give {generic}"
    kind, command = _FILES[place.suffix]
    stem = place.resolve().parent.name if place.name == "recipe.toml" else place.stem
    run = f"runs/{legal_name(stem)}"
    line = command.format(path=shlex.quote(str(place)), run=run)
    return f"{place}: holds {kind}, and what is wanted is {what}; next: {line}"


def _folder(place: Path, name: str, generic: str) -> str:
    """Of a folder without the file ``name``."""
    if not name:
        return f"{place}: is a folder; give {generic}"
    own, short = shlex.quote(str(place)), legal_name(place.resolve().name)
    there = {n for n in ("network.json", "float.json", "recipe.toml") if (place / n).is_file()}
    if name == "weights.sterna" and "network.json" in there:
        return f"{place}: has no weights.sterna; next: sterna pack {own}"
    if name != "recipe.toml" and "network.json" in there:
        return f"{place}: holds a network of integers, which is quantized; next: sterna build {own}"
    if name == "network.json" and "float.json" in there:
        return (
            f"{place}: holds a trained network, not of integers yet; next: sterna quantize {own} "
            f"-o build/{short}"
        )
    if name != "recipe.toml" and (place / "checkpoint.safetensors").is_file():
        return f"{place}: training is not finished; run the same sterna train command to go on"
    if name != "recipe.toml" and "recipe.toml" in there:
        return f"{place}: holds a recipe and no network; next: sterna train {own} -o runs/{short}"
    inside = _holding(place, name)
    some = f", but {', '.join(inside[:_FEW])} does" if len(inside) == 1 else ""
    if len(inside) > 1:
        more = " and others" if len(inside) > _FEW else ""
        some = f", but {', '.join(inside[:_FEW])}{more} do"
    return f"{place}: holds no {name}{some}; give {generic}"


def _holding(place: Path, name: str) -> list[str]:
    """Folders in a folder that have what is wanted."""
    return [str(place / n) for n in _names(place) if (place / n / name).is_file()]


def _names(place: Path) -> list[str]:
    try:
        found = [entry.name for entry, _ in zip(os.scandir(place), range(_MANY))]
    except OSError:
        return []
    return sorted(n for n in found if not n.startswith("."))


def _near(place: Path, name: str) -> str:
    """What may have been meant with a path that is not there."""
    if len(place.parts) == 1:
        others = [Path(p) / n for p in _PLACES for n in _names(Path(p))]
        known = {p.name: p for p in others if (p / name).is_file()}
        here = {n: Path(n) for n in _names(Path())}
        found = known.get(place.name)
        names = [] if found else nearest(place.name, known | here)
        found = found or ((known | here)[names[0]] if names else None)
        return f" (did you mean '{found}'?)" if found else ""
    base = Path(place.parts[0])
    rest = list(place.parts[1:])
    if not os.path.lexists(base):
        base, rest = Path(), list(place.parts)
    while rest and os.path.lexists(base / rest[0]):
        base /= rest.pop(0)
    near = nearest(rest[0], _names(base)) if rest else []
    if not near:
        return ""
    whole = base.joinpath(near[0], *rest[1:])
    return f" (did you mean '{whole if os.path.lexists(whole) else base / near[0]}'?)"
