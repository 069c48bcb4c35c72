"""Skips: recipes with blocks, merges and adds before the neuron, from training to integers."""

from pathlib import Path

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
    FloatNode,
    FloatPool,
    FloatReadout,
)
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run as golden_run
from sterna.golden.network import Merge, Neuron
from sterna.train.data import datasets
from sterna.train.data.sets import DataSet
from sterna.train.module.meet import merge
from sterna.train.module.module import SpikingModule
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.trainer import Trainer

RECIPE = """
name = "tiny"
data = "digits"
seed = 4
batch = 16
[network]
shape = [1, 8, 8]
steps = 4
kind = "{kind}"
layers = ["6C3p1", {layer}, "P2sum", "FC10"]
{extra}
[[stage]]
epochs = 1
steps = 1
[[stage]]
epochs = 1
steps = 4
folded = true
lr = 2e-4
lr_rest = 1e-4
"""
BLOCK = '{{ block = ["6C3p1", "6C3p1", "6C3p1"], skips = [{}] }}'
RESIDUAL = '{ residual = ["6C3p1", "6C3p1"] }'
STRIDED = '{ residual = ["9C3s2p1", "9C3p1"], coef = 2, shift = 2 }'


def _recipe(folder: Path, layer: str, kind: str = "ternary", extra: str = "") -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(layer=layer, kind=kind, extra=extra))
    return path


def _network(folder: Path, layer: str, **how: str) -> FloatNetwork:
    return build_network(read_recipe(_recipe(folder, layer, **how)), 4)


def _quiet(_: str) -> None:
    pass


# -- the folded forward pass is the integer network ------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "kind", "extra"),
    [
        (BLOCK.format('[0, 2, "ASC"], [1, 3, "ASC"], [0, 3, "ASC"]'), "ternary", ""),
        (BLOCK.format('[0, 2, "DSC"], [1, 3, "DSC"], [0, 3, "DSC"]'), "binary", ""),
        (
            BLOCK.format('[0, 2, "ASC"], [1, 3, "DSC"], [0, 3, "ASC"]'),
            "ternary",
            "neuron = { leak = 0.5 }",
        ),
        (RESIDUAL, "ternary", ""),
        (RESIDUAL, "binary", "neuron = { leak = 0.75 }"),
        (STRIDED, "ternary", 'neuron = { reset = "zero" }'),
    ],
)
def test_folded_forward_is_golden(tmp_path: Path, layer: str, kind: str, extra: str) -> None:
    """After two epochs, every stream and the logits of the folded pass equal the integers'."""
    torch.set_num_threads(1)
    path = _recipe(tmp_path, layer, kind, extra)
    parts = datasets.load("digits")
    sizes = zip((parts.train, parts.validation, parts.test), (600, 50, 50), strict=True)
    few = DataSet(*[(x[:n], y[:n]) for (x, y), n in sizes])
    trainer = Trainer(read_recipe(path), tmp_path / "run", None, _quiet, few)
    done = trainer.run(1e9)
    images = few.test[0]
    network, _ = quantize(trainer.module.export(), images, fraction_bits=done["fraction_bits"])
    module = trainer.module.eval()
    module.fraction_bits = done["fraction_bits"]
    names = tuple(n.name for n in network.nodes if isinstance(n, Merge | Neuron))
    logits, spikes = module.trace(torch.tensor(images), names)
    result = golden_run(network, images, trace=names)
    assert len(names) >= 3
    for name, stream in spikes.items():
        want = torch.from_numpy(result.spikes[name].astype(np.int64))
        assert 0 < want.float().mean() < network.maximum[name]
        assert torch.equal(stream.long(), want), name
    np.testing.assert_allclose(logits.numpy(), result.logits * network.readout.scale, rtol=1e-4)


