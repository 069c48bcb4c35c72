"""SpikingJelly's neurons, layers and blocks against SpikingJelly's own forward pass."""

import importlib.util
import inspect
import sys
import types
from typing import Any

import pytest
import torch
from torch import nn

from sterna.front.cell import ARGUMENTS, CELLS, REFUSED
from sterna.front.pytorch.model import from_torch
from sterna.golden.errors import NetworkError

if importlib.util.find_spec("spikingjelly") is None:
    pytest.skip("spikingjelly is not installed", allow_module_level=True)
if importlib.util.find_spec("loguru") is None:  # it only logs with it
    stub: Any = types.ModuleType("loguru")
    stub.logger = __import__("unittest.mock").mock.MagicMock()
    sys.modules.setdefault("loguru", stub)
neuron = pytest.importorskip("spikingjelly.activation_based.neuron", exc_type=ImportError)

import jellycase  # noqa: E402
from spikingjelly.activation_based import functional, surrogate  # noqa: E402

EXAMPLE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(4))


def held(model: nn.Module, dyadic: bool, count: int = 8, **options: Any) -> None:
    """Identical at every site: with dyadic scales in float32, too."""
    found = from_torch(model, EXAMPLE, scale=1 / 256 if dyadic else 1 / 255, **options)
    check = found.check(jellycase.images(count))
    assert check.exact and check.classes == 1, check.table()
    assert all(s.spikes or s.what == "membranes" for s in check.layers), check.table()
    assert not found.report.approximated
    if dyadic and not any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        assert not any(s.ties or s.ties32 for s in check.layers), check.table()


@pytest.mark.parametrize("name", jellycase.NETS)
@pytest.mark.parametrize("dyadic", [True, False], ids=["dyadic", "random"])
def test_a_network_fires_as_there(name: str, dyadic: bool) -> None:
    held(jellycase.ternary(jellycase.NETS[name](), 3, dyadic), dyadic)


# --- every class and argument -------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "v_threshold": [0.5, 0.75],
    "v_reset": [None, 0.3, -0.25],
    "surrogate_function": [surrogate.ATan(), surrogate.Sigmoid(spiking=False)],
    "detach_reset": [True],
    "step_mode": ["s", "m"],
    "store_v_seq": [True],
    "tau": [1.1, 4.0],
    "init_tau": [1.1, 5 / 3],
    "decay_input": [False],
    "decode": [None, "mean-mem", "max-mem"],
    "c_decay": [0.0, 0.25, 1.0],
    "v_decay": [0.0, 0.5, 1.0],
    "backend": ["torch"],
    "cupy_fp32_inference": [False],
}
"""Other values of each argument than the usual one: a new argument has none here, and fails."""
NEEDED = {"SimpleLIFNode": {"tau": 2.0, "decay_input": True}}
READ = {"decode": "last_mem"}
REFUSABLE = {("CUBALIFNode", "v_reset", 0.3), ("CUBALIFNode", "v_reset", -0.25)}
REFUSABLE |= {("SimpleLIFNode", "v_reset", None)}
REFUSABLE |= {
    (n, "decode", w)
    for n in ("NonSpikingIFNode", "NonSpikingLIFNode")
    for w in ("mean-mem", "max-mem")
}


def classes() -> dict[str, Any]:
    found = inspect.getmembers(neuron, inspect.isclass)
    inside = [(n, c) for n, c in found if c.__module__.startswith(neuron.__name__)]
    return {n: c for n, c in inside if issubclass(c, nn.Module)}


def arguments(kind: Any) -> list[str]:
    return [n for n in inspect.signature(kind.__init__).parameters if n not in ("self", "args")]


def test_every_class_and_every_argument_has_a_verdict() -> None:
    """One that is new there fails here, until somebody says what it is."""
    for name, kind in classes().items():
        key = f"spikingjelly.{name}"
        assert key in CELLS, name
        if key not in REFUSED:
            assert set(arguments(kind)) <= set(ARGUMENTS[key]), name
            assert set(arguments(kind)) <= set(VALUES), name


def cases() -> list[Any]:
    return [
        pytest.param(name, argument, value, id=f"{name}-{argument}-{k}")
        for name, kind in classes().items()
        if f"spikingjelly.{name}" not in REFUSED
        for argument in arguments(kind)
        for k, value in enumerate(VALUES[argument])
    ]


