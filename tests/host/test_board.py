"""Board: load, infer and the rest against a fake board in the process."""

import random

import numpy as np
import pytest
from fakeboard import FakeBoard, FakeNetwork, result_of
from lines import Direct

from sterna.golden.coding import image_bits
from sterna.golden.device.link import LinkError
from sterna.golden.device.weights_image import (
    pack_weights_image,
    parse_weights_image,
    read_weights_image,
)
from sterna.golden.errors import FileError, NetworkError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.host.board import Board

SHAPE = (2, 5, 3)
REGIONS = (37, 500, 3)
ROM = np.arange(9, dtype=np.uint32)


def network(coding: str = "direct", steps: int = 2) -> Network:
    rng = np.random.default_rng(0)
    return Network(
        steps,
        [
            Input("x", SHAPE, coding),
            Linear("f", "x", rng.integers(-1, 2, (4, 30))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(4, int), reset="none")),
        ],
        name="small",
    )


OWN = files.weights_id(network())


@pytest.fixture
def build(tmp_path):
    net = network()
    files.save(net, tmp_path)
    (tmp_path / "design.json").write_text("a design")
    structure = files.structure_id(net, "a design")
    (tmp_path / "weights.sterna").write_bytes(weights(structure))
    return tmp_path


def structure_of(build) -> str:
    return files.structure_id(files.load(build), "a design")


def weights(structure: str, seed: int = 1, rom: np.ndarray = ROM, regions=REGIONS) -> bytes:
    rng = np.random.default_rng(seed)
    found = {k: rng.integers(0, 2**32, n, np.uint32) for k, n in enumerate(regions)}
    found[len(regions)] = rom
    return pack_weights_image(structure, OWN if seed == 1 else f"{seed:x}" * 64, found)


def fake(build, **options) -> FakeBoard:
    structure = int(structure_of(build)[:16], 16)
    options = {"regions": REGIONS, "classes": 4, "rom": ROM.tobytes()} | options
    return FakeBoard(FakeNetwork(structure, **options), image_bytes=32, image_time=0.0001)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def right(given: np.ndarray, board: FakeBoard) -> np.ndarray:
    rows = given.transpose(0, 2, 3, 1).reshape(len(given), -1)
    words = [result_of(row.tobytes() + bytes(2), 4, board.network.weights) for row in rows]
    return np.array(words, np.uint32)[:, 1:].view(np.int32)


def test_load_and_infer(build) -> None:
    board = fake(build)
    with Board(Direct(board), build=build) as b:
        info = b.identify()
        assert info.weights_id is None and info.regions == 3 and info.structure_id in repr(info)
        with pytest.raises(LinkError, match="load the weights again"):
            b.infer(images(1))
        assert board.network.words["images"] == 0  # not even begun
        assert b.load() == OWN
        image = read_weights_image(build / "weights.sterna")
        assert board.network.memories == [image.regions[k].tolist() for k in range(3)]
        assert b.identify().weights_id == OWN[:16] and not board.network.held
        given = images(200)
        result = b.infer(given)
        assert (result.logits == right(given, board)).all() and result.spikes == {}
        assert (result.classes == result.logits.argmax(1)).all()
        # Another set of the same structure, from bytes.
        assert b.load(weights(structure_of(build), 2)) == "2" * 64
        assert (b.infer(given).logits == right(given, board)).all()
        assert not (b.infer(given).logits == result.logits).all()


def test_another_build_is_used_only_where_it_is_of_the_board(build, tmp_path) -> None:
    board = fake(build, weights=5)
    other = FakeBoard(FakeNetwork(0x1234, classes=4, weights=5), image_bytes=32)
    with Board(Direct(board)) as b:
        b.use(build)
        assert (b.infer(images(3)).logits == right(images(3), board)).all()
    with Board(Direct(other), shape=(2, 4, 4)) as b:
        given = np.ones((3, 2, 4, 4), np.uint8)
        before = b.infer(given)
        with pytest.raises(LinkError, match="another design"):
            b.use(build)
        assert (b.infer(given).logits == before.logits).all()  # its images are as they were


