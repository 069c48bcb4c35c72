"""Samples to WaveJSON and back, and its pictures: of samples made up here."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wavecheck import differences

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
    wave = wavejson(samples(FEW), FEW, LANES, 0, FEW.clocks, "a title")
    assert wave["head"] == {"text": "a title"} and wave["config"] == {"hscale": 2}
    assert clocks_of(wave) == [0, 1, 2, 3, 4, 5, 6, None, 1_000_003, 1_000_004]
    numbers = ["0", "1", "2", "3", "4", "5", "6", "1000003", "1000004"]
    row = {"name": "clock number", "wave": "=======|==", "data": numbers}
    assert wave["signal"][0] == row
    valid, data = lanes_of(wave)[1:]
    assert valid["wave"] == "0..1...|.." and "data" not in valid
    assert data["wave"] == "x..==..|.." and data["data"] == ["A5", "7"]
    assert not differences(wave, FEW)


def test_equal_words_have_a_box_each_and_one_that_waits_has_one() -> None:
    shown = scene((4, 7, 1, 1, 0), (1, 7, 1, 0, 0), (20, 7, 1, 0, 0), (2, 7, 1, 1, 0))
    wave = wavejson(samples(shown), shown, LANES, 0, shown.clocks, "t")
    assert lanes_of(wave)[2]["wave"] == "=====..|..=" and not differences(wave, shown)
    for k, mark in enumerate(lanes_of(wave)[2]["wave"]):
        if mark in "=.":
            other = json.loads(json.dumps(wave))
            row = lanes_of(other)[2]
            row["wave"] = row["wave"][:k] + {"=": ".", ".": "="}[mark] + row["wave"][k + 1 :]
            row["data"] = ["7"] * row["wave"].count("=")
            assert differences(other, shown), k
    assert svg(wave).count('class="bus"') == 6


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_change_and_no_word_is_in_a_gap(data: st.DataObject) -> None:
    """Whatever a stream does, and whichever of its ports are drawn."""
    runs = st.tuples(st.sampled_from([1, 1, 2, 9, 40]), st.integers(0, 1), *[st.integers(0, 1)] * 3)
    shown = scene(*data.draw(st.lists(runs, min_size=1, max_size=12)))
    lanes = [*LANES, Lane("s_axis_tready"), Lane("s_axis_tlast", "s_axis_tvalid")]
    lanes = data.draw(st.lists(st.sampled_from(lanes), min_size=1, max_size=4, unique=True))
    first = data.draw(st.integers(0, shown.clocks - 1))
    end = data.draw(st.integers(first + 1, shown.clocks))
    wave = wavejson(samples(shown), shown, lanes, first, end, "t")
    assert not differences(wave, shown)
    whole = [c for c in clocks_of(wave) if c is not None]
    assert (whole[0], whole[-1]) == (first, end - 1)


def test_a_cut_that_hides_something_is_found() -> None:
    """Ready falls and rises again in a gap, as in a diagram that was shown once."""
    shown = scene((3, 1, 1, 1, 0), (9, 0, 0, 1, 0), (4, 0, 0, 0, 0), (9, 0, 0, 1, 0))
    kept = scene((3, 1, 1, 1, 0), (22, 0, 0, 1, 0))
    lanes = [*LANES, Lane("s_axis_tready")]
    wave = wavejson(samples(kept), kept, lanes, 0, kept.clocks, "t")
    assert not differences(wave, kept)
    assert differences(wave, shown) == ["s_axis_tready between clocks 5 and 24: cut"]


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
    wave = wavejson(samples(FEW), FEW, LANES, 0, FEW.clocks, "<b> & more")
    root = ElementTree.fromstring(str(svg(wave, alone)))
    words = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert [w for w in words if w and w in "0123"] == ["0", "1", "2", "3"]
    for row in lanes_of(wave):
        assert words.count(row["name"]) == 1
    assert [w for w in words if w in ("A5", "7")] == ["A5", "7"]
    assert "in <&>" in words and "+999,996" in words
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
        return wavejson(samples(shown), shown, LANES[:1], 0, 3, "t")

    high, low = levels(str(svg(wave(1)))), levels(str(svg(wave(0))))
    assert len(set(low)) == 1 and len(set(high)) == 2 and high[1] < high[0] == high[2]
