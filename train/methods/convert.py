"""The end of training for conversion: clips become IF neurons, and what that costs is measured."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron
from sterna.train.methods.ftbc import correct_bias
from sterna.train.module.nq import CONVERTED
from sterna.train.module.schedule import measure_norms

__all__ = ["convert", "settle"]


def convert(
    module: Any,
    images: Tensor,
    parts: Mapping[str, tuple[Tensor, Tensor]],
    accuracy: Callable[[Any, Tensor, Tensor], float],
) -> dict[str, float]:
    """Settle a module that was trained with [nq].

    ``images`` (uint8, not trained on) are for the bias correction, where the recipe asks for it.
    Returns accuracies on each of ``parts`` (images, labels): ``<part>_ann`` of the clips,
    ``<part>_T<n>`` after n steps of IF neurons, ``<part>_corrected_T<n>`` with corrected biases,
    ``<part>_normed_T<n>`` with batch norms measured on ``images`` at n steps.
    """
    forms = {False: "T"}
    if module.nq.bias_correction:
        correct_bias(module, images)
        forms[True] = "corrected_T"
    found: dict[str, float] = {}
    for part, (inputs, labels) in parts.items():
        module.clipping, module.steps = True, 1
        found[f"{part}_ann"] = accuracy(module, inputs, labels)
        module.clipping = False
        for module.corrected, form in forms.items():
            for module.steps in CONVERTED:
                found[f"{part}_{form}{module.steps}"] = accuracy(module, inputs, labels)
    if module.nq.measure_norms:
        found |= _normed(module, images, parts, accuracy)
    settle(module)
    return found


def _normed(
    module: Any,
    images: Tensor,
    parts: Mapping[str, tuple[Tensor, Tensor]],
    accuracy: Callable[[Any, Tensor, Tensor], float],
) -> dict[str, float]:
    """Accuracies of IF neurons behind batch norms of each T, which are put back."""
    kept = {k: v.clone() for k, v in module.state_dict().items()}
    module.clipping = module.corrected = False
    found: dict[str, float] = {}
    for steps in CONVERTED:
        measure_norms(module, images, len(images), steps)
        for part, (inputs, labels) in parts.items():
            found[f"{part}_normed_T{steps}"] = accuracy(module, inputs, labels)
    module.load_state_dict(kept)
    return found


def settle(module: Any) -> None:
    """End of training for conversion: every neuron becomes IF with threshold and amplitude ``up``
    (its own amplitude where streams meet), started at ``up/2``, with its corrected bias; the module
    goes on as that of any network."""
    nodes = list(module.network.nodes)
    for n, node in enumerate(nodes):
        logup = module.get(node.name, "logup")
        if isinstance(node, FloatNeuron) and logup is not None:
            up = float(logup.detach().double().exp())
            table, bias = module.get(node.name, "table"), node.bias
            if table is not None:
                bias = table[: module.network.steps].double().cpu().numpy() + float(bias or 0.0)
            nodes[n] = replace(
                node,
                threshold=up,
                v_init=up / 2,
                bias=bias,
                amplitude=node.amplitude if module.unscaled else up,
            )
    module.network = FloatNetwork(module.network.steps, nodes)
    module.nq, module.clipping = None, False
