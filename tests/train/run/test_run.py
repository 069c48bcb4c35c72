"""Training: learns, resumes exactly, and ends in integers that compute what was trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.quantize import quantize_run
from sterna.golden.errors import FileError, NetworkError, SternaError, UsageError
from sterna.golden.exact import run as golden_run
from sterna.golden.files import network_files as files
from sterna.train.data import datasets
from sterna.train.module.module import SpikingModule
from sterna.train.module.schedule import one_cycle
from sterna.train.module.weights import discretize
from sterna.train.recipe import recipe
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.run import train
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 1
batch = 32
shift = 1
[network]
shape = [1, 8, 8]
steps = 4
kind = "{kind}"
layers = ["8C3p1", "P2{pool}", "FC10"]
{extra}
[[stage]]
epochs = {first}
steps = 1
[[stage]]
epochs = 2
steps = 4
lr = 3e-3
[[stage]]
epochs = 1
steps = 4
folded = true
lr = 2e-4
lr_rest = 1e-4
"""


def _recipe(
    folder: Path, first: int = 12, kind: str = "ternary", pool: str = "sum", extra: str = ""
) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(first=first, kind=kind, pool=pool, extra=extra))
    return path


def _quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("kind", ["ternary", "binary"])
def test_learns_and_ships_what_it_learned(tmp_path: Path, kind: str) -> None:
    """15 epochs of a tiny network reach what chance (10%) or a broken gradient never does, and
    golden's integers give exactly the accuracy of the folded forward pass."""
    torch.set_num_threads(1)
    lines: list[str] = []
    done = train(_recipe(tmp_path, kind=kind), tmp_path / "run", progress=lines.append)
    assert done["done"] and len(lines) == 15 and lines[-1].startswith("[15/15] tiny T=4 folded")
    assert done["validation_folded"] > 0.75  # of 180 images; seeds reach 0.79 to 0.93
    parts = datasets.load("digits")
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", parts.train[0][:64], evaluate=parts.test
    )
    assert network.name == "tiny" and report.accuracy_integer == done["test_folded"]
    assert report.accuracy_float is not None
    assert abs(report.accuracy_float - done["test_real"]) < 0.01
    loaded = files.load(tmp_path / "build")
    result = golden_run(loaded, parts.test[0])
    assert float(np.mean(result.classes == parts.test[1])) == done["test_folded"]


