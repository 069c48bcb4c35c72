"""What is no file in the place of one, and letters that the locale has not."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from buildcase import save_example
from hostilecase import RECIPE, outcome

from sterna import cli
from sterna.gen.build.stages import ensure
from sterna.host.inputs import build_weights


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def odd(folder: Path, kind: str) -> Path:
    path = folder / f"odd_{kind}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        (path / "inside").mkdir(parents=True)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(folder)  # the names of sockets are short
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
    else:
        path.symlink_to("nowhere")
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = save_example(tmp_path_factory.mktemp("hostile") / "example")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


COMMANDS = (
    "train {odd} -o {out}",
    "quantize {odd} -o {out}",
    "fold {odd} -o {out}",
    "pack {odd} -o {out}",
    "fold {example} -o {out} --folding {odd}",
    "eval {odd}",
    "patch {odd} {odd}",
    "program {odd}",
    "verify-bitstream {odd}",
    "load {odd} --port {none}",
    "infer {example} --file {odd} --port {none}",
    "infer {odd} --port {none}",
    "quantize {example} --like {odd} -o {out}",
)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "socket", "nowhere"])
def test_hostile_things_in_the_place_of_a_file(kind, example, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = odd(tmp_path, kind)
    for line in COMMANDS:
        given = {"odd": path, "example": example, "out": tmp_path / "out", "none": "/dev/none"}
        words = [word.format(**given) for word in line.split()]
        start = time.monotonic()
        code = cli.main(words)
        err = capsys.readouterr().err.splitlines()
        said = [text for text in err if text.startswith("sterna ")]
        assert code in (1, 2, 3) and len(said) == 1, (words, code, err)
        assert "internal error" not in said[0] and time.monotonic() - start < 60, (words, said)


def test_hostile_things_in_a_build_folder(example, tmp_path):
    """In the place of what it reads they are refused, of what it writes they are replaced."""
    build = tmp_path / "build"
    ensure(example, "pack", output=build)
    for name in ("stages.json", "design.json", "weights.sterna"):
        for kind in ("pipe", "device", "loop", "socket"):
            (build / name).unlink()
            os.rename(odd(build, kind), build / name)
            outcome(lambda: build_weights(build))
            ensure(build, "pack", output=build)
            assert (build / name).is_file() and not (build / name).is_symlink()
    for name in ("network.json", "network.safetensors", "folding.json"):
        data = (build / name).read_bytes()
        (build / name).unlink()
        os.rename(odd(build, "pipe"), build / name)
        outcome(lambda: ensure(build, "pack", output=build))
        (build / name).unlink()
        (build / name).write_bytes(data)
    shutil.rmtree(build)


# --- locales --------------------------------------------------------------------------------------

LOCALES = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
)


@pytest.mark.parametrize("locale", LOCALES, ids=["ascii", "C"])
def test_hostile_locales(example, tmp_path, locale):
    """A folder and a recipe with letters that the locale has not, a BOM in front."""
    folder = tmp_path / "b\u00e4u \u2603"
    shutil.copytree(example, folder)
    text = "\ufeff# f\u00fcr \u2603\n" + RECIPE
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))} | locale
    code = (
        "import sys; from sterna.cli import main; from sterna.gen.build.stages import Build\n"
        "from pathlib import Path\n"
        "assert Build(Path(sys.argv[1])).data == 'digits'\n"
        "sys.exit(main(['fold', sys.argv[1], '-o', sys.argv[1]]) or\n"
        "         main(['eval', sys.argv[1] + '/x', '--json']) - 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in (b"Traceback", b"internal error", b"UnicodeEncodeError"):
        assert word not in done.stderr
    assert (folder / "design.json").is_file() and done.stdout
