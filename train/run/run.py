"""Training a recipe, in slices that resume, to a run folder.

RUN/ holds recipe.toml, checkpoint.safetensors (latents, batch norms, optimiser; resumed
exactly), float.json + .safetensors (the FloatNetwork, after each epoch), log.jsonl (a line an
epoch) and run.json (seed, fraction bits chosen before the folded epochs, accuracies); see
`train.run.run_folder`.
"""

import contextlib
import ctypes
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sterna.train.recipe.recipe import read_recipe
from sterna.train.run.distributed import join
from sterna.train.run.run_lock import locked
from sterna.train.run.trainer import Trainer

__all__ = ["say", "train"]


def train(
    recipe: str | Path,
    out: str | Path,
    *,
    max_minutes: float | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
    data: Any = None,
    untrained: bool = False,
    resume: str | Path | None = None,
    callbacks: Any = (),
) -> dict[str, Any]:
    """Train RECIPE into the folder OUT, going on where an earlier slice stopped.

    ``data``, instead of the recipe's: a data set's name, an `ImageSet` or what that takes, or a
    `DataSet`.
    ``untrained`` keeps the random weights and only measures the batch norms on training images,
    so that every layer spikes: a network of full size in seconds, for trying hardware.
    ``resume``: a milestone's file of the same recipe and seed, from whose epoch a new folder goes
    on (``train.run.milestone``); where OUT holds a run already, that goes on instead.
    ``callbacks``: objects with ``on_epoch(metrics)``, or functions of the metrics, see `Watch`.

    Returns {"done", "epoch", "epochs", "validation", "minutes", ...}; when done also the test
    accuracy, and "rank": this process's, where several train (``train.run.distributed``). Same
    recipe, seed and machine: same network, however it was sliced. UsageError where OUT holds the
    run of another recipe, seed or data set, or another training is at work there."""
    _keep_memory()
    group = join()
    try:
        report = (progress or say) if group.rank == 0 else _silent
        parsed = read_recipe(recipe)
        seconds = math.inf if max_minutes is None else max_minutes * 60
        with locked(Path(out), group, report):
            mine = callbacks if group.rank == 0 else ()
            earlier = None if resume is None else Path(resume)
            trainer = Trainer(parsed, Path(out), seed, report, data, group, mine, earlier)
            try:
                answer = trainer.keep_random() if untrained else trainer.run(seconds)
            finally:
                trainer.watch.end()
        return answer | {"rank": group.rank}
    finally:
        group.leave()


def _keep_memory() -> None:
    """Ask the C library to keep freed memory: large tensors otherwise come back page by page at
    each step, up to a third of a CPU epoch."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option, size in ((-4, 0), (-1, (1 << 31) - 1), (-2, 1 << 27)):
            libc.mallopt(option, size)  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


def say(text: str) -> None:
    """Print a progress line at once, also into a file."""
    print(text, flush=True)


def _silent(_: str) -> None:
    pass
