"""Recipes: a TOML file that says which network, which data and how it is trained.

Layers are written as in papers: ``32C5s2p2`` is a convolution to 32 channels, kernel 5, stride 2,
padding 2, followed by neurons; ``128FC`` a full connection followed by neurons; ``P2sum``,
``P2or``, ``P2avg`` a pool; ``FC10`` (last) the readout's full connection to 10 classes.
"""

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.floatnet import (
    BatchNorm,
    FloatConv2d,
    FloatInput,
    FloatLinear,
    FloatNetwork,
    FloatNeuron,
    FloatNode,
    FloatPool,
    FloatReadout,
)
from sterna.golden.errors import UsageError

__all__ = ["Recipe", "Stage", "read_recipe", "build_network"]

LATENT = 0.1  # latent weights start uniform in +-0.1 (METHODS: what worked)


@dataclass(frozen=True)
class Stage:
    """One part of the schedule: ``epochs`` at ``steps`` time steps with one-cycle rates; ``batch``
    and ``shift`` stand in for the recipe's."""

    epochs: int
    steps: int
    lr: float = 6e-3
    lr_rest: float = 3e-3
    folded: bool = False
    warmup: float = 0.15
    batch: int | None = None
    shift: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe. ``text`` is the file itself, copied into the run."""

    name: str
    data: str
    network: dict[str, Any]
    stages: tuple[Stage, ...]
    seed: int = 1
    batch: int = 128
    shift: int = 0
    rotate: float = 0.0
    zoom: float = 0.0
    smoothing: float = 0.0
    warm_start: str = ""
    text: str = field(default="", repr=False)


def read_recipe(path: str | Path) -> Recipe:
    """Parse a recipe file, or the ``recipe.toml`` of a folder. UsageError names what is wrong."""
    path = Path(path)
    path = path / "recipe.toml" if path.is_dir() else path
    try:
        text = path.read_text()
        raw = tomllib.loads(text)
    except OSError as e:
        raise UsageError(f"{path}: cannot be read ({e.strerror}); give a recipe file") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: is not TOML ({e}); correct that line") from e
    stages = tuple(_stage(path, s) for s in raw.pop("stage", []))
    if not stages:
        raise UsageError(f"{path}: has no [[stage]]; add at least one with epochs and steps")
    known = {f.name for f in fields(Recipe)} - {"stages", "text"}
    for key in sorted(set(raw) - known):
        raise UsageError(f"{path}: key '{key}' is unknown; known: {', '.join(sorted(known))}")
    for key in ("name", "data", "network"):
        if key not in raw:
            raise UsageError(f"{path}: key '{key}' is missing; add it")
    _check_types(path, Recipe, raw, "")
    return Recipe(**raw, stages=stages, text=text)


def _check_types(path: Path, kind: type, raw: dict[str, Any], where: str) -> None:
    """Every value has its field's type; numbers are finite and not negative."""
    wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    for f in fields(kind):
        if f.name not in raw or f.type not in wanted:
            continue
        value = raw[f.name]
        numeric = f.type in (int, float)
        right = isinstance(value, int | float if f.type is float else f.type)  # type: ignore
        if numeric and (isinstance(value, bool) or not right or not 0 <= value < float("inf")):
            right = False
        if not right:
            what = wanted[f.type]  # type: ignore[index]
            raise UsageError(f"{path}: {where}{f.name} {value!r} is not {what}; correct it")


def _stage(path: Path, raw: dict[str, Any]) -> Stage:
    known = {f.name for f in fields(Stage)}
    for key in sorted(set(raw) - known):
        raise UsageError(f"{path}: [[stage]] key '{key}' is unknown; known: {', '.join(known)}")
    if not {"epochs", "steps"} <= set(raw):
        raise UsageError(f"{path}: a [[stage]] needs epochs and steps; add them")
    _check_types(path, Stage, raw, "[[stage]] ")
    return Stage(**raw)


_CONV = re.compile(r"(\d+)C(\d+)(?:s(\d+))?(?:p(\d+))?\Z")
_FULL = re.compile(r"(\d+)FC\Z")
_POOL = re.compile(r"P(\d+)(sum|avg|or)\Z")
_LAST = re.compile(r"FC(\d+)\Z")


def build_network(recipe: Recipe, seed: int) -> FloatNetwork:
    """The untrained FloatNetwork of a recipe: latent weights uniform in +-0.1 from ``seed``."""
    d = dict(recipe.network)
    steps, layers = d.pop("steps"), d.pop("layers")
    kind = d.pop("kind", "ternary")
    neuron, readout = d.pop("neuron", {}), d.pop("readout", {})
    entry = FloatInput("image", tuple(d.pop("shape")), d.pop("coding", "direct"),
                       d.pop("bits", 8), d.pop("seed", 0))  # fmt: skip
    if d:
        raise UsageError(f"recipe '{recipe.name}': [network] key '{min(d)}' is unknown; remove it")
    rng = np.random.default_rng(seed)
    nodes: list[FloatNode] = [entry]
    for k, text in enumerate(layers, 1):
        here = FloatNetwork(steps, [*nodes, *_ending(nodes)])
        c, h, w = here.shape[nodes[-1].name]
        nodes += _layer(recipe, text, k, nodes[-1].name, (c, h, w), kind, neuron, readout, rng)
    return FloatNetwork(steps, nodes)


def _ending(nodes: list[FloatNode]) -> list[FloatNode]:
    """A stand-in end, so that shapes of an unfinished chain can be asked for."""
    return [FloatReadout("end_of_chain", (nodes[-1].name,))]


def _layer(
    recipe: Recipe, text: str, k: int, source: str, shape: tuple[int, int, int], kind: str,
    neuron: dict[str, Any], readout: dict[str, Any], rng: np.random.Generator,
) -> list[FloatNode]:  # fmt: skip
    draw = lambda *s: rng.uniform(-LATENT, LATENT, s).astype(np.float32)  # noqa: E731
    size = int(np.prod(shape))
    if m := _CONV.match(text):
        out, kernel, stride, pad = (int(g or d) for g, d in zip(m.groups(), (0, 0, 1, 0)))
        name = f"conv{k}"
        weight = draw(out, shape[0], kernel, kernel)
        node: FloatNode = FloatConv2d(
            name, source, weight, (stride, stride), (pad, pad, pad, pad), 1, kind, norm=_norm(out)
        )
        return [node, FloatNeuron(f"spike{k}", (name,), **neuron)]
    if m := _FULL.match(text):
        name, out = f"full{k}", int(m[1])
        node = FloatLinear(name, source, draw(out, size), kind, norm=_norm(out))
        return [node, FloatNeuron(f"spike{k}", (name,), **neuron)]
    if m := _POOL.match(text):
        side = int(m[1])
        return [FloatPool(f"pool{k}", source, m[2], (side, side), (side, side))]
    if m := _LAST.match(text):
        out = int(m[1])
        bias = np.zeros(out, np.float32)
        weight = draw(out, size) * np.float32(5 / np.sqrt(size))  # logits of about 1
        node = FloatLinear(f"full{k}", source, weight, kind, bias=bias)
        return [node, FloatReadout("readout", (f"full{k}",), **readout)]
    raise UsageError(
        f"recipe '{recipe.name}': layer '{text}' is not understood; write 32C5s2p2, 128FC, "
        "P2sum, P2or, P2avg or FC10"
    )


def _norm(channels: int) -> BatchNorm:
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return BatchNorm(ones, zeros, zeros, ones)
