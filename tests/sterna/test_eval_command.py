"""``sterna eval``: accuracy by class, and what the network did: text, JSON, build folder."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna.cli import main
from sterna.gen.build.measurements import measurements
from sterna.gen.build.stages import open_build
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.train.data import datasets


def answer(capsys: Any, *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("eval") / "digits"
    sterna.example("digits").save(folder)
    recipe = Path(sterna.__file__).parents[1] / "examples" / "digits" / "recipe.toml"
    (folder / "recipe.toml").write_text(recipe.read_text())
    assert main(["fold", str(folder), "-o", str(folder), "--fps", "1000"]) == 0
    return str(folder)


def test_the_answer_is_what_python_says(folder: str, capsys: Any) -> None:
    found = answer(capsys, "eval", folder)
    facts = sterna.evaluate(sterna.load(folder), datasets.load("digits"))
    assert found["accuracy"] == facts.accuracy and found["images"] == facts.images == 360
    assert found["confusion"] == facts.confusion.tolist()
    assert [c["accuracy"] for c in found["per_class"]] == facts.class_accuracy.tolist()
    assert sum(c["right"] for c in found["per_class"]) == facts.right == found["right"]
    assert facts.counts is not None and found["counted"] == facts.counts.as_dict()
    layers = [c["node"] for c in found["counted"]["connections"]]
    assert layers == ["conv1", "conv2", "full4"]

    assert main(["eval", folder]) == 0
    text = capsys.readouterr().out
    assert "as 9" in text and "Eff_ACs" in text and "97.92%" in text
    for figure in ("28010.8", "5626.9", "513600", "86.76%", "1,382 bytes packed", "5,680 as"):
        assert figure in text, figure


def test_an_accuracy_says_how_sure_it_is_and_what_is_known_against_it(
    folder: str, capsys: Any, tmp_path: Path
) -> None:
    said = "warning: the network "
    few = ["eval", folder, "--images", "20"]
    assert main(few) == 0
    text = capsys.readouterr().out
    assert re.match(r"20 of 20 right: 100.00% \(95% interval 83.9% to 100.0%\)", text)
    assert said not in text
    for part, words in (("train", "was trained on"), ("validation", "was chosen by")):
        assert main([*few, "--split", part]) == 0
        assert f"{said}{words} these images, and may do" in capsys.readouterr().out
    assert main([*few, "--data", "random_1x8x8"]) == 0
    assert f"{said}is made for digits, and these are images of random_1x8x8" in (
        capsys.readouterr().out
    )
    found = answer(capsys, *few, "--split", "train")
    assert found["warning"].startswith("the network was trained on these")
    # Of one's own arrays nobody knows, nor of a network without a recipe.
    images, labels = datasets.load("digits").test
    parts = {"x_test": images, "y_test": labels}
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, **parts)
    bare = tmp_path / "bare"
    sterna.load(folder).save(bare)
    for words in ([folder, "--data", f"{tmp_path}/own.npz"], [str(bare), "--data", "digits"]):
        for part in ("train", "test"):
            assert main(["eval", *words, "--images", "20", "--split", part]) == 0
            assert "warning" not in capsys.readouterr().out


def test_it_stays_in_the_build_folder_until_the_network_is_another(
    folder: str, capsys: Any, tmp_path: Path
) -> None:
    found = answer(capsys, "eval", folder, "--images", "40")
    kept = measurements(open_build(folder))["eval"]
    assert found.pop("wrote") == [str(Path(folder) / "measured" / "eval.json")]
    assert kept == found | {"data": "digits", "split": "test"}
    # It is of the network, whatever its design becomes.
    assert main(["fold", folder, "-o", folder, "--fps", "2000"]) == 0
    capsys.readouterr()
    assert measurements(open_build(folder))["eval"] == kept
    body = (Path(folder) / "measured" / "eval.json").read_bytes()
    answer(capsys, "eval", folder, "--images", "40")
    assert (Path(folder) / "measured" / "eval.json").read_bytes() == body
    network = sterna.load(folder)
    first, *rest = network.nodes
    other = Network(network.steps, [first, *rest], "other")
    files.save(other, folder)
    assert main(["fold", folder, "-o", folder]) == 0
    assert "eval" not in measurements(open_build(folder))
    files.save(network, folder)
    assert main(["fold", folder, "-o", folder]) == 0
    capsys.readouterr()


def test_images_without_labels_are_counted_and_nothing_is_kept(
    folder: str, capsys: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", datasets.load("digits").test[0][:3])
    out = str(tmp_path / "b")
    found = answer(capsys, "eval", folder, "-o", out, "--file", str(tmp_path / "a.npy"))
    assert len(found["classes"]) == 3 and "confusion" not in found
    assert found["counted"]["images"] == 3
    assert not (Path(out) / "measured").exists()


def test_many_classes_have_no_table_and_too_many_no_matrix(tmp_path: Path, capsys: Any) -> None:
    for classes, shown in ((30, True), (1001, False)):
        weight = np.random.default_rng(1).integers(-1, 2, (classes, 4))
        nodes = [
            Input("x", (1, 2, 2)),
            Linear("f", "x", weight),
            Readout("r", "f", NeuronRule(np.zeros(classes, int), "none")),
        ]
        Network(1, nodes, f"many{classes}").save(tmp_path / str(classes))
        images = np.random.default_rng(2).integers(0, 256, (60, 1, 2, 2), dtype=np.uint8)
        np.savez(tmp_path / "a.npz", images=images, labels=np.arange(60) % 3)
        words = ["eval", str(tmp_path / str(classes)), "-o", str(tmp_path / f"b{classes}")]
        words += ["--data", str(tmp_path / "a.npz")]
        found = answer(capsys, *words)
        assert (found["confusion"] is not None) == (found["per_class"] is not None) == shown
        assert main(words) == 0
        assert ("30 classes: see per_class" in capsys.readouterr().out) == shown
        kept = json.loads((tmp_path / f"b{classes}" / "measured" / "eval.json").read_text())
        assert kept["values"]["data"] == "own"  # no path
