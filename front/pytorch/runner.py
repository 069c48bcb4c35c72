"""Running somebody's model: once to write it down, and again to compare with it."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sterna.front.cell import Cell, handler_of, multi_step
from sterna.front.check import Recorded
from sterna.front.expression import Expr, at
from sterna.front.pytorch.functions import FUNCTIONS
from sterna.front.pytorch.output import Read, is_whole, logits_of
from sterna.front.pytorch.record import OneStep, Recorder, recording
from sterna.gen.quantize.float_network import FloatInput, FloatNetwork
from sterna.golden.coding import check_images
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.network import Input

__all__ = ["Runner"]


BASES = ("SpikingNeuron", "BaseNode", "SimpleBaseNode", "NonSpikingBaseNode")
"""Of neurons: what is derived from them is one, though nobody said which."""


def _is_cell(module: nn.Module) -> bool:
    if handler_of(module) is not None:
        return True
    package = type(module).__module__.partition(".")[0]
    base = next((c for c in type(module).__mro__ if c.__name__ in BASES), None)
    if base is not None:
        raise NetworkError(
            f"{package}.{type(module).__name__}: is a neuron that is not known; use one of "
            "docs/front.md, or write its few lines in front/ (CONTRIBUTING.md)"
        )
    return False


class _Failed(NetworkError):
    """forward() raised what is no refusal of ours: in which module, on which batch, and what.
    ``before``: as well on another batch, tried first, whose error may be the model's own."""

    def __init__(
        self, where: str, batch: torch.Tensor, error: Exception, before: "_Failed | None" = None
    ) -> None:
        text = " ".join(str(error).split())[:200]
        self.tried = (
            f"{at(where)}: failed on the example of shape {tuple(batch.shape)} "
            f"({type(error).__name__}: {text})"
        )
        first = "" if before is None else f"{before.tried}, and "
        super().__init__(
            f"{first}{self.tried}; give an example as forward() takes it, a batch of images"
        )


