"""The training scan against golden's, the compiled kernel against the torch loop."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from sterna.golden.exact import scan as golden_scan
from sterna.golden.rule import Decay, NeuronRule
from sterna.train.module import fastscan
from sterna.train.module.scan import ScanSpec, _FastScan, _Scan, scan, triangle

T, B, C, H, W = 6, 3, 5, 4, 3
LEAKS = (None, Decay(1), Decay(2, 4))


def _parameters(seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    x = rng.integers(-12, 20, (T, B, C, H, W))
    threshold = rng.integers(1, 25, C)
    return x, threshold, rng.integers(0, 25, C), rng.integers(-9, 10, C)


@pytest.mark.parametrize("reset", ["subtract", "zero", "once"])
@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("synapse", [None, "ramp", Decay(2)])
@pytest.mark.parametrize("delay", [0, 1])
def test_equals_golden_on_integers(reset: str, leak, synapse, delay: int) -> None:
    x, threshold, back, start = _parameters(7)
    rule = NeuronRule(
        threshold,
        reset,
        back if reset == "subtract" else None,
        v_init=start,
        leak=leak,
        synapse=synapse,
        delay=delay,
    )
    want = golden_scan(torch.from_numpy(x), rule, T)
    spec = ScanSpec(
        T,
        reset,
        1.0 if leak is None else leak.factor,
        {None: None, "ramp": 1.0}.get(synapse, getattr(synapse, "factor", None)),
        delay,
        rounding=True,
    )
    real = [torch.tensor(a, dtype=torch.float64) for a in (x, threshold, back, start)]
    got = scan(*real, spec)
    assert want.spikes.any() and not want.spikes.all()
    assert torch.equal(got.to(torch.uint8), want.spikes)


@pytest.mark.parametrize("leak", LEAKS)
def test_membrane_equals_golden(leak) -> None:
    x, threshold, back, start = _parameters(8)
    rule = NeuronRule(threshold, "none", v_init=start, leak=leak)
    want = golden_scan(torch.from_numpy(x), rule, T).v
    spec = ScanSpec(T, "none", 1.0 if leak is None else leak.factor, rounding=True, emit="membrane")
    real = [torch.tensor(a, dtype=torch.float64) for a in (x, threshold, back, start)]
    assert torch.equal(scan(*real, spec).long(), want.long())


def test_constant_current_is_the_expanded_one() -> None:
    x, *rest = [torch.tensor(a, dtype=torch.float64) for a in _parameters(9)]
    spec = ScanSpec(T, "subtract", 0.5)
    assert torch.equal(scan(x[:1], *rest, spec), scan(x[:1].expand(T, -1, -1, -1, -1), *rest, spec))


def test_strict_fires_above_only() -> None:
    one = torch.ones(1)
    x = torch.full((1, 1, 1, 1, 1), 1.0)
    assert scan(x, one, one, 0 * one, ScanSpec(1)).item() == 1
    assert scan(x, one, one, 0 * one, ScanSpec(1, strict=True)).item() == 0


CASES = list(itertools.product(("subtract", "zero"), (1.0, 0.75), (1, 4), (False, True)))
CASES += [("none", 0.5, 4, False), ("none", 1.0, 1, False)]


@pytest.mark.parametrize(("reset", "leak", "given", "rounding"), CASES)
def test_compiled_kernel_equals_loop(reset: str, leak: float, given: int, rounding: bool) -> None:
    if fastscan.library() is None:
        pytest.skip("no C++ compiler")
    emit = "membrane" if reset == "none" else "spikes"
    spec = ScanSpec(4, reset, leak, rounding=rounding, emit=emit)
    generator = torch.Generator().manual_seed(3)
    base = [torch.randn(given, B, C, H, W, generator=generator)]
    base += [torch.rand(C, generator=generator) + 0.5 for _ in range(2)]
    base += [torch.randn(C, generator=generator)]
    if rounding:
        base = [torch.round(p * 8) for p in base]
    results = []
    for kind in (_Scan, _FastScan):
        args = [p.clone().requires_grad_() for p in base]
        out = kind.apply(*args, *([None] if kind is _Scan else []), spec)
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
        (out * weight).sum().backward()
        results.append((out, [p.grad for p in args]))
    (out, grads), (fast_out, fast_grads) = results
    assert torch.equal(out, fast_out)
    assert sum(bool(g is not None and g.abs().max() > 0) for g in grads) >= 2
    for a, b in zip(grads, fast_grads):
        assert b is not None
        a = torch.zeros_like(b) if a is None else a
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def _by_autograd(x, threshold, back, start, spec: ScanSpec, floor=None) -> torch.Tensor:
    """The same surrogate gradient built from elementary differentiable operations."""
    v, out = start.view(1, -1, 1, 1).expand(x.shape[1:]), []
    th, b = threshold.view(1, -1, 1, 1), back.view(1, -1, 1, 1)
    i = None
    for t in range(spec.count):
        drive = x[t if len(x) > 1 else 0]
        if spec.synapse is not None:
            drive = i = drive if i is None else i * spec.synapse + drive
        u = v * spec.leak + drive
        fire = (u >= th).to(x.dtype).detach()
        slope = triangle((u - th).detach(), th.abs().detach())
        out.append(fire + slope * ((u - th) - (u - th).detach()))
        if spec.reset == "subtract":
            v = u - b * fire
        elif spec.reset == "zero":
            v = u * (1 - fire)
        else:
            v = u
        if floor is not None:
            v = torch.where(v < floor.view(1, -1, 1, 1), floor.view(1, -1, 1, 1), v)
    return v if spec.emit == "membrane" else torch.stack(out)


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("synapse", [None, 0.5])
@pytest.mark.parametrize("given", [1, T])
@pytest.mark.parametrize("floor", [False, True])
def test_gradients_equal_autograd(
    reset: str, synapse: float | None, given: int, floor: bool
) -> None:
    generator = torch.Generator().manual_seed(5)
    draw = lambda *s: torch.randn(*s, generator=generator, dtype=torch.float64)  # noqa: E731
    base = [draw(given, B, C, H, W), draw(C).abs() + 0.5, draw(C).abs() + 0.5, draw(C)]
    base += [draw(C) / 2] if floor else []
    spec = ScanSpec(T, reset, 0.75, synapse, emit="membrane" if reset == "none" else "spikes")
    weight = draw(*(() if reset == "none" else (T,)), B, C, H, W)
    grads = []
    for function in (scan, _by_autograd):
        args = [p.clone().requires_grad_() for p in base]
        (function(*args[:4], spec, *args[4:]) * weight).sum().backward()
        grads.append([torch.zeros_like(p) if p.grad is None else p.grad for p in args])
    assert grads[0][0].abs().max() > 0 and (not floor or grads[0][4].abs().max() > 0)
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


def test_sum_pool_equals_avg_pool() -> None:
    if fastscan.library() is None:
        pytest.skip("no C++ compiler")
    for shape, k in (((2, 3, 8, 8), 2), ((2, 3, 7, 9), 2), ((1, 2, 9, 10), 3)):
        x = torch.randn(shape, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        out = fastscan.SumPool.apply(x, k)
        want = torch.nn.functional.avg_pool2d(y, k) * k * k
        grad = torch.randn(want.shape)
        out.backward(grad)
        want.backward(grad)
        torch.testing.assert_close(out, want)
        torch.testing.assert_close(x.grad, y.grad)


def test_the_fast_loop_leaves_small_floats_alone():
    """Made with -ffast-math, it would take the subnormals of the whole process when loaded."""
    code = (
        "from sterna.train.module import fastscan\n"
        "assert fastscan.library() is not None\n"
        "assert 5e-324 * 1.0 > 0 and 2.0**-1060 * 2.0 > 0\n"
        "import numpy as np\n"
        "assert (np.full(64, 2.0**-1060) * 2.0 > 0).all()"
    )
    if fastscan.library() is None:
        pytest.skip("no C++ compiler")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
