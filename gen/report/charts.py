"""Curves and clouds of points as SVG geometry: ticks that people read, points where they stand."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sterna.gen.report.figures import number

__all__ = ["Axis", "Chart", "Curve", "frontier_chart", "training_charts"]

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40


@dataclass(frozen=True)
class Axis:
    """label; ticks: (place in the picture, text)."""

    label: str
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Curve:
    """points: (x, y, what stands there); kind: how it is drawn."""

    name: str
    points: list[tuple[float, float, str]]
    kind: str = ""

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in self.points)


@dataclass(frozen=True)
class Chart:
    title: str
    across: Axis
    up: Axis
    curves: list[Curve]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT
    top: int = TOP


Scale = Callable[[float], float]


def _linear(low: float, high: float, start: float, end: float) -> tuple[Scale, list[float]]:
    """Where values stand, and those that are marked."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next((m for m in (1, 2, 5) if (high - low) / (step * m) <= 6), 10)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    ticks = [low + k * step for k in range(round((high - low) / step) + 1)]
    return lambda v: start + (v - low) / (high - low) * (end - start), ticks


def _logarithmic(low: float, high: float, start: float, end: float) -> tuple[Scale, list[float]]:
    a, b = math.log10(low), math.log10(high)
    if b - a < 0.3:
        a, b = a - 0.15, b + 0.15
    within = range(math.floor(a), math.ceil(b) + 1)
    marks = (1,) if b - a > 3 else (1, 2, 5)
    ticks = [m * 10.0**k for k in within for m in marks]
    ticks = [t for t in ticks if a - 1e-9 <= math.log10(t) <= b + 1e-9]
    return lambda v: start + (math.log10(v) - a) / (b - a) * (end - start), ticks


def _axis(label: str, scale: Scale, ticks: Sequence[float], text: Callable[[float], str]) -> Axis:
    return Axis(label, [(round(scale(t), 1), text(t)) for t in ticks])


def _short(value: float) -> str:
    """1 k, 2.5 M: a tick."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{number(value / size)}{unit}"
    return number(value)


def training_charts(training: Mapping[str, Any]) -> list[Chart]:
    """Loss, and shares (accuracies), by epoch."""
    history = training["history"]
    keys = [k for k in training["columns"] if k != "epoch"]
    shares = [k for k in keys if k != "loss"]
    out = []
    groups = (("loss", ["loss"], number), ("right", shares, lambda v: f"{100 * v:g}%"))
    for title, names, text in groups:
        found = [(k, [(h["epoch"], h[k]) for h in history if h.get(k) is not None]) for k in names]
        found = [(k, points) for k, points in found if points]
        if not found:
            continue
        every = [p for _, points in found for p in points]
        across, down = [e for e, _ in every], [v for _, v in every]
        x, xs = _linear(min(across), max(across), LEFT, WIDTH - RIGHT)
        y, ys = _linear(min(down), max(down), HEIGHT - BOTTOM, TOP)
        xs = [t for t in xs if float(t).is_integer()]
        curves = [
            Curve(k.replace("_", " "), [(x(e), y(v), f"epoch {e}: {text(v)}") for e, v in points])
            for k, points in found
        ]
        axes = _axis("epoch", x, xs, number), _axis(title, y, ys, text)
        out.append(Chart(title, *axes, curves))
    return out


def frontier_chart(
    points: Sequence[Mapping[str, Any]], mine: Mapping[str, Any] | None
) -> Chart | None:
    """LUTs against images a second, both by powers of ten; ``mine`` is marked."""
    every = [*points, *([mine] if mine else [])]
    if len(points) < 2:
        return None
    rates, luts = [p["fps"] for p in every], [p["luts"] for p in every]
    x, xs = _logarithmic(min(luts), max(luts), LEFT + 8, WIDTH - RIGHT - 8)
    y, ys = _logarithmic(min(rates), max(rates), HEIGHT - BOTTOM - 8, TOP + 8)
    placed = [(x(p["luts"]), y(p["fps"]), _words(p)) for p in points]
    curves = [Curve("other foldings", placed)]
    if mine:
        curves.append(Curve("this one", [(x(mine["luts"]), y(mine["fps"]), _words(mine))], "mine"))
    axes = _axis("LUTs, estimated", x, xs, _short), _axis("images a second", y, ys, _short)
    return Chart("frontier", *axes, curves)


def _words(point: Mapping[str, Any]) -> str:
    return f"{point['luts']:,} LUTs, {number(point['fps'])} images a second"
