"""What every training here shares: its optimiser, its rates, the precision of its convolutions,
the statistics of its batch norms.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from sterna.train.module.frames import pick
from sterna.train.module.module import BN_MOMENTUM, SpikingModule

__all__ = [
    "MEASURE_BATCH",
    "PRECISIONS",
    "half_precision",
    "make_adam",
    "measure_norms",
    "one_cycle",
]

PRECISIONS = ("auto", "float32", "bfloat16")

MEASURE_BATCH = 64  # images from which batch norms take their statistics at once


def one_cycle(done: float, warmup: float) -> float:
    """Share of the peak rate after ``done`` (0..1) of a stage: cosine up, then cosine to zero."""
    if done < warmup:
        return 0.5 - 0.49 * math.cos(math.pi * done / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * (done - warmup) / (1 - warmup))


def half_precision(device: torch.device, wanted: str) -> bool:
    """Whether convolutions are trained in bfloat16: trits and spikes are exact in it, sums are
    rounded to 8 bits. 'auto': where a matrix unit computes in it, a GPU's or a CPU's (AMX, which
    takes down to half the time of float32; other CPUs imitate bfloat16, slowly)."""
    if wanted != "auto":
        return wanted == "bfloat16"
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.13: none
        return bool(capabilities.get("amx_bf16"))
    return device.type == "cuda"


def make_adam(parameters: Iterable[tuple[str, Tensor]]) -> torch.optim.Adam:
    """Adam over named parameters in two groups: latent weights, and all the rest."""
    named = list(parameters)
    weights = [p for n, p in named if n.endswith("__weight")]
    rest = [p for n, p in named if not n.endswith("__weight")]
    return torch.optim.Adam([{"params": weights}, {"params": rest}], lr=0.0)


@torch.no_grad()
def measure_norms(
    module: SpikingModule, images: Tensor, count: int, steps: int | None = None
) -> None:
    """Set every batch norm to the statistics of the first ``count`` of ``images`` [B,C,H,W]
    (recordings: [T,B,C,H,W]) at the network's T or at ``steps``, in batches of 64; the module then
    evaluates."""
    module.steps, module.fraction_bits = steps or module.network.steps, None
    module.train()
    for k in range(max(1, count // MEASURE_BATCH)):
        module.momentum = 1 / (k + 1)  # makes the running statistics a plain mean
        module(pick(images, slice(k * MEASURE_BATCH, (k + 1) * MEASURE_BATCH)))
    module.momentum = BN_MOMENTUM
    module.eval()
