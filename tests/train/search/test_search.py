"""Skip search: the study, and what it leaves behind."""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from searchbench import THREE, TUNE, TWO, path_of, quiet, recipe_of

from sterna.cli import main
from sterna.gen.design.design import Design
from sterna.gen.fold.fold import fold
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import DesignError, FileError, ToolMissing, UsageError
from sterna.golden.exact import run as golden_run
from sterna.golden.network import Network
from sterna.train.data import datasets
from sterna.train.data.sets import DataSet
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.run import train
from sterna.train.search import skip_cost, storage
from sterna.train.search.plots import main_effects
from sterna.train.search.search import Search, search, spiking_figures
from sterna.train.search.search_recipe import read_search
from sterna.train.search.skip_cost import hardware_cost
from sterna.train.search.skip_space import NONE, Member, Space
from sterna.train.search.storage import open_storage
from sterna.train.search.supernet import SuperNet
from sterna.train.search.table import Row, front


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# -- the search ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """A search of all 3 members of a small space, in three slices: (recipe, folder, answer)."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("search")
    path = path_of(folder, TWO, "trials = 99", tail=TUNE)
    out = folder / "out"
    answer = search(path, out, max_minutes=0, progress=quiet)
    assert not answer["done"] and not (out / "trials.json").exists()
    answer = search(path, out, trials=2, progress=quiet)
    assert answer["done"] and answer["members"] == answer["of"] == 2
    first = json.loads((out / "trials.json").read_bytes())["trials"]
    answer = search(path, out, progress=quiet)
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
    assert train(out / "recipes" / "best.toml", tmp_path, progress=quiet)["done"]


def test_the_accuracy_is_that_of_the_integer_network(found: tuple[Path, Path, dict]) -> None:
    path, out, _ = found
    recipe = read_recipe(path)
    settings = read_search(recipe)
    worker = Search(recipe, settings, Space(recipe), out, None, quiet)
    assert worker.net.train(worker.train, time.monotonic(), quiet)
    for member in worker.space.members():
        module, network = worker.integer(member)
        images, labels = datasets.load("digits").validation
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
        search(path, tmp_path, storage=url, progress=quiet)
    (tmp_path / "supernet.safetensors").write_bytes(net)
    answer = search(path, tmp_path, storage=url, progress=quiet)
    assert answer["done"] and answer["members"] == 3
    tables = [(f / "trials.csv").read_text() for f in (out, tmp_path)]
    assert tables[0] == tables[1]
    worker = Search(
        read_recipe(path),
        read_search(read_recipe(path)),
        Space(read_recipe(path)),
        tmp_path,
        None,
        quiet,
    )
    worker.net.digest = "other"
    with pytest.raises(UsageError, match="has other shared weights; copy supernet.safetensors"):
        worker._study(open_storage(url))


def test_damaged_shared_weights_are_called_damaged(
    found: tuple[Path, Path, dict], tmp_path: Path
) -> None:
    """Wherever a bit turns, in the head or in a weight: not taken for those of another recipe."""
    path, out, _ = found
    blob = bytearray((out / "supernet.safetensors").read_bytes())
    size = int.from_bytes(blob[:8], "little")
    places = [*range(8, 8 + size, 37), 8 + size, len(blob) // 2, len(blob) - 1]
    space = Space(read_recipe(path))
    net = SuperNet(space, read_search(read_recipe(path)).super, tmp_path, torch.device("cpu"))
    for at in places:
        blob[at] ^= 1
        net.path.write_bytes(blob)
        blob[at] ^= 1
        with pytest.raises(FileError, match="truncated or altered .*; delete it to train anew"):
            net.train((torch.zeros(0), torch.zeros(0)), 0.0, quiet)
    net.path.write_bytes(blob)
    assert net.train((torch.zeros(0), torch.zeros(0)), 0.0, quiet)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"FC10"', '"FC3"', "last layer has 3 outputs, the data set has 10 classes"),
        ("lr = ", "lr = 1e300 #", r"\[\[stage\]\] lr 1e.300 is not a number from 0 to 1000"),
        (
            "[network]",
            "[network]\nneuron = { leak = 0.3 }",
            "neuron leak 0.3 is no whole number of 1/4096",
        ),
    ],
)
def test_a_search_refuses_what_training_would(
    found: tuple[Path, Path, dict], tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    text = found[0].read_text()
    assert old in text
    other = tmp_path / "other.toml"
    other.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=sentence):
        search(other, tmp_path / "out", progress=quiet)
    assert not (tmp_path / "out").exists()


def test_another_recipe_is_refused(found: tuple[Path, Path, dict], tmp_path: Path) -> None:
    path, out, _ = found
    other = tmp_path / "other.toml"
    other.write_text(path.read_text().replace("seed = 4", "seed = 5"))
    with pytest.raises(UsageError, match="recipe.toml: is another recipe; give another folder"):
        search(other, out, progress=quiet)
    with pytest.raises(UsageError, match="study 'tiny' .*begun with another recipe"):
        few = datasets.load("digits")
        small = DataSet((few.train[0][:32], few.train[1][:32]), few.validation, few.test)
        search(
            other,
            tmp_path / "out",
            storage=f"sqlite:///{out / 'study.db'}",
            data=small,
            progress=quiet,
        )


