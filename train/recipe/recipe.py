"""Recipes: a TOML file that says which network, which data and how it is trained."""

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from sterna.gen.quantize.float_network import FloatNetwork, FloatReadout
from sterna.gen.quantize.float_neurons import carried
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import parse_toml, read_text
from sterna.golden.files.instead import instead
from sterna.golden.files.sources import recipe_source
from sterna.golden.network import MAX_STEPS
from sterna.golden.words.names import MAX_NAME, NAME, legal_name, meant, show
from sterna.train.methods.stidi import make_module, read_stidi
from sterna.train.methods.twin import read_twin
from sterna.train.module.layers import Layers
from sterna.train.module.module import SpikingModule
from sterna.train.module.nq import read_nq
from sterna.train.module.schedule import PRECISIONS
from sterna.train.recipe.teacher_rule import read_teacher

__all__ = [
    "Recipe",
    "Stage",
    "parse_recipe",
    "read_recipe",
    "read_stage",
    "build_module",
    "build_network",
]

LIMIT = 1 << 20  # bytes
LEAST = {"epochs": 1, "steps": 1, "batch": 1}  # others: 0
BELOW = {"smoothing": 1.0, "warmup": 1.0, "zoom": 1.0}  # others: infinity
MOST = {"rotate": 360.0, "lr": 1e3, "lr_rest": 1e3, "steps": MAX_STEPS, "epochs": 1_000_000}


@dataclass(frozen=True)
class Stage:
    """One part of the schedule: ``epochs`` at ``steps`` time steps with one-cycle rates; ``batch``
    and ``shift`` stand in for the recipe's, ``kind`` for the network's: a binary network that is
    ternary at first learns faster. ``each_step``: the loss is the mean over time steps of that of
    the running mean logits. ``norms``: training images from which batch norms are measured at
    the stage's T, before its first epoch and after its last (0: they stay running means)."""

    epochs: int
    steps: int
    lr: float = 6e-3
    lr_rest: float = 3e-3
    folded: bool = False
    nq: bool = False
    warmup: float = 0.15
    batch: int | None = None
    shift: int | None = None
    kind: str | None = None
    each_step: bool = False
    norms: int = 0


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe. ``size`` ('28x28') and ``scale`` are options of data of one's own
    (`golden.sources`). ``images``: train on the first so many only (0: all of them). ``precision``
    of convolutions in training: 'float32', 'bfloat16' or 'auto' (``schedule.half_precision``).
    ``text`` is the file itself, copied into the run; ``folder`` is where it was."""

    name: str
    data: str
    network: dict[str, Any]
    stages: tuple[Stage, ...]
    size: str = ""
    scale: float = 0.0
    seed: int = 1
    batch: int = 128
    shift: int = 0
    rotate: float = 0.0
    zoom: float = 0.0
    mirror: bool = False
    smoothing: float = 0.0
    images: int = 0
    warm_start: str = ""
    precision: str = "auto"
    twin: dict[str, Any] | None = None
    stidi: dict[str, Any] | None = None
    nq: dict[str, Any] | None = None
    teacher: dict[str, Any] | None = None
    search: dict[str, Any] | None = None
    text: str = field(default="", repr=False)
    folder: Path | None = field(default=None, compare=False)

    @property
    def source(self) -> str:
        """The data set's name, with its options; relative to ``folder``."""
        keys = {"data": self.data, "size": self.size, "scale": self.scale}
        return recipe_source(keys, f"recipe '{self.name}'")

    @property
    def relu(self) -> bool:
        """Whether the network is an ANN of ReLUs, to learn from."""
        return self.network.get("activation") == "relu"

    @property
    def learned(self) -> bool:
        """Whether thresholds of ternary weights are trained."""
        return self.network.get("weight_threshold") == "learned"


def read_recipe(path: str | Path) -> Recipe:
    """Parse a recipe file, or the ``recipe.toml`` of a folder. UsageError names what is wrong."""
    path = Path(path)
    if (refusal := instead(path, "recipe")) is not None:
        raise UsageError(refusal)
    path = path / "recipe.toml" if path.is_dir() else path
    try:
        text = read_text(path, LIMIT, "give a recipe file")
    except FileError as e:
        raise UsageError(str(e)) from e
    return replace(parse_recipe(text, path), folder=path.parent.resolve())


