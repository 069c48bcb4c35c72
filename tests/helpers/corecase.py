"""One core of a folded network alone: its component, and its streams by the golden model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from streamtest import edge_beats, run_streams

from sterna.gen.design.design import Design
from sterna.gen.design.graph import weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.fold.fold import fold
from sterna.golden.coding import encode
from sterna.golden.exact import run
from sterna.golden.network import Linear, Network, Neuron, Readout
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.pool import PoolSpec, SpikingPool
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.stream.merge import MergeSpec, SpikingMerge

__all__ = ["CoreCase", "core_cases", "images_for", "stream_core"]


@dataclass(frozen=True, eq=False)
class CoreCase:
    """``sent`` beats, by input stream, must give ``wanted`` beats (or logit words); both of all
    images in a row."""

    name: str
    spec: ConvSpec | PoolSpec | MergeSpec
    sent: dict[str, list[int]]
    wanted: list[int]
    images: int

    def component(self) -> SpikingConv | SpikingPool | SpikingMerge:
        if isinstance(self.spec, MergeSpec):
            return SpikingMerge(self.spec)
        return SpikingConv(self.spec) if isinstance(self.spec, ConvSpec) else SpikingPool(self.spec)


def stream_core(
    case: CoreCase,
    stalls: float | dict[str, float] = 0.0,
    seed: int = 0,
    every: int = 1,
    begin: dict[str, int] | None = None,
    component: Any = None,
) -> dict[str, list[tuple[int, int]]]:
    """Runs a case and compares every beat; (clock, beat) of all streams.

    ``every``: the output takes a beat in one of so many clocks at most. ``stalls``, ``begin``: as
    of ``run_streams``. ``component``: to run instead of the case's own.
    """
    dut = component or case.component()

    async def hold(ctx, cycle):
        if cycle % every:
            ctx.set(dut.o.ready, 0)

    beats = sum(len(b) for b in case.sent.values())
    taken = run_streams(
        dut,
        case.sent,
        {"o": len(case.wanted)},
        stalls=stalls,
        begin=begin,
        seed=seed,
        deadline=2 * every * len(case.wanted)
        + (4 if every > 1 else 60) * (beats + case.images * case.spec.interval)
        + 500
        + max((f.weights.clocks for f in getattr(dut, "expanded", [])), default=0),
        watch=hold,
    )
    assert [beat for _, beat in taken["o"]] == case.wanted, f"{case.name}: {case.spec}"
    return taken


def images_for(network: Network, count: int, seed: int = 0) -> np.ndarray:
    """Images over the whole range; the first is full, the second empty where there are several."""
    rng = np.random.default_rng(seed)
    node = network.input
    frames = node.coding == "frames"
    shape = (network.steps, count) if frames else (count,)
    images = rng.integers(0, 1 << node.bits, (*shape, *node.shape)).astype(np.uint8)
    each = images.swapaxes(0, 1) if frames else images
    each[:1], each[1:2] = (1 << node.bits) - 1, 0
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
    for instance in core_instances(network, design, rows=True):
        target, spec = network[instance.target], instance.spec
        readers: list[Any] = [target] * len(instance.branches)
        if isinstance(target, Neuron | Readout):
            weighted = weighted_inputs(network, target)
            readers[: len(weighted)] = [network[name] for name in weighted]
        beats = [
            edge_beats(
                branch.taken,
                _pixels(network, branch.source, streams[branch.source], isinstance(r, Linear)),
            )
            for branch, r in zip(instance.branches, readers, strict=True)
        ]
        if isinstance(spec, ConvSpec) and spec.readout:
            wanted = [int(v) & 0xFFFFFFFF for v in golden.logits.reshape(-1)]
        else:
            pixels = _pixels(network, target.name, streams[target.name], False)
            wanted = edge_beats(spec.out_edge, pixels)
        sent = dict(zip(_input_names(spec), beats, strict=True))
        cases.append(CoreCase(instance.name, spec, sent, wanted, count))
    return cases


def _input_names(spec: ConvSpec | PoolSpec | MergeSpec) -> list[str]:
    if isinstance(spec, MergeSpec):
        return [f"i_{n}" for n in range(len(spec.inputs))]
    if isinstance(spec, PoolSpec):
        return ["i"]
    weighted = ["i", *(f"i_{n}" for n in range(1, len(spec.fronts)))]
    return weighted + [f"s_{n}" for n in range(len(spec.shortcuts))]
