"""Networks of snnTorch against snnTorch: at every site, and in integers."""

import pytest

pytest.importorskip("snntorch")

from dataclasses import replace

import frontcase
import numpy as np
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

from sterna.front.pytorch.model import from_torch
from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.reference import float_classes, float_logits
from sterna.golden.errors import NetworkError, UsageError
from sterna.golden.exact import run
from sterna.golden.network import Pool

EXAMPLE = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def _held(found, images, dyadic: bool) -> None:
    check = found.check(images, images=len(images))
    assert check.exact and check.classes == 1.0, check
    assert sum(s.spikes for s in check.layers) > 0, check
    if dyadic:  # no sum is rounded: not even ties may differ
        assert not any(s.ties or s.ties32 for s in check.layers), check


@pytest.mark.parametrize("name", frontcase.NETS)
@pytest.mark.parametrize("dyadic", [True, False], ids=["dyadic", "random"])
def test_every_site_is_that_of_snntorch(name: str, dyadic: bool) -> None:
    torch.manual_seed(3)
    model = frontcase.ternary(frontcase.NETS[name](), len(name), dyadic)
    # dyadic pixels: 1/256 of whole numbers
    found = from_torch(model, EXAMPLE, scale=1 / 256 if dyadic else 1 / 255)
    normed = any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    _held(found, frontcase.images((1, 8, 8)), dyadic and not normed)
    assert not found.report.approximated


@pytest.mark.parametrize(
    "name", ["leaky_subtract", "leaky_zero", "synaptic", "skip_concat", "max_of_sums"]
)
def test_integers_are_snntorch_on_dyadic_scales(name: str) -> None:
    torch.manual_seed(3)
    model = frontcase.ternary(frontcase.NETS[name](), 7, True)
    found = from_torch(model, EXAMPLE, scale=1 / 256)
    images = frontcase.images((1, 8, 8), 32)
    network, report = quantize(found.network, images)
    own = found.replay(images, "float64")
    result = run(network, images, trace=tuple(n for n in found.cells.values() if n != "readout"))
    for path, node in found.cells.items():
        if node in result.spikes:
            different = (result.spikes[node] > 0) != (own.spikes[path] > 0)
            assert different.sum() <= 1e-3 * max(1, (own.spikes[path] > 0).sum()), (path, report)
    assert (result.logits == own.output).mean() > 0.98


def test_the_network_of_tutorial_6_is_identical_at_every_site() -> None:
    """28 x 28 - 12C5 - max 2 - Leaky - 24C5 - max 2 - Leaky - 10, each pool of weighted sums."""
    model = frontcase.ternary(frontcase.Tutorial(8, size=(12, 24, 5, 5, 4)), 1, True)
    found = from_torch(model, torch.rand(1, 1, 28, 28), scale=1 / 256)
    images = frontcase.images((1, 28, 28), 6)
    _held(found, images, True)
    assert [v.what for v in found.report.verdicts].count("max pool of sums") == 2
    network, _ = quantize(found.network, images)
    assert [n.mode for n in network.nodes if isinstance(n, Pool)] == ["max", "max"]
    own, result = found.replay(images, "float64"), run(network, images, trace=("lif1", "lif2"))
    for path in ("lif1", "lif2"):
        wrong = (result.spikes[path] > 0) != (own.spikes[path] > 0)
        assert wrong.sum() <= 1e-3 * (own.spikes[path] > 0).sum()


def test_a_step_a_call_needs_steps() -> None:
    model = frontcase.ternary(frontcase.sequential(), 1, False)
    with pytest.raises(UsageError, match="computes one time step; give steps=T"):
        from_torch(model, EXAMPLE)
    found = from_torch(model, EXAMPLE, steps=5)
    assert found.network.steps == 5 and found.network.readout.mode == "count"
    _held(found, frontcase.images((1, 8, 8)), False)


