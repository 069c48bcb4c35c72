"""Running a PyTorch model once and writing down what it computes.

Not a symbolic trace: the model runs on an example, so loops over `x.size(0)`, lists of states and
one's own layers need nothing. Functions of torch are seen by a ``TorchFunctionMode``, neurons
(registered `cells`) as one call each; what depends on the input is an `Expr`, everything else a
constant, whose effective value counts (quantised weights, parametrisations).
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sterna.front.cell import multi_step
from sterna.front.expression import UNKNOWN, Expr, at
from sterna.front.pytorch.functions import Unread, is_random, unbuilt
from sterna.golden.errors import NetworkError

__all__ = ["OneStep", "Recorder", "known", "recording", "tensors_of"]

_VALUES = {
    "__bool__": "if, while, and, or, not, assert",
    "is_nonzero": "if, while",
    "equal": "torch.equal",
    "allclose": "torch.allclose",
    "item": ".item()",
    "tolist": ".tolist()",
    "numpy": ".numpy()",
    "__array__": "numpy",
    "__float__": "float()",
    "__int__": "int()",
    "__index__": "as an index",
    "__complex__": "complex()",
    "__contains__": "in",
    "__dlpack__": "dlpack",
}
"""Functions of torch that give a program numbers, and how a user writes them."""
_FRESH = {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full"}


class OneStep(NetworkError):
    """A neuron that wants all steps in one call gets one."""


class Recorder(TorchFunctionMode):
    """Keeps an `Expr` for every tensor that depends on the input.

    Parameters
    ----------
    functions : dict
        By name of a torch function: ``f(recorder, path, out, args, kwargs) -> Expr``, args with
        `Expr` where a tensor depends on the input.
    """

    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.functions = functions
        self.cells: dict[str, list[Expr]] = {}
        self.path: list[str] = []
        self.inside = 0
        self._exprs: dict[int, tuple[Expr, int]] = {}
        self._kept: list[Any] = []  # tensors whose id is a key stay alive

    def note(self, tensor: torch.Tensor, expr: Expr) -> None:
        """From now on ``tensor`` is what ``expr`` says."""
        self._exprs[id(tensor)] = expr, _version(tensor)
        self._kept.append(tensor)

    def expr(self, value: Any) -> Any:
        """The `Expr` of a tensor that depends on the input, else the value itself."""
        if isinstance(value, torch.Tensor):
            known, version = self._exprs.get(id(value), (value, 0))
            if isinstance(known, Expr) and _version(value) != version:
                return self.unknown(
                    f"{at(self.where)}: a tensor was changed in place through a view of it, which "
                    "cannot be followed; write x = x + y instead"
                )
            return known
        if isinstance(value, tuple | list):
            return (
                type(value)(self.expr(v) for v in value) if type(value) in (tuple, list) else value
            )
        return value

    @property
    def where(self) -> str:
        """The path of the module that is running."""
        return self.path[-1] if self.path else ""

    def unknown(self, why: str) -> Expr:
        """Of a tensor that cannot be built: refused where it is used, since what is only looked at
        (a rate that is kept, a maximum that is compared) is no part of the network."""
        return Expr(UNKNOWN, self.where, (), {"why": why})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        given = [self.expr(a) for a in args]  # before a function may change them in place
        named = {k: self.expr(v) for k, v in kwargs.items()}
        out = func(*args, **kwargs)
        if is_random(getattr(func, "__name__", "")):
            why = f"{at(self.where)}: {unbuilt(_name(func))}"
            for tensor in tensors_of(out):
                self.note(tensor, self.unknown(why))
            return out
        if not any(_live(v) for v in (*given, *named.values())):
            return out
        name = getattr(func, "__name__", "")
        if name in _VALUES:
            raise NetworkError(
                f"{at(self.where)}: takes numbers out of a tensor that depends on the input "
                f"({_VALUES[name]}); what it does by them, as a branch on values, is another "
                "network for each image, which cannot be built; let it do the same for all"
            )
        if name in _FRESH:
            return out
        changed = [args[0]] if name == "__setitem__" else tensors_of(out)
        if changed:
            self._read(_name(func), out, changed, given, named)
        return out

    def _read(
        self, name: str, out: Any, changed: list[torch.Tensor], given: list[Any], named: Any
    ) -> None:
        """Note what torch's function ``name`` made, or why that cannot be built."""
        try:
            known((given, named))
            function = self.functions.get(name)
            if function is None:
                raise NetworkError(f"{at(self.where)}: {unbuilt(name)}")
            rounded = [t.dtype for t in changed if not _is_real(t.dtype)]
            if rounded:
                raise NetworkError(
                    f"{at(self.where)}: makes a stream of {rounded[0]}, which rounds it; keep it "
                    "torch.float32 (and leave autocast out)"
                )
            found = function(self, self.where, changed[0] if out is None else out, given, named)
        except Unread as e:
            why = f"{at(self.where)}: torch's {name} with {e} cannot be built; leave that out"
            found = [self.unknown(why)] * len(changed)
        except NetworkError as e:
            found = [self.unknown(str(e))] * len(changed)
        for tensor, e in zip(changed, found if isinstance(found, list) else [found], strict=True):
            self.note(tensor, e)


