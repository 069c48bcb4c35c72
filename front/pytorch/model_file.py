"""A user's own script and weights: what `sterna import my.py:make_model --state w.pt` names.

The script is the user's, named on the command line, and runs as any script does; none is ever run
from a build folder. Weights are read without running anything: safetensors, or a state dict by
``torch.load(weights_only=True)``.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import read_bytes

__all__ = ["load_state", "make_model"]

_LARGEST = 1 << 34  # bytes of a state


def make_model(name: str) -> Any:
    """The module that FILE.py:FUNCTION makes (or that FILE.py:NAME is)."""
    import torch

    file, _, what = name.rpartition(":")
    path = Path(file)
    if not file and Path(name).is_file():
        raise UsageError(f"{name}: says no function; give {name}:FUNCTION, which makes the model")
    if not path.is_file():
        raise UsageError(f"{file or name}: is no file; give FILE.py:FUNCTION")
    found = _module(path)
    if not hasattr(found, what):
        known = sorted(n for n, v in vars(found).items() if callable(v) and not n.startswith("_"))
        raise UsageError(f"{file}: has no '{what}'; it has {', '.join(known) or 'no functions'}")
    made = getattr(found, what)
    if not isinstance(made, torch.nn.Module):
        if not callable(made):
            raise UsageError(f"{name}: is a {type(made).__name__}, not a function or a module")
        try:
            made = made()
        except Exception as e:
            raise UsageError(f"{name}: failed when it was called: {type(e).__name__}: {e}") from e
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"{name}: made a {type(made).__name__}, not a torch.nn.Module")
    return made


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_sterna_import_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: is no Python file; give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))  # as `python FILE.py` would have it
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise UsageError(f"{path}: failed when it was run: {type(e).__name__}: {e}") from e
    finally:
        sys.path.pop(0)
    return module


def load_state(model: Any, file: str | Path) -> list[str]:
    """Put the weights of a .safetensors, .pt or Lightning .ckpt file into ``model``, all of them;
    returns the names of those that belong to what the model was wrapped in, such as its loss.

    FileError where it is a whole pickled model, is damaged, or its names are not the model's.
    """
    whole = _state(Path(file))
    own = model.state_dict()
    prefix = _prefix(set(whole), {n for n in own if not _is_setting(n)}, str(file))
    state = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    missing = [n for n in missing if not _is_setting(n)]
    if missing or extra:
        what = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which the model has not"
        raise FileError(f"{file}: {what}; give the weights of this model")
    for name, value in state.items():
        if tuple(value.shape) != tuple(own[name].shape):
            raise FileError(
                f"{file}: {name!r} is {tuple(value.shape)}, the model's is "
                f"{tuple(own[name].shape)}; give the weights of this model"
            )
    model.load_state_dict(state, strict=False)
    return sorted(k for k in whole if not k.startswith(prefix))


def _is_setting(name: str) -> bool:
    """Settings of neurons that older files do not have."""
    return name.rpartition(".")[2] in ("graded_spikes_factor", "reset_mechanism_val")


def _state(path: Path) -> dict[str, Any]:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load

        try:
            return dict(load(read_bytes(path, _LARGEST)))
        except FileError:
            raise
        except Exception as e:
            raise FileError(f"{path}: is no safetensors file ({e}); save it again") from e
    if not path.is_file():
        raise FileError(f"{path}: does not exist; give the file of the model's state_dict()")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise FileError(
            f"{path}: is not a plain state dict (a whole pickled model is never loaded, since "
            "loading one runs it, nor are other objects, as hyperparameters of a checkpoint may "
            "be); save it by torch.save(model.state_dict(), ...) or as safetensors"
        ) from e
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]  # a Lightning checkpoint
    if not isinstance(found, dict) or not all(
        isinstance(k, str) and torch.is_tensor(v) for k, v in found.items()
    ):
        raise FileError(f"{path}: holds no state dict; save model.state_dict()")
    return found


def _prefix(names: set[str], own: set[str], file: str) -> str:
    """What a LightningModule, DataParallel or compile put in front of the model's names: '' where
    they stand as they are, or where they stand nowhere. FileError where they stand twice."""
    first = min(own, default="")
    found = {n.removesuffix(first) for n in names if n == first or n.endswith(f".{first}")}
    found = {p for p in found if {p + n for n in own} <= names}
    if "" in found or not found:
        return ""
    if len(found) > 1:
        both = " and ".join(repr(p) for p in sorted(found)[:2])
        raise FileError(f"{file}: holds such a model more than once, as {both}; save one of them")
    return found.pop()