def test_frames_come_a_step_each() -> None:
    model = frontcase.ternary(frontcase.LAYERS(), 2, False)
    example = torch.randint(0, 2, (6, 3, 2, 8, 8)).float()
    found = from_torch(model, example, input="frames")
    assert found.network.steps == 6 and found.network.shape["input"] == (2, 8, 8)
    frames = np.random.default_rng(1).integers(0, 2, (6, 9, 2, 8, 8)).astype(np.uint8)
    check = found.check(frames, images=9)
    assert check.exact and check.classes == 1.0 and check.images == 9


@pytest.mark.parametrize(("bits", "scale"), [(3, None), (4, 0.25), (8, 1 / 255)])
def test_counts_come_a_step_each(bits: int, scale: float | None) -> None:
    """A value as a number, or times a scale that the model was trained with; held at every site."""
    model = frontcase.ternary(frontcase.LAYERS(), 2, False)
    top, size = 2**bits - 1, scale or 1.0
    frames = np.random.default_rng(1).integers(0, top + 1, (6, 9, 2, 8, 8)).astype(np.uint8)
    example = torch.tensor(frames[:, :2] * size).float()
    found = from_torch(model, example, input="frames", bits=bits, scale=scale)
    assert found.network.amplitude["input"] == size and found.network.input.bits == bits
    check = found.check(frames, images=9)
    assert check.exact and check.classes == 1.0 and sum(s.spikes for s in check.layers) > 100
    found = found.calibrate(frames)
    network, _ = quantize(found, frames)
    assert network.maximum["input"] == top
    mine = float_classes(found.network, frames)
    assert np.mean(run(network, frames).classes == mine) > 0.8
    with pytest.raises(UsageError, match=f"^example: has values .* give bits={bits}$"):
        from_torch(model, example, input="frames", scale=scale)
    unsaid = from_torch(model, torch.rand(example.shape), input="frames", scale=scale)
    with pytest.raises(NetworkError, match="image value .* outside 0 .. 1; .* input bits = "):
        unsaid.check(frames)


def test_a_product_of_counts_is_no_and() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = frontcase.ternary(frontcase.LAYERS(), 2, False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x * x)

    example = torch.randint(0, 4, (6, 3, 2, 8, 8)).float()
    found = from_torch(Product(), example, input="frames", bits=2)
    with pytest.raises(NetworkError, match="merge 'and' needs 1-bit spikes, but 'input' goes up"):
        quantize(found, example.numpy().astype(np.uint8))


@pytest.mark.parametrize("norm", [False, True])
def test_a_padded_mean_of_sums_is_exact_with_what_is_added_behind_it(norm: bool) -> None:
    """And refused, or calibrated to norms behind it, with a bias between."""

    def model(bias: bool) -> nn.Module:
        torch.manual_seed(1)
        behind = [nn.BatchNorm2d(4)] * norm
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=bias),
            nn.AvgPool2d(3, 2, 1),
            *behind,
            snn.Leaky(0.5, init_hidden=True, threshold=0.05),
            nn.Flatten(),
            nn.Linear(64, 5),
            snn.Leaky(0.5, init_hidden=True, output=True),
        )

    images = frontcase.images((1, 8, 8), 40)
    found = from_torch(frontcase.ternary(model(False), 1, False), EXAMPLE, steps=3)
    _held(found, images, False)
    network, _ = quantize(found, images)
    assert [n.padding for n in network.nodes if isinstance(n, Pool)] == [(1, 1, 1, 1)]
    real = from_torch(model(False), EXAMPLE, steps=3).calibrate(images)
    whole, _ = quantize(real, images)
    assert np.mean(run(whole, images).classes == float_classes(real.network, images)) > 0.8
    with pytest.raises(NetworkError, match="adds padding, and sums with the bias or norm of"):
        from_torch(frontcase.ternary(model(True), 1, False), EXAMPLE, steps=3)


