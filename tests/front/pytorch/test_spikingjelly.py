"""SpikingJelly's neurons, step by step against SpikingJelly's own forward pass."""

import importlib.util
import inspect
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sterna.front.cell import CELLS
from sterna.front.pytorch.model import from_torch

if importlib.util.find_spec("spikingjelly") is None:
    pytest.skip("spikingjelly is not installed", allow_module_level=True)
if importlib.util.find_spec("loguru") is None:  # it only logs with it
    stub: Any = types.ModuleType("loguru")
    stub.logger = __import__("unittest.mock").mock.MagicMock()
    sys.modules.setdefault("loguru", stub)
neuron = pytest.importorskip("spikingjelly.activation_based.neuron", exc_type=ImportError)


def trits(seed: int, *shape: int) -> torch.Tensor:
    w = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], shape)
    w.reshape(shape[0], -1)[:, 0] = 1
    return torch.tensor(w, dtype=torch.float32)


def net(make: Any) -> nn.Module:
    conv, fc = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Linear(36, 5, bias=False)
    with torch.no_grad():
        conv.weight.copy_(trits(1, 4, 1, 3, 3))
        fc.weight.copy_(trits(2, 5, 36))
    return nn.Sequential(conv, make(), nn.MaxPool2d(2), nn.Flatten(), fc, neuron.IFNode())


NEURONS = {
    "if": lambda: neuron.IFNode(),
    "if soft": lambda: neuron.IFNode(v_reset=None),
    "if v_reset": lambda: neuron.IFNode(v_reset=0.25, detach_reset=True),
    "lif": lambda: neuron.LIFNode(),
    "lif soft": lambda: neuron.LIFNode(v_reset=None, v_threshold=0.5),
    "lif v_reset": lambda: neuron.LIFNode(tau=4.0, v_reset=0.3),
    "lif input whole": lambda: neuron.LIFNode(tau=4.0, decay_input=False),
    "lif input whole, soft": lambda: neuron.LIFNode(decay_input=False, v_reset=None),
    "lif input whole, v_reset": lambda: neuron.LIFNode(decay_input=False, v_reset=0.3),
    "plif": lambda: neuron.ParametricLIFNode(init_tau=5 / 3),
    "plif input whole": lambda: neuron.ParametricLIFNode(init_tau=1.1, decay_input=False),
    "plif soft": lambda: neuron.ParametricLIFNode(v_reset=None),
}


@pytest.mark.parametrize("name", list(NEURONS))
def test_a_neuron_fires_as_there(name: str) -> None:
    found = from_torch(net(NEURONS[name]), torch.rand(2, 1, 6, 6), steps=6)
    images = np.random.default_rng(3).integers(0, 256, (16, 1, 6, 6)).astype(np.uint8)
    check = found.check(images)
    assert check.exact and check.classes == 1, check.table()
    assert all(s.spikes for s in check.layers), check.table()


def test_every_neuron_has_a_verdict() -> None:
    for name, kind in inspect.getmembers(neuron, inspect.isclass):
        if issubclass(kind, nn.Module) and kind.__module__.startswith(neuron.__name__):
            assert f"spikingjelly.{name}" in CELLS, name
