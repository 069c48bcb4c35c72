"""The package neurobench on twins of networks in its framework: every figure the same.

`make` installs it without what it asks for (tonic, numba, torchaudio): its metrics need none of it.
"""

import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fuzz import Limits, Seeded, describe, random_images, random_network
from torch import nn

import sterna
from sterna.evaluation import counted_run
from sterna.golden.coding import encode
from sterna.golden.exact import run
from sterna.golden.files.network_files import tensors
from sterna.golden.nodes import Linear, NeuronNode, WeightedNode

if importlib.util.find_spec("neurobench") is None:
    pytest.skip("neurobench is not installed", allow_module_level=True)

from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import (
    ActivationSparsity,
    ActivationSparsityByLayer,
    SynapticOperations,
)
from neurobench.models import SNNTorchModel, TorchModel

SMALL = Limits(channels=5, side=7, layers=3, steps=5, planes=32, graphs=True, pools=30)


class Conv(nn.Conv2d):
    """A convolution of int8 weights; sums in float64, which holds every count."""

    def __init__(self, node):
        w = node.weight
        size = (w.shape[1] * node.groups, w.shape[0], w.shape[2:])
        super().__init__(*size, node.stride, 0, node.dilation, node.groups, bias=False)
        self.weight = nn.Parameter(torch.tensor(w), requires_grad=False)
        top, bottom, left, right = node.padding
        self.around = left, right, top, bottom

    def forward(self, x):
        w = self.weight.double()
        x = F.pad(x, self.around)
        return F.conv2d(x, w, None, self.stride, 0, self.dilation, self.groups)


class Full(nn.Linear):
    def __init__(self, node):
        super().__init__(*node.weight.shape[::-1], bias=False)
        self.weight = nn.Parameter(torch.tensor(node.weight), requires_grad=False)

    def forward(self, x):
        return x.flatten(1) @ self.weight.double().T


class Spikes(nn.Module):
    """Neurons: their numbers, and the spikes of a step, which golden has computed."""

    def forward(self, spikes):
        return spikes


class Twin(nn.Module):
    """Every layer of a network as a module, called at every step, or once on direct pixels."""

    def __init__(self, network, images):
        super().__init__()
        self.network = network
        done = run(network, images, trace="all")
        coded = encode(network.input, images, network.steps)
        self.streams = {network.input.name: coded, **done.spikes}
        for node in network.nodes:
            if isinstance(node, WeightedNode):
                module = (Full if isinstance(node, Linear) else Conv)(node)
            elif isinstance(node, NeuronNode):
                module = nn.Module() if node is network.readout else Spikes()
                for name, values in tensors(network).items():
                    owner, _, name = name.partition(".")
                    if owner == node.name:
                        module.register_buffer(name.replace(".", "_"), torch.tensor(values))
            else:
                continue
            self.add_module(node.name, module)

    def forward(self, b):
        """Image ``b``: batches of one, since the package calls whole batches spiking or not."""
        for node in self.network.nodes:
            if isinstance(node, WeightedNode) or isinstance(self._modules.get(node.name), Spikes):
                name = node.input if isinstance(node, WeightedNode) else node.name
                for step in self.streams[name][:, b : b + 1]:
                    self.get_submodule(node.name)(torch.tensor(step).double())


def measured(network, images, count):
    model = TorchModel(Twin(network, images))
    model.add_activation_module(Spikes)
    model.register_hooks()
    ops, layers, whole = SynapticOperations(), ActivationSparsityByLayer(), ActivationSparsity()
    shares = []
    for b in range(count):
        model(b)
        data = torch.zeros(1), None
        found = ops(model, None, data), layers(model, None, data)
        shares.append(whole(model, None, data))
        model.reset_hooks()
    return model, *found, sum(shares) / count


@pytest.mark.parametrize("seed", [*range(12), "digits", "ttfs", "peer_mlp"])
def test_every_figure_is_that_of_the_package(seed):
    if isinstance(seed, int):
        draw, count = Seeded(1000 + seed), 3
        network = random_network(draw, SMALL)
        images = random_images(draw, network, count)
    else:
        network, count = sterna.example(seed), 2
        images = np.random.default_rng(3).integers(0, 17, (count, *network.input.shape)) * 15
        images = np.minimum(images, (1 << network.input.bits) - 1)
    _, counts = counted_run(network, images)
    model, ops, layers, sparsity = measured(network, images, count)
    mine = [counts.effective_macs, counts.effective_acs, counts.dense]
    assert mine == [ops[k] for k in ("Effective_MACs", "Effective_ACs", "Dense")], describe(network)
    hidden = [a for a in counts.as_dict()["activations"] if a["node"] != network.readout.name]
    assert {a["node"]: a["sparsity"] for a in hidden} == layers
    if network.readout.mode != "count" and hidden:  # the twin's readout is no spiking layer
        assert counts.activation_sparsity == pytest.approx(sparsity, abs=1e-15)
    assert counts.tensor_bytes == Footprint()(model)
    assert round(counts.connection_sparsity, 4) == pytest.approx(ConnectionSparsity()(model))


def test_a_model_of_snntorch_and_its_import():
    """The user's way: one's own snnTorch model, measured by the package and imported here."""
    import snntorch as snn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3, 2, 1, bias=False)
            self.lif = snn.Leaky(beta=1.0, threshold=2.0, reset_mechanism="zero", init_hidden=True)
            self.fc = nn.Linear(64, 3, bias=False)
            self.out = snn.Leaky(beta=1.0, threshold=3.0, reset_mechanism="zero", init_hidden=True)
            self.out.output = True

        def forward(self, x):
            return self.out(self.fc(self.lif(self.conv(x)).flatten(1)))

    class Loop(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, frames):
            snn.utils.reset(self.net)
            return torch.stack([self.net(x)[0] for x in frames]).sum(0)

    generator = torch.Generator().manual_seed(8)
    model = Model()
    with torch.no_grad():
        for layer in (model.conv, model.fc):
            layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape, generator=generator))
    frames = torch.randint(0, 2, (6, 4, 2, 8, 8), generator=generator).float()  # B, T, C, H, W
    twin = SNNTorchModel(model)
    twin.register_hooks()
    spikes = twin(frames)
    data = frames, None
    ops = SynapticOperations()(twin, spikes, data)
    layers = ActivationSparsityByLayer()(twin, spikes, data)
    twin.cleanup_hooks()

    images = frames.transpose(0, 1).numpy().astype(np.uint8)
    came = sterna.from_torch(Loop(model), frames[:1].transpose(0, 1), input="frames")
    network, _ = sterna.quantize(came, images)
    result, counts = counted_run(network, images)
    assert (result.logits == spikes.sum(1).detach().numpy()).all()
    assert counts.effective_acs == ops["Effective_ACs"] and counts.effective_macs == 0
    assert counts.dense == ops["Dense"]
    assert {a.node: a for a in counts.activations}.keys() and len(layers) == 2
    shares = [a["sparsity"] for a in counts.as_dict()["activations"]]
    assert shares == list(layers.values())
    assert round(counts.connection_sparsity, 4) == pytest.approx(ConnectionSparsity()(twin))