@pytest.mark.parametrize(("name", "argument", "value"), cases())
def test_no_argument_is_dropped(name: str, argument: str, value: Any) -> None:
    """Whatever its value, the network fires as there, or it is refused by its path."""
    kind = classes()[name]
    given = NEEDED.get(name, {}) | {argument: value}
    given |= {k: v for k, v in READ.items() if k in arguments(kind) and k != argument}
    node = kind(**given)
    last = name.startswith("NonSpiking")
    if "step_mode" not in arguments(kind) and not last:
        node = jellycase.single(node)
    body = jellycase.stem(neuron.IFNode() if last else node)
    body += [jellycase.layer.MaxPool2d(2), *jellycase.head(node if last else None)]
    if argument == "step_mode" and value == "s":
        model: nn.Module = jellycase.Merged(nn.Sequential(*body), 5)
    else:
        model = jellycase.Repeated(nn.Sequential(*body), 5, mean=not last)
    model = jellycase.ternary(model, 2, False)
    graded = getattr(value, "spiking", True) is False
    refused = graded or (name, argument, value) in REFUSABLE
    if refused:
        with pytest.raises(NetworkError, match="module 'body.5'" if last else "module 'body.1"):
            from_torch(model, EXAMPLE)
    else:
        held(model, False, 3)
        verdict = ARGUMENTS[f"spikingjelly.{name}"][argument]
        assert verdict.startswith(("exact", "without effect")), verdict


@pytest.mark.parametrize("name", sorted(n for n in REFUSED if n.startswith("spikingjelly.")))
def test_other_neurons_are_refused_by_name(name: str) -> None:
    with pytest.raises(NetworkError, match=f"module 'x': {name} .*; use IFNode"):
        CELLS[name](None, "x")


# --- how it is run ------------------------------------------------------------------------------


def sequence() -> nn.Module:
    body = nn.Sequential(
        *jellycase.stem(neuron.IFNode()), jellycase.layer.MaxPool2d(2), *jellycase.head()
    )
    functional.set_step_mode(body, "m")
    return jellycase.ternary(body, 3, False)


def test_an_image_is_repeated_where_forward_wants_a_sequence() -> None:
    held(sequence(), False, steps=4)


def test_recordings_enter_as_they_are() -> None:
    example = torch.randint(0, 2, (5, 2, 1, 8, 8)).float()
    found = from_torch(sequence(), example, input="frames")
    assert found.network.steps == 5
    frames = torch.randint(0, 2, (5, 6, 1, 8, 8)).numpy().astype("uint8")
    check = found.check(frames)
    assert check.exact and check.classes == 1 and check.layers[0].spikes, check.table()


def test_layers_of_vectors_only_are_told_from_a_step() -> None:
    body = nn.Sequential(
        jellycase.layer.Linear(12, 8, bias=False),
        neuron.IFNode(0.5, None),
        jellycase.layer.Linear(8, 3, bias=False),
        neuron.IFNode(0.5, None),
    )
    functional.set_step_mode(body, "m")
    model = jellycase.ternary(body, 5, False)
    frames = torch.randint(0, 2, (4, 9, 12)).float()
    found = from_torch(model, frames, input="frames", steps=4)
    check = found.check(frames.numpy().astype("uint8").reshape(4, 9, 12, 1, 1))
    assert check.exact and all(s.spikes for s in check.layers), check.table()


def test_a_sequence_in_a_single_step_is_refused() -> None:
    body = nn.Sequential(*jellycase.stem(neuron.IFNode()), *jellycase.head(features=256))
    model = jellycase.Repeated(body, 4)
    body[1].step_mode = "s"
    with pytest.raises(NetworkError, match=r"module 'body.1': .* as if its steps were images"):
        from_torch(model, EXAMPLE)


def test_one_step_in_a_sequence_is_refused() -> None:
    body = nn.Sequential(
        *jellycase.stem(neuron.IFNode(step_mode="m")), *jellycase.head(features=256)
    )
    with pytest.raises(NetworkError, match="module 'body.1': has step_mode 'm' and gets one step"):
        from_torch(jellycase.Merged(body, 4), EXAMPLE)


def test_a_neuron_of_ones_own_is_not_taken_for_its_parent() -> None:
    class Mine(neuron.SimpleIFNode):
        def neuronal_charge(self, x: torch.Tensor) -> None:
            self.v = 2 * self.v + x

    with pytest.raises(NetworkError, match="Mine: is a neuron that is not known"):
        from_torch(jellycase.plain(Mine()), EXAMPLE)


def test_a_model_just_trained_is_taken_though_its_states_have_a_graph() -> None:
    model = jellycase.ternary(jellycase.NETS["lif"](), 3, False)
    model.train()(EXAMPLE).sum().backward()
    held(model, False, 3)
