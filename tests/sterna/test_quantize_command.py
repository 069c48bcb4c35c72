"""`sterna quantize`: what does not belong together is refused with one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from repo import EXAMPLES

from sterna.cli import main
from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron
from sterna.golden.files import network_files as files
from sterna.golden.network import Neuron

RECIPE = """
name = "d"
data = "digits"
[network]
shape = [1, 8, 8]
steps = 4
layers = ["8C3p1", "P2sum", "FC10"]
[[stage]]
epochs = 1
steps = 4
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random weights."""
    folder = tmp_path_factory.mktemp("quantize")
    (folder / "recipe.toml").write_text(RECIPE)
    assert main(["train", str(folder), "-o", str(folder / "run"), "--untrained"]) == 0
    return folder / "run"


def test_images_of_another_shape_are_refused(run: Path, tmp_path: Path, capsys) -> None:
    build = tmp_path / "build"
    assert main(["quantize", str(run), "-o", str(build), "--data", "random_1x28x28"]) == 2
    said = capsys.readouterr().err
    assert "images are [1, 28, 28], the network's input is [1, 8, 8]; choose another than" in said
    assert not build.exists()
    assert main(["quantize", str(run), "-o", str(build), "--data", "random_1x8x8"]) == 0


def test_like_is_a_network_of_the_same_structure(run: Path, tmp_path: Path, capsys) -> None:
    build, again = tmp_path / "build", tmp_path / "again"
    other = EXAMPLES / "mnist"
    assert main(["quantize", str(run), "-o", str(build), "--like", str(other)]) == 2
    said = capsys.readouterr().err
    assert f"--like {other}: node 'image': shape is [1, 8, 8] here and [1, 28, 28] in" in said
    assert not build.exists()
    assert main(["quantize", str(run), "-o", str(build)]) == 0
    assert main(["quantize", str(run), "-o", str(again), "--like", str(build)]) == 0
    assert (build / "network.json").read_bytes() == (again / "network.json").read_bytes()


def test_a_leak_is_the_nearest_and_said_or_a_cheaper_one_by_option(
    run: Path, tmp_path: Path, capsys
) -> None:
    network = FloatNetwork.load(run)
    nodes = [replace(n, leak=0.3333333) if isinstance(n, FloatNeuron) else n for n in network.nodes]
    leaky = FloatNetwork(network.steps, nodes).save(tmp_path)
    command = ["quantize", str(leaky), "-o", str(tmp_path / "build"), "--data", "digits"]
    for option, factor in (([], 1365 / 4096), (["--leak-tolerance", "0.05"], 0.375)):
        assert main([*command, *option]) == 0
        said = f"leak 0.333333 is approximated by {factor.as_integer_ratio()[0]}/"
        assert said in capsys.readouterr().out
        neuron = files.load(tmp_path / "build")["spike1"]
        assert isinstance(neuron, Neuron) and neuron.rule.leak is not None
        assert neuron.rule.leak.factor == factor
    for wrong in ("-1", "1", "nan", "x"):
        assert main([*command, "--leak-tolerance", wrong]) == 2


@pytest.mark.parametrize("command", ["train", "quantize"])
def test_an_output_that_is_a_file_is_called_one(
    run: Path, tmp_path: Path, command: str, capsys
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert main([command, str(run), "-o", str(out), "--json"]) == 1
        assert "a file" in json.loads(capsys.readouterr().out)["error"]
        assert "free some space" not in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_random_images_have_a_size_that_memory_holds(run: Path, tmp_path: Path, capsys) -> None:
    command = ["quantize", str(run), "-o", str(tmp_path / "build"), "--data"]
    assert main([*command, "random_9x99999x9999"]) == 2
    assert "has images of more than 1048576 values" in capsys.readouterr().err


def test_what_it_makes_is_a_build_folder(run: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Two of one name do not meet in build/<name>."""
    monkeypatch.chdir(tmp_path)
    for out in ("one", "two"):
        assert main(["quantize", str(run), "-o", out]) == 0
        assert main(["fold", out]) == 0
        assert (tmp_path / out / "design.json").is_file()
    assert not (tmp_path / "build").exists()


def test_a_network_that_is_replaced_is_named_and_built_anew(
    run: Path, tmp_path: Path, capsys
) -> None:
    build = tmp_path / "build"
    command = ["quantize", str(run), "-o", str(build)]
    assert main(command) == 0 and "replaced" not in capsys.readouterr().err
    assert main(["eval", str(build), "--images", "40"]) == 0
    assert main(["verilog", str(build)]) == 0
    before = (build / "d.v").read_text()
    capsys.readouterr()
    assert main(command) == 0  # the very same
    assert "replaced" not in capsys.readouterr().err
    old = files.weights_id(files.load(build))
    other = str(tmp_path / "other")
    words = ["train", str(run.parent), "-o", other, "--untrained", "--seed", "7"]
    assert main(words) == 0 and main(["quantize", other, "-o", str(build)]) == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "replaced" in line]
    assert f"{build}: held other weights, 'd' of weights_id {old[:16]}, " in told
    assert "% of 40 images right, replaced by that of " in told and "is stale" in told
    new = files.weights_id(files.load(build))
    assert new != old
    assert main(["verilog", str(build)]) == 0
    after = (build / "d.v").read_text()
    assert old[:16] in before and new[:16] in after and old[:16] not in after
