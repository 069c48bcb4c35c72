"""Samples to WaveJSON and back, and its pictures: of samples made up here."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from sterna.gen.timing.diagrams import diagrams
from sterna.gen.timing.samples import Run, Samples, Scene
from sterna.gen.timing.wavedrom_svg import svg
from sterna.gen.timing.wavejson import Lane, clocks_of, lanes_of, shown_values, wavejson

WIDTHS = {"s_axis_tdata": 8, "s_axis_tvalid": 1, "s_axis_tready": 1, "s_axis_tlast": 1}
LANES = [Lane("s_axis_tvalid"), Lane("s_axis_tdata", "s_axis_tvalid", "in <&>")]


def scene(*runs: tuple[int, int, int, int, int]) -> Scene:
    """Of (clocks, data, valid, ready, last)."""
    out, at = [], 0
    for clocks, *values in runs:
        out.append(Run(at, clocks, dict(zip(WIDTHS, values, strict=True))))
        at += clocks
    return Scene(tuple(out))


def samples(shown: Scene, name: str = "image") -> Samples:
    return Samples("t_axi", "aclk", "aresetn", 0, WIDTHS, {name: shown})


FEW = scene((3, 0, 0, 1, 0), (1, 0xA5, 1, 1, 0), (1_000_000, 7, 1, 0, 0), (1, 7, 1, 1, 1))


def test_what_is_shown_is_what_was_sampled() -> None:
    clocks = [0, 2, 3, 4, 5, 1_000_003, 1_000_004]
    wave = wavejson(samples(FEW), FEW, LANES, clocks, "a title")
    assert wave["head"] == {"text": "a title"} and wave["config"] == {"hscale": 2}
    assert clocks_of(wave) == [0, None, 2, 3, 4, 5, None, 1_000_003, 1_000_004]
    numbers = ["0", "2", "3", "4", "5", "1000003", "1000004"]
    row = {"name": "clock number", "wave": "=|====|==", "data": numbers}
    assert wave["signal"][0] == row
    valid, data = lanes_of(wave)[1:]
    assert valid["wave"] == "0|01..|1." and "data" not in valid
    assert data["wave"] == "x|x==.|=." and data["data"] == ["A5", "7", "7"]
    found = shown_values(wave)
    assert sorted(found) == clocks
    for clock, values in found.items():
        there = FEW.at(clock)
        wanted = there["s_axis_tdata"] if there["s_axis_tvalid"] else None
        assert values == {"s_axis_tvalid": there["s_axis_tvalid"], "s_axis_tdata": wanted}


def test_an_image_shows_its_longest_wait_with_ends() -> None:
    (made,) = diagrams(samples(FEW))
    assert "2 words in 1,000,002 clocks" in made.text
    assert "up to 1,000,000 clocks, from clock 4 on" in made.text
    assert len(shown_values(made.wave)) < 16


def test_a_source_that_never_waits_is_said_to() -> None:
    (made,) = diagrams(samples(scene((1, 1, 1, 1, 0), (1, 2, 1, 1, 1), (2, 0, 0, 1, 0))))
    assert "ready stayed 1" in made.text and "back-pressure" not in made.title


@pytest.mark.parametrize("alone", [True, False])
def test_the_picture_has_every_label_once_and_is_well_formed(alone: bool) -> None:
    wave = wavejson(samples(FEW), FEW, LANES, [0, 1, 2, 3, 4, 1_000_004], "<b> & more")
    root = ElementTree.fromstring(str(svg(wave, alone)))
    words = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert [w for w in words if w in "0123"] == ["0", "1", "2", "3"]
    for row in lanes_of(wave):
        assert words.count(row["name"]) == 1
    assert [w for w in words if w in ("A5", "7")] == ["A5", "7", "7"]
    assert "in <&>" in words and "+999,999" in words
    assert root.attrib["aria-label"] == "<b> & more"
    assert not re.search(r"<script|href|url\(", str(svg(wave, alone)))
    assert bool(root.findall(".//{*}style")) == alone
    width = float(root.attrib["width"])
    assert all(float(x) <= width for x in re.findall(r'x="([\d.]+)"', str(svg(wave))))


def levels(picture: str) -> list[int]:
    """The level of the first net, a bit, in each brick: from the heights at which it runs."""
    path = re.findall(r'class="net" d="([^"]+)"', picture)[0]
    return [int(float(y)) for y in re.findall(r"[ML][\d.]+ ([\d.]+)H", path)]


def test_a_changed_value_changes_the_picture() -> None:
    def wave(valid: int) -> dict[str, Any]:
        shown = scene((1, 0, 0, 1, 0), (1, 1, valid, 1, 0), (1, 1, 0, 1, 0))
        return wavejson(samples(shown), shown, LANES[:1], range(3), "t")

    high, low = levels(str(svg(wave(1)))), levels(str(svg(wave(0))))
    assert len(set(low)) == 1 and len(set(high)) == 2 and high[1] < high[0] == high[2]
