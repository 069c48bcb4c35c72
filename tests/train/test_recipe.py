"""Recipes with wrong values are refused with the file, the key and the value."""

import pytest

from sterna.golden.errors import UsageError
from sterna.train.recipe import read_recipe

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
steps = 1
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
        ("seed = 1", "images = 100", "images 100 do not fill one batch of 128"),
    ],
)
def test_wrong_values_are_named(tmp_path, old, new, sentence):
    with pytest.raises(UsageError, match=r"recipe.toml: " + sentence):
        read(tmp_path, GOOD.replace(old, new))
