"""Adam's moments as tensors of a checkpoint, by the names of their parameters, and back."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sterna.train.module.schedule import make_adam

__all__ = ["adam_from", "adam_tensors"]

_MOMENTS = ("exp_avg", "exp_avg_sq")
Named = Sequence[tuple[str, Tensor]]


def adam_tensors(
    optimizer: torch.optim.Adam | None, parameters: Named
) -> tuple[dict[str, np.ndarray], int]:
    """(``adam.NAME.exp_avg`` and ``adam.NAME.exp_avg_sq`` of every parameter that has had a
    gradient, number of steps)."""
    names, out, steps = {id(p): n for n, p in parameters}, {}, 0
    for p, state in optimizer.state.items() if optimizer is not None else ():
        steps = int(state["step"])
        for key in _MOMENTS:
            out[f"adam.{names[id(p)]}.{key}"] = state[key].cpu().numpy()
    return out, steps


def adam_from(
    tensors: Mapping[str, np.ndarray], parameters: Named, steps: int
) -> torch.optim.Adam | None:
    """The optimizer that ``adam_tensors`` was given; None where it was None."""
    if not any(name.startswith("adam.") for name in tensors):
        return None
    optimizer = make_adam(list(parameters))
    for name, p in parameters:
        if f"adam.{name}.{_MOMENTS[0]}" not in tensors:
            continue  # it has had no gradient: a twin that rests
        state: dict[str, Tensor] = {"step": torch.tensor(float(steps))}
        for key in _MOMENTS:
            value = torch.from_numpy(tensors[f"adam.{name}.{key}"])
            state[key] = value.reshape(p.shape).to(p.device)
        optimizer.state[p] = state
    return optimizer