def test_the_model_stays_as_it_was() -> None:
    model = frontcase.ternary(frontcase.sequential(), 1, False).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    from_torch(model, EXAMPLE, steps=2)
    assert model.training and not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class _Bad(frontcase.Loop):
    def __init__(self, what: str) -> None:
        super().__init__(snn.Leaky(0.5), 3)
        self.what = what

    def forward(self, x):
        mem, out_mem, last, total = self.hidden.reset_mem(), self.out.reset_mem(), 0.0, 0
        for t in range(3):
            z = self.conv(x)
            if self.what == "branch" and z.mean() > 0:
                z = z * 2
            if self.what == "recurrence" and t:
                z = z + last
            if self.what == "relu":
                z = torch.relu(z)
            if self.what == "changes":
                z = z * (t + 1)
            last, mem = self.hidden(z, mem)
            if self.what == "twice":
                last, mem = self.hidden(z, mem)
            if self.what == "membrane":
                last = mem
            if self.what == "two weights":
                last = self.conv2(self.conv(x)) if hasattr(self, "conv2") else self.conv(x)
            out, out_mem = self.out(self.full(last.flatten(1)), out_mem)
            total = total + out
        return out if self.what == "last" else total


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("branch", r"forward\(\): takes numbers out .*, as a branch on values, .* cannot be built"),
        ("recurrence", "module 'hidden': .* a recurrent edge, a delay or a trace"),
        ("relu", r"forward\(\): an activation of a network that does not spike"),
        ("changes", "'hidden': reads something else at step 1 than .* changes with t"),
        ("twice", "module 'hidden': is used 6 times, 'out' 3 times"),
        ("membrane", "module 'hidden': its membrane is read by another layer"),
        ("two weights", "module 'full': reads weighted sums .* with no neuron between"),
        ("last", "module 'out': gives the output of only the last of 3 steps"),
    ],
)
def test_what_cannot_be_built_is_refused_by_its_path(what: str, sentence: str) -> None:
    with pytest.raises(NetworkError, match=sentence):
        from_torch(_Bad(what), EXAMPLE)


@pytest.mark.parametrize(
    ("neuron", "sentence"),
    [
        (lambda: snn.Leaky(0.5, inhibition=True), "inhibition=True"),
        (lambda: snn.Leaky(0.5, state_quant=lambda v: v), "state_quant"),
        (lambda: snn.Leaky(0.0), "beta 0 with reset_mechanism='subtract'"),
        (lambda: snn.Leaky(torch.rand(8, 8)), "beta has a value for each of 64 neurons"),
        (lambda: snn.Leaky(0.5, threshold=torch.rand(8, 8)), "threshold of shape"),
        (lambda: snn.Leaky(0.5, graded_spikes_factor=-1.0), "graded_spikes_factor -1 is not"),
        (lambda: snn.Alpha(0.9, 0.8), "snntorch.Alpha divides by its own time constants"),
    ],
)
@pytest.mark.filterwarnings("ignore:Inhibition")
def test_neurons_that_cannot_be_built_say_why(neuron, sentence: str) -> None:
    with pytest.raises(NetworkError, match=f"module 'hidden': .*{sentence}|{sentence}"):
        from_torch(frontcase.Loop(neuron(), 2), EXAMPLE)


@pytest.mark.parametrize(
    "neuron",
    [
        lambda: snn.Leaky(0.5, reset_delay=False),
        lambda: snn.Synaptic(0.5, 0.5, reset_mechanism="zero"),
        lambda: snn.Lapicque(R=2.0, C=2.0, reset_mechanism="zero"),
    ],
)
def test_what_is_only_near_is_taken_by_name(neuron) -> None:
    model = frontcase.Loop(neuron(), 4)
    with pytest.raises(NetworkError, match="module 'hidden': .*give approximate=True"):
        from_torch(model, EXAMPLE)
    found = from_torch(model, EXAMPLE, approximate=True)
    assert [v.path for v in found.report.approximated] == ["hidden"]


def test_rate_coded_input_is_refused_with_a_way_out() -> None:
    with pytest.raises(
        UsageError, match="random spikes .* cannot be repeated; give input='direct'"
    ):
        from_torch(frontcase.Loop(snn.Leaky(0.5), 2), EXAMPLE, input="rate")


