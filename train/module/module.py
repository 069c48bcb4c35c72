"""A FloatNetwork as a torch module: trained in real numbers, then in the folded integers.

Streams are [T,B,C,H,W]; what does not depend on t (direct pixels and their weighted sum) is kept
as [1,B,C,H,W] and computed once.
"""

import math
from dataclasses import fields, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sterna.gen.quantize.float_network import (
    BatchNorm,
    FloatInput,
    FloatMerge,
    FloatNetwork,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
    Weighted,
)
from sterna.gen.quantize.ties import levels_of
from sterna.golden.coding import encode
from sterna.golden.errors import NetworkError
from sterna.golden.network import Input
from sterna.golden.parameters import UNDAMPED
from sterna.golden.rule import LEVELS
from sterna.train.module.meet import find_scales, merge
from sterna.train.module.nq import CONVERTED, NQ, check_convertible, clip, streams_meet
from sterna.train.module.pooling import check_stream, pool, pooled
from sterna.train.module.rounding import constants
from sterna.train.module.scan import ScanSpec, scan
from sterna.train.module.sums import weighted_sum
from sterna.train.module.weights import (
    FACTORS,
    TWN_FACTOR,
    discretize,
    straight_through,
    switching,
    unit_sized,
)

__all__ = ["BN_MOMENTUM", "LEAST_GAIN", "SpikingModule"]

BN_MOMENTUM = 0.1
LEAST_GAIN = 0.01  # of batch norms and readouts whose sign must stay


