"""Pools of sums in training: between batch norm and neurons, folded as the integers have them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sterna.gen.quantize.float_network import FloatNeuron, FloatPool
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run
from sterna.train.module.layers import Layers
from sterna.train.module.module import SpikingModule
from sterna.train.module.nq import NQ
from sterna.train.module.pooling import pool, pooled


def network(layer: str, kind: str = "ternary", **neuron):
    made = Layers(
        "recipe",
        {"shape": [2, 8, 8], "steps": 3, "kind": kind, "neuron": {"threshold": 0.6, **neuron}},
        7,
    )
    for text in (layer, "8C3p1", "P3s2p1max", "FC4"):
        made.add(text)
    return made.network()


def images(count: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 2, 8, 8)).astype(np.uint8)


def test_a_recipe_has_a_pool_between_norm_and_neurons():
    net = network("6C3p1-MP2")
    node, spikes = net.by_name["pool1"], net.by_name["spike1"]
    assert isinstance(node, FloatPool) and (node.mode, node.input) == ("max", "conv1")
    assert node.kernel == node.stride == (2, 2) and spikes.inputs == ("pool1",)
    assert net.by_name["conv1"].norm is not None and net.shape["spike1"] == (6, 4, 4)
    assert network("6C3p1-AP2").by_name["pool1"].mode == "avg"
    for word in ("6C3-M2", "6C3-MP0", "6C3-MP2s", "MP2"):
        with pytest.raises(UsageError, match=f"layer '{word}' is not understood; write"):
            network(word)


def test_a_padded_mean_of_normed_sums_is_not_trained():
    """Its norms would move away from what padding has none of: told before the first epoch."""
    with pytest.raises(NetworkError, match="adds padding, and sums of 'conv1', whose bias or norm"):
        SpikingModule(network("6C3p1-AP3s2p1", "ternary"))


@pytest.mark.parametrize("layer", ["6C3p1-MP2", "6C3p1-AP2", "6C3p1-MP3s2p1"])
@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("neuron", [{}, {"leak": 0.5, "reset": "zero"}])
def test_the_folded_pass_is_the_integer_network(layer, kind, neuron):
    torch.manual_seed(3)
    module = SpikingModule(network(layer, kind, **neuron))
    module.momentum = 1.0
    with torch.no_grad():  # norms as training leaves them, gains of either sign
        for name in ("conv1", "conv2"):
            gamma = module.get(name, "gamma")
            gamma.copy_(torch.rand(len(gamma)) + 0.5)
            gamma[::2] *= -1
    module.train()
    pixels = torch.from_numpy(images())
    for _ in range(3):
        module(pixels).square().mean().backward()
    conv = module.get("conv1", "weight")
    assert conv.grad is not None and conv.grad.abs().sum() > 0
    module.eval()
    exported = module.export()
    bits = {n.name: 4 for n in exported.nodes if isinstance(n, FloatNeuron)} | {"readout": 0}
    whole, _ = quantize(exported, images(), fraction_bits=bits)
    module.fraction_bits = bits
    names = ("spike1", "spike2", "pool3")
    logits, spikes = module.trace(pixels, names)
    result = run(whole, images(), trace=names)
    for name, stream in spikes.items():
        want = torch.from_numpy(result.spikes[name].astype(np.int64))
        assert 0 < want.float().mean() < 1
        assert torch.equal(stream.long(), want), name
    np.testing.assert_allclose(logits.numpy(), result.logits * whole.readout.scale, rtol=1e-4)


def test_a_maximum_is_of_turned_sums_and_its_gradient_goes_to_the_place_that_has_it():
    node = FloatPool("p", "c", "max", (2, 2), (2, 2))
    z = torch.randn(3, 2, 4, 6, 6, requires_grad=True)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = pooled(node, z, True, sign)
    column = sign.view(-1, 1, 1)
    wanted = F.max_pool2d((z * column).flatten(0, 1), 2).unflatten(0, (3, 2)) * column
    assert torch.equal(found, wanted)
    found.sum().backward()
    assert z.grad is not None
    grads = z.grad.unfold(3, 2, 2).unfold(4, 2, 2).flatten(-2)
    assert torch.equal(grads.sum(-1), torch.ones_like(found))
    assert ((grads != 0).sum(-1) == 1).all()
    assert pooled(None, z) is z


def test_a_pool_of_several_bits_is_a_maximum():
    s = torch.randint(0, 5, (2, 3, 2, 6, 6)).float()
    node = FloatPool("p", "s", "max", (3, 3), (1, 1))
    assert torch.equal(pool(node, s, True)[0], F.max_pool2d(s[0], 3, 1))


def test_padding_is_torchs():
    s = (torch.rand(2, 3, 2, 5, 5) < 0.3).float()
    padded = (1, 1, 1, 1)
    for mode, wanted in (
        ("max", F.max_pool2d(s[0], 3, 2, 1)),
        ("or", F.max_pool2d(s[0], 3, 2, 1)),
        ("avg", F.avg_pool2d(s[0], 3, 2, 1)),
    ):
        node = FloatPool("p", "s", mode, (3, 3), (2, 2), padding=padded)
        assert torch.allclose(pool(node, s, False)[0], wanted), mode
    z = torch.randn(1, 3, 2, 5, 5)
    node = FloatPool("p", "c", "max", (3, 3), (2, 2), padding=padded)
    assert torch.equal(pooled(node, z)[0], F.max_pool2d(z[0], 3, 2, 1))


def test_conversion_refuses_maxima_and_takes_means():
    plain = {"reset": "subtract"}
    with pytest.raises(
        NetworkError, match="'pool1': conversion knows pools by sum and avg, not 'max'"
    ):
        SpikingModule(network("6C3p1-MP2", **plain), nq=NQ())
    net = network("6C3p1-AP2", **plain)
    nodes = [replace(n, mode="sum") if n.name == "pool3" else n for n in net.nodes]
    SpikingModule(type(net)(net.steps, nodes), nq=NQ())
