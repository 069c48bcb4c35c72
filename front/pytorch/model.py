"""``from_torch``: a PyTorch model of spiking neurons, by running it once (`record`)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from sterna.front.arguments import coding_of, steps_of, word_of
from sterna.front.assemble import assemble
from sterna.front.expression import Output, one_step
from sterna.front.imported import Imported
from sterna.front.pytorch import arithmetic, layers, own, shapes, snntorch, spikingjelly
from sterna.front.pytorch.output import left_out, output_of
from sterna.front.pytorch.record import Recorder
from sterna.front.pytorch.runner import Runner
from sterna.front.report import LEFT_OUT
from sterna.gen.quantize.float_network import FloatInput
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.words import values
from sterna.golden.words.names import show

__all__ = ["from_torch"]

FILLED = (arithmetic, layers, own, shapes, snntorch, spikingjelly)  # importing fills registries
READOUTS = ("count", "membrane", "first_spike")


def from_torch(
    model: nn.Module,
    example: Any,
    *,
    steps: int | None = None,
    input: str = "direct",
    scale: float | None = None,
    mean: Any = None,
    std: Any = None,
    bits: int | None = None,
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
    scale : float, optional
        The model sees ``(p*scale - mean)/std`` of a pixel, or a value in 'frames', p; by default
        1/255, in 'frames' 1: a count is itself.
    mean, std : float or (C,), optional
        As ``torchvision.transforms.Normalize`` has them.
    bits : int, optional
        Of p, 1 .. 8; by default 8, in 'frames' 1: spikes, no counts.
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
    input = coding_of(input)
    readout = None if readout is None else word_of("readout", readout, READOUTS)
    refusal = f"approximate {show(approximate)} must be True or False"
    approximate = values.flag(refusal, approximate, UsageError)
    runner = Runner(model, input, None if steps is None else steps_of(steps))
    batch = torch.as_tensor(values.array(f"example {show(example)}", example))
    shape = runner.shape(batch)
    batch = _two(batch, 1 if input == "frames" else 0)
    given: dict[str, Any] = {"bits": bits, "scale": scale, "mean": mean, "std": std}
    source = FloatInput("input", shape, input, **given).meant()
    _check_values(source, batch)
    cells, refused = runner.cells()
    recorder, outputs, whole = _recorded(runner, batch, refused)
    read = output_of(outputs, recorder.cells, whole)
    one_step(recorder.cells, read.rows)
    known = {path: (cells[path], uses[0].args[0]) for path, uses in recorder.cells.items()}
    if steps is not None and read.steps != runner.steps:
        raise UsageError(
            f"steps {runner.steps}: forward() itself runs {read.steps}; leave steps out, or let "
            "the model run so many"
        )
    output = Output(read.rows[0], readout or read.mode, read.leak)
    found = assemble(read.steps, source, known, output)
    if count := left_out(outputs, read):
        why = "forward() returns it beside the output, which comes first"
        found.report.add("", f"{count} more returned", LEFT_OUT, why)
    found.report.check("module", approximate)
    replay = runner.replay(found.network, source, whole, read, found.cells)
    return Imported(found.network, found.report, found.cells, replay=replay)


def _check_values(source: FloatInput, batch: torch.Tensor) -> None:
    """UsageError where an example of whole numbers goes beyond the bits of the input, which would
    be lost. One of other numbers only shows the shape."""
    ones = [1] * (batch.ndim - (3 if source.coding == "frames" else 2))
    x = batch.double().cpu().numpy()
    for given, undo in ((source.std, np.multiply), (source.mean, np.add)):
        x = x if given is None else undo(x, np.reshape(given, (-1, *ones)))
    p = x / source.scale
    low, high, top = p.min(initial=0.0), p.max(initial=0.0), source.integer().top
    whole = bool(np.all(np.abs(p - np.rint(p)) < 1e-3))
    if not whole or (low > -0.5 and high < top + 0.5):
        return
    if low <= -0.5:
        way = "give what is below 0 a channel of its own"
    elif source.coding == "frames" and high < 255.5:
        way = f"give bits={round(high).bit_length()}"
    else:
        way = "give scale= as the model was trained with (1 where it sees whole numbers)"
    bits = f"{source.bits} bit{'s' * (source.bits > 1)}"
    raise UsageError(
        f"example: has values from {x.min():g} to {x.max():g}, and input '{source.coding}' of "
        f"{bits} at scale {source.scale:g} those from 0 to {top * source.scale:g}; {way}"
    )


def _recorded(
    runner: Runner, batch: torch.Tensor, refused: dict[str, NetworkError]
) -> tuple[Recorder, list[Any], bool]:
    """What `Runner.record` saw. NetworkError: also a neuron of it that is ``refused``."""
    try:
        recorder, outputs, whole = runner.record(batch.to(runner.dtype))
    except NetworkError:
        if refused:  # what a neuron cannot do says more than where it failed
            raise next(iter(refused.values())) from None
        raise
    for path in recorder.cells:
        if path in refused:
            raise refused[path]
    runner.check_uses(recorder.cells)
    return recorder, outputs, whole


def _two(batch: torch.Tensor, axis: int) -> torch.Tensor:
    """Two images at least: an axis of one could be any."""
    return torch.cat([batch] * 2, axis) if batch.shape[axis] == 1 else batch
