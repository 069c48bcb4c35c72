"""Bias of each time step after conversion: forward temporal bias correction (arXiv 2403.18388).

A converted neuron's mean output at step t is not the activation that the trained network has
there: inputs are not constant in time. Forward temporal bias correction adds to each channel c of
each layer, at each step t, a bias

    b[t, c] += rate * (mean of the activation of c  -  mean of the spikes of c at step t, times up)

means over images and places, layers in order and in sweeps, without any gradient. What a
neuron does at step t depends on no later bias, so the rows of a table of T serve every smaller T.
Our choice: the training images that were kept for the noise, and rates 1, 1/2, 1/3, 1/4. Where
many neurons of a channel have one membrane, as on a plain background, its mean jumps as they all
begin to fire: a constant rate swings around the goal.
"""

from typing import Any

import torch
from torch import Tensor

from sterna.gen.quantize.float_network import FloatNeuron

__all__ = ["correct_bias"]

SWEEPS = 4


@torch.no_grad()
def correct_bias(module: Any, images: Tensor, batch: int = 250) -> None:
    """Fill the tables of a module that is trained for conversion (``<neuron>__table``, (T,C)) with
    what uint8 ``images`` [B,C,H,W] say; sweep k takes the k-th batch of them."""
    names = [n.name for n in module.network.nodes if isinstance(n, FloatNeuron)]
    tables = [module.get(name, "table") for name in names]
    state = module.training, module.steps, module.clipping, module.corrected
    module.eval()
    for table in tables:
        table.zero_()
    count = max(1, len(images) // batch)
    for sweep in range(SWEEPS):
        part = images[sweep % count * batch :][:batch]
        module.clipping, module.corrected, module.steps = True, True, 1
        wanted = {k: v[0].mean((0, 2, 3)) for k, v in module.trace(part, tuple(names))[1].items()}
        module.clipping, module.steps = False, len(tables[0])
        for name, table in zip(names, tables, strict=True):
            spikes = module.trace(part, (name,))[1][name]
            missing = wanted[name] - spikes.mean((1, 3, 4))
            if module.unscaled:  # spikes have their own amplitude, membranes still count in up
                worth = module.network.by_name[name].amplitude
                missing = missing * module.get(name, "logup").exp() / worth
            table += 1 / (sweep + 1) * missing
    module.train(state[0])
    _, module.steps, module.clipping, module.corrected = state
