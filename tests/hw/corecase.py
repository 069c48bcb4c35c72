"""One core of a folded network alone: its component, and its streams by the golden model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from streamtest import edge_beats

from sterna.gen.design import Design
from sterna.gen.fold import fold
from sterna.gen.specs import conv_spec, input_map, pool_spec
from sterna.golden.coding import encode
from sterna.golden.exact import run
from sterna.golden.network import Linear, Network, Pool
from sterna.hw.pool import PoolSpec, SpikingPool
from sterna.hw.spiking_conv import ConvSpec, SpikingConv

__all__ = ["CoreCase", "core_cases", "images_for"]


@dataclass(frozen=True, eq=False)
class CoreCase:
    """``sent`` beats must give ``wanted`` beats (or logit words); both of all images in a row."""

    name: str
    spec: ConvSpec | PoolSpec
    sent: list[int]
    wanted: list[int]
    images: int

    def component(self) -> SpikingConv | SpikingPool:
        return SpikingConv(self.spec) if isinstance(self.spec, ConvSpec) else SpikingPool(self.spec)


def images_for(network: Network, count: int, seed: int = 0) -> np.ndarray:
    """Images over the whole range; the first is full, the second empty where there are several."""
    rng = np.random.default_rng(seed)
    node = network.input
    if node.coding == "frames":
        images = rng.integers(0, 2, (network.steps, count, *node.shape)).astype(np.uint8)
        images[:, :1] = 1
        images[:, 1:2] = 0
    else:
        images = rng.integers(0, 1 << node.bits, (count, *node.shape)).astype(np.uint8)
        images[:1] = (1 << node.bits) - 1
        images[1:2] = 0
    return images


def _pixels(network: Network, name: str, spikes: np.ndarray, flat: bool) -> list[Any]:
    """[B*H*W][C] integers whose bits are the planes, of spikes [T,B,C,H,W]."""
    bits = network.bits(name)
    out = np.zeros(spikes.shape[1:], object)
    for t, step in enumerate(spikes):
        out += step.astype(object) << (t * bits)
    out = out.transpose(0, 2, 3, 1)  # B, H, W, C
    if flat:
        out = out.reshape(len(out), 1, 1, -1)
    return out.reshape(-1, out.shape[-1]).tolist()


def core_cases(
    network: Network,
    folding: dict[str, dict[str, Any]] | None,
    images: np.ndarray,
    design: Design | None = None,
) -> list[CoreCase]:
    """Every core of the network with the streams that the golden model gives it."""
    design = design or fold(network, folding)
    golden = run(network, images, trace="all", exact=True)
    streams = dict(golden.spikes)
    streams[network.input.name] = encode(network.input, images, network.steps)
    count = len(golden.logits)
    cases = []
    for core in design.cores:
        node = network[core.name]
        if isinstance(node, Pool):
            spec = pool_spec(network, core.name, core.input.edge)
        else:
            spec = conv_spec(network, core, design.family, rows=True)
        flat = isinstance(node, Linear)
        assert core.input.channels == input_map(network, node)[0]  # type: ignore[arg-type]
        sent = edge_beats(
            core.input.edge, _pixels(network, core.sources[0], streams[core.sources[0]], flat)
        )
        if core.output is None:
            wanted = [int(v) & 0xFFFFFFFF for v in golden.logits.reshape(-1)]
        else:
            pixels = _pixels(network, core.target, streams[core.target], False)
            wanted = edge_beats(core.output.edge, pixels)
        cases.append(CoreCase(core.name, spec, sent, wanted, count))
    return cases
