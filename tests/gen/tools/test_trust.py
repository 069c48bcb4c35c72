"""A build folder from elsewhere is data: nothing of it runs, nothing outside of it is touched."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from buildcase import contents, ran, save_example

from sterna.gen.build import stages
from sterna.gen.build.folder import Build
from sterna.gen.build.generator import generator_id
from sterna.gen.build.stages import ensure, open_build
from sterna.gen.tools import trust
from sterna.gen.tools.cache import Cache
from sterna.gen.tools.native_cpp import library
from sterna.gen.tools.progress import Progress
from sterna.golden.device.weights_image import write_weights_image
from sterna.golden.errors import FileError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import canonical_json, sha256

EVIL = 'module tiny(); initial $system("touch owned"); endmodule\n'
FILES = ("tiny.v", "filelist.f", "sim/tiny_taps.v", "tiny_tb.v")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A whole build. Verilog is a word here: only its files matter."""

    def run_verilog(build, asked):
        for name in stages.STAGES["verilog"].writes(build):
            build.write(name, f"{name} of {files.weights_id(build.network)}")

    stage = replace(stages.STAGES["verilog"], run=run_verilog)
    monkeypatch.setitem(stages.STAGES, "verilog", stage)
    return ensure(save_example(tmp_path / "example"), "sim", output=tmp_path / "build").folder


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """From now on this is another installation, with a secret of its own."""

    def move():
        monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "other"))

    return move


def forge(build, stage="verilog"):
    """What somebody does who knows everything but the secret."""
    body = json.loads((build / "stages.json").read_text())
    entry = body[stage]
    for name in [n for n in entry["writes"] if n in FILES]:
        (build / name).write_text(EVIL)
        entry["writes"][name] = sha256(EVIL.encode())
    entry["generator"] = generator_id()
    (build / "stages.json").write_text(canonical_json(body))


@pytest.mark.parametrize("seal", ["kept", "other", "none", "of fold", "a number"])
def test_forged_verilog_is_made_again(build, seal):
    before = contents(build)
    forge(build)
    body = json.loads((build / "stages.json").read_text())
    if seal == "other":
        body["verilog"]["seal"] = "0" * 64
    elif seal == "none":
        del body["verilog"]["seal"]
    elif seal == "of fold":
        body["verilog"]["seal"] = body["fold"]["seal"]
    elif seal == "a number":
        body["verilog"]["seal"] = 7
    (build / "stages.json").write_text(canonical_json(body))
    with pytest.raises(FileError, match="tiny.v: is not as this installation made it; run `sterna"):
        Build(build).made("verilog", "tiny.v")
    assert ran(build) == ["verilog"] and contents(build) == before and ran(build) == []
    assert Build(build).made("verilog", "tiny.v") == (build / "tiny.v").read_bytes()


def test_a_folder_of_another_machine_is_made_again_and_says_so(build, elsewhere, capsys):
    before = contents(build)
    elsewhere()
    ensure(build, progress=Progress())
    said = capsys.readouterr().err
    assert said.splitlines()[0] == (
        f"{build}: was made by another installation, or altered; made again from its network"
    )
    after = contents(build)
    assert {k: v for k, v in after.items() if k != "stages.json"} == {
        k: v for k, v in before.items() if k != "stages.json"
    }
    ensure(build, progress=Progress())
    assert capsys.readouterr().err == ""


def test_options_of_another_machine_are_kept_and_checked(build, elsewhere):
    ensure(build, options=stages.Options(clock_mhz=50.0))
    body = json.loads((build / "stages.json").read_text())
    body["fold"]["options"] |= {"axis_width": "wide", "luts": True, "unknown": 1, "patchable": 3}
    (build / "stages.json").write_text(canonical_json(body))
    elsewhere()
    assert ensure(build, "fold").design.clock_mhz == 50.0
    assert json.loads((build / "stages.json").read_text())["fold"]["options"] == {"clock_mhz": 50.0}


