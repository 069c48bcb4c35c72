"""What quantize would refuse, or the data set does not have, is refused before anything is trained:
one sentence with the key, the value and what is possible.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from repo import EXAMPLES

from sterna.golden.errors import SternaError, UsageError
from sterna.train.data import datasets
from sterna.train.data.sets import DataSet
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.recipe.recipe_check import check_data, check_recipe
from sterna.train.run.run import train

GOOD = """
name = "d"
data = "digits"
batch = 32
shift = 1
{nq}
[network]
shape = [1, 8, 8]
steps = 4
{setting}
layers = {layers}
[[stage]]
epochs = 1
steps = {steps}
"""


def recipe(
    folder: Path,
    setting: str = "",
    layers: str = '["8C3p1", "P2sum", "FC10"]',
    steps: int = 4,
    nq: str = "",
) -> Path:
    path = folder / "recipe.toml"
    path.write_text(GOOD.format(setting=setting, layers=layers, steps=steps, nq=nq))
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda p: str(p)[-30:])
def test_every_example_is_accepted(path: Path) -> None:
    check_recipe(read_recipe(path))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "neuron = { leak = 0.3 }",
            "neuron leak 0.3 is no whole number of 1/4096.* nearest, 0.300048828125",
        ),
        (
            "neuron = { leak = 0.001 }",
            "neuron leak 0.001 is no whole number of .* nearest, 0.0009765625",
        ),
        (
            "neuron = { synapse = 0.3 }",
            "neuron synapse 0.3 is no whole number of .* nearest, 0.300048828125",
        ),
        ('neuron = { reset = "none" }', "neuron reset 'none' is not one of subtract, zero, once;"),
        ('neuron = { reset = "x" }', "neuron reset 'x' is not one of subtract, zero, once;"),
        ("neuron = { amplitude = 0 }", "neuron amplitude 0 is not a number from 1e-06 to 1e.06"),
        ("neuron = { amplitude = [1] }", r"neuron amplitude \[1\] is not a number from"),
        (
            "neuron = { reset_by = [1] }",
            r"neuron reset_by \[1\] is not one number for all channels",
        ),
        ("neuron = { bias = 1e300 }", "neuron bias 1e.300 is not a finite number from"),
        (
            'readout = { mode = "count" }',
            "readout reset 'none' is not possible with mode 'count'; "
            'write reset = "subtract" or "zero"',
        ),
        (
            'readout = { reset = "zero" }',
            "readout reset 'zero' is not possible with mode 'membrane'",
        ),
        ('readout = { mode = "first_spike" }', r"'first_spike' is trained with \[stidi\] only"),
        ("bits = 0", r"\[network\] bits 0 is not a whole number from 1 to 8"),
        ('bits = "x"', r"\[network\] bits 'x' is not a whole number from 1 to 8"),
        ("bits = 40", r"\[network\] bits 40 is not a whole number from 1 to 8"),
        ('bits = 4\ncoding = "rate"', r"\[network\] bits 4 is not possible: rate coding"),
        ("seed = -1", r"\[network\] seed -1 is not a whole number from 0 to 4294967295"),
        ('seed = "x"', r"\[network\] seed 'x' is not a whole number from 0 to 4294967295"),
        ("seed = 4294967296", r"\[network\] seed 4294967296 is not a whole number"),
        ("bits = 4", "values reach 255, the input's are up to 15; write bits = 8"),
    ],
)
def test_what_has_no_integer_form_is_not_trained(
    tmp_path: Path, setting: str, sentence: str
) -> None:
    path = recipe(tmp_path, setting)
    with pytest.raises(UsageError, match=sentence) as e:
        train(path, tmp_path / "run", progress=lambda _: None)
    assert "\n" not in str(e.value) and not (tmp_path / "run").exists()


def test_a_rule_that_only_quantize_knows_is_asked_too(tmp_path: Path) -> None:
    """Nothing here is a wrong value by itself: membranes of 200 thresholds pass 24 bits."""
    path = recipe(
        tmp_path,
        'coding = "latency"\nneuron = { reset = "once", synapse = "ramp" }\n'
        'readout = { mode = "first_spike", synapse = "ramp" }',
        '["8C3p1", "FC10"]',
        200,
        "[stidi]",
    ).read_text()
    found = recipe(tmp_path)
    found.write_text(path.replace("steps = 4", "steps = 200"))
    with pytest.raises(UsageError, match="recipe 'd': its network has no integer form: node 'rea"):
        check_recipe(read_recipe(found))
    found.write_text(path.replace("steps = 200", "steps = 4"))
    check_recipe(read_recipe(found))


@pytest.mark.parametrize(
    "setting",
    [
        'neuron = { leak = 0.75, reset = "zero" }',
        'readout = { mode = "count", reset = "subtract" }',
        'kind = "real"\nneuron = { leak = 0.3 }',
        "bits = 8",
    ],
)
def test_what_has_one_is(tmp_path: Path, setting: str) -> None:
    check_recipe(read_recipe(recipe(tmp_path, setting)))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ('["8C3p1", "FC3"]', "last layer has 3 outputs, the data set has 10 classes; write FC10"),
        ('["FC1"]', "last layer has 1 outputs, the data set has 10 classes; write FC10"),
        (
            '["8C99999999999p3", "FC10"]',
            "layer '8C99999999999p3' has [0-9]+ weights; a network may",
        ),
        ('["99999999C3", "FC10"]', "layer '99999999C3' has 899999991 weights; a network may have"),
        (
            '["9999999C1", "P8sum", "FC10"]',
            "node 'conv1': a map of 9999999 x 8 x 8 is larger than 167",
        ),
        (
            '["8C9", "FC10"]',
            "recipe .d.: layer .8C9.: node .conv1.: the kernel is .* input of 8 x 8",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused(tmp_path: Path, layers: str, sentence: str) -> None:
    with pytest.raises(SternaError, match=sentence):
        train(recipe(tmp_path, layers=layers), tmp_path / "run", progress=lambda _: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "shift = 1",
            "shift = 1000",
            "shift 1000 moves images of 8 pixels out of sight; write at mo",
        ),
        (
            "shift = 1",
            "shift = 8",
            "shift 8 moves images of 8 pixels out of sight; write at most 7",
        ),
        (
            "steps = 4\n\nlayers",
            "steps = 2000\nlayers",
            "steps 2000 is not a whole number above 0 and",
        ),
        (
            "epochs = 1",
            "epochs = 1\nshift = 100000000000",
            r"\[\[stage\]\] shift 100000000000 moves",
        ),
        ("shift = 1", "rotate = 1e308", "rotate 1e.308 is not a number from 0 to 360"),
        ("shift = 1", "zoom = 1.0", "zoom 1.0 is not a number from 0 to below 1"),
        ("shift = 1", "zoom = 1e300", "zoom 1e.300 is not a number from 0 to below 1"),
        (
            "epochs = 1",
            "epochs = 1\nlr = 1e300",
            r"\[\[stage\]\] lr 1e.300 is not a number from 0 to",
        ),
        (
            "epochs = 1\nsteps = 4",
            "epochs = 1\nsteps = 1000000000000",
            r"\[\[stage\]\] steps 1000000000000 is not a whole number from 1 to 1024",
        ),
        ("batch = 32", "batch = 5000", "a batch of 5000 is more than the 1257 training images"),
        (
            "batch = 32",
            "batch = 1000000000",
            "node 'image' of 1 x 8 x 8 has [0-9]+ values in a batch",
        ),
        (
            "epochs = 1",
            "epochs = 1\nbogus = 1",
            "key 'bogus' is unknown; known: batch, each_step, e",
        ),
    ],
)
def test_numbers_beyond_sense_are_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    path = recipe(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=sentence):
        train(path, tmp_path / "run", progress=lambda _: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("nq", "sentence"),
    [
        ("nq = { share = 0.0001 }", "share 0.0001 of 1257 training images keeps 0 to measure"),
        ("nq = { share = 0.0001, noise = false, bias_correction = true }", "keeps 0 to measure"),
        ("nq = { steps = 2000 }", r"\[nq\] steps 2000 is more than 1024"),
    ],
)
def test_a_share_of_no_images_is_refused(tmp_path: Path, nq: str, sentence: str) -> None:
    path = recipe(tmp_path, steps=1, nq=nq)
    path.write_text(path.read_text() + "nq = true\n")
    with pytest.raises(UsageError, match=sentence):
        train(path, tmp_path / "run", progress=lambda _: None)


def test_a_share_that_nothing_is_measured_on_may_be_empty(tmp_path: Path) -> None:
    path = recipe(tmp_path, steps=1, nq="nq = { share = 0.0001, noise = false }")
    path.write_text(path.read_text() + "nq = true\n")
    parsed = read_recipe(path)
    check_data(parsed, check_recipe(parsed), datasets.digits())


def test_more_outputs_than_classes_and_other_sets_are_fine(tmp_path: Path) -> None:
    parsed = read_recipe(recipe(tmp_path, "bits = 4", '["FC3"]'))
    part = np.full((40, 1, 8, 8), 15, np.uint8), np.arange(40) % 2
    check_data(parsed, check_recipe(parsed), DataSet(part, part, part))


def test_checks_leave_the_random_numbers_of_training_alone(tmp_path: Path) -> None:
    parsed = read_recipe(recipe(tmp_path))
    before, state = build_network(parsed, 1), torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # type: ignore[index]
    check_recipe(parsed)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # type: ignore[index]
    after = build_network(parsed, 1)
    assert np.array_equal(before.by_name["conv1"].weight, after.by_name["conv1"].weight)  # type: ignore[union-attr]
