"""The checkpoint of a run: one file, and whatever differs from what was written is found."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as save_tensors

from sterna.golden.errors import FileError
from sterna.golden.files.arrays import parse_tensors
from sterna.golden.files.disk import parse_json, read_bytes, write_atomic
from sterna.train.recipe.recipe import Recipe

__all__ = ["check_state", "read_checkpoint", "write_checkpoint"]

FORMAT, VERSION = "sterna-checkpoint", 2  # version 1: the digest is of the tensors only
LIMIT = 1 << 36
AGAIN = "delete it to start again"
_NUMBER = (int, float)
_KEYS: dict[str, type | tuple[type, ...]] = {
    "seed": int,
    "position": list,
    "spent": _NUMBER,
    "fraction": (dict, type(None)),
    "adam_steps": int,
    "recipe": str,
}
_MORE: dict[str, type | tuple[type, ...]] = {  # version 1 may be without
    "conversion": dict,
    "losses": list,
    "seconds": _NUMBER,
    "untrained": bool,
    "data": str,
    "teacher": str,
}
MOST_BITS = 16  # of a fraction


def write_checkpoint(path: Path, head: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """One file with the tensors and, in its metadata, ``head`` (JSON) and the digest of both: it is
    whole, or the one before is still there."""
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    head = head | {"format": FORMAT, "version": VERSION}
    text = json.dumps(head | {"digest": _digest(head, tensors)}, sort_keys=True)
    write_atomic(path, save_tensors(tensors, {"checkpoint": text}))


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(head, tensors by name) of a checkpoint file. FileError where it is damaged, or says what no
    checkpoint says; whether it is one of a certain recipe is `check_state`'s question.

    Of version 1 the tensors are checked, and that the head has what it must have.
    """
    tensors, meta = parse_tensors(read_bytes(path, LIMIT, AGAIN), path, AGAIN)
    head = parse_json(meta.get("checkpoint", "null").encode(), path, AGAIN)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise FileError(f"{path}: truncated or altered, it is no checkpoint; {AGAIN}")
    said, version = head.pop("digest", ""), head.get("version")
    first = type(version) is int and version == 1
    # Some of version 1 have no digest at all.
    if said != _digest(None if first else head, tensors) and not (first and said == ""):
        raise FileError(f"{path}: truncated or altered (it differs from what was written); {AGAIN}")
    if type(version) is not int or version not in (1, VERSION):
        raise FileError(
            f"{path}: version {version!r} is not 1 or {VERSION}; update sterna, or {AGAIN}"
        )
    if (cause := _wrong_head(head)) is not None:
        raise FileError(f"{path}: truncated or altered ({cause}); {AGAIN}")
    return head, tensors


def _wrong_head(head: dict[str, Any]) -> str | None:
    """What is impossible in a head, whatever the recipe; None where nothing is."""
    for key, kind in (_KEYS | _MORE).items():
        value = head.get(key)
        if key not in head and key in _MORE:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return f"its head has no right '{key}'"
    if extra := set(head) - {*_KEYS, *_MORE, "format", "version"}:
        return f"its head has '{min(extra)}'"
    position = head["position"]
    if len(position) != 3 or not all(type(n) is int and n >= 0 for n in position):
        return f"position {position}"
    for key in ("seed", "spent", "seconds", "adam_steps"):
        if not 0 <= head.get(key, 0) < 1 << 63:
            return f"{key} {head[key]}"
    bits = head["fraction"] or {}
    if not all(type(n) is int and 0 <= n <= MOST_BITS for n in bits.values()):
        return f"fraction {bits}"
    numbers = [*head.get("losses", []), *head.get("conversion", {}).values()]
    if not all(isinstance(n, _NUMBER) and not isinstance(n, bool) for n in numbers):
        return "losses or conversion that are no numbers"
    return None


