"""PynqBoard against a stand-in for pynq: registers of an AXI DMA in front of the Verilog."""

import json
import sys

import numpy as np
import pytest
from tinyboard import SIDE, network, packed, pictures
from zynqsim import equal

import sterna
from sterna.gen.build.stages import Options, ensure
from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import pack_weights_image, read_weights_image
from sterna.golden.errors import FileError, NetworkError, SternaError, ToolMissing, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.numpyrun import run_arrays
from sterna.host.zynq import transfers
from sterna.host.zynq.board import PynqBoard


@pytest.mark.parametrize("stall", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.9), (0.4, 0.5)])
def test_results_are_those_of_the_model(rom, on, monkeypatch, stall):
    """Over the ends of both buffers, with half a buffer left at the end."""
    monkeypatch.setattr(transfers, "MOST", 4)
    zynq, bit, module = on(rom, seed=5)
    zynq.stalls(*stall)
    with sterna.PynqBoard(bit, rom.folder) as board:
        for count in (1, 4, 15):
            images = pictures(count, seed=count)
            equal(board.infer(images), images)
        equal(board.run(images), images)
    assert module.memory.live == []


def test_identity_and_counters(rom, on):
    _, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        info = board.identify()
        assert info.weights_id == files.weights_id(network(0))[:16]
        assert info.structure_id == files.structure_id(network(0), rom.design.to_json())[:16]
        assert (info.image_bytes, info.classes, info.regions) == (SIDE * SIDE, 4, 0)
        board.counters(clear=True)
        board.infer(pictures(5))
        counters = board.counters()
        assert counters.images == 5 and counters.dropped_early == counters.dropped_late == 0
        assert [*counters.stalls] == [*rom_cores(rom)] and counters.total_clocks > 0


def rom_cores(build):
    registers = json.loads((build.folder / "csr.json").read_text())["registers"]
    return [r["name"][6:] for r in registers if r["name"].startswith("stall_")]


def test_weights_are_loaded_and_replaced(ram, on):
    """An axis_width of 24: a beat of three bytes, which no DMA has."""
    zynq, bit, _ = on(ram, seed=3, empty=True)
    zynq.stalls(0.3, 0.3)
    images = pictures(6)
    with PynqBoard(bit, ram.folder) as board:
        with pytest.raises(LinkError, match=r"no complete weights .*load\(\)"):
            board.infer(images)
        assert board.load() == files.weights_id(network(0))
        equal(board.infer(images), images)
        board.load(packed(ram, 1))
        equal(board.infer(images), images, seed=1)
    with PynqBoard(bit, ram.folder, download=False) as board:  # they are still there
        assert board.identify().weights_id == files.weights_id(network(1))[:16]
        equal(board.infer(images), images, seed=1)


def test_a_bitstream_starts_with_its_own_weights(ram, on):
    """Vivado keeps the contents that the Verilog gives its memories."""
    _, bit, _ = on(ram)
    with PynqBoard(bit, ram.folder) as board:
        equal(board.infer(pictures(2)), pictures(2))


def test_weights_that_were_damaged_on_the_way_are_found(ram, on):
    zynq, bit, _ = on(ram, empty=True)
    with PynqBoard(bit, ram.folder) as board:
        done = []

        def flip(address, word):
            done.append(address)
            return word ^ (1 if address == 0x44 and done.count(0x44) == 3 else 0)

        zynq.spoil = flip
        with pytest.raises(LinkError, match="region 0 reads back with CRC"):
            board.load()
        with pytest.raises(LinkError, match="no complete weights"):
            board.infer(pictures(1))
        board.load()
        equal(board.infer(pictures(1)), pictures(1))


def test_another_design_is_refused(rom, ram, on):
    found = read_weights_image(rom.folder / "weights.sterna")
    regions = {n: words.copy() for n, words in found.regions.items()}
    regions[0][0] ^= 1
    altered = pack_weights_image(found.structure_id, found.weights_id, regions)
    _, bit, _ = on(rom)
    with pytest.raises(LinkError, match="another design .structure .* than the build"):
        PynqBoard(bit, ram.folder)
    with PynqBoard(bit, rom.folder) as board:
        with pytest.raises(FileError, match="the weights are for structure"):
            board.load((ram.folder / "weights.sterna").read_bytes())
        with pytest.raises(FileError, match="the weights of this design are built into"):
            board.load(altered)
        equal(board.infer(pictures(2)), pictures(2))


