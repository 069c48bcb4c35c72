"""report.html: what is on it, where it is from, that it is one file and whole."""

import json
import re
from pathlib import Path
from typing import Any

import htmlpage
import numpy as np
import pytest
from repo import ROOT
from smallcores import layer

import sterna
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.report_files import write_report
from sterna.gen.build.stages import Build, Options, ensure
from sterna.gen.model.raster import raster
from sterna.gen.report.figures import Figures, number, pointer
from sterna.gen.report.graph import HEIGHT, WIDTH, drawing
from sterna.gen.report.page import page, tiles_html
from sterna.gen.report.tiles import energy
from sterna.golden.files.classes import write_classes
from sterna.golden.files.disk import canonical_json, sha256
from sterna.golden.words.shares import wilson

POWER = {
    "energy": {"label": "estimated", "low_mj": 0.0135, "high_mj": 0.149, "low_mw": 1.83}
    | {"high_mw": 20.2, "device": "iCE40", "left_out": "block RAM", "terms": {"pll": [0.0, 0.9]}},
    "activity": {"label": "counted", "parts": [{"bits": 7, "name": "c"}, {"bits": 8, "name": "f"}]},
}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<b>\u2028é漢</b>{{ 7*7 }}"


def told(folder: Path) -> dict[str, Any]:
    """report.json of a build folder."""
    return json.loads((folder / "report.json").read_text())


def looked_at(html: str) -> htmlpage.Page:
    """The page, which is whole, is one file and has every place that a link leads to."""
    found = htmlpage.Page(html)
    assert len(set(found.ids)) == len(found.ids)
    assert found.targets <= set(found.ids)
    assert not found.loaded
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", html) and "@import" not in html
    assert not [a for e in found.elements for a in e.attributes if a.startswith("on")]
    return found


def same_figures(found: htmlpage.Page, answer: dict[str, Any]) -> int:
    """Every figure is what the report says at its place; how many there are."""
    figures = found.having("data-figure")
    for e in figures:
        value = htmlpage.at(answer, e.attributes["data-figure"])
        assert htmlpage.says(e.text, value), (e.attributes["data-figure"], e.text, value)
    (inside,) = (e for e in found.elements if e.attributes.get("id") == "report-json")
    assert json.loads(inside.text) == answer
    return len(figures)


def measured(build: Build) -> None:
    """What eval, sim, synth, quantize and report --frontier would have left."""
    network = build.network
    images = np.random.default_rng(1).integers(0, 2, (4, 6, 4, 6, 6), np.uint8)  # [T,B,C,H,W]
    labels = np.arange(6) % 3
    facts = sterna.evaluate(network, (images, labels))
    assert facts.counts is not None
    rows = [
        {"class": k, "name": f"{k}", "images": 2, "right": int(facts.confusion[k, k])}
        for k in range(3)
    ]
    share = lambda row: {"accuracy": row["right"] / row["images"]}  # noqa: E731
    said = {
        "images": 6,
        "right": facts.right,
        "accuracy": facts.accuracy,
        "data": "own",
        "split": "test",
        "per_class": [r | share(r) for r in rows],
        "confusion": facts.confusion.tolist(),
        "counted": facts.counts.as_dict(),
    }
    keep_measurement(build, "eval", said, design=False)
    result = sterna.run(network, images[:, :1], trace="all")
    kept = {"image": 0, "label": 0, "data": "own", "split": "test"}
    keep_measurement(build, "raster", kept | raster(network, images[:, :1], result), design=False)
    sim = {"images": 6, "spikes_compared": 9876, "logits_compared": 18, "mismatches": 0}
    sim |= {"engine": "batch", "clocks_per_image": 321.5, "latency_clocks": 777, "accuracy": 0.5}
    keep_measurement(build, "sim_batch", sim)
    layers = {c.name: {"luts": 57, "logic": 50, "lutram": 7, "ff": 3} for c in build.design.cores}
    counts = {
        "luts": 120,
        "logic": 100,
        "lutram": 20,
        "ff": 90,
        "bram": 1.5,
        "carry": 0,
        "layers": layers,
    }
    counts["rest"] = {"luts": 6, "ff": 84}
    keep_measurement(build, "synth_ecp5", counts)
    history = [{"epoch": n, "loss": 3 / n, "validation": 0.5 + n / 100} for n in range(1, 40)]
    curve = {"epochs": 39, "columns": ["loss", "validation"], "history": history}
    keep_measurement(build, "training", curve, design=False)
    points = [{"clocks_per_image": 100 << n, "fps": 1e6 / (1 << n)} for n in range(6)]
    points = [p | {"luts": 9000 >> n, "ff": 5, "bram": 1} for n, p in enumerate(points)]
    of = {"family": "ecp5", "clock_mhz": build.design.clock_mhz}
    keep_measurement(build, "frontier", {**of, "points": points}, design=False)
    keep_measurement(build, "power", POWER)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("pages") / "a folder & <b>"
    network = layer()
    network.save(folder)
    write_classes(folder, (HOSTILE, "b & c", "ß"))
    return ensure(folder, "verilog", Options(family="ecp5"), folder)


