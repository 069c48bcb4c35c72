"""A milestone of a run, for the repository: its latents in one small file, and what they are worth.

    python benchmarks/milestone.py RUN FILE.safetensors [--data NAME]

FILE.json beside it says the recipe's name, the seed, the epochs done and the accuracy that the
file's own network (latents rounded to int8) has on the validation images, with Wilson's 95%
interval. Test images are not looked at.
"""

import argparse
import json
from pathlib import Path

import torch

from sterna.golden.files.disk import write_atomic
from sterna.golden.words.shares import wilson
from sterna.train.data import datasets
from sterna.train.data.sets import Wanted
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.milestone import read_trained, write_milestone
from sterna.train.run.trainer import accuracy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", default="", help="a data set instead of the run's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    about = write_milestone(options.run, options.out)
    recipe = read_recipe(options.run / "recipe.toml")  # one's own data is as from there
    wanted = Wanted.by(build_network(recipe, recipe.seed))
    where = (options.data, None) if options.data else (recipe.source, options.run)
    images, labels = datasets.load(*where, wanted).validation
    module = read_trained(options.out).module
    right = accuracy(module, torch.tensor(images), torch.tensor(labels))
    about = {k: v for k, v in about.items() if k not in ("recipe", "format", "version")} | {
        "form": "clips" if module.clipping else "ReLUs" if module.relu else f"T = {module.steps}",
        "validation": right,
        "validation_images": len(labels),
        "interval": [round(v, 4) for v in wilson(right, len(labels))],
        "bytes": options.out.stat().st_size,
    }
    text = json.dumps(about, indent=1, sort_keys=True) + "\n"
    write_atomic(options.out.with_suffix(".json"), text.encode())
    print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
