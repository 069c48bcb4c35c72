"""``from_torch``: a PyTorch model of spiking neurons, by running it once (`record`)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from sterna.front.assemble import Output, assemble
from sterna.front.expression import one_step
from sterna.front.imported import Imported
from sterna.front.pytorch import arithmetic, layers, shapes, snntorch, spikingjelly
from sterna.front.pytorch.output import output_of
from sterna.front.pytorch.runner import Runner
from sterna.gen.quantize.float_network import FloatInput
from sterna.golden.errors import NetworkError, UsageError

__all__ = ["from_torch"]

FILLED = (arithmetic, layers, shapes, snntorch, spikingjelly)  # importing fills registries
INPUTS = ("direct", "frames")
READOUTS = ("count", "membrane", "first_spike")
RATE = (
    "input 'rate': random spikes (spikegen.rate) cannot be repeated; give input='direct' (pixels), "
    "'frames' (spikes or counts of your own), or use a network with Sterna's own rate coding"
)


def from_torch(
    model: nn.Module,
    example: Any,
    *,
    steps: int | None = None,
    input: str = "direct",
    scale: float = 1 / 255,
    mean: Any = None,
    std: Any = None,
    bits: int = 8,
    readout: str | None = None,
    approximate: bool = False,
) -> Imported:
    """The network that a PyTorch model computes.

    The model runs on ``example``, in eval mode, on a copy; nothing of it changes. Neurons are those
    of snnTorch and SpikingJelly; anything else may be PyTorch's or one's own.

    Parameters
    ----------
    model : torch.nn.Module
        Its forward() computes one step (called ``steps`` times) or all of them.
    example : tensor or array
        A batch as forward() takes it: [B,C,H,W], or for 'frames' of all steps [T,B,C,H,W].
    steps : int, optional
        T; needed where forward() computes one step.
    input : str
        'direct' (the same image at each step) or 'frames' (whole numbers, a frame a step).
    scale : float
        The model sees ``(p*scale - mean)/std`` of a pixel p, 0 .. 255.
    mean, std : float or (C,), optional
        As ``torchvision.transforms.Normalize`` has them.
    bits : int
        Of a pixel.
    readout : str, optional
        'count', 'membrane' or 'first_spike'; by default what forward() returns says.
    approximate : bool
        Take neurons that are only nearly those of the hardware, and say so; else they are refused.

    Returns
    -------
    Imported

    Raises
    ------
    NetworkError
        What cannot be built, with the path of the module.
    UsageError
        An argument is not meant.
    """
    if input not in INPUTS:
        raise UsageError(
            RATE if input == "rate" else f"input '{input}' is not one of direct, frames"
        )
    if readout is not None and readout not in READOUTS:
        raise UsageError(f"readout '{readout}' is not one of {', '.join(READOUTS)}")
    runner = Runner(model, input, steps)
    batch = torch.as_tensor(np.asarray(example) if not torch.is_tensor(example) else example)
    cells, refused = runner.cells()
    try:
        recorder, outputs, whole = runner.record(batch.detach().to(runner.dtype))
    except NetworkError:
        if refused:  # what a neuron cannot do says more than where it failed
            raise next(iter(refused.values())) from None
        raise
    for path in recorder.cells:
        if path in refused:
            raise refused[path]
    runner.check_uses(recorder.cells)
    per_step, mode, count = output_of(outputs, recorder.cells, whole)
    one_step(recorder.cells, per_step)
    known = {path: (cells[path], uses[0].args[0]) for path, uses in recorder.cells.items()}
    mode = readout or mode
    shape = runner.shape(batch)
    source = FloatInput("input", shape, input, bits, scale=scale, mean=mean, std=std)
    found = assemble(count, source, known, Output(per_step[0], mode))
    if found.report.approximated and not approximate:
        v = found.report.approximated[0]
        raise NetworkError(
            f"module '{v.path}': {v.detail}; give approximate=True (--approximate) to take it so"
        )
    replay = runner.replay(source, count, whole, mode)
    return Imported(found.network, found.report, found.cells, replay=replay)