def _cheap(
    folder: Path, monkeypatch: pytest.MonkeyPatch, layers: str = TWO
) -> tuple[Search, list[Member]]:
    """A search whose members cost no training; the list is of those that were evaluated."""
    recipe = recipe_of(folder, layers)
    worker = Search(recipe, read_search(recipe), Space(recipe), folder, None, quiet)
    seen: list[Member] = []

    def evaluate(member: Member) -> dict:
        seen.append(member)
        skips = len(member) - member.count(NONE)
        return {
            "accuracy": 0.5 + 0.05 * skips,
            "lanes": 10 + skips,
            "memory_bits": 100,
            "rate": 0.1,
            "spikes": 5.0,
            "fifo_bits": 1,
        }

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

    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 1)
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
    recipe = recipe_of(tmp_path, TWO)
    module = SpikingModule(build_network(recipe, 1)).eval()
    network, _ = quantize(module.export(), datasets.load("digits").train[0][:16])
    asked = []

    def slow(network: Network, *, fps: float, clock_mhz: float) -> Design:
        """As if branches waited for a third of the time."""
        asked.append(fps)
        design = fold(network, fps=fps, clock_mhz=clock_mhz)
        return replace(design, modelled_interval=design.interval * 3 // 2)

    plain = hardware_cost(network, 50000, 100)
    monkeypatch.setattr(skip_cost, "fold", slow)
    cost = hardware_cost(network, 50000, 100)
    assert len(asked) > 1 and cost.clocks * 3 // 2 == cost.modelled_clocks <= 2000
    assert cost.lanes > plain.lanes
    with pytest.raises(DesignError, match="fastest folding takes|clocks an image"):
        hardware_cost(network, 1e8 / cost.modelled_clocks * 40, 100)


# -- the front and effects -------------------------------------------------------------------------


def _row(number: int, member: Member, accuracy: float, lanes: int, bits: int = 0) -> Row:
    return Row(number, str(number), member, {"accuracy": accuracy, "lanes": lanes, "bits": bits})


def test_the_front_is_what_nothing_beats() -> None:
    rows = [
        _row(0, (), 0.9, 10, 5),
        _row(1, (), 0.8, 10, 4),
        _row(2, (), 0.8, 11, 4),
        _row(3, (), 0.9, 10, 5),
        _row(4, (), 0.7, 3, 9),
        Row(5, "", (), {}, "no"),
    ]
    assert [r.number for r in front(rows, ["lanes"])] == [0, 3, 4]
    assert [r.number for r in front(rows, ["lanes", "bits"])] == [0, 3, 1, 4]


def test_effects_of_places_are_found_again(tmp_path: Path) -> None:
    space, rng = Space(recipe_of(tmp_path)), np.random.default_rng(0)
    true = {
        (0, "ASC"): 0.02,
        (0, "DSC"): 0.03,
        (1, "ASC"): -0.01,
        (1, "DSC"): 0.0,
        (2, "ASC"): 0.05,
        (2, "DSC"): 0.04,
    }
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fps = 50000", ""), "fps is missing"),
        (("fps = 50000", "fps = 0"), "fps 0 is not a number above 0"),
        (
            ("fps = 50000", "fps = 5\ntrails = 3"),
            "key 'trails' is unknown; known: clock_mhz, costs",
        ),
        (("fps = 50000", "fps = 5\ntrials = 0"), "trials 0 is not a whole number from 1"),
        (("fps = 50000", "fps = 5\ntie = 1"), "tie 1 is not true or false"),
        (
            ("fps = 50000", 'fps = 5\ntypes = ["XSC"]'),
            r"types \['XSC'\] is not a list of some of ASC",
        ),
        (("fps = 50000", "fps = 5\ncosts = []"), r"costs \[\] is not a list of some of lanes"),
        (("[[search.super]]", "[[search.tune]]"), r"\[\[search.super\]\] is missing"),
        (("[[search.super]]", "[[search.super]]\nfolded = true"), "key 'folded' is not possible"),
        (
            ("[[search.super]]\nepochs = 6", "[[search.super]]\nepochs = -1"),
            "epochs -1 is not a whole",
        ),
        (("seed = 4", "seed = 4\nwarm_start = 'x'"), "does not train with warm_start; remove it"),
        (
            (TWO, TWO.replace('"] }', '"], skips = [] }')),
            "no block without skips is there to search",
        ),
        ((TWO, TWO.replace('["8C3p1", "8C3p1"]', '["8C3p1"]')), "no skip of type ASC or DSC fits"),
    ],
)
def test_recipe_errors(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = path_of(tmp_path, TWO)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UsageError, match="recipe 'tiny': .*" + message):
        search(path, tmp_path / "out", progress=quiet)


def test_a_recipe_without_a_search_is_refused(tmp_path: Path) -> None:
    path = path_of(tmp_path, TWO)
    path.write_text(path.read_text().split("[search]")[0])
    with pytest.raises(UsageError, match=r"has no \[search\]; add one"):
        search(path, tmp_path / "out", progress=quiet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "real"}, "wants weights that hardware has: ternary or binary"),
        ({"coding": "frames"}, "trains on images, not on recordings"),
    ],
)
def test_networks_that_are_not_searched(tmp_path: Path, change: dict, message: str) -> None:
    recipe = recipe_of(tmp_path, TWO)
    with pytest.raises(UsageError, match=message):
        read_search(replace(recipe, network=recipe.network | change))


def test_storages_that_cannot_be_used_are_refused_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="storage nonsense: is no URL of a database"):
        open_storage("nonsense")
    for lost in ("", "sqlite://"):
        with pytest.raises(UsageError, match="every trial would be lost"):
            open_storage(lost)
    with pytest.raises(UsageError, match="is no URL of a database") as e:
        open_storage("postgresql://me:secret@host:port/x?password=secret")
    assert "secret" not in str(e.value)
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
