"""One set of weights for all members of a skip search.

The super-network has every concatenation that is possible. A member takes its weights from it: the
input channels that it has are slices of the super-weights, additions need none of their own, and
gain and offset of a batch norm are shared. It is trained by drawing a member for each batch (single
path one-shot, arXiv 1904.00420). Statistics of batch norms are no part of it: what a sum is
distributed like depends on the skips, so each member measures its own.
"""

import json
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.numpy import save as save_tensors
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from sterna.gen.quantize.float_network import (
    FloatMerge,
    FloatNetwork,
)
from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.golden.files import flock
from sterna.golden.files.arrays import parse_tensors
from sterna.golden.files.disk import parse_json, read_bytes, sha256, write_atomic
from sterna.train.data.augment import augment
from sterna.train.module.module import SpikingModule
from sterna.train.module.schedule import make_adam, one_cycle
from sterna.train.recipe.recipe import Recipe, Stage, build_network
from sterna.train.search.skip_space import Member, Space

__all__ = ["SuperNet", "tune"]

LIMIT = 1 << 32
_HEAD = {"format", "version", "of", "epochs", "adam", "digest"}
Images = tuple[Tensor, Tensor]
"""uint8 images [B,C,H,W] and int64 labels [B]."""


class SuperNet:
    """The shared weights of a space, trained by ``stages`` and kept in ``folder``, in ``path``.

    ``digest`` (after ``train``): SHA-256 of the trained weights, so that workers on several
    machines can tell whether they have the same ones.
    """

    def __init__(
        self, space: Space, stages: tuple[Stage, ...], folder: Path, device: torch.device
    ) -> None:
        self.space, self.stages, self.device = space, stages, device
        self.path = folder / "supernet.safetensors"
        self.recipe = space.base
        network = build_network(space.recipe(space.uniform("DSC")), self.recipe.seed)
        self.full = SpikingModule(network).to(device)
        self.digest = ""

    # -- members -------------------------------------------------------------------------------

    def module(self, member: Member) -> SpikingModule:
        """The member as a network of its own that starts with the shared weights."""
        module, shared = self._view(member)
        module.load_state_dict({k: v.detach().clone() for k, v in shared.items()}, strict=False)
        return module

    def _view(self, member: Member) -> tuple[SpikingModule, dict[str, Tensor]]:
        """(the member's module, its parameters as slices of the shared ones)."""
        network = build_network(self.space.recipe(member), self.recipe.seed)
        module = SpikingModule(network).to(self.device)
        full = dict(self.full.named_parameters())
        shared: dict[str, Tensor] = {}
        for name, own in module.named_parameters():
            whole = full[name]
            if whole.shape != own.shape:
                node = name.removesuffix("__weight")
                parts = slices(self.full.network, network, node)
                whole = torch.cat([whole[:, a:b] for a, b in parts], 1)
            shared[name] = whole
        return module, shared

    # -- training ------------------------------------------------------------------------------

    def train(self, images: Images, stop: float, progress: Callable[[str], None]) -> bool:
        """Train what is still to do until the clock ``time.monotonic`` is at ``stop``; False where
        that was too early. Whoever comes second to a folder waits for the first."""
        with _only_one(self.path.with_suffix(".lock"), progress):
            done, optimizer = self._load()
            total = sum(s.epochs for s in self.stages)
            number = 0
            for at, stage in enumerate(self.stages):
                for epoch in range(stage.epochs):
                    number += 1
                    if number <= done:
                        continue
                    if time.monotonic() > stop:
                        return False
                    begin = time.monotonic()
                    loss = self._epoch(stage, at, epoch, images, optimizer)
                    self._save(number, optimizer if number < total else None)
                    progress(
                        f"super-network [{number}/{total}] T={stage.steps} loss {loss:.4f} "
                        f"{time.monotonic() - begin:.0f} s"
                    )
                if number >= done:  # as in a run, each stage has an optimiser of its own
                    optimizer = make_adam(self.full.named_parameters())
            blob = b"".join(
                v.detach().cpu().numpy().tobytes() for _, v in sorted(self.full.named_parameters())
            )
            self.digest = sha256(blob)
        return True

    def _epoch(
        self, stage: Stage, at: int, epoch: int, images: Images, optimizer: torch.optim.Adam
    ) -> float:
        rng = np.random.default_rng([self.recipe.seed, 1, at, epoch])

        def logits(batch: Tensor) -> Tensor:
            module, shared = self._view(self.space.draw(rng))
            module.train()
            module.steps = stage.steps
            return functional_call(module, shared, (batch,))

        how = _How(self.recipe, stage, (self.recipe.seed, 2, at, epoch), epoch)
        return _run_epoch(how, images, optimizer, logits, self.full)

    # -- files ---------------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        """What the weights depend on, other than the machine."""
        r = self.recipe
        facts = [
            r.data,
            r.network,
            r.seed,
            r.batch,
            r.shift,
            r.rotate,
            r.zoom,
            r.mirror,
            r.smoothing,
            r.images,
            [vars(s) for s in self.stages],
            [vars(p) for p in self.space.places],
        ]
        return sha256(json.dumps(facts, sort_keys=True).encode())

    def _save(self, epochs: int, optimizer: torch.optim.Adam | None) -> None:
        tensors = {k: v.detach().cpu().numpy() for k, v in self.full.named_parameters()}
        names = {id(p): n for n, p in self.full.named_parameters()}
        steps = {}
        for p, state in (optimizer.state if optimizer else {}).items():
            steps[names[id(p)]] = int(state["step"])
            for key in ("exp_avg", "exp_avg_sq"):
                tensors[f"adam.{names[id(p)]}.{key}"] = state[key].cpu().numpy()
        head = {
            "format": "sterna-supernet",
            "version": 1,
            "of": self._id,
            "epochs": epochs,
            "adam": steps,
        }
        tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
        head["digest"] = _digest(head, tensors)
        blob = save_tensors(tensors, {"supernet": json.dumps(head, sort_keys=True)})
        write_atomic(self.path, blob)

    def _load(self) -> tuple[int, torch.optim.Adam]:
        """(epochs done, the optimiser as it was) from the folder."""
        path = self.path
        optimizer = make_adam(self.full.named_parameters())
        if not path.is_file():
            return 0, optimizer
        blob = read_bytes(path, LIMIT)
        try:
            tensors, meta = parse_tensors(blob, path)
            head = parse_json(meta["supernet"].encode(), path)
            digest = _digest(head, tensors)
            if set(head) - _HEAD or head.get("digest", digest) != digest:  # older ones had none
                raise ValueError("it does not hold what was written")
        except Exception as e:  # every way a damaged file can fail is the same to the user
            raise FileError(f"{path}: truncated or altered ({e}); delete it to train anew") from e
        if head.get("of") != self._id:
            raise UsageError(
                f"{path}: was trained for another recipe; give another folder or delete it"
            )
        with torch.no_grad():
            for name, p in self.full.named_parameters():
                p.copy_(torch.from_numpy(tensors[name]).reshape(p.shape))
                if name in head["adam"]:
                    state: dict[str, Any] = {"step": torch.tensor(float(head["adam"][name]))}
                    for key in ("exp_avg", "exp_avg_sq"):
                        value = torch.from_numpy(tensors[f"adam.{name}.{key}"])
                        state[key] = value.reshape(p.shape).to(self.device)
                    optimizer.state[p] = state
        return int(head["epochs"]), optimizer


