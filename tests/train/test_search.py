"""Skip search: the space, shared weights, the study, and what it leaves behind."""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.cli import main
from sterna.gen.design import Design
from sterna.gen.fold import fold
from sterna.gen.quantize import quantize
from sterna.golden.errors import DesignError, FileError, ToolMissing, UsageError
from sterna.golden.exact import run as golden_run
from sterna.golden.network import Network
from sterna.train import data, searchstorage, skipcost
from sterna.train.module import SpikingModule
from sterna.train.recipe import Recipe, build_network, read_recipe
from sterna.train.recipetext import recipe_text
from sterna.train.run import train
from sterna.train.search import Search, search, spiking_figures
from sterna.train.searchplots import main_effects
from sterna.train.searchrecipe import read_search
from sterna.train.searchstorage import open_storage
from sterna.train.searchtable import Row, front
from sterna.train.skipcost import hardware_cost
from sterna.train.skipspace import NONE, Member, Space
from sterna.train.supernet import SuperNet, measure_norms

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
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _path(
    folder: Path, layers: str = THREE, search: str = "", top: str = "", tail: str = ""
) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(layers=layers, search=search, top=top) + tail)
    return path


def _recipe(folder: Path, layers: str = THREE, **how: str) -> Recipe:
    return read_recipe(_path(folder, layers, **how))


def _quiet(_: str) -> None:
    pass


# -- the space -----------------------------------------------------------------------------------


def test_four_layers_have_729_members(tmp_path: Path) -> None:
    four = '"4C3p1", { block = ["4C3p1", "4C3p1", "4C3p1", "4C3p1"] }, "P2sum", "FC10"'
    space = Space(_recipe(tmp_path, four))
    places = [(p.i, p.j) for p in space.places]
    assert places == [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)]
    assert space.size == 729 == len(set(space.members()))
    assert len({space.label(m) for m in space.members()}) == 729
    member = (NONE, "DSC", NONE, "ASC", NONE, NONE)
    assert space.label(member) == "0-3D_1-3A" and space.member(space.params(member)) == member
    block = space.recipe(member).network["layers"][1]
    assert block["skips"] == [[0, 3, "DSC"], [1, 3, "ASC"]]
    assert not space.recipe(member).search


@pytest.mark.parametrize(("layers", "places"), [
    # another height; other channels; pixels cannot meet spikes; a pool would widen what follows
    ('"4C3p1", { block = ["4C3p1", "4C3s2p1", "4C3p1", "4C3p1"] }, "FC10"', "0-2AD 2-4AD"),
    ('"4C3p1", { block = ["6C3p1", "4C3p1", "4C3p1"] }, "FC10"', "0-2D 0-3AD 1-3D"),
    ('{ block = ["4C3p1", "4C3p1", "4C3p1"] }, "FC10"', "1-3AD"),
    ('"4C3p1", { block = ["4C3p1", "P2sum", "4C3p1"] }, "FC10"', "0-2A"),
    ('"16FC", { block = ["16FC", "16FC"] }, "FC10"', "0-2AD"),
])  # fmt: skip
def test_places_have_the_types_that_can_be_built(tmp_path: Path, layers: str, places: str) -> None:
    space = Space(_recipe(tmp_path, layers))
    texts = [f"{p.i}-{p.j}" + "".join(t[0] for t in p.types) for p in space.places]
    assert " ".join(texts) == places
    for member in space.members():
        build_network(space.recipe(member), 1)