def known(value: Any) -> Any:
    """The value itself. NetworkError where a tensor of it cannot be built."""
    if isinstance(value, tuple | list | dict):
        for v in value.values() if isinstance(value, dict) else value:
            known(v)
    elif isinstance(value, Expr) and value.kind == UNKNOWN:
        raise NetworkError(value.values["why"])
    return value


def _is_real(dtype: torch.dtype) -> bool:
    """Whether it holds the numbers that neurons add."""
    return dtype in (torch.float32, torch.float64)


def _version(tensor: torch.Tensor) -> int:
    """Counts what was written into a tensor in place, and through every view of it."""
    return -1 if tensor.is_inference() else tensor._version


def _name(func: Any) -> str:
    name = getattr(func, "__name__", str(func))
    if name == "fn":  # torch's boolean_dispatch hides the name of max_pool1d, 2d, 3d
        cells = {c.cell_contents for c in func.__closure__ or () if callable(c.cell_contents)}
        names = {c.__name__.lstrip("_") for c in cells if hasattr(c, "__name__")}
        name = next((n for n in names if not n.endswith("with_indices")), name)
    if name == "__get__":  # an attribute, as .data and .T
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return name


def _live(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_live(v) for v in value)
    return isinstance(value, Expr)


def tensors_of(out: Any) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        return [out]
    if isinstance(out, tuple | list):
        return [t for v in out for t in tensors_of(v)]
    return []


@contextmanager
def recording(
    model: nn.Module, recorder: Recorder, is_cell: Callable[[nn.Module], bool]
) -> Generator[Recorder]:
    """Within, calls of ``model`` are written down; cells (``is_cell``) as one call each."""
    handles: list[Any] = []
    try:
        names = {id(m): n for n, m in model.named_modules()}
        under: set[int] = set()
        for _, module in model.named_modules():
            if id(module) in under:
                continue
            path = names[id(module)]
            if is_cell(module):
                under |= {id(m) for m in module.modules()}
                handles += _watch_cell(module, path, recorder)
            else:
                handles += _watch(module, path, recorder)
        with torch.no_grad(), recorder:
            yield recorder
    finally:
        for h in handles:
            h.remove()