def test_what_is_not_known_says_its_command(build: Build) -> None:
    answer, path = write_report(build)
    found = looked_at(path.read_text())
    assert same_figures(found, told(path.parent)) > 20
    folder = f"'{build.folder}'"
    for command in (
        f"sterna eval {folder}",
        f"sterna sim {folder}",
        f"sterna synth {folder}",
        f"sterna bitstream {folder} --board ulx3s-12f",
        f"sterna power {folder}",
        f"sterna report {folder} --frontier",
        f"-o RUN && sterna quantize RUN -o {folder}",
    ):
        assert command in found.text, command
    assert answer["headline"]["accuracy"] is None
    assert "estimated" in found.text and "synthesised" not in found.text


def test_every_figure_is_the_reports_and_names_are_text(build: Build) -> None:
    measured(build)
    answer, path = write_report(build, "ecpix5-45")
    html = path.read_text()
    assert len(html) < 200_000
    found = looked_at(html)
    assert same_figures(found, told(path.parent)) > 80
    assert HOSTILE in found.text and "</script><img" not in html
    assert [e.tag for e in found.elements].count("script") == 2
    shown = {e.attributes["data-figure"]: e.text for e in found.having("data-figure")}
    assert shown["/headline/luts/used"] == "120" and shown["/headline/rate/clocks"] == "321.5"
    assert (
        shown["/headline/bram/used"] == "1.5" and shown["/measured/power/energy/low_mj"] == "0.0135"
    )
    assert shown["/measured/synth_ecp5/layers/c/luts"] == "57"
    assert shown["/measured/synth_ecp5/rest/luts"] == "6"
    assert "ecpix5-45" in found.text and answer["device"]["luts"] == 43848
    low, high = wilson(answer["headline"]["accuracy"]["value"], 6)
    assert shown["/headline/accuracy/low"] == f"{low:.1%}"
    assert shown["/headline/accuracy/high"] == f"{high:.1%}"
    for command in ("--split test --images 6", "--engine batch --images 6", "--target ecp5"):
        assert command in found.text
    assert found.text.count("Not known yet") == 1  # the highest clock
    assert page(json.loads(json.dumps(answer))) == html  # of report.json alone
    refold = answer["commands"]["refold"]
    assert refold.endswith(" --board ecpix5-45") and refold not in found.text
    answer["device"]["holds"] = False
    large = htmlpage.Page(page(answer | {"placed": None}))
    assert large.text.count(refold) == 2  # the tile of the clock, and the resources
    (path.parent / "report.html").unlink()


def test_measurements_of_another_network_or_design_are_not_this_ones(
    build: Build, tmp_path: Path
) -> None:
    measured(build)
    kept = build.folder / "measured"
    for path in kept.glob("*.json"):
        body = json.loads(path.read_text())
        body["of"] = dict.fromkeys(body["of"], "0" * 64)
        body["check"] = sha256(canonical_json({k: body[k] for k in ("of", "values")}).encode())
        path.write_text(json.dumps(body))
    answer, path = write_report(build)
    found = looked_at(path.read_text())
    assert answer["measured"] == {} and answer["training"] is answer["raster"] is None
    assert "synthesised" not in found.text and "9,876" not in found.text
    for path in kept.glob("*.json"):
        path.unlink()


def test_an_edited_measurement_is_not_shown(build: Build) -> None:
    keep_measurement(
        build, "synth_ecp5", dict.fromkeys(("luts", "logic", "lutram", "ff", "bram"), 40)
    )
    assert "synth_ecp5" in write_report(build)[0]["measured"]
    path = build.folder / "measured/synth_ecp5.json"
    path.write_text(path.read_text().replace("40", "4", 1))
    assert "synth_ecp5" not in write_report(build)[0]["measured"]


