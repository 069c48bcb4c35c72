"""sterna.train: recipes and networks in one call, and what it returns."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna.gen.quantize.float_network import (
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatReadout,
)
from sterna.train.run.tuning import enough

RECIPE = """
name = "small"
data = "digits"
batch = 20
[network]
steps = 2
shape = [1, 6, 6]
layers = ["4C3", "FC2"]
[[stage]]
epochs = 2
steps = 2
"""


def halves(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Two classes: the upper or the lower half is bright."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 90, (count, 1, 6, 6))
    for k, label in enumerate(labels):
        images[k, 0, 3 * label : 3 * label + 3] += 150
    return images.astype(np.uint8), labels


def network(kind: str) -> FloatNetwork:
    rng = np.random.default_rng(2)
    return FloatNetwork(
        2,
        [
            FloatInput("x", (1, 6, 6)),
            FloatConv2d("c", "x", rng.normal(0, 0.1, (4, 1, 3, 3)), kind=kind),
            FloatNeuron("n", ("c",), 0.2),
            FloatLinear("f", "n", rng.normal(0, 0.1, (2, 64)), kind=kind),
            FloatReadout("r", ("f",)),
        ],
    )


def test_of_few_images_there_are_epochs_enough(tmp_path: Path, capsys) -> None:
    """1,000 batches at least, unless somebody says how many epochs; where it begins is told."""
    assert (enough(55_000, 128), enough(1257, 128), enough(64, 4), enough(1, 8)) == (
        3,
        112,
        63,
        1000,
    )
    run = sterna.train(network("binary"), halves(), tmp_path / "run")
    recipe = tomllib.loads((tmp_path / "run/recipe.toml").read_text())
    epochs = run.metrics["epochs"] - 1  # the last is through the integers
    assert recipe["stage"][0]["epochs"] == epochs >= 50
    start = run.metrics["validation_start"]
    assert f"begins at validation {start:.2%}" in capsys.readouterr().out
    assert run.metrics["validation_folded"] > 0.9 > start


def test_a_network_of_ones_own_is_trained_on(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    data = halves()
    run = sterna.train(network("binary"), data, tmp_path / "run", epochs=2, callbacks=seen.append)
    assert run.done and [e["epoch"] for e in seen] == [1, 2, 3] == [e["epoch"] for e in run.history]
    assert run.metrics["test_folded"] == 1.0 and set(run.fraction_bits or ()) == {"n", "r"}
    integers, report = sterna.quantize(run, data[0])
    assert {r.name: r.fraction_bits for r in report.layers} == run.fraction_bits
    assert sterna.evaluate(integers, data).accuracy > 0.95
    again = sterna.train(network("binary"), data, tmp_path / "run", epochs=2)
    assert again.metrics == run.metrics  # nothing was left to do


def test_a_recipe_is_trained_on_images_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    first = sterna.train(path, halves(), tmp_path / "run", minutes=0, seed=3)
    assert not first.done and first.network.steps == 2
    run = sterna.train(path, halves(), tmp_path / "run", seed=3)
    assert run.done and run.metrics["seed"] == 3 and len(run.history) == 2
    with pytest.raises(sterna.UsageError, match="was trained on"):
        sterna.train(path, halves(60), tmp_path / "run", seed=3)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"recipe": network("real")}, "the network has real weights"),
        ({"data": halves()[0]}, "has no labels"),
        ({"data": (halves()[0], halves()[1] + 5)}, "the network has classes 0 to 1"),
        ({"minutes": -1}, "minutes -1 must be a number from 0"),
        ({"epochs": 0}, "epochs 0 must be a whole number from 1"),
        ({"seed": -1}, "seed -1 must be a whole number"),
        ({"recipe": "nowhere.toml", "epochs": 3}, "epochs goes with a network"),
        ({"recipe": 3}, "recipe: 3 is no path"),
        ({"out": None}, "out: None is no path"),
    ],
)
def test_wrong_arguments_have_their_sentence(given: Any, sentence: str, tmp_path: Path) -> None:
    right = {"recipe": network("ternary"), "data": halves(), "out": tmp_path / "run"}
    with pytest.raises(sterna.UsageError, match=sentence):
        sterna.train(**right | given)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
