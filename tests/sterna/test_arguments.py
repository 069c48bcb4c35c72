"""Every public name of `sterna`, called with wrong arguments: one sentence, never another error."""

# Arguments of other types than declared are what is tested.
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportAssignmentType=false

import fractions
import inspect
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sterna
from sterna.data import ImageSet
from sterna.gen.quantize import float_network as fl
from sterna.golden.errors import SternaError


class Rude:
    """An object whose every use is an error of its own."""

    def __repr__(self) -> str:
        raise RuntimeError("no name")

    def __index__(self) -> int:
        raise KeyError("no number")

    def __len__(self) -> int:
        raise OSError("no length")

    def __iter__(self) -> Iterator[int]:
        raise LookupError("no items")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise ArithmeticError("no array")

    def detach(self) -> Any:
        raise AttributeError("no tensor")


WRONG: dict[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": math.nan,
    "inf": -math.inf,
    "1e30": 10**30,
    "5,000 digits": 10**5000,
    "empty": "",
    "word": "Wrong name",
    "zero byte": "a\0b",
    "half": "\ud800",
    "long": "x" * 5000,
    "bytes": b"x",
    "list": [],
    "ragged": [[1], [2, 3]],
    "names": ["x", 1, None],
    "dict": {"x": 1},
    "set": {1, 2},
    "tuple": (2**63, -1),
    "object": object(),
    "rude": Rude(),
    "class": int,
    "function": len,
    "generator": iter([1, 2]),
    "numbers": np.array([1.5, math.nan]),
    "complex": 1j,
    "texts": np.array(["a", "b"]),
    "objects": np.array([None, {}], object),
    "many axes": np.zeros((1,) * 9),
    "nothing": np.zeros(0),
    "time": np.datetime64("2020"),
    "records": np.zeros(2, [("a", int)]),
    "third": fractions.Fraction(1, 3),
    "bools": np.array([True, False]),
}

ONE = np.ones


def network() -> sterna.Network:
    return sterna.Network(
        2,
        [
            sterna.Input("x", (1, 4, 4), bits=4),
            sterna.Conv2d("c", "x", ONE((2, 1, 3, 3))),
            sterna.Neuron("n", ("c",), sterna.NeuronRule(ONE(2) * 20)),
            sterna.Linear("f", "n", ONE((3, 8))),
            sterna.Readout("r", ("f",), sterna.NeuronRule(np.zeros(3), "none")),
        ],
    )


def float_nodes() -> list[Any]:
    return [
        fl.FloatInput("x", (1, 4, 4)),
        fl.FloatConv2d("c", "x", ONE((2, 1, 3, 3))),
        fl.FloatNeuron("n", ("c",)),
        fl.FloatLinear("f", "n", ONE((3, 8))),
        fl.FloatReadout("r", ("f",)),
    ]


NET = network()
FLOAT = fl.FloatNetwork(2, float_nodes())
PIXELS = np.zeros((2, 1, 4, 4), np.uint8)
RESULT = sterna.run(NET, PIXELS)
LABELS = np.zeros(2, np.int64)
NOWHERE = "build/no-such-build"
RULE = sterna.NeuronRule(ONE(2))


def as_network(make: Callable[..., Any]) -> Callable[..., Any]:
    """A float node alone converts nothing: it is refused when its network is made."""

    def made(**arguments: Any) -> Any:
        node = make(**arguments)
        others = [n for n in float_nodes() if type(n) is not make and n.name != "only"]
        return fl.FloatNetwork(2, [*others, node])

    made.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]
    return made


def with_norm(**arguments: Any) -> Any:
    norm = fl.BatchNorm(**arguments)
    others = [n for n in float_nodes() if n.name != "c"]
    return fl.FloatNetwork(2, [*others, fl.FloatConv2d("c", "x", ONE((2, 1, 3, 3)), norm=norm)])


with_norm.__signature__ = inspect.signature(fl.BatchNorm)  # type: ignore[attr-defined]


def with_a_build(**arguments: Any) -> Any:
    """Without a build the board would be asked, and there is none."""
    build = NOWHERE if arguments.get("build") is None else arguments["build"]
    return sterna.selftest(**arguments | {"build": build})


with_a_build.__signature__ = inspect.signature(sterna.selftest)  # type: ignore[attr-defined]