def parse_recipe(text: str, path: str | Path) -> Recipe:
    """Parse the text of a recipe; ``path`` says in errors where it stands."""
    try:
        raw = parse_toml(text.encode(), path, "correct that line", finite=False)
    except FileError as e:
        raise UsageError(str(e)) from e
    given = raw.pop("stage", [])
    if not isinstance(given, list) or not all(isinstance(s, dict) for s in given):
        raise UsageError(f"{path}: stage is not a list of tables; write [[stage]]")
    stages = tuple(read_stage(path, s) for s in given)
    if not stages:
        raise UsageError(f"{path}: has no [[stage]]; add at least one with epochs and steps")
    _check_keys(path, raw)
    recipe_source(raw, str(path))
    recipe = Recipe(**raw, stages=stages, text=text)
    _check_methods(path, recipe)
    _check_objective(path, recipe)
    _check_weights(path, recipe)
    if recipe.precision not in PRECISIONS:
        raise UsageError(
            f"{path}: precision {recipe.precision!r} is not one of {', '.join(PRECISIONS)}"
        )
    largest = max(s.batch or recipe.batch for s in stages)
    for table in ("twin", "stidi", "nq", "search"):  # a network: where it is built
        _check_finite(path, table, raw.get(table))
    if 0 < recipe.images < largest:
        raise UsageError(f"{path}: images {recipe.images} do not fill one batch of {largest}")
    return recipe


def _check_keys(path: str | Path, raw: dict[str, Any]) -> None:
    """The keys outside of tables, by themselves."""
    known = {f.name for f in fields(Recipe)} - {"stages", "text", "folder"}
    for key in sorted(set(raw) - known):
        words = f"known: {', '.join(sorted(known))}{meant(key, known)}"
        raise UsageError(f"{path}: key '{key}' is unknown; {words}")
    for key in ("name", "data", "network"):
        if key not in raw:
            raise UsageError(f"{path}: key '{key}' is missing; add it")
    _check_types(path, Recipe, raw, "")
    if not NAME.match(raw["name"]):
        raise UsageError(
            f"{path}: name {show(raw['name'])} is not small letters, digits and _ from a letter "
            f"on, at most {MAX_NAME}, as networks are called; call it '{legal_name(raw['name'])}'"
        )
    if not isinstance(raw["network"], dict):
        raise UsageError(f"{path}: network {raw['network']!r} is not a table; write [network]")


def _check_methods(path: str | Path, recipe: Recipe) -> None:
    """What [nq], [twin], [stidi] and the stages go together with."""
    stages = recipe.stages
    nq, twin = read_nq(str(path), recipe.nq), read_twin(str(path), recipe.twin)
    stidi = read_stidi(str(path), recipe.stidi)
    if stidi is not None and (twin is not None or nq is not None):
        raise UsageError(f"{path}: [stidi] is not trained with [twin] or [nq]; remove one")
    clips = [s.nq for s in stages]
    if any(clips) != (nq is not None) or clips != sorted(clips, reverse=True):
        raise UsageError(
            f"{path}: [nq] and stages with nq = true go together, and these come first; correct it"
        )
    if recipe.network.get("coding") == "frames":
        other = [s.steps for s in stages if s.steps != recipe.network.get("steps")]
        if other or nq is not None:
            what = f"a stage of {other[0]} time steps" if other else "[nq], which needs images"
            raise UsageError(
                f"{path}: recordings of frames have one number of time steps, the network's; "
                f"remove {what}"
            )
    if nq is not None and twin is not None:
        raise UsageError(f"{path}: [twin] and [nq] are not trained together; remove one")
    if nq is not None and recipe.network.get("coding", "direct") != "direct":
        raise UsageError(f"{path}: [nq] trains on pixels; remove it, or coding")
    if any(s.folded and s.steps != recipe.network.get("steps", s.steps) for s in stages):
        raise UsageError(f"{path}: a folded stage has the steps of [network]; correct it")
    if any(s.nq and (s.folded or s.steps != 1) for s in stages):
        raise UsageError(f"{path}: a stage with nq = true has steps = 1 and is not folded")


def _check_weights(path: str | Path, recipe: Recipe) -> None:
    """What kinds of weights go together with."""
    if recipe.learned and recipe.network.get("kind", "ternary") != "ternary":
        raise UsageError(f"{path}: weight_threshold is for ternary weights; remove it")
    if recipe.network.get("kind") == "real" and any(s.folded for s in recipe.stages):
        raise UsageError(
            f"{path}: real weights have no integer form to run in a folded stage; remove it, or "
            "train ternary or binary weights"
        )
    if recipe.learned and (recipe.stidi is not None or recipe.search is not None):
        raise UsageError(
            f"{path}: a learned weight_threshold is not trained with [stidi] or [search]; remove it"
        )


def _check_objective(path: str | Path, recipe: Recipe) -> None:
    """What [teacher], ``each_step`` and ``norms`` go together with."""
    if read_teacher(str(path), recipe.teacher) is not None:
        if recipe.stidi is not None or recipe.twin is not None or recipe.search is not None:
            raise UsageError(
                f"{path}: [teacher] is not for [stidi], [twin] or [search]; remove one"
            )
        if recipe.network.get("coding") == "frames":
            raise UsageError(f"{path}: [teacher] looks at images, not recordings; remove it")
    special = [s for s in recipe.stages if s.each_step or s.norms]
    other = recipe.stidi is not None or recipe.twin is not None
    if special and (other or any(s.folded for s in special)):
        raise UsageError(
            f"{path}: each_step and norms are for stages in real numbers without [stidi] or "
            "[twin]; remove them"
        )
    readout = recipe.network.get("readout", {})
    plain = isinstance(readout, dict) and not carried(FloatReadout, readout)
    if any(s.each_step for s in recipe.stages) and not plain:
        raise UsageError(
            f"{path}: each_step wants a readout that only sums, without leak and synapse; remove it"
        )


