"""The neuron's software: types, inputs, and the libraries that define the same neuron.

NIR is not among them: it defines neurons in continuous time, without a step or a soft reset, so
there is no reference output to equal. Its translation is tested where files are read.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_decay, plain_neuron
from rulecase import rules

from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import decay, scan
from sterna.golden.rule import Decay, NeuronRule

T, B, C = 8, 2, 3


@settings(max_examples=40)
@given(st.data())
def test_scan_of_every_type_equals_plain_integers(data):
    weighted, spikes = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 2))
    rule = rules(data.draw, weighted=weighted, spikes=spikes)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    xs = [
        rng.integers(-40, 41, (T if k else data.draw(st.sampled_from((1, T))), B, C, 1, 2))
        for k in range(weighted)
    ]
    ss = [rng.integers(0, 4, (T, B, C, 1, 2)) for _ in range(spikes)]
    drive = sum(x << s for x, s in zip(xs, rule.shifts)) + np.zeros((T, 1, 1, 1, 1), int)
    drive = drive + sum(s * c[:, None, None].astype(int) for s, c in zip(ss, rule.coef))
    for dtype in (torch.int64, torch.int32, torch.float64):
        tensors = [torch.tensor(x).to(dtype) for x in xs]
        shortcuts = [torch.tensor(s, dtype=torch.uint8) for s in ss]
        done = scan(tensors, rule, T, shortcuts, record=("u", "v", "current"))
        for b, c, x in np.ndindex(B, C, 2):
            out, v, history = plain_neuron(drive[:, b, c, 0, x].tolist(), rule, c)
            assert done.spikes[:, b, c, 0, x].tolist() == out
            assert done.v[b, c, 0, x] == v
            for register in ("u", "v", "current"):
                ours = done.record[register][: len(history), b, c, 0, x].tolist()
                assert ours == [step[register] for step in history]


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 12), st.none() | st.integers(1, 12))
def test_decay_rounds_half_up_for_all_types(x, k1, k2):
    if k2 is not None and k1 == k2 == 1:
        k2 = 2
    d = Decay(k1, k2)
    assert d(x) == plain_decay(x, d)
    assert decay(torch.tensor(x), d) == plain_decay(x, d)
    assert decay(torch.tensor(x, dtype=torch.float64), d) == plain_decay(x, d)


def test_scan_refuses_inputs_that_do_not_fit_the_rule():
    rule = NeuronRule([1, 1])
    x = torch.zeros(4, 1, 2, dtype=torch.int32)
    with pytest.raises(UsageError, match="2 weighted and 0 spike inputs"):
        scan([x, x], rule, 4)
    with pytest.raises(UsageError, match="3 channels for a rule of 2"):
        scan(torch.zeros(4, 1, 3), rule, 4)
    with pytest.raises(UsageError, match="all need"):
        scan(x, rule, 5)


@pytest.mark.parametrize(
    "rule, message",
    [
        ({"threshold": [0.5]}, "threshold must be integers; quantize"),
        ({"threshold": [float("nan")]}, "threshold holds NaN"),
        ({"threshold": [2**31]}, "threshold does not fit 32 bits"),
        ({"threshold": ["a"]}, "threshold must be integers, not"),
        ({"threshold": [[1]]}, "threshold has 2 axes"),
        ({"threshold": [1], "bias": [1, 2]}, "bias has 2 channels, threshold has 1"),
        ({"threshold": [1], "reset": "soft"}, "reset 'soft' is not one of"),
        ({"threshold": [1], "synapse": "exp"}, "synapse 'exp' is not a Decay"),
        ({"threshold": [1], "leak": 0.5}, "leak 0.5 is not a Decay"),
        ({"threshold": [1], "delay": 2}, "delay 2 must be 0 or 1"),
        ({"threshold": [1], "fraction_bits": 17}, "fraction_bits 17 not in"),
        ({"threshold": [1], "fraction_bits": 1.5}, "fraction_bits 1.5 not in"),
        ({"threshold": [1], "shifts": (9,)}, "shifts .* not in"),
        ({"threshold": [1], "shifts": (0.5,)}, "shifts .* not in"),
    ],
)
def test_rule_refuses(rule, message):
    with pytest.raises(NetworkError, match=message):
        NeuronRule(**rule)


@pytest.mark.parametrize("k", [(0,), (13,), (1, 1.5), ("1",), (True,)])
def test_decay_refuses(k):
    with pytest.raises(NetworkError, match="decay exponent must be an integer from 1 to 12"):
        Decay(*k)


# --- libraries: same neuron, exact numbers (all values are dyadic, so float64 never rounds) ----

F = 16  # enough fraction bits that halving never rounds within T steps


def currents(seed=0, most=4):
    # At most one threshold a step: above that, snnTorch subtracts less than a threshold a spike.
    return np.random.default_rng(seed).integers(-3, most + 1, (T, 4, C))


def library(neuron, x):
    out = []
    for step in torch.tensor(x, dtype=torch.float64):
        result = neuron(step)
        out.append(result[0] if isinstance(result, tuple) else result)
    return torch.stack(out).to(torch.uint8).numpy()


def ours(x, **rule):
    done = scan(torch.tensor(x), NeuronRule(**rule, fraction_bits=F), T)
    return done.spikes.numpy()


THRESHOLD = 4
HERE = np.full(C, THRESHOLD << F)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [1.0, 0.5, 0.75])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_snntorch_leaky_with_reset_in_the_same_step(beta, reset, seed):
    snntorch = pytest.importorskip("snntorch", reason="could not import snntorch")
    neuron = snntorch.Leaky(
        beta=torch.tensor(beta, dtype=torch.float64),
        threshold=THRESHOLD,
        init_hidden=True,
        reset_mechanism=reset,
        reset_delay=False,
    ).double()
    theirs = library(neuron, currents(seed))
    leak = {1.0: None, 0.5: Decay(1), 0.75: Decay(2)}[beta]
    got = ours(currents(seed), threshold=HERE + 1, reset_by=HERE, reset=reset, leak=leak)  # their >
    assert theirs.any() and (got == theirs).all()


@pytest.mark.parametrize("seed", range(3))
def test_snntorch_leaky_whose_subtraction_comes_a_step_later(seed):
    # their default: mem = beta*mem + x - threshold*spiked, so reset_by = threshold / beta here
    snntorch = pytest.importorskip("snntorch", reason="could not import snntorch")
    neuron = snntorch.Leaky(beta=0.5, threshold=THRESHOLD, init_hidden=True).double()
    theirs = library(neuron, currents(seed))
    got = ours(currents(seed), threshold=HERE + 1, reset_by=2 * HERE, leak=Decay(1))
    assert theirs.any() and (got == theirs).all()


def test_snntorch_synaptic():
    snntorch = pytest.importorskip("snntorch", reason="could not import snntorch")
    neuron = snntorch.Synaptic(
        alpha=0.5,
        beta=0.75,
        threshold=THRESHOLD,
        init_hidden=True,
        reset_mechanism="subtract",
        reset_delay=False,
    ).double()
    x = currents(most=2)  # the synapse doubles it
    theirs = library(neuron, x)
    got = ours(x, threshold=HERE + 1, reset_by=HERE, leak=Decay(2), synapse=Decay(1))
    assert theirs.any() and (got == theirs).all()


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("kind", ["IF", "LIF"])
def test_spikingjelly(kind, hard):
    # Not among the extras: its dependencies replace a CPU torch, so it is installed by hand.
    neurons = pytest.importorskip(
        "spikingjelly.activation_based.neuron",
        reason="optional: pip install --no-deps spikingjelly loguru",
    )
    options = {"v_threshold": float(THRESHOLD), "v_reset": 0.0 if hard else None}
    if kind == "IF":
        neuron, leak = neurons.IFNode(**options), None
    else:
        neuron, leak = neurons.LIFNode(tau=2.0, decay_input=False, **options), Decay(1)
    theirs = library(neuron, currents())
    got = ours(currents(), threshold=HERE, reset="zero" if hard else "subtract", leak=leak)
    assert theirs.any() and (got == theirs).all()