# --- links ----------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "bashrc").write_text("mine")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "x/bashrc",
        "../elsewhere/bashrc",
        "{outside}/bashrc",
        "mem/../../elsewhere/bashrc",
        "x",
        "",
        ".",
        "deep/x/bashrc",
        "x/../../elsewhere/bashrc",
        "mem\\bashrc",
        "a\0b",
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_nothing_outside_is_deleted(build, outside, name, sealed):
    """Whatever the record says was written by an earlier run; also one with our own seal."""
    (build / "x").symlink_to(outside)
    (build / "deep").mkdir()
    (build / "deep" / "x").symlink_to(outside)
    body = json.loads((build / "stages.json").read_text())
    body["pack"]["writes"][name.format(outside=outside)] = sha256(b"mine")
    if sealed:
        rest = {k: v for k, v in body["pack"].items() if k != "seal"}
        body["pack"]["seal"] = trust.seal("stage pack", rest)
    (build / "stages.json").write_text(canonical_json(body))
    ensure(build)
    assert contents(outside) == {"bashrc": sha256(b"mine")} and (build / "mem").is_dir()
    assert ran(build) == []


def test_nothing_outside_is_written(build, outside, tmp_path):
    shutil.rmtree(build / "mem")
    (build / "mem").symlink_to(outside)
    for name in ("c_weights.mem", "f_params.coe"):
        (outside / name).write_text("mine")
    with pytest.raises(FileError) as error:
        ensure(build)
    assert str(error.value).startswith(f"{build}/mem/") and "\n" not in str(error.value)
    assert "outside of" in str(error.value) and str(error.value).endswith("remove that link")
    assert (outside / "c_weights.mem").read_text() == "mine" and len(contents(outside)) == 3
    # A link in the place of a file is replaced.
    (build / "mem").unlink()
    (build / "weights.sterna").unlink()
    (build / "weights.sterna").symlink_to(outside / "bashrc")
    ensure(build)
    assert (outside / "bashrc").read_text() == "mine" and ran(build) == []
    # A link that stays inside is the user's own affair.
    (build / "mem").rename(build / "real")
    (build / "mem").symlink_to("real")
    assert ran(build) == []


def test_where_programs_work_there_are_no_links(build, outside):
    """They follow links and write through hard ones."""
    made = Build(build)
    work = made.workshop("board")
    (work / "netlist.json").symlink_to(outside / "bashrc")
    os.link(outside / "bashrc", work / "placed.json")
    (work / "smaller").symlink_to(outside)
    (work / "kept").write_text("x")
    os.mkfifo(work / "log")
    assert sorted(os.listdir(made.workshop("board"))) == ["kept"]
    (build / "synth").symlink_to(outside)
    made.workshop("synth")
    assert not (build / "synth").is_symlink() and os.listdir(build / "synth") == []
    (build / "deep").symlink_to(outside)
    with pytest.raises(FileError, match="outside of"):
        made.workshop("deep/board")
    made.remove("deep/bashrc")
    made.remove_folder("deep")
    assert (outside / "bashrc").read_text() == "mine" and os.listdir(outside) == ["bashrc"]


# --- what is kept ---------------------------------------------------------------------------------


def test_a_kept_text_is_known_by_its_key_and_seal(tmp_path, elsewhere):
    path = tmp_path / "kept.v"
    path.write_text(trust.keep("k", "module a;\n"))
    assert trust.kept(path, "k") == "module a;\n" and trust.kept(path, "other") is None
    whole = path.read_text()
    for text in (
        whole + "x",
        whole[:-1],
        whole.partition("\n")[2],
        f"// k\n{EVIL}",
        f"// k {'0' * 64}\n{EVIL}",
        whole.replace("// k", "// j"),
        "",
    ):
        path.write_text(text)
        assert trust.kept(path, "k") is None
    path.write_text(whole)
    elsewhere()
    assert trust.kept(path, "k") is None