@pytest.fixture(scope="module", params=["digits", "skip4_mix"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of one, with its report."""
    folder = tmp_path_factory.mktemp("example") / request.param
    write_report(ensure(ROOT / "examples" / request.param, "fold", None, folder))
    return folder


def test_pages_of_examples(example: Path) -> None:
    html, answer = (example / "report.html").read_text(), told(example)
    found = looked_at(html)
    same_figures(found, answer)
    assert len(html) < 300_000
    nodes = [e for e in found.having("data-node") if e.attributes["id"].startswith("node-")]
    rows = [e for e in found.having("data-node") if e.attributes["id"].startswith("layer-")]
    assert len(nodes) == len(answer["graph"]["nodes"])
    assert len(rows) == len(answer["layers"]) == len([e for e in rows if e.tag == "tr"])
    waits = [e for e in found.elements if e.attributes.get("class") == "edge waits"]
    assert len(waits) == len(answer["buffers"])


def test_boxes_and_lanes_do_not_meet(example: Path) -> None:
    found = drawing(told(example))
    boxes = [(n.x, n.y) for n in found.nodes]
    for k, (x, y) in enumerate(boxes):
        for u, v in boxes[k + 1 :]:
            assert abs(x - u) >= WIDTH or abs(y - v) >= HEIGHT
    right = max(x for x, _ in boxes) + WIDTH
    lanes = [e for e in found.edges if e.at is not None]
    assert {e.number for e in found.edges if e.buffer is not None} <= {e.number for e in lanes}
    assert len({e.at for e in lanes}) == len(lanes)
    assert all(right < e.at[0] < found.width for e in lanes if e.at)
    # No two arrows leave or enter a box at one height.
    for box, height in (("source", lambda e: e.path[1:].split("H")[0]), ("unit", _enters)):
        ends = [(getattr(e, box), height(e)) for e in lanes]
        assert len(set(ends)) == len(ends)


def _enters(edge: Any) -> float:
    return float(edge.path.split("V")[1].split("q")[0])


def test_a_meter_stands_before_bounds_and_bounds_before_a_reason() -> None:
    reading = {"label": "measured", "mj_per_image": 0.0109, "mw": 212.0, "images_per_second": 19500}
    meter = {"measured": reading | {"images_per_second_per_watt": 91981.1}}
    none = {"energy": {"label": "none", "why": "no board <b>"}}
    for power, value, how, note in (
        (POWER | meter, "0.0109 mJ", "measured", "91,981 images a second a watt"),
        (POWER, "0.0135 to 0.149 mJ", "estimated", "left out: block RAM"),
        (none, "–", "", "no board &lt;b&gt;"),
    ):
        tile = energy(Figures({"measured": {"power": power}, "commands": {"power": "run it"}}))
        assert re.sub("<.*?>", "", str(tile.value)) == value and tile.how == how
        assert note in re.sub("<.*?>", "", str(tile.note))
    for odd in ({}, {"measured": None}, {"measured": 3, "energy": []}, {"energy": {"low_mj": 1}}):
        tile = energy(Figures({"measured": {"power": odd}, "commands": {"power": "run it"}}))
        assert (tile.value, tile.run) == (None, "run it")


def test_tiles_of_a_notebook(build: Build) -> None:
    answer, _ = write_report(build)
    found = htmlpage.Page(tiles_html(answer, HOSTILE))
    assert HOSTILE in found.text and not found.loaded and "estimated" in found.text
    for e in found.having("data-figure"):
        assert htmlpage.says(e.text, htmlpage.at(answer, e.attributes["data-figure"]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12.5, "12.5"),
        (19531.25, "19,531"),
        (1234567, "1,234,567"),
        (0.000123456, "0.0001235"),
        (1.5e-9, "1.500e-09"),
        (-3.14159, "-3.142"),
        (99.99, "99.99"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text
    assert htmlpage.says(text, value)
    assert not htmlpage.says(text, value * 1.01 + 1)


def test_places() -> None:
    answer = {"a/b~c": [{"x": 7, "none": None}]}
    f = Figures(answer)
    at = pointer("a/b~c", 0, "x")
    assert htmlpage.at(answer, at) == 7
    assert f("a/b~c", 0, "x") == f'<span data-figure="{at}">7</span>'
    for way in (("no",), ("a/b~c", 3), ("a/b~c", 0, "none"), ("a/b~c", 0, "x", "y")):
        assert f(*way) == "–"
