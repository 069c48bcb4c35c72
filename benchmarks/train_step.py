"""Seconds of a training step in float32 and in bfloat16, taken in turn on one core.

    python benchmarks/train_step.py [examples/NAME:STAGE ...]

Medians over the steps of each; the ratio is of steps that followed each other, so a machine whose
speed drifts does not decide it. Needs the recipe's data set.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import ROOT, table, write_results

STAGES = ("examples/fashion:0", "examples/fashion:1", "examples/ttfs:0", "examples/cifar10:0")
STEPS = 9


def measure(recipe: Path, number: int) -> dict[str, float]:
    """Median seconds of a step by precision, and the median of their ratios."""
    from sterna.train.recipe.recipe import read_recipe
    from sterna.train.run.trainer import Trainer

    found = read_recipe(recipe)
    stage = found.stages[number]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(found, Path(folder), None, lambda _: None, None)
    trainer._enter(stage)
    images, labels = (part[: found.batch] for part in trainer.train_set)
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(STEPS + 2):
        for half in taken:
            trainer.half = trainer.module.half_gradients = half
            start = time.perf_counter()
            trainer._step(stage, images, labels)
            taken[half].append(time.perf_counter() - start)
    slow, fast = (taken[half][2:] for half in (False, True))  # the first two compile and allocate
    return {
        "float32": statistics.median(slow),
        "bfloat16": statistics.median(fast),
        "ratio": statistics.median(a / b for a, b in zip(slow, fast, strict=True)),
    }


def main() -> int:
    torch.set_num_threads(1)
    results, rows = {}, [["recipe:stage", "float32 ms", "bfloat16 ms", "ratio"]]
    for name in sys.argv[1:] or STAGES:
        recipe, _, number = name.partition(":")
        results[name] = r = measure(ROOT / recipe, int(number or 0))
        rows.append(
            [name, f"{1e3 * r['float32']:.0f}", f"{1e3 * r['bfloat16']:.0f}", f"{r['ratio']:.2f}"]
        )
    print(table(rows))
    write_results("train_step", results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
