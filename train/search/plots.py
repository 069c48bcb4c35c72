"""Plots of a skip search: the front, what each place is worth, what number and type of skips do."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sterna.golden.files.disk import write_atomic
from sterna.train.search.search_recipe import SearchSettings
from sterna.train.search.skip_space import NONE, TYPES, Space
from sterna.train.search.table import Row, front, interval

__all__ = ["draw_plots", "main_effects"]

COLOURS = {"none": "#222222", "ASC": "#0072b2", "DSC": "#d55e00", "both": "#009e73"}
LABELS = {"none": "no skips", "ASC": "only ASC", "DSC": "only DSC", "both": "ASC and DSC"}
MARKERS = {"none": "s", "ASC": "o", "DSC": "^", "both": "D"}
NAMES = {
    "lanes": "lanes",
    "memory_bits": "memory, bits (weights, line buffers, FIFOs)",
    "fifo_bits": "skip FIFOs, bits",
    "line_bits": "line buffers, bits",
    "weight_bits": "weights, bits",
    "spikes": "spikes an image",
}
SPREAD = 0.12  # sideways, so that members with one number of skips do not hide each other


def draw_plots(
    folder: Path,
    name: str,
    settings: SearchSettings,
    space: Space,
    rows: Sequence[Row],
    images: int,
    importance: Mapping[str, float],
) -> None:
    """Write front.png, places.png and skips.png into ``folder``. ``images``: validation images that
    accuracies were counted on; ``importance`` of each place, or nothing. One row has figures."""
    good = [row for row in rows if row.figures]
    _save(_front(name, settings, good, images), folder / "front.png")
    _save(_places(name, space, good, importance), folder / "places.png")
    _save(_skips(name, good), folder / "skips.png")


def main_effects(rows: Sequence[Row], space: Space) -> dict[tuple[int, str], tuple[float, float]]:
    """(place, type) -> (mean gain of accuracy of that skip over none at that place, half of its
    95% interval), by least squares over all members with one term for each place and type.

    Interactions of places are taken for noise. nan where the members do not tell, or are too few
    for an interval.
    """
    terms = [(n, t) for n, place in enumerate(space.places) for t in place.types]
    matrix = np.array([[1.0, *(row.member[n] == t for n, t in terms)] for row in rows])
    values = np.array([row.figures["accuracy"] for row in rows])
    found = np.linalg.lstsq(matrix, values, rcond=None)[0]
    inverse = np.linalg.pinv(matrix.T @ matrix)
    # A term that others can stand in for is not known: its direction is not among the rows'.
    known = np.isclose(np.diag(np.linalg.pinv(matrix) @ matrix), 1.0, atol=1e-6)
    spare = len(rows) - np.linalg.matrix_rank(matrix)
    noise = np.nan if spare < 1 else np.sum((values - matrix @ found) ** 2) / spare
    half = 1.96 * np.sqrt(noise * np.maximum(np.diag(inverse), 0))
    return {
        term: (float(found[k]), float(half[k])) if known[k] else (float("nan"), float("nan"))
        for k, term in enumerate(terms, 1)
    }


def _kind(row: Row) -> str:
    types = [t for t in TYPES if row.count(t)]
    return NONE if not types else types[0] if len(types) == 1 else "both"


def _scatter(axes: Axes, rows: Sequence[Row], x: Sequence[float], y: Sequence[float]) -> None:
    """Points by type of skips; those without skips last, so that nothing hides them."""
    for kind in ("both", "DSC", "ASC", NONE):
        at = [k for k, row in enumerate(rows) if _kind(row) == kind]
        if at:
            axes.scatter(
                [x[k] for k in at],
                [y[k] for k in at],
                s=34,
                marker=MARKERS[kind],
                color=COLOURS[kind],
                edgecolors="white",
                linewidths=0.6,
                label=LABELS[kind],
                zorder=3,
            )


def _front(name: str, settings: SearchSettings, rows: Sequence[Row], images: int) -> Figure:
    """Accuracy over each cost. Lines join the members that are best for that one cost; rings mark
    those that are not beaten in all costs together."""
    costs = settings.costs
    figure = Figure(figsize=(5.4 * len(costs), 4.6), layout="constrained")
    panels = np.atleast_1d(np.array(figure.subplots(1, len(costs), sharey=True)))
    y = [100 * row.figures["accuracy"] for row in rows]
    whole = front(rows, costs)
    for axes, cost in zip(panels, costs, strict=True):
        x = [float(row.figures[cost]) for row in rows]
        _scatter(axes, rows, x, y)
        one = front(rows, [cost])
        axes.step(
            [r.figures[cost] for r in one],
            [100 * r.figures["accuracy"] for r in one],
            where="pre",
            color="#888888",
            linewidth=1,
            zorder=1,
            label="best for this cost",
        )
        axes.scatter(
            [r.figures[cost] for r in whole],
            [100 * r.figures["accuracy"] for r in whole],
            s=110,
            facecolors="none",
            edgecolors="#555555",
            zorder=2,
            label="front of all costs" if len(costs) > 1 else "front",
        )
        best = whole[0].figures
        axes.errorbar(
            [best[cost]],
            [100 * best["accuracy"]],
            [100 * interval(best["accuracy"], images)],
            color="#cccccc",
            linewidth=3,
            capsize=4,
            zorder=1,
            label="95% interval",
        )
        axes.set_xlabel(NAMES[cost])
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"validation accuracy, % ({images:,} images)")
    _legend(figure, panels[-1])
    figure.suptitle(f"{name}: {len(rows)} members, folded for {settings.fps:g} images a second")
    return figure


def _places(
    name: str, space: Space, rows: Sequence[Row], importance: Mapping[str, float]
) -> Figure:
    """How much each place decides, and the mean gain of a skip there with its interval."""
    effects = main_effects(rows, space)
    figure = Figure(figsize=(max(7.0, 1.0 * len(space.places)), 6.4), layout="constrained")
    upper, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    shares = [100 * importance.get(p.key, 0.0) for p in space.places]
    upper.bar(range(len(shares)), shares, 0.6, color="#888888")
    upper.set_ylabel("share of variance, %")
    upper.set_title("importance (fANOVA)" if importance else "importance: too few members", size=10)
    upper.grid(axis="y", alpha=0.3)
    for type_, side in zip(TYPES, (-0.2, 0.2), strict=True):
        at = [n for n, place in enumerate(space.places) if type_ in place.types]
        gains = [100 * effects[n, type_][0] for n in at]
        halves = [100 * effects[n, type_][1] for n in at]
        axes.bar(
            [n + side for n in at],
            gains,
            0.36,
            color=COLOURS[type_],
            label=type_,
            yerr=halves,
            capsize=3,
            ecolor="#555555",
            error_kw={"linewidth": 1},
        )
    several = len({place.blocks for place in space.places}) > 1
    labels = [
        f"({p.i}, {p.j})" + (f"\nblock {p.blocks[0] + 1}" if several else "") for p in space.places
    ]
    axes.set_xticks(range(len(space.places)), labels)
    axes.axhline(0, color="#222222", linewidth=0.8)
    axes.set_ylabel("mean gain of accuracy, points")
    axes.set_xlabel("place (i, j): the output of layer i joins the input of layer j")
    axes.grid(axis="y", alpha=0.3)
    _legend(figure, axes)
    axes.set_title("mean gain over no skip there (least squares, 95% intervals)", size=10)
    figure.suptitle(f"{name}: the places of skips, {len(rows)} members")
    return figure


def _skips(name: str, rows: Sequence[Row]) -> Figure:
    """Accuracy and firing rate over the number of skips, by type."""
    figure = Figure(figsize=(10.4, 4.4), layout="constrained")
    panels = figure.subplots(1, 2)
    rng = np.random.default_rng(0)
    count = np.array([row.skips for row in rows], float)
    x = (count + rng.uniform(-SPREAD, SPREAD, len(rows))).tolist()
    for axes, key, text in zip(
        panels,
        ("accuracy", "rate"),
        ("validation accuracy, %", "neurons that fire in a time step, %"),
        strict=True,
    ):
        y = [100 * row.figures[key] for row in rows]
        _scatter(axes, rows, x, y)
        numbers = sorted(set(count.tolist()))
        means = [
            float(np.mean([v for v, n in zip(y, count, strict=True) if n == k])) for k in numbers
        ]
        axes.plot(numbers, means, color="#888888", linewidth=1.2, zorder=1, label="mean")
        axes.set_xlabel("skips")
        axes.set_ylabel(text)
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[attr-defined]
        axes.grid(alpha=0.3)
    _legend(figure, panels[0])
    figure.suptitle(f"{name}: number and type of skips")
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """Below the panels, where it hides no point."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=7, fontsize=8, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    data = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(data, dpi=130, format="png")
    write_atomic(path, data.getvalue())
