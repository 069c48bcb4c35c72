"""A small example and its build: what is in a folder, which stages ran, where writing stops."""

import hashlib
import json

import numpy as np

from sterna.gen.build import folder as build_folder
from sterna.gen.build import stages
from sterna.gen.build.stages import ensure
from sterna.gen.tools.progress import Progress
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def network(seed=0):
    rng = np.random.default_rng(seed)
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (2, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=np.array([20, 30]))),
            Linear("f", "n", rng.integers(-1, 2, (3, 8))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="tiny",
    )


FOLDING = {"c": {"pe": 1, "simd": 3, "tp": 4, "memory": "ram", "engine": "compress"}}


def save_example(folder):
    files.save(network(), folder)
    (folder / "folding.json").write_text(json.dumps(FOLDING))
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Names(Progress):
    """Records the stages that ran."""

    def __init__(self):
        super().__init__(quiet=True)
        self.ran = []

    def step(self, name):
        self.ran.append(name)
        return super().step(name)


def ran(build, upto="sim", options=None):
    progress = Names()
    ensure(build, upto, options, progress=progress)
    return progress.ran


class Interrupted(Exception):
    pass


class Writes:
    """Counts the writes of stages, and stops at the ``stop``-th from when that is set."""

    def __init__(self, monkeypatch):
        self.count, self.stop = 0, None
        real = stages.write_atomic

        def write(path, data):
            self.count += 1
            if self.stop is not None:
                self.stop -= 1
                if self.stop == 0:
                    raise Interrupted
            real(path, data)

        for module in (stages, build_folder):
            monkeypatch.setattr(module, "write_atomic", write)