def test_several_blocks_are_searched_apart_or_together(tmp_path: Path) -> None:
    block = '{ block = ["4C3p1", "4C3p1"] }'
    fixed = '{ block = ["4C3p1", "4C3p1"], skips = [[0, 2, "ASC"]] }'
    layers = f'"4C3p1", {block}, {fixed}, {block}, "P2sum", "FC10"'
    recipe = _recipe(tmp_path, layers)
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
    space, rng = Space(_recipe(tmp_path, four)), np.random.default_rng(1)
    drawn = [space.draw(rng) for _ in range(4000)]
    counts = np.bincount([6 - m.count(NONE) for m in drawn], minlength=7) / 4000
    assert np.all(np.abs(counts - 1 / 7) < 0.03)  # uniform members would have 1/729 without any
    types = [t for m in drawn for t in m if t != NONE]
    assert abs(types.count("ASC") / len(types) - 0.5) < 0.03


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    top = 'rotate = 2.5\nmirror = true\nsmoothing = 0.1\nimages = 640'
    recipe = _recipe(tmp_path, top=top)
    odd = replace(Space(recipe).recipe(("ASC", "DSC", NONE)), name='a "quoted" \\ name')
    path = tmp_path / "again.toml"
    path.write_text(recipe_text(odd, "two\nlines"))
    again = read_recipe(path)
    assert replace(again, text="") == replace(odd, text="") and again.text.startswith("# two\n# l")


# -- shared weights --------------------------------------------------------------------------------


def _net(recipe: Recipe, folder: Path) -> SuperNet:
    return SuperNet(Space(recipe), read_search(recipe).super, folder, CPU)


@pytest.mark.parametrize("layers", [THREE, '"4FC", { block = ["8FC", "8FC", "8FC"] }, "FC10"'])
def test_a_member_has_its_channels_of_the_shared_weights(tmp_path: Path, layers: str) -> None:
    net = _net(_recipe(tmp_path, layers), tmp_path)
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
    recipe = _recipe(tmp_path)
    net = _net(recipe, tmp_path)
    member = (NONE, NONE, "DSC")
    net.space.draw = lambda _: member  # type: ignore[method-assign]
    before = net.full.get("conv4", "weight").detach().clone()  # type: ignore[union-attr]
    images = data.load("digits").train
    few = torch.tensor(images[0][:64]), torch.tensor(images[1][:64])
    assert net.train(few, time.monotonic() + 60, _quiet)
    moved = (net.full.get("conv4", "weight") - before).abs().amax((0, 2, 3))  # type: ignore[operator]
    assert moved[:8].min() > 0 and moved[16:].min() > 0
    assert moved[8:16].max() == 0


