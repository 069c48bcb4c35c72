"""Measurements in a build folder: of this design or network, and of today's shape."""

import json
from pathlib import Path
from typing import Any

import pytest
from smallcores import layer

from sterna.gen.build.measurements import fits, keep_measurement, measurements
from sterna.gen.build.report_files import write_report
from sterna.gen.build.stages import ensure

POINT = {"clocks_per_image": 8, "fps": 2.5, "luts": 90, "ff": 1, "bram": 0}


@pytest.mark.parametrize(
    ("value", "shape", "right"),
    [
        (3, int, True),
        (True, int, False),
        (3.5, int, False),
        ([1, 2], [int], True),
        ([], [int], True),
        ([1, "2"], [int], False),
        ({"a": 1}, {"a": int, "b?": str}, True),
        ({"a": 1, "b": None}, {"a": int, "b?": str}, True),
        ({"a": 1, "b": 2}, {"a": int, "b?": str}, False),
        ({"b": "x"}, {"a": int, "b?": str}, False),
        ({"a": 1, "x": 2, "y": "3"}, {"a": int}, True),
        ({"a": 1, "x": 2, "y": "3"}, {"a": int, "*": int}, False),
        ({"a": "1", "x": 2}, {"a": str, "*": int}, True),
        (None, {}, False),
        ([{"a": 1}, {}], [{"a": int}], False),
    ],
)
def test_shapes(value: Any, shape: Any, right: bool) -> None:
    assert fits(value, shape) == right


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eval", {"images": 3}),
        ("eval", {"images": 3, "accuracy": "much", "right": 1}),
        ("eval", {"images": 3, "accuracy": 1.0, "counted": {"spikes": 3}}),
        ("eval", {"images": 3, "accuracy": 1.0, "confusion": [1, 2]}),
        ("raster", {"layers": [], "input": {}}),
        ("raster", {"image": 0, "layers": [{"node": "n"}], "logits": [], "class": 0}),
        ("sim_batch", {"accuracy": 1.0}),
        ("synth_ecp5", {"luts": 3}),
        ("synth_ecp5", {"lut": 3, "lutram": 0, "ff": 1, "bram": 0}),  # without LUT RAM, once
        (
            "synth_ecp5",
            {"luts": 3, "logic": 3, "lutram": 0, "ff": 1, "bram": 0, "layers": {"c": 3}},
        ),
        ("training", {"epochs": 3, "columns": ["loss"], "history": [{"loss": 3}]}),
        ("frontier", {"family": "ecp5", "clock_mhz": 100, "points": [{"luts": 3}]}),
    ],
)
def test_what_has_another_shape_is_not_shown(
    name: str, values: dict[str, Any], tmp_path: Path
) -> None:
    layer().save(tmp_path)
    build = ensure(tmp_path, "fold", None, tmp_path)
    keep_measurement(build, name, values, design=name.startswith(("sim", "synth")))
    assert json.loads((tmp_path / "measured" / f"{name}.json").read_text())["values"] == values
    assert measurements(build) == {}
    write_report(build)


def test_strange_but_well_formed_ones_make_a_page(tmp_path: Path) -> None:
    layer().save(tmp_path)
    build = ensure(tmp_path, "fold", None, tmp_path)
    of = {"family": build.design.family, "clock_mhz": build.design.clock_mhz}
    keep_measurement(build, "frontier", {**of, "points": [POINT] * 3}, design=False)
    history = [{"epoch": 1, "loss": 0.0}]
    more = {"epochs": 1, "columns": ["loss"], "history": history}
    keep_measurement(build, "training", more, design=False)
    whole = {"label": "none", "why": "<b>", "x": [None], "y": {"z": [{"name": "n", "v": 1}, {}]}}
    keep_measurement(build, "power", {"energy": whole, "measured": None, "odd": [[1], {}]})
    keep_measurement(build, "somebodys", {"a/b~c": 3, "d": {"e": True}})
    answer, path = write_report(build)
    html = path.read_text()
    assert "&lt;b&gt;" in html and 'data-figure="/measured/somebodys/a~1b~0c"' in html
    assert set(answer["measured"]) == {"power", "somebodys"}