def test_residual_has_the_ratios_that_were_asked_for(tmp_path: Path) -> None:
    images = datasets.load("digits").train[0][:64]
    module = SpikingModule(_network(tmp_path, RESIDUAL))
    network, _ = quantize(module.export(), images)
    node = network["spike3"]
    assert isinstance(node, Neuron) and node.inputs == ("conv3", "spike1")
    assert node.rule.coef[0].tolist() == [4] * 6 and node.rule.shifts == (0,)
    module = SpikingModule(_network(tmp_path, STRIDED))
    network, _ = quantize(module.export(), images)
    node = network["spike3"]
    assert isinstance(node, Neuron) and node.inputs == ("conv3", "short3")
    assert node.rule.shifts == (0, 2) and node.rule.coef == ()
    assert network.shape["spike3"] == (9, 4, 4)


def test_gains_over_sums_stay_positive(tmp_path: Path) -> None:
    module = SpikingModule(_network(tmp_path, RESIDUAL))
    gamma = module.get("spike3", "gamma")
    assert gamma is not None
    with torch.no_grad():
        gamma.fill_(-1.0)
        module.clip_latents()
    assert gamma.min() > 0


# -- merges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "table"),
    [
        ("or", [0, 1, 1, 1]),
        ("and", [0, 0, 0, 1]),
        ("andnot", [0, 0, 1, 0]),
        ("add", [0, 1, 1, 2]),
    ],
)
@pytest.mark.parametrize("size", [1.0, 0.5])
def test_merge_and_its_gradient(mode: str, table: list[int], size: float) -> None:
    """Values are the logic's; gradients are those of the polynomials, at every corner."""
    a = torch.tensor([0.0, 0, 1, 1]).mul(size).view(4, 1, 1, 1, 1).requires_grad_()
    b = torch.tensor([0.0, 1, 0, 1]).mul(size).view(4, 1, 1, 1, 1).requires_grad_()
    node = FloatMerge("m", ("a", "b"), mode)
    out = merge(node, [a, b], (0, 0), size)
    assert out.flatten().tolist() == [v * size for v in table]
    out.sum().backward()
    assert a.grad is not None and b.grad is not None
    x, y = [0, 0, 1, 1], [0, 1, 0, 1]
    want = {
        "or": ([1 - v for v in y], [1 - v for v in x]),
        "and": (y, x),
        "andnot": ([1 - v for v in y], [-v for v in x]),
        "add": ([1] * 4, [1] * 4),
    }
    assert a.grad.flatten().tolist() == want[mode][0]
    assert b.grad.flatten().tolist() == want[mode][1]


def _norm(channels: int) -> BatchNorm:
    one = np.ones(channels, np.float32)
    return BatchNorm(one, one * 0, one * 0, one)


def _branches(mode: str, other: str = "sum") -> FloatNetwork:
    rng = np.random.default_rng(3)
    draw = lambda *s: rng.uniform(-0.1, 0.1, s).astype(np.float32)  # noqa: E731
    nodes: list[FloatNode] = [FloatInput("image", (1, 8, 8))]
    for name in ("a", "b"):
        nodes += [
            FloatConv2d(
                f"conv_{name}", "image", draw(4, 1, 3, 3), padding=(1, 1, 1, 1), norm=_norm(4)
            ),
            FloatNeuron(f"spike_{name}", (f"conv_{name}",), threshold=0.5),
            FloatPool(f"pool_{name}", f"spike_{name}", "or" if name == "a" else other),
        ]
    merged = FloatMerge("both", ("pool_a", "pool_b"), mode)
    channels = 8 if mode == "concat" else 4
    return FloatNetwork(
        3,
        [
            *nodes,
            merged,
            FloatLinear("full", "both", draw(10, channels * 16)),
            FloatReadout("readout", ("full",)),
        ],
    )


