"""Paths that make and compilers' flags can carry."""

import tempfile
from pathlib import Path

import pytest

from sterna.gen.tools.cache import Cache
from sterna.gen.tools.plain_paths import plain_paths
from sterna.gen.tools.programs import ToolFailed
from sterna.sim.cocotb_runner import build_bench

WIRE = "module wire_ (input a, output b);\nassign b = a;\nendmodule\n"


@pytest.mark.parametrize("name", ["a b", "a'b", "a$b", "a#b", "a:b", "ä", "a(b", "a\tb"])
def test_others_are_linked_and_links_go(tmp_path: Path, name: str) -> None:
    odd = tmp_path / name
    odd.mkdir()
    (odd / "x").write_text("here")
    with plain_paths() as plain:
        link = plain(odd)
        assert str(link).isascii() and not set(str(link)) & set(" '$#:(\t")
        assert (link / "x").read_text() == "here" and plain(str(odd)) == link
    assert not link.is_symlink() and (odd / "x").exists()


def test_plain_ones_stay() -> None:
    with plain_paths() as plain:
        assert plain("/usr/lib/x-1.2_3+4/y.so") == Path("/usr/lib/x-1.2_3+4/y.so")


def test_a_temporary_folder_that_is_no_word_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with pytest.raises(ToolFailed, match="set TMPDIR to a folder without"), plain_paths():
        pass


def test_a_bench_builds_in_a_cache_with_a_space(tmp_path: Path) -> None:
    found = build_bench(WIRE, "wire_", store=Cache(tmp_path / "my cache"))
    assert (found / "wire_").stat().st_mode & 0o100
