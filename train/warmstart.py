"""Weights of an earlier run to start another one from."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sterna.gen.floatnet import BatchNorm, FloatConv2d, FloatLinear, FloatNetwork, FloatNeuron
from sterna.gen.runrecord import CHECKPOINT
from sterna.golden.errors import UsageError
from sterna.train.checkpoint import read_checkpoint
from sterna.train.stidi import rescaled

__all__ = ["warmed"]

Weighted = FloatConv2d | FloatLinear


def warmed(network: FloatNetwork, path: Path, timed: bool = False) -> FloatNetwork:
    """``network`` with weights and batch norms of the run at ``path``, which has the same layers;
    UsageError names the first that differs.
    ``timed``: of single spikes, whose parameters do not depend on the number of steps."""
    trained = FloatNetwork.load(path)
    _check_layers(network, trained, path)
    other = (rescaled(trained, trained.steps, 1) if timed else trained).by_name
    latents = path / CHECKPOINT
    tensors = read_checkpoint(latents)[1] if latents.is_file() else {}
    nodes = []
    for node in network.nodes:
        old = other[node.name]
        if isinstance(node, Weighted) and isinstance(old, Weighted):
            latent = tensors.get(f"module.{node.name}__weight", old.weight)
            latent = latent * tensors.get(f"module.{node.name}__gain", np.float32(1))
            node = replace(node, weight=latent, norm=_norm(node.norm, old.norm))
        elif isinstance(node, FloatNeuron) and isinstance(old, FloatNeuron):
            node = replace(node, norm=_norm(node.norm, old.norm))
        nodes.append(node)
    return FloatNetwork(network.steps, nodes)


def _norm(own: BatchNorm | None, old: BatchNorm | None) -> BatchNorm | None:
    """The statistics of ``old``, where there is a norm at all. ``eps`` is the recipe's: a run that
    goes on takes it from there."""
    return replace(old, eps=own.eps) if own is not None and old is not None else own


def _check_layers(network: FloatNetwork, source: FloatNetwork, path: Path) -> None:
    """The same nodes, weights and streams of the same shapes. A norm that only the source has is
    left out (the readout's of single spikes); one that it lacks would be missing here."""

    def said(net: FloatNetwork, name: str) -> str:
        node = net.by_name.get(name)
        if node is None:
            return "absent"
        size = " x ".join(map(str, net.shape[name]))
        kind = type(node).__name__.removeprefix("Float").lower()
        if isinstance(node, Weighted):
            size = f"{' x '.join(map(str, node.weight.shape))} weights, {size} values"
        bare = isinstance(node, Weighted | FloatNeuron) and node.norm is None
        return f"{kind} of {size}" + (", no batch norm" if bare else "")

    names = [n.name for n in network.nodes]
    for name in [*names, *(n.name for n in source.nodes if n.name not in names)]:
        here, there = said(network, name), said(source, name)
        if here.removesuffix(", no batch norm") == there:
            continue
        if here != there:
            raise UsageError(
                f"warm_start: {path} has other layers, '{name}' is {there} there and {here} here; "
                "give the run of a network with the same layers"
            )
