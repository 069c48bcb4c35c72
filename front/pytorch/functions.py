"""torch's functions, as expressions: what each means for the network of one step.

A handler gets what `Recorder` saw and returns an `Expr`. A function that is not here cannot be
built and is refused by its name. Sequences ([T, B, ...], also flattened to [T*B, ...] as
multi-step layers do) are expressions of each step side by side ('stack').
"""

import re
from collections.abc import Callable
from typing import Any

import torch

from sterna.front.expression import Expr, at
from sterna.golden.errors import NetworkError
from sterna.golden.words.names import show

__all__ = [
    "FUNCTIONS",
    "Unread",
    "axes_of",
    "bound",
    "constant",
    "handles",
    "lifted",
    "is_random",
    "pair",
    "stack",
    "unbuilt",
]

FUNCTIONS: dict[str, Callable[..., Any]] = {}

_NORM = "it computes its mean from each image; use BatchNorm2d, which folds away, and train again"
_COMPARED = "spikes of one's own making are not seen as such; put a neuron of docs/front.md there"
_LARGEST = "only a max pool over a map is; of an output, return the sum or the stack over time"
_PLACES = (
    "every step reads its own frame, a layer its whole map; put the order into data and weights"
)
_GATES = "its gates multiply streams and it feeds back; use snn.Leaky, snn.Synaptic or LIFNode"
_WAYS = {
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm", "std", "var"), _NORM),
    **dict.fromkeys(
        "gt lt ge le eq ne __gt__ __lt__ __ge__ __le__ where heaviside".split(), _COMPARED
    ),
    **dict.fromkeys("max min amax amin argmax argmin topk sort cummax".split(), _LARGEST),
    **dict.fromkeys(
        "roll flip rot90 gather index_select chunk split tensor_split".split(), _PLACES
    ),
    **dict.fromkeys("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell".split(), _GATES),
    "conv3d": "time is no axis of a convolution; use Conv2d at each step",
    "conv_transpose2d": "only Conv2d, Conv1d and Linear are",
    "maximum": "add the streams (a + b), and train again",
}


_WRITTEN = {"out", "inplace", "memory_format", "_stacklevel"}
_RANDOM = re.compile(r"(rand|bernoulli|normal_?$|uniform_?$|poisson|multinomial|exponential_?$)")


def is_random(name: str) -> bool:
    """Whether torch's function draws random numbers."""
    return _RANDOM.match(name) is not None


def unbuilt(name: str) -> str:
    """Why torch's function cannot be built, and the way out."""
    if is_random(name):
        return (
            f"random numbers (torch's {name}, as in spikegen.rate) cannot be repeated; feed pixels "
            "or frames, and draw none where model.training is False"
        )
    way = _WAYS.get(name, "put neurons where it stands, or what docs/front.md lists as mapped")
    return f"torch's {name} cannot be built: {way}"


def handles(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


class Unread(NetworkError):
    """An argument of torch's function that its handler does not read."""


def bound(names: str, args: list[Any], kwargs: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """The arguments by their ``names``. Unread: there is another one that could change something,
    which None and False do not, nor where the result is written."""
    words = names.split()
    found = dict(zip(words, args, strict=False)) | kwargs
    others = {str(k): v for k, v in enumerate(args) if k >= len(words)}
    others |= {k: v for k, v in kwargs.items() if k not in words and k not in _WRITTEN}
    for name, value in others.items():
        if value is not None and value is not False:
            raise Unread(f"{name}={show(value)}")
    found = defaults | found
    return {name: found[name] for name in (*words, *defaults) if name in found}


def constant(value: Any) -> Any:
    """float64 numpy of a constant tensor; None stays None."""
    if value is None:
        return None
    if isinstance(value, Expr):
        raise NetworkError("weights that depend on the input cannot be built")
    return torch.as_tensor(value).detach().cpu().to(torch.float64).numpy().copy()


def lifted(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """A handler of one step, applied to each step of a sequence."""

    def by_step(rec: Any, path: str, out: torch.Tensor, args: list[Any], kwargs: Any) -> Expr:
        stacks = [a for a in args if isinstance(a, Expr) and a.kind == "stack"]
        if not stacks:
            return function(rec, path, tuple(out.shape), args, kwargs)
        count = len(stacks[0].args)
        merged = bool(stacks[0].values.get("merged"))
        if any(len(s.args) != count for s in stacks) or stacks[0].values.get("dim", 0) != 0:
            raise NetworkError(f"{at(path)}: sequences of other lengths or axes meet here")
        inner = (out.shape[0] // count, *out.shape[1:]) if merged else tuple(out.shape[1:])
        steps = []
        for t in range(count):
            each = [a.args[t] if isinstance(a, Expr) and a.kind == "stack" else a for a in args]
            steps.append(function(rec, path, inner, each, kwargs))
        return stack(path, steps, tuple(out.shape), merged=merged)

    return by_step


def stack(
    path: str, steps: list[Expr], shape: tuple[int, ...], merged: bool = False, dim: int = 0
) -> Expr:
    return Expr("stack", path, tuple(steps), {"merged": merged, "dim": dim}, shape)


def pair(value: Any) -> tuple[int, int]:
    value = tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * 2
    return value * 2 if len(value) == 1 else (value[0], value[1])


def axes_of(value: Any, flat: bool, fill: int) -> tuple[int, int]:
    if flat:
        one = value[0] if isinstance(value, tuple | list) else value
        return (fill, int(one))
    return pair(value)