MODEL = torch.nn.Sequential(
    sterna.nn.TernaryConv2d(1, 2, 3),
    sterna.nn.LIF(),
    sterna.nn.TernaryLinear(8, 3, one_scale=True),
    sterna.nn.Readout(),
)
FOUND = sterna.from_torch(MODEL, PIXELS / 255, steps=2)
RECORDS = {"Result", "Evaluation", "Imported", "Run", "Difference"}
"""What calls return: nobody makes them."""

CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "load": (sterna.load, {"path": NOWHERE}),
    "Network.save": (NET.save, {"folder": "build/fuzz-arguments"}),
    "example": (sterna.example, {"name": "digits"}),
    "examples": (sterna.examples, {}),
    "evaluate": (sterna.evaluate, {"network": NET, "data": (PIXELS, LABELS)}),
    "Result.accuracy": (RESULT.accuracy, {"labels": LABELS}),
    "train": (sterna.train, {"recipe": NOWHERE, "data": None, "out": "build/fuzz-run"}),
    "train a network": (
        sterna.train,
        {"recipe": FLOAT, "data": (PIXELS, LABELS), "out": "build/fuzz-run"},
    ),
    "from_nir": (sterna.from_nir, {"path_or_graph": NOWHERE, "dt": 1.0, "steps": 2}),
    "from_qonnx": (sterna.from_qonnx, {"path_or_model": NOWHERE}),
    "to_nir": (sterna.to_nir, {"network": FLOAT, "path": "build/fuzz.nir", "reset": "subtract"}),
    "from_torch": (sterna.from_torch, {"model": MODEL, "example": PIXELS / 255, "steps": 2}),
    "from_torch, of recordings": (
        sterna.from_torch,
        {"model": MODEL, "example": np.zeros((3, 2, 1, 4, 4)), "input": "frames"},
    ),
    "Imported.check": (FOUND.check, {"data": (PIXELS, LABELS)}),
    "Imported.calibrate": (FOUND.calibrate, {"data": PIXELS}),
    "run": (sterna.run, {"network": NET, "images": PIXELS}),
    "quantize": (sterna.quantize, {"network": FLOAT, "calibration": PIXELS}),
    "fold": (sterna.fold, {"network": NET}),
    "solve": (sterna.solve, {"network": NET, "luts": 100_000, "family": "ecp5"}),
    "build": (sterna.build, {"network": NOWHERE}),
    "build a network": (sterna.build, {"network": NET, "out": "build/fuzz-net", "upto": "fold"}),
    "Build": (sterna.Build, {"folder": NOWHERE}),
    "Build.synth": (sterna.Build(NOWHERE).synth, {"target": "ecp5"}),
    "Build.bitstream": (sterna.Build(NOWHERE).bitstream, {"board": "ulx3s-85f"}),
    "Build.power": (sterna.Build(NOWHERE).power, {"images": PIXELS}),
    "Build.read_meter": (sterna.Build(NOWHERE).read_meter, {"mw": 2.0}),
    "Build.export": (sterna.Build(NOWHERE).export, {"folder": "build/fuzz-export"}),
    "simulate": (sterna.simulate, {"build": NOWHERE, "images": PIXELS}),
    "Simulator": (sterna.Simulator, {"build": NOWHERE}),
    "Board": (sterna.Board, {"port": "/dev/no-such-port"}),
    "PynqBoard": (sterna.PynqBoard, {"overlay": None, "build": NOWHERE}),
    "selftest": (with_a_build, {"board": object.__new__(sterna.Board), "build": NOWHERE}),
    "ImageSet": (ImageSet, {"source": PIXELS}),
    "compare": (sterna.compare, {"a": RESULT, "b": RESULT}),
    "NeuronRule": (sterna.NeuronRule, {"threshold": [1, 2]}),
    "Decay": (sterna.Decay, {"k1": 1}),
    "Network": (sterna.Network, {"steps": 2, "nodes": NET.nodes}),
    "Input": (sterna.Input, {"name": "x", "shape": (1, 4, 4)}),
    "Conv2d": (sterna.Conv2d, {"name": "c", "input": "x", "weight": ONE((2, 1, 3, 3))}),
    "Linear": (sterna.Linear, {"name": "f", "input": "x", "weight": ONE((2, 3))}),
    "Neuron": (sterna.Neuron, {"name": "n", "inputs": ("c",), "rule": RULE}),
    "Pool": (sterna.Pool, {"name": "p", "input": "n", "mode": "sum"}),
    "Merge": (sterna.Merge, {"name": "m", "inputs": ("n", "o"), "mode": "add"}),
    "Readout": (
        sterna.Readout,
        {"name": "r", "inputs": ("f",), "rule": sterna.NeuronRule(ONE(2), "none")},
    ),
    "FloatNetwork": (sterna.FloatNetwork, {"steps": 2, "nodes": FLOAT.nodes}),
    "FloatNetwork.load": (sterna.FloatNetwork.load, {"path": NOWHERE}),
    "FloatNetwork.save": (FLOAT.save, {"folder": "build/fuzz-arguments"}),
    "FloatInput": (as_network(fl.FloatInput), {"name": "x", "shape": (1, 4, 4)}),
    "FloatConv2d": (
        as_network(fl.FloatConv2d),
        {"name": "c", "input": "x", "weight": ONE((2, 1, 3, 3))},
    ),
    "FloatLinear": (as_network(fl.FloatLinear), {"name": "f", "input": "n", "weight": ONE((3, 8))}),
    "FloatNeuron": (as_network(fl.FloatNeuron), {"name": "n", "inputs": ("c",)}),
    "FloatPool": (as_network(fl.FloatPool), {"name": "only", "input": "n", "mode": "sum"}),
    "FloatMerge": (
        as_network(fl.FloatMerge),
        {"name": "only", "inputs": ("n", "n"), "mode": "add"},
    ),
    "FloatReadout": (as_network(fl.FloatReadout), {"name": "r", "inputs": ("f",)}),
    "BatchNorm": (with_norm, {"gamma": ONE(2), "beta": ONE(2), "mean": ONE(2), "var": ONE(2)}),
}


