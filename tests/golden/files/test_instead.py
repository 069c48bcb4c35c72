"""What stands where a network or a recipe is wanted is known by name, and the next command said."""

from pathlib import Path

import pytest

from sterna.golden.files.instead import instead


def folder(path: Path, *names: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).write_text("")
    return path


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("network", "network.json"), ("float", "float.json"), ("recipe", "recipe.toml")],
)
def test_what_is_there_is_its_readers(wanted: str, name: str, tmp_path: Path) -> None:
    """In whatever state: a link to nowhere, a folder of that name, an empty file."""
    assert instead(folder(tmp_path / "file", name), wanted) is None
    folder(tmp_path / "link").joinpath(name).symlink_to("nowhere")
    assert instead(tmp_path / "link", wanted) is None
    folder(tmp_path / "folder" / name)
    assert instead(tmp_path / "folder", wanted) is None


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("m.pt", "weights of PyTorch", "import FILE.py:FUNCTION --state m.pt --data DATA -o RUN"),
        ("m.pth", "weights of PyTorch", "--state m.pth"),
        ("m.ckpt", "a checkpoint of PyTorch", "--state m.ckpt"),
        ("m.safetensors", "tensors", "--state m.safetensors"),
        ("my net.onnx", "an ONNX graph", "import 'my net.onnx' --data DATA -o runs/my_net"),
        ("m.nir", "a NIR graph", "import m.nir --dt DT --steps T -o runs/m"),
        ("m.py", "a Python file", "import m.py:FUNCTION --data DATA -o runs/m"),
        ("mine.toml", "a recipe", "train mine.toml -o runs/mine"),
        ("a.npz", "arrays", "new NAME --data a.npz"),
    ],
)
def test_files_of_others_are_known_by_name(
    name: str, kind: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("")
    said = instead(name, "network") or ""
    assert said.startswith(f"{name}: holds {kind}") and "\n" not in said
    assert "what is wanted is a folder with a network; next: sterna " in said
    assert line in said


def test_files_that_may_be_what_is_wanted_are_their_readers(tmp_path: Path) -> None:
    for wanted, name in (
        ("recipe", "r.toml"),
        ("float", "f.json"),
        ("packed", "w.sterna"),
        ("model", "m.py"),
        ("model", "m.nir"),
        ("model", "m.onnx"),
    ):
        (tmp_path / name).write_text("")
        assert instead(tmp_path / name, wanted) is None
    assert "which Sterna does not read" in (
        instead(folder(tmp_path, "w.keras") / "w.keras", "network") or ""
    )
    said = instead(folder(tmp_path / "n", "network.json") / "network.json", "network")
    assert (
        said == f"{tmp_path}/n/network.json: is one file of a folder; give the folder, {tmp_path}/n"
    )
    assert "is a file, and what is wanted is a recipe" in (
        instead(folder(tmp_path, "x") / "x", "recipe") or ""
    )


@pytest.mark.parametrize(
    ("names", "wanted", "said"),
    [
        ((), "network", "holds no network.json; give a build folder"),
        ((), "model", "is a folder; give FILE.py:FUNCTION"),
        (
            ("recipe.toml",),
            "network",
            "holds a recipe and no network; next: sterna train f -o runs/f",
        ),
        (
            ("recipe.toml",),
            "float",
            "holds a recipe and no network; next: sterna train f -o runs/f",
        ),
        (
            ("recipe.toml", "checkpoint.safetensors"),
            "network",
            "training is not finished; run the same sterna train command",
        ),
        (("recipe.toml", "float.json"), "network", "next: sterna quantize f -o build/f"),
        (("recipe.toml", "network.json"), "float", "which is quantized; next: sterna build f"),
        (("network.json",), "packed", "has no weights.sterna; next: sterna pack f"),
        (("network.json",), "recipe", "holds no recipe.toml; give a recipe file"),
    ],
)
def test_folders_say_how_far_they_are(
    names: tuple[str, ...], wanted: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("f"), *names)
    assert said in (instead("f", wanted) or "")


def test_a_folder_of_folders_says_which_have_one(tmp_path: Path) -> None:
    folder(tmp_path / "one", "network.json")
    assert f"but {tmp_path}/one does; give" in (instead(tmp_path, "network") or "")
    for name in ("a", "b", "c", "d"):
        folder(tmp_path / name, "network.json")
    said = instead(tmp_path, "network") or ""
    assert f"but {tmp_path}/a, {tmp_path}/b, {tmp_path}/c, {tmp_path}/d and others do; give" in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("examples/mnits", "'examples/mnist'"),
        ("example/mnist", "'examples/mnist'"),
        ("exampels/mnits", "'examples'"),
        ("mnist", "'examples/mnist'"),
        ("mnits", "'examples/mnist'"),
        ("mine.onx", "'mine.onnx'"),
        ("../" * 40 + "nothing/like/this", None),
        ("x" * 5000, None),
        ("examples/mnist/deeper", None),
    ],
)
def test_a_near_name_is_offered(
    name: str, meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("examples/mnist"), "network.json")
    folder(Path(), "mine.onnx")
    said = instead(name, "network") or ""
    assert said.startswith(f"{name}: does not exist") and said.endswith("an example")
    assert (f"(did you mean {meant}?)" in said) if meant else "did you mean" not in said