def check_state(
    path: Path,
    head: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    recipe: Recipe,
    state: Mapping[str, np.ndarray],
    trained: Mapping[str, tuple[int, ...]],
    nodes: Collection[str],
    images: int,
) -> None:
    """FileError unless a run of ``recipe`` can have left this checkpoint at ``path``.

    state: arrays by name, as the modules have them. trained: shapes of the trained parameters.
    nodes: names of the network's. images: how many one epoch goes through.
    """
    cause = _wrong_position(head, recipe, images) or _wrong_tensors(head, tensors, state, trained)
    if cause is None and (other := set(head["fraction"] or {}) - set(nodes)):
        cause = f"it has fraction bits of '{min(other)}', which the network has not"
    if cause is not None:
        raise FileError(f"{path}: is not of this recipe, or altered ({cause}); {AGAIN}")


def _wrong_position(head: Mapping[str, Any], recipe: Recipe, images: int) -> str | None:
    number, epoch, batch = head["position"]
    text = f"stage {number}, epoch {epoch}, batch {batch}"
    if number == len(recipe.stages):
        folded = any(s.folded for s in recipe.stages)
        if epoch or batch or (folded and head["fraction"] is None):
            return f"position {text}, which no run ends at"
        return None
    if number > len(recipe.stages):
        return f"position {text} of {len(recipe.stages)} stages"
    stage = recipe.stages[number]
    batches = images // (stage.batch or recipe.batch)
    if epoch > stage.epochs or batch >= max(batches, 1) or (epoch == stage.epochs and batch):
        return f"position {text} of {stage.epochs} epochs of {batches} batches"
    if head.get("untrained") and (number or epoch or batch):
        return f"position {text} of random weights"
    if stage.folded and (epoch or batch) and head["fraction"] is None:
        return "no fraction bits in a folded stage"
    if head["adam_steps"] > epoch * batches + batch:
        return f"{head['adam_steps']} steps of the optimiser at {text}"
    if len(head.get("losses", [])) not in (0, batch):
        return f"{len(head['losses'])} losses of {batch} batches"
    return None


def _wrong_tensors(
    head: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    state: Mapping[str, np.ndarray],
    trained: Mapping[str, tuple[int, ...]],
) -> str | None:
    moments = {
        f"adam.{name}.{key}": math.prod(shape)
        for name, shape in trained.items()
        for key in ("exp_avg", "exp_avg_sq")
    }
    for name, wanted in state.items():
        found = tensors.get(name)
        if found is None:
            return f"tensor '{name}' is missing"
        if found.dtype != wanted.dtype or found.shape != np.atleast_1d(wanted).shape:
            return f"tensor '{name}' is {found.dtype} {found.shape}, not {wanted.dtype} " + str(
                np.atleast_1d(wanted).shape
            )
    if extra := sorted(set(tensors) - set(state) - set(moments)):
        return f"tensor '{extra[0]}' is of nothing"
    have = set(tensors) & set(moments)
    for name in sorted(have):
        if tensors[name].dtype != np.float32 or tensors[name].size != moments[name]:
            return f"tensor '{name}' has another type or size"
        if name.endswith("exp_avg_sq") and (tensors[name] < 0).any():
            return f"tensor '{name}' has squares below 0"
        stem = name.rpartition(".")[0]
        if not {f"{stem}.exp_avg", f"{stem}.exp_avg_sq"} <= have:
            return f"of '{stem}' one moment is missing"
    if bool(have) != (head["adam_steps"] > 0):
        return f"{head['adam_steps']} steps of an optimiser with {len(have)} tensors"
    for name, found in tensors.items():
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            return f"tensor '{name}' has values that are no numbers"
    return None


def _digest(head: dict[str, Any] | None, tensors: dict[str, np.ndarray]) -> str:
    """sha256 over the head's canonical JSON and the tensors in the order of their names."""
    whole = hashlib.sha256()
    if head is not None:
        whole.update(json.dumps(head, sort_keys=True).encode() + b"\n")
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        whole.update(tensors[name].tobytes())
    return whole.hexdigest()
