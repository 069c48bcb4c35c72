"""Files that somebody altered, cut, or put something else in the place of.

Each is read as it was, or refused in one sentence and in time. A few of each kind run always; the
slow tests go on for minutes (``STERNA_HOSTILE`` seconds for each kind, default 40).
"""

import ast
import functools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from buildcase import FOLDING, contents, network, save_example
from hostilecase import altered_bytes, altered_value, outcome
from repo import ROOT

from sterna import cli
from sterna.gen.build import stages
from sterna.gen.build.stages import ensure, read_folding
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden import files
from sterna.golden.arrays import parse_npy
from sterna.golden.disk import canonical_json, sha256
from sterna.golden.weights_image import read_weights_image, write_weights_image
from sterna.host.inputs import build_weights, from_build
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.checkpoint import read_checkpoint, write_checkpoint
from sterna.train.run.run_folder import read_record

FEW, LONG = 40, float(os.environ.get("STERNA_HOSTILE", "40"))
RECIPE = """
name = "tiny"
data = "digits"
batch = 128
[network]
shape = [1, 8, 8]
steps = 2
layers = ["4C3p1", "P2sum", "FC10"]
neuron = { threshold = 1.0, leak = 0.5 }
[[stage]]
epochs = 2
steps = 1
lr = 6e-3
"""


class Kind:
    """Files of one kind in a folder: ``read`` reads them, ``signed`` puts right what only says
    that nothing was altered. What is read must be ``same`` unless it was signed."""

    names: tuple[str, ...] = ()

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.make()
        self.whole = {n: (folder / n).read_bytes() for n in self.names}
        self.right = self.read()
        assert self.right is not None

    def make(self) -> None: ...

    def read(self):
        raise NotImplementedError

    def signed(self, name: str, value) -> bytes | None:
        """The bytes of an altered JSON value, signed anew; None: this kind has none."""
        return None

    def once(self, rng: random.Random) -> None:
        name = rng.choice(self.names)
        data, free = altered_bytes(self.whole[name], rng), False
        if rng.random() < 0.5 and name.endswith(".json"):
            value = altered_value(json.loads(self.whole[name]), rng)
            if (text := self.signed(name, value)) is not None:
                data, free = text, True
        (self.folder / name).write_bytes(data)
        found = outcome(self.read)
        (self.folder / name).write_bytes(self.whole[name])
        if not free:
            assert found is None or found == self.right, f"{name}: something else was read"


class NetworkFiles(Kind):
    names = ("network.json", "network.safetensors")

    def make(self):
        files.save(network(), self.folder)

    def read(self):
        return files.weights_id(files.load(self.folder))

    def signed(self, name, value):
        if isinstance(value, dict):
            value.pop("check", None)
            value["check"] = sha256(canonical_json(value).encode())
        return canonical_json(value).encode()


class FloatFiles(Kind):
    names = ("float.json", "float.safetensors")

    def make(self):
        (self.folder / "recipe.toml").write_text(RECIPE)
        build_network(read_recipe(self.folder), 1).save(self.folder)

    def read(self):
        found = FloatNetwork.load(self.folder)
        return [n.name for n in found.nodes]

    def signed(self, name, value):
        if isinstance(value, dict):
            value.pop("check", None)
            value["check"] = sha256(json.dumps(value, sort_keys=True).encode())
        return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


class WeightsFile(Kind):
    names = ("weights.sterna",)

    def make(self):
        words = {0: np.arange(40, dtype=np.uint32), 7: np.ones(3, np.uint32)}
        write_weights_image(self.folder / "weights.sterna", "a" * 64, "b" * 64, words)

    def read(self):
        image = read_weights_image(self.folder / "weights.sterna")
        return image.weights_id, {k: v.tolist() for k, v in image.regions.items()}


