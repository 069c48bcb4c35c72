"""A small network whose memories are all reloadable, and its simulated board."""

import json
from pathlib import Path

import numpy as np

from sterna.gen.build.stages import Build, ensure
from sterna.gen.verilog.memory_images import weights_image
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.rule import NeuronRule

__all__ = ["network", "packed", "pictures", "tiny_build"]

SIDE = 12


def network(seed: int) -> Network:
    """Same structure for every seed."""
    rng = np.random.default_rng(seed)

    def trits(*shape: int) -> np.ndarray:
        return rng.choice([-1, 0, 1], shape).astype(np.int8)

    nodes = [
        Input("image", (1, SIDE, SIDE), bits=8),
        Conv2d("conv", "image", trits(3, 1, 3, 3), padding=(1, 1, 1, 1), stride=(2, 2)),
        Neuron("spikes", ("conv",), NeuronRule(threshold=rng.integers(90, 300, 3, np.int32))),
        Pool("pool", "spikes", "sum", (2, 2), (2, 2)),
        Linear("full", "pool", trits(4, 27)),
        Readout("out", ("full",), NeuronRule(np.zeros(4, np.int32), reset="none"), "membrane", 1.0),
    ]
    return Network(3, nodes, "tiny")


def tiny_build(folder: Path, memory: str = "ram", family: str = "ecp5") -> Build:
    """The build of ``network(0)``."""
    files.save(network(0), folder)
    fold = {"conv": {"memory": memory}, "full": {"memory": memory}}
    body = {"family": family, "folding": fold}
    (folder / "folding.json").write_text(json.dumps(body))
    return ensure(folder, "verilog", output=folder)


def packed(build: Build, seed: int) -> bytes:
    """weights.sterna of ``network(seed)`` for the build."""
    return weights_image(network(seed), build.design)


def pictures(count: int, seed: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 1, SIDE, SIDE), dtype=np.uint8)