def test_shape_instead_of_a_build(build) -> None:
    board = fake(build, weights=5)
    with Board(Direct(board), shape=SHAPE) as b:
        assert (b.infer(images(3)).logits == right(images(3), board)).all()
        with pytest.raises(UsageError, match=r"shape \(3, 1, 5, 3\) is not"):
            b.infer(np.zeros((3, 1, 5, 3), np.uint8))
        with pytest.raises(UsageError, match="give the path"):
            b.load()
    with Board(Direct(board), shape=(2, 5, 4)) as b:
        with pytest.raises(UsageError, match="has 40 bytes, the board takes 32"):
            b.infer(np.zeros((3, 2, 5, 4), np.uint8))
    with Board(Direct(board)) as b:
        with pytest.raises(UsageError, match="build or shape"):
            b.infer(images(1))
        with pytest.raises(UsageError, match="33 bytes are no images of 32"):
            b.infer_bytes(bytes(33))
        given = image_bits(Input("x", SHAPE), images(1), 1)
        packed = given.tobytes() + bytes(2)
        assert (b.infer_bytes(packed).logits == right(images(1), board)).all()


def test_frames_are_packed_as_golden_does(tmp_path) -> None:
    net = network("frames", steps=3)
    files.save(net, tmp_path)
    own = int(files.weights_id(net)[:16], 16)
    board = FakeBoard(FakeNetwork(classes=4, weights=own), image_bytes=12)
    given = np.random.default_rng(1).integers(0, 2, (3, 5, *SHAPE)).astype(np.uint8)
    with Board(Direct(board), build=tmp_path) as b:
        result = b.infer(given)
        with pytest.raises(NetworkError, match="outside 0 .. 1"):
            b.infer(given + 1)
    rows = image_bits(net.input, given, 3)
    assert rows.shape == (5, 12)
    found = [result_of(row.tobytes(), 4, own)[1:] for row in rows]
    assert (result.logits.view(np.uint32) == np.array(found, np.uint32)).all()


@pytest.mark.parametrize("board_has", [0, 1])
def test_weights_with_the_id_of_before_are_loaded_where_the_structure_is_the_same(
    build, board_has
) -> None:
    design = '{"clock": 1, "latency": 7}'
    (build / "design.json").write_text(design)
    ids = files.structure_ids(files.load(build), design)
    assert len(set(ids)) == 2
    structure = int(ids[board_has][:16], 16)
    network = FakeNetwork(structure, regions=REGIONS, classes=4, rom=ROM.tobytes())
    board = FakeBoard(network, image_bytes=32, image_time=0.0001)
    path = build / "weights.sterna"
    path.write_bytes(weights(ids[1 - board_has]))
    with Board(Direct(board), build=build) as b:
        assert b.load() == OWN
        assert b.load(path.read_bytes()) == OWN
    with Board(Direct(board)) as b:
        assert b.load(path) == OWN  # the build lies beside it
        with pytest.raises(FileError, match="the weights are for structure"):
            b.load(path.read_bytes())  # nobody knows that it is the same
    path.write_bytes(weights("ab" * 32))
    with Board(Direct(board), build=build) as b, pytest.raises(FileError, match="another design"):
        b.load()


def test_another_structure_is_refused(build) -> None:
    board = fake(build)
    other = "ab" * 32
    with Board(Direct(board), build=build) as b:
        with pytest.raises(FileError, match=f"structure {other[:16]}.*{structure_of(build)[:16]}"):
            b.load(weights(other))
    assert not board.network.held and set(board.network.memories[0]) == {0xDEADBEEF}
    board = FakeBoard(FakeNetwork(0x1234, classes=4), image_bytes=32)
    line = Direct(board)
    with pytest.raises(LinkError, match=r"another design \(structure 0000000000001234\)"):
        Board(line, build=build)
    assert line.closed


def test_fixed_contents_must_be_those_of_the_bitstream(build) -> None:
    board = fake(build)
    with Board(Direct(board), build=build) as b:
        with pytest.raises(FileError, match="some of these weights are built into.*sterna patch"):
            b.load(weights(structure_of(build), rom=ROM + 1))
    assert not board.network.held and set(board.network.memories[0]) == {0xDEADBEEF}


