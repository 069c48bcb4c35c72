"""The space of a skip search, and the weights that its members share."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from searchbench import THREE, quiet, recipe_of

from sterna.golden.errors import FileError, UsageError
from sterna.train.data import datasets
from sterna.train.module.schedule import measure_norms
from sterna.train.recipe.recipe import Recipe, build_network, read_recipe
from sterna.train.recipe.recipe_text import recipe_text
from sterna.train.search.search_recipe import read_search
from sterna.train.search.skip_space import NONE, Space
from sterna.train.search.supernet import SuperNet

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# -- the space -----------------------------------------------------------------------------------


def test_four_layers_have_729_members(tmp_path: Path) -> None:
    four = '"4C3p1", { block = ["4C3p1", "4C3p1", "4C3p1", "4C3p1"] }, "P2sum", "FC10"'
    space = Space(recipe_of(tmp_path, four))
    places = [(p.i, p.j) for p in space.places]
    assert places == [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)]
    assert space.size == 729 == len(set(space.members()))
    assert len({space.label(m) for m in space.members()}) == 729
    member = (NONE, "DSC", NONE, "ASC", NONE, NONE)
    assert space.label(member) == "0-3D_1-3A" and space.member(space.params(member)) == member
    block = space.recipe(member).network["layers"][1]
    assert block["skips"] == [[0, 3, "DSC"], [1, 3, "ASC"]]
    assert not space.recipe(member).search


@pytest.mark.parametrize(
    ("layers", "places"),
    [
        # another height; other channels; pixels cannot meet spikes; a pool would widen what follows
        ('"4C3p1", { block = ["4C3p1", "4C3s2p1", "4C3p1", "4C3p1"] }, "FC10"', "0-2AD 2-4AD"),
        ('"4C3p1", { block = ["6C3p1", "4C3p1", "4C3p1"] }, "FC10"', "0-2D 0-3AD 1-3D"),
        ('{ block = ["4C3p1", "4C3p1", "4C3p1"] }, "FC10"', "1-3AD"),
        ('"4C3p1", { block = ["4C3p1", "P2sum", "4C3p1"] }, "FC10"', "0-2A"),
        ('"16FC", { block = ["16FC", "16FC"] }, "FC10"', "0-2AD"),
    ],
)
def test_places_have_the_types_that_can_be_built(tmp_path: Path, layers: str, places: str) -> None:
    space = Space(recipe_of(tmp_path, layers))
    texts = [f"{p.i}-{p.j}" + "".join(t[0] for t in p.types) for p in space.places]
    assert " ".join(texts) == places
    for member in space.members():
        build_network(space.recipe(member), 1)


def test_several_blocks_are_searched_apart_or_together(tmp_path: Path) -> None:
    block = '{ block = ["4C3p1", "4C3p1"] }'
    fixed = '{ block = ["4C3p1", "4C3p1"], skips = [[0, 2, "ASC"]] }'
    layers = f'"4C3p1", {block}, {fixed}, {block}, "P2sum", "FC10"'
    recipe = recipe_of(tmp_path, layers)
    space = Space(recipe)
    assert space.size == 9 and space.label((NONE, "ASC")) == "none__0-2A"
    made = space.recipe(("DSC", NONE)).network["layers"]
    assert [layer["skips"] for layer in made[1:4]] == [[[0, 2, "DSC"]], [[0, 2, "ASC"]], []]
    tied = Space(recipe, tie=True)
    assert tied.size == 3 and tied.label(("ASC",)) == "0-2A"
    made = tied.recipe(("DSC",)).network["layers"]
    assert [layer["skips"] for layer in made[1:4:2]] == [[[0, 2, "DSC"]]] * 2
    assert Space(recipe, types=("ASC",)).size == 4


def test_every_number_of_skips_is_drawn_as_often(tmp_path: Path) -> None:
    four = '"4C3p1", { block = ["4C3p1", "4C3p1", "4C3p1", "4C3p1"] }, "P2sum", "FC10"'
    space, rng = Space(recipe_of(tmp_path, four)), np.random.default_rng(1)
    drawn = [space.draw(rng) for _ in range(4000)]
    counts = np.bincount([6 - m.count(NONE) for m in drawn], minlength=7) / 4000
    assert np.all(np.abs(counts - 1 / 7) < 0.03)  # uniform members would have 1/729 without any
    types = [t for m in drawn for t in m if t != NONE]
    assert abs(types.count("ASC") / len(types) - 0.5) < 0.03


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    top = "rotate = 2.5\nmirror = true\nsmoothing = 0.1\nimages = 640"
    recipe = recipe_of(tmp_path, top=top)
    odd = replace(Space(recipe).recipe(("ASC", "DSC", NONE)), warm_start='a "quoted" \\ name')
    path = tmp_path / "again.toml"
    path.write_text(recipe_text(odd, "two\nlines"))
    again = read_recipe(path)
    assert replace(again, text="") == replace(odd, text="") and again.text.startswith("# two\n# l")


# -- shared weights --------------------------------------------------------------------------------


def _net(recipe: Recipe, folder: Path) -> SuperNet:
    return SuperNet(Space(recipe), read_search(recipe).super, folder, CPU)


@pytest.mark.parametrize("layers", [THREE, '"4FC", { block = ["8FC", "8FC", "8FC"] }, "FC10"'])
def test_a_member_has_its_channels_of_the_shared_weights(tmp_path: Path, layers: str) -> None:
    net = _net(recipe_of(tmp_path, layers), tmp_path)
    name = "conv4" if "C3" in layers else "full4"
    whole = net.full.get(name, "weight")
    stem = 8 if "C3" in layers else 4
    assert whole is not None and whole.shape[1] == 8 + stem + 8  # layer 2, layer 0, layer 1
    places = [(p.i, p.j) for p in net.space.places]
    assert places == [(0, 2), (0, 3), (1, 3)]
    add = "ASC" if "C3" in layers else NONE  # 4 and 8 features cannot be added
    for member, kept in (
        ((NONE, NONE, NONE), [range(8)]),
        (("DSC", "DSC", "DSC"), [range(16 + stem)]),
        ((NONE, NONE, "DSC"), [range(8), range(8 + stem, 16 + stem)]),
        ((NONE, "DSC", "ASC"), [range(8), range(8, 8 + stem)]),
        ((NONE, add, "DSC"), [range(8), range(8 + stem, 16 + stem)]),
    ):
        own = net.module(member).get(name, "weight")
        assert own is not None
        torch.testing.assert_close(own, whole[:, [c for r in kept for c in r]], rtol=0, atol=0)


def test_training_a_member_moves_its_channels_only(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    net = _net(recipe, tmp_path)
    member = (NONE, NONE, "DSC")
    net.space.draw = lambda _: member  # type: ignore[method-assign]
    before = net.full.get("conv4", "weight").detach().clone()  # type: ignore[union-attr]
    images = datasets.load("digits").train
    few = torch.tensor(images[0][:64]), torch.tensor(images[1][:64])
    assert net.train(few, time.monotonic() + 60, quiet)
    moved = (net.full.get("conv4", "weight") - before).abs().amax((0, 2, 3))  # type: ignore[operator]
    assert moved[:8].min() > 0 and moved[16:].min() > 0
    assert moved[8:16].max() == 0


def test_batch_norms_get_the_statistics_of_the_member(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    net = _net(recipe, tmp_path)
    images = torch.tensor(datasets.load("digits").train[0][:192])
    found = {}
    for member in ((NONE, NONE, NONE), ("ASC", NONE, NONE)):
        module = net.module(member)
        measure_norms(module, images, len(images))
        kept = {}
        module.get("conv3", "gamma").data.zero_()  # type: ignore[union-attr]
        module.train()
        module.momentum = 1.0
        module(images)  # statistics of all images at once
        kept = module.get("conv3", "mean")
        again = net.module(member)
        measure_norms(again, images, len(images))
        torch.testing.assert_close(again.get("conv3", "mean"), kept, rtol=0.05, atol=0.01)
        found[member] = again.get("conv3", "mean")
    assert (found[NONE, NONE, NONE] - found["ASC", NONE, NONE]).abs().max() > 0.05


def test_an_interrupted_super_network_is_the_same(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    images = datasets.load("digits").train
    few = torch.tensor(images[0][:320]), torch.tensor(images[1][:320])
    once = _net(recipe, tmp_path / "once")
    assert once.train(few, time.monotonic() + 600, quiet)
    for at in range(1, 8):  # after each epoch, those at the ends of stages too

        def interrupt(line: str, at: int = at) -> None:
            if f"[{at}/7]" in line:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            _net(recipe, tmp_path / "cut").train(few, time.monotonic() + 600, interrupt)
    cut = _net(recipe, tmp_path / "cut")
    assert not _net(recipe, tmp_path / "none").train(few, time.monotonic() - 1, quiet)
    assert cut.train(few, time.monotonic() - 1, quiet)  # nothing is left to do
    assert cut.digest == once.digest != ""


def test_a_damaged_or_foreign_super_network_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    few = torch.zeros(32, 1, 8, 8), torch.zeros(32, dtype=torch.long)
    _net(recipe, tmp_path).train(few, time.monotonic() + 600, quiet)
    with pytest.raises(UsageError, match="was trained for another recipe"):
        _net(replace(recipe, seed=5), tmp_path).train(few, time.monotonic(), quiet)
    path = tmp_path / "supernet.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FileError, match="truncated or altered .*delete it"):
        _net(recipe, tmp_path).train(few, time.monotonic(), quiet)