def _digest(head: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over the head, without a digest, and the tensors in the order of their names."""
    facts = {k: v for k, v in head.items() if k != "digest"}
    parts = [json.dumps(facts, sort_keys=True).encode()]
    for name in sorted(tensors):
        parts.append(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        parts.append(tensors[name].tobytes())
    return sha256(b"".join(parts))


def slices(full: FloatNetwork, part: FloatNetwork, name: str) -> list[tuple[int, int]]:
    """[(first, last + 1)] input channels (features of a FloatLinear) of the weights of node
    ``name`` in network ``full`` that the same node has in network ``part``."""
    bounds, at = {}, 0
    for n, source in enumerate(_joined(full, name)):
        size = full.shape[source][0]
        if full.weighted(name).flattens:
            size = math.prod(full.shape[source])
        # The first one is the layer before, under whatever name: with additions it is a merge.
        bounds[source if n else ""] = at, at + size
        at += size
    return [bounds[source if n else ""] for n, source in enumerate(_joined(part, name))]


def _joined(network: FloatNetwork, name: str) -> tuple[str, ...]:
    """The streams that are side by side at the input of a weighted node."""
    node = network.weighted(name)
    source = network.by_name[node.input]
    if isinstance(source, FloatMerge) and source.mode == "concat":
        return source.inputs
    return (node.input,)


@contextmanager
def _only_one(path: Path, progress: Callable[[str], None]) -> Generator[None]:
    """Hold a lock, which also the death of its holder gives back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        if not flock.lock(file):
            progress("another worker trains the super-network; waiting for it")
            flock.lock(file, wait=True)
        yield


# -- training loops ----------------------------------------------------------------------------


def tune(module: SpikingModule, recipe: Recipe, stages: tuple[Stage, ...], images: Images) -> None:
    """Train a member on its own for some epochs, batch statistics as always in training."""
    module.train()
    for at, stage in enumerate(stages):
        module.steps = stage.steps
        optimizer = make_adam(module.named_parameters())
        for epoch in range(stage.epochs):
            how = _How(recipe, stage, (recipe.seed, 3, at, epoch), epoch)
            _run_epoch(how, images, optimizer, module, module)
    module.steps = module.network.steps


@dataclass(frozen=True)
class _How:
    """An epoch: by which recipe and stage, from which seed, which one of the stage."""

    recipe: Recipe
    stage: Stage
    seed: tuple[int, ...]
    epoch: int


def _run_epoch(
    how: _How,
    images: Images,
    optimizer: torch.optim.Adam,
    forward: Callable[[Tensor], Tensor],
    owner: SpikingModule,
) -> float:
    """Mean loss of an epoch; ``owner`` holds the parameters that are trained."""
    recipe, stage = how.recipe, how.stage
    x, y = images
    rng = np.random.default_rng(how.seed)
    order = torch.from_numpy(rng.permutation(len(x)))
    size = stage.batch or recipe.batch
    batches = len(x) // size
    if not batches:
        raise UsageError(f"a batch of {size} is more than the {len(x)} training images; lower it")
    reach = recipe.shift if stage.shift is None else stage.shift
    losses: list[float] = []
    for k in range(batches):
        done = (how.epoch * batches + k) / (stage.epochs * batches)
        for group, peak in zip(optimizer.param_groups, (stage.lr, stage.lr_rest), strict=True):
            group["lr"] = peak * one_cycle(done, stage.warmup)
        pick = order[k * size : (k + 1) * size]
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        batch = augment(x[pick], reach, recipe.rotate, recipe.zoom, generator, recipe.mirror)
        # As in a run: logits of the same range at every T.
        logits = forward(batch).float() * (owner.network.steps / stage.steps)
        loss = F.cross_entropy(logits, y[pick], label_smoothing=recipe.smoothing)
        optimizer.zero_grad(set_to_none=True)
        cast("Any", loss).backward()
        optimizer.step()
        owner.clip_latents()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise SternaError(
                f"search '{recipe.name}': the loss became {losses[-1]}; lower lr in [search]"
            )
    return float(np.mean(losses)) if losses else 0.0
