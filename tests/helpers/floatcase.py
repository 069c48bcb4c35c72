"""A small float network, images for it, and the network with one node changed."""

from dataclasses import replace
from typing import Any

import numpy as np

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)

SIDE = 6


def make_images(count: int = 40, seed: int = 0, channels: int = 1) -> np.ndarray:
    shape = (count, channels, SIDE, SIDE)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def make_norm(rng: np.random.Generator, channels: int) -> BatchNorm:
    gamma = rng.uniform(0.3, 2, channels) * rng.choice([-1, 1], channels)
    return BatchNorm(
        gamma.astype(np.float32),
        rng.normal(0, 0.5, channels).astype(np.float32),
        rng.normal(0, 1, channels).astype(np.float32),
        rng.uniform(0.5, 9, channels).astype(np.float32),
    )


def make_weight(
    rng: np.random.Generator, shape: tuple[int, ...], kind: str = "ternary", one: bool = False
) -> np.ndarray:
    trits = rng.choice([-1, 0, 1] if kind == "ternary" else [-1, 1], shape)
    trits.reshape(shape[0], -1)[:, 0] = 1
    scale = rng.uniform(0.05, 2, 1 if one else shape[0]).astype(np.float32)
    return trits * scale.reshape(-1, *[1] * (len(shape) - 1)).astype(np.float32)


def chain(
    steps: int = 4,
    kind: str = "ternary",
    seed: int = 1,
    pool: str = "sum",
    coding: str = "direct",
    mode: str = "membrane",
    **neuron: Any,
) -> FloatNetwork:
    rng = np.random.default_rng(seed)
    readout = FloatReadout("readout", ("full3",), mode)
    if mode == "count":
        readout = replace(readout, reset="subtract", leak=0.5, threshold=0.7)
    return FloatNetwork(
        steps,
        [
            FloatInput("image", (1, SIDE, SIDE), coding),
            FloatConv2d(
                "conv1",
                "image",
                make_weight(rng, (5, 1, 3, 3), kind),
                padding=(1, 1, 1, 1),
                kind=kind,
                norm=make_norm(rng, 5),
            ),
            FloatNeuron("spike1", ("conv1",), **neuron),
            FloatPool("pool2", "spike1", pool),
            FloatLinear(
                "full3",
                "pool2",
                make_weight(rng, (4, 45), kind, one=True),
                kind,
                bias=rng.normal(0, 1, 4).astype(np.float32),
            ),
            readout,
        ],
    )


def swap(network: FloatNetwork, name: str, **change: Any) -> FloatNetwork:
    nodes = [replace(n, **change) if n.name == name else n for n in network.nodes]
    return FloatNetwork(network.steps, nodes)


def make_trits(seed: int, *shape: int) -> np.ndarray:
    w = np.random.default_rng(seed).choice([-1, 0, 1], shape).astype(np.float32)
    w.reshape(shape[0], -1)[:, 0] = 1
    return w


def plain(shape: tuple[int, int, int] = (1, SIDE, SIDE), **how: Any) -> FloatNetwork:
    size = int(np.prod(shape))
    return FloatNetwork(
        2,
        [
            FloatInput("image", shape, **how),
            FloatLinear("full", "image", make_trits(3, 3, size)),
            FloatReadout("readout", ("full",)),
        ],
    )
