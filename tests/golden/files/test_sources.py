"""Names of data sets: what they say, and that their paths stay true where a recipe is copied."""

import os
from pathlib import Path

import pytest

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import parse_toml
from sterna.golden.files.sources import (
    Source,
    data_of_folder,
    moved,
    read_source,
    rebased,
    recipe_source,
    with_data,
)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("digits", Source("named", "digits")),
        ("folder:png", Source("folder", "png")),
        ("folder:a b/c?d", Source("folder", "a b/c?d")),
        ("folder:png?size=3x40", Source("folder", "png", (3, 40))),
        ("x/mine.npz?scale=255", Source("npz", "x/mine.npz", scale=255.0)),
        ("tonic:NMNIST?steps=8&size=34x34", Source("tonic", "NMNIST", (34, 34), steps=8)),
    ],
)
def test_a_name_says_its_parts_and_is_written_back(text: str, source: Source) -> None:
    assert read_source(text) == source
    assert read_source(str(source)) == source


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no data set; give a name, or your own as 'folder:PATH'"),
        ("a\0b", "is no data set"),
        ("folder:\udcff", "is no data set"),
        (7, "7 is no data set"),
        ("folder:", "names nothing behind the colon"),
        ("digits?size=3x3", "has options, which are for data of one's own"),
        ("folder:a?size=0x3", "size '0x3' is not HEIGHTxWIDTH"),
        ("folder:a?size=3", "size '3' is not HEIGHTxWIDTH"),
        ("folder:a?size=99999x1", "size '99999x1' is not HEIGHTxWIDTH"),
        ("a.npz?scale=0", "scale '0' is not a number above 0"),
        ("a.npz?scale=nan", "scale 'nan' is not a number above 0"),
        ("folder:a?steps=0", "steps '0' is not a number from 1 to 1024"),
        ("folder:a?size=3x3&size=3x3", "option size is there twice"),
    ],
)
def test_what_is_no_name_is_refused(text: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?")):
        read_source(text)


def test_a_path_leads_to_the_same_place_from_another_folder(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "b", tmp_path / "c"
    for name in ("folder:png?size=2x2", "folder:../x", "mine.npz"):
        there = read_source(moved(name, old, new)).path(new)
        assert os.path.normpath(there) == os.path.normpath(read_source(name).path(old))
        assert moved(moved(name, old, new), new, old) == name
    (tmp_path / "c").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "c")  # and through links, or where nothing is yet
    for folder in (tmp_path / "d", tmp_path / "no" / "such"):
        there = read_source(moved("folder:png", old, folder)).path(folder)
        assert there == (old / "png").resolve()
    for name in ("digits", "folder:/abs/x", "tonic:NMNIST", "folder:"):
        assert moved(name, old, new) == name


def test_a_recipe_says_size_and_scale_by_keys_too() -> None:
    assert recipe_source({"data": "folder:a", "size": "3x4"}, "r") == "folder:a?size=3x4"
    assert recipe_source({"data": "folder:a?size=1x1", "size": "3x4"}, "r") == "folder:a?size=1x1"
    assert recipe_source({"data": "a.npz", "scale": 255}, "r") == "a.npz?scale=255"
    assert recipe_source({"data": "digits"}, "r") == "digits"
    with pytest.raises(UsageError, match="size and scale are for data of one's own"):
        recipe_source({"data": "digits", "size": "3x4"}, "r")
    with pytest.raises(FileError, match="data 3 is not a text"):
        recipe_source({"data": 3}, "r")


RECIPE = """# data = "no"
name = "x"  # data = "no"
data = 'folder:png' # mine
[network]
data = "no"
"""


def test_another_data_set_leaves_all_else_as_it_was() -> None:
    found = with_data(RECIPE, 'folder:a"b')
    assert found == RECIPE.replace("'folder:png'", r'"folder:a\"b"')
    assert parse_toml(found.encode(), "r")["data"] == 'folder:a"b'
    for odd in ('"data" = "x"\n', 'data = """x"""\n', '[network]\ndata = "x"\n'):
        with pytest.raises(UsageError, match="data is not on a line of its own"):
            with_data(odd, "y")


def test_a_copied_recipe_leads_to_its_data(tmp_path: Path, monkeypatch) -> None:
    old, new = tmp_path / "a", tmp_path / "b" / "c"
    old.mkdir()
    new.mkdir(parents=True)
    (new / "recipe.toml").write_bytes(rebased(RECIPE.encode(), old, new))
    monkeypatch.chdir(tmp_path)
    assert data_of_folder(new) == "folder:a/png"
    assert data_of_folder(old) is None
    for other in (b'data = "digits"', b"\xff", b"data = 3", b'data = "folder:/x"'):
        assert rebased(other, old, new) == other
