"""Weights of an earlier run to start another one from."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatNetwork,
    FloatNeuron,
    Weighted,
)
from sterna.gen.quantize.run_record import CHECKPOINT
from sterna.golden.errors import UsageError
from sterna.train.methods.stidi import rescaled
from sterna.train.recipe.recipe import Recipe, parse_recipe
from sterna.train.run.checkpoint import read_checkpoint
from sterna.train.run.milestone import read_trained

__all__ = ["earlier_run", "warmed"]

LATENT = 0.1  # mean size of latents that come from real weights; drawn ones have half


def earlier_run(recipe: Recipe, named: str, out: Path) -> Path:
    """An earlier run that a recipe names: beside the new one, or a milestone beside the recipe."""
    path = Path(named)
    beside = recipe.folder / path if recipe.folder is not None else out.parent / path
    return beside if not (out.parent / path).exists() and beside.exists() else out.parent / path


def warmed(network: FloatNetwork, path: Path, timed: bool = False, up: float = 1.0) -> FloatNetwork:
    """``network`` with weights and batch norms of the run at ``path``, or of a milestone's file,
    which has the same layers; UsageError names the first that differs.
    ``timed``: of single spikes, whose parameters do not depend on the number of steps.
    ``up``: what an activation of 1 here stands for in an ANN of ReLUs.

    Real weights become latents of ternary or binary ones: of mean size LATENT in each channel,
    its batch norm's statistics with them.
    """
    trained, tensors, relu = _source(path)
    _check_layers(network, trained, path)
    other = (rescaled(trained, trained.steps, 1) if timed else trained).by_name
    nodes = []
    for node in network.nodes:
        old = other[node.name]
        if isinstance(node, Weighted) and isinstance(old, Weighted):
            latent = tensors.get(f"module.{node.name}__weight", old.weight)
            latent = latent * tensors.get(f"module.{node.name}__gain", np.float32(1))
            node = replace(node, weight=latent, norm=_norm(node.norm, old.norm))
            if node.name in network.readout.inputs and relu:  # its sum is one of all steps
                bias = node.bias if old.bias is None else old.bias / np.float32(network.steps)
                node = replace(node, weight=latent * np.float32(up / network.steps), bias=bias)
            elif old.kind == "real" and node.kind != "real":
                node = _levelled(node)
        elif isinstance(node, FloatNeuron) and isinstance(old, FloatNeuron):
            node = replace(node, norm=_norm(node.norm, old.norm))
        nodes.append(node)
    return FloatNetwork(network.steps, nodes)


def _source(path: Path) -> tuple[FloatNetwork, dict[str, np.ndarray], bool]:
    """(the network of an earlier run, its checkpoint's tensors if any, whether of ReLUs)."""
    if path.is_file():
        trained = read_trained(path)
        state = trained.module.state_dict()
        tensors = {f"module.{k}": v.numpy() for k, v in state.items()}
        return trained.module.export(), tensors, trained.module.relu
    checkpoint = path / CHECKPOINT
    network = FloatNetwork.load(path)
    if not checkpoint.is_file():
        return network, {}, False
    head, tensors = read_checkpoint(checkpoint)
    return network, tensors, parse_recipe(head["recipe"], str(checkpoint)).relu


def _levelled(node: Weighted) -> Weighted:
    """A node with each channel's weights scaled to the mean size LATENT, its batch norm after it:
    trits and norm stay what they were, and every channel's latents switch as easily."""
    size = np.abs(node.weight).mean(tuple(range(1, node.weight.ndim)))
    factor = (LATENT / np.maximum(size, 1e-12)).astype(np.float32)
    weight = node.weight * factor.reshape(-1, *[1] * (node.weight.ndim - 1))
    norm = node.norm
    if norm is not None:
        norm = replace(norm, mean=norm.mean * factor, var=norm.var * factor**2)
    return replace(node, weight=weight, norm=norm)


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
