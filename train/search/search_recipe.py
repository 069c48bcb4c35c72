"""The ``[search]`` table of a recipe: what a skip search tries, trains and minimises."""

from dataclasses import dataclass, fields
from typing import Any

from sterna.golden.errors import UsageError
from sterna.golden.words.names import meant
from sterna.train.recipe.recipe import Recipe, Stage, read_stage
from sterna.train.search.skip_space import TYPES

__all__ = ["COSTS", "SearchSettings", "read_search"]

COSTS = ("lanes", "memory_bits", "fifo_bits", "line_bits", "weight_bits", "spikes")
_STAGE_KEYS = {"epochs", "steps", "lr", "lr_rest", "warmup", "batch", "shift"}


@dataclass(frozen=True)
class SearchSettings:
    """What ``[search]`` says.

    ``fps`` at ``clock_mhz`` (MHz): the rate that every member is folded for, so that what it costs
    can be compared; required. ``trials``: members to evaluate. ``costs``: what is minimised beside
    the validation accuracy, of COSTS. ``types``, ``tie``: see Space. ``super``: the stages that
    train the shared weights; required. ``tune``: those of each member; none: its batch norms are
    only measured. ``norm_images``: training images for that. ``validation``: the first so many
    validation images are counted (0: all).
    """

    fps: float
    super: tuple[Stage, ...]
    tune: tuple[Stage, ...] = ()
    clock_mhz: float = 100.0
    trials: int = 40
    costs: tuple[str, ...] = ("lanes", "memory_bits")
    types: tuple[str, ...] = TYPES
    tie: bool = False
    norm_images: int = 512
    validation: int = 0


def read_search(recipe: Recipe) -> SearchSettings:
    """The settings of a recipe's ``[search]``. UsageError names what is wrong."""
    where = f"recipe '{recipe.name}'"
    raw = dict(recipe.search) if isinstance(recipe.search, dict) else {}
    if not raw:
        raise UsageError(
            f"{where}: has no [search]; add one with fps, and [[search.super]] with epochs, steps"
        )
    known = {f.name for f in fields(SearchSettings)}
    for key in sorted(set(raw) - known):
        raise UsageError(
            f"{where}: [search] key '{key}' is unknown; known: {', '.join(sorted(known))}"
        )
    for key in ("twin", "nq", "stidi", "warm_start"):
        if getattr(recipe, key, None):
            raise UsageError(f"{where}: a search does not train with {key}; remove it")
    if recipe.network.get("kind") == "real":
        raise UsageError(f"{where}: a search wants weights that hardware has: ternary or binary")
    if recipe.network.get("coding") == "frames":
        raise UsageError(f"{where}: a search trains on images, not on recordings of frames")
    for key in ("super", "tune"):
        raw[key] = _stages(where, key, raw.get(key, []))
    if not raw["super"]:
        raise UsageError(f"{where}: [[search.super]] is missing; add one with epochs and steps")
    for key, legal in (("costs", COSTS), ("types", TYPES)):
        if key in raw:
            raw[key] = _words(where, key, raw[key], legal)
    for key in ("fps", "clock_mhz"):
        value = raw.get(key, 100.0)
        if key == "fps" and key not in raw:
            raise UsageError(
                f"{where}: [search] fps is missing; say for which rate members are folded"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise UsageError(f"{where}: [search] {key} {value!r} is not a number above 0")
    for key, least in (("trials", 1), ("norm_images", 1), ("validation", 0)):
        value = raw.get(key, 1)
        if type(value) is not int or value < least:
            raise UsageError(
                f"{where}: [search] {key} {value!r} is not a whole number from {least}"
            )
    if type(raw.get("tie", False)) is not bool:
        raise UsageError(f"{where}: [search] tie {raw['tie']!r} is not true or false")
    return SearchSettings(**raw)


def _stages(where: str, key: str, raw: Any) -> tuple[Stage, ...]:
    if not isinstance(raw, list) or not all(isinstance(s, dict) for s in raw):
        raise UsageError(f"{where}: write {key} of [search] as tables: [[search.{key}]]")
    for stage in raw:
        for unknown in sorted(set(stage) - _STAGE_KEYS):
            raise UsageError(
                f"{where}: [[search.{key}]] key '{unknown}' is not possible; known: "
                f"{', '.join(sorted(_STAGE_KEYS))}{meant(unknown, _STAGE_KEYS)}"
            )
    return tuple(read_stage(f"{where}: [search] {key}", stage) for stage in raw)


def _words(where: str, key: str, value: Any, legal: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or any(v not in legal for v in value):
        raise UsageError(
            f"{where}: [search] {key} {value!r} is not a list of some of {', '.join(legal)}"
        )
    return tuple(dict.fromkeys(value))
