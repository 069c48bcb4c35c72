"""Files that somebody altered or cut.

Each is read as it was, or refused in one sentence and in time. A few of each kind run always; the
slow tests go on for minutes (``STERNA_HOSTILE`` seconds for each kind, default 40).
"""

import json
import os
import random
import time
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest
from buildcase import FOLDING, contents, network, save_example
from hostilecase import RECIPE, altered_bytes, altered_value, outcome

from sterna.gen.build import stages
from sterna.gen.build.folding_file import read_folding
from sterna.gen.build.stages import ensure
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.golden.device.weights_image import read_weights_image, write_weights_image
from sterna.golden.files import network_files as files
from sterna.golden.files.arrays import parse_npy
from sterna.golden.files.disk import canonical_json, sha256
from sterna.host.inputs import build_weights, from_build
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.checkpoint import read_checkpoint, write_checkpoint
from sterna.train.run.run_folder import read_record

TRIES, LONG = 40, float(os.environ.get("STERNA_HOSTILE", "40"))


class Kind(ABC):
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

    @abstractmethod
    def make(self) -> None:
        """Write the files ``names``."""

    @abstractmethod
    def read(self):
        """What they hold."""

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
    for _ in range(8 if kind is BuildFiles else TRIES):
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
