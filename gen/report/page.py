"""``report.html``: a page of all that report.json says, in one file that loads nothing.

It is a function of the report alone: what is not in there is not on the page, which then says the
command that makes it. Names are anybody's: Jinja escapes everything, and the report itself is in a
script as JSON without ``<``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sterna.gen.report.activity import confused_pairs, confusion_picture, pictures
from sterna.gen.report.charts import frontier_chart, training_charts
from sterna.gen.report.figures import Figures
from sterna.gen.report.graph import HEIGHT, WIDTH, drawing
from sterna.gen.report.templated import template, text
from sterna.gen.report.tiles import tiles
from sterna.golden.files.classes import class_name

__all__ = ["page", "tiles_html"]

LISTED = 200
"""Rows of a list in a measurement that are shown."""
SHOWN = 20
"""Classes whose confusions are a table; more are a picture."""


def tiles_html(answer: Mapping[str, Any], folder: str) -> str:
    """The tiles alone, for a notebook; of the build in ``folder``."""
    figures = Figures(answer)
    found = template("notebook.html.j2")
    css = text("tiles.css")
    return found.render(tiles=tiles(figures), answer=answer, folder=folder, css=css)


def page(answer: Mapping[str, Any]) -> str:
    """The page of a report, as ``sterna report --json`` says it (with ``build``, its folder)."""
    figures = Figures(answer)
    found = template("page.html.j2")
    return found.render(
        answer=answer,
        f=figures,
        tiles=tiles(figures),
        css=text("tiles.css") + text("page.css"),
        js=text("page.js"),
        graph=drawing(answer),
        slowest=_slowest(answer),
        box={"width": WIDTH, "height": HEIGHT},
        layers=_layers(answer),
        synth=_synthesised(answer),
        activity=_activity(answer),
        raster=_raster(answer),
        classes=_classes(answer),
        training=[] if answer["training"] is None else training_charts(answer["training"]),
        frontier=_frontier(answer),
        called=lambda k: class_name(tuple(answer["classes"]), k),
        blocks=lambda name: [*_blocks(answer["measured"][name], ("measured", name))],
    )


def _blocks(found: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """A measurement as it stands, in blocks: places of its numbers and words, and of lists of
    objects the keys that are columns."""
    inner = {k: v for k, v in found.items() if isinstance(v, Mapping)}
    rows = [k for k, v in found.items() if isinstance(v, int | float | str) and k != "label"]
    tables = [
        (key, sorted(value[0], key=lambda k: not isinstance(value[0][k], str)))  # names first
        for key, value in found.items()
        if isinstance(value, list) and 0 < len(value) <= LISTED and isinstance(value[0], Mapping)
    ]
    if rows or tables:
        title = ", ".join(at[2:]) or at[1]
        label = found.get("label")
        yield {"at": at, "title": title, "label": label, "rows": rows, "tables": tables}
    for key, value in inner.items():
        yield from _blocks(value, (*at, key))


def _synthesised(answer: Mapping[str, Any]) -> str | None:
    """The measurement that says what yosys counts of each layer, of the device's family first."""
    family = (answer["device"] or {}).get("family")
    found = [n for n, m in answer["measured"].items() if n.startswith("synth_") and m.get("layers")]
    return next((n for n in found if n == f"synth_{family}"), found[0] if found else None)


def _slowest(answer: Mapping[str, Any]) -> int | None:
    """The box of what sets the rate; None where that is an end of the design."""
    units = answer["graph"]["nodes"]
    found = (n for n, unit in enumerate(units) if answer["bottleneck"] in unit["layers"])
    return next(found, None)


def _layers(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a row of the table of layers has beside its figures: numbers of its box and of its row
    of activations, lengths of its bars."""
    boxes = {name: n for n, u in enumerate(answer["graph"]["nodes"]) for name in u["layers"]}
    counted = (answer["measured"].get("eval") or {}).get("counted") or {"activations": []}
    active = {a["node"]: n for n, a in enumerate(counted["activations"])}
    name = _synthesised(answer)
    built = answer["measured"][name]["layers"] if name else {}
    guess = [row["estimate"]["luts"] if row["estimate"] else 0 for row in answer["layers"]]
    real = [_luts(built.get(row["name"])) for row in answer["layers"]]
    most = max([1, *guess, *real])
    main: set[str] = set()
    out = []
    for n, row in enumerate(answer["layers"]):
        own = row["target"] not in main  # of several into one neuron the first has its spikes
        main.add(row["target"])
        out.append(
            {
                "box": boxes.get(row["name"]),
                "active": active.get(row["target"]) if own else None,
                "guess": guess[n] / most,
                "real": real[n] / most,
            }
        )
    return out


def _luts(found: Mapping[str, Any] | None) -> int:
    return 0 if found is None else found["luts"]


def _activity(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A bar a layer: its share of outputs that spike, against the busiest one's."""
    found = (answer["measured"].get("eval") or {}).get("counted")
    if found is None:
        return []
    shares = [1 - a["sparsity"] for a in found["activations"]]
    return [{"share": s, "bar": s / max(1e-12, *shares, 0)} for s in shares]


def _raster(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its pictures; None without any, or where its values are none."""
    try:
        return None if answer["raster"] is None else pictures(answer["raster"])
    except ValueError:
        return None


def _classes(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """How classes are shown: names, and the matrix as a table, or as a picture with its worst."""
    found = answer["measured"].get("eval") or {}
    matrix, rows = found.get("confusion"), found.get("per_class")
    if not matrix or not rows or len(rows) != len(matrix):
        return None
    if {len(line) for line in matrix} != {len(matrix[0])} or len(matrix[0]) > len(rows):
        return None
    many = len(matrix[0]) > SHOWN
    return {
        "names": [r["name"] for r in rows],
        "table": None if many else [[v / max(1, sum(line)) for v in line] for line in matrix],
        "picture": confusion_picture(matrix) if many else None,
        "pairs": confused_pairs(matrix),
        "columns": len(matrix[0]),
    }


def _frontier(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The chart, and this design on it; None where nothing is known of its family."""
    found, cost = answer["frontier"], answer["estimate"]
    if found is None or found["family"] != answer["family"]:
        return None
    if found["clock_mhz"] != answer["clock_mhz"]:
        return None
    mine = cost and {"luts": cost["luts"], "fps": answer["fps"]}
    chart = frontier_chart(found["points"], mine)
    return None if chart is None else {"chart": chart}
