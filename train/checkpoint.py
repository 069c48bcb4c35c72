"""The checkpoint of a run: one file, and whatever differs from what was written is found."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from sterna.golden.disk import write_atomic
from sterna.golden.errors import FileError

__all__ = ["read_checkpoint", "write_checkpoint"]

FORMAT, VERSION = "sterna-checkpoint", 2  # version 1: the digest is of the tensors only
_KEYS: dict[str, type | tuple[type, ...]] = {
    "seed": int, "position": list, "spent": (int, float), "fraction": (dict, type(None)),
    "adam_steps": int, "recipe": str,
}  # fmt: skip


def write_checkpoint(path: Path, head: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """One file with the tensors and, in its metadata, ``head`` (JSON) and the digest of both: it is
    whole, or the one before is still there."""
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    head = head | {"format": FORMAT, "version": VERSION}
    text = json.dumps(head | {"digest": _digest(head, tensors)}, sort_keys=True)
    write_atomic(path, save_tensors(tensors, {"checkpoint": text}))


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(head, tensors by name) of a checkpoint file. FileError where it is damaged.

    Of version 1 the tensors are checked, and that the head has what it must have.
    """
    blob = path.read_bytes()
    try:
        size = int.from_bytes(blob[:8], "little")
        head = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["checkpoint"])
        tensors = load_tensors(blob)
        said, first = head.pop("digest", ""), head.get("version") == 1
        # Some of version 1 have no digest at all.
        if said != _digest(None if first else head, tensors) and not (first and said == ""):
            raise ValueError("it differs from what was written")
        if head["format"] != FORMAT or not all(isinstance(head[k], t) for k, t in _KEYS.items()):
            raise ValueError("its head is not that of a checkpoint")
        if len(head["position"]) != 3 or not all(type(n) is int for n in head["position"]):
            raise ValueError(f"position {head['position']}")
    except Exception as e:  # every way a damaged file can fail is the same to the user
        raise FileError(f"{path}: truncated or altered ({e}); delete it to start again") from e
    if head["version"] not in (1, VERSION):
        raise FileError(
            f"{path}: version {head['version']} is not 1 or {VERSION}; update sterna, or "
            "delete it to start again"
        )
    return head, tensors


def _digest(head: dict[str, Any] | None, tensors: dict[str, np.ndarray]) -> str:
    """sha256 over the head's canonical JSON and the tensors in the order of their names."""
    whole = hashlib.sha256()
    if head is not None:
        whole.update(json.dumps(head, sort_keys=True).encode() + b"\n")
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        whole.update(tensors[name].tobytes())
    return whole.hexdigest()
