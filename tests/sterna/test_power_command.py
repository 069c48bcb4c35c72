"""`sterna power`: figures with their labels, kept in the build; what is refused before any work."""

import json
import shlex
from typing import Any

import numpy as np
import pytest
from tinyboard import pictures, tiny_build
from unsimulated import unsimulated

import sterna
import sterna.gen.tools.programs as programs
import sterna.power
from sterna import cli
from sterna.gen.build.measurements import measurements
from sterna.gen.build.stages import Build
from sterna.golden.errors import ToolMissing
from sterna.sim.power.saif import Saif


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("power")
    np.save(folder / "images.npy", pictures(4))
    return tiny_build(folder / "tiny").folder, ["--file", str(folder / "images.npy")]


def ask(capsys, *words):
    code = cli.main(["power", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_figures_with_labels_are_kept_and_a_reading_joins_them(tiny, capsys):
    folder, images = tiny
    code, out, err = ask(capsys, folder, *images, "--board", "ulx3s-12f", "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer.pop("build") == str(folder)
    wrote = [str(folder / name) for name in ("power/tiny.saif", "measured/power.json")]
    assert answer.pop("wrote") == wrote
    done, activity, rate = answer["run"], answer["activity"], answer["rate"]
    assert (done["of"], done["target"], done["board"]) == ("rtl", "ecp5", "ulx3s-12f")
    assert Saif.of(folder / done["saif"]).duration == done["clocks"] * 1e6 / done["clock_mhz"]
    toggles = sum(p["toggles_per_image"] for p in activity["parts"])
    share = toggles * 4 / (activity["bits"] * done["clocks"])
    assert activity["toggles_per_clock_and_bit"] == pytest.approx(share) and 0 < share < 1
    assert [p["name"] for p in activity["parts"] if p["core"]] == ["conv", "pool", "full"]
    assert rate["clocks_from"] == "the simulation"
    assert rate["images_per_second"] == done["clock_mhz"] * 1e6 / rate["clocks_per_image"]
    assert answer["operations"]["effective_macs"] > 0
    labels = {k: v["label"] for k, v in answer.items() if v is not None}
    assert labels == {
        "run": "counted",
        "activity": "counted",
        "operations": "counted",
        "rate": "estimated",
        "resources": "estimated",
        "energy": "none",
        "calculator": "counted",
    }
    assert "no public currents of the LFE5U-12F" in answer["energy"]["why"]
    assert measurements(Build(folder))["power"] == answer

    read = ["--measured-mw", 120, "--idle-mw", 100, "--images-per-second", 400]
    code, out, err = ask(capsys, folder, *read)
    assert code == 0 and "[1/" not in err
    assert "measured by the user: 120 mW at 400 images a second" in out
    assert "0.3 mJ an image, 0.05 mJ of it above 100 mW idle" in out
    kept = measurements(Build(folder))["power"]
    measured = kept.pop("measured")
    assert kept == answer and measured["label"] == "measured"
    assert measured["images_per_second_per_watt"] == pytest.approx(400 / 0.12)


@pytest.mark.parametrize(("board", "family"), [("icebreaker", "ice40"), ("arty-a7-35", "xilinx7")])
def test_bounds_where_currents_are_known_and_a_script_where_vivado_is(
    tiny, capsys, tmp_path, monkeypatch, board, family
):
    monkeypatch.setattr(sterna.power, "record", unsimulated)
    out = tiny_build(tmp_path / board, "rom", family).folder
    code, text, err = ask(capsys, out, *tiny[1], "--images", 2, "--board", board)
    assert code == 0, err
    found = measurements(Build(out))["power"]
    assert found["rate"]["clocks_from"] == "the model of streams"
    assert "the RTL" in text and "for a calculator: clock" in text
    if family == "ice40":
        energy = found["energy"]
        assert energy["label"] == "estimated" and 0 < energy["low_mj"] < energy["high_mj"]
        assert "left out: block RAM (not measured)" in text and "iCE40UP5K" in text
        assert found["vivado"] is None
    else:
        script = (out / found["vivado"]["script"]).read_text()
        assert "-strip_path top/SternaWrapper/dut" in script and "-part xc7a35t" in script
        assert (out / "power" / "tiny_clock.xdc").is_file() and (out / "tiny.v").is_file()
        assert "read_verilog {../tiny.v}" in script and "{tiny.saif}" in script
        assert (
            f"cd {shlex.quote(str(out / 'power'))} && vivado -mode batch -source tiny_power.tcl"
            in text
        )
        assert found["energy"]["label"] == "none"


def test_a_run_that_differs_from_golden_is_no_activity(tiny, capsys, monkeypatch):
    def other(*given):
        found = unsimulated(*given)
        found.result.logits[1, 2] += 1
        return found

    before = measurements(Build(tiny[0])).get("power")
    monkeypatch.setattr(sterna.power, "record", other)
    code, out, err = ask(capsys, tiny[0], *tiny[1])
    assert (code, out) == (1, "") and "find out where: sterna compare " in err
    assert "logit" in err and measurements(Build(tiny[0])).get("power") == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--images", "0"], 2, "'0' is not a number of images"),
        (["--images", "5"], 2, "has 4 images, 5 were asked"),
        (["--board", "ulx3s"], 2, "no board is called 'ulx3s'"),
        (["--board", "ulx3s-12f", "--target", "ice40"], 2, "board ulx3s-12f is ecp5; leave one"),
        (["--board", "icebreaker"], 1, "folded for ecp5 and icebreaker is ice40; fold it for"),
        (["--of", "gates"], 2, "invalid choice: 'gates'"),
        (["--idle-mw", "3"], 2, "--idle-mw goes with --measured-mw"),
        (["--images-per-second", "3"], 2, "--images-per-second goes with --measured-mw"),
        (["--measured-mw", "3"], 2, "--file goes with a simulation, not with --measured-mw"),
        (["--measured-mw", "0"], 2, "0 is not a number of mW above"),
        (["--measured-mw", "3", "--idle-mw", "-1"], 2, "-1 is not a number of mW above"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_stage(tiny, capsys, words, code, said):
    folder, images = tiny
    found, out, err = ask(capsys, folder, *images, *words)
    assert (found, out) == (code, "") and said in err and "[1/" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--measured-mw", "3"], "how many images a second were computed is not known; give --im"),
        (["--measured-mw", "3", "--board", "ulx3s-12f"], "or --board where its bitstream was made"),
        (
            ["--measured-mw", "3", "--idle-mw", "4", "--images-per-second", "9"],
            "4 mW idle are more than 3 mW busy",
        ),
        (["--measured-mw", "3", "--of", "rtl"], "--of goes with a simulation"),
    ],
)
def test_readings_that_say_too_little_are_refused(tiny, capsys, words, said):
    code, out, err = ask(capsys, tiny[0], *words)
    assert (code, out) == (2, "") and said in err and "[1/" not in err


def test_a_meter_may_have_been_set_to_zero(tiny, capsys):
    read = ["--measured-mw", 3, "--idle-mw", 0, "--images-per-second", 10]
    code, out, err = ask(capsys, tiny[0], *read)
    assert code == 0 and "0.3 mJ an image, 0.3 mJ of it above 0 mW idle" in out, err


def test_python_has_what_the_command_has(tiny, monkeypatch):
    build = sterna.Build(tiny[0])
    monkeypatch.setattr(sterna.power, "record", unsimulated)
    answer = build.power(pictures(3), board="ulx3s-12f")
    assert answer["run"]["images"] == 3 and answer["rate"]["clock"] == "assumed"
    assert answer == build.report["measured"]["power"] == measurements(build)["power"]
    found = build.read_meter(np.int64(3), idle_mw=0, images_per_second=10.0)["measured"]
    assert (found["label"], found["above_idle_mj_per_image"]) == ("measured", 0.3)
    few: list[tuple[Any, ...]] = [
        (build.power, {"images": 3}, "image"),
        (build.power, {"images": pictures(1), "of": "gates"}, "of 'gates' is not one of"),
        (build.power, {"images": pictures(1), "of": []}, "of .* is not one of"),
        (build.power, {"images": pictures(1), "target": 3}, "target 3 is not one of"),
        (build.power, {"images": pictures(1), "board": 3}, "board 3 must be a name"),
        (build.power, {"images": pictures(1), "board": "none"}, "no board is called 'none'"),
        (build.power, {"images": pictures(1), "board": "icebreaker"}, "folded for ecp5 and"),
        (build.power, {"images": pictures(1), "board": "icebreaker", "target": "ecp5"}, "is ice40"),
        (build.read_meter, {"mw": 0}, "mw 0 must be a number above 0"),
        (build.read_meter, {"mw": None}, "mw None must be"),
        (build.read_meter, {"mw": 3, "idle_mw": -1}, "idle_mw -1 must be a number above 0 or 0"),
        (build.read_meter, {"mw": 3, "idle_mw": 4, "images_per_second": 1}, "more than 3 mW busy"),
        (build.read_meter, {"mw": 3, "images_per_second": 0}, "images_per_second 0 must be"),
        (build.read_meter, {"mw": 3}, "is not known; give --images-per-second"),
    ]
    for ask_, words, sentence in few:
        with pytest.raises(sterna.SternaError, match=sentence) as e:
            ask_(**words)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize(("of", "tool"), [("rtl", "verilator"), ("netlist", "yosys")])
def test_an_engine_that_is_missing_is_named_first(tiny, capsys, monkeypatch, of, tool):
    find = programs.find

    def without(name, *rest):
        if name == tool:
            raise ToolMissing(f"{name} is missing")
        return find(name, *rest)

    monkeypatch.setattr(programs, "find", without)
    code, out, err = ask(capsys, tiny[0], *tiny[1], "--of", of)
    assert (code, out) == (3, "") and f"{tool} is missing" in err and "[1/" not in err


def test_a_folder_without_a_network_is_refused(tmp_path, capsys):
    code, _, err = ask(capsys, tmp_path)
    assert code in (1, 2) and "holds no network.json" in err