class SpikingModule(nn.Module):
    """Trains the network it is given; ``export()`` returns the trained FloatNetwork.

    ``steps`` may be changed between epochs (T = 1 first). With ``fraction_bits`` set (a dict of
    neuron name -> F) the forward pass is the folded integer network's, gradients straight
    through, and batch statistics are frozen.

    Parameters: latent weights ``<node>__weight`` in [-1, 1], ``<node>__gamma`` and ``__beta`` of
    batch norms (of a weighted node, or of a neuron: over the sum of its inputs),
    ``<readout's node>__gain`` (one scale) and ``__bias``. ``momentum``: of the batch norms' running
    statistics. ``learned``: ternary layers have a trained threshold, ``<node>__factor``.
    ``nq``: trained for conversion, until ``convert.settle``: a clip (``clipping``) or
    IF neurons of threshold ``<neuron>__logup``'s exponential stand for the neurons.

    Several inputs of a neuron (adds before the neuron) keep ratios that hardware can build: their
    weights have a fixed ``unit`` each, powers of two apart, a spike is worth a whole number of the
    smallest unit, and the one batch norm comes after the sum, so its gain changes no ratio.
    """

    def __init__(
        self,
        network: FloatNetwork,
        nq: NQ | None = None,
        learned: bool = False,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.learned, self.relu = network, learned, relu
        self.nq, self.clipping, self.corrected = nq, False, False
        self.unscaled = nq is not None and streams_meet(network)  # clips put out a/up
        self.steps = network.steps
        self.momentum = BN_MOMENTUM
        self.half_gradients = False  # of the folded convolutions, in bfloat16
        self.fraction_bits: dict[str, int] | None = None
        self.spikes: dict[str, Tensor] = {}  # of the last forward pass, where `keep` says so
        self.keep: tuple[str, ...] = ()
        self.each_step = False  # in training, logits are the membranes after each step
        self.kind: str | None = None  # of all weights, where a stage stands in for the network's
        sums = (network.sums(i) for i in network.readout.inputs)
        self._tied = {s.weighted.name for s in sums if s is not None}
        self._neurons = {n.name for n in network.nodes if isinstance(n, FloatNeuron)}
        for node in network.nodes:
            check_stream(network, node)  # refused now, not after hours of training
            if isinstance(node, FloatMerge | FloatPool | FloatNeuron) and nq is not None:
                check_convertible(node)
            if isinstance(node, Weighted):
                self._add_parameters(node, node.name in self._tied)
            elif isinstance(node, FloatNeuron | FloatReadout):
                self._check_neuron(node)
                if isinstance(node, FloatNeuron) and node.norm is not None:
                    self._add_norm(node.name, node.norm, 1.0)
                if isinstance(node, FloatNeuron) and nq is not None:
                    self._put(node.name, "logup", torch.tensor(math.log(nq.up)))
                    self.register_buffer(f"{node.name}__sigma", torch.tensor(0.0))
                    if nq.bias_correction:
                        size = max(*CONVERTED, network.steps), network.shape[node.name][0]
                        self.register_buffer(f"{node.name}__table", torch.zeros(size))

    def _add_parameters(self, node: Weighted, tied: bool) -> None:
        name = node.name
        weight = torch.tensor(node.weight, dtype=torch.float32)
        # latent weights live in [-1, 1] and train best from +-0.1; batch norm or gain take the rest
        peak = float(weight.abs().max())
        scaled = node.norm is not None or node.unit is not None
        scale = max(peak, 1.0) if scaled else peak / 0.1 or 1.0
        self._put(name, "weight", weight / scale)
        if self.learned and node.kind == "ternary":
            self._put(name, "factor", torch.tensor(TWN_FACTOR))
        if node.norm is not None:
            if tied:
                raise NetworkError(
                    f"node '{name}': a batch norm before the readout gives every class its own "
                    "scale; remove it"
                )
            self._add_norm(name, node.norm, scale)
            return
        if node.unit is None:
            self._put(name, "gain", torch.tensor(scale))
        if node.bias is not None:
            self._put(name, "bias", torch.tensor(node.bias, dtype=torch.float32))

    def _add_norm(self, name: str, norm: BatchNorm, scale: float) -> None:
        """Parameters of a batch norm whose input is ``scale`` times smaller than described."""
        for key in ("gamma", "beta"):
            self._put(name, key, torch.tensor(getattr(norm, key), dtype=torch.float32))
        for key in ("mean", "var"):
            value = torch.tensor(getattr(norm, key), dtype=torch.float32)
            value = value / (scale if key == "mean" else scale**2)
            self.register_buffer(f"{name}__{key}", value)

    def _put(self, node: str, key: str, value: Tensor) -> None:
        self.register_parameter(f"{node}__{key}", nn.Parameter(value))

    def _check_neuron(self, node: FloatNeuron | FloatReadout) -> None:
        sources = [self.network.sums(i) for i in node.inputs]
        if len(sources) > 1 or sources[0] is None:
            layers = [s.weighted for s in sources if s is not None]
            own = [n.name for n in layers if n.unit is None or n.norm or n.bias is not None]
            if isinstance(node, FloatReadout) or node.norm is None or own:
                who = f"'{own[0]}' has a scale of its own" if own else "there is none"
                raise NetworkError(
                    f"node '{node.name}': what meets before a neuron needs weights with a fixed "
                    f"unit, no bias, and one batch norm after the sum, but {who}; set unit there "
                    "and norm here"
                )
        find_scales(self.network, node)
        if each := [name for name in LEVELS if np.ndim(getattr(node, name)) == 1]:
            raise NetworkError(
                f"node '{node.name}': training wants one {each[0]} for all channels; put the rest "
                "into the batch norm"
            )

    def get(self, node: str, key: str) -> Tensor | None:
        """A parameter or buffer of a node, None where it has none."""
        return cast("Tensor | None", getattr(self, f"{node}__{key}", None))

    # -- forward -----------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        """Real logits [B, classes] of uint8 images [B,C,H,W] (frames: [T,B,C,H,W]); with
        ``each_step``, in training, those after each step, [T, B, classes]."""
        folded = self.fraction_bits is not None
        run = self._folded if folded else self._real
        streams: dict[str, Tensor] = {}
        for node in self.network.nodes:
            if isinstance(node, FloatReadout):
                return run(node, streams)
            if isinstance(node, FloatInput):
                streams[node.name] = self._input(node, images, folded)
            elif isinstance(node, FloatPool) and self.network.sums(node.name) is None:
                streams[node.name] = pool(node, streams[node.input], folded)
            elif isinstance(node, FloatMerge):
                parts = [streams[n] for n in node.inputs]
                amplitude = 1.0 if folded else self.network.amplitude[node.name]
                amplitudes = self.network.amplitudes(node)
                shifts = node.shifts(amplitudes) if folded else (0,) * len(parts)
                streams[node.name] = merge(node, parts, shifts, amplitude)
            elif isinstance(node, FloatNeuron):
                streams[node.name] = run(node, streams)
            if node.name in self.keep:
                self.spikes[node.name] = streams[node.name].detach()
        raise AssertionError("a FloatNetwork ends in a readout")

    def _input(self, node: FloatInput, images: Tensor, folded: bool) -> Tensor:
        if node.coding == "direct":
            last = self.relu or self.clipping  # then no membrane needs another order
            order = torch.channels_last if last else torch.contiguous_format
            x = images.contiguous(memory_format=order).unsqueeze(0).float()
            return x if folded else x * node.scale
        if node.coding == "frames":
            return images.float() if folded else images.float() * node.scale
        pixels = Input(node.name, node.shape, node.coding, node.bits, node.seed)
        frames = torch.from_numpy(encode(pixels, images.cpu().numpy(), self.steps))
        return frames.to(images.device).float()

    def _sum(self, node: Weighted, s: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        integer = self.fraction_bits is not None
        half, last = self.half_gradients, self.relu or self.clipping
        return weighted_sum(node, s, weight, bias, integer, half, last)

    def _is_tied(self, node: Weighted) -> bool:
        return node.name in self._tied

    def _real(self, node: FloatNeuron | FloatReadout, streams: dict[str, Tensor]) -> Tensor:
        """The neuron in real numbers: batch norm in its training or its evaluation form."""
        parts = []
        for name in node.inputs:
            if (found := self.network.sums(name)) is None:
                parts.append(streams[name])
            else:
                parts.append(pooled(found.pool, self._real_sum(found.weighted, streams)))
        x = sum(parts[1:], parts[0])
        if isinstance(node, FloatNeuron) and node.norm is not None:
            x = self._normed(node.name, x, node.norm.eps)
        if node.bias is not None:
            x = x + (_table(node.bias, self.steps, x) if np.ndim(node.bias) else float(node.bias))
        if self.relu and isinstance(node, FloatNeuron):
            return x.relu() if node.amplitude == 1.0 else x.relu() * node.amplitude
        like = x.new_ones(x.shape[2])
        if self.nq is not None and isinstance(node, FloatNeuron):
            return self._convertible(node, x, like)
        if isinstance(node, FloatReadout) and self.each_step and self.training:
            return self._membranes(node, x, like)
        out = scan(x, **self._levels(node, like), spec=self._spec(node, False))
        if isinstance(node, FloatReadout):
            return self._logits(node, out)
        return out if node.amplitude == 1.0 else out * node.amplitude

    @staticmethod
    def _levels(node: FloatNeuron | FloatReadout, like: Tensor) -> dict[str, Tensor]:
        """The levels of every channel, by their names."""
        return {name: like * float(value) for name, value in levels_of(node).items()}

    def _membranes(self, node: FloatReadout, x: Tensor, like: Tensor) -> Tensor:
        """What the logits are after each time step, [T,B,classes]."""
        x = x.expand(self.steps, *x.shape[1:])
        if node.mode == "count":
            x = scan(x, **self._levels(node, like), spec=self._spec(node, False))
            return x.cumsum(0).flatten(2)
        return (x.cumsum(0) + float(node.v_init)).flatten(2)

    def _convertible(self, node: FloatNeuron, x: Tensor, like: Tensor) -> Tensor:
        """A neuron while its network is trained for conversion: the clip, or what it becomes."""
        assert self.nq is not None
        up = cast("Tensor", self.get(node.name, "logup")).exp()
        if self.clipping:
            sigma = self.get(node.name, "sigma") if self.training and self.nq.noise else None
            if self.unscaled:
                sigma = None if sigma is None else sigma / node.amplitude
                out = clip(x / up, torch.ones_like(up), self.nq.levels, sigma)
                return out if node.amplitude == 1.0 else out * node.amplitude
            return clip(x, up, self.nq.levels, sigma)
        if self.corrected:
            x = x + _table(cast("Tensor", self.get(node.name, "table")), self.steps, x)
        levels = {"threshold": like * up, "reset_by": like * up, "v_init": like * up / 2}
        spikes = scan(x, **levels, spec=self._spec(node, False))
        return spikes * (node.amplitude if self.unscaled else up)

    def _real_sum(self, node: Weighted, streams: dict[str, Tensor]) -> Tensor:
        """A weighted sum in real numbers, behind its batch norm, its gain and bias, or its unit."""
        s, kind = streams[node.input], self.kind or node.kind
        if node.unit is not None and node.norm is None:
            x = self._sum(node, s, self._weights(node, kind, True) * node.unit, None)
        else:
            x = self._sum(node, s, self._weights(node, kind, False), None)
        if node.norm is not None:
            return self._normed(node.name, x, node.norm.eps)
        gain, bias = self.get(node.name, "gain"), self.get(node.name, "bias")
        x = x if gain is None else x * gain
        return x if bias is None else x + bias.view(1, -1, 1, 1)

    def _normed(self, name: str, x: Tensor, eps: float) -> Tensor:
        mean, var, gamma, beta = (self.get(name, k) for k in ("mean", "var", "gamma", "beta"))
        return F.batch_norm(
            x.flatten(0, 1), mean, var, gamma, beta, self.training, self.momentum, eps
        ).view(x.shape)

    def _latent(self, node: Weighted) -> Tensor:
        return cast("Tensor", self.get(node.name, "weight"))

    def _discrete(self, node: Weighted, kind: str) -> tuple[Tensor, Tensor]:
        """(q, a) of a layer's latent weights by its own threshold, no gradient."""
        factor = self.get(node.name, "factor")
        own = TWN_FACTOR if factor is None else factor
        return discretize(self._latent(node), kind, self._is_tied(node), own)

    def _weights(self, node: Weighted, kind: str, unit: bool) -> Tensor:
        """A layer's q (``unit``) or a*q, with gradients to latent weights and threshold."""
        if kind == "real" and unit:
            return unit_sized(self._latent(node))
        q, a = self._discrete(node, kind)
        weight = straight_through(self._latent(node), q, a, unit)
        factor = self.get(node.name, "factor")
        if factor is None or kind != "ternary" or not torch.is_grad_enabled():
            return weight
        moved = switching(self._latent(node), factor, self._is_tied(node))
        return weight + (moved if unit else a * moved)

    def _folded(self, node: FloatNeuron | FloatReadout, streams: dict[str, Tensor]) -> Tensor:
        """The same neuron in the units of its integer form, as ``gen.quantize.quantize`` folds
        it."""
        assert self.fraction_bits is not None
        fraction = float(1 << self.fraction_bits[node.name])
        scales = find_scales(self.network, node)
        base = scales.base
        latent = self._latent(base)
        amplitude = self.network.amplitude[base.input]
        gain, offset = self._affine(base)
        if base.unit is not None and base.norm is None:
            unit = amplitude * torch.tensor([base.unit], device=latent.device).double()
        else:
            a = self._discrete(base, base.kind)[1].flatten()
            if gain.dtype == torch.float32:  # the one gain, multiplied in as `export` does
                unit = amplitude * (a * gain).double()
            else:
                unit = amplitude * a.double() * gain  # real value of one integer unit
        if scales.pool is not None:
            unit, offset = unit * scales.pool.amplitude_of([1.0]), offset * scales.pool.shares
        if isinstance(node, FloatNeuron) and node.norm is not None:
            gain, start = self._norm_affine(node.name, node.norm.eps)
            unit, offset = unit * gain, offset * gain + start
        sign = torch.where(unit < 0, -1.0, 1.0)
        unit = unit.abs().clamp(min=1e-9)
        per = fraction / unit  # integer steps of one real unit
        levels, bias = constants(node, per, offset, fraction, self.steps, self.network.steps)
        channels = len(latent)
        kind = torch.float32 if fraction <= 1 << 10 else torch.float64  # float32 holds 24 bits
        levels = {name: p.expand(channels).to(kind) for name, p in levels.items()}
        column = (sign * fraction).expand(channels).view(-1, 1, 1).to(kind)
        if bias.ndim == 2:
            x = _table(bias, self.steps, column)
        else:
            x = bias.expand(channels).to(kind).view(-1, 1, 1)
        for name, times in scales.times.items():
            if (found := self.network.sums(name)) is None:
                part = streams[name]
            else:
                part = self._whole_sum(found.weighted, streams)
                part = pooled(found.pool, part, True, sign)
            x = x + part * (column * times)
        out = scan(x, **levels, spec=self._spec(node, True))
        if not isinstance(node, FloatReadout):
            return out.float()
        logits = self._logits(node, out)
        logits = logits if node.mode == "count" else logits * (unit / fraction).to(kind)
        return logits.float()

    def _whole_sum(self, node: Weighted, streams: dict[str, Tensor]) -> Tensor:
        """The sum of trits times integer streams, gradients straight through."""
        return self._sum(node, streams[node.input], self._weights(node, node.kind, True), None)

    def _norm_affine(self, name: str, eps: float) -> tuple[Tensor, Tensor]:
        """(gain, offset) of a batch norm in evaluation, float64 (O,)."""
        gamma, beta, mean, var = (
            cast("Tensor", self.get(name, k)).double() for k in ("gamma", "beta", "mean", "var")
        )
        gain = gamma / torch.sqrt(var + eps)
        return gain, beta - mean * gain

    def _affine(self, weighted: Weighted) -> tuple[Tensor, Tensor]:
        """(gain, offset), (O,) or (1,), of the batch norm (float64) or of gain (float32), bias."""
        if weighted.norm is not None:
            return self._norm_affine(weighted.name, weighted.norm.eps)
        gain, bias = self.get(weighted.name, "gain"), self.get(weighted.name, "bias")
        gain = torch.ones(1, device=self._latent(weighted).device) if gain is None else gain.view(1)
        return gain, torch.zeros_like(gain).double() if bias is None else bias.double()

    def _spec(self, node: FloatNeuron | FloatReadout, folded: bool) -> ScanSpec:
        """The fields of the neuron that a `ScanSpec` has, too; a word of a factor is 1."""
        given = {f.name: getattr(node, f.name) for f in fields(ScanSpec) if hasattr(node, f.name)}
        given |= {k: 1.0 for k, v in given.items() if v == UNDAMPED}
        given["strict"] &= not folded  # folded thresholds are whole: '>' is in them
        readout = isinstance(node, FloatReadout)
        emit = "membrane" if readout and node.mode == "membrane" else "spikes"
        return ScanSpec(self.steps, **given, rounding=folded, emit=emit)

    def _logits(self, node: FloatReadout, out: Tensor) -> Tensor:
        if node.mode == "membrane":
            return out.flatten(1)
        if node.mode == "count":
            return out.sum(0).flatten(1)
        raise NetworkError(f"node '{node.name}': readout '{node.mode}' needs [stidi] in the recipe")

    # -- to and from the description ----------------------------------------------------------

    def clip_latents(self) -> None:
        """Keep latent weights in [-1, 1], learned thresholds in their range, and gains over sums
        positive (shortcuts then have one coefficient in all channels); call after each step."""
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.endswith("__weight"):
                    p.clamp_(-1, 1)
                elif name.endswith("__gamma") and name[:-7] in self._neurons:
                    p.clamp_(min=LEAST_GAIN)
                elif name.endswith("__factor"):
                    p.clamp_(*FACTORS)

    def export(self) -> FloatNetwork:
        """The network as trained: effective weights scale*trits, batch norms as they stand."""
        nodes: list[FloatNode] = []
        for node in self.network.nodes:
            if isinstance(node, FloatNeuron) and node.norm is not None:
                node = replace(node, norm=self._norm_of(node.name, node.norm.eps))
            elif isinstance(node, Weighted):
                q, a = self._discrete(node, node.kind)
                gain = self.get(node.name, "gain")
                if node.norm is not None:
                    node = replace(node, norm=self._norm_of(node.name, node.norm.eps))
                elif gain is not None:
                    a = a * gain.detach()
                elif node.unit is not None:
                    a = torch.tensor(node.unit)
                    q = unit_sized(self._latent(node)).detach() if node.kind == "real" else q
                bias = self.get(node.name, "bias")
                bias = None if bias is None else bias.detach().cpu().numpy()
                node = replace(node, weight=(q * a).cpu().numpy(), bias=bias)
            nodes.append(node)
        return FloatNetwork(self.network.steps, nodes)

    def _norm_of(self, name: str, eps: float) -> BatchNorm:
        parts = [cast("Tensor", self.get(name, k)) for k in ("gamma", "beta", "mean", "var")]
        return BatchNorm(*[p.detach().cpu().numpy() for p in parts], eps=eps)

    def trace(self, images: Tensor, names: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        """(logits, streams of the named nodes), no gradient; for tests and calibration."""
        self.keep, self.spikes = names, {}
        with torch.no_grad():
            logits = self(images)
        self.keep, kept = (), self.spikes
        return logits, kept


def _table(rows: Tensor | np.ndarray, steps: int, like: Tensor) -> Tensor:
    """The first rows of a bias of each time step (T,C), as a stream [T,1,C,1,1] of like's type."""
    return torch.as_tensor(rows).to(like)[:steps, None, :, None, None]