@pytest.mark.parametrize(
    "stuck, said",
    [
        ((1.0, 0.0), "0 of 3 images were taken and 0 results came, and nothing has moved for 0.3"),
        (
            (0.0, 1.0),
            "were taken and 0 results came, and nothing has moved for 0.3 s .DMASR",
        ),
    ],
)
def test_a_stuck_stream_is_told_and_over_when_it_goes_on(rom, on, stuck, said):
    zynq, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder, timeout=0.3) as board:
        zynq.stalls(*stuck)
        with pytest.raises(LinkError, match=said):
            board.infer(pictures(3))
        assert not zynq.active
        zynq.stalls(0.0, 0.0)
        equal(board.infer(pictures(3, 9)), pictures(3, 9))


@pytest.mark.parametrize("clocks", [1, 70, 71, 143, 160, 401, 1500, 3000])
def test_images_that_were_cut_are_not_seen_again(rom, on, monkeypatch, clocks):
    """Ctrl-C at any place: half an image is in the network, results wait in it."""
    zynq, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        zynq.pace = 30
        real, start = zynq.read_dma, zynq.clocks

        def read(offset):
            if zynq.clocks - start > clocks:
                monkeypatch.setattr(zynq, "read_dma", real)
                raise KeyboardInterrupt
            return real(offset)

        monkeypatch.setattr(zynq, "read_dma", read)
        with pytest.raises(KeyboardInterrupt):
            board.infer(pictures(50, 1))
        assert not zynq.active
        if clocks % 2:
            equal(board.infer(pictures(3, 2)), pictures(3, 2))
    with PynqBoard(bit, rom.folder, download=False) as board:  # as after a program that was killed
        equal(board.infer(pictures(2, 3)), pictures(2, 3))


@pytest.mark.parametrize(
    "way, said",
    [
        (True, "MM2S channel stopped with DMASlvErr at address 0x1[0-9a-f]+: the memory refused"),
        (False, "S2MM channel stopped with DMASlvErr at address 0x1[0-9a-f]+: the memory refused"),
    ],
)
def test_errors_of_the_memory_are_named(rom, on, way, said):
    zynq, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        zynq.refuses = {way}
        with pytest.raises(LinkError, match=said):
            board.infer(pictures(3))
        zynq.refuses = set()
        equal(board.infer(pictures(3)), pictures(3))


def test_a_place_without_memory_is_named(rom, on, monkeypatch):
    zynq, bit, module = on(rom)
    real = module.allocate

    def elsewhere(shape, dtype):
        buffer = real(shape, dtype)
        buffer.flush = lambda: None
        module.memory.live.clear()
        buffer.physical_address = 0x4000_0000
        return buffer

    monkeypatch.setattr(module, "allocate", elsewhere)
    with (
        PynqBoard(bit, rom.folder) as board,
        pytest.raises(LinkError, match=r"S2MM channel stopped with DMADecErr at .*0x4000"),
    ):
        board.infer(pictures(1))


@pytest.mark.parametrize("early", [1, 4])
def test_a_result_that_is_too_short_is_refused(rom, on, early):
    zynq, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        zynq.stalls(0.0, 0.0, early)
        with pytest.raises(LinkError, match=f"result of image 0 has {4 * early} bytes instead of"):
            board.infer(pictures(2))
        zynq.stalls(0.0, 0.0)
        equal(board.infer(pictures(2)), pictures(2))


def test_a_result_that_is_too_long_is_refused(rom, on):
    _, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        board._transfers._words = 4
        with pytest.raises(LinkError, match="S2MM channel stopped with DMAIntErr .*was longer"):
            board.infer(pictures(2))
        board._transfers._words = 5
        equal(board.infer(pictures(2)), pictures(2))


def test_a_length_register_that_is_too_short_is_refused(rom, on):
    _, bit, _ = on(rom, length_bits=7)
    with pytest.raises(UsageError, match="144 bytes and one transfer of the DMA at most 127; give"):
        PynqBoard(bit, rom.folder)


def test_images_are_refused_as_everywhere(rom, on):
    _, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        for images, error in (
            (np.zeros((1, 1, SIDE, SIDE)), UsageError),
            (np.zeros((1, 1, SIDE, SIDE + 1), np.uint8), UsageError),
            (np.zeros((0, 1, SIDE, SIDE), np.uint8), UsageError),
            (np.full((1, 1, SIDE, SIDE), 256), NetworkError),
        ):
            with pytest.raises(error):
                board.infer(images)
        equal(board.infer(pictures(1)), pictures(1))