def test_a_rom_design_takes_only_its_own_weights(build) -> None:
    structure = structure_of(build)
    own, other = weights(structure, regions=()), weights(structure, rom=ROM + 1, regions=())
    (build / "weights.sterna").write_bytes(own)
    board = fake(build, regions=(), weights=int(OWN[:16], 16))
    with Board(Direct(board), build=build) as b:
        assert b.load(own) == OWN
        with pytest.raises(FileError, match="weights of this design are built into.*sterna patch"):
            b.load(other)


def test_a_rom_design_with_the_weights_of_another_build_is_refused(build) -> None:
    """Its results would not be those of the build's network, without a word."""
    (build / "weights.sterna").write_bytes(weights(structure_of(build), regions=()))
    others = fake(build, regions=(), weights=0xABC)
    with Board(Direct(others)) as b, pytest.raises(LinkError, match="has the weights 0.*abc, the"):
        b.use(build)
    with pytest.raises(LinkError, match=f"the build {OWN[:16]}; program .*sterna patch"):
        Board(Direct(others), build=build)
    damaged = fake(build, regions=(), weights=int(OWN[:16], 16), rom=b"other")
    with pytest.raises(LinkError, match="another rom_crc than the build's weights.sterna"):
        Board(Direct(damaged), build=build)


def test_a_missing_region_and_a_damaged_file_are_refused(build) -> None:
    structure = structure_of(build)
    rng = np.random.default_rng(0)
    regions = {k: rng.integers(0, 9, 5).astype(np.uint32) for k in (0, 2)} | {3: ROM}
    data = pack_weights_image(structure, "1" * 64, regions)
    board = fake(build)
    with Board(Direct(board), build=build) as b:
        with pytest.raises(FileError, match="no region 1"):
            b.load(data)
        with pytest.raises(FileError, match="truncated"):
            b.load(data[:-1])
        with pytest.raises(FileError, match="does not exist"):
            b.load(build / "nothing")


def test_a_memory_that_reads_back_wrong_is_refused(build) -> None:
    board = fake(build)
    write = board.network.write

    def weak(address: int, value: int) -> bool:
        done = write(address, value)
        if address == 0x44 and board.network.at == 1 << 24 | 400:
            board.network.memories[1][399] ^= 1 << 7  # a bit that does not stay
        return done

    board.network.write = weak
    with Board(Direct(board), build=build) as b:
        with pytest.raises(LinkError, match="region 1 reads back with CRC"):
            b.load()
        assert b.identify().weights_id is None and b.identify().held
        with pytest.raises(LinkError, match="load the weights again"):
            b.infer(images(1))


def test_a_cut_at_any_place_leaves_no_half_loaded_weights(build) -> None:
    """The line goes dead after a random number of bytes of a second load."""
    rng = random.Random(1)
    structure, given = structure_of(build), images(5)
    old, new = weights(structure, 2), weights(structure, 3)
    outcomes = set()
    for total in [*range(0, 3400, 170), *[rng.randrange(3400) for _ in range(10)]]:
        board = fake(build)
        with Board(Direct(board), build=build) as b:
            b.load(old)
        left = [total + 200]

        def cut(data: bytes, left=left) -> bytes:
            data = data[: left[0]]
            left[0] -= len(data)
            return data

        with pytest.raises(LinkError, match="silent|no answer"):
            with Board(Direct(board, up=cut), build=build, timeout=0.3) as b:
                b.load(new)
                while True:  # all was loaded: use up the rest of the bytes
                    b.read("id")
        with Board(Direct(board), build=build) as b:
            state = b.identify().weights_id
            outcomes.add(state)
            if state is None:
                with pytest.raises(LinkError, match="load the weights again"):
                    b.infer(given)
            else:
                held = parse_weights_image(old if state[0] == "2" else new).regions
                assert board.network.memories == [held[k].tolist() for k in range(3)]
                assert (b.infer(given).logits == right(given, board)).all()
            b.load(new)
            assert (b.infer(given).logits == right(given, board)).all()
    assert outcomes == {None, "2" * 16, "3" * 16}


def test_results_of_nobodys_weights_are_refused(build, monkeypatch) -> None:
    """Though weights_id was right when asked: another host wrote in between, say."""
    board = fake(build, weights=5)
    with Board(Direct(board), build=build) as b:
        monkeypatch.setattr("sterna.host.board.ready", lambda link: None)
        board.network.words["weights_id_lo"] = 0
        with pytest.raises(LinkError, match="image 0 was computed without complete weights"):
            b.infer(images(2))