def test_the_secret_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "a"))
    one = trust.seal("x", 1)
    path = tmp_path / "a" / "secret"
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path / "a") == ["secret"]
    trust._secret.cache_clear()
    assert trust.seal("x", 1) == one and trust.is_sealed("x", 1, one)
    assert not trust.is_sealed("y", 1, one) and not trust.is_sealed("x", 2, one)
    assert not trust.is_sealed("x", object(), one) and not trust.is_sealed("x", 1, "ä" * 64)
    for spoil in (
        lambda: path.chmod(0o644),
        lambda: path.write_bytes(b"short"),
        lambda: (path.unlink(), path.symlink_to("/dev/null")),
    ):
        spoil()
        trust._secret.cache_clear()
        two = trust.seal("x", 1)
        assert two != one and path.stat().st_mode & 0o777 == 0o600
        trust._secret.cache_clear()
        assert trust.seal("x", 1) == two, "kept"
        one = two
    monkeypatch.setenv("STERNA_CACHE", str(path))  # a file: nothing can be kept there
    assert len(trust.seal("x", 1)) == 64


@pytest.mark.parametrize("harm", ["cut", "empty", "other", "link", "pipe", "forged", "folder"])
def test_compiled_code_that_is_not_ours_is_compiled_again(tmp_path, monkeypatch, harm):
    """T7: of a truncated library the process dies with a bus error."""
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "good.cpp"
    source.write_text('extern "C" int answer() { return 42; }\n')
    library.cache_clear()
    assert library(source, ("-O0",)).answer() == 42
    (path,) = (tmp_path / "cache" / "native").glob("*/good.so")
    whole, manifest = path.read_bytes(), path.with_name("manifest.json")
    path.unlink()
    if harm == "link":
        (tmp_path / "lib.so").write_bytes(whole)
        path.symlink_to(tmp_path / "lib.so")
    elif harm == "pipe":
        os.mkfifo(path)
    elif harm == "folder":
        path.mkdir()
    else:
        data = {"cut": whole[: len(whole) // 2], "empty": b"", "other": whole[:-1] + b"x"}
        path.write_bytes(data.get(harm, b"\x7fELF forged"))
    if harm == "forged":  # with its hash in the manifest
        body = json.loads(manifest.read_text())
        body["files"]["good.so"] = {"bytes": 11, "sha256": sha256(b"\x7fELF forged")}
        manifest.write_text(json.dumps(body))
    library.cache_clear()
    assert library(source, ("-O0",)).answer() == 42
    assert path.is_file() and not path.is_symlink() and path.stat().st_size == len(whole)
    library.cache_clear()


def test_an_entry_that_is_a_link_is_replaced(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("x")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "k").symlink_to(tmp_path / "other")
    Cache(tmp_path / "cache").entry("k", lambda folder: (folder / "f").write_text("y"))
    assert (tmp_path / "other" / "mine").read_text() == "x" and len(os.listdir(tmp_path)) == 2
    assert (tmp_path / "cache" / "k" / "f").read_text() == "y"


def test_a_build_that_was_opened_is_of_one_state(build, tmp_path):
    other = save_example(tmp_path / "more")
    files.save(files.load(other), other)
    made = open_build(other, build)
    assert ran(made) == [] and files.weights_id(made.network) == files.weights_id(files.load(other))


# --- bitstreams and weights -----------------------------------------------------------------------


@pytest.fixture
def routed(build, monkeypatch):
    """A build with a bitstream, as if yosys and nextpnr had made one."""
    from types import SimpleNamespace

    from sterna.gen.board import patch, place_record
    from sterna.gen.device.boards import board

    monkeypatch.setattr(patch, "Contents", lambda text, _: SimpleNamespace(text=lambda: text))
    monkeypatch.setattr(patch, "fill", lambda *_: None)
    monkeypatch.setattr(patch, "pack", lambda *_: b"bits of " + weights(build).encode())
    made = Build(build)
    images = patch.memory_images(made.network, made.design)
    record = {
        "version": place_record.VERSION,
        "files": {"placeholder.txt": sha256(b"text")},
        "options": {"board": "ulx3s-85f", "uart": [], "baud": 1_000_000},
        "inputs": "",
        "structure_id": files.structure_id(made.network, made.design.to_json()),
        "logic": [i.name for i in images],
        "columns": [],
        "used": {},
        "fmax_mhz": {},
        "pll": None,
        "clock_mhz": 50.0,
    }
    folder = made.workshop("board")
    (folder / "placeholder.txt").write_text("text")
    sealed = record | {"seal": trust.seal("placed", record)}
    (folder / "placed_record.json").write_text(canonical_json(sealed))
    ident = patch.ident_image(made.network, images)
    patch.fill_bitstream(made, board("ulx3s-85f"), record, images, ident)
    return build


def weights(build):
    return files.weights_id(files.load(build))


def programmed(build, monkeypatch, *more):
    """What `sterna program` gives to the program of the board; a FileError otherwise."""
    import argparse

    from sterna.boards import bitstream as bitstream_commands
    from sterna.gen.board import programmer

    given = []
    monkeypatch.setattr(programmer, "program", lambda _, path, __: given.append(path.read_bytes()))
    file = more[0] if more else None
    options = argparse.Namespace(folder=str(build), bitstream=file, flash=False)
    bitstream_commands.program(options)
    return given[0]


@pytest.mark.parametrize("harm", ["bits", "facts", "no facts", "no seal", "placed", "placeholder"])
def test_a_bitstream_of_somebody_else_is_not_programmed(routed, monkeypatch, harm):
    assert programmed(routed, monkeypatch) == b"bits of " + weights(routed).encode()
    facts = json.loads((routed / "bitstream.json").read_text())
    if harm == "bits":
        (routed / "tiny.bit").write_bytes(b"forged")
    elif harm == "facts":
        (routed / "tiny.bit").write_bytes(b"forged")
        facts["of"]["sha256"] = sha256(b"forged")
    elif harm == "no seal":
        del facts["of"]["seal"]
    elif harm == "placed":
        record = json.loads((routed / "board/placed_record.json").read_text())
        (routed / "board/placed_record.json").write_text(canonical_json(record | {"logic": []}))
    elif harm == "placeholder":
        (routed / "board/placeholder.txt").write_text("forged")
    (routed / "bitstream.json").write_text(canonical_json(facts))
    if harm == "no facts":
        (routed / "bitstream.json").unlink()
    placed = harm in ("placed", "placeholder")
    match = "no placed and routed design" if placed else "tiny.bit: is not as this installation"
    with pytest.raises(FileError, match=match):
        programmed(routed, monkeypatch)
    if not placed:  # the user's own word
        assert programmed(routed, monkeypatch, str(routed / "tiny.bit"))


def test_a_bitstream_of_before_is_not_programmed(routed, elsewhere, monkeypatch):
    """The kind of S10: the network was replaced, and the bitstream still has the old weights."""
    from buildcase import network

    files.save(network(seed=1), routed)
    with pytest.raises(FileError, match="was made before the network of .* was replaced; run `st"):
        programmed(routed, monkeypatch)
    files.save(network(), routed)
    assert programmed(routed, monkeypatch)
    elsewhere()
    with pytest.raises(FileError, match="no placed and routed design that this inst.*; run `st"):
        programmed(routed, monkeypatch)


def test_weights_that_only_say_whose_they_are_are_not_loaded(build, elsewhere):
    """Of a folder from elsewhere the words themselves are compared."""
    from sterna.boards.board import _packed

    image = _packed(build)
    words = {k: v.copy() for k, v in image.regions.items()}
    words[0][0] ^= 1
    path = build / "weights.sterna"
    write_weights_image(path, image.structure_id, image.weights_id, words)
    with pytest.raises(FileError, match="does not hold what its network packs to; run 'sterna p"):
        _packed(build)
    write_weights_image(path, image.structure_id, image.weights_id, image.regions)
    elsewhere()
    assert _packed(build).weights_id == image.weights_id
    write_weights_image(path, "a" * 64, image.weights_id, image.regions)
    with pytest.raises(FileError, match="was packed from another design than that of"):
        _packed(build)
