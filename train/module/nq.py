"""ANN-to-SNN conversion with the residual error modelled as noise, NQ (arXiv 2404.17456).

The network is trained with a quantised clip in place of its neurons,

    a = up * floor(clamp(x / up, 0, 1) * L + 1/2) / L  -  sigma * N(0, 1)

``up`` a trained scalar and ``sigma`` a measured one for each layer. An IF neuron of threshold
``up``, started at ``up/2``, reset by subtraction, gives over T steps of constant input x exactly
clip(floor(T * x / up + 1/2), 0, T) spikes: the clip with L = T. What is left, because inputs are
not constant in time, is the noise that training has met. Without noise this is plain QCFS.
"""

from dataclasses import dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor

from sterna.gen.quantize.float_network import FloatMerge, FloatNetwork, FloatNeuron, FloatPool
from sterna.gen.quantize.float_neurons import carried
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.network import MAX_STEPS
from sterna.train.module import fastscan

__all__ = [
    "CONVERTED",
    "NQ",
    "check_convertible",
    "clip",
    "measure_noise",
    "read_nq",
    "streams_meet",
]

CONVERTED = (1, 2, 4, 8, 16)  # time steps at which a converted network is measured


@dataclass(frozen=True)
class NQ:
    """A recipe's [nq]. levels: L. up: where every layer's scalar starts. noise: whether sigma is
    measured and used. steps: time steps of the SNN by which it is measured. share: of the training
    images, kept for that and not trained on. bias_correction: whether neurons get a bias for each
    time step after conversion (``train.methods.ftbc``). measure_norms: whether what conversion
    costs is also said with batch norms measured, over the kept images, at each T; the network
    stays."""

    levels: int = 4
    up: float = 8.0
    noise: bool = True
    steps: int = 4
    share: float = 0.1
    bias_correction: bool = False
    measure_norms: bool = False


def clip(x: Tensor, up: Tensor, levels: int, sigma: Tensor | None) -> Tensor:
    """The activation above of x, any shape; gradients straight through the floor, to x and ``up``
    (a positive scalar). ``sigma`` None: no noise."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and fastscan.library() is not None:
        a = cast("Tensor", fastscan.Clip.apply(x, up, levels))
    else:
        # torch's own clamp has a gradient at its ends on some machines, and none on others
        z = x / up
        z = torch.where((x >= 0) & (x <= up), z, z.detach().clamp(0, 1))
        stairs = torch.floor(z * levels + 0.5) / levels
        a = up * (z + (stairs - z).detach())
    if sigma is None:
        return a
    # drawn as one line: torch is several times slower where channels are last
    line = torch.randn(a.numel(), device=a.device, dtype=a.dtype)
    one_block = fastscan.is_dense(a)
    noise = line.as_strided(a.shape, a.stride()) if one_block else line.view(a.shape)
    return a - sigma * noise


def check_convertible(node: FloatNeuron | FloatMerge | FloatPool) -> None:
    """Refuse a neuron that the clip does not stand for, and a merge or pool that is not linear:
    what it makes of mean rates is not what it makes of spikes."""
    if isinstance(node, FloatPool):
        if node.mode == "max":
            raise NetworkError(
                f"node '{node.name}': conversion knows pools by sum and avg, not 'max', since the "
                "mean of maxima is not the maximum of means; change it, or remove [nq]"
            )
        return
    if isinstance(node, FloatMerge):
        if node.mode not in ("add", "concat"):
            raise NetworkError(
                f"node '{node.name}': conversion knows merges by add and concat, not "
                f"'{node.mode}'; change it, or remove [nq]"
            )
        return
    plain = (
        node.reset == "subtract"
        and not carried(type(node), vars(node))
        and not node.delay
        and node.reset_by is None
        and not node.strict
    )
    if not plain:
        raise NetworkError(
            f"node '{node.name}': conversion needs IF neurons with reset by subtraction; remove "
            "its other settings, or [nq]"
        )


def streams_meet(network: FloatNetwork) -> bool:
    """Whether streams of several neurons meet anywhere, at a merge or before a neuron. Hardware
    adds them as whole multiples of one unit, so their spikes keep the amplitude they have: the
    clips are then a/up, and the batch norm behind every sum takes up what the factor did."""
    return any(
        isinstance(n, FloatMerge) or (isinstance(n, FloatNeuron) and len(n.inputs) > 1)
        for n in network.nodes
    )


@torch.no_grad()
def measure_noise(module: Any, images: Tensor, nq: NQ, batch: int = 250) -> dict[str, float]:
    """Set every layer's sigma to what conversion does to it: the root of the mean over batches of
    Var(a - mean over steps of the SNN's output). Returns sigma by neuron."""
    names = [n.name for n in module.network.nodes if isinstance(n, FloatNeuron)]
    was, steps, clipping = module.training, module.steps, module.clipping
    module.eval()
    sums = dict.fromkeys(names, 0.0)
    count, batch = 0, min(batch, len(images))
    for k in range(0, len(images) - batch + 1, batch):
        part = images[k : k + batch]
        module.clipping, module.steps = True, 1
        ann = module.trace(part, tuple(names))[1]
        module.clipping, module.steps = False, nq.steps
        snn = module.trace(part, tuple(names))[1]
        for name in names:
            sums[name] += float((ann[name][0] - snn[name].mean(0)).var())
        count += 1
    module.train(was)
    module.steps, module.clipping = steps, clipping
    found = {name: (value / max(count, 1)) ** 0.5 for name, value in sums.items()}
    for name, value in found.items():
        module.get(name, "sigma").fill_(value)
    return found


def read_nq(where: str, table: Any) -> NQ | None:
    """The [nq] of a recipe, None where it has none."""
    if table is None:
        return None
    known = {f.name for f in fields(NQ)}
    if not isinstance(table, dict) or set(table) - known:
        raise UsageError(f"{where}: [nq] takes {', '.join(sorted(known))}; correct it")
    for key, value in table.items():
        kind = type(getattr(NQ, key))
        right = (
            isinstance(value, bool)
            if kind is bool
            else (
                isinstance(value, int | float if kind is float else int)
                and not isinstance(value, bool)
                and 0 < value < 1e6
            )
        )
        if not right:
            raise UsageError(f"{where}: [nq] {key} {value!r} is not possible; correct it")
    nq = NQ(**table)
    if nq.steps > MAX_STEPS:
        raise UsageError(f"{where}: [nq] steps {nq.steps} is more than {MAX_STEPS}; correct it")
    if not nq.share < 0.5:
        raise UsageError(f"{where}: [nq] share {nq.share} is half of the images or more")
    return nq
