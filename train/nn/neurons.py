"""Neurons and readouts over all time steps, as torch modules around ``train.module.scan``."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from sterna.golden.errors import UsageError
from sterna.golden.words import values
from sterna.golden.words.names import not_one_of, show
from sterna.train.module.scan import ScanSpec, scan

__all__ = ["IF", "LIF", "Membrane", "OverTime", "Readout"]

RESETS = ("subtract", "zero", "once")
MODES = ("membrane", "count")


class _Scanned(nn.Module):
    """Settings of a neuron layer, which has no state between calls: nothing to reset."""

    step_mode = "m"
    """One call computes all steps, in the word that SpikingJelly has for it."""
    emit = "spikes"

    def __init__(
        self,
        leak: float,
        threshold: float,
        reset: str,
        reset_by: float | None,
        v_init: float,
        synapse: float | None,
        strict: bool,
        steps: int | None,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        self.leak = _factor(who, "leak", leak)
        self.synapse = None if synapse is None else _factor(who, "synapse", synapse)
        self.threshold = _number(who, "threshold", threshold)
        self.reset_by = self.threshold if reset_by is None else _number(who, "reset_by", reset_by)
        self.v_init = _number(who, "v_init", v_init)
        self.strict = values.flag(
            f"{who}: strict {show(strict)} is not True or False", strict, UsageError
        )
        self.reset = reset
        refusal = f"{who}: steps {show(steps)} must be a whole number from 1, or None"
        self.steps = None if steps is None else values.integer(refusal, steps, 1, 1024, UsageError)

    def extra_repr(self) -> str:
        return (
            f"threshold={self.threshold:g}, leak={self.leak:g}, reset={self.reset!r}"
            + ("" if self.synapse is None else f", synapse={self.synapse:g}")
            + ("" if self.steps is None else f", steps={self.steps}")
        )

    def forward(self, x: Tensor) -> Tensor:
        """What the neurons put out, of sums [T,B,C] or [T,B,C,H,W] (or of one step, [1,B,...],
        which is the same at each of ``steps``)."""
        if x.ndim not in (3, 5):
            raise UsageError(
                f"{type(self).__name__}: input of shape {tuple(x.shape)}; give all steps, [T,B,C] "
                "or [T,B,C,H,W] (of an image for all steps x.unsqueeze(0), and steps=T)"
            )
        count = self.steps if len(x) == 1 and self.steps is not None else len(x)
        maps = x if x.ndim == 5 else x[..., None, None]
        if maps.dtype in (torch.bfloat16, torch.float16):  # membranes need the bits
            maps = maps.float()
        like = maps.new_ones(x.shape[2])
        threshold, reset_by, v_init = (
            like * v for v in (self.threshold, self.reset_by, self.v_init)
        )
        spec = ScanSpec(
            count,
            reset=self.reset,
            leak=self.leak,
            synapse=self.synapse,
            strict=self.strict,
            emit=self.emit,
        )
        with torch.autocast(x.device.type, enabled=False):
            out = scan(maps, threshold, reset_by, v_init, spec)
        return out if x.ndim == 5 else out.flatten(-3)


class LIF(_Scanned):
    """Leaky neurons over all steps: v = leak*v + x, a spike where v reaches the threshold.

    Gradients: a triangle around the threshold, none through the reset.

    Parameters
    ----------
    leak : float
        0 .. 1; what is built is the nearest num/4096.
    threshold : float
    reset : str
        'subtract', 'zero', or 'once' (at most one spike).
    reset_by : float, optional
        What 'subtract' takes off; default the threshold.
    v_init : float
        The membrane before the first step.
    synapse : float, optional
        Of a current in front of the membrane: i = synapse*i + x.
    strict : bool
        Fires above the threshold only.
    steps : int, optional
        T, where the input is one for all steps, [1,B,...].
    """

    def __init__(
        self,
        leak: float = 0.5,
        threshold: float = 1.0,
        reset: str = "subtract",
        reset_by: float | None = None,
        v_init: float = 0.0,
        synapse: float | None = None,
        strict: bool = False,
        steps: int | None = None,
    ) -> None:
        if not isinstance(reset, str) or reset not in RESETS:
            raise UsageError(f"LIF: reset {not_one_of(reset, RESETS)}")
        super().__init__(leak, threshold, reset, reset_by, v_init, synapse, strict, steps)


class IF(LIF):
    """Neurons without leak over all steps; as `LIF`.

    Parameters
    ----------
    threshold : float
    reset : str
        'subtract', 'zero', or 'once' (at most one spike).
    v_init : float
    strict : bool
    steps : int, optional
    """

    def __init__(
        self,
        threshold: float = 1.0,
        reset: str = "subtract",
        v_init: float = 0.0,
        strict: bool = False,
        steps: int | None = None,
    ) -> None:
        super().__init__(1.0, threshold, reset, None, v_init, None, strict, steps)


class Membrane(_Scanned):
    """The membrane after the last step [B,C], never reset: what a `Readout` reads."""

    emit = "membrane"

    def __init__(self, leak: float, synapse: float | None, v_init: float, steps: int | None):
        super().__init__(leak, 1.0, "none", None, v_init, synapse, False, steps)


class Readout(nn.Module):
    """Logits [B,n] of the sums [T,B,n] of the last layer.

    Parameters
    ----------
    mode : str
        'membrane' (after the last step, never reset; with leak 1 the sum over time) or 'count'
        (spikes of n neurons).
    leak : float
        Of the membranes, or of the neurons that are counted.
    synapse : float, optional
        As of `LIF`.
    v_init : float
    steps : int, optional
        T, where the input is one for all steps, [1,B,n].
    threshold : float
        Of 'count'.
    reset : str
        Of 'count', as of `LIF`.
    """

    def __init__(
        self,
        mode: str = "membrane",
        leak: float = 1.0,
        synapse: float | None = None,
        v_init: float = 0.0,
        steps: int | None = None,
        threshold: float = 1.0,
        reset: str = "subtract",
    ) -> None:
        super().__init__()
        if not isinstance(mode, str) or mode not in MODES:
            raise UsageError(f"Readout: mode {not_one_of(mode, MODES)}")
        self.mode = mode
        self.neurons: nn.Module = (
            Membrane(leak, synapse, v_init, steps)
            if mode == "membrane"
            else LIF(leak, threshold, reset, None, v_init, synapse, False, steps)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = cast(Tensor, self.neurons(x))
        return out if self.mode == "membrane" else out.sum(0)


class OverTime(nn.Module):
    """Modules that know no time, such as pools and norms of torch, at each step of a sequence.

    Parameters
    ----------
    *modules : torch.nn.Module
        Each takes and gives [B,...].
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """[T,B,...] of [T,B,...]."""
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _number(who: str, name: str, value: Any) -> float:
    return values.number(f"{who}: {name} {show(value)} is no number", value, error=UsageError)


def _factor(who: str, name: str, value: Any) -> float:
    refusal = f"{who}: {name} {show(value)} must be a number from 0 to 1"
    found = values.number(refusal, value, error=UsageError)
    if not 0 <= found <= 1:
        raise UsageError(refusal)
    return found