class ArrayFile(Kind):
    names = ("a.npy",)

    def make(self):
        np.save(self.folder / "a.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))

    def read(self):
        return parse_npy((self.folder / "a.npy").read_bytes(), "a.npy").dtype.kind in "biuf"


class CheckpointFile(Kind):
    names = ("checkpoint.safetensors",)

    def make(self):
        head = {
            "seed": 1,
            "position": [0, 0, 1],
            "spent": 1.5,
            "fraction": None,
            "adam_steps": 1,
            "recipe": "r",
            "losses": [0.5],
        }
        tensors = {"module.a": np.arange(6, dtype=np.float32), "module.b": np.int64([3])}
        write_checkpoint(self.folder / "checkpoint.safetensors", head, tensors)

    def read(self):
        head, tensors = read_checkpoint(self.folder / "checkpoint.safetensors")
        return head, {k: v.tolist() for k, v in tensors.items()}


class RunFile(Kind):
    names = ("run.json",)

    def make(self):
        body = {"name": "n", "done": True, "seed": 1, "epoch": 2, "epochs": 2, "fraction_bits": {}}
        (self.folder / "run.json").write_text(json.dumps(body))

    def read(self):
        return read_record(self.folder) is not None

    def signed(self, name, value):
        return json.dumps(value).encode()


class RecipeFile(Kind):
    names = ("recipe.toml",)

    def make(self):
        (self.folder / "recipe.toml").write_text(RECIPE)

    def read(self):
        recipe = read_recipe(self.folder)
        large = [
            n
            for n in (*recipe.network.get("shape", ()), recipe.network.get("steps", 1))
            if isinstance(n, int) and n > 64
        ]
        if not large:
            build_network(recipe, 1)
        return True


class FoldingFile(Kind):
    names = ("folding.json",)

    def make(self):
        body = {"folding": FOLDING, "family": "ecp5"}
        (self.folder / "folding.json").write_text(json.dumps(body))

    def read(self):
        return isinstance(read_folding(self.folder / "folding.json"), dict)

    def signed(self, name, value):
        return json.dumps(value).encode()


class BuildFiles(Kind):
    """Whatever is in a build: the next run makes what it must be, or refuses."""

    names = (
        "stages.json",
        "design.json",
        "folding.json",
        "weights.sterna",
        "network.json",
        "mem/c_weights.mem",
    )

    def make(self):
        save_example(self.folder)
        ensure(self.folder, "pack", output=self.folder)
        self.all = contents(self.folder)

    def read(self):
        answer = ensure(self.folder, "pack", output=self.folder)
        assert files.weights_id(answer.network) == build_weights(self.folder).weights_id
        return from_build(self.folder).structure is not None

    def signed(self, name, value):
        return json.dumps(value).encode()

    def once(self, rng):
        super().once(rng)
        (self.folder / "network.json").write_bytes(self.whole["network.json"])
        (self.folder / "folding.json").write_bytes(self.whole["folding.json"])
        ensure(self.folder, "pack", stages.Options(folding=FOLDING), output=self.folder)
        ensure(self.folder, "pack", output=self.folder)
        assert build_weights(self.folder).weights_id == files.weights_id(network())


KINDS = (
    NetworkFiles,
    FloatFiles,
    WeightsFile,
    ArrayFile,
    CheckpointFile,
    RunFile,
    RecipeFile,
    FoldingFile,
    BuildFiles,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_hostile_files(kind, tmp_path):
    case, rng = kind(tmp_path / "case"), random.Random(1)
    for _ in range(8 if kind is BuildFiles else FEW):
        state = rng.getstate()
        try:
            case.once(rng)
        except Exception as error:
            raise AssertionError(f"state {hash(state)}: {error!r}") from error


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_many_hostile_files(kind, tmp_path):
    case, end, seed = kind(tmp_path / "case"), time.monotonic() + LONG, 1000
    while time.monotonic() < end:
        try:
            case.once(random.Random(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        seed += 1


# --- what is no file ------------------------------------------------------------------------------


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
        words = line.format(odd=path, example=example, out=tmp_path / "out", none="/dev/none")
        start = time.monotonic()
        code = cli.main(words.split())
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


# --- rules ----------------------------------------------------------------------------------------

FOLDERS = ("golden", "hw", "gen", "sim", "host", "train", "sterna")
OWN = {
    # What a program of the flow wrote a moment ago, in a folder of ours.
    "gen/board/place.py",
    "gen/tools/yosys.py",
    "gen/tools/block_ram_registers.py",
    "sim/cocotb_runner.py",
    "sim/benches/network_axi.py",
    "sim/benches/network_top.py",
    "sim/benches/stream_core.py",
    # What is part of the package, or was made as text by this process.
    "gen/model/cost.py",
    "gen/verilog/memory_images.py",
    # The loader itself.
    "golden/disk.py",
}
READERS = {
    ("json", "load"),
    ("json", "loads"),
    ("tomllib", "load"),
    ("tomllib", "loads"),
    ("np", "load"),
    ("np", "fromfile"),
    ("np", "memmap"),
    ("np", "genfromtxt"),
    ("np", "loadtxt"),
    ("safetensors", "load"),
    ("pickle", "load"),
    ("torch", "load"),
    ("pickle", "loads"),
    ("marshal", "loads"),
}


@functools.cache
def calls():
    return list(_calls())


def _calls():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).as_posix(), node


def test_hostile_locales_meet_no_open_without_an_encoding():
    for path, call in calls():
        given = {k.arg for k in call.keywords}
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        where = f"{path}:{call.lineno}"
        if name == "write_text" or (name == "read_text" and not call.args):
            assert "encoding" in given, where
        if isinstance(call.func, ast.Name) and call.func.id == "open":
            mode = call.args[1] if len(call.args) > 1 else None
            binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
            assert binary or "encoding" in given, where
        assert not ("text" in given and name in ("run", "Popen", "check_output")), where


def test_hostile_files_meet_one_loader():
    found = set()
    for path, call in calls():
        f = call.func
        if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name):
            if (f.value.id, f.attr) in READERS:
                found.add(path)
        elif isinstance(f, ast.Name) and f.id == "load_tensors":
            found.add(path)
    assert found <= OWN, f"{sorted(found - OWN)}: read files by golden/disk.py and golden/arrays.py"
