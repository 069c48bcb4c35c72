"""Milestones: what a run has learned so far, in one small file for the repository.

Latent weights as int8 with a float32 scale for each output channel, everything else (batch norms,
gains, ranges of clips) in float32: a quarter of a checkpoint's weights, and none of the optimiser.
A run whose machine is gone goes on from its stage and epoch (``resume``), with an optimiser that
begins anew; another starts from it (``warm_start``) or learns from it (``[teacher]``). The metadata
has the recipe's text, so that the network can be built again.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save as save_tensors

from sterna.gen.quantize.run_record import CHECKPOINT
from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.golden.files.arrays import parse_tensors
from sterna.golden.files.disk import parse_json, read_bytes, write_atomic
from sterna.train.methods.convert import settle
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import Recipe, build_module, build_network, parse_recipe
from sterna.train.run.checkpoint import read_checkpoint

__all__ = ["MOST_BYTES", "Resumed", "Trained", "read_resumed", "read_trained", "write_milestone"]

FORMAT, VERSION = "sterna-milestone", 1
MOST_BYTES = 64 << 20  # of a file that is read
_AGAIN = "take it from the repository again"
_WEIGHT, _SCALE = "__weight", "__weight_scale"


@dataclass(frozen=True)
class Trained:
    """A network of an earlier run as a module, in evaluation form, at the steps of its network (or
    as clips, before conversion). ``digest``: of its parameters."""

    module: SpikingModule
    digest: str


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on: ``position`` (stage, epoch of the stage), ``spent`` seconds so far, what
    its ``conversion`` measured, float32 tensors of the module by name."""

    position: tuple[int, int]
    spent: float
    conversion: dict[str, Any]
    state: dict[str, torch.Tensor]


def write_milestone(run: Path, out: Path) -> dict[str, Any]:
    """Write the latents of the run folder ``run``, over or not, to the file ``out``; what its
    metadata says: name, seed, epochs done and in all, the last validation accuracy of its log."""
    head, tensors = read_checkpoint(_checkpoint_of(run))
    state = {k[7:]: v for k, v in tensors.items() if k.startswith("module.")}
    packed: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if name.endswith(_WEIGHT):
            packed[name], packed[name + "_scale"] = _to_int8(value)
        else:
            packed[name] = np.asarray(value, np.float32)
    recipe = parse_recipe(head["recipe"], str(run))
    stage, epoch, _ = head["position"]
    about = {
        "format": FORMAT,
        "version": VERSION,
        "name": recipe.name,
        "seed": head["seed"],
        "data": head.get("data", recipe.data),
        "recipe": head["recipe"],
        "position": [stage, epoch],
        "converted": bool(head.get("conversion")),
        "conversion": head.get("conversion") or {},
        "epoch": sum(s.epochs for s in recipe.stages[:stage]) + epoch,
        "epochs": sum(s.epochs for s in recipe.stages),
        "minutes": round(head["spent"] / 60, 2),
    }
    text = json.dumps(about | {"digest": _digest(packed)}, sort_keys=True)
    packed = {k: np.ascontiguousarray(v) for k, v in packed.items()}
    write_atomic(out, save_tensors(packed, {"milestone": text}))
    return about


def read_trained(path: Path) -> Trained:
    """The network of a milestone's file, or of a run folder with a checkpoint. FileError where
    there is neither, or what is there is damaged."""
    if path.is_dir():
        head, tensors = read_checkpoint(_checkpoint_of(path))
        state = {k[7:]: v for k, v in tensors.items() if k.startswith("module.")}
        return _built(path, head, bool(head.get("conversion")), state)
    head, state = _read(path)
    return _built(path, head, head["converted"], state)


