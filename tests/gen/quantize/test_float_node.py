"""A FloatNetwork takes what is meant, once, and refuses the rest with the node's name."""

# Arguments of other types than declared are what is tested.
# pyright: reportArgumentType=false, reportCallIssue=false

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError
from sterna.golden.exact import run
from sterna.golden.files.network_files import structure_text

SIDE, C = 6, 4
RNG = np.random.default_rng(3)
WEIGHT = RNG.integers(-1, 2, (C, 1, 3, 3)) * np.float32(0.5)
HEAD = RNG.integers(-1, 2, (3, 2 * C * 3 * 3)) * np.float32(0.5)
NORM = [RNG.uniform(0.5, 1.5, C).astype(np.float32) for _ in range(4)]
EACH = RNG.uniform(0.5, 1.5, C).astype(np.float32)
STEPS = 3


def chain(**changes: dict[str, Any]) -> FloatNetwork:
    nodes = [
        FloatInput("x", (1, SIDE, SIDE)),
        FloatConv2d("c", "x", WEIGHT, padding=(1, 1, 1, 1), norm=BatchNorm(*NORM)),
        FloatNeuron("n", ("c",)),
        FloatPool("p", "n", "sum"),
        FloatMerge("m", ("p", "p"), "concat"),
        FloatLinear("f", "m", HEAD),
        FloatReadout("r", ("f",)),
    ]
    return FloatNetwork(STEPS, [replace(n, **changes.get(n.name, {})) for n in nodes])


