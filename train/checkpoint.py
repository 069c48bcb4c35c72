"""What an earlier run left: its checkpoint, and its weights to start another one from."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from sterna.gen.floatnet import FloatConv2d, FloatLinear, FloatNetwork, FloatNeuron
from sterna.golden.disk import write_atomic
from sterna.golden.errors import FileError
from sterna.train.stidi import rescaled

__all__ = ["read_checkpoint", "warmed", "write_checkpoint"]

Weighted = FloatConv2d | FloatLinear


def write_checkpoint(path: Path, head: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """One file with the tensors and, in its metadata, ``head`` and their digest: it is whole, or
    the one before is still there."""
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    text = json.dumps(head | {"digest": _digest(tensors)}, sort_keys=True)
    write_atomic(path, save_tensors(tensors, {"checkpoint": text}))


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(head, tensors by name) of a checkpoint file. FileError where it is damaged."""
    blob = path.read_bytes()
    try:
        size = int.from_bytes(blob[:8], "little")
        head = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["checkpoint"])
        tensors = load_tensors(blob)
        if head.get("digest", "") not in ("", _digest(tensors)):  # none: of an earlier Sterna
            raise ValueError("a tensor differs from what was written")
        return head, tensors
    except Exception as e:  # every way a damaged file can fail is the same to the user
        raise FileError(f"{path}: truncated or altered ({e}); delete it to start again") from e


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """sha256 over the tensors in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        whole.update(tensors[name].tobytes())
    return whole.hexdigest()


def warmed(network: FloatNetwork, path: Path, timed: bool = False) -> FloatNetwork:
    """``network`` with weights and batch norms of the run at ``path`` where shapes agree.
    ``timed``: of single spikes, whose parameters do not depend on the number of steps."""
    trained = FloatNetwork.load(path)
    other = (rescaled(trained, trained.steps, 1) if timed else trained).by_name
    latents = path / "checkpoint.safetensors"
    tensors = read_checkpoint(latents)[1] if latents.is_file() else {}
    nodes = []
    for node in network.nodes:
        old = other.get(node.name)
        if isinstance(node, Weighted) and isinstance(old, type(node)):
            if old.weight.shape == node.weight.shape:
                latent = tensors.get(f"module.{node.name}__weight", old.weight)
                latent = latent * tensors.get(f"module.{node.name}__gain", np.float32(1))
                norm = old.norm if node.norm is not None else None
                node = replace(node, weight=latent, norm=norm)
        elif isinstance(node, FloatNeuron) and isinstance(old, FloatNeuron):
            if node.norm and old.norm and node.norm.gamma.shape == old.norm.gamma.shape:
                node = replace(node, norm=old.norm)
        nodes.append(node)
    return FloatNetwork(network.steps, nodes)