class Runner:
    """A copy of the model, and how it is run: one step a call, or all steps in one."""

    def __init__(self, model: nn.Module, coding: str, steps: int | None) -> None:
        if not isinstance(model, nn.Module):
            raise UsageError(f"from_torch: {type(model).__name__} is no torch.nn.Module")
        model = getattr(model, "_orig_mod", model)  # torch.compile's
        self.model = copied(model).eval()
        self.coding, self.steps = coding, steps
        self.each: tuple[int, ...] = ()  # an image, as forward() takes it: without axes of ours
        self.repeats = False  # the model reads a sequence, of one image
        self.failed: _Failed | None = None  # on one step, before a sequence of all was tried
        floats = [p for p in self.model.parameters() if p.is_floating_point()]
        self.dtype = floats[0].dtype if floats else torch.float32
        if self.dtype not in (torch.float32, torch.float64):
            raise NetworkError(
                f"{type(model).__name__}: has weights of {self.dtype}, which neurons compute in "
                "another way everywhere; give model.float()"
            )
        if not any(_is_cell(m) for m in self.model.modules()):
            raise NetworkError(
                f"{type(model).__name__}: has no spiking neurons that are known (those written in "
                "forward() are not); use neurons of docs/front.md (a ReLU network is converted by "
                "`sterna train`)"
            )

    def cells(self) -> tuple[dict[str, Cell], dict[str, NetworkError]]:
        """Every neuron layer of the model by path: what it is, or why it cannot be built."""
        known: dict[str, Cell] = {}
        refused: dict[str, NetworkError] = {}
        for path, module in self.model.named_modules():
            handler = handler_of(module)
            if handler is not None:
                try:
                    known[path] = handler(module, path)
                except NetworkError as e:
                    refused[path] = e
                except Exception as e:  # attributes that its class never gave it
                    kind = type(module).__name__
                    refused[path] = NetworkError(
                        f"{at(path)}: {kind} holds what none has that was made by {kind}(...) "
                        f"({' '.join(str(e).split())[:120]}); make it anew"
                    )
        return known, refused

    @staticmethod
    def check_uses(cells: dict[str, list[Expr]]) -> None:
        """Every neuron layer is used once a step."""
        uses = {path: len(u) for path, u in cells.items()}
        least = min(uses, key=lambda path: uses[path])
        for path, count in uses.items():
            if count != uses[least]:
                raise NetworkError(
                    f"{at(path)}: is used {count} times, '{least}' {uses[least]} times; make "
                    "a module of its own for each use in a step"
                )

    def reset(self) -> None:
        for m in self.model.modules():
            known = handler_of(m) is not None
            names = ("reset_mem", "reset") if known else ("reset",)
            if known or type(m).__module__.startswith("spikingjelly"):  # layers have states, too
                for function in (getattr(m, name, None) for name in names):
                    if callable(function):
                        function()
                        break

    @property
    def many(self) -> bool:
        """Whether neurons compute all steps in one call."""
        return any(_is_cell(m) and multi_step(m) for m in self.model.modules())

    def record(self, batch: torch.Tensor) -> tuple[Recorder, list[Any], bool]:
        """(what was seen, the output of each call, whether one call computes all steps)."""
        try:
            return self._record(batch)
        except (OneStep, _Failed) as e:
            if self.coding != "direct" or self.steps is None or not self.many:
                raise
            self.failed = e if isinstance(e, _Failed) else None
        self.repeats = True  # forward() wants [T,B,C,H,W] of the image
        try:
            return self._record(batch)
        except _Failed:
            raise
        except NetworkError as e:
            if self.failed is None:
                raise
            raise NetworkError(f"{e} (given one step, {self.failed.tried})") from self.failed

    def _record(self, batch: torch.Tensor) -> tuple[Recorder, list[Any], bool]:
        recorder = Recorder(FUNCTIONS)
        self.reset()
        one = self.coding == "direct" or (self.steps is not None and self._is_one_step(batch))
        with recording(self.model, recorder, _is_cell):
            first = self._first(recorder, batch, one)
            outputs = [self._call(recorder, first)]
            uses = {len(u) for u in recorder.cells.values()}
            if not uses:
                raise NetworkError("forward() uses none of its spiking neurons")
            whole = uses != {1} or self.steps in (None, 1) and is_whole(outputs[0])
            if whole:
                return recorder, outputs, True
            if self.steps is None:
                raise UsageError(
                    "forward() computes one time step; give steps=T (the number of times your own "
                    "loop calls it)"
                )
            if self.coding == "frames" and len(batch) != self.steps:
                raise UsageError(
                    f"example has {len(batch)} frames for {self.steps} steps; give [T,B,C,H,W]"
                )
            for t in range(1, self.steps):
                frame = batch[t].clone() if self.coding == "frames" else batch.clone()
                step = t if self.coding == "frames" else None
                recorder.note(frame, Expr("input", "", shape=tuple(frame.shape), step=step))
                outputs.append(self._call(recorder, frame))
        return recorder, outputs, False

    def _first(self, recorder: Recorder, batch: torch.Tensor, one: bool) -> torch.Tensor:
        if self.repeats:
            batch = self.repeated(batch)
            frame = Expr("input", "", shape=tuple(batch.shape[1:]), step=None)
            values = {"merged": False, "dim": 0}
            frames = (frame,) * len(batch)
            recorder.note(batch, Expr("stack", "", frames, values, tuple(batch.shape)))
            return batch
        if one:
            frame = batch[0].clone() if self.coding == "frames" else batch
            step = 0 if self.coding == "frames" else None
            recorder.note(frame, Expr("input", "", shape=tuple(frame.shape), step=step))
            return frame
        frames = [Expr("input", "", shape=tuple(f.shape), step=t) for t, f in enumerate(batch)]
        values = {"merged": False, "dim": 0}
        recorder.note(batch, Expr("stack", "", tuple(frames), values, tuple(batch.shape)))
        return batch

    def repeated(self, images: torch.Tensor) -> torch.Tensor:
        """[T,B,C,H,W] of one image for all steps."""
        return images.unsqueeze(0).repeat(self.steps or 1, *[1] * images.ndim)

    def _is_one_step(self, batch: torch.Tensor) -> bool:
        """Whether forward() takes a frame: tried on a copy, since nothing else can tell, and before
        anything is written down, since a copy has the hooks, too."""
        if self.many:
            return False
        trial = copied(self.model)
        counts: dict[int, int] = {}
        running = [""]
        hooks: list[Any] = []
        for path, m in trial.named_modules():
            hooks += [
                m.register_forward_pre_hook(lambda *_, path=path: running.append(path)),
                m.register_forward_hook(lambda *_: [running.pop(), None][1]),
            ]
            if _is_cell(m):
                hooks.append(
                    m.register_forward_hook(
                        lambda m, *_: counts.__setitem__(id(m), counts.get(id(m), 0) + 1)
                    )
                )
        try:
            with torch.no_grad():
                trial(batch[0])
        except Exception as e:  # it wants the whole sequence, or fails on that, too
            self.failed = _Failed(running[-1], batch[0], e)
            return False
        finally:
            for h in hooks:
                h.remove()
        return set(counts.values()) == {1}

    def _call(self, recorder: Recorder, batch: torch.Tensor) -> Any:
        try:
            return recorder.expr(self.model(batch))
        except NetworkError:
            raise
        except Exception as e:
            raise _Failed(recorder.where, batch, e, self.failed) from e

    def shape(self, batch: torch.Tensor) -> tuple[int, int, int]:
        each = batch.shape[2:] if self.coding == "frames" else batch.shape[1:]
        if not 1 <= len(each) <= 3:
            raise UsageError(
                f"example has shape {tuple(batch.shape)}; give [B,C,H,W], or [T,B,C,H,W] for frames"
            )
        self.each = each = tuple(int(n) for n in each)
        return {1: (each[0], 1, 1), 2: (each[0], 1, each[-1]), 3: each}[len(each)]  # type: ignore[return-value]

    def replay(
        self,
        network: FloatNetwork,
        source: FloatInput,
        whole: bool,
        read: Read,
        cells: dict[str, str],
    ) -> Any:
        """A function of integer images and a dtype: what the model does on them (`Recorded`).
        ``source``: the input as the model sees it, before what itself does to pixels was folded."""
        steps, membrane = network.steps, network.readout.mode == "membrane"
        given = Input(source.name, source.shape, source.coding, source.bits, source.seed)
        last = next((p for p, node in cells.items() if node == network.readout.name), "")

        def run(images: np.ndarray, kind: str = "float32") -> Recorded:
            dtype = {"float32": torch.float32, "float64": torch.float64}[kind]
            model = copied(self.model).to(dtype)
            pixels = torch.as_tensor(np.array(check_images(given, images, steps)), dtype=dtype)
            x = _real(pixels, source, dtype)
            x = x.reshape(*x.shape[:-3], *self.each)
            x = self.repeated(x) if self.repeats else x
            spikes: dict[str, list[torch.Tensor]] = {}
            membranes: list[torch.Tensor] = []
            hooks = []
            for path, m in model.named_modules():
                if handler_of(m) is not None:
                    of = membranes if path == last else []
                    hooks.append(
                        m.register_forward_hook(_keeper(spikes.setdefault(path, []), of, dtype))
                    )
            outs = []
            runner = copy.copy(self)
            runner.model = model
            runner.reset()
            with torch.no_grad(), _Wide(dtype):
                if whole:
                    outs.append(model(x))
                else:
                    for t in range(steps):
                        outs.append(model(x[t] if self.coding == "frames" else x))
            for h in hooks:
                h.remove()
            found = {p: _maps(torch.stack(v)) for p, v in spikes.items() if v}
            kept = _maps(torch.stack(membranes)) if membranes else None
            return Recorded(found, logits_of(outs, read, membrane), kept, read.scale)

        return run


