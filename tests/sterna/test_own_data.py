"""One's own data in every command: a recipe for it, its classes and paths on the way to a build."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from owncase import CLASSES, draw, picture_folder, save_picture

import sterna
from sterna.cli import main
from sterna.golden.files.sources import data_of_folder

VALIDATION = ("--data", "folder:png", "--split", "validation")
RECIPE = """
name = "shapes"
data = "folder:../png"
batch = 16
[network]
shape = [1, 12, 12]
steps = 2
layers = ["4C3p1", "P2sum", "FC3"]
[[stage]]
epochs = 1
steps = 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """png/, net/recipe.toml, a run of random weights and its build."""
    root = tmp_path_factory.mktemp("own")
    picture_folder(root / "png")
    (root / "net").mkdir()
    (root / "net" / "recipe.toml").write_text(RECIPE)
    run, build = str(root / "runs" / "a"), str(root / "build" / "a")
    assert main(["train", str(root / "net"), "-o", run, "--untrained"]) == 0
    assert main(["quantize", run, "-o", build]) == 0
    return root


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def sentence(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What a refused command says; no stage has run before it."""
    capsys.readouterr()
    assert main([*words]) == code
    said = capsys.readouterr().err.splitlines()[-1]
    assert "[1/" not in said and "internal error" not in said
    return said


def test_names_and_hash_go_into_the_run_and_names_into_the_build(here: Path) -> None:
    record = json.loads(Path("runs/a/run.json").read_bytes())
    data = sterna.data.ImageSet("folder:png").parts()
    assert record["classes"] == list(CLASSES) and record["data_hash"] == data.hash
    assert record["data"] == f"images with sha256 {data.hash[:16]}"
    assert json.loads(Path("build/a/classes.json").read_bytes())["classes"] == list(CLASSES)
    assert b"circle" not in Path("build/a/network.json").read_bytes()


def test_paths_lead_from_the_recipe_the_run_and_the_build(here: Path, monkeypatch, capsys) -> None:
    for folder in ("net", "runs/a", "build/a"):
        assert data_of_folder(folder) == "folder:png"
    assert 'data = "folder:../../png"' in Path("runs/a/recipe.toml").read_text()
    monkeypatch.chdir(here / "net")
    assert answer(capsys, "eval", "../build/a")["images"] == 12
    # An example with data of its own is copied into its build, and so is what it says of it.
    shutil.copytree(here / "build" / "a", here / "example", ignore=lambda *_: ["stages.json"])
    Path(here / "example" / "recipe.toml").write_text(RECIPE.replace("../png", "../png"))
    for name in ("design.json", "stages.json"):
        (here / "example" / name).unlink(missing_ok=True)
    assert answer(capsys, "eval", "../example", "-o", "../else/b")["images"] == 12
    assert data_of_folder(here / "else" / "b") == "folder:../png"
    assert (here / "else" / "b" / "classes.json").is_file()


def test_the_run_of_other_data_says_so_to_quantize(here: Path, tmp_path: Path, capsys) -> None:
    other = picture_folder(tmp_path / "other", 10)
    run = str(tmp_path / "run")
    words = ["train", "net", "-o", run, "--untrained", "--data", f"folder:{other}"]
    assert main(words) == 0
    assert data_of_folder(run) == f"folder:{other}"
    assert main(words) == 0  # and it goes on
    said = sentence(capsys, 2, "train", "net", "-o", run, "--untrained")
    assert "was trained on images with sha256" in said
    assert main(["quantize", run, "-o", str(tmp_path / "b")]) == 0
    assert data_of_folder(tmp_path / "b") == f"folder:{other}"


def test_a_moved_run_is_the_same_run(here: Path, tmp_path: Path) -> None:
    """Its data is known by content: elsewhere, under other names, it goes on."""
    shutil.copytree("png", tmp_path / "renamed")
    shutil.copytree("runs/a", tmp_path / "run")
    assert main(["train", "net", "-o", str(tmp_path / "run"), "--untrained"]) == 0
    words = ["train", "net", "-o", str(tmp_path / "run"), "--untrained"]
    assert main([*words, "--data", f"folder:{tmp_path / 'renamed'}"]) == 0
    save_picture(tmp_path / "renamed" / "cross" / "new.png", draw(1, 99))
    assert main([*words, "--data", f"folder:{tmp_path / 'renamed'}"]) == 2


def test_files_without_labels_are_named(here: Path, tmp_path: Path, capsys) -> None:
    found = answer(capsys, "eval", "build/a", "--file", "png/cross/03.png")
    image = draw(1, 3)[None, None]
    want = sterna.run(sterna.load("build/a"), image)
    assert found["classes"] == want.classes.tolist()
    assert found["names"] == [CLASSES[want.classes[0]]]
    out = tmp_path / "out.csv"
    assert main(["eval", "build/a", "--file", "png/cross", "--predictions", str(out)]) == 0
    assert f"03.png  {found['names'][0]}" in capsys.readouterr().out
    rows = list(csv.reader(out.open()))
    assert rows[0] == ["file", "class", "name", *(f"logit {c}" for c in CLASSES)]
    assert len(rows) == 21 and [r[0] for r in rows[1:3]] == ["00.png", "01.png"]
    assert rows[4] == ["03.png", str(want.classes[0]), *found["names"], *map(str, want.logits[0])]
    np.save(tmp_path / "a.npy", image[0, 0])
    assert answer(capsys, "eval", "build/a", "--file", str(tmp_path / "a.npy"))["images"] == 1
    colour = save_picture(tmp_path / "c.png", np.repeat(image[0, 0][:, :, None], 3, 2))
    assert answer(capsys, "eval", "build/a", "--file", str(colour)) == found
    large = save_picture(tmp_path / "d.png", draw(1, 3, 24))
    assert "network's input is [1, 12, 12]; give others, or --size" in sentence(
        capsys, 2, "eval", "build/a", "--file", str(large)
    )
    assert answer(capsys, "eval", "build/a", "--file", str(large), "--size", "12x12")["images"] == 1


def test_labels_are_the_networks_by_name(here: Path, tmp_path: Path, capsys) -> None:
    """A folder that lacks a class numbers the others from 0: their names count."""
    part = tmp_path / "some" / "test"
    for name in ("cross", "square"):
        shutil.copytree(f"png/{name}", part / name)
    found = answer(capsys, "eval", "build/a", "--data", f"folder:{tmp_path / 'some'}")
    files = [f"png/{name}" for name in ("cross", "square")]
    guessed = [answer(capsys, "eval", "build/a", "--file", f)["names"] for f in files]
    right = sum(n == "cross" for n in guessed[0]) + sum(n == "square" for n in guessed[1])
    assert (found["images"], found["right"]) == (40, right)
    (part / "cross").rename(part / "triangle")
    said = sentence(capsys, 2, "eval", "build/a", "--data", f"folder:{tmp_path / 'some'}")
    assert "class 'triangle' is none of the network's (circle, cross, square)" in said


@pytest.mark.parametrize("command", ["eval", "sim", "compare"])
def test_what_cannot_be_is_refused_before_the_first_stage(
    here: Path, tmp_path: Path, command: str, capsys
) -> None:
    build = str(tmp_path / "b")
    shutil.copytree("build/a", build, ignore=lambda *_: ["design.json", "stages.json"])
    (tmp_path / "bad.png").write_bytes(b"no")
    images = np.zeros((40, 1, 12, 12), np.uint8)
    images[:, 0, 0, 0] = np.arange(40)
    np.savez(tmp_path / "five.npz", images=images, labels=np.arange(40) % 5)
    for code, words, said in (
        (2, ["--data", "folder:gone"], "there is no folder gone"),
        (2, ["--data", "gone.npz"], "there is no file gone.npz"),
        (2, ["--data", f"{tmp_path}/five.npz"], "label 4 is none of the network's classes 0 to 2"),
        (2, ["--data", "mnist", "--size", "3x3"], "'mnist' has a size of its own"),
        (2, ["--data", "folder:png", "--size", "8"], "size '8' is not HEIGHTxWIDTH"),
        (2, ["--data", "folder:png", "--size", "8x8"], "images are [1, 8, 8], the network's"),
        (2, ["--file", "png", "--data", "folder:png"], "leave --data and --split out"),
        (2, ["--file", "net"], "holds no pictures and no recordings"),
        (1, ["--file", str(tmp_path / "bad.png")], "truncated, altered or no picture"),
        (1, ["--file", "gone.png"], "does not exist"),
        (2, ["--file", "png", "--images", "61"], "png has 60 images, 61 were asked"),
        (
            2,
            ["--data", "folder:png", "--split", "validation", "--images", "7"],
            "the validation part of",
        ),
    ):
        assert said in sentence(capsys, code, command, build, *words)
        assert not (tmp_path / "b" / "design.json").exists()


def test_training_looks_at_data_first_and_leaves_nothing(
    here: Path, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "run"
    shutil.copytree("png/cross", tmp_path / "four" / "more")
    for name in CLASSES:
        shutil.copytree(f"png/{name}", tmp_path / "four" / name)
    for code, data, said in (
        (2, f"folder:{tmp_path / 'four'}", "has 3 outputs, the data set has 4 classes; write FC4"),
        (2, "folder:png?size=9x9", "images are [1, 9, 9], the network's input is [1, 12, 12]"),
        (2, "folder:nowhere", "there is no folder nowhere"),
    ):
        assert said in sentence(capsys, code, "train", "net", "-o", str(run), "--data", data)
        assert not run.exists()
        said = sentence(capsys, code, "quantize", "runs/a", "-o", str(run), "--data", data)
        assert "outputs" in said or "network's input" in said or "no folder" in said
        assert not run.exists()


def test_a_new_recipe_runs_as_it_is(here: Path, tmp_path: Path, capsys) -> None:
    new = tmp_path / "My-Shapes"
    assert answer(capsys, "new", str(new), "--data", "folder:png")["classes"] == 3
    text = (new / "recipe.toml").read_text()
    assert "# circle, cross, square" in text and 'name = "my_shapes"' in text
    assert main(["train", str(new), "-o", str(tmp_path / "run"), "--untrained"]) == 0
    assert "is there already" in sentence(capsys, 2, "new", str(new), "--data", "folder:png")
    assert "or with --like" in sentence(capsys, 2, "new", str(tmp_path / "x"))
    assert "there is no folder" in sentence(
        capsys, 2, "new", str(tmp_path / "x"), "--data=folder:x"
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("like", ["digits", "mnist", "fashion_mnist", "cifar10", "nmnist_8"])
def test_a_new_recipe_like_a_known_one(tmp_path: Path, like: str, capsys) -> None:
    assert answer(capsys, "new", str(tmp_path / "a"), "--like", like)["classes"] == 10


@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 9, 17), (3, 40, 40), (4, 70, 90), (2, 200, 130)])
def test_a_new_recipe_for_any_shape(tmp_path: Path, shape: tuple[int, ...], capsys) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, *shape), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(12) % 2)
    new = answer(capsys, "new", str(tmp_path / "n"), "--data", str(tmp_path / "a.npz"))
    assert new["shape"] == list(shape)


def test_a_new_recipe_for_recordings(tmp_path: Path, capsys) -> None:
    for label in ("a", "b"):
        for k in range(9):
            path = tmp_path / "ev" / label / f"{k}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = np.random.default_rng((k, ord(label))).integers(0, [8, 6, 99, 2], (30, 4))
            np.save(path, rows)
    words = ["new", str(tmp_path / "n"), "--data", f"folder:{tmp_path / 'ev'}", "--steps", "4"]
    assert answer(capsys, *words, "--size", "6x8")["shape"] == [2, 6, 8]
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "n"), "-o", run, "--untrained"]) == 0
    assert main(["quantize", run, "-o", str(tmp_path / "b")]) == 0
    one = str(tmp_path / "ev" / "a" / "3.npy")
    assert answer(capsys, "eval", str(tmp_path / "b"), "--file", one)["images"] == 1


def test_without_pillow_it_is_said_what_brings_it(here: Path, monkeypatch, capsys) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    said = sentence(capsys, 3, "eval", "build/a")
    assert "pillow is not installed; run: pip install 'sterna[data]'" in said
