"""A tiny search on the digits, for the tests of its parts."""

from pathlib import Path

from sterna.train.recipe.recipe import Recipe, read_recipe

__all__ = ["RECIPE", "THREE", "TUNE", "TWO", "path_of", "quiet", "recipe_of"]

RECIPE = """
name = "tiny"
data = "digits"
seed = 4
batch = 32
{top}
[network]
shape = [1, 8, 8]
steps = 2
layers = [{layers}]
[[stage]]
epochs = 1
steps = 1
[[stage]]
epochs = 1
steps = 2
folded = true
lr = 2e-4
lr_rest = 1e-4
[search]
fps = 50000
{search}
[[search.super]]
epochs = 6
steps = 1
[[search.super]]
epochs = 1
steps = 2
lr = 2e-3
lr_rest = 1e-3
"""
THREE = '"8C3s2p1", { block = ["8C3p1", "8C3p1", "8C3p1"] }, "P2sum", "FC10"'
TWO = '"8C3s2p1", { block = ["8C3p1", "8C3p1"] }, "P2sum", "FC10"'
TUNE = "\n[[search.tune]]\nepochs = 1\nsteps = 2\nlr = 1e-3\nlr_rest = 1e-3\n"


def path_of(
    folder: Path, layers: str = THREE, search: str = "", top: str = "", tail: str = ""
) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(layers=layers, search=search, top=top) + tail)
    return path


def recipe_of(folder: Path, layers: str = THREE, **how: str) -> Recipe:
    return read_recipe(path_of(folder, layers, **how))


def quiet(_: str) -> None:
    pass
