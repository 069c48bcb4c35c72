"""Every class of `snntorch._neurons` and every argument of it, whatever its value: fires as there,
or is refused by its path."""

import importlib
import inspect
import pkgutil
from typing import Any

import pytest

pytest.importorskip("snntorch")

import frontcase
import snntorch as snn
import torch
from snntorch import surrogate
from snntorch.functional import quant
from torch import nn

from sterna.front.cell import ARGUMENTS, CELLS, REFUSED
from sterna.front.pytorch.model import from_torch
from sterna.golden.errors import NetworkError

EXAMPLE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
PARTS = {"RecurrentOneToOne"}  # of RLeaky
R = torch.Generator().manual_seed(3)


def classes() -> dict[str, Any]:
    found = {}
    for m in pkgutil.iter_modules(snn._neurons.__path__):
        module = importlib.import_module(f"snntorch._neurons.{m.name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and issubclass(kind, nn.Module):
                found[name] = kind
    return {n: c for n, c in found.items() if n not in PARTS}


def arguments(kind: Any) -> list[str]:
    return [n for n in inspect.signature(kind.__init__).parameters if n != "self"]


EXACT, REFUSE = True, False
VALUES: dict[str, list[tuple[Any, bool]]] = {
    "beta": [
        (0.9, EXACT),
        (1.0, EXACT),
        (1.5, EXACT),
        (torch.tensor(0.25), EXACT),
        (torch.rand(8, 8, generator=R), REFUSE),
    ],
    "alpha": [(0.0, EXACT), (0.3, EXACT), (1.0, EXACT), (torch.rand(8, 8, generator=R), REFUSE)],
    "R": [(4.0, EXACT), (torch.tensor(3.0), EXACT)],
    "C": [(2.0, EXACT), (torch.tensor(1.5), EXACT)],
    "time_step": [(0.5, EXACT), (3.0, REFUSE)],
    "threshold": [
        (0.25, EXACT),
        (torch.tensor(0.5), EXACT),
        (torch.rand(4, 1, 1, generator=R) + 0.2, EXACT),
        (torch.rand(8, 8, generator=R), REFUSE),
    ],
    "spike_grad": [
        (surrogate.fast_sigmoid(), EXACT),
        (surrogate.sigmoid(), EXACT),
        (surrogate.straight_through_estimator(), EXACT),
        (surrogate.SSO(), EXACT),
        (lambda x: (x >= 0).float(), EXACT),
        (torch.sigmoid, REFUSE),
    ],
    "surrogate_disable": [(True, EXACT)],
    "init_hidden": [(True, EXACT)],
    "inhibition": [(True, REFUSE)],
    "learn_alpha": [(True, EXACT)],
    "learn_beta": [(True, EXACT)],
    "learn_threshold": [(True, EXACT)],
    "learn_graded_spikes_factor": [(True, EXACT)],
    "reset_mechanism": [("subtract", EXACT), ("zero", EXACT), ("none", EXACT)],
    "state_quant": [(quant.state_quant(num_bits=4), REFUSE)],
    "output": [(True, EXACT)],
    "graded_spikes_factor": [
        (0.5, EXACT),
        (2.0, EXACT),
        (torch.tensor(0.7), EXACT),
        (-1.0, REFUSE),
        (torch.rand(8, 8, generator=R), REFUSE),
    ],
    "reset_delay": [(True, EXACT), (False, REFUSE)],
}
"""Other values of each argument, and what becomes of them: a new argument has none, and fails."""
NEEDED: dict[str, dict[str, Any]] = {
    "Leaky": {"beta": 0.5},
    "Synaptic": {"alpha": 0.5, "beta": 0.5},
    "Lapicque": {"R": 2.0, "C": 1.0},
}
OF_LAPICQUE: dict[str, list[tuple[Any, bool]]] = {
    "beta": [(0.9, EXACT), (torch.tensor(0.5), EXACT)]
}
OTHERWISE = {("Synaptic", "reset_mechanism", 1), ("Lapicque", "reset_mechanism", 1)}
"""'zero' of them drops what arrives at the reset: only near."""


def test_every_class_and_every_argument_has_a_verdict() -> None:
    """One that is new there fails here, until somebody says what it is."""
    for name, kind in classes().items():
        key = f"snntorch.{name}"
        assert key in CELLS, name
        if key not in REFUSED:
            assert set(arguments(kind)) == set(ARGUMENTS[key]), name
            assert set(arguments(kind)) <= set(VALUES), name


class Net(nn.Module):
    """A neuron layer however its states are kept and whatever it returns, and an output."""

    def __init__(self, hidden: nn.Module, steps: int = 6) -> None:
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(1, 4, 3, padding=1), hidden
        self.full, self.out = nn.Linear(256, 5, bias=False), snn.Leaky(0.5, init_hidden=True)
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.hidden.reset_mem()
        state = state if isinstance(state, tuple) else (state,)
        total = 0.0
        for _ in range(self.steps):
            kept = () if self.hidden.init_hidden else state
            out = self.hidden(self.conv(x), *kept)
            spikes, *state = out if isinstance(out, tuple) else (out,)
            total = total + self.out(self.full(spikes.flatten(1)))
        return total


def values(name: str, argument: str) -> list[tuple[Any, bool]]:
    own = OF_LAPICQUE if name == "Lapicque" else {}
    return own.get(argument, VALUES[argument])


def cases() -> list[Any]:
    return [
        pytest.param(
            name,
            argument,
            value,
            exact and (name, argument, k) not in OTHERWISE,
            id=f"{name}-{argument}-{k}",
        )
        for name, kind in classes().items()
        if f"snntorch.{name}" not in REFUSED
        for argument in arguments(kind)
        for k, (value, exact) in enumerate(values(name, argument))
    ]


@pytest.mark.parametrize(("name", "argument", "value", "exact"), cases())
@pytest.mark.filterwarnings("ignore:Inhibition")
def test_no_argument_is_dropped(name: str, argument: str, value: Any, exact: bool) -> None:
    given = NEEDED[name]
    if name == "Lapicque" and "beta" in argument:
        given = {"beta": 0.75, "threshold": 0.1}
    node = classes()[name](**given | {argument: value})
    model = frontcase.ternary(Net(node), 3, False)
    told = ARGUMENTS[f"snntorch.{name}"][argument]
    if not exact:
        with pytest.raises(NetworkError, match="module 'hidden': "):
            from_torch(model, EXAMPLE)
        assert not told.startswith("without effect")
        return
    found = from_torch(model, EXAMPLE)
    check = found.check(frontcase.images((1, 8, 8), 3))
    assert check.exact and check.classes == 1 and not found.report.approximated, check.table()
    assert check.layers[0].spikes, check.table()
    assert told.startswith(("exact", "without effect")), told


@pytest.mark.parametrize("name", sorted(n for n in REFUSED if n.startswith("snntorch.")))
def test_other_neurons_are_refused_by_name(name: str) -> None:
    with pytest.raises(NetworkError, match=f"module 'x': {name} .*; use snntorch.Leaky"):
        CELLS[name](None, "x")


def test_a_beta_of_0_that_subtracts_is_refused() -> None:
    with pytest.raises(NetworkError, match="module 'hidden': beta 0"):
        from_torch(Net(snn.Leaky(0.0)), EXAMPLE)


@pytest.mark.parametrize("how", ["attribute", "state"])
def test_a_reset_that_was_changed_later_is_refused(how: str) -> None:
    """state_function stays the one that it was made with."""
    node = snn.Leaky(0.5)
    if how == "attribute":
        node.reset_mechanism = "zero"
    else:
        node.load_state_dict(snn.Leaky(0.5, reset_mechanism="zero").state_dict())
    with pytest.raises(NetworkError, match="'subtract' and changed to 'zero'"):
        from_torch(Net(node), EXAMPLE)


def test_a_model_just_trained_is_taken_though_its_states_have_a_graph() -> None:
    model = frontcase.ternary(Net(snn.Leaky(0.5, init_hidden=True, learn_beta=True)), 3, False)
    model.train()(EXAMPLE).sum().backward()
    assert not model.hidden.mem.is_leaf
    found = from_torch(model, EXAMPLE)
    assert found.check(frontcase.images((1, 8, 8), 3)).exact
    assert not model.hidden.mem.is_leaf and model.training