def test_a_binary_network_may_be_ternary_at_first(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = _recipe(tmp_path, first=3, kind="binary")
    images = torch.tensor(datasets.load("digits").train[0][:8])
    binary = SpikingModule(build_network(read_recipe(path), 1))  # batch norms of these images
    own = binary(images)
    binary.kind = "ternary"
    ternary = SpikingModule(build_network(read_recipe(_recipe(tmp_path, 3)), 1))
    assert torch.equal(binary(images), ternary(images)) and not torch.equal(binary(images), own)
    path = _recipe(tmp_path, first=3, kind="binary")
    plain = train(path, tmp_path / "plain", progress=_quiet)
    path.write_text(path.read_text().replace("epochs = 3\n", 'epochs = 3\nkind = "ternary"\n'))
    first: list[str] = []
    done = train(path, tmp_path / "run", progress=first.append)
    assert done["validation_real"] != plain["validation_real"] and done["validation_folded"] > 0.6
    trained = FloatNetwork.load(tmp_path / "run").by_name["conv1"]
    assert trained.kind == "binary" and (trained.weight != 0).all()
    path.write_text(path.read_text().replace('"ternary"\n', '"trinary"\n'))
    with pytest.raises(UsageError, match="kind 'trinary' is not ternary or binary"):
        read_recipe(path)


@pytest.mark.parametrize(
    "extra",
    [
        "",
        'neuron = { leak = 0.5 }\nreadout = { mode = "count", reset = "subtract", leak = 0.5 }',
        'coding = "rate"',
        'neuron = { reset = "zero" }',
        "neuron = { leak = 0.0 }",
    ],
)
def test_folded_forward_is_golden(tmp_path: Path, extra: str) -> None:
    """Every spike and the logits of the folded forward pass equal the integer network's."""
    torch.set_num_threads(1)
    done = train(
        _recipe(tmp_path, first=1, pool="or", extra=extra), tmp_path / "run", progress=_quiet
    )
    images = datasets.load("digits").test[0][:50]
    network, _ = quantize_run(tmp_path / "run", tmp_path / "build", images)
    trainer = Trainer(read_recipe(tmp_path / "recipe.toml"), tmp_path / "run", None, _quiet, None)
    module = trainer.module.eval()
    module.steps, module.fraction_bits = 4, done["fraction_bits"]
    logits, spikes = module.trace(torch.tensor(images), ("spike1", "pool2"))
    result = golden_run(network, images, trace=("spike1", "pool2"))
    for name, stream in spikes.items():
        want = torch.from_numpy(result.spikes[name].astype(np.int64))
        assert 0 < want.float().mean() < 1
        assert torch.equal(stream.long(), want)
    scale = network.readout.scale
    np.testing.assert_allclose(logits.numpy(), result.logits * scale, rtol=1e-4)


@pytest.mark.parametrize("neuron", ["", "neuron = { v_init = 0.3, leak = 0.5, strict = true }"])
def test_folded_forward_of_one_step_is_golden(tmp_path: Path, neuron: str) -> None:
    """At T = 1 bias and v_init are part of the threshold, exactly, and so they are in training."""
    torch.set_num_threads(1)
    path = _recipe(tmp_path, first=2, extra=neuron)
    text = path.read_text().replace("steps = 4", "steps = 1")
    path.write_text(text.replace('"FC10"', '"16C3p1", "FC10"'))
    done = train(path, tmp_path / "run", progress=_quiet)
    images, labels = datasets.load("digits").test
    network, report = quantize_run(
        tmp_path / "run", tmp_path / "build", images[:64], evaluate=(images, labels)
    )
    assert report.accuracy_integer == done["test_folded"]
    module = Trainer(read_recipe(path), tmp_path / "run", None, _quiet, None).module.eval()
    module.steps, module.fraction_bits = 1, done["fraction_bits"]
    _, spikes = module.trace(torch.tensor(images), ("spike1", "spike3"))
    golden = golden_run(network, images, trace=("spike1", "spike3"))
    for name, stream in spikes.items():
        assert np.array_equal(stream.numpy(), golden.spikes[name]) and 0 < stream.mean() < 1


def test_slices_give_the_same_network(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = _recipe(tmp_path, first=2)
    train(recipe, tmp_path / "whole", progress=_quiet)
    for _ in range(500):  # each slice is over after a batch or a few
        if train(recipe, tmp_path / "cut", max_minutes=0.05 / 60, progress=_quiet)["done"]:
            break
    a, b = [(tmp_path / n / "float.safetensors").read_bytes() for n in ("whole", "cut")]
    assert a == b
    again = train(recipe, tmp_path / "cut", progress=_quiet)
    assert again["done"] and again["epoch"] == 5
    # What is known is not measured again; what is damaged is.
    record = tmp_path / "cut" / "run.json"
    said = record.read_bytes()
    record.write_bytes(said.replace(b'"processes": 1', b'"processes": 4'))
    assert train(recipe, tmp_path / "cut", progress=_quiet)["processes"] == 4
    for damaged in (said[:40], b"[]", b"{}", said.replace(b'"seed": 1', b'"seed": 4')):
        record.write_bytes(damaged)
        assert train(recipe, tmp_path / "cut", progress=_quiet) == again
        assert record.read_bytes() == said
    # The loss of an epoch is the mean over all of it, also where it was cut.
    logs = [(tmp_path / n / "log.jsonl").read_text().splitlines() for n in ("whole", "cut")]
    a, b = ([json.loads(line) | {"seconds": 0} for line in log] for log in logs)
    assert a == b and len(a) == 5


def test_another_recipe_or_damage_is_refused(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, first=1)
    run = tmp_path / "run"
    assert not train(recipe, run, max_minutes=0, progress=_quiet)["done"]
    with pytest.raises(FileError, match="training is not finished"):
        quantize_run(run, tmp_path / "build", np.zeros((1, 1, 8, 8), np.uint8))
    with pytest.raises(UsageError, match="another recipe or seed"):
        train(recipe, run, seed=9, progress=_quiet)
    path = run / "checkpoint.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:-5] + bytes([whole[-5] ^ 64]) + whole[-4:]):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match="truncated or altered"):
            train(recipe, run, progress=_quiet)
    path.write_bytes(whole[:-5])
    with pytest.raises(FileError, match="truncated or altered"):
        train(recipe, run, progress=_quiet)


def test_untrained_layers_all_spike(tmp_path: Path) -> None:
    """Random weights with measured batch norms: no layer is silent or always on, and the integer
    network follows."""
    torch.set_num_threads(1)
    path = tmp_path / "recipe.toml"
    path.write_text(
        RECIPE.format(first=1, kind="ternary", pool="sum", extra="").replace(
            '"8C3p1"', '"8C3p1", { residual = ["8C3p1", "8C3p1"] }, "9C3s2p1", "9C3p1"'
        )
    )
    done = train(path, tmp_path / "run", untrained=True, progress=_quiet)
    assert done["done"] and done["untrained"] and done["fraction_bits"] is None
    assert train(path, tmp_path / "run", untrained=True, progress=_quiet) == done
    images = datasets.load("digits").train[0][:64]
    network, _ = quantize_run(tmp_path / "run", tmp_path / "build", images)
    names = tuple(f"spike{k}" for k in range(1, 6))
    result = golden_run(network, images, trace=names)
    for name in names:
        assert 0.03 < result.spikes[name].mean() < 0.6
    train(path, tmp_path / "other", max_minutes=0, progress=_quiet)
    with pytest.raises(UsageError, match="holds a run that was trained; give another folder"):
        train(path, tmp_path / "other", untrained=True, progress=_quiet)


def test_divergence_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipe.MOST, "lr_rest", 1e39)  # rates that are accepted hardly diverge
    path = _recipe(tmp_path, first=1)
    path.write_text(path.read_text().replace("steps = 1\n", "steps = 1\nlr_rest = 1e38\n"))
    with pytest.raises(SternaError, match="the loss became .*lower lr"):
        train(path, tmp_path / "run", progress=_quiet)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "tiny"', "", "key 'name' is missing"),
        ("batch = 32", "bach = 32", "key 'bach' is unknown"),
        ("epochs = 12", "epoch = 12", "key 'epoch' is unknown"),
        ('"8C3p1"', '"8X3"', "layer '8X3' is not understood"),
        ("seed = 1", "seed = = 1", "is not TOML"),
        ("kind =", "sort =", "'sort' is unknown"),
    ],
)
def test_recipe_errors(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = _recipe(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        build_network(read_recipe(path), 1)


def test_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_recipe(tmp_path / "none.toml")


def test_export_and_back(tmp_path: Path) -> None:
    network = build_network(read_recipe(_recipe(tmp_path)), 5)
    trained = SpikingModule(network).eval()
    exported = trained.export()
    exported.save(tmp_path)
    again = SpikingModule(FloatNetwork.load(tmp_path)).eval()
    images = torch.tensor(datasets.load("digits").test[0][:20])
    with torch.no_grad():
        torch.testing.assert_close(again(images), trained(images))


def test_module_refuses_what_it_cannot_train(tmp_path: Path) -> None:
    from dataclasses import replace

    network = build_network(read_recipe(_recipe(tmp_path)), 5)
    nodes = [
        replace(n, norm=network.by_name["conv1"].norm) if n.name == "full3" else n
        for n in network.nodes
    ]
    nodes = [replace(n, weight=n.weight[:8]) if n.name == "full3" else n for n in nodes]
    nodes = [replace(n, bias=n.bias[:8]) if n.name == "full3" else n for n in nodes]
    with pytest.raises(NetworkError, match="'full3': a batch norm before the readout"):
        SpikingModule(FloatNetwork(4, nodes))


def test_quantizers() -> None:
    w = torch.tensor([[0.5, -0.5, 0.1, 0.0], [1.0, -0.2, 0.2, -1.0]])
    q, a = discretize(w, "ternary", one_scale=False)
    assert q.tolist() == [[1, -1, 0, 0], [1, 0, 0, -1]]
    assert a.flatten().tolist() == [0.5, 1.0]
    q, a = discretize(w, "binary", one_scale=True)
    assert q.tolist() == [[1, -1, 1, 1], [1, -1, 1, -1]]
    assert a.shape == (1, 1) and a.item() == pytest.approx(3.5 / 8)


def test_one_cycle_rises_and_ends_at_zero() -> None:
    values = [one_cycle(k / 100, 0.2) for k in range(101)]
    assert values[0] < 0.02 and max(values) == pytest.approx(1, abs=0.02) and values[-1] < 1e-6
    assert values.index(max(values)) in (19, 20, 21)