def test_batch_norms_get_the_statistics_of_the_member(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    net = _net(recipe, tmp_path)
    images = torch.tensor(data.load("digits").train[0][:192])
    found = {}
    for member in ((NONE, NONE, NONE), ("ASC", NONE, NONE)):
        module = net.module(member)
        measure_norms(module, images)
        kept = {}
        module.get("conv3", "gamma").data.zero_()  # type: ignore[union-attr]
        module.train()
        module.momentum = 1.0
        module(images)  # statistics of all images at once
        kept = module.get("conv3", "mean")
        again = net.module(member)
        measure_norms(again, images)
        torch.testing.assert_close(again.get("conv3", "mean"), kept, rtol=0.05, atol=0.01)
        found[member] = again.get("conv3", "mean")
    assert (found[NONE, NONE, NONE] - found["ASC", NONE, NONE]).abs().max() > 0.05


def test_an_interrupted_super_network_is_the_same(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    images = data.load("digits").train
    few = torch.tensor(images[0][:320]), torch.tensor(images[1][:320])
    once = _net(recipe, tmp_path / "once")
    assert once.train(few, time.monotonic() + 600, _quiet)
    for at in range(1, 8):  # after each epoch, those at the ends of stages too
        def interrupt(line: str, at: int = at) -> None:
            if f"[{at}/7]" in line:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            _net(recipe, tmp_path / "cut").train(few, time.monotonic() + 600, interrupt)
    cut = _net(recipe, tmp_path / "cut")
    assert not _net(recipe, tmp_path / "none").train(few, time.monotonic() - 1, _quiet)
    assert cut.train(few, time.monotonic() - 1, _quiet)  # nothing is left to do
    assert cut.digest == once.digest != ""


def test_a_damaged_or_foreign_super_network_is_refused(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    few = torch.zeros(32, 1, 8, 8), torch.zeros(32, dtype=torch.long)
    _net(recipe, tmp_path).train(few, time.monotonic() + 600, _quiet)
    with pytest.raises(UsageError, match="was trained for another recipe"):
        _net(replace(recipe, seed=5), tmp_path).train(few, time.monotonic(), _quiet)
    path = tmp_path / "supernet.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FileError, match="truncated or altered .*delete it"):
        _net(recipe, tmp_path).train(few, time.monotonic(), _quiet)


# -- the search ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """A search of all 3 members of a small space, in three slices: (recipe, folder, answer)."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("search")
    path = _path(folder, TWO, "trials = 99", tail=TUNE)
    out = folder / "out"
    answer = search(path, out, max_minutes=0, progress=_quiet)
    assert not answer["done"] and not (out / "trials.json").exists()
    answer = search(path, out, trials=2, progress=_quiet)
    assert answer["done"] and answer["members"] == answer["of"] == 2
    first = json.loads((out / "trials.json").read_bytes())["trials"]
    answer = search(path, out, progress=_quiet)
    both = json.loads((out / "trials.json").read_bytes())["trials"]
    assert [t | {"front": 0} for t in both[:2]] == [t | {"front": 0} for t in first]
    return path, out, answer


def test_a_search_finds_all_members_and_they_have_learnt(found: tuple[Path, Path, dict]) -> None:
    _, out, answer = found
    assert answer["done"] and answer["members"] == answer["of"] == answer["space"] == 3
    document = json.loads((out / "trials.json").read_bytes())
    rows = {t["label"]: t for t in document["trials"]}
    assert set(rows) == {"none", "0-2A", "0-2D"}
    none, asc, dsc = (rows[k] for k in ("none", "0-2A", "0-2D"))
    for row in rows.values():
        assert row["accuracy"] > 0.6, row["label"]  # chance is 0.1, shared weights unseen 0.2
        assert 0.02 < row["rate"] < 0.6 and row["spikes"] > 10
        assert row["memory_bits"] == row["weight_bits"] + row["line_bits"] + row["fifo_bits"]
        assert row["clocks"] <= 2000  # 50,000 a second at 100 MHz
    # An addition asks for two planes, a concatenation for twice the channels and the weights.
    assert none["fifo_bits"] == 0 < min(asc["fifo_bits"], dsc["fifo_bits"])
    assert none["lanes"] < min(asc["lanes"], dsc["lanes"])
    assert none["weight_bits"] == asc["weight_bits"] == dsc["weight_bits"] - 2 * 8 * 8 * 9
    assert none["line_bits"] < asc["line_bits"]
    with (out / "trials.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [r["label"] for r in table] == [t["label"] for t in document["trials"]]
    assert float(table[0]["accuracy"]) == document["trials"][0]["accuracy"]
    for name in ("front", "places", "skips"):
        assert (out / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_recipes_of_the_front_train_unchanged(
    found: tuple[Path, Path, dict], tmp_path: Path
) -> None:
    path, out, answer = found
    names = {r["label"] for r in answer["front"]}
    assert {p.stem for p in (out / "recipes").glob("*.toml")} == {*names, "none", "best"}
    best, given = read_recipe(out / "recipes" / "best.toml"), read_recipe(path)
    assert best.name == f"tiny_{answer['best']}" and best.stages == given.stages
    assert train(out / "recipes" / "best.toml", tmp_path, progress=_quiet)["done"]


def test_the_accuracy_is_that_of_the_integer_network(found: tuple[Path, Path, dict]) -> None:
    path, out, _ = found
    recipe = read_recipe(path)
    settings = read_search(recipe)
    worker = Search(recipe, settings, Space(recipe), out, None, _quiet)
    assert worker.net.train(worker.train, time.monotonic(), _quiet)
    for member in worker.space.members():
        module, network = worker.integer(member)
        images, labels = data.load("digits").validation
        names = [n for n in network.order if n.startswith("spike")]
        result = golden_run(network, images, trace=tuple(names))
        figures = spiking_figures(module, *worker.validation)
        assert figures["accuracy"] == np.mean(result.classes == labels)
        spikes = sum(float(result.spikes[n].sum()) for n in names) / len(images)
        assert figures["spikes"] == pytest.approx(spikes, abs=0.01)
        kept = json.loads((out / "trials.json").read_bytes())["trials"]
        row = next(t for t in kept if t["label"] == worker.space.label(member))
        assert row["accuracy"] == figures["accuracy"] and row["rates"] == figures["rates"]


def test_two_workers_share_a_storage(found: tuple[Path, Path, dict], tmp_path: Path) -> None:
    """A worker elsewhere needs the same shared weights; then it sees the others' trials."""
    path, out, _ = found
    url = f"sqlite:///{out / 'study.db'}"
    net = (out / "supernet.safetensors").read_bytes()
    with pytest.raises(UsageError, match="has shared weights; copy supernet.safetensors from"):
        search(path, tmp_path, storage=url, progress=_quiet)
    (tmp_path / "supernet.safetensors").write_bytes(net)
    answer = search(path, tmp_path, storage=url, progress=_quiet)
    assert answer["done"] and answer["members"] == 3
    tables = [(f / "trials.csv").read_text() for f in (out, tmp_path)]
    assert tables[0] == tables[1]
    worker = Search(read_recipe(path), read_search(read_recipe(path)), Space(read_recipe(path)),
                    tmp_path, None, _quiet)  # fmt: skip
    worker.net.digest = "other"
    with pytest.raises(UsageError, match="has other shared weights; copy supernet.safetensors"):
        worker._study(open_storage(url))


def test_another_recipe_is_refused(found: tuple[Path, Path, dict], tmp_path: Path) -> None:
    path, out, _ = found
    other = tmp_path / "other.toml"
    other.write_text(path.read_text().replace("seed = 4", "seed = 5"))
    with pytest.raises(UsageError, match="recipe.toml: is another recipe; give another folder"):
        search(other, out, progress=_quiet)
    with pytest.raises(UsageError, match="study 'tiny' .*begun with another recipe"):
        few = data.load("digits")
        small = data.ImageSet((few.train[0][:32], few.train[1][:32]), few.validation, few.test)
        search(other, tmp_path / "out", storage=f"sqlite:///{out / 'study.db'}", image_set=small,
               progress=_quiet)  # fmt: skip


def _cheap(
    folder: Path, monkeypatch: pytest.MonkeyPatch, layers: str = TWO
) -> tuple[Search, list[Member]]:
    """A search whose members cost no training; the list is of those that were evaluated."""
    recipe = _recipe(folder, layers)
    worker = Search(recipe, read_search(recipe), Space(recipe), folder, None, _quiet)
    seen: list[Member] = []

    def evaluate(member: Member) -> dict:
        seen.append(member)
        skips = len(member) - member.count(NONE)
        return {"accuracy": 0.5 + 0.05 * skips, "lanes": 10 + skips, "memory_bits": 100,
                "rate": 0.1, "spikes": 5.0, "fifo_bits": 1}  # fmt: skip

    monkeypatch.setattr(worker, "evaluate", evaluate)
    monkeypatch.setattr(worker.net, "train", lambda *_: True)
    monkeypatch.setattr(worker.net, "digest", "d")
    return worker, seen


def test_no_member_is_evaluated_twice_and_all_are_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, seen = _cheap(tmp_path, monkeypatch, THREE)
    answer = worker.run(27, None, time.monotonic() + 300)
    assert answer["done"] and len(seen) == len(set(seen)) == 27
    assert seen[:3] == [(NONE,) * 3, ("ASC",) * 3, ("DSC",) * 3]
    assert answer["best"] in {worker.space.label(m) for m in seen if NONE not in m}


def test_a_refused_member_is_noted_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, _ = _cheap(tmp_path, monkeypatch)
    good = worker.evaluate

    def evaluate(member: Member) -> dict:
        if member == ("ASC",):
            raise DesignError("node 'conv3': too wide")
        return good(member)

    monkeypatch.setattr(worker, "evaluate", evaluate)
    answer = worker.run(3, None, time.monotonic() + 300)
    assert answer["done"] and answer["members"] == 3
    rows = json.loads((tmp_path / "trials.json").read_bytes())["trials"]
    assert [r["label"] for r in rows if "refused" in r] == ["0-2A"]
    assert answer["best"] == "0-2D"


def test_an_interrupted_trial_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, seen = _cheap(tmp_path, monkeypatch)
    good = worker.evaluate

    def interrupted(member: Member) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.run(3, None, time.monotonic() + 300)
    monkeypatch.setattr(worker, "evaluate", good)
    worker.run(1, None, time.monotonic() + 300)
    assert seen == [(NONE,)] or seen == [("ASC",)]  # which waited
    assert worker.run(3, None, time.monotonic() + 300)["done"]
    assert sorted(seen) == sorted(worker.space.members())


def test_a_dead_workers_trial_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.trial import TrialState

    monkeypatch.setattr(searchstorage, "HEARTBEAT", 1)
    monkeypatch.setattr(searchstorage, "GRACE", 1)
    worker, seen = _cheap(tmp_path, monkeypatch)
    store = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = worker._study(store)
    study.enqueue_trial(worker.space.params((NONE,)))
    dead = study.ask()  # a worker that begins a trial, says so, and is killed
    store.record_heartbeat(dead._trial_id)  # type: ignore[attr-defined]
    time.sleep(2.5)
    assert worker.run(3, None, time.monotonic() + 300)["done"]
    assert sorted(seen) == sorted(worker.space.members())
    assert study.trials[dead.number].state == TrialState.FAIL


def test_the_rate_is_that_of_the_whole_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where fold's network is slower than its slowest core, a faster folding is what counts."""
    recipe = _recipe(tmp_path, TWO)
    module = SpikingModule(build_network(recipe, 1)).eval()
    network, _ = quantize(module.export(), data.load("digits").train[0][:16])
    asked = []

    def slow(network: Network, *, fps: float, clock_mhz: float) -> Design:
        """As if branches waited for a third of the time."""
        asked.append(fps)
        design = fold(network, fps=fps, clock_mhz=clock_mhz)
        return replace(design, modelled_interval=design.interval * 3 // 2)

    plain = hardware_cost(network, 50000, 100)
    monkeypatch.setattr(skipcost, "fold", slow)
    cost = hardware_cost(network, 50000, 100)
    assert len(asked) > 1 and cost.clocks * 3 // 2 == cost.modelled_clocks <= 2000
    assert cost.lanes > plain.lanes
    with pytest.raises(DesignError, match="fastest folding takes|clocks an image"):
        hardware_cost(network, 1e8 / cost.modelled_clocks * 40, 100)


# -- the front and effects -------------------------------------------------------------------------


def _row(number: int, member: Member, accuracy: float, lanes: int, bits: int = 0) -> Row:
    return Row(number, str(number), member, {"accuracy": accuracy, "lanes": lanes, "bits": bits})


def test_the_front_is_what_nothing_beats() -> None:
    rows = [_row(0, (), 0.9, 10, 5), _row(1, (), 0.8, 10, 4), _row(2, (), 0.8, 11, 4),
            _row(3, (), 0.9, 10, 5), _row(4, (), 0.7, 3, 9), Row(5, "", (), {}, "no")]  # fmt: skip
    assert [r.number for r in front(rows, ["lanes"])] == [0, 3, 4]
    assert [r.number for r in front(rows, ["lanes", "bits"])] == [0, 3, 1, 4]


def test_effects_of_places_are_found_again(tmp_path: Path) -> None:
    space, rng = Space(_recipe(tmp_path)), np.random.default_rng(0)
    true = {(0, "ASC"): 0.02, (0, "DSC"): 0.03, (1, "ASC"): -0.01, (1, "DSC"): 0.0,
            (2, "ASC"): 0.05, (2, "DSC"): 0.04}  # fmt: skip
    rows = [
        _row(n, m, 0.5 + sum(true.get(t, 0) for t in enumerate(m)) + rng.normal(0, 0.003), 1)
        for n, m in enumerate(space.members())
    ]
    found = main_effects(rows, space)
    for term, gain in true.items():
        assert abs(found[term][0] - gain) < 0.005 and 0 < found[term][1] < 0.01
    rows = [r for r in rows if r.member[1] != "DSC"]
    found = main_effects(rows, space)
    assert np.isnan(found[1, "DSC"][0]) and abs(found[2, "ASC"][0] - 0.05) < 0.005


# -- errors and the command ------------------------------------------------------------------


@pytest.mark.parametrize(("change", "message"), [
    (("fps = 50000", ""), "fps is missing"),
    (("fps = 50000", "fps = 0"), "fps 0 is not a number above 0"),
    (("fps = 50000", "fps = 5\ntrails = 3"), "key 'trails' is unknown; known: clock_mhz, costs"),
    (("fps = 50000", "fps = 5\ntrials = 0"), "trials 0 is not a whole number from 1"),
    (("fps = 50000", "fps = 5\ntie = 1"), "tie 1 is not true or false"),
    (("fps = 50000", 'fps = 5\ntypes = ["XSC"]'), r"types \['XSC'\] is not a list of some of ASC"),
    (("fps = 50000", 'fps = 5\ncosts = []'), r"costs \[\] is not a list of some of lanes"),
    (("[[search.super]]", "[[search.tune]]"), r"\[\[search.super\]\] is missing"),
    (("[[search.super]]", "[[search.super]]\nfolded = true"), "key 'folded' is not possible"),
    (("[[search.super]]\nepochs = 6", "[[search.super]]\nepochs = -1"), "epochs -1 is not a whole"),
    (("seed = 4", "seed = 4\nwarm_start = 'x'"), "does not train with warm_start; remove it"),
    ((TWO, TWO.replace('"] }', '"], skips = [] }')), "no block without skips is there to search"),
    ((TWO, TWO.replace('["8C3p1", "8C3p1"]', '["8C3p1"]')), "no skip of type ASC or DSC fits"),
])  # fmt: skip
def test_recipe_errors(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = _path(tmp_path, TWO)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UsageError, match="recipe 'tiny': .*" + message):
        search(path, tmp_path / "out", progress=_quiet)


def test_a_recipe_without_a_search_is_refused(tmp_path: Path) -> None:
    path = _path(tmp_path, TWO)
    path.write_text(path.read_text().split("[search]")[0])
    with pytest.raises(UsageError, match=r"has no \[search\]; add one"):
        search(path, tmp_path / "out", progress=_quiet)


@pytest.mark.parametrize(("change", "message"), [
    ({"kind": "real"}, "wants weights that hardware has: ternary or binary"),
    ({"coding": "frames"}, "trains on images, not on recordings"),
])  # fmt: skip
def test_networks_that_are_not_searched(tmp_path: Path, change: dict, message: str) -> None:
    recipe = _recipe(tmp_path, TWO)
    with pytest.raises(UsageError, match=message):
        read_search(replace(recipe, network=recipe.network | change))


def test_storages_that_cannot_be_used_are_refused_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="storage nonsense: is no URL of a database"):
        open_storage("nonsense")
    with pytest.raises(FileError, match="cannot be used"):
        open_storage(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises((ToolMissing, FileError)) as e:  # FileError where psycopg2 is installed
        open_storage("postgresql://me:secret@localhost:1/search")
    assert "postgresql://me@localhost:1/search" in str(e.value) and "secret" not in str(e.value)


def test_the_command(found: tuple[Path, Path, dict], capsys: pytest.CaptureFixture[str]) -> None:
    path, out, answer = found
    assert main(["search", str(path), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["front"] == answer["front"] and said["done"]
    assert main(["search", str(path), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "3 of 3 members evaluated, done" in text and "\nnone " in text
    assert main(["search", str(path), "-o", str(out), "--trials", "0"]) == 2