def test_flags_and_wrong_classes_are_refused(build) -> None:
    board = fake(build, weights=5)
    compute = board.network.compute
    with Board(Direct(board), build=build) as b:
        board.network.compute = lambda i, w: [compute(i, w)[0] | 1 << 16, *compute(i, w)[1:]]
        with pytest.raises(LinkError, match="image 0 came back with flags 0x1"):
            b.infer(images(2))
        board.network.compute = lambda i, w: [(compute(i, w)[0] + 1) % 4, *compute(i, w)[1:]]
        with pytest.raises(LinkError, match="image 0 has class"):
            b.infer(images(2))


def test_counters_and_repeat(build) -> None:
    board = fake(build, weights=5, cores=20)
    with Board(Direct(board), build=build, timeout=0.5) as b:
        with pytest.raises(LinkError, match="compute an image first"):
            b.repeat(10)
        assert board.network.words["repeat"] == 0 and not board.state
        b.infer(images(7))
        found = b.counters(clear=True)
        assert (found.images, found.total_clocks, found.image_clocks) == (7, 700, 100)
        assert found.stalls == {f"core{k}": 7 + 0x100 + 4 * k for k in range(20)}
        assert b.counters().images == 0
        assert b.repeat(1000) == 100_000
        assert (b.infer(images(3)).logits == right(images(3), board)).all()
        board.network.last_image = None
        write = board.network.write
        board.network.write = lambda a, v: True if a == 0x24 else write(a, v)
        with pytest.raises(LinkError, match="0 of 5 repetitions"):
            b.repeat(5)
        with pytest.raises(UsageError, match="0 repetitions"):
            b.repeat(0)


def test_registers_by_name_and_refusals(build) -> None:
    board = fake(build, weights=5)
    with Board(Direct(board), build=build) as b:
        assert b.read("weights_id_lo") == (5,)
        with pytest.raises(LinkError, match=r"refused writing register 0x00 \(SLVERR\)"):
            b.write("id", 1)
        b.write("weights_id_lo", 6)  # the fault is forgotten
        assert b.read(0x10, 2) == (6, 0)
        with pytest.raises(LinkError, match=r"refused reading register 0x50 \(SLVERR\)"):
            b.read(0x50)
        with pytest.raises(UsageError, match="no register 'nothing'; use one of id, version"):
            b.read("nothing")
        with pytest.raises(UsageError, match="multiples of 4"):
            b.read(0x11)


def test_reset_and_a_held_network(build) -> None:
    board = fake(build, weights=5)
    with Board(Direct(board), build=build) as b:
        b.write("control", 2)
        b.reset()
        assert not board.network.held
        b.write("control", 2)
        assert (b.infer(images(3)).logits == right(images(3), board)).all()


def test_after_an_interruption_the_next_call_connects_anew(build) -> None:
    board = fake(build, weights=5)
    line = Direct(board)
    with Board(line, build=build) as b:
        session, calls = board.session, []

        def interrupt() -> None:
            calls.append(1)
            if len(calls) == 20:
                raise KeyboardInterrupt

        line.at_read = interrupt
        with pytest.raises(KeyboardInterrupt):
            b.infer(images(3000))
        line.at_read = lambda: None
        assert (b.infer(images(3)).logits == right(images(3), board)).all()
        assert board.session != session
        # And after a failure of the link, as soon as it works again.
        line.up = lambda data: b""
        b._link.timeout = 0.2
        with pytest.raises(LinkError):
            b.reset()
        line.up = bytes
        assert (b.infer(images(3)).logits == right(images(3), board)).all()


def test_what_is_no_sterna_network_is_refused() -> None:
    board = FakeBoard()
    board.network.words["id"] = 7
    with pytest.raises(LinkError, match="no Sterna network"):
        Board(Direct(board))
    board.network.words |= {"id": int.from_bytes(b"STRN", "little"), "version": 0x20000}
    with pytest.raises(LinkError, match="version 2.0, this Sterna knows 1.2"):
        Board(Direct(board))