def attempt(name: str, changes: dict[str, Any]) -> None:
    """Right, or refused with a sentence of a length to read; nothing else."""
    call, right = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call(**right | changes)
        except SternaError as refused:
            text = str(refused)
            assert text and "\n" not in text and len(text) < 5000, text
            text.encode()  # half a character is no sentence


def test_every_public_name_is_tried() -> None:
    tried = {re.split("[., ]", name)[0] for name in CALLS}
    made = {n for n in sterna.__all__ if inspect.isclass(getattr(sterna, n))}
    errors = {n for n in made if issubclass(getattr(sterna, n), sterna.SternaError)}
    assert set(sterna.__all__) - tried == errors | (RECORDS - tried)


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_refused(name: str, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for argument in inspect.signature(CALLS[name][0]).parameters:
        for kind, value in WRONG.items():
            try:
                attempt(name, {argument: value})
            except Exception as error:
                error.add_note(f"{name}({argument}={kind})")
                raise


ANY = st.one_of(
    st.sampled_from(list(WRONG.values())),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.booleans(),
    st.sampled_from([np.int64(1), np.float32(2), np.uint8(255), np.str_("x")]),
    st.lists(st.integers(-9, 9), max_size=5),
    st.dictionaries(st.text(), st.integers(), max_size=3),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_cases_of_wrong_arguments_together(name: str, monkeypatch: Any, tmp_path: Any) -> None:
    """Several arguments at once, of any kind and in lists; minutes in all."""
    monkeypatch.chdir(tmp_path)
    parameters = list(inspect.signature(CALLS[name][0]).parameters)
    nested = st.one_of(ANY, st.lists(ANY, max_size=5), st.tuples(ANY, ANY))

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(parameters), nested, min_size=1, max_size=3))
    def tried(changes: dict[str, Any]) -> None:
        if name == "solve":  # takes a second where all is right
            changes = changes | {"luts": -1} if changes.keys() & {"luts", "fps"} else changes
        attempt(name, changes)

    tried()


@pytest.mark.slow
def test_cases_of_wrong_arguments_in_pairs(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "fold", "compare", "NeuronRule", "Conv2d", "FloatConv2d", "FloatNeuron"):
        parameters = inspect.signature(CALLS[name][0]).parameters
        for first, second in itertools.combinations(parameters, 2):
            for (a, left), (b, right) in itertools.product(WRONG.items(), repeat=2):
                try:
                    attempt(name, {first: left, second: right})
                except Exception as error:
                    error.add_note(f"{name}({first}={a}, {second}={b})")
                    raise
