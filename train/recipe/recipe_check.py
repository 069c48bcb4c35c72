"""What is asked of a recipe before anything is trained: that its network, trained, can become
integers, and that the data set has what it wants. Each refusal names the key, the value and what
is possible.
"""

import math

import numpy as np

from sterna.gen.quantize.float_network import FloatNetwork, FloatNeuron, FloatReadout
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import NetworkError, UsageError
from sterna.train.data.sets import PARTS, DataSet
from sterna.train.methods.stidi import read_stidi
from sterna.train.module.frames import check_fits
from sterna.train.module.nq import read_nq
from sterna.train.recipe.recipe import Recipe, build_module, build_network

__all__ = ["check_data", "check_images", "check_recipe"]

MOST_VALUES = 1 << 33  # of one layer, one batch, all time steps: 32 GiB as float32
MEASURED = 2  # images that a noise or a bias needs at least


def check_recipe(recipe: Recipe) -> FloatNetwork:
    """The untrained network of a recipe, once it has passed every check of ``quantize``.

    Takes part of a second, needs no data and draws from no generator but its own. UsageError or
    NetworkError where training would end in a network that nothing can be built of.
    """
    where = f"recipe '{recipe.name}'"
    network = build_network(recipe, recipe.seed)
    _check_sizes(where, recipe, network)
    stidi = read_stidi(where, recipe.stidi)
    if network.readout.mode == "first_spike" and stidi is None:
        raise UsageError(
            f"{where}: readout mode 'first_spike' is trained with [stidi] only; add that, or "
            'write mode = "membrane"'
        )
    module = build_module(recipe, network)
    if recipe.network.get("kind") == "real":
        return network  # to compare with: never quantized
    shape = (1, *network.input.shape)
    frames = network.input.coding == "frames"
    blank = np.zeros((network.steps, *shape) if frames else shape, np.uint8)
    # F = 0 has the narrowest registers: what does not fit then never will
    bits = {n.name: 0 for n in network.nodes if isinstance(n, FloatNeuron | FloatReadout)}
    try:
        quantize(module.export(), blank, name=recipe.name, fraction_bits=bits)
    except NetworkError as e:
        raise UsageError(f"{where}: its network has no integer form: {e}") from e
    return network


def _check_sizes(where: str, recipe: Recipe, network: FloatNetwork) -> None:
    """Layers that a machine can hold, and shifts that leave something of an image."""
    batch = max(s.batch or recipe.batch for s in recipe.stages)
    steps = max(network.steps, *(s.steps for s in recipe.stages))
    for name, shape in network.shape.items():
        values = math.prod(shape) * batch * steps
        if values > MOST_VALUES:
            raise UsageError(
                f"{where}: node '{name}' of {shape[0]} x {shape[1]} x {shape[2]} has {values} "
                f"values in a batch of {batch} at {steps} time steps, more than {MOST_VALUES}; "
                "make the layer or the batch smaller"
            )
    side = min(network.input.shape[1:])
    shifts = [("shift", recipe.shift), *(("[[stage]] shift", s.shift) for s in recipe.stages)]
    for key, shift in shifts:
        if shift is not None and shift >= side:
            raise UsageError(
                f"{where}: {key} {shift} moves images of {side} pixels out of sight; write at "
                f"most {side - 1}"
            )


def check_images(where: str, network: FloatNetwork, parts: DataSet, way: str | None = None) -> None:
    """UsageError where a data set's images or classes do not fit a network, or a part is empty.
    ``way``: what to do, where the network is not a recipe's that could still be changed."""
    for part in PARTS:
        if not len(parts.part(part)[1]):
            raise UsageError(f"{where}: the data set has no {part} images; add some")
        check_fits(where, network.input, network.steps, parts.part(part)[0], way)
    outputs = network.shape[network.readout.name][0]
    classes = parts.outputs()
    if outputs < classes:
        raise UsageError(
            f"{where}: the last layer has {outputs} outputs, the data set has {classes} classes; "
            + (way or f"write FC{classes}")
        )


def check_data(recipe: Recipe, network: FloatNetwork, parts: DataSet) -> None:
    """UsageError where a data set does not fit a recipe: shape and range of its images, its
    classes, and too few images for a batch or for the noise of [nq]."""
    where = f"recipe '{recipe.name}'"
    labels = parts.train[1]
    check_images(where, network, parts)
    count = len(labels)
    if (nq := read_nq(where, recipe.nq)) is not None:
        kept = int(nq.share * count)
        if kept < MEASURED and (nq.noise or nq.bias_correction):
            raise UsageError(
                f"{where}: [nq] share {nq.share:g} of {count} training images keeps {kept} to "
                f"measure the noise or biases on; write at least {2 * MEASURED / count:.2g}"
            )
        count -= kept
    count = min(recipe.images or count, count)
    size = max(s.batch or recipe.batch for s in recipe.stages)
    if size > count:
        raise UsageError(
            f"{where}: a batch of {size} is more than the {count} training images; make it smaller"
        )
