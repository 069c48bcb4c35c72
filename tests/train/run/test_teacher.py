"""A teacher of ReLUs, what a ternary network learns from it, and the milestones of both."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.errors import FileError, NetworkError, UsageError
from sterna.train.data import datasets
from sterna.train.module.module import SpikingModule
from sterna.train.module.weights import discretize, unit_sized
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.recipe.teacher_rule import TeacherRule
from sterna.train.run.checkpoint import read_checkpoint
from sterna.train.run.milestone import read_trained, write_milestone
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer
from sterna.train.run.warm_start import LATENT, warmed

LAYERS = '["8C3p1", { residual = ["8C3p1", "8C3p1"] }, "P2sum", "FC10"]'
TEACHER = """
name = "wise"
data = "digits"
seed = 2
batch = 64
[network]
kind = "real"
activation = "relu"
shape = [1, 8, 8]
steps = 1
layers = LAYERS
[[stage]]
epochs = 6
steps = 1
"""
PUPIL = """
name = "tiny"
data = "digits"
seed = 3
batch = 64
warm_start = "wise"
[teacher]
run = "wise"
[nq]
up = 2.0
[network]
shape = [1, 8, 8]
steps = 4
layers = LAYERS
[[stage]]
epochs = 3
steps = 1
nq = true
norms = 128
[[stage]]
epochs = 1
steps = 2
lr = 1e-3
lr_rest = 1e-3
each_step = true
norms = 128
[[stage]]
epochs = 2
steps = 4
lr = 1e-3
lr_rest = 1e-3
each_step = true
norms = 128
"""


def quiet(_: str) -> None:
    pass


def recipe(folder: Path, text: str = PUPIL, name: str = "pupil") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text.replace("LAYERS", LAYERS))
    return path


@pytest.fixture(scope="module")
def wise(tmp_path_factory) -> Path:
    """A folder with the trained teacher's run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    done = train(recipe(folder, TEACHER, "teacher"), folder / "wise", progress=quiet)
    assert done["validation_real"] > 0.85
    return folder


def test_an_ann_of_relus_is_one(wise: Path) -> None:
    trained = read_trained(wise / "wise").module
    x = torch.tensor(datasets.load("digits").test[0][:20])
    logits, kept = trained.trace(x, ("spike1", "spike3"))
    assert logits.shape == (20, 10)
    for stream in kept.values():
        assert (stream >= 0).all() and len(stream.unique()) > 500  # no steps, no ceiling
        assert float(stream.max()) > 2
    with pytest.raises(NetworkError, match="real weights"):
        quantize_run(wise / "wise", wise / "build", x.numpy())


