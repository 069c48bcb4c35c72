"""Half precision in training: where it is used, and what stays exact."""

import pytest
import torch
from torch.nn import functional as F

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.quantize import quantize
from sterna.golden.exact import run
from sterna.train.data import datasets
from sterna.train.module import fastscan, nq
from sterna.train.module.exactconv import ExactConv
from sterna.train.module.schedule import half_precision
from sterna.train.run.run import train


@pytest.mark.parametrize("wanted, half", [("float32", False), ("bfloat16", True)])
def test_a_recipe_decides_on_any_device(wanted, half):
    for device in ("cpu", "cuda"):
        assert half_precision(torch.device(device), wanted) is half


def test_auto_is_for_matrix_units(monkeypatch):
    assert half_precision(torch.device("cuda"), "auto")
    for has in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: {"amx_bf16": has})
        assert half_precision(torch.device("cpu"), "auto") is has


@pytest.mark.parametrize("stride, padding, groups", [((1, 1), (1, 1), 1), ((2, 1), (0, 2), 4)])
def test_sums_stay_exact_and_gradients_near(stride, padding, groups):
    generator = torch.Generator().manual_seed(3)
    # sums beyond 256, which bfloat16 could not hold
    x = torch.randint(0, 64, (4, 16, 9, 8), generator=generator).float().requires_grad_()
    w = torch.randint(-1, 2, (12, 16 // groups, 3, 3), generator=generator).float().requires_grad_()
    exact = F.conv2d(x, w, None, stride, padding, 1, groups)
    got = ExactConv.apply(x, w, stride, padding, groups)
    assert exact.abs().max() > 256 and torch.equal(got, exact)
    grad = torch.randn(exact.shape, generator=generator)
    wanted = torch.autograd.grad(exact, (x, w), grad)
    for a, b in zip(torch.autograd.grad(got, (x, w), grad), wanted, strict=True):
        assert a.dtype == torch.float32
        assert float((a - b).abs().max() / b.abs().max()) < 0.02


@pytest.mark.parametrize("levels", [1, 4, 7])
def test_the_clip_in_one_pass_is_the_clip(levels, monkeypatch):
    if fastscan.library() is None:
        pytest.skip("no C++ compiler")
    x = torch.randn(3, 5, 7, 9, 11, generator=torch.Generator().manual_seed(1)) * 3
    x.view(-1)[:4] = torch.tensor([0.0, 1.75, -0.5, 2.5])  # both ends of the clip
    weight = torch.sin(torch.arange(x.numel(), dtype=torch.float32)).view_as(x)
    found = []
    for _ in range(2):
        leaf, up = x.clone().requires_grad_(), torch.tensor(1.75, requires_grad=True)
        a = nq.clip(leaf, up, levels, None)
        (a * weight).sum().backward()
        found.append((a.detach(), leaf.grad, up.grad))
        monkeypatch.setattr(fastscan, "library", lambda: None)
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    assert len(found[0][0].unique()) == levels + 1


def test_a_network_learns_in_bfloat16(tmp_path):
    text = """
    name = "half"
    data = "digits"
    batch = 64
    precision = "bfloat16"
    [network]
    kind = "ternary"
    shape = [1, 8, 8]
    steps = 4
    layers = ["8C3p1", "P2sum", "8C3p1", "FC10"]
    [[stage]]
    epochs = 8
    steps = 1
    [[stage]]
    epochs = 1
    steps = 4
    folded = true
    lr = 3e-4
    """
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    done = train(path, tmp_path / "run", progress=lambda _: None)
    assert done["precision"] == "bfloat16"
    assert done["validation_folded"] > 0.85  # a quarter less where gradients do not arrive
    images = datasets.load("digits").train[0][:64]
    network, _ = quantize(
        FloatNetwork.load(tmp_path / "run"), images, fraction_bits=done["fraction_bits"]
    )
    images, labels = datasets.load("digits").test
    assert (run(network, images).classes == labels).mean() == done["test_folded"]