def read_resumed(path: Path, recipe: Recipe, seed: int) -> Resumed:
    """Where the run of ``recipe`` and ``seed`` goes on from a milestone's file. UsageError where it
    is one of another run, or says too little to go on; FileError where it is damaged."""
    if recipe.twin is not None:
        raise UsageError(
            f"recipe '{recipe.name}': the twin of [twin] is in no milestone; train it in one go"
        )
    head, state = _read(path)
    if head["recipe"] != recipe.text or head["seed"] != seed:
        raise UsageError(
            f"{path}: is a milestone of '{parse_recipe(head['recipe'], str(path)).name}' with seed "
            f"{head['seed']}, not of this recipe, word for word, with seed {seed}; start from its "
            "weights with warm_start instead"
        )
    stage, epoch = head["position"]
    stages = recipe.stages
    if not (0 <= stage <= len(stages) and 0 <= epoch <= [*(s.epochs for s in stages), 0][stage]):
        raise FileError(f"{path}: stage {stage} has no epoch {epoch}; {_AGAIN}")
    if head["converted"] and not head.get("conversion"):
        raise UsageError(
            f"{path}: was written before milestones said what a conversion measured; start from "
            "its weights with warm_start instead"
        )
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
    return Resumed((stage, epoch), 60 * head["minutes"], head.get("conversion", {}), tensors)


def _checkpoint_of(run: Path) -> Path:
    path = run / CHECKPOINT
    if not path.is_file():
        raise FileError(
            f"{path}: is not there; give the folder of a run that still has its checkpoint"
        )
    return path


def _built(
    path: Path, head: dict[str, Any], converted: bool, state: dict[str, np.ndarray]
) -> Trained:
    recipe = parse_recipe(head["recipe"], str(path))
    module = build_module(recipe, build_network(recipe, head["seed"]))
    try:
        module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    except RuntimeError as e:
        raise FileError(
            f"{path}: its tensors are not those of its recipe ({str(e).splitlines()[0]}); make it "
            "again"
        ) from e
    if converted:
        settle(module)
    elif recipe.nq is not None:
        module.clipping, module.steps = True, 1
    return Trained(module.eval(), _digest(state))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(metadata, float32 tensors) of a milestone. FileError where it is none, or altered."""
    blob = read_bytes(path, MOST_BYTES, "give the folder of a run or a milestone's file")
    packed, meta = parse_tensors(blob, path, _AGAIN)
    head = parse_json(meta.get("milestone", "null").encode(), path, _AGAIN)
    try:
        if head["format"] != FORMAT or head["version"] != VERSION:
            raise ValueError(f"format {head['format']} {head['version']}")
        if head["digest"] != _digest(packed):
            raise ValueError("it differs from what was written")
        if type(head["seed"]) is not int or type(head["converted"]) is not bool:
            raise ValueError("its head is not that of a milestone")
        state = {}
        for name, value in packed.items():
            if name.endswith(_WEIGHT):
                state[name] = _from_int8(value, packed[name + "_scale"])
            elif not name.endswith(_SCALE):
                state[name] = np.asarray(value, np.float32)
    except SternaError:
        raise
    except Exception as e:  # every way a damaged file can fail is the same to the user
        raise FileError(
            f"{path}: is not a milestone, or truncated or altered ({e}); {_AGAIN}"
        ) from e
    return head, state


def _to_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int8 like ``weight``, float32 scale (O,)): weight is about int8 * scale of its channel."""
    flat = weight.reshape(len(weight), -1)
    scale = np.maximum(np.abs(flat).max(1), 1e-12).astype(np.float32) / np.float32(127)
    whole = np.clip(np.rint(flat / scale[:, None]), -127, 127).astype(np.int8)
    return whole.reshape(weight.shape), scale


def _from_int8(whole: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if whole.dtype != np.int8 or scale.shape != (len(whole),):
        raise ValueError(f"weights {whole.dtype} with scales {scale.shape}")
    return whole.astype(np.float32) * scale.reshape(-1, *[1] * (whole.ndim - 1))


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """sha256 over the tensors in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        whole.update(f"{name} {value.dtype} {value.shape}\n".encode())
        whole.update(value.tobytes())
    return whole.hexdigest()