class _Wide(TorchFunctionMode):
    """Within, what torch makes of fewer bits than ``dtype`` is of that type, since a model says
    x.float() or torch.zeros(n) where it means its own."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        narrow = torch.is_tensor(out) and out.is_floating_point()
        if narrow and out.dtype.itemsize < self.dtype.itemsize:
            return out.to(self.dtype)
        return out


def copied(model: nn.Module) -> nn.Module:
    """A copy. States that training left in neurons are parts of its graph, which torch does not
    copy: they are taken out of it."""
    memo: dict[int, Any] = {}
    for m in model.modules():
        for tensor in _states([*vars(m).values(), *m.buffers(recurse=False)]):
            memo[id(tensor)] = tensor.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as e:  # whatever a model of somebody else holds
        raise NetworkError(
            f"{type(model).__name__}: cannot be copied ({type(e).__name__}: "
            f"{' '.join(str(e).split())[:200]}); give a model that copy.deepcopy takes"
        ) from e


def _states(values: Any, depth: int = 3) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            if not value.is_leaf:
                yield value
        elif depth and isinstance(value, tuple | list | dict):
            inside = value.values() if isinstance(value, dict) else value
            yield from _states(list(inside), depth - 1)


def _keeper(spikes: list[torch.Tensor], membranes: list[torch.Tensor], dtype: torch.dtype) -> Any:
    """Keeps what a neuron puts out at each step, spikes and membranes, and hands it on as ``dtype``
    (surrogates make spikes float32)."""

    def keep(m: nn.Module, args: Any, out: Any) -> Any:
        out = out.to(dtype) if torch.is_tensor(out) else type(out)(o.to(dtype) for o in out)
        if not multi_step(m):
            parts = (out,) if torch.is_tensor(out) else out
            spikes.append(parts[0].detach().clone())
            membranes.extend(o.detach().clone() for o in parts[1:][-1:])
        elif not torch.is_tensor(out):
            membranes.extend(o.detach().clone() for o in out)
        elif out.ndim == args[0].ndim:
            spikes.extend(o.detach().clone() for o in out)
        else:
            membranes.append(out.detach().clone())
        return out

    return keep


def _maps(a: torch.Tensor) -> np.ndarray:
    """[T,B,C,H,W] float64 of [T,B,C], [T,B,C,L] or [T,B,C,H,W]."""
    a = a.double()
    if a.ndim == 4:
        a = a[:, :, :, None]
    while a.ndim < 5:
        a = a[..., None]
    return a.cpu().numpy()


def _real(pixels: torch.Tensor, source: FloatInput, dtype: torch.dtype) -> torch.Tensor:
    cols = lambda v: torch.as_tensor(v, dtype=dtype).reshape(-1, 1, 1)  # noqa: E731
    x = pixels * torch.tensor(source.scale, dtype=dtype)
    x = x if source.mean is None else x - cols(source.mean)
    return x if source.std is None else x / cols(source.std)
