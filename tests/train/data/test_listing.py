"""What a folder of one's own holds in the place of its files of names."""

import os
from pathlib import Path
from typing import Any

import pytest
from owncase import picture_folder

from sterna.golden.errors import SternaError
from sterna.train.data import datasets


@pytest.mark.parametrize("name", ["labels.csv", "classes.txt"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (os.mkfifo, "it is a pipe, not a file"),
        (os.mkdir, "it is a folder, not a file|is empty"),
        (lambda path: os.symlink("nowhere", path), "does not exist"),
        (lambda path: os.symlink("/dev/zero", path), "is a link out of the folder"),
        (lambda path: Path(path).touch(), "its first line is not file,label|is not in it; add it"),
    ],
    ids=["pipe", "folder", "broken link", "device", "empty"],
)
def test_what_stands_where_names_are_read_is_no_data(
    tmp_path: Path, name: str, make: Any, sentence: str
) -> None:
    root = picture_folder(tmp_path / "png")
    make(root / name)
    with pytest.raises(SternaError, match=f"{name}.*({sentence})") as found:
        datasets.load(f"folder:{root}", None, None)
    assert "\n" not in str(found.value) and ";" in str(found.value)