class _Membranes(frontcase.Loop):
    """Returns the output's membranes: of all steps, their sum, the last, or after the spikes."""

    def __init__(self, what: str, reset: str = "none") -> None:
        super().__init__(snn.Leaky(0.5), 4)
        self.out = snn.Leaky(0.75, reset_mechanism=reset)
        self.what = what

    def forward(self, x):
        mem, out_mem, spikes, membranes = self.hidden.reset_mem(), self.out.reset_mem(), [], []
        for _ in range(self.steps):
            s, mem = self.hidden(self.conv(x), mem)
            out, out_mem = self.out(self.full(s.flatten(1)), out_mem)
            spikes.append(out)
            membranes.append(out_mem)
        if self.what == "last":
            return membranes[-1]
        if self.what == "sum":
            return torch.stack(membranes).sum(0)
        return (
            torch.stack(membranes)
            if self.what == "all"
            else (torch.stack(spikes), torch.stack(membranes))
        )


@pytest.mark.parametrize("what", ["last", "all", "after spikes"])
def test_a_membrane_is_that_of_the_last_step(what: str) -> None:
    model = frontcase.ternary(_Membranes(what), 4, True)
    found = from_torch(model, EXAMPLE, scale=1 / 256, readout="membrane")
    assert found.network.readout.mode == "membrane" and not found.report.approximated
    images = frontcase.images((1, 8, 8), 20)
    assert found.check(images, images=20).classes == 1.0
    logits = float_logits(found.network, images)
    assert np.allclose(logits, found.replay(images, "float64").output, rtol=1e-9)


def _changed(found, **changes):
    """The same import with another readout."""
    nodes = [replace(n, **changes) if n.name == "readout" else n for n in found.network.nodes]
    return replace(found, network=FloatNetwork(found.network.steps, nodes))


@pytest.mark.parametrize("what", ["last", "all"])
def test_every_membrane_is_compared(what: str) -> None:
    found = from_torch(frontcase.ternary(_Membranes(what), 4, False), EXAMPLE, readout="membrane")
    images = frontcase.images((1, 8, 8), 9)
    site = found.check(images).layers[-1]
    assert (site.what, site.sites, site.different, site.different32) == ("membranes", 180, 0, 0)
    check = _changed(found, leak=0.7501).check(images)
    assert check.layers[-1].different > 0 and check.failed[0].name == "readout"


@pytest.mark.parametrize("how", ["sum", "mean", "affine", "softmax"])
def test_sums_over_time_are_compared(how: str) -> None:
    class Sums(frontcase.Loop):
        def forward(self, x):
            mem, rows = self.hidden.reset_mem(), []
            for _ in range(self.steps):
                s, mem = self.hidden(self.conv(x), mem)
                rows.append(self.full(s.flatten(1)))
            total = torch.stack(rows)
            total = total.mean(0) if how == "mean" else total.sum(0)
            if how == "softmax":
                return total.softmax(1)
            return total * 0.5 + 3 if how == "affine" else total

    found = from_torch(frontcase.ternary(Sums(snn.Leaky(0.5), 4), 4, False), EXAMPLE)
    images = frontcase.images((1, 8, 8), 9)
    site = found.check(images).layers[-1]
    if how == "softmax":  # keeps the order alone
        assert site.name != "readout"
        return
    assert (site.what, site.sites, site.different, site.different32) == ("membranes", 45, 0, 0)
    assert _changed(found, leak=0.9).check(images).failed[0].name == "readout"


def test_first_spikes_are_compared() -> None:
    model = frontcase.ternary(frontcase.Loop(snn.Leaky(0.5), 7), 3, False)
    found = from_torch(model, EXAMPLE, readout="first_spike")
    images = frontcase.images((1, 8, 8), 16)
    check = found.check(images, images=16)
    site = check.layers[-1]
    assert (site.name, site.what, site.sites, site.different) == ("readout", "first spikes", 80, 0)
    assert site.spikes > 0 and check.exact and check.classes == 1
    times = found.replay(images, "float64").spikes["out"] > 0
    assert len(set(times.argmax(0)[times.any(0)].ravel())) > 1  # at several steps
    worse = _changed(found, threshold=1.25).check(images)
    assert worse.failed[0].name == "readout" and worse.layers[0].exact
    network, _ = quantize(found, images)
    assert np.mean(run(network, images).classes == float_classes(found.network, images)) > 0.8