tensor = torch.tensor
MEANT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "int padding": ({"c": {"padding": 1}}, {}),
    "padding of two": ({"c": {"padding": (1, 1)}}, {}),
    "padding of numpy": ({"c": {"padding": np.array([1, 1])}}, {}),
    "int stride": (
        {"c": {"stride": 2}, "p": {"kernel": 1, "stride": 1}},
        {"c": {"stride": (2, 2)}, "p": {"kernel": (1, 1), "stride": (1, 1)}},
    ),
    "list stride": (
        {"c": {"stride": [2, np.int64(2)]}, "p": {"kernel": np.int8(1), "stride": [1, 1]}},
        {"c": {"stride": (2, 2)}, "p": {"kernel": (1, 1), "stride": (1, 1)}},
    ),
    "int kernel": ({"p": {"kernel": 2, "stride": 2}}, {}),
    "pool stride of None": ({"p": {"stride": None}}, {}),
    "numpy groups": ({"c": {"groups": np.int64(1)}}, {}),
    "tensor weight": ({"c": {"weight": tensor(WEIGHT)}}, {}),
    "Parameter": ({"c": {"weight": torch.nn.Parameter(tensor(WEIGHT))}}, {}),
    "bfloat16": ({"c": {"weight": tensor(WEIGHT).bfloat16()}}, {}),
    "list weight": ({"c": {"weight": WEIGHT.tolist()}}, {}),
    "reversed weight": ({"c": {"weight": WEIGHT[::-1]}}, {"c": {"weight": WEIGHT[::-1].copy()}}),
    "big-endian weight": ({"c": {"weight": WEIGHT.astype(">f4")}}, {}),
    "whole weight": ({"f": {"weight": (HEAD * 2).astype(np.int8)}}, {"f": {"weight": HEAD * 2.0}}),
    "one string": ({"n": {"inputs": "c"}, "r": {"inputs": "f"}, "c": {"input": ("x",)}}, {}),
    "threshold (C,1,1)": ({"n": {"threshold": EACH.reshape(C, 1, 1)}}, {"n": {"threshold": EACH}}),
    "threshold (1,C,1,1)": (
        {"n": {"threshold": tensor(EACH).reshape(1, C, 1, 1)}},
        {"n": {"threshold": EACH}},
    ),
    "threshold list": ({"n": {"threshold": EACH.tolist()}}, {"n": {"threshold": EACH}}),
    "threshold tensor": ({"n": {"threshold": tensor(2.0)}}, {"n": {"threshold": 2.0}}),
    "threshold of one": ({"n": {"threshold": np.array([2.0])}}, {"n": {"threshold": 2.0}}),
    "leak tensor": ({"n": {"leak": torch.nn.Parameter(tensor(0.5))}}, {"n": {"leak": 0.5}}),
    "leak (C,1,1)": ({"n": {"leak": np.full((C, 1, 1), 0.5)}}, {"n": {"leak": 0.5}}),
    "synapse": ({"n": {"synapse": np.float32(0.5)}}, {"n": {"synapse": 0.5}}),
    "bias (T,C,1,1)": (
        {"n": {"bias": np.tile(EACH, (STEPS, 1)).reshape(STEPS, C, 1, 1)}},
        {"n": {"bias": np.tile(EACH, (STEPS, 1))}},
    ),
    "bias of a convolution": ({"c": {"bias": 1}}, {"c": {"bias": np.ones(C)}}),
    "bias (O,1,1)": ({"c": {"bias": EACH.reshape(C, 1, 1)}}, {"c": {"bias": EACH}}),
    "strict": ({"n": {"strict": np.bool_(True)}}, {"n": {"strict": True}}),
    "delay": ({"n": {"delay": np.int64(1)}}, {"n": {"delay": 1}}),
    "norm without affine": (
        {"c": {"norm": BatchNorm(None, None, *NORM[2:])}},  # type: ignore
        {"c": {"norm": BatchNorm(np.ones(C), np.zeros(C), *NORM[2:])}},
    ),
    "norm of numbers": (
        {"c": {"norm": BatchNorm(1, 0.5, 0, 1.0)}},  # type: ignore[arg-type]
        {"c": {"norm": BatchNorm(*(np.full(C, v) for v in (1, 0.5, 0, 1.0)))}},
    ),
    "norm of tensors": (
        {"c": {"norm": BatchNorm(*(tensor(a).reshape(1, C, 1, 1) for a in NORM))}},
        {},
    ),  # type: ignore[arg-type]
    "norm of lists": ({"c": {"norm": BatchNorm(*(a.tolist() for a in NORM))}}, {}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", MEANT)
def test_what_is_meant_is_taken(what: str, tmp_path: Any) -> None:
    given, plain = (chain(**changes) for changes in MEANT[what])
    images = RNG.integers(0, 256, (8, 1, SIDE, SIDE)).astype(np.uint8)
    wanted = quantize(plain, images)[0]
    for network in (given, FloatNetwork.load(given.save(tmp_path))):
        got = quantize(network, images)[0]
        assert structure_text(got) == structure_text(wanted)
        assert np.array_equal(run(got, images).logits, run(wanted, images).logits)


def test_steps_of_numpy_and_nodes_that_are_right_stay_as_they_are() -> None:
    network = chain()
    again = FloatNetwork(np.int64(STEPS), iter(network.nodes))  # type: ignore[arg-type]
    assert type(again.steps) is int and all(a is b for a, b in zip(again.nodes, network.nodes))
    assert network.by_name["c"].weight is WEIGHT  # type: ignore[union-attr]


def test_a_pools_stride_is_its_kernel() -> None:
    pool = FloatPool("p", "n", "sum", kernel=(3, 3))
    assert pool.stride == (3, 3)
    network = FloatNetwork(
        1,
        [
            FloatInput("x", (1, 9, 9)),
            FloatConv2d("c", "x", np.ones((1, 1, 1, 1))),
            FloatNeuron("n", ("c",)),
            pool,
            FloatLinear("f", "p", np.ones((2, 9))),
            FloatReadout("r", ("f",)),
        ],
    )
    assert network.shape["p"] == (1, 3, 3)
    assert quantize(network, np.zeros((1, 1, 9, 9), np.uint8))[0].shape["p"] == (1, 3, 3)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "weight axes": ({"c": {"weight": WEIGHT[0]}}, "'c': weight has shape .*; give .O, C//groups"),
    "weight of a linear": ({"f": {"weight": HEAD[0]}}, "'f': weight has shape .*; give .O, C.H.W"),
    "weight words": ({"c": {"weight": [["a"]]}}, "'c': weight must be numbers, not <U1"),
    "weight ragged": ({"c": {"weight": [[1], [1, 2]]}}, "'c': weight .* is no array"),
    "weight None": ({"c": {"weight": None}}, "'c': weight must be numbers"),
    "weight bool": ({"c": {"weight": WEIGHT > 0}}, "'c': weight must be numbers, not bool"),
    "weight complex": ({"c": {"weight": WEIGHT * 1j}}, "'c': weight must be numbers, not complex"),
    "weight NaN": ({"c": {"weight": WEIGHT * np.nan}}, "'c': weight holds NaN or infinity"),
    "weight huge": (
        {"c": {"weight": WEIGHT.astype(np.longdouble) * np.longdouble("1e4000")}},
        "'c': weight inf is beyond the range of float32",
    ),
    "weight sparse": ({"f": {"weight": tensor(HEAD).to_sparse()}}, "'f': weight .* is no array"),
    "stride": ({"c": {"stride": (1, 2, 3)}}, "'c': stride .1, 2, 3. must be 2 integers of at l"),
    "stride real": ({"c": {"stride": 1.5}}, "'c': stride 1.5 must be 2 integers of at least 1"),
    "padding same": ({"c": {"padding": "same"}}, "'c': padding 'same' must be 4 integers"),
    "padding 3": ({"c": {"padding": 3}}, "'c': padding .3, 3, 3, 3. must be smaller than kernel"),
    "kernel": ({"p": {"kernel": (0, 1)}}, "'p': kernel .0, 1. must be 2 integers"),
    "groups": ({"c": {"groups": True}}, "'c': groups True must be at least 1"),
    "kind": ({"c": {"kind": None}}, "'c': weight kind None is not one of ternary, binary, real"),
    "bias length": ({"c": {"bias": EACH[1:]}}, "'c': bias has shape .3,., which fits no 4 chan"),
    "bias of readout": ({"r": {"bias": np.ones(4)}}, "'r': bias has shape .4,., which fits no 3"),
    "bias (C, T)": ({"n": {"bias": np.ones((C, STEPS))}}, "'n': bias has shape .*or .3, 4.$"),
    "threshold shape": ({"n": {"threshold": np.ones((C, 6, 6))}}, "'n': threshold has shape .4, 6"),
    "threshold empty": ({"n": {"threshold": np.zeros((2, 0))}}, "'n': threshold has shape .2, 0"),
    "threshold word": ({"n": {"threshold": "1"}}, "'n': threshold must be numbers"),
    "threshold None": ({"n": {"threshold": None}}, "'n': has no threshold; give a number or .4"),
    "threshold NaN": ({"n": {"threshold": float("nan")}}, "'n': threshold holds NaN or inf"),
    "leaks": ({"n": {"leak": EACH}}, "'n': a leak for each channel cannot be built; give one"),
    "leak word": ({"n": {"leak": "ramp"}}, "'n': leak 'ramp' must be a real number"),
    "leak NaN": ({"n": {"leak": np.nan}}, "'n': leak holds NaN or infinity"),
    "synapse": ({"n": {"synapse": "exp"}}, "'n': synapse 'exp' must be a real number"),
    "strict": ({"n": {"strict": 1}}, "'n': strict 1 must be True or False"),
    "delay": ({"n": {"delay": True}}, "'n': delay True must be 0 or 1"),
    "reset": ({"n": {"reset": "soft"}}, "'n': reset 'soft' is not one of subtract, zero, once"),
    "mode": (
        {"p": {"mode": "mean"}},
        "'p': pool mode 'mean' is not one of sum, avg, max, or, first",
    ),
    "merge": ({"m": {"mode": "cat"}}, "'m': merge mode 'cat' is not one of add, or, and, andnot"),
    "merge of one": ({"m": {"inputs": "p"}}, "'m': concat of 1 inputs; give it two or more"),
    "readout": ({"r": {"mode": "sum"}}, "'r': readout mode 'sum' is not one of membrane, count"),
    "amplitude": ({"n": {"amplitude": 0}}, "'n': amplitude 0 must be a positive real number"),
    "scale": ({"x": {"scale": float("inf")}}, "'x': scale inf must be a positive real number"),
    "coding": ({"x": {"coding": "burst"}}, "'x': coding 'burst' is not one of direct, frames"),
    "shape": ({"x": {"shape": (1, 2**40, 2**40)}}, "'x': a map of 1 x .* is larger than 16777216"),
    "mean": ({"x": {"mean": (1, 2)}}, "'x': mean has shape .2,., which fits no 1 channels"),
    "norm": ({"c": {"norm": torch.nn.BatchNorm2d(4)}}, "'c': norm BatchNorm2d.* must be a BatchN"),
    "norm statistics": (
        {"c": {"norm": BatchNorm(*NORM[:2], None, None)}},  # type: ignore[arg-type]
        "'c': its batch norm has no running mean; train it with track_running",
    ),
    "norm length": (
        {"c": {"norm": BatchNorm(*NORM[:3], NORM[3][1:])}},
        "'c': norm.var has shape .3,., which fits no 4 channels",
    ),
    "norm eps": ({"c": {"norm": BatchNorm(*NORM, eps=-1)}}, "'c': norm.eps -1 must be a real"),
    "norm of zeros": (
        {"c": {"norm": BatchNorm(*NORM[:3], np.zeros(C), eps=0)}},
        "'c': a variance and eps are both 0; give norm.eps more than 0",
    ),
    "source": ({"c": {"input": "nobody"}}, "'c': input 'nobody' does not exist"),
    "source of none": ({"c": {"input": None}}, "'c': input None must be the names of nodes"),
    "sources": ({"n": {"inputs": {"c"}}}, "'n': inputs {'c'} must be the names of nodes"),
    "two sources": ({"c": {"input": ("x", "y")}}, "'c': reads one node, not 2; join them in"),
    "readers of a readout": ({"m": {"inputs": ("p", "r")}}, "cycle|reads the readout 'r'"),
    "module path": ({"p": {"name": "0.pool"}}, "'0.pool': names must match .*; call it 'n0_pool'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_meant_is_refused_with_the_nodes_name(what: str) -> None:
    changes, sentence = REFUSED[what]
    with pytest.raises(NetworkError, match=sentence):
        chain(**changes)


@pytest.mark.parametrize("steps", [0, 1025, True, 2.0, "2", None])
def test_steps_are_refused(steps: Any) -> None:
    with pytest.raises(NetworkError, match="steps .* must be an integer, 1 to 1024"):
        FloatNetwork(steps, chain().nodes)


def test_nodes_are_float_nodes() -> None:
    with pytest.raises(NetworkError, match="network: 5 is no float node; give FloatInput"):
        FloatNetwork(2, [5])  # type: ignore[list-item]
    with pytest.raises(NetworkError, match="network: nodes None must be a list"):
        FloatNetwork(2, None)  # type: ignore[arg-type]


def test_a_thousand_nodes_are_sorted_at_once() -> None:
    body: list[Any] = [FloatInput("x", (1, 1, 1)), FloatReadout("r", ("f",))]
    body += [FloatLinear("f", "n999", np.ones((1, 1)))]
    for k in reversed(range(1000)):
        source = f"n{k - 1}" if k else "x"
        body += [FloatNeuron(f"n{k}", (f"c{k}",)), FloatLinear(f"c{k}", source, np.ones((1, 1)))]
    names = [n.name for n in FloatNetwork(1, body).nodes]
    assert names[:3] == ["x", "c0", "n0"] and names[-2:] == ["f", "r"] or names[-1] == "r"