def _check_finite(path: str | Path, where: str, value: Any) -> None:
    """No number is nan or infinite, in whichever table that nobody looked at."""
    if isinstance(value, dict):
        for key, inside in value.items():
            _check_finite(path, f"{where} {key}", inside)
    elif isinstance(value, list):
        for inside in value:
            _check_finite(path, where, inside)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{path}: {where} {value} is not a finite number; correct it")


def _check_types(path: str | Path, kind: type, raw: dict[str, Any], where: str) -> None:
    """Every value has its field's type; numbers are finite and in their range."""
    wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    for f in fields(kind):
        plain = not isinstance(f.type, UnionType)  # "int | None" is an int where it is given
        type_: Any = f.type if plain else get_args(f.type)[0]
        if f.name not in raw or type_ not in wanted:
            continue
        value, what = raw[f.name], wanted[type_]
        numeric = type_ in (int, float)
        right = isinstance(value, int | float if type_ is float else type_)
        if numeric:
            least, below = LEAST.get(f.name, 0), BELOW.get(f.name, math.inf)
            most = MOST.get(f.name, math.inf)
            right = right and not isinstance(value, bool) and least <= value < below
            right = right and value <= most
            what += f" from {least}" + (f" to below {below:g}" if below < math.inf else "")
            what += f" to {most:.10g}" if most < math.inf else ""
        if not right:
            raise UsageError(f"{path}: {where}{f.name} {value!r} is not {what}; correct it")


def read_stage(path: str | Path, raw: dict[str, Any]) -> Stage:
    """One [[stage]]; ``path`` says in errors where it stands. UsageError names what is wrong."""
    known = {f.name for f in fields(Stage)}
    for key in sorted(set(raw) - known):
        raise UsageError(
            f"{path}: [[stage]] key '{key}' is unknown; known: {', '.join(sorted(known))}"
            f"{meant(key, known)}"
        )
    kind = raw.get("kind")
    if kind is not None and (kind not in ("ternary", "binary") or raw.get("folded")):
        raise UsageError(
            f"{path}: [[stage]] kind {kind!r} is not ternary or binary before the folded epochs"
        )
    if not {"epochs", "steps"} <= set(raw):
        raise UsageError(f"{path}: a [[stage]] needs epochs and steps; add them")
    _check_types(path, Stage, raw, "[[stage]] ")
    return Stage(**raw)


def build_network(recipe: Recipe, seed: int) -> FloatNetwork:
    """The untrained FloatNetwork of a recipe: latent weights uniform in +-0.1 from ``seed``."""
    where = f"recipe '{recipe.name}'"
    d = dict(recipe.network)
    if "latents" in d:
        return _latents(where, recipe)
    for key in ("steps", "layers", "shape"):
        if key not in d:
            raise UsageError(f"{where}: [network] key '{key}' is missing; add it")
    layers = d.pop("layers")
    made = Layers(where, d, seed)
    if not isinstance(layers, list):
        raise UsageError(f'{where}: layers {layers!r} is not a list; write ["32C3p1", ...]')
    for entry in layers:
        made.add(entry)
    _check_finite(where, "network", recipe.network)
    return made.network()


def _latents(where: str, recipe: Recipe) -> FloatNetwork:
    """The network of a recipe that tunes an import: latents beside it, by their digest."""
    known = {"latents", "sha256", "steps", "coding", "kind"}
    if unknown := set(recipe.network) - known:
        raise UsageError(f"{where}: [network] key '{min(unknown)}' does not go with latents")
    name, digest = (str(recipe.network.get(k, "")) for k in ("latents", "sha256"))
    if recipe.folder is None or not NAME.match(name):
        raise UsageError(f"{where}: latents '{name}' are read from the recipe's own folder only")
    network = FloatNetwork.load(recipe.folder / f"{name}.json")
    if network.digest != digest:
        raise UsageError(
            f"{where}: {name}.json is another network than the recipe's; run the same "
            "`sterna train --from` command again, into another folder"
        )
    return network


def build_module(recipe: Recipe, network: FloatNetwork) -> SpikingModule:
    """The module that a recipe trains ``network`` in."""
    where = f"recipe '{recipe.name}'"
    stidi, nq = read_stidi(where, recipe.stidi), read_nq(where, recipe.nq)
    if stidi is not None:
        return make_module(network, stidi)
    return SpikingModule(network, nq, recipe.learned, recipe.relu)