def test_sums_of_membranes_are_no_readout() -> None:
    with pytest.raises(NetworkError, match="adds membranes over time, which no readout does"):
        from_torch(_Membranes("sum"), EXAMPLE)


def test_a_membrane_that_resets_is_only_near() -> None:
    with pytest.raises(NetworkError, match="module 'out': its membrane is read and it resets"):
        from_torch(_Membranes("last", "subtract"), EXAMPLE)


class _Small(nn.Module):
    """conv, neuron, what is between, pool, linear, neuron; a step a call."""

    def __init__(self, before, between) -> None:
        super().__init__()
        self.conv, self.spike = nn.Conv2d(1, 3, 3), snn.Leaky(beta=0.5, init_hidden=True)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(27, 4)
        self.out = snn.Leaky(beta=0.5, init_hidden=True)
        self.before, self.between = before, between

    def forward(self, x):
        spikes = self.between(self.spike(self.conv(self.before(x))))
        return self.out(self.fc(self.pool(spikes).flatten(1)))


@pytest.mark.parametrize(
    ("before", "between"),
    [
        (lambda x: (x - 0.25) / 0.5, lambda s: s),  # as Normalize, in the model itself
        (lambda x: x, lambda s: 2 * s - 1),  # spikes of +-1: what is added becomes a bias
        (lambda x: x * 2 - 1, lambda s: 0.5 * s + 0.25),
    ],
    ids=["normalised", "plus_minus_one", "both"],
)
def test_constants_in_front_of_layers_without_padding_come_in(before, between) -> None:
    model = frontcase.ternary(_Small(before, between), 4, True)
    found = from_torch(model, EXAMPLE, steps=4, scale=1 / 256)
    _held(found, frontcase.images((1, 8, 8)), False)


def test_the_maximum_of_negated_spikes_is_no_maximum_of_spikes() -> None:
    with pytest.raises(NetworkError, match="a max pool of spikes with a negative factor"):
        from_torch(_Small(lambda x: x, lambda s: -s), EXAMPLE, steps=2)


@pytest.mark.parametrize("divisor", [None, 1, 3, 4])
@pytest.mark.parametrize("of", ["sums", "spikes"])
def test_an_average_pool_divides_by_what_it_says(divisor: int | None, of: str) -> None:
    class Pooled(frontcase.Loop):
        def forward(self, x):
            mem, rows = self.hidden.reset_mem(), []
            for _ in range(self.steps):
                z = self.conv(x)
                z = F.avg_pool2d(z, 2, divisor_override=divisor) if of == "sums" else z
                s, mem = self.hidden(z, mem)
                s = s if of == "sums" else F.avg_pool2d(s, 2, divisor_override=divisor)
                rows.append(self.full(s.flatten(1)))
            return torch.stack(rows).sum(0)

    model = frontcase.ternary(Pooled(snn.Leaky(0.5), 4, between="avg"), 4, False)
    check = from_torch(model, EXAMPLE).check(frontcase.images((1, 8, 8), 9))
    assert check.exact and check.layers[0].spikes and check.layers[-1].what == "membranes", check


class _Behind(_Small):
    """A batch norm behind the pool of sums, one of whose factors is negative."""

    def __init__(self, factor: float) -> None:
        super().__init__(lambda x: x, lambda s: s)
        self.norm = nn.BatchNorm2d(3)
        self.norm.weight.data[1] = factor

    def forward(self, x):
        return self.out(self.fc(self.spike(self.norm(self.pool(self.conv(x)))).flatten(1)))


def test_a_minimum_of_sums_is_refused_when_it_comes_in() -> None:
    assert from_torch(_Behind(2.0).eval(), EXAMPLE, steps=2).report
    with pytest.raises(NetworkError, match="module 'norm': .* needs their minimum"):
        from_torch(_Behind(-1.0).eval(), EXAMPLE, steps=2)


def test_steps_that_forward_does_not_run_are_refused() -> None:
    model = frontcase.Loop(snn.Leaky(beta=0.5), 6)
    assert from_torch(model, EXAMPLE, steps=6).network.steps == 6
    with pytest.raises(UsageError, match="steps 5: forward.. itself runs 6"):
        from_torch(model, EXAMPLE, steps=5)
