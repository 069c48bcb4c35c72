"""The recipe that `sterna new` writes: a network and a schedule for the shape of some data.

Where to start from, not where to end: layers as the examples have them, halved in size until some
8 x 8 are left, and as many epochs as a small set needs to make some hundred steps.
"""

import json
import math
from dataclasses import dataclass

from sterna.golden.errors import UsageError
from sterna.golden.words.names import not_one_of
from sterna.train.data.datasets import SHAPES
from sterna.train.data.sets import PARTS, DataSet

__all__ = ["KNOWN", "Shape", "shape_of", "starter_text"]

STEPS = 4
_BATCHES, _LEAST, _MOST = 900, 8, 100  # batches that a stage is to have; epochs
_FEW = 4000  # images below which batch norms are measured, not averaged


@dataclass(frozen=True)
class Shape:
    """Of a data set: (C, H, W), T where its images are frames else 0, classes, images to train on,
    the classes' names, and bits of a value in frames."""

    image: tuple[int, int, int]
    frames: int
    classes: int
    count: int
    names: tuple[str, ...] = ()
    bits: int = 1


KNOWN = {
    "digits": Shape(SHAPES["digits"], 0, 10, 1257),
    "mnist": Shape(SHAPES["mnist"], 0, 10, 55_000),
    "fashion_mnist": Shape(SHAPES["fashion_mnist"], 0, 10, 55_000),
    "cifar10": Shape(SHAPES["cifar10"], 0, 10, 45_000),
    "nmnist_8": Shape((2, 34, 34), 8, 10, 54_000),
}
"""Data sets that a recipe can be like, without being read."""


def shape_of(parts: DataSet) -> Shape:
    """Of a data set in memory."""
    images, labels = parts.train
    frames = len(images) if images.ndim == 5 else 0
    c, h, w = images.shape[-3:]
    largest = max(int(parts.part(p)[0].max(initial=0)) for p in PARTS) if frames else 1
    bits = max(1, largest.bit_length())
    return Shape((c, h, w), frames, parts.outputs(), len(labels), parts.classes, bits)


def starter_text(name: str, data: str, like: str, shape: Shape) -> str:
    """The text of a recipe. name: the network's; data: of the data set, a path as from the recipe's
    folder; like: the known set whose layers it has, '' for those that the shape suggests."""
    if like and like not in KNOWN:
        raise UsageError(f"--like {not_one_of(like, KNOWN)}")
    layers = [*_layers(KNOWN[like].image if like else shape.image), f"FC{shape.classes}"]
    batch = min(128, shape.count, max(8, 1 << int(math.log2(max(shape.count // 8, 1)))))
    epochs = min(_MOST, max(_LEAST, math.ceil(_BATCHES / max(1, shape.count // batch))))
    side = min(shape.image[1:])
    coding = '\ncoding = "frames"  # the input is a bit a pixel and step'
    if shape.bits > 1:
        most = f"{(1 << shape.bits) - 1} a pixel and step"
        coding = f'\ncoding = "frames"\nbits = {shape.bits}  # the input is a number up to {most}'
    words = {
        "name": name,
        "data": json.dumps(data, ensure_ascii=False),
        "about": _about(shape),
        "batch": batch,
        "augment": _augment(side, bool(shape.frames)),
        "coding": coding if shape.frames else "",
        "shape": list(shape.image),
        "steps": shape.frames or STEPS,
        "layers": json.dumps(layers),
        "first": shape.frames or 1,
        "epochs": epochs,
        "few": max(2, epochs // 4),
        "norms": min(256, shape.count) if shape.count < _FEW else 0,
    }
    return _TEXT.format(**words)


def _layers(image: tuple[int, int, int]) -> list[str]:
    """Convolutions and pools down to a map of some 8 x 8 or less."""
    side = min(image[1:])
    if side < 4:
        return ["32C3p1"]
    if side <= 16:
        return ["16C3p1", "P2sum", "32C3p1"] + (["P2sum"] if side >= 8 else [])
    layers = ["32C5s2p2" if side <= 64 else "16C5s2p2", "64C3p1" if side <= 64 else "32C3s2p1"]
    side = -(-side // 2) if side <= 64 else -(-side // 4)
    while side > 16:
        layers.append("64C3s2p1")
        side = -(-side // 2)
    return [*layers, "P2sum"]


def _about(shape: Shape) -> str:
    c, h, w = shape.image
    what = f"{shape.frames} frames of" if shape.frames else "images of"
    text = f"# {shape.count} {what} {c} x {h} x {w} to train on, {shape.classes} classes"
    if not shape.names:
        return text
    # names come from outside: a line end in one must not begin a line of the recipe
    shown = ", ".join(ascii(n)[1:-1] for n in shape.names[:20])
    return f"{text}:\n# {shown}{' ...' if len(shape.names) > 20 else ''}"


def _augment(side: int, frames: bool) -> str:
    lines = [f"shift = {max(1, side // 16)}  # pixels that images are moved by at random"]
    if not frames and side >= 16:
        lines.append("rotate = 6.0  # degrees, and zoom by a share; mirror = true flips them, too")
        lines.append("zoom = 0.06")
    return "\n".join(lines if side > 1 else [])


_TEXT = """\
# {name}: written by `sterna new`. What can stand here: docs/training.md and docs/data.md.
#   sterna train {name} -o runs/{name}
#   sterna quantize runs/{name} -o build/{name}
#   sterna sim build/{name}
name = "{name}"

# The data set; a path begins at this file's folder.
{about}
data = {data}

seed = 1  # same seed, same network
batch = {batch}
{augment}

[network]
shape = {shape}  # channels, height, width{coding}
steps = {steps}  # time steps: more is more accurate and takes longer
kind = "ternary"  # weights of -1, 0, 1; or "binary"
# 32C5s2p2: 32 channels, kernel 5, stride 2, padding 2; P2sum: pool of 2 x 2; FC10: the classes
layers = {layers}

# First at the fewest steps, which is fast.
[[stage]]
epochs = {epochs}
steps = {first}
norms = {norms}  # images that batch norms are measured on at the end; 0: they are averages

# Then at the network's steps.
[[stage]]
epochs = {few}
steps = {steps}
lr = 2e-3
lr_rest = 1e-3
norms = {norms}

# Last through the very integers that the hardware computes with.
[[stage]]
epochs = {few}
steps = {steps}
folded = true
lr = 3e-4
lr_rest = 1e-4
"""
