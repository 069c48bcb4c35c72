"""Recipes with wrong values are refused with the file, the key and the value."""

import pytest

from sterna.golden.errors import UsageError
from sterna.train.methods.twin import Twin, read_twin
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.run import train

GOOD = """
name = "tiny"
data = "digits"
seed = 1
rotate = 2
[network]
shape = [1, 8, 8]
steps = 2
layers = ["FC10"]
[[stage]]
epochs = 1
steps = 2
lr = 3e-3
folded = true
"""


def read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_recipe(path)


def test_a_good_recipe_is_read(tmp_path):
    recipe = read(tmp_path, GOOD)
    assert recipe.rotate == 2 and recipe.stages[0].lr == 3e-3 and recipe.stages[0].folded


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("epochs = 1", "epochs = -1", r"\[\[stage\]\] epochs -1 is not a whole number"),
        ("epochs = 1", "epochs = 1.5", r"\[\[stage\]\] epochs 1.5 is not a whole number"),
        ("lr = 3e-3", 'lr = "x"', r"\[\[stage\]\] lr 'x' is not a number"),
        ("lr = 3e-3", "lr = nan", r"\[\[stage\]\] lr nan is not a number"),
        ("folded = true", "folded = 1", r"\[\[stage\]\] folded 1 is not true or false"),
        ("seed = 1", "seed = true", "seed True is not a whole number"),
        ('"digits"', '["digits"]', r"data \['digits'\] is not a text"),
        ("seed = 1", "sed = 1", "key 'sed' is unknown"),
        ("seed = 1", "images = -1", "images -1 is not a whole number"),
        ("epochs = 1", "epochs = 0", r"\[\[stage\]\] epochs 0 is not a whole number from 1"),
        ("lr = 3e-3", "batch = 2.5", r"\[\[stage\]\] batch 2.5 is not a whole number from 1"),
        ("lr = 3e-3", 'shift = "a"', r"\[\[stage\]\] shift 'a' is not a whole number from 0"),
        ("seed = 1", "batch = 0", "batch 0 is not a whole number from 1"),
        ("seed = 1", "smoothing = 1.0", "smoothing 1.0 is not a number from 0 to below 1"),
        ("[[stage]]", "[stage]", r"stage is not a list of tables; write \[\[stage\]\]"),
        ("steps = 2\nlr", "steps = 1\nlr", r"a folded stage has the steps of \[network\]"),
        ("[network]", "[nq]\n[network]", r"\[nq\] and stages with nq = true go together"),
        ("seed = 1", "images = 100", "images 100 do not fill one batch of 128"),
        ("seed = 1", 'precision = "half"', "precision 'half' is not one of auto, float32"),
    ],
)
def test_wrong_values_are_named(tmp_path, old, new, sentence):
    with pytest.raises(UsageError, match=r"recipe.toml: " + sentence):
        read(tmp_path, GOOD.replace(old, new))


def test_an_empty_table_is_there_with_its_defaults(tmp_path):
    recipe = read(tmp_path, GOOD.replace("[network]", "[twin]\n[network]"))
    assert read_twin("here", recipe.twin) == Twin()
    assert read_twin("here", read(tmp_path, GOOD).twin) is None


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("neuron = { threshold = nan }", "neuron threshold nan is not a finite number"),
        ("neuron = { leak = 2.0 }", "neuron leak 2.0 is not a factor from 0 to 1"),
        ('neuron = { strict = "no" }', "neuron strict 'no' is not true or false"),
        ('neuron = { delay = "a" }', "neuron delay 'a' is not 0 or 1"),
        ("readout = { reset = 1 }", "readout reset 1 is not a text"),
        ('neuron = { floor = "low" }', "neuron floor 'low' is not a finite number from"),
    ],
)
def test_wrong_neurons_are_named(tmp_path, setting, sentence):
    recipe = read(tmp_path, GOOD.replace("layers", f"{setting}\nlayers"))
    with pytest.raises(UsageError, match=sentence):
        build_network(recipe, 1)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD.replace("seed = 1", "batch = 2000"))
    with pytest.raises(UsageError, match="a batch of 2000 is more than the 1257 training images"):
        train(path, tmp_path / "run", progress=lambda _: None)
