"""What normalises pixels, of an image or of frames, folded into what reads them: scale, mean and
deviation of the input."""

from dataclasses import replace

import numpy as np

from sterna.gen.quantize.float_network import (
    FloatInput,
    FloatNetwork,
    FloatNode,
    Weighted,
)
from sterna.golden.errors import NetworkError

__all__ = ["plain_input"]

WAY_OUT = "feed raw pixels and let the first batch norm learn mean and deviation"


def plain_input(network: FloatNetwork) -> FloatNetwork:
    """The same network without mean and deviation at its input.

    One deviation goes into the pixel's scale. Means, which may differ by channel, go into the
    biases of the nodes that read the pixels, -mean/std * sum(w) a channel: exact where those do
    not pad, since padding is pixel 0. NetworkError for everything else.
    """
    node = network.input
    if node.mean is None and node.std is None:
        return network
    std, mean = _std(node), _mean(node)
    _values_only(network, mean, std)
    nodes: list[FloatNode] = []
    for n in network.nodes:
        if n is node:
            n = replace(node, mean=None, std=None, scale=node.scale / std)
        elif isinstance(n, Weighted) and n.input == node.name and np.any(mean):
            n = _with_mean(node, n, mean / std)
        nodes.append(n)
    return FloatNetwork(network.steps, nodes)


def _std(node: FloatInput) -> float:
    values = np.ravel(1.0 if node.std is None else np.asarray(node.std, np.float64))
    if len(set(values.tolist())) > 1:
        raise NetworkError(
            f"node '{node.name}': a std for each channel cannot be built exactly (pixels "
            f"enter as integers); {WAY_OUT}"
        )
    if not values.size or not 0 < values[0] < np.inf:
        given = values[0] if values.size else node.std
        raise NetworkError(f"node '{node.name}': std {given} is not positive; {WAY_OUT}")
    return node.ordinary("std", float(values[0]), positive=True)


def _mean(node: FloatInput) -> np.ndarray:
    """Real means of the channels, (C,), or (1,) where they are one or of another number."""
    mean = np.ravel(0.0 if node.mean is None else np.asarray(node.mean, np.float64))
    return mean[:1] if mean.size and np.all(mean == mean[0]) else mean


def _values_only(network: FloatNetwork, mean: np.ndarray, std: float) -> None:
    """NetworkError where the input carries spikes that were made of pixels, or something reads it
    that has no bias for a mean."""
    node = network.input
    if node.coding not in ("direct", "frames") and (np.any(mean) or std != 1.0):
        raise NetworkError(
            f"node '{node.name}': mean and std are of pixels, but '{node.coding}' carries spikes; "
            "remove them"
        )
    others = [n for n in network.nodes if node.name in n.inputs and not isinstance(n, Weighted)]
    if others and np.any(mean):
        raise NetworkError(
            f"node '{node.name}': a mean cannot be built in front of '{others[0].name}', which has "
            f"no bias; {WAY_OUT}, or let a convolution read them first"
        )


def _with_mean(node: FloatInput, reader: Weighted, mean: np.ndarray) -> FloatNode:
    """``reader`` of raw pixels: what the means took from each pixel is in its bias."""
    channels = node.shape[0]
    if any(reader.padding):
        if len(mean) > 1:
            raise NetworkError(
                f"node '{node.name}': a mean for each channel cannot be built exactly in front of "
                f"'{reader.name}', which pads (with pixels of 0, below the mean); {WAY_OUT}, or "
                "give it no padding"
            )
        raise NetworkError(
            f"node '{node.name}': a mean of {np.ravel(node.mean)[0]:g} moves pixels below zero and "
            f"away from the zero padding of '{reader.name}'; {WAY_OUT}, or give it no padding"
        )
    if len(mean) not in (1, channels):
        raise NetworkError(
            f"node '{node.name}': {len(mean)} means for {channels} channels; give one, or one each"
        )
    each = np.broadcast_to(mean, (channels,))
    weight = np.asarray(reader.weight, np.float64)
    if reader.flattens:
        sums = weight.reshape(len(weight), channels, -1).sum(2)
        mine = each
    else:
        # sums over the window, (O, C/groups), and the channels that each output reads
        sums = reader.kernels(weight).sum((2, 3))
        mine = each.reshape(reader.groups, -1).repeat(len(sums) // reader.groups, axis=0)
    taken = (sums * mine).sum(1)
    bias = 0.0 if reader.bias is None else np.asarray(reader.bias, np.float64)
    return replace(reader, bias=bias - taken)
