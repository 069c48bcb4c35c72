"""`sterna import FILE.nir`: a graph in a file, at the shell's level."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

nir = pytest.importorskip("nir")
pytest.importorskip("h5py")

from sterna.cli import main  # noqa: E402
from sterna.gen.quantize.float_network import FloatNetwork  # noqa: E402
from sterna.golden.files import network_files as files  # noqa: E402

RNG = np.random.default_rng(1)


def graph(path: Path, real: bool) -> Path:
    full = lambda n: np.full(n, 1.0)  # noqa: E731
    draw = RNG.normal(0, 0.4, (24, 64)) if real else RNG.choice([-1.0, 0, 1], (24, 64))
    nodes = {
        "in": nir.Input({"input": np.array([1, 8, 8])}),
        "flat": nir.Flatten({"input": np.array([1, 8, 8])}, 0),
        "a": nir.Linear(draw),
        "n": nir.LIF(full(24) * 2, full(24), full(24) * 0, full(24) / 4, full(24) * 0),
        "b": nir.Linear(draw.T[:10] if real else RNG.choice([-1.0, 1], (10, 24))),
        "m": nir.IF(full(10), full(10), full(10) * 0),
        "out": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(zip(names, names[1:])), type_check=False))
    return path


def test_a_file_of_trits_needs_no_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file, run = graph(tmp_path / "my net.nir", False), tmp_path / "my run"
    words = ["import", str(file), "--dt", "1", "--steps", "5", "--reset", "zero", "-o", str(run)]
    assert main([*words, "--json"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["check"] is None and answer["name"] == "my_run" and not answer["calibrated"]
    assert {v["path"] for v in answer["verdicts"]} >= {"a", "n", "b", "m"}
    assert FloatNetwork.load(run).input.coding == "frames"
    assert main(["quantize", str(run), "-o", str(tmp_path / "b")]) == 2
    assert "give --data" in capsys.readouterr().err
    assert main(["train", "--from", str(run), "-o", str(tmp_path / "t")]) == 2
    assert "ternary or binary already" in capsys.readouterr().err


def test_real_weights_are_calibrated_and_go_on(tmp_path: Path) -> None:
    file, run = graph(tmp_path / "x.nir", True), tmp_path / "run"
    words = ["import", str(file), "--dt", "1", "--steps", "4", "--data", "digits"]
    assert main([*words, "--images", "60", "-o", str(run)]) == 0
    assert (run / "latents.json").is_file()
    assert FloatNetwork.load(run).input.scale == 1 / 255
    assert main(["quantize", str(run), "-o", str(tmp_path / "b")]) == 0
    assert files.load(tmp_path / "b").steps == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("{nir} --steps 3", "does not say the length of a step in the unit of its time constants;"),
        ("{nir} --dt 1", "does not say the number of time steps; give --steps"),
        ("{nir} --dt 0 --steps 3", "0 is not a time above 0"),
        ("{nir} --dt 1 --steps 3 --state w.pt", "--state goes with a model of PyTorch"),
        ("{nir} --dt 1 --steps 3 --data random_3x8x8 --input direct", "choose another than"),
        ("{real} --dt 1 --steps 3", "has real weights; give --data"),
        ("{nir} --dt 3 --steps 3", "node 'n': tau 2 is shorter than dt 3"),
        ("{cut} --dt 1 --steps 3", "cut.nir: cannot be read as NIR"),
        ("{absent} --dt 1 --steps 3", "absent.nir: does not exist"),
        ("{py}:make --dt 1 --data digits", "--dt goes with a .nir file"),
        ("{py}:make", "give --data, the images to run the model on"),
    ],
)
def test_wrong_words_have_their_sentence(
    words: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = graph(tmp_path / "g.nir", False)
    (tmp_path / "cut.nir").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "m.py").touch()
    files = {
        "nir": whole,
        "real": graph(tmp_path / "r.nir", True),
        "cut": tmp_path / "cut.nir",
        "absent": tmp_path / "absent.nir",
        "py": tmp_path / "m.py",
    }
    given = [word.format(**files) for word in words.split()]  # paths may have spaces
    try:
        code = main(["import", *given, "-o", str(tmp_path / "run")])
    except SystemExit as leave:
        code = leave.code
    assert code in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert sentence in said[-1], said
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [str(graph(tmp_path / "g.nir", False)), "--dt", "1", "--steps", "2"]
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["import", *words, "-o", str(tmp_path / "run")]) == 3
    assert "pip install 'sterna[nir]'" in capsys.readouterr().err
