"""What an earlier run left: its checkpoint, and its weights to start another one from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors

from sterna.gen.floatnet import FloatConv2d, FloatLinear, FloatNetwork, FloatNeuron
from sterna.golden.errors import FileError
from sterna.train.stidi import rescaled

__all__ = ["read_checkpoint", "warmed"]

Weighted = FloatConv2d | FloatLinear


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(head, tensors by name) of a checkpoint file. FileError where it is damaged."""
    blob = path.read_bytes()
    try:
        size = int.from_bytes(blob[:8], "little")
        head = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["checkpoint"])
        return head, load_tensors(blob)
    except Exception as e:  # every way a damaged file can fail is the same to the user
        raise FileError(f"{path}: truncated or altered ({e}); delete it to start again") from e


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
