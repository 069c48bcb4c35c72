"""One training run as a resumable sequence of stages, epochs and batches."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.run_record import CHECKPOINT
from sterna.golden.errors import SternaError, UsageError
from sterna.train.data.augment import augment
from sterna.train.methods.convert import convert, settle
from sterna.train.methods.twin import read_twin
from sterna.train.module.frames import pick
from sterna.train.module.module import SpikingModule
from sterna.train.module.nq import measure_noise, read_nq, streams_meet
from sterna.train.module.schedule import half_precision, make_adam, measure_norms, one_cycle
from sterna.train.recipe.recipe import Recipe, Stage, build_module, build_network
from sterna.train.recipe.recipe_check import check_data, check_recipe
from sterna.train.recipe.teacher_rule import read_teacher
from sterna.train.run.adam_state import adam_from, adam_tensors
from sterna.train.run.checkpoint import check_state
from sterna.train.run.distributed import Group
from sterna.train.run.milestone import read_resumed
from sterna.train.run.objective import Objective
from sterna.train.run.run_folder import RunFolder
from sterna.train.run.teacher import Teacher
from sterna.train.run.training_data import TrainingData
from sterna.train.run.warm_start import earlier_run, warmed
from sterna.train.run.watch import Watch

__all__ = ["EVAL_BATCH", "Trainer", "accuracy"]

EVAL_BATCH = 250
MEASURED = 256  # images for the statistics of batch norms
MOST = 1 << 62


@torch.no_grad()
def accuracy(module: SpikingModule, images: Tensor, labels: Tensor) -> float:
    """Share of images [B,C,H,W] or recordings [T,B,C,H,W] classified right (lowest index of the
    largest logit), evaluation mode."""
    was = module.training
    module.eval()
    right = 0
    for k in range(0, len(labels), EVAL_BATCH):
        logits = module(pick(images, slice(k, k + EVAL_BATCH)))
        right += int((logits.argmax(1) == labels[k : k + EVAL_BATCH]).sum())
    module.train(was)
    return right / len(labels)


class Trainer:
    """One run folder. ``position`` = (stage, epoch of the stage, batch of the epoch)."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        seed: int | None,
        progress: Callable[[str], None],
        data: Any = None,
        group: Group | None = None,
        callbacks: Any = (),
        resume: Path | None = None,
    ) -> None:
        self.recipe, self.out, self.watch = recipe, out, Watch(progress, callbacks)
        self.seed = recipe.seed if seed is None else seed
        cuda = torch.cuda.is_available()
        self.group = group or Group(0, 1, torch.device("cuda" if cuda else "cpu"))
        self.device = self.group.device
        self.half = half_precision(self.device, recipe.precision)
        batches = [s.batch or recipe.batch for s in recipe.stages]
        self.group.check(f"recipe '{recipe.name}'", batches)
        self.data = TrainingData(recipe, data)
        known_as, kept = self.data.identity, self.data.kept_recipe(out)
        self.folder = RunFolder(out, recipe.text, self.seed, known_as, kept, self.group.rank == 0)
        found = self.folder.find()  # of another run it is refused before anything else
        check_recipe(recipe)
        parts = self.data.parts
        for note in parts.notes:
            progress(note)
        self.train_set, self.validation, self.test = [
            (torch.tensor(x, device=self.device), torch.tensor(y, device=self.device))
            for x, y in (parts.train, parts.validation, parts.test)
        ]
        self._make_modules(found)
        self.optimizer: torch.optim.Adam | None = None
        self.position = (0, 0, 0)
        self.spent = 0.0
        self.fraction: dict[str, int] | None = None
        self.losses: list[float] = []  # of the epoch that was cut, and how long it took so far
        self.seconds = 0.0
        if self.folder.is_over:
            self.position = (len(recipe.stages), 0, 0)
        if found is not None:
            self._resume(*found)
        elif resume is not None and not self.folder.is_over:
            self._go_on(resume)

    def _make_modules(self, found: tuple[dict[str, Any], Any] | None) -> None:
        """The network of the recipe, what trains it, and what it learns from."""
        recipe = self.recipe
        network = build_network(recipe, self.seed)
        check_data(recipe, network, self.data.parts)
        self.nq = read_nq(f"recipe '{recipe.name}'", recipe.nq)
        if recipe.warm_start and found is None and not self.folder.is_over:
            path = earlier_run(recipe, recipe.warm_start, self.out)
            up = self.nq.up if self.nq is not None and streams_meet(network) else 1.0
            network = warmed(network, path, recipe.stidi is not None, up)
        self.module = build_module(recipe, network).to(self.device)
        self.module.half_gradients = self.half
        self.conversion: dict[str, float] = {}
        self.started: float | None = None  # validation before the first epoch, of an import
        if self.nq is not None:  # images for the noise are not trained on
            kept = len(self.train_set[0]) - int(self.nq.share * len(self.train_set[0]))
            self.noise_images = self.train_set[0][kept:]
            self.train_set = self.train_set[0][:kept], self.train_set[1][:kept]
        rule, teacher = read_teacher(f"recipe '{recipe.name}'", recipe.teacher), None
        if rule is not None and not self._is_over(found):
            path = earlier_run(recipe, rule.run, self.out)
            teacher = Teacher(rule, path, network, self.device)
        self.objective = Objective(recipe, network.steps, teacher)
        self.twin: SpikingModule | None = None
        self.twin_rule = read_twin(f"recipe '{recipe.name}'", recipe.twin)
        if self.twin_rule is not None:
            other = build_network(recipe, self.seed + self.twin_rule.seed_step)
            self.twin = SpikingModule(other, None, recipe.learned).to(self.device)

    def _is_over(self, found: tuple[dict[str, Any], Any] | None) -> bool:
        done = found[0]["position"][0] if found is not None else 0
        return self.folder.is_over or done == len(self.recipe.stages)

    # -- the loop -----------------------------------------------------------------------------

    def run(self, seconds: float) -> dict[str, Any]:
        """Train for up to ``seconds``; the summary that ``train`` returns."""
        start = time.monotonic()
        total = sum(s.epochs for s in self.recipe.stages)
        if self.folder.untrained:
            raise UsageError(f"{self.out}: holds random weights; give another folder")
        if self.position[0] == len(self.recipe.stages):
            known = self.folder.outcome()  # measuring takes as long as an epoch
            if known is not None:
                self.folder.restore(self.module.export, self.watch.report)
                return known
        self.watch.begin(self.recipe.name, *self._work())
        if "latents" in self.recipe.network and self.position == (0, 0, 0):
            self.started = accuracy(self.module, *self.validation)
            self.watch.say(f"{self.recipe.name}: begins at validation {self.started:.2%}")
        for number, stage in enumerate(self.recipe.stages):
            if number < self.position[0]:
                continue
            self._enter(stage, number)
            for epoch in range(self.position[1], stage.epochs):
                before = time.monotonic()
                loss = self._epoch(stage, number, epoch, start + seconds)
                passed = time.monotonic() - before
                self.spent, self.seconds = self.spent + passed, self.seconds + passed
                if loss is None:
                    self._save()
                    return self._summary(False, number, epoch, total)
                self.position = (number, epoch + 1, 0)
                if stage.nq and self.nq is not None and self.nq.noise:
                    measure_noise(self.module, self.noise_images, self.nq)
                if epoch + 1 == stage.epochs:
                    self._settle_norms(stage, number, stage.epochs)
                self._log(stage, number, epoch, total, loss)
                self.losses, self.seconds = [], 0.0
                self._save()
            self.position, self.optimizer = (number + 1, 0, 0), None
        return self._finish(total)

    def _work(self) -> tuple[int, int]:
        """(batches of the whole training, how many of them are done)."""
        images = min(self.recipe.images or MOST, len(self.train_set[1]))
        each = [images // (s.batch or self.recipe.batch) for s in self.recipe.stages]
        whole = [n * s.epochs for n, s in zip(each, self.recipe.stages)]
        number, epoch, batch = self.position
        now = epoch * each[number] + batch if number < len(each) else 0
        return sum(whole), sum(whole[:number]) + now

    def keep_random(self) -> dict[str, Any]:
        """The network as it was drawn, with batch norms measured; the summary of a finished run."""
        if self.nq is not None:
            raise UsageError("--untrained: [nq] has nothing to convert before training; remove it")
        total = sum(s.epochs for s in self.recipe.stages)
        summary = self._summary(True, 0, 0, total) | {"untrained": True, "fraction_bits": None}
        if (self.folder.resumed or self.folder.is_over) and not self.folder.untrained:
            raise UsageError(f"{self.out}: holds a run that was trained; give another folder")
        self.folder.untrained = True
        self.measure()
        self._save()
        return self.folder.record(summary | self.data.facts())

    def measure(self) -> None:
        """Set every batch norm to the statistics of training images at the network's T."""
        images, labels = self.train_set
        measure_norms(self.module, images, min(MEASURED, len(labels)))

    def _settle_norms(self, stage: Stage, number: int, epoch: int) -> None:
        """Batch norms with the statistics of the stage's T over as many images as it says."""
        if stage.norms:
            images, labels = self.train_set
            torch.manual_seed(_mix(self.seed, number, epoch))  # clips may have noise
            measure_norms(self.module, images, min(stage.norms, len(labels)), stage.steps)

    def _enter(self, stage: Stage, number: int) -> None:
        if self.module.nq is not None and not stage.nq:
            self._convert()
        self.module.steps, self.module.clipping = stage.steps, stage.nq
        self.module.kind, self.module.each_step = stage.kind, stage.each_step
        if self.position[1:] == (0, 0):
            self._settle_norms(stage, number, 0)
        if stage.folded and (self.fraction is None or self.position[1:] == (0, 0)):
            images = pick(self.train_set[0], slice(256)).cpu().numpy()
            _, report = quantize(self.module.export(), images)
            bits = {r.name: r.fraction_bits for r in report.layers}
            self.fraction = self.group.adopt(bits)
        self.module.fraction_bits = self.fraction if stage.folded else None
        if self.twin is not None:
            self.twin.steps, self.twin.kind = stage.steps, stage.kind
        if self.optimizer is None:
            self.optimizer = make_adam(self._parameters())

    def _convert(self) -> None:
        parts = {"validation": self.validation, "test": self.test}
        self.conversion = convert(self.module, self.noise_images, parts, accuracy)

    def _parameters(self) -> list[tuple[str, Tensor]]:
        """Trained parameters by name, those of the twin behind ``twin.``."""
        twin = self.twin.named_parameters("twin") if self.twin is not None else ()
        return [*self.module.named_parameters(), *twin]

    def _epoch(self, stage: Stage, number: int, epoch: int, stop: float) -> float | None:
        """Mean loss of an epoch, None where the time ran out in its middle."""
        images, labels = self.train_set
        if self.recipe.images:
            first = slice(self.recipe.images)
            images, labels = pick(images, first), labels[first]
        generator = torch.Generator().manual_seed(_mix(self.seed, number, epoch))
        order = torch.randperm(len(labels), generator=generator)
        size = stage.batch or self.recipe.batch
        batches = len(labels) // size
        if not batches:
            raise UsageError(
                f"recipe '{self.recipe.name}': a batch of {size} is more than the {len(labels)} "
                "training images; make it smaller"
            )
        first = self.position[2] if self.position[:2] == (number, epoch) else 0
        losses = self.losses if first else []
        self.module.train()
        if self.twin is not None:
            self.twin.train()
        assert self.optimizer is not None
        for k in range(first, batches):
            # At least one batch, so that the shortest slices get on.
            if k > first and self.group.decide(time.monotonic() > stop):
                self.position, self.losses = (number, epoch, k), losses
                return None
            done = (epoch * batches + k) / (stage.epochs * batches)
            for group, peak in zip(self.optimizer.param_groups, (stage.lr, stage.lr_rest)):
                group["lr"] = peak * one_cycle(done, stage.warmup)
            chosen = order[k * size : (k + 1) * size]
            generator = torch.Generator().manual_seed(_mix(self.seed, number, epoch, k + 1))
            r = self.recipe
            reach = r.shift if stage.shift is None else stage.shift
            batch = pick(images, chosen)
            batch = augment(batch, reach, r.rotate, r.zoom, generator, r.mirror)
            if self.nq is not None:  # its noise is drawn from torch's own generator
                torch.manual_seed(_mix(self.seed, number, epoch, k + 1, self.group.rank))
            losses.append(self._step(stage, *self.group.share(batch, labels[chosen])))
            self.watch.batch(losses[-1])
            if not math.isfinite(losses[-1]):
                raise SternaError(
                    f"training '{r.name}': the loss became {losses[-1]} at epoch {epoch}; lower lr "
                    "in its [[stage]] and start again"
                )
        return float(np.mean(losses)) if losses else 0.0

    def _step(self, stage: Stage, images: Tensor, labels: Tensor) -> float:
        assert self.optimizer is not None
        half = self.half and not stage.folded
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = self.module(images)
            # In the folded epochs only the network that is kept goes on.
            other = self.twin(images) if self.twin is not None and not stage.folded else None
        loss = self.objective(stage, images, labels, logits, other)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        loss = self.group.average_gradients([p for _, p in self._parameters()], loss)
        self.optimizer.step()
        for module in (self.module, self.twin):
            if module is None:
                continue
            module.clip_latents()
            if not stage.folded:
                self.group.average_statistics(module)
        return float(loss)

    # -- reporting ----------------------------------------------------------------------------

    def _log(self, stage: Stage, number: int, epoch: int, total: int, loss: float) -> None:
        score = accuracy(self.module, *self.validation)
        k = sum(s.epochs for s in self.recipe.stages[:number]) + epoch + 1
        form = " folded" if stage.folded else ""
        text = (
            f"[{k}/{total}] {self.recipe.name} T={stage.steps}{form} loss {loss:.4f} "
            f"validation {score:.2%} {self.seconds:.0f} s"
        )
        line = {
            "epoch": k,
            "steps": stage.steps,
            "folded": stage.folded,
            "loss": round(loss, 6),
            "validation": score,
            "seconds": round(self.seconds, 1),
        }
        if self.group.rank == 0:
            self.folder.log(line)
            self.watch.epoch(text, line, total)

    def _summary(self, done: bool, number: int, epoch: int, total: int) -> dict[str, Any]:
        k = sum(s.epochs for s in self.recipe.stages[:number]) + epoch
        return {
            "name": self.recipe.name,
            "done": done,
            "epoch": k,
            "epochs": total,
            "seed": self.seed,
            "processes": self.group.size,
            "precision": "bfloat16" if self.half else "float32",
            "minutes": round(self.spent / 60, 2),
        }

    def _finish(self, total: int) -> dict[str, Any]:
        if self.module.nq is not None:
            self._convert()
        self.module.steps, self.module.kind = self.module.network.steps, None
        self.position = (len(self.recipe.stages), 0, 0)
        self._save()
        summary = self._summary(True, len(self.recipe.stages), 0, total)
        for form, bits in (("real", None), ("folded", self.fraction)):
            if form == "folded" and bits is None:
                continue
            self.module.fraction_bits = bits
            summary[f"validation_{form}"] = accuracy(self.module, *self.validation)
            summary[f"test_{form}"] = accuracy(self.module, *self.test)
        summary["fraction_bits"] = self.fraction
        if self.started is not None:
            summary["validation_start"] = self.started
        if self.recipe.learned:
            state = self.module.state_dict()
            summary["weight_thresholds"] = {
                n.removesuffix("__factor"): round(float(v), 6)
                for n, v in state.items()
                if n.endswith("__factor")
            }
        if self.conversion:
            summary["conversion"] = self.conversion
        return self.folder.record(summary | self.data.facts())

    # -- checkpoints --------------------------------------------------------------------------

    def _state(self) -> dict[str, np.ndarray]:
        """All tensors of the modules by name."""
        modules = {"module": self.module} | ({"twin": self.twin} if self.twin is not None else {})
        return {
            f"{name}.{k}": v.detach().cpu().numpy()
            for name, module in modules.items()
            for k, v in module.state_dict().items()
        }

    def _save(self) -> None:
        if self.group.rank:
            return
        moments, steps = adam_tensors(self.optimizer, self._parameters())
        tensors = self._state() | moments
        head = {
            "position": self.position,
            "spent": self.spent,
            "fraction": self.fraction,
            "adam_steps": steps,
            "conversion": self.conversion,
            "losses": self.losses,
            "seconds": self.seconds,
            "untrained": self.folder.untrained,
            "teacher": self.objective.taught_by,
        }
        self.folder.save(head, tensors, self.module.export())

    def _go_on(self, path: Path) -> None:
        """Begin where a milestone ends, with new moments."""
        earlier = read_resumed(path, self.recipe, self.seed)
        self.module.load_state_dict(earlier.state)
        self.position, self.spent = (*earlier.position, 0), earlier.spent
        self.conversion = earlier.conversion
        if self.conversion:
            settle(self.module)

    def _resume(self, head: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        images = self.recipe.images or len(self.train_set[1])
        check_state(
            self.out / CHECKPOINT,
            head,
            tensors,
            self.recipe,
            self._state(),
            {name: tuple(p.shape) for name, p in self._parameters()},
            [n.name for n in self.module.network.nodes],
            min(images, len(self.train_set[1])),
        )
        state = {k[7:]: torch.from_numpy(v) for k, v in tensors.items() if k.startswith("module.")}
        self.module.load_state_dict(state)
        if self.twin is not None:
            self.twin.load_state_dict(
                {k[5:]: torch.from_numpy(v) for k, v in tensors.items() if k.startswith("twin.")}
            )
        taught = head.get("teacher", "")
        if self.objective.teacher is not None and taught != self.objective.taught_by:
            raise UsageError(
                f"{self.out}: has learned from another teacher than [teacher] run names now; put "
                "that back, or give another folder"
            )
        self.position, self.spent = tuple(head["position"]), head["spent"]
        self.fraction = head["fraction"]
        self.conversion = head.get("conversion", {})
        self.losses, self.seconds = head.get("losses", []), head.get("seconds", 0.0)
        if self.conversion:
            settle(self.module)
        if self.position[0] < len(self.recipe.stages):
            self.optimizer = adam_from(tensors, self._parameters(), head["adam_steps"])


def _mix(*parts: int) -> int:
    """One seed from several numbers, the same everywhere."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
