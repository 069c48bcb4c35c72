"""PynqBoard with what does not belong together, with parts that fail, and with several threads."""

import shutil
import threading

import numpy as np
import pytest
from tinyboard import network, pictures
from zynqsim import equal

from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import pack_weights_image, read_weights_image
from sterna.golden.errors import UsageError
from sterna.golden.files import network_files as files
from sterna.host.zynq import transfers
from sterna.host.zynq.board import PynqBoard


def test_names_of_other_ips_are_refused_before_anything_is_written(rom, on, monkeypatch):
    zynq, bit, module = on(rom)
    overlay = module.Overlay(bit)
    monkeypatch.setattr(zynq, "write_network", None)  # whoever writes to it fails
    for options, said in (
        ({"dma": "net_0"}, "dma 'net_0' is of type sterna:networks:net:1.0, which is no AXI DMA"),
        ({"ip": "axi_dma_0"}, "ip 'axi_dma_0' is of type xilinx.com:ip:axi_dma:7.1, which is no n"),
        ({"ip": "processing_system7_0"}, "which is no network"),
        ({"ip": 3}, "the overlay has no IP 3"),
    ):
        with pytest.raises(UsageError, match=said):
            PynqBoard(overlay, rom.folder, **options)
    words = overlay.ip_dict["axi_dma_0"]["parameters"]
    for key, value in (
        ("c_sg_length_width", "-3"),
        ("c_sg_length_width", "0"),
        ("c_sg_length_width", "500"),
        ("c_m_axi_mm2s_data_width", "-64"),
        ("c_m_axi_s2mm_data_width", "7"),
        ("c_include_s2mm", "5"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(words, key, value)
            with pytest.raises(UsageError, match=f"{key} {value} of the overlay's DMA is none"):
                PynqBoard(overlay, rom.folder)


def test_built_in_weights_of_another_network_are_refused(rom, on, tmp_path):
    """A .bit of a retrained network beside the folder of before: its structure is the same."""
    folder = shutil.copytree(rom.folder, tmp_path / "board")
    files.save(network(1), folder)
    found = read_weights_image(folder / "weights.sterna")
    packed = pack_weights_image(found.structure_id, files.weights_id(network(1)), found.regions)
    (folder / "weights.sterna").write_bytes(packed)
    _, bit, _ = on(rom)
    own = files.weights_id(network(0))[:16]
    with pytest.raises(LinkError, match=f"bitstream has the weights {own}, the build .*anew"):
        PynqBoard(bit, folder)


def test_a_result_that_never_reached_the_memory_is_no_result(rom, on, monkeypatch):
    """Of a DMA that says so, and of a cache that keeps what it had."""
    zynq, bit, module = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        equal(board.infer(pictures(3)), pictures(3))
        sync = module.memory.sync
        with monkeypatch.context() as patch:
            patch.setattr(
                module.memory, "sync", lambda b, to_device: to_device and sync(b, to_device)
            )
            with pytest.raises(LinkError, match="result of image 0 came, and it is not in the mem"):
                board.infer(pictures(3))
        equal(board.infer(pictures(3)), pictures(3))


def test_threads_take_turns(rom, on):
    _, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        failed = []

        def work(seed):
            try:
                for _ in range(3):
                    equal(board.infer(pictures(4, seed)), pictures(4, seed))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed


def test_buffers_that_the_dma_may_write_to_are_not_freed(rom, on, monkeypatch):
    zynq, bit, module = on(rom)
    board = PynqBoard(bit, rom.folder, timeout=0.2)
    zynq.stalls(0.0, 1.0)
    dma = board._dma
    reset = dma.reset

    def stuck():
        raise LinkError("the DMA does not come out of its reset")

    monkeypatch.setattr(dma, "reset", lambda: reset() if not board._transfers._images else stuck())
    with pytest.raises(LinkError, match="nothing has moved"):
        board.infer(pictures(3))
    assert zynq.active
    with pytest.raises(LinkError, match="its reset; until then its 4 buffers are kept, since"):
        board.close()
    assert len(module.memory.live) == 4 and board._transfers in transfers._KEPT
    with pytest.raises(LinkError, match="the board is closed; open it again"):
        board.infer(pictures(1))
    monkeypatch.setattr(dma, "reset", reset)
    board.close()
    board.close()
    assert module.memory.live == [] and not transfers._KEPT


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_buffers_are_made_whole_or_not_at_all(rom, on, monkeypatch, number, error):
    _, bit, module = on(rom)
    allocate, made = module.allocate, []

    def fails(**options):
        made.append(1)
        if len(made) == number:
            raise error("odd")
        return allocate(**options)

    monkeypatch.setattr(module, "allocate", fails)
    with PynqBoard(bit, rom.folder) as board:
        with pytest.raises(LinkError if error is ValueError else error):
            board.infer(pictures(2))
        assert module.memory.live == []
        equal(board.infer(pictures(2)), pictures(2))
        assert len(module.memory.live) == 4
    assert module.memory.live == []


def test_what_is_no_register_and_no_word(rom, on, monkeypatch):
    zynq, bit, _ = on(rom)
    with PynqBoard(bit, rom.folder) as board:
        for words, said in (
            (("status", 1.5), "count 1.5: give how many"),
            (("status", 0), "count 0: give how many"),
            ((None,), "None is no register"),
            ((True,), "True is no register"),
            ((1.5,), "1.5 is no register"),
        ):
            with pytest.raises(UsageError, match=said):
                board.read(*words)
        for word in ("x", 1.5, True, None, -1, 1 << 32):
            with pytest.raises(UsageError, match="does not fit a register; give a whole number"):
                board.write("control", word)
        board.write("control", np.uint32(0))
        with pytest.raises(UsageError, match="weights 5 are none; give the path"):
            board.load(5)
        monkeypatch.setattr(zynq, "read_network", lambda offset: 0xFFFFFFFF)
        for call in (board.identify, board.counters, board.reset, lambda: board.read("images")):
            with pytest.raises(LinkError, match="is no Sterna network .id 0xffffffff"):
                call()