@pytest.mark.parametrize(
    ("mode", "other"),
    [
        ("or", "or"),
        ("and", "or"),
        ("andnot", "or"),
        ("add", "avg"),
        ("concat", "avg"),
    ],
)
def test_every_merge_learns_and_is_golden(mode: str, other: str) -> None:
    """Both branches get gradients; amplitudes 1 and 1/4 meet by a shift of two."""
    torch.set_num_threads(1)
    module = SpikingModule(_branches(mode, other))
    images = datasets.load("digits").train[0][:64]
    module.train()
    module.momentum = 1.0
    module(torch.tensor(images)).square().sum().backward()
    for name in ("conv_a", "conv_b"):
        grad = getattr(module, f"{name}__weight").grad
        assert grad.abs().max() > 0
    module.eval()
    network, report = quantize(module.export(), images)
    node = network["both"]
    assert isinstance(node, Merge) and node.shifts == ((2, 0) if other == "avg" else (0, 0))
    module.fraction_bits = {r.name: r.fraction_bits for r in report.layers}
    logits, spikes = module.trace(torch.tensor(images), ("both",))
    result = golden_run(network, images, trace=("both",))
    assert spikes["both"].max() > 0
    assert torch.equal(spikes["both"].long(), torch.from_numpy(result.spikes["both"]).long())
    np.testing.assert_allclose(logits.numpy(), result.logits * network.readout.scale, rtol=1e-4)


def test_boolean_merges_need_one_amplitude() -> None:
    with pytest.raises(NetworkError, match="'both': .*'pool_b' and 'pool_a' .* 1 : 4.*tie"):
        SpikingModule(_branches("or", "avg"))


def test_untied_inputs_of_a_neuron_are_refused_before_training(tmp_path: Path) -> None:
    from dataclasses import replace

    net = _network(tmp_path, RESIDUAL)

    def swapped(name: str, **change: object) -> FloatNetwork:
        nodes = [replace(n, **change) if n.name == name else n for n in net.nodes]
        return FloatNetwork(4, nodes)

    for network, message in (
        (swapped("spike3", norm=None), "'spike3': .*there is none; set unit there and norm here"),
        (swapped("conv3", unit=None), "'spike3': .*'conv3' has a scale of its own"),
        (swapped("conv3", unit=0.3), "'spike3': inputs 'conv3' and 'spike1' meet as 1 : 3.333"),
    ):
        with pytest.raises(NetworkError, match=message):
            SpikingModule(network)


# -- recipes -----------------------------------------------------------------------------------


def test_a_block_is_its_matrix(tmp_path: Path) -> None:
    net = _network(tmp_path, BLOCK.format('[0, 2, "ASC"], [1, 3, "DSC"], [0, 3, "ASC"]'))
    add2, add3, cat3 = (net.by_name[n] for n in ("add3", "add4", "cat4"))
    assert isinstance(add2, FloatMerge) and add2.inputs == ("spike2", "spike1")
    assert isinstance(add3, FloatMerge) and add3.inputs == ("spike3", "spike1")
    assert isinstance(cat3, FloatMerge) and cat3.inputs == ("add4", "spike2")
    assert net.shape["cat4"] == (12, 8, 8) and net.shape["conv4"] == (6, 8, 8)
    assert net.by_name["conv4"].input == "cat4"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (BLOCK.format('[0, 1, "ASC"]'), r"skip \[0, 1\] is not possible in a block of 3 layers"),
        (BLOCK.format('[2, 3, "ASC"]'), r"i \+ 2 <= j <= 3"),
        (BLOCK.format('[0, 4, "DSC"]'), r"skip \[0, 4\] is not possible"),
        (BLOCK.format('[-1, 2, "DSC"]'), r"skip \[-1, 2\] is not possible"),
        (BLOCK.format('[0, 2, "XSC"]'), "type 'XSC'; choose ASC .add. or DSC"),
        (BLOCK.format("[0, 2]"), r"skip \[0, 2\] is not understood; write \[0, 2, .ASC.\]"),
        (BLOCK.format('[0, 2, "ASC"], [0, 2, "DSC"]'), r"skip \[0, 2\] is given twice"),
        (
            '{ block = ["6C3p1", "7C3p1", "6C3p1"], skips = [[0, 3, "ASC"], [0, 2, "ASC"]] }',
            "ASC skip from 'spike1' .6, 8, 8. to layer 4 does not fit its input 'spike3' .7, 8, 8.",
        ),
        (
            '{ block = ["6C3p1", "6C3s2p1", "6C3p1"], skips = [[0, 3, "DSC"]] }',
            "DSC skip .* skip only where height and width stay",
        ),
        ('{ block = ["6C3p1"], skip = [] }', "block has the unknown key 'skip'"),
        ("{ block = [] }", r"block \[\] is not a list of layers"),
        ('{ block = ["FC10"] }', "'FC10' is inside a block"),
        ('{ residual = ["P2or"] }', "residual ends in 'P2or'; end it in a convolution"),
        ('{ residual = ["6C3p1"], coef = 0 }', "residual coef 0 is not a whole number from 1"),
        (
            '{ residual = ["6C3p1"], shift = 9 }',
            "residual shift 9 is not a whole number from 0 to 8",
        ),
        ('{ residual = ["6C3"] }', "cannot be bridged by a 1 x 1 convolution"),
        ('{ dense = ["6C3p1"] }', "is not understood; write a text"),
        ('"FC10"', "layer 'P2sum' comes after the last one"),
    ],
)
def test_recipe_errors(tmp_path: Path, layer: str, message: str) -> None:
    with pytest.raises(UsageError, match="recipe 'tiny': .*" + message):
        _network(tmp_path, layer)