def _watch(module: nn.Module, path: str, recorder: Recorder) -> list[Any]:
    def enter(_m: nn.Module, _args: Any) -> None:
        recorder.path.append(path)

    def leave(_m: nn.Module, _args: Any, _out: Any) -> None:
        recorder.path.pop()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def _watch_cell(module: nn.Module, path: str, recorder: Recorder) -> list[Any]:
    made: list[Any] = []
    if "forward" in vars(module):
        raise NetworkError(
            f"{at(path)}: its forward() was replaced, so that it is another neuron than its class; "
            "make a class of its own, or take the change out"
        )

    def enter(_m: nn.Module, _args: Any) -> None:
        recorder.inside += 1

    def first(_m: nn.Module, _args: Any, out: Any) -> None:
        made[:] = [out]

    def leave(m: nn.Module, args: Any, out: Any) -> None:
        recorder.inside -= 1
        if recorder.inside:
            return
        if out is not made[0]:
            raise NetworkError(
                f"{at(path)}: a forward hook changes what it gives, which cannot be built; do that "
                "in forward() of the model, or let the hook return nothing"
            )
        source = known(recorder.expr(args[0]))
        uses = recorder.cells.setdefault(path, [])
        if not isinstance(source, Expr):
            raise NetworkError(
                f"{at(path)}: at its step {len(uses)} its input does not depend on the network's, "
                "as behind a delay of one's own, or where the image enters at some steps only, "
                "which cannot be built; let it depend on the input at every step (as frames, "
                "input='frames', of which some may be 0)"
            )
        _check_states(recorder, path, len(uses), args[1:])
        is_sequence = source.kind == "stack"
        if multi_step(m):
            if not is_sequence or source.values["merged"] or source.values["dim"] != 0:
                raise OneStep(
                    f"{at(path)}: has step_mode 'm' and gets one step; give it a sequence "
                    "[T, B, ...], or set_step_mode(net, 's')"
                )
            steps = getattr(m, "steps", None) if len(source.args) == 1 else None
            _sequence(recorder, path, uses, source, out, steps or len(source.args))
            return
        if is_sequence:
            raise NetworkError(
                f"{at(path)}: computes one step and gets a sequence of all, as if its steps "
                "were images; call it once a step, or set_step_mode(net, 'm')"
            )
        step = len(uses)
        tensors = tensors_of(out)
        for k, tensor in enumerate(tensors):
            part = 0 if k == 0 else k - len(tensors)
            recorder.note(
                tensor,
                Expr("cell", path, (source,), shape=tuple(tensor.shape), step=step, part=part),
            )
        uses.append(recorder.expr(tensors[0]))

    return [
        module.register_forward_pre_hook(enter),
        module.register_forward_hook(first, prepend=True),
        module.register_forward_hook(leave),
    ]


def _check_states(recorder: Recorder, path: str, step: int, given: Any) -> None:
    """States that are handed to a neuron are its own of the step before, or zeros at first."""
    for s in map(known, map(recorder.expr, given)):
        if isinstance(s, Expr) and not (s.kind == "cell" and s.path == path and s.step == step - 1):
            raise NetworkError(
                f"{at(path)}: its state at step {step} comes from elsewhere than its own step "
                f"{step - 1}; hand each neuron its own state, and use it once a step"
            )
        if isinstance(s, torch.Tensor) and bool((s != 0).any()):
            raise NetworkError(
                f"{at(path)}: begins with a membrane that is not 0; begin with zeros"
            )


def _sequence(
    recorder: Recorder, path: str, uses: list[Expr], source: Expr, out: Any, count: int
) -> None:
    """A neuron that computes ``count`` steps in one call (of a sequence, or of one step that is the
    same for all): spikes [T, B, ...], a membrane of each step (a list of them), or the last
    membrane [B, ...]."""
    first = len(uses)

    def cell(t: int, part: int) -> Expr:
        read = source.args[t if len(source.args) > 1 else 0]
        return Expr("cell", path, (read,), shape=read.shape, step=first + t, part=part)

    if isinstance(out, tuple | list):
        found = [cell(t, -1) for t in range(count)]
        for tensor, e in zip(out, found, strict=True):
            recorder.note(tensor, e)
    elif out.ndim == len(source.shape):
        found = [cell(t, 0) for t in range(count)]
        values = {"merged": False, "dim": 0}
        recorder.note(out, Expr("stack", path, tuple(found), values, tuple(out.shape)))
    else:
        found = [cell(t, -1) for t in range(count)]
        recorder.note(out, found[-1])
    uses += found