def test_real_weights_beside_a_shortcut_have_the_size_of_trits(wise: Path) -> None:
    """Their sum meets the shortcut at the ratio that trits of the same latents would, whatever the
    size of the latents; exported and read again they are the same."""
    w = torch.randn(6, 4, 3, 3) * torch.tensor([0.01, 0.1, 1, 1, 3, 9]).view(-1, 1, 1, 1)
    out = unit_sized(w)
    torch.testing.assert_close(out, unit_sized(w * 0.07))
    scale = discretize(out, "ternary", False)[1]
    torch.testing.assert_close(scale, torch.ones_like(scale))
    module = read_trained(wise / "wise").module
    again = SpikingModule(module.export(), relu=True).eval()
    x = torch.tensor(datasets.load("digits").test[0][:20])
    torch.testing.assert_close(again(x), module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('kind = "real"\n', "", 'write kind = "real" and steps = 1'),
        ("steps = 1\nlayers", "steps = 2\nlayers", 'write kind = "real" and steps = 1'),
        ('"relu"', '"gelu"', "activation 'gelu' is not one of spikes, relu"),
    ],
)
def test_relus_that_cannot_be(tmp_path, old, new, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        text = TEACHER.replace(old, new, 1)
        train(recipe(tmp_path, text), tmp_path / "run", progress=quiet)


# -- the loss -----------------------------------------------------------------------------------


def test_the_loss_is_kl_at_a_temperature_and_cross_entropy() -> None:
    torch.manual_seed(0)
    own, wise, labels = torch.randn(5, 10), torch.randn(5, 10), torch.tensor([0, 3, 9, 1, 1])
    p, q = (wise / 4).softmax(1), (own / 4).softmax(1)
    kl = (p * (p / q).log()).sum(1).mean()
    wanted = 0.9 * 16 * kl + 0.1 * F.cross_entropy(own, labels)
    rule = TeacherRule("x")
    torch.testing.assert_close(rule.loss(own, wise, labels, 0.0), wanted)
    assert float(TeacherRule("x", weight=1.0).loss(own, own, labels, 0.0)) == pytest.approx(0)
    hard = TeacherRule("x", weight=0.0).loss(own, wise, labels, 0.1)
    torch.testing.assert_close(hard, F.cross_entropy(own, labels, label_smoothing=0.1))


@pytest.mark.parametrize(
    "readout",
    [
        "",
        "readout = { v_init = 0.75 }",
        'readout = { mode = "count", reset = "subtract" }',
    ],
)
def test_logits_of_each_step_are_those_of_a_network_of_so_many(tmp_path, readout) -> None:
    text = PUPIL.split("[nq]")[1].split("[[stage]]")[0].replace("up = 2.0\n", "")
    body = 'name = "x"\ndata = "digits"\n' + text + readout + "\n[[stage]]\nepochs = 1\nsteps = 4\n"
    module = SpikingModule(build_network(read_recipe(recipe(tmp_path, body)), 5))
    x = torch.tensor(datasets.load("digits").train[0][:16])
    module.momentum = 0.0
    module.train()
    module(x)
    module.each_step = True
    with torch.no_grad():
        every = module(x)
        assert every.shape == (4, 16, 10)
        module.each_step = False
        torch.testing.assert_close(every[3], module(x))
        module.eval()
        module.each_step = True
        assert module(x).shape == (16, 10)  # only in training


def test_the_loss_of_each_step_is_their_mean(wise: Path) -> None:
    trainer = Trainer(read_recipe(recipe(wise)), wise / "unused", None, quiet, None)
    stage = trainer.recipe.stages[2]
    x, y = trainer.train_set[0][:8], trainer.train_set[1][:8]
    sums = torch.randn(4, 8, 10).cumsum(0)
    found = trainer.objective(stage, x, y, sums, None)
    teacher = trainer.objective.teacher
    assert teacher is not None
    wanted = [teacher.rule.loss(sums[t] * 4 / (t + 1), teacher.logits(x), y, 0.0) for t in range(4)]
    torch.testing.assert_close(found, torch.stack(wanted).mean())


# -- a pupil ------------------------------------------------------------------------------------


def test_latents_start_from_real_weights(wise: Path) -> None:
    source = read_trained(wise / "wise").module
    network = build_network(read_recipe(recipe(wise)), 3)
    for path in (wise / "wise", _milestone(wise)):
        warm = warmed(network, path, up=2.0)
        module = SpikingModule(warm)
        for name in ("conv1", "conv2", "conv3"):
            mine, theirs = module.get(name, "weight"), source.get(name, "weight")
            assert mine is not None and theirs is not None
            size = mine.detach().abs().mean((1, 2, 3))
            torch.testing.assert_close(size, torch.full_like(size, LATENT), rtol=1e-3, atol=0)
            same = discretize(mine, "ternary", False)[0] == discretize(theirs, "ternary", False)[0]
            assert same.float().mean() > 0.98  # all but what int8 rounds over a threshold
        last, gain = module.get("full5", "weight"), module.get("full5", "gain")
        theirs = source.get("full5", "weight") * source.get("full5", "gain")  # type: ignore[operator]
        torch.testing.assert_close(last * gain, theirs * 2 / 4, rtol=0, atol=0.02)


def test_a_pupil_starts_near_its_teacher_and_beats_learning_alone(wise: Path) -> None:
    torch.set_num_threads(1)
    text = PUPIL.split("[[stage]]")
    short = "[[stage]]".join(text[:2]).replace("epochs = 3", "epochs = 2")
    taught = train(recipe(wise, short, "short"), wise / "short", progress=quiet)
    alone = short.replace('warm_start = "wise"\n', "").replace('[teacher]\nrun = "wise"\n', "")
    plain = train(recipe(wise, alone, "alone"), wise / "alone", progress=quiet)
    a, b = (done["conversion"]["validation_ann"] for done in (taught, plain))
    assert a > 0.85 and a > b + 0.05


def test_a_pupil_resumes_exactly_through_all_its_stages(wise: Path) -> None:
    torch.set_num_threads(1)
    path = recipe(wise)
    whole = train(path, wise / "whole", progress=quiet)
    assert whole["validation_real"] > 0.85
    for _ in range(500):
        if train(path, wise / "sliced", max_minutes=0.004, progress=quiet)["done"]:
            break
    a, b = [read_checkpoint(wise / n / "checkpoint.safetensors") for n in ("whole", "sliced")]
    assert all(np.array_equal(a[1][k], b[1][k]) for k in a[1])
    assert a[0]["teacher"] == b[0]["teacher"] == read_trained(wise / "wise").digest


def test_another_teacher_is_noticed_and_a_run_that_is_over_needs_none(wise: Path) -> None:
    torch.set_num_threads(1)
    text = PUPIL.replace("wise", "other").replace('warm_start = "other"\n', "")
    path = recipe(wise, text, "moved")
    other, run = wise / "other", wise / "moved_run"
    train(recipe(wise, TEACHER.replace("epochs = 6", "epochs = 1"), "t1"), other, progress=quiet)
    train(path, run, max_minutes=0, progress=quiet)
    kept = (other / "checkpoint.safetensors").read_bytes()
    (other / "checkpoint.safetensors").write_bytes(
        (wise / "wise" / "checkpoint.safetensors").read_bytes()
    )
    with pytest.raises(UsageError, match="has learned from another teacher"):
        train(path, run, progress=quiet)
    (other / "checkpoint.safetensors").write_bytes(kept)
    done = train(path, run, progress=quiet)
    (other / "checkpoint.safetensors").unlink()
    assert train(path, run, progress=quiet)["validation_real"] == done["validation_real"]
    with pytest.raises(FileError, match="still has its checkpoint"):
        train(path, wise / "third", progress=quiet)


def test_norms_are_measured_at_the_stages_steps(wise: Path) -> None:
    """After a stage with ``norms``, the running statistics are plain means at its T."""
    torch.set_num_threads(1)
    path = recipe(wise, PUPIL.replace("epochs = 3", "epochs = 1"), "measured")
    trainer = Trainer(read_recipe(path), wise / "measured", None, quiet, None)
    trainer.run(1e9)
    mean = trainer.module.get("spike3", "mean")
    assert mean is not None
    before = mean.clone()
    trainer.module.momentum = 1.0
    trainer.module.steps = 4
    found = []
    with torch.no_grad():
        for k in range(2):
            trainer.module.train()
            trainer.module(trainer.train_set[0][64 * k : 64 * k + 64])
            found.append(mean.clone())
    torch.testing.assert_close(before, torch.stack(found).mean(0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('run = "wise"', "run = 3", r"\[teacher\] run 3 is not the folder"),
        ('run = "wise"', 'run = "wise"\ntau = 0', r"\[teacher\] tau 0 is not a number from 0.01"),
        ('run = "wise"', 'run = "wise"\nweight = 1.5', "weight 1.5 is not a number from 0 to 1"),
        ('run = "wise"', 'run = "wise"\nalpha = 1', r"\[teacher\] takes run, tau, weight"),
        ('run = "wise"', 'run = "nobody"', "does not exist"),
        (
            "steps = 4\nlr",
            "steps = 4\nfolded = true\nlr",
            "each_step and norms are for stages in real",
        ),
        ("steps = 4\nlayers", "steps = 4\nreadout = { leak = 0.5 }\nlayers", "each_step wants a"),
        ('data = "digits"', 'data = "random_1x8x9"', "has shape|8 x 9|8, 9"),
        ("FC10", "FC11", r"has outputs 10, this network 11"),
    ],
)
def test_lessons_that_cannot_be(wise, old, new, sentence) -> None:
    text = PUPIL.replace("LAYERS", LAYERS).replace('warm_start = "wise"\n', "")
    with pytest.raises((UsageError, FileError), match=sentence):
        path = recipe(wise, text.replace(old, new, 1), "wrong")
        Trainer(read_recipe(path), wise / "wrong_run", None, quiet, None)


# -- milestones ---------------------------------------------------------------------------------


def _milestone(wise: Path) -> Path:
    path = wise / "wise.safetensors"
    write_milestone(wise / "wise", path)
    return path


def test_a_milestone_is_small_and_teaches_as_the_run_does(wise: Path) -> None:
    path = _milestone(wise)
    about = write_milestone(wise / "wise", path)
    assert (about["epoch"], about["epochs"], about["name"]) == (6, 6, "wise")
    stored = load_file(path)
    assert stored["conv2__weight"].dtype == np.int8
    assert stored["conv2__weight_scale"].shape == (8,)
    x, y = (torch.tensor(v) for v in datasets.load("digits").validation)
    own, whole = (read_trained(p).module(x).argmax(1) for p in (path, wise / "wise"))
    assert (own == whole).float().mean() > 0.97 and (own == y).float().mean() > 0.85
    text = PUPIL.replace('"wise"', '"wise.safetensors"')  # beside the recipe
    (wise / "else").mkdir()
    Trainer(read_recipe(recipe(wise, text, "by_file")), wise / "else" / "run", None, quiet, None)


def test_milestones_of_clips_and_of_converted_networks(wise: Path) -> None:
    torch.set_num_threads(1)
    x = torch.tensor(datasets.load("digits").test[0][:50])
    path, run, out = recipe(wise, PUPIL, "stones"), wise / "stones", wise / "stones.safetensors"
    trainer = Trainer(read_recipe(path), run, None, quiet, None)
    seen = []
    for _ in range(4000):
        done = trainer.run(0)
        write_milestone(run, out)
        module = read_trained(out).module
        kind = "clips" if module.clipping else f"T{module.steps}"
        if kind not in seen:
            seen.append(kind)
            assert module(x).shape == (50, 10)
            assert SpikingModule(warmed(trainer.module.network, out))(x).shape == (50, 10)
        if done["done"]:
            break
    assert seen == ["clips", "T4"]


def test_a_milestone_that_is_altered_or_no_milestone_is_refused(wise: Path) -> None:
    good = _milestone(wise).read_bytes()
    bad = wise / "bad.safetensors"
    for at in (0, 9, 200, len(good) - 3):
        bad.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(FileError, match="truncated or altered"):
            read_trained(bad)
    bad.write_bytes(good[:-40])
    with pytest.raises(FileError, match="truncated or altered"):
        read_trained(bad)
    save_file({"a": np.zeros(3, np.float32)}, bad, {"milestone": json.dumps({"format": "x"})})
    with pytest.raises(FileError, match="is not a milestone"):
        read_trained(bad)
    with pytest.raises(FileError, match="does not exist"):
        read_trained(wise / "nothing")


def test_a_run_goes_on_from_its_milestone_in_a_new_folder(wise: Path) -> None:
    torch.set_num_threads(1)
    path, run, stone = recipe(wise, PUPIL, "again"), wise / "again", wise / "again.safetensors"
    trainer, seen = Trainer(read_recipe(path), run, None, quiet, None), {}
    while not trainer.run(0)["done"]:
        stage, epoch, batch = trainer.position
        if batch == 0 or (stage, epoch) in seen:
            continue
        write_milestone(run, stone)
        seen[stage, epoch] = stone.rename(wise / f"again{stage}{epoch}.safetensors")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for (stage, epoch), file in seen.items():
        new = wise / f"new{stage}{epoch}"
        done = train(path, new, resume=file, progress=quiet)
        rest = [json.loads(line) for line in (new / "log.jsonl").read_text().splitlines()]
        before = sum((3, 1, 2)[:stage]) + epoch
        assert [r["epoch"] for r in rest] == list(range(before + 1, 7)), (stage, epoch)
        assert [r["steps"] for r in rest] == [r["steps"] for r in log[before:]]
        assert done["done"] and ("conversion" in done) and done["validation_real"] > 0.5
    assert {k[0] for k in seen} == {0, 1, 2}


def test_a_run_does_not_go_on_from_what_is_not_its_own(wise: Path) -> None:
    path, stone = recipe(wise, TEACHER, "teacher"), _milestone(wise)
    with pytest.raises(UsageError, match="seed 2, not of this recipe, word for word, with seed 9"):
        train(path, wise / "x", seed=9, resume=stone, progress=quiet)
    with pytest.raises(UsageError, match="is a milestone of 'wise' with seed 2"):
        train(recipe(wise), wise / "x", seed=2, resume=stone, progress=quiet)
    twin = recipe(wise, TEACHER.replace("[network]", "[twin]\n[network]"), "twin")
    with pytest.raises(UsageError, match=r"the twin of \[twin\] is in no milestone"):
        train(twin, wise / "x", resume=stone, progress=quiet)
    done = train(path, wise / "over", resume=stone, progress=quiet)  # at its end: only measured
    assert done["epoch"] == 6 and done["validation_real"] > 0.85
