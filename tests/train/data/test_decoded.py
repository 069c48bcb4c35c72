"""Pictures that were decoded once: the same images, and nobody else's."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from owncase import draw, picture_folder, save_picture

from sterna.train.data import datasets, decoded, picture
from sterna.train.data.sets import DataSet, Wanted


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "_FEW", 1)
    monkeypatch.setattr(decoded, "_WORTH", -1.0)
    return picture_folder(tmp_path / "png")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each picture that is decoded."""
    names: list[str] = []
    plain = picture.read_picture

    def read(data: bytes, where: str, *more: object) -> picture.Picture:
        names.append(where)
        return plain(data, where, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(picture, "read_picture", read)
    return names


def load(root: Path, options: str = "", wanted: Wanted | None = None) -> DataSet:
    return datasets.load(f"folder:{root}{options}", None, wanted)


def test_a_folder_is_decoded_once(root: Path, count: list[str]) -> None:
    first = load(root)
    assert len(count) == 60
    again = load(root)
    assert len(count) == 60 and again.hash == first.hash and again.notes == first.notes
    again.train[0][0] = 0  # an array of its own
    shutil.move(root, root.parent / "moved")
    assert load(root.parent / "moved").hash == first.hash and len(count) == 60


def test_whatever_changes_them_is_decoded_anew(root: Path, count: list[str]) -> None:
    first = load(root)
    assert load(root, "?size=6x6").train[0].shape[2:] == (6, 6)
    assert load(root, wanted=Wanted((3, 12, 12))).train[0].shape[1] == 3
    assert len(count) == 180
    save_picture(root / "cross" / "00.png", draw(1, 77))
    assert load(root).hash != first.hash and len(count) == 240
    a, b = root / "cross" / "01.png", root / "circle" / "01.png"
    one = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(one)
    found = load(root)  # the same files under each other's names
    assert len(count) == 300
    k = found.files["train"].index("cross/01.png") if "cross/01.png" in found.files["train"] else -1
    assert k < 0 or np.array_equal(found.train[0][k, 0], draw(0, 1))


def test_what_somebody_else_put_there_is_not_taken(root: Path, count: list[str]) -> None:
    first = load(root)
    (entry,) = (root.parent / "cache" / "pictures").glob("*/images.npy")
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    assert load(root).hash == first.hash and len(count) == 120
    assert load(root).hash == first.hash and len(count) == 120


def test_no_cache_is_needed(root: Path, count: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "cache").write_text("a file where the folder belongs")
    first = load(root)
    assert load(root).hash == first.hash and len(count) == 120
    monkeypatch.setattr(decoded, "_WORTH", 1e9)  # quick: kept nowhere
    (root.parent / "cache").unlink()
    load(root)
    assert not list((root.parent / "cache").rglob("*.npy"))
