"""Networks whose neurons fire at most once: training by firing times (STiDi-BP, arXiv 2108.13621).

Every neuron is ``once`` with a ramp synapse (a piecewise linear post-synaptic potential), pixels
are latency coded, pools pass the earliest spike, and the class that fires first wins, ties by the
membrane, as in hardware. Two rules for the same forward pass:

local  A hidden neuron's wanted displacement is the demand of the layer behind it around its own
       firing time, brought to length 1 over its layer; weights move by it times their own ramp.
       No product of derivatives crosses a layer. Outputs have the loss below or, with
       ``targets``, target times: the label the earliest of all, tau, another at least tau + gamma.
exact  Gradients of the firing times through all layers, and the cross entropy of the membranes at
       the time of the decision: minus the firing times, linearised there.

Batch norms (our choice: the paper has none) take the membranes after the last step of all inputs:
membranes are divided by T, so that one set of parameters serves every T. The readout has
one deviation for all classes, which keeps their order: its threshold then lies in units of how far
images differ, and training cannot win by deciding ever earlier, on ever fewer spikes.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatInput,
    FloatNetwork,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.gen.quantize.float_neurons import carried
from sterna.golden.errors import NetworkError, UsageError
from sterna.train.methods.timing import encode_latency, fire, firing_times, ramp
from sterna.train.module.module import LEAST_GAIN, SpikingModule
from sterna.train.module.rounding import least_threshold, nearest_step

__all__ = ["RULES", "Stidi", "TimingModule", "make_module", "read_stidi", "rescaled"]

RULES = ("exact", "local")
LEAST = 0.05  # slope of an output, in thresholds a step, where its firing time is linearised
FIRST_GAIN = 0.3  # of the readout, in deviations of its membranes
EPS = 1e-5


@dataclass(frozen=True)
class Stidi:
    """A recipe's [stidi]. rule: 'exact' or 'local'. width: how far from its threshold a membrane
    is moved, in thresholds. sharp: logits are the readout's membranes times it. targets: outputs
    learn target times in place of the cross entropy ('local' only). gamma: how much later than the
    label other classes are then to fire, in parts of T."""

    rule: str = "exact"
    width: float = 1.0
    sharp: float = 4.0
    targets: bool = False
    gamma: float = 0.3

    def loss(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """Of what a module in training mode gives out, by its rule."""
        if self.targets:
            return self.distance(-logits, labels)
        both = F.cross_entropy(logits.flatten(0, 1), labels.repeat(2), label_smoothing=smoothing)
        return both

    def distance(self, times: Tensor, labels: Tensor) -> Tensor:
        """Of target times: half the squared distance of firing times [B, classes], in parts of T,
        to their targets (S4NN's), each image's error brought to length 1."""
        with torch.no_grad():
            first = times.min(1, keepdim=True).values
            target = torch.maximum(times, (first + self.gamma).clamp(max=1.0))
            # silent everywhere: the label is to fire before the others
            own = torch.where(first >= 1.0, 1.0 - self.gamma, first)
            target.scatter_(1, labels[:, None], own)
            error = times - target
            length = error.norm(dim=1, keepdim=True).clamp(min=1e-6)
        worth = (error * times / length).sum(1)  # its gradient is the error, of length 1
        return (worth - worth.detach() + error.square().sum(1) / 2).mean()


def read_stidi(where: str, table: Any) -> Stidi | None:
    """The [stidi] of a recipe, None where it has none. UsageError names what is wrong."""
    if table is None:
        return None
    known = {f.name for f in fields(Stidi)}
    if not isinstance(table, dict) or set(table) - known:
        raise UsageError(f"{where}: [stidi] takes {', '.join(sorted(known))}; correct it")
    for key, value in table.items():
        if key == "rule":
            right = value in RULES
        elif key == "targets":
            right = isinstance(value, bool) and (not value or table.get("rule") == "local")
        else:
            right = isinstance(value, int | float) and not isinstance(value, bool)
            right = right and 0 < value < 1e6
        if not right:
            raise UsageError(f"{where}: [stidi] {key} {value!r} is not possible; correct it")
    return Stidi(**table)


def rescaled(network: FloatNetwork, old: int, new: int) -> FloatNetwork:
    """Batch norms and the readout's scale and bias for membranes after ``new`` steps in place of
    ``old``: the same firing times in parts of T. Thresholds stay."""
    nodes: list[FloatNode] = []
    gain, drive = _factors(old, new)
    for node in network.nodes:
        if isinstance(node, Weighted) and node.norm is not None:
            n = node.norm
            norm = BatchNorm(n.gamma * gain, n.beta * drive, n.mean * (drive / gain), n.var, n.eps)
            node = replace(node, norm=norm)
        elif isinstance(node, Weighted):
            bias = None if node.bias is None else node.bias * drive
            node = replace(node, weight=node.weight * gain, bias=bias)
        nodes.append(node)
    return FloatNetwork(new, nodes)


def _factors(old: int, new: int) -> tuple[float, float]:
    """How weights and constant drives shrink for a membrane that grows over more steps."""
    return old / new, old * (old + 1) / (new * (new + 1))


def make_module(network: FloatNetwork, stidi: Stidi) -> "TimingModule":
    """The module of an untrained network, whose batch norms and readout are as drawn: for T = 1."""
    return TimingModule(rescaled(network, 1, network.steps), stidi)


class TimingModule(SpikingModule):
    """``SpikingModule`` for networks of single spikes; streams are has-fired planes [T,B,C,H,W].

    Its batch norms and readout are in the units of T = 1 (``rescaled``), so ``steps`` may change.
    In training mode with ``targets``, logits are minus the firing times in parts of T.
    """

    def __init__(self, network: FloatNetwork, stidi: Stidi) -> None:
        _check(network)
        super().__init__(rescaled(network, network.steps, 1))
        self.network = network
        self.steps, self.stidi = network.steps, stidi
        self._side = {n.name: 1 for n in network.nodes}
        self._side |= {n.input: n.kernel[0] for n in network.nodes if isinstance(n, FloatPool)}
        last = network.readout.inputs[0]  # normalised as a whole, so that its classes stay in order
        # nobody fires at first, so that classes are told apart before they race
        first = 1.0 if stidi.targets else FIRST_GAIN
        with torch.no_grad():
            cast("Tensor", self.get(last, "gain")).fill_(first)
        self.register_buffer(f"{last}__mean", torch.zeros(network.shape[last][0]))
        self.register_buffer(f"{last}__var", torch.tensor(1.0))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of uint8 images [B,C,H,W]."""
        local = self.stidi.rule == "local"
        folded = self.fraction_bits is not None
        streams: dict[str, Tensor] = {}
        for node in self.network.nodes:
            if isinstance(node, FloatInput):
                streams[node.name] = encode_latency(images, self.steps)
            elif isinstance(node, FloatPool):
                streams[node.name] = streams[node.input]  # its neurons have pooled
            elif isinstance(node, FloatNeuron | FloatReadout):
                source = cast("Weighted", self.network.by_name[node.inputs[0]])
                x = self._current(source, streams[source.input], folded)
                rule = self._integer(node, source) if folded else self._float(node, source, x)
                x = x.to(rule.gain.dtype)
                if isinstance(node, FloatReadout):
                    return self._decide(x, rule).float()
                side = self._side[node.name]
                width = self.stidi.width * float(node.threshold) * rule.per.abs()
                fired = fire(x, rule.gain, rule.offset, rule.threshold, width, side, local)
                streams[node.name] = fired.float()
            if node.name in self.keep:
                s = streams[node.name].detach()
                self.spikes[node.name] = s - F.pad(s[:-1], (0,) * 8 + (1, 0))
        raise AssertionError("a FloatNetwork ends in a readout")

    def _current(self, source: Weighted, fired: Tensor, folded: bool) -> Tensor:
        """Weighted sums of has-fired planes: the ramp synapse's currents, in the weights' units."""
        return self._sum(
            source, fired, self._weights(source, self.kind or source.kind, folded), None
        )

    def _float(self, node: FloatNeuron | FloatReadout, source: Weighted, x: Tensor) -> "_Rule":
        """The neuron in real numbers; batch norm in its training or its evaluation form."""
        gain, drive = _factors(1, self.steps)
        one = x.new_ones(x.shape[2])
        if self.training:
            last = x.sum(0) * gain
            now_var, now_mean = torch.var_mean(last, (0, 2, 3), correction=0)
            now_var = now_var.mean() if self._is_tied(source) else now_var
            with torch.no_grad():
                self._statistic(source, "mean").lerp_(now_mean, self.momentum)
                self._statistic(source, "var").lerp_(now_var, self.momentum)
        else:
            now_mean, now_var = (self._statistic(source, k) for k in ("mean", "var"))
        gamma, beta = self._scales(source)
        size = gamma * torch.rsqrt(now_var + EPS)
        return _Rule(
            size * gain, (beta - now_mean * size) * drive, one * float(node.threshold), one
        )

    def _statistic(self, source: Weighted, key: str) -> Tensor:
        """Running mean (C,) or variance (C,) of the membranes at the end; the readout's is one."""
        return cast("Tensor", self.get(source.name, key))

    def _scales(self, source: Weighted) -> tuple[Tensor, Tensor]:
        """(gain, shift), (C,), of normalised membranes; the readout has one gain, and a bias."""
        if self._is_tied(source):
            bias, gain = (cast("Tensor", self.get(source.name, k)) for k in ("bias", "gain"))
            return gain.expand_as(bias), bias
        return tuple(cast("Tensor", self.get(source.name, k)) for k in ("gamma", "beta"))  # type: ignore

    def _integer(self, node: FloatNeuron | FloatReadout, source: Weighted) -> "_Rule":
        """The same neuron in the units of its integer form, as ``gen.quantize.quantize`` folds
        it."""
        assert self.fraction_bits is not None
        fraction = float(1 << self.fraction_bits[node.name])
        gain, drive = _factors(1, self.network.steps)
        latent = self._latent(source)
        a = self._discrete(source, source.kind)[1].flatten()
        gamma, beta = self._scales(source)
        mean, var = (self._statistic(source, k) for k in ("mean", "var"))
        size = (gamma * gain).double() / torch.sqrt(var.double() + EPS)
        unit = a.double() * size
        offset = (beta * drive).double() - (mean * (drive / gain)).double() * size
        sign = torch.where(unit < 0, -1.0, 1.0)
        per = fraction / unit.abs().clamp(min=1e-12)  # integer steps of one real unit
        exact = float(node.threshold) * per
        threshold = least_threshold(exact, exact, fraction, False)
        bias = nearest_step(offset * per, fraction)
        parts = (sign * fraction, bias, threshold, per)
        kind = torch.float32 if fraction <= 1 << 10 else torch.float64  # float32 holds 24 bits
        return _Rule(*[p.expand(len(latent)).to(kind) for p in parts])

    def _decide(self, x: Tensor, rule: "_Rule") -> Tensor:
        """Logits of the readout's currents [T,B,n,1,1]: its membranes at the time of the decision,
        above their threshold. Where classes have fired, the largest of those is the largest of
        all: hardware's order of classes to the last tie."""
        v = x.flatten(2).cumsum(0) * rule.gain
        v = v + ramp(len(v), v.device).view(-1, 1, 1) * rule.offset
        if self.training and self.stidi.targets:
            threshold = float(self.network.readout.threshold)
            return firing_times(v / rule.per, threshold, LEAST * threshold) / -len(v)
        over = v - rule.threshold
        with torch.no_grad():
            nobody = (over < 0).all(2).to(torch.int32)
            at = nobody.cumprod(0).sum(0).clamp(max=len(v) - 1)
        logits = over.gather(0, at.view(1, -1, 1).expand(1, -1, over.shape[2]))[0] / rule.per
        if self.training:
            logits = torch.stack((logits, over[-1] / rule.per))
        # `Trainer` multiplies by the ratio of steps, which membranes in parts of T do not need
        return logits * (self.stidi.sharp * self.steps / self.network.steps)

    def clip_latents(self) -> None:
        """Keep latent weights in [-1, 1] and gains positive; call after each optimiser step."""
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.endswith("__weight"):
                    p.clamp_(-1, 1)
                elif name.endswith(("__gamma", "__gain")):
                    p.clamp_(min=LEAST_GAIN)

    def export(self) -> FloatNetwork:
        """The network as trained, for its own number of steps."""
        made = super().export()
        name = made.readout.inputs[0]
        last = made.weighted(name)
        assert last.bias is not None
        ones = np.ones(len(last.bias), np.float32)
        mean, var = (self._statistic(last, k).cpu().numpy() * ones for k in ("mean", "var"))
        q, a = self._discrete(last, last.kind)
        gain = self._scales(last)[0].detach().cpu().numpy()
        last = replace(
            last,
            weight=(q * a).cpu().numpy(),
            bias=None,
            norm=BatchNorm(gain, last.bias, mean, var, EPS),
        )
        nodes = [last if n.name == name else n for n in made.nodes]
        return rescaled(FloatNetwork(made.steps, nodes), 1, self.network.steps)


@dataclass
class _Rule:
    """A layer's neurons, each (C,): v = gain * cumsum(current) + offset * ramp, fire at threshold;
    ``per``: units of v in one real unit."""

    gain: Tensor
    offset: Tensor
    threshold: Tensor
    per: Tensor


def _check(network: FloatNetwork) -> None:
    """NetworkError where the network is not one of single spikes that this module trains."""
    if network.input.coding != "latency" or network.readout.mode != "first_spike":
        raise NetworkError(
            '[stidi] trains firing times: give [network] coding = "latency" and readout = '
            '{ mode = "first_spike", synapse = "ramp" }'
        )
    readers: dict[str, list[str]] = {}
    for node in network.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    for node in network.nodes:
        if isinstance(node, FloatNeuron | FloatReadout):
            reset = "none" if isinstance(node, FloatReadout) else "once"
            plain = (
                node.reset == reset
                and node.synapse in ("ramp", 1.0)
                and carried(type(node), vars(node)) == {"synapse"}
                and not getattr(node, "delay", 0)
                and not node.strict
                and node.bias is None
                and not node.v_init
                and len(node.inputs) == 1
                and node.reset_by is None
                and getattr(node, "amplitude", 1.0) == 1.0
                and isinstance(network.by_name[node.inputs[0]], Weighted)
                and float(node.threshold) > 0
            )
            if not plain:
                raise NetworkError(
                    f"node '{node.name}': [stidi] trains neurons with reset = \"{reset}\" and "
                    'synapse = "ramp", one weighted input, a positive threshold and nothing '
                    "else; correct it"
                )
        elif isinstance(node, FloatPool):
            source = network.by_name[node.input]
            right = node.mode == "first" and node.kernel == node.stride and not any(node.padding)
            if not right or not isinstance(source, FloatNeuron) or len(readers[source.name]) > 1:
                raise NetworkError(
                    f"node '{node.name}': [stidi] trains pools P2first right behind neurons; "
                    "correct it"
                )
        elif not isinstance(node, FloatInput | Weighted):
            raise NetworkError(f"node '{node.name}': [stidi] trains no skips; remove it")
