"""What a neuron's spike function does forwards: tried, since a user may give any.

Surrogates differ in their gradients only, but some put out slopes, or random spikes.
"""

from typing import Any

import torch

from sterna.golden.errors import NetworkError

__all__ = ["is_strict"]

_TRIED = (-3.0, -1.0, -0.5, -0.25, -1e-3, 0.0, 1e-3, 0.25, 0.5, 1.0, 3.0)


def is_strict(function: Any, path: str) -> bool:
    """Whether spikes are where v - threshold > 0, else where it is >= 0. NetworkError: neither."""
    margin = torch.tensor(_TRIED * 16)
    try:
        with torch.no_grad():
            fired = function(margin.clone()).to(margin.dtype)
    except Exception as e:  # a user's own function
        raise NetworkError(
            f"module '{path}': its spike function fails on a tensor ({type(e).__name__}: {e})"
        ) from e
    for strict, wanted in ((True, margin > 0), (False, margin >= 0)):
        if torch.equal(fired, wanted.to(fired.dtype)):
            return strict
    raise NetworkError(
        f"module '{path}': its spike function is no step from 0 to 1 at the threshold (it is "
        "graded, random or moved), which cannot be built; give a surrogate that spikes"
    )
