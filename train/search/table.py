"""What a skip search leaves behind: the table of its members, the front, recipes to train."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sterna.golden.files.disk import write_atomic
from sterna.golden.files.sources import rebased
from sterna.train.recipe.recipe import Recipe
from sterna.train.recipe.recipe_text import recipe_text
from sterna.train.search.search_recipe import SearchSettings
from sterna.train.search.skip_space import NONE, TYPES, Member, Space

__all__ = ["Row", "front", "interval", "write_outcome"]

FIGURES = (
    "accuracy",
    "rate",
    "spikes",
    "lanes",
    "memory_bits",
    "weight_bits",
    "line_bits",
    "fifo_bits",
    "weights",
    "clocks",
    "modelled_clocks",
    "seconds",
)


@dataclass(frozen=True)
class Row:
    """A member that was evaluated in trial ``number``, or refused with the sentence ``refused``."""

    number: int
    label: str
    member: Member
    figures: dict[str, Any]
    refused: str = ""

    def count(self, type_: str) -> int:
        """How many of its skips have that type."""
        return self.member.count(type_)

    @property
    def skips(self) -> int:
        """How many skips it has."""
        return len(self.member) - self.member.count(NONE)


def front(rows: Sequence[Row], costs: Sequence[str]) -> list[Row]:
    """The rows that no other one beats: none is as good in everything and better in something.
    Highest accuracy first."""

    def worth(row: Row) -> tuple[float, ...]:
        return row.figures["accuracy"], *(-row.figures[c] for c in costs)

    def beaten(row: Row) -> bool:
        own = worth(row)
        return any(
            other != own and all(a >= b for a, b in zip(other, own, strict=True))
            for other in map(worth, good)
        )

    good = [row for row in rows if row.figures]
    return sorted((r for r in good if not beaten(r)), key=worth, reverse=True)


def interval(share: float, count: int) -> float:
    """Half of the 95% interval of an accuracy that was counted on ``count`` images."""
    return 1.96 * math.sqrt(share * (1 - share) / count)


def write_outcome(
    out: Path,
    recipe: Recipe,
    settings: SearchSettings,
    space: Space,
    rows: list[Row],
    images: int,
    importance: dict[str, float],
) -> dict[str, Any]:
    """Write trials.json, trials.csv and recipes/ (of the front, and of no skips) into ``out``.

    ``images``: validation images that accuracies were counted on; ``importance``: the share of
    their variance that each place explains. Returns the best row (highest validation accuracy),
    that without skips, and the front.
    """
    best = front(rows, settings.costs)
    table = [_as_dict(row, space, row in best) for row in rows]
    answer = {
        "images": images,
        "fps": settings.fps,
        "clock_mhz": settings.clock_mhz,
        "best": best[0].label if best else None,
        "without": next((r for r in table if r["label"] == NONE), None),
        "front": [_as_dict(row, space, True) for row in best],
        "importance": importance,
    }
    document = {
        "format": "sterna-search",
        "version": 1,
        "name": recipe.name,
        "costs": list(settings.costs),
        "space": space.size,
        **answer,
        "trials": table,
    }
    write_atomic(out / "trials.json", (json.dumps(document, indent=1) + "\n").encode())
    write_atomic(out / "trials.csv", _csv(table, space).encode())
    wanted = {row.label: row for row in [*best, *(r for r in rows if r.label == NONE)]}
    folder = out / "recipes"
    for old in folder.glob("*.toml"):
        if old.stem not in {*wanted, "best"}:
            old.unlink(missing_ok=True)  # of a front that has been beaten since
    for name, row in [*wanted.items(), *([("best", best[0])] if best else [])]:
        text = recipe_text(space.recipe(row.member), _comment(recipe, row, settings, images))
        data = text.encode()
        if recipe.folder is not None:  # from there, too, a path leads to the data
            data = rebased(data, recipe.folder, folder)
        write_atomic(folder / f"{name}.toml", data)
    return answer


def _as_dict(row: Row, space: Space, on_front: bool) -> dict[str, Any]:
    counts = {t: row.count(t) for t in TYPES}
    out = {"trial": row.number, "label": row.label, "front": on_front, "skips": row.skips, **counts}
    out |= {k: row.figures[k] for k in (*FIGURES, "rates") if k in row.figures}
    out["places"] = space.params(row.member)
    return out | ({"refused": row.refused} if row.refused else {})


def _csv(table: list[dict[str, Any]], space: Space) -> str:
    keys = ["trial", "label", "front", "skips", *TYPES, *FIGURES, "refused"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *(p.key for p in space.places)])
    for row in table:
        places = [row["places"][p.key] for p in space.places]
        writer.writerow([*(row.get(k, "") for k in keys), *places])
    return text.getvalue()


def _comment(recipe: Recipe, row: Row, settings: SearchSettings, images: int) -> str:
    f = row.figures
    half = interval(f["accuracy"], images)
    return (
        f"Found by `sterna search` of recipe '{recipe.name}', trial {row.number}: validation\n"
        f"{f['accuracy']:.2%} +- {half:.2%} with shared weights, {f['lanes']} lanes and "
        f"{f['memory_bits']} bits of memory\nat {settings.fps:g} images a second and "
        f"{settings.clock_mhz:g} MHz. The schedule is the recipe's own."
    )
