"""What an example says, how often a model is tried, and models that were changed from outside."""

import pytest

pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly")

from collections.abc import Callable
from typing import Any

import frontcase
import snntorch as snn
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from sterna.front.pytorch.model import from_torch
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError, UsageError

STEPS = 4
EXAMPLE = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))


class Net(nn.Module):
    """conv, Leaky, linear, Leaky; what they put out at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(1, 3, 3), snn.Leaky(0.5)
        self.full, self.out = nn.Linear(108, 4, bias=False), snn.Leaky(0.5)

    def forward(self, x):
        mem, out_mem, rows = self.hidden.reset_mem(), self.out.reset_mem(), []
        for _ in range(STEPS):
            s, mem = self.hidden(self.conv(x), mem)
            out, out_mem = self.out(self.full(s.flatten(1)), out_mem)
            rows.append((out, s))
        return self.end(*map(torch.stack, zip(*rows)))

    def end(self, out, hidden):
        return out


class Wrong(nn.Module):
    """Its last layer has inputs too few."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.conv = layer.Conv2d(1, 4, 3, step_mode=mode)
        self.hidden, self.full = neuron.LIFNode(step_mode=mode), layer.Linear(99, 4, step_mode=mode)

    def forward(self, x):
        return self.full(self.hidden(self.conv(x)).flatten(-3))


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("mode", ["s", "m"])
def test_an_error_of_the_model_itself_is_shown_however_it_is_tried(mode: str, frames: bool) -> None:
    """One step and all steps are tried where nothing says which is meant: both errors are told."""
    shape, how = (2, 1, 8, 8), {"input": "frames"} if frames else {}
    example = torch.zeros(STEPS, *shape) if frames else torch.zeros(shape)
    with pytest.raises(NetworkError, match=r"'full': failed .*144 and 99.*a batch of") as told:
        from_torch(Wrong(mode), example, steps=STEPS, **how)
    assert isinstance(told.value.__cause__, RuntimeError | ValueError)
    with pytest.raises(NetworkError, match=r"\(3, 8\).*of images$|'full': failed"):
        from_torch(Wrong(mode), torch.zeros(3, 8), steps=STEPS)  # no batch


class Inner(nn.Module):
    """Repeats its image itself, and fails then."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.full = neuron.IFNode(step_mode="m"), nn.Linear(63, 4)

    def forward(self, x):
        x = x.flatten(1).unsqueeze(0)
        return self.full(self.hidden(x.repeat(STEPS, 1, 1)))


def test_a_refusal_of_a_sequence_tells_what_one_step_failed_of() -> None:
    with pytest.raises(NetworkError, match=r"given one step, module 'full': failed .*64 and 63"):
        from_torch(Inner(), torch.zeros(2, 64), steps=STEPS)


COUNTS = torch.arange(512.0).reshape(STEPS, 2, 1, 8, 8) % 8
BEYOND: dict[str, tuple[Any, dict[str, Any], str | None]] = {
    "counts": (COUNTS, {}, "from 0 to 7, and input 'frames' of 1 bit at scale 1 .* give bits=3"),
    "counts, few bits": (COUNTS, {"bits": 2}, "of 2 bits .* from 0 to 3; give bits=3"),
    "counts, bits": (COUNTS, {"bits": 3}, None),
    "scaled": (COUNTS / 4, {"scale": 0.25}, "0 to 1.75, .* from 0 to 0.25; give bits=3"),
    "normalised": ((COUNTS - 3) / 2, {"mean": 3.0, "std": 2.0}, "from 0 to 7, .*bits=3"),
    "signs": (COUNTS - 1, {"bits": 3}, "from -1 to 6, .* a channel of its own"),
    "noise": (COUNTS + 0.5, {}, None),  # only shows the shape
    "pixels": (COUNTS[0] * 30, {"input": "direct"}, "from 0 to 210, .* give scale= as"),
    "pixels, scale": (COUNTS[0] * 30, {"input": "direct", "scale": 1.0}, None),
}


@pytest.mark.parametrize("name", BEYOND)
def test_an_example_beyond_the_bits_of_the_input_names_them(name: str) -> None:
    example, how, sentence = BEYOND[name]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), snn.Leaky(0.5, init_hidden=True))
    how = {"input": "frames", "steps": STEPS} | how
    if sentence is None:
        assert from_torch(model, example, **how).network.steps == STEPS
        return
    with pytest.raises(UsageError, match=sentence):
        from_torch(model, example, **how)


class Hooked(Net):
    """Its hidden neurons are changed from outside."""

    def __init__(self, change: Callable[[nn.Module], Any]) -> None:
        super().__init__()
        change(self.hidden)


CHANGES: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "a hook": (
        lambda m: m.register_forward_hook(lambda m, x, out: tuple(2 * o for o in out)),
        "'hidden': a forward hook changes what it gives",
    ),
    "a hook that looks": (lambda m: m.register_forward_hook(lambda m, x, out: None), None),
    "another forward": (
        lambda m: setattr(m, "forward", lambda x, mem: (x, mem)),
        r"'hidden': its forward\(\) was replaced",
    ),
    "no number": (lambda m: delattr(m, "state_quant"), "'hidden': Leaky holds what none has"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_neurons_that_were_changed_are_not_their_class(name: str) -> None:
    change, sentence = CHANGES[name]
    model = frontcase.ternary(Hooked(change), 4, False)
    if sentence is None:
        assert from_torch(model, EXAMPLE).check(frontcase.images((1, 8, 8), 8)).exact
        return
    with pytest.raises(NetworkError, match=sentence):
        from_torch(model, EXAMPLE)


class Told(Net):
    """Returns its spikes and their sum, or its hidden ones."""

    def __init__(self, hidden: bool) -> None:
        super().__init__()
        self.other = hidden

    def end(self, out, hidden):
        return out, hidden if self.other else out.sum(0)


@pytest.mark.parametrize("hidden", [False, True])
def test_what_is_returned_beside_the_output_is_told(hidden: bool) -> None:
    verdicts = from_torch(Told(hidden), EXAMPLE).report.verdicts
    assert [v.what for v in verdicts if v.verdict == "left out"] == ["1 more returned"] * hidden


def test_what_quantize_will_refuse_is_told_at_import() -> None:
    """Layers of a neuron with sizes no power of two apart, where weights are final."""
    model = frontcase.Skip("sum")
    found = from_torch(model.eval(), EXAMPLE)
    assert "refuses" not in str(found.report)
    found = from_torch(frontcase.ternary(model, 1, False), EXAMPLE)
    (told,) = [v for v in found.report.verdicts if "refuses" in v.detail]
    assert told.node == "two"
    with pytest.raises(NetworkError) as refused:
        quantize(found.network, frontcase.images((1, 8, 8)))
    assert told.detail == f"`quantize` refuses it as it is: {refused.value}"
