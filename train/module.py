"""A FloatNetwork as a torch module: trained in real numbers, then in the folded integers.

Streams are [T,B,C,H,W]; what does not depend on t (direct pixels and their weighted sum) is kept
as [1,B,C,H,W] and computed once.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sterna.gen.floatnet import (
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
    sources,
)
from sterna.gen.rulefold import bias_in_start
from sterna.golden.errors import NetworkError
from sterna.train.fastscan import SumPool, library
from sterna.train.scan import ScanSpec, scan
from sterna.train.weights import discretize, straight_through

__all__ = ["SpikingModule"]

Weighted = FloatConv2d | FloatLinear
BN_MOMENTUM = 0.1


class SpikingModule(nn.Module):
    """Trains the network it is given; ``export()`` returns the trained FloatNetwork.

    ``steps`` may be changed between epochs (T = 1 first). With ``fraction_bits`` set (a dict of
    neuron name -> F) the forward pass is the folded integer network's, gradients straight
    through, and batch statistics are frozen.

    Parameters: latent weights ``<node>__weight`` in [-1, 1], ``<node>__gamma`` and ``__beta`` of
    batch norms, ``<readout's node>__gain`` (one scale) and ``__bias``.
    """

    def __init__(self, network: FloatNetwork) -> None:
        super().__init__()
        self.network = network
        self.steps = network.steps
        self.fraction_bits: dict[str, int] | None = None
        self.spikes: dict[str, Tensor] = {}  # of the last forward pass, where `keep` says so
        self.keep: tuple[str, ...] = ()
        tied = set(network.readout.inputs)
        for node in network.nodes:
            if isinstance(node, FloatMerge):
                raise NetworkError(f"node '{node.name}': merges cannot be trained yet; remove it")
            if not isinstance(node, Weighted):
                self._check_neuron(node)
                continue
            self._add_parameters(node, node.name in tied)

    def _add_parameters(self, node: Weighted, tied: bool) -> None:
        name = node.name
        weight = torch.tensor(node.weight, dtype=torch.float32)
        # latent weights live in [-1, 1] and train best from +-0.1; batch norm or gain take the rest
        peak = float(weight.abs().max())
        scale = max(peak, 1.0) if node.norm is not None else peak / 0.1 or 1.0
        self._put(name, "weight", weight / scale)
        if node.norm is not None:
            if tied:
                raise NetworkError(
                    f"node '{name}': a batch norm before the readout gives every class its own "
                    "scale; remove it"
                )
            for key in ("gamma", "beta"):
                self._put(name, key, torch.tensor(getattr(node.norm, key), dtype=torch.float32))
            for key in ("mean", "var"):
                value = torch.tensor(getattr(node.norm, key), dtype=torch.float32)
                value = value / (scale if key == "mean" else scale**2)
                self.register_buffer(f"{name}__{key}", value)
        else:
            self._put(name, "gain", torch.tensor(scale))
            if node.bias is not None:
                self._put(name, "bias", torch.tensor(node.bias, dtype=torch.float32))

    def _put(self, node: str, key: str, value: Tensor) -> None:
        self.register_parameter(f"{node}__{key}", nn.Parameter(value))

    def _check_neuron(self, node: FloatNode) -> None:
        if not isinstance(node, FloatNeuron | FloatReadout):
            return
        if len(node.inputs) != 1 or not isinstance(self.network.by_name[node.inputs[0]], Weighted):
            raise NetworkError(
                f"node '{node.name}': several inputs or spike inputs cannot be trained yet; "
                "give it one Conv2d or Linear"
            )
        if np.ndim(node.bias or 0) or np.ndim(node.v_init) or np.ndim(node.threshold):
            raise NetworkError(
                f"node '{node.name}': training wants one threshold, bias and v_init for all "
                "channels; put the rest into the batch norm"
            )

    def get(self, node: str, key: str) -> Tensor | None:
        """A parameter or buffer of a node, None where it has none."""
        return cast("Tensor | None", getattr(self, f"{node}__{key}", None))

    # -- forward -----------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        """Real logits [B, classes] of uint8 images [B,C,H,W] (frames: [T,B,C,H,W])."""
        folded = self.fraction_bits is not None
        streams: dict[str, Tensor] = {}
        for node in self.network.nodes:
            if isinstance(node, FloatInput):
                streams[node.name] = self._input(node, images, folded)
            elif isinstance(node, FloatPool):
                streams[node.name] = self._pool(node, streams[node.input], folded)
            elif isinstance(node, FloatNeuron):
                weighted = cast("Weighted", self.network.by_name[node.inputs[0]])
                run = self._folded if folded else self._real
                streams[node.name] = run(node, weighted, streams[weighted.input])
            elif isinstance(node, FloatReadout):
                weighted = cast("Weighted", self.network.by_name[node.inputs[0]])
                run = self._folded if folded else self._real
                return run(node, weighted, streams[weighted.input])
            if node.name in self.keep:
                self.spikes[node.name] = streams[node.name].detach()
        raise AssertionError("a FloatNetwork ends in a readout")

    def _input(self, node: FloatInput, images: Tensor, folded: bool) -> Tensor:
        if node.coding == "direct":
            x = images.unsqueeze(0).float()
            return x if folded else x * node.scale
        if node.coding == "frames":
            return images.float()
        from sterna.golden.coding import encode
        from sterna.golden.network import Input

        pixels = Input(node.name, node.shape, node.coding, node.bits, node.seed)
        frames = torch.from_numpy(encode(pixels, images.cpu().numpy(), self.steps))
        return frames.to(images.device).float()

    def _pool(self, node: FloatPool, s: Tensor, folded: bool) -> Tensor:
        t, b = s.shape[:2]
        flat = s.flatten(0, 1)
        if node.mode in ("sum", "avg"):
            k = node.kernel[0]
            size = k * node.kernel[1]
            if flat.device.type == "cpu" and node.kernel == node.stride == (k, k) and library():
                out = cast("Tensor", SumPool.apply(flat, k))
            else:
                out = F.avg_pool2d(flat, node.kernel, node.stride) * size
            if node.mode == "avg" and not folded:
                out = out / size
        elif node.mode == "or":
            out = F.max_pool2d(flat, node.kernel, node.stride)
        else:
            raise NetworkError(f"node '{node.name}': pool '{node.mode}' cannot be trained yet")
        return out.unflatten(0, (t, b))

    def _sum(self, node: Weighted, s: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        t, b = s.shape[:2]
        if isinstance(node, FloatLinear):
            return F.linear(s.flatten(2), weight, bias).view(t, b, -1, 1, 1)
        top, bottom, left, right = node.padding
        flat = s.flatten(0, 1)
        pad: tuple[int, int] = (top, left)
        if (top, left) != (bottom, right):
            flat, pad = F.pad(flat, (left, right, top, bottom)), (0, 0)
        out = F.conv2d(flat, weight, bias, node.stride, pad, 1, node.groups)
        return out.unflatten(0, (t, b))

    def _is_tied(self, node: Weighted) -> bool:
        return node.name in self.network.readout.inputs

    def _real(self, node: FloatNeuron | FloatReadout, weighted: Weighted, s: Tensor) -> Tensor:
        """The neuron in real numbers: batch norm in its training or its evaluation form."""
        name = weighted.name
        latent = cast("Tensor", self.get(name, "weight"))
        q, a = discretize(latent, weighted.kind, self._is_tied(weighted))
        x = self._sum(weighted, s, straight_through(latent, q, a, unit=False), None)
        gamma, beta = self.get(name, "gamma"), self.get(name, "beta")
        if gamma is not None:
            assert weighted.norm is not None
            mean, var = self.get(name, "mean"), self.get(name, "var")
            shape = x.shape
            x = F.batch_norm(x.flatten(0, 1), mean, var, gamma, beta, self.training,
                             BN_MOMENTUM, weighted.norm.eps).view(shape)  # fmt: skip
        else:
            x = x * cast("Tensor", self.get(name, "gain"))
            bias = self.get(name, "bias")
            if bias is not None:
                x = x + bias.view(1, -1, 1, 1)
        if node.bias is not None:
            x = x + float(node.bias)
        like = latent.new_ones(x.shape[2])
        threshold = like * float(node.threshold)
        back = threshold if node.reset_by is None else like * float(node.reset_by)
        out = scan(x, threshold, back, like * float(node.v_init), self._spec(node, False))
        if isinstance(node, FloatReadout):
            return self._logits(node, out)
        return out if node.amplitude == 1.0 else out * node.amplitude

    def _folded(self, node: FloatNeuron | FloatReadout, weighted: Weighted, s: Tensor) -> Tensor:
        """The same neuron in the units of its integer form, as ``gen.quantize`` folds it."""
        assert self.fraction_bits is not None
        fraction = float(1 << self.fraction_bits[node.name])
        name = weighted.name
        latent = cast("Tensor", self.get(name, "weight"))
        q, a = discretize(latent, weighted.kind, self._is_tied(weighted))
        gain, offset = self._affine(weighted)
        amplitude = self.network.amplitude[weighted.input]
        a = a.flatten()
        if gain.dtype == torch.float32:  # the one gain, multiplied in as `export` does
            unit = amplitude * (a * gain).double()
        else:
            unit = amplitude * a.double() * gain  # real value of one integer unit
        sign = torch.where(unit < 0, -1.0, 1.0)
        unit = unit.abs().clamp(min=1e-9)
        shape = (-1, *[1] * (latent.ndim - 1))
        weight = straight_through(latent, q, a.view(shape), unit=True) * sign.float().view(shape)
        per = fraction / unit  # integer steps of one real unit
        bias = (offset + float(node.bias or 0.0)) * per
        start = float(node.v_init) * per
        if bias_in_start(node):
            start, bias = start + bias * self.steps, torch.zeros_like(bias)
        bias = _round(bias.expand(weight.shape[0]))
        exact = float(node.threshold) * per
        threshold = _floor(exact) + 1 if node.strict else -_floor(-exact)
        back = _round(exact if node.reset_by is None else float(node.reset_by) * per)
        v_init = _round(start)
        parts = [p.expand(weight.shape[0]).float() for p in (threshold, back, v_init)]
        x = self._sum(weighted, s, weight * fraction, bias.float())
        out = scan(x, parts[0], parts[1], parts[2], self._spec(node, True))
        if not isinstance(node, FloatReadout):
            return out
        logits = self._logits(node, out)
        return logits if node.mode == "count" else logits * (unit / fraction).float()

    def _affine(self, weighted: Weighted) -> tuple[Tensor, Tensor]:
        """(gain, offset), (O,) or (1,), of the batch norm (float64) or of gain (float32), bias."""
        gamma, beta = self.get(weighted.name, "gamma"), self.get(weighted.name, "beta")
        if gamma is not None and beta is not None and weighted.norm is not None:
            mean, var = self.get(weighted.name, "mean"), self.get(weighted.name, "var")
            assert mean is not None and var is not None
            gain = gamma.double() / torch.sqrt(var.double() + weighted.norm.eps)
            return gain, beta.double() - mean.double() * gain
        gain = cast("Tensor", self.get(weighted.name, "gain")).view(1)
        bias = self.get(weighted.name, "bias")
        return gain, torch.zeros_like(gain).double() if bias is None else bias.double()

    def _spec(self, node: FloatNeuron | FloatReadout, folded: bool) -> ScanSpec:
        synapse = 1.0 if node.synapse == "ramp" else cast("float | None", node.synapse)
        readout = isinstance(node, FloatReadout)
        emit = "membrane" if readout and node.mode == "membrane" else "spikes"
        delay = 0 if readout else node.delay
        strict = node.strict and not folded  # folded thresholds are whole: '>' is in them
        return ScanSpec(self.steps, node.reset, node.leak, synapse, delay, strict, folded, emit)

    def _logits(self, node: FloatReadout, out: Tensor) -> Tensor:
        if node.mode == "membrane":
            return out.flatten(1)
        if node.mode == "count":
            return out.sum(0).flatten(1)
        raise NetworkError(f"node '{node.name}': readout '{node.mode}' cannot be trained yet")

    # -- to and from the description ----------------------------------------------------------

    def clip_latents(self) -> None:
        """Keep latent weights in [-1, 1]; call after each optimiser step."""
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.endswith("__weight"):
                    p.clamp_(-1, 1)

    def export(self) -> FloatNetwork:
        """The network as trained: effective weights scale*trits, batch norms as they stand."""
        nodes: list[FloatNode] = []
        for node in self.network.nodes:
            if isinstance(node, Weighted):
                latent = cast("Tensor", self.get(node.name, "weight")).detach()
                q, a = discretize(latent, node.kind, self._is_tied(node))
                if node.norm is not None:
                    parts = [cast("Tensor", self.get(node.name, k)) for k in
                             ("gamma", "beta", "mean", "var")]  # fmt: skip
                    arrays = [p.detach().cpu().numpy() for p in parts]
                    norm = BatchNorm(*arrays, eps=node.norm.eps)
                    node = replace(node, weight=(q * a).cpu().numpy(), norm=norm)
                else:
                    gain = cast("Tensor", self.get(node.name, "gain")).detach()
                    bias = self.get(node.name, "bias")
                    node = replace(
                        node, weight=(q * (a * gain)).cpu().numpy(),
                        bias=None if bias is None else bias.detach().cpu().numpy(),
                    )  # fmt: skip
            nodes.append(node)
        return FloatNetwork(self.network.steps, nodes)

    def trace(self, images: Tensor, names: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        """(logits, streams of the named nodes), no gradient; for tests and calibration."""
        self.keep, self.spikes = names, {}
        with torch.no_grad():
            logits = self(images)
        self.keep, kept = (), self.spikes
        return logits, kept

    def readers(self, name: str) -> list[str]:
        """Names of the nodes that read ``name``."""
        return [n.name for n in self.network.nodes if name in sources(n)]


def _round(x: Tensor) -> Tensor:
    """Round half up, gradient 1 (numpy's and torch's own round half to even)."""
    return x + (torch.floor(x + 0.5) - x).detach()


def _floor(x: Tensor) -> Tensor:
    return x + (torch.floor(x) - x).detach()