def test_no_register_is_asked_for_that_would_end_the_program(rom, ram, on):
    """SLVERR is an abort of the processor: BusFault here."""
    for build in (rom, ram):
        zynq, bit, _ = on(build, empty=build is ram)
        known = [int(r["address"]) for r in registers_of(build)]
        with PynqBoard(bit, build.folder) as board:
            for address in range(0, 0x140, 4):
                if address in known:
                    board.read(address)
                else:
                    with pytest.raises(UsageError, match="no register"):
                        board.read(address)
                with pytest.raises(
                    UsageError, match="no register|read only|does not fit|no transfer takes"
                ):
                    board.write(address, 1 << 32)
            with pytest.raises(UsageError, match="no transfer takes; give infer"):
                board.write("repeat", 1)  # before any image; the design would refuse it
            for name in ("id", "images", "rom_crc"):
                with pytest.raises(UsageError, match="read only"):
                    board.write(name, 1)
            with pytest.raises(UsageError):
                board.read("stalls", 99)
        del zynq


def test_memories_are_left_alone_while_they_are_busy(ram, on):
    """During a CRC pass the design refuses (BusFault) what is asked of them."""
    _, bit, _ = on(ram)
    regions = read_weights_image(ram.folder / "weights.sterna").regions
    number = max(regions, key=lambda n: len(regions[n]))
    with PynqBoard(bit, ram.folder, timeout=0.5) as board:
        for _ in range(2):
            board.write("chain_address", number << 24)
            board.write("crc_words", len(regions[number]))
        board.write("chain_address", number << 24)  # behind a memory's end it is refused, too
        assert board.read("chain_data") == (int(regions[number][0]),)
        assert board.read("status")[0] & 0x300 == 0x200
        board._registers._mmio = Busy()
        with pytest.raises(LinkError, match="an image has been under way for 0.5 s .*download"):
            board.write("chain_address", 0)


class Busy:
    """A design whose image does not end."""

    def read(self, offset):
        known = {csr.ADDRESS["id"]: csr.ID, csr.ADDRESS["version"]: csr.VERSION}
        return (known | {csr.ADDRESS["config"]: 1 << 16}).get(offset, 0)


def registers_of(build):
    found = json.loads((build.folder / "csr.json").read_text())["registers"]
    return [r | {"address": int(str(r["address"]), 0)} for r in found]


def test_overlays_and_names(rom, on, tmp_path, monkeypatch):
    _, bit, module = on(rom)
    overlay = module.Overlay(bit)
    with PynqBoard(overlay, rom.folder, ip="net_0", dma="axi_dma_0") as board:
        equal(board.infer(pictures(1)), pictures(1))
    for options, said in (
        ({"ip": "net_1"}, "the overlay has no IP 'net_1'.*it has axi_dma_0, net_0"),
        ({"dma": "dma"}, "the overlay has no IP 'dma'"),
        ({"timeout": 0}, "timeout"),
        ({"download": 1}, "download 1 must be"),
    ):
        with pytest.raises(SternaError, match=said):
            PynqBoard(overlay, rom.folder, **options)
    overlay.ip_dict["net_1"] = overlay.ip_dict["net_0"]
    with pytest.raises(UsageError, match="2 of the kind network; choose .* ip=: net_0, net_1"):
        PynqBoard(overlay, rom.folder)
    del overlay.ip_dict["axi_dma_0"]
    with pytest.raises(UsageError, match="the overlay has no AXI DMA; it has"):
        PynqBoard(overlay, rom.folder, ip="net_0")
    with pytest.raises(UsageError, match=r"overlay 5 is none; give a pynq.Overlay"):
        PynqBoard(5, rom.folder)
    bit.with_suffix(".hwh").unlink()
    with pytest.raises(FileError, match=r"net.hwh: is not there; copy the .bit and the .hwh"):
        PynqBoard(bit, rom.folder)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(ToolMissing, match="pynq does not import .*runs on the board itself"):
        bit.with_suffix(".hwh").touch()
        PynqBoard(bit, rom.folder)


def test_no_memory_is_a_sentence(rom, on):
    _, bit, module = on(rom)
    module.memory.room = 5000
    with PynqBoard(bit, rom.folder) as board:
        with pytest.raises(LinkError, match=r"pynq has no memory for \d+ images .Failed to alloc"):
            board.infer(pictures(1))
        module.memory.room = 1 << 24
        equal(board.infer(pictures(1)), pictures(1))


@pytest.mark.slow
def test_digits(on, tmp_path):
    """Constant weights."""
    build = ensure("examples/digits", "verilog", Options(family="xilinx7"), tmp_path / "digits")
    zynq, bit, _ = on(build)
    zynq.stalls(0.2, 0.2)
    images = np.random.default_rng(4).integers(0, 17, (40, 1, 8, 8), dtype=np.uint8)
    with PynqBoard(bit, build.folder) as board:
        result = board.infer(images)
    wanted = run_arrays(build.network, images)
    assert (result.logits == wanted.logits).all() and (result.classes == wanted.classes).all()