def test_a_residual_or_skip_of_the_image_is_refused(tmp_path: Path) -> None:
    path = _recipe(tmp_path, RESIDUAL)
    path.write_text(path.read_text().replace('"6C3p1", {', "{", 1))
    with pytest.raises(UsageError, match="residual cannot add the image's pixels"):
        build_network(read_recipe(path), 1)
    path = _recipe(tmp_path, BLOCK.format('[0, 2, "DSC"]'))
    path.write_text(path.read_text().replace('"6C3p1", {', "{", 1))
    with pytest.raises(UsageError, match="pixels with spikes; put a convolution before"):
        build_network(read_recipe(path), 1)


WRONG = {
    "shape = [1, 8]": "shape [1, 8] is not [channels, height, width]",
    'kind = "trinary"': "kind 'trinary' is not one of ternary, binary",
    'coding = "morse"': "coding 'morse' is not one of",
    'steps = "4"': "steps '4' is not a whole number above 0",
    "neuron = { foo = 1 }": "neuron has 'foo'; it is a table of",
    'readout = { mode = "loud" }': "readout mode 'loud' cannot be trained",
    'layers = ["4C3p3", "FC3"]': "layer '4C3p3': padding 3 must be smaller than the kernel",
    'layers = ["0C3p1", "FC3"]': "layer '0C3p1' is not understood",
    'layers = ["4C3s0p1", "FC3"]': "layer '4C3s0p1' is not understood",
    'layers = [{ block = ["4C3p1"], skips = 3 }, "FC3"]': "skips 3 is not a list",
    'layers = [{ block = ["4C3p1", "4C3p1"], skips = [[0, 2, ["ASC"]]] }, "FC3"]': "has type",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_network_settings_are_refused_with_a_sentence(tmp_path: Path, line: str) -> None:
    values = {"steps": "2", "shape": "[1, 8, 8]", "layers": '["4C3p1", "FC3"]'}
    values[line.split(" = ")[0]] = line.split(" = ", 1)[1]
    text = "\n".join(f"{k} = {v}" for k, v in values.items())
    path = tmp_path / "recipe.toml"
    path.write_text(
        f'name = "wrong"\ndata = "digits"\n[network]\n{text}\n[[stage]]\nepochs = 1\nsteps = 1\n'
    )
    with pytest.raises(UsageError) as e:
        build_network(read_recipe(path), 1)
    assert WRONG[line] in str(e.value)


def test_a_skip_may_come_from_spikes_at_the_input(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'name = "frames"\ndata = "digits"\n[network]\nsteps = 2\nshape = [1, 8, 8]\n'
        'coding = "rate"\nlayers = [{ block = ["1C3p1", "4C3p1"], skips = [[0, 2, "ASC"]] }, '
        '"FC3"]\n[[stage]]\nepochs = 1\nsteps = 1\n'
    )
    network = build_network(read_recipe(path), 1)
    assert network.by_name["add2"].inputs == ("spike1", "image")
