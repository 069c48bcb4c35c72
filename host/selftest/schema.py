"""The figures of each stage: of what kind they are, between what bounds, and what other figures say
of them. One that nothing else in a report, and no build, can tell is ``free``, and says why."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sterna.golden.device.link import FRAME_COST, MAX_BODY
from sterna.golden.words.names import show
from sterna.host.images import MOST_SLOTS
from sterna.host.reader import LinkStats
from sterna.host.registers import LAST_CORES
from sterna.host.selftest import known as limits
from sterna.host.selftest.known import MOST, Known, Wrong, cut_of, rounded
from sterna.host.selftest.pictures import EXPECTED_BY

__all__ = ["FIGURES", "LONG", "SHORT", "Figure", "free_figures", "need_form", "need_same"]

LONG, SHORT = r"[0-9a-f]{64}", r"[0-9a-f]{16}"
MOST_REGIONS = 256
"""Of a chain, whose addresses have 8 bits for them."""
_FASTEST = 1e18
"""Rates are below, also where a board in Python takes no time."""


@dataclass(frozen=True)
class Figure:
    """One figure. kind: its type; a float has 6 digits. least, most: of numbers. form: a pattern of
    the whole text. same: what it must be, by what is known then. none: it may be None. free: why
    nobody can tell it from the rest."""

    kind: type | tuple[type, ...]
    least: float = 0
    most: float = MOST
    form: str = ".{0,300}"
    same: Callable[[Known], Any] | None = None
    none: bool = False
    free: str = ""

    def fits(self, value: Any) -> bool:
        if value is None:
            return self.none
        if type(value) not in (self.kind if isinstance(self.kind, tuple) else (self.kind,)):
            return False
        if isinstance(value, str):
            return re.fullmatch(self.form, value) is not None
        if isinstance(value, float) and self.kind is float and rounded(value) != value:
            return False
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return not number or self.least <= value <= self.most


def _whole(least: int = 0, most: int = MOST, **more: Any) -> Figure:
    return Figure(int, least, most, **more)


def _of_identity(key: str, **more: Any) -> Figure:
    return _whole(same=lambda known: known.identity[key], **more)


def _of_images(key: str, kind: type = int) -> Figure:
    form = LONG if kind is str else ""
    return Figure(kind, form=form, same=lambda known: known.sets[0][key])


_MEASURED = "a time that was measured; a few other figures bound it"
_NEAR = "measured: within 2% of the law, 5% of the bitstream's clock"
_COUNTED = "counted by the link; the other counts bound it"
_SECONDS = Figure(float, 0, limits.MOST_SECONDS, free=_MEASURED)
_DIGEST = Figure(str, form=LONG)
_GIVEN = (int, float)
"""A number as a file of the build has it."""
FIGURES: dict[str, Any] = {
    "identify": {
        "image_bytes": _whole(1),
        "classes": _whole(1, 1 << 16),
        "buffer": _whole(MAX_BODY + FRAME_COST, 0xFFFF, free="of the link, not of the design"),
        "slots": _whole(1, MOST_SLOTS, free="of the link, not of the design"),
        "cores": _whole(0, LAST_CORES),
        "regions": _whole(0, MOST_REGIONS),
        "structure_id": Figure(str, form=SHORT),
        "weights_id": Figure(str, form=SHORT, none=True, free="those of before, if reloadable"),
        "held": Figure(bool, free="as whoever was there before left it"),
        "version": _whole(free="of this Sterna or a later one of the same map"),
    },
    "cable": {
        "reads": _whole(same=lambda known: limits.PINGS),
        "wrong": _whole(same=lambda known: 0),
        "round_trip_seconds": dict.fromkeys(("median", "least", "most"), _SECONDS),
        "link": {f.name: _whole(free=_COUNTED) for f in fields(LinkStats)},
    },
    "load": {
        "regions": _of_identity("regions"),
        "weights_id": Figure(str, form=LONG, same=lambda known: known.design["weights_id"]),
        "words": _whole(1),
        "load_seconds": _SECONDS,
    },
    "images": {
        "expected_by": Figure(str, same=lambda known: EXPECTED_BY),
        "sets": [
            {
                "set": Figure(str, form=".{1,300}", free="told where its images are not here"),
                **dict.fromkeys(("images_sha256", "golden_sha256", "results_sha256"), _DIGEST),
                "images": _whole(1),
                "logits": _whole(1),
                "seconds": _SECONDS,
                "right?": _whole(),
            }
        ],
        "changed_memories?": [Figure(str)],
    },
    "reload": {
        "regions": _of_identity("regions"),
        "damaged": Figure(str),
        "found": [Figure(str)],
        "images": _of_images("images"),
        "results_sha256": _of_images("results_sha256", str),
    },
    "counters": {
        "images": _of_images("images"),
        "results_sha256": _of_images("results_sha256", str),
        **dict.fromkeys(("dropped_early", "dropped_late"), _whole(same=lambda known: 0)),
        "image_clocks": _whole(1, free="of the last image, which waits for its line"),
        "repetitions": _whole(limits.FEW, limits.MANY, free="as many as time allows"),
        "stalls": {"": _whole(free="how long the cores of those images had to wait")},
        "clocks_per_image": Figure(float, 1, free=_NEAR),
        "law": Figure(_GIVEN, 1),
        "modelled": Figure(_GIVEN, 1, none=True),
    },
    "speed": {
        "images_per_second_over_the_link": Figure(float, 0, _FASTEST),
        "images_per_second_without_the_link?": Figure(float, 0, _FASTEST, free=_NEAR),
        "clock_mhz?": Figure(float, 0.001, _FASTEST, free=_NEAR),
        "clock_mhz_of_the_bitstream?": Figure(_GIVEN, 0.001, limits.FASTEST_CLOCK, none=True),
        "line_images_per_second?": Figure(float, 0, _FASTEST),
    },
    "robustness": {
        "image_bytes": _of_identity("image_bytes"),
        "sent_bytes": _whole(same=lambda known: cut_of(known.identity["image_bytes"])),
        "dropped": _whole(0, 1, free="0 where the link had not yet handed the half image on"),
        "results_sha256": _DIGEST,
    },
}
"""Of a stage that passed. A key with a question mark may be missing; an empty one is any name."""


def need_form(name: str, figures: Any, whole: bool = True) -> None:
    """`Wrong` where figures are not of the kinds that a stage leaves. ``whole``: it passed, so that
    none is missing; else it may have ended anywhere."""
    if where := _misfit(figures, FIGURES[name], whole, ""):
        raise Wrong(f"they are not of the kinds that it leaves ({where})")


def _misfit(value: Any, shape: Any, whole: bool, where: str) -> str:
    """Which figure is none of the shape's, '' where all fit."""
    here = where or "figures"
    if isinstance(shape, Figure):
        return "" if shape.fits(value) else f"{here} {show(value, 40)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return here
        found = (_misfit(v, shape[0], whole, f"{where}[{k}]") for k, v in enumerate(value))
        return next(filter(None, found), "")
    if not isinstance(value, dict):
        return here
    inner = {key.removesuffix("?"): kind for key, kind in shape.items()}
    if "" in inner:
        inner = dict.fromkeys(value, inner[""])
    must = [key for key in shape if key and not key.endswith("?")] if whole else []
    if missing := [key for key in must if key not in value]:
        return f"no {missing[0]}"
    for key, item in value.items():
        if key not in inner:
            return f"{show(key, 40)}"
        if found := _misfit(item, inner[key], whole, f"{where}.{key}".lstrip(".")):
            return found
    return ""


def _leaves(value: Any, shape: Any, where: str) -> Iterator[tuple[str, Any, Figure]]:
    """Every figure that is there: (its place, value, what is known of it)."""
    if isinstance(shape, Figure):
        yield where, value, shape
    elif isinstance(shape, list):
        for k, item in enumerate(value):
            yield from _leaves(item, shape[0], f"{where}.{k}")
    else:
        inner = {key.removesuffix("?"): kind for key, kind in shape.items()}
        for key, item in value.items():
            yield from _leaves(item, inner.get(key, inner.get("")), f"{where}.{key}".lstrip("."))


def need_same(name: str, known: Known) -> None:
    """`Wrong` where a figure of a stage is not what the others say of it."""
    for where, value, figure in _leaves(known.figures[name], FIGURES[name], ""):
        if figure.same is not None and value != (wanted := figure.same(known)):
            raise Wrong(
                f"{where} is {show(value, 80)}, by the rest of the report {show(wanted, 80)}; "
                "please report it"
            )


def free_figures(name: str, figures: Mapping[str, Any]) -> set[str]:
    """The places of those figures of a stage that nothing else can tell."""
    return {where for where, _, figure in _leaves(figures, FIGURES[name], "") if figure.free}
