"""evaluate, examples, summaries: what Python has besides the commands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna import shipped
from sterna.train.data import datasets


def test_a_shipped_network_is_evaluated_however_it_comes(tmp_path: Path) -> None:
    digits = datasets.load("digits")
    network = sterna.example("digits")
    found = sterna.evaluate(network, digits)  # the test part
    images, labels = digits.test
    assert found.images == len(labels) and found.accuracy > 0.9
    assert found.right == found.confusion.trace() and found.confusion.sum() == found.images
    text = f"{found.right} of {found.images} right: {found.accuracy:.2%} (95% interval "
    assert str(found).startswith(text)
    build = sterna.build(network, tmp_path / "b", upto="fold")
    assert sterna.evaluate(build, (images[:9], labels[:9])).images == 9
    result = sterna.run(network, images)
    assert result.accuracy(labels) == found.accuracy


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((2, 1, 8, 8), np.uint8), "has no labels to compare with"),
        ((np.zeros((2, 1, 8, 8), np.uint8), [1]), "not one whole number an image"),
        ((np.zeros((2, 1, 8, 8), np.uint8), [1, 99]), "from 1 to 99, but the network has classes"),
        ((np.zeros((2, 1, 9, 8), np.uint8), [1, 1]), "9"),
    ],
)
def test_data_that_does_not_fit_is_refused(data: Any, sentence: str) -> None:
    with pytest.raises(sterna.SternaError, match=sentence):
        sterna.evaluate(sterna.example("digits"), data)
    with pytest.raises(sterna.UsageError, match="3 is no network"):
        sterna.evaluate(3, data)


def test_examples_are_named_and_others_refused(monkeypatch: Any, tmp_path: Path) -> None:
    names = sterna.examples()
    assert {"digits", "mnist"} <= set(names) and names == tuple(sorted(names))
    with pytest.raises(sterna.UsageError, match="example 'nothing' is not one of .*digits"):
        sterna.example("nothing")
    with pytest.raises(sterna.UsageError, match="is not one of"):
        sterna.example("../examples/digits")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert sterna.examples() == ()
    with pytest.raises(sterna.UsageError, match="run it in a clone"):
        sterna.example("digits")


def test_a_summary_has_a_line_a_node() -> None:
    network = sterna.example("digits")
    lines = network.summary().splitlines()
    assert len(lines) == len(network.nodes) + 2
    assert lines[-1] == "4 time steps, 5,008 weights"
    assert any(line.split()[:2] == ["add3", "merge"] for line in lines)


def test_importing_sterna_is_cheap() -> None:
    import subprocess
    import sys

    code = (
        "import sys, sterna\nsterna.SternaError, sterna.UsageError, sterna.train, dir(sterna)\n"
        "heavy = {'torch', 'numpy', 'amaranth', 'cocotb', 'h5py', 'nir', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_labels_that_are_no_class_have_a_row_of_their_own() -> None:
    labels = np.array([0, 1, 7, 2**40, 1, -3])
    found = sterna.Evaluation(np.array([0, 1, 2, 0, 2, 1]), labels, 3)
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]]
    assert found.right == 2 and found.class_accuracy[[0, 1, 3]].tolist() == [1, 0.5, 0]
    assert np.isnan(found.class_accuracy[2])
