"""Data of one's own: what is read is what was written, and everything odd is one sentence."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from owncase import CLASSES, draw, picture_folder, save_picture
from PIL import Image

from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.train.data import datasets, split
from sterna.train.data.sets import PARTS, DataSet, Wanted


def load(root: Path, options: str = "", wanted: Wanted | None = None) -> DataSet:
    return datasets.load(f"folder:{root}{options}", None, wanted)


def refused(root: Path, sentence: str, options: str = "", wanted: Wanted | None = None) -> str:
    """The sentence, which is one line and names the folder."""
    with pytest.raises(SternaError, match=sentence) as found:
        load(root, options, wanted)
    text = str(found.value)
    assert str(root) in text and "\n" not in text and ";" in text
    return text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return picture_folder(tmp_path / "png")


# --- folders of pictures --------------------------------------------------------------------------


def test_a_folder_is_split_by_content_alone(root: Path, tmp_path: Path) -> None:
    found = load(root)
    assert found.classes == CLASSES
    for part, count in zip(PARTS, (14, 2, 4)):
        images, labels = found.part(part)
        assert images.shape == (3 * count, 1, 12, 12) and images.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count] * 3
        for image, label, name in zip(images, labels, found.files[part]):
            assert name.split("/")[0] == CLASSES[label]
            assert np.array_equal(image[0], draw(int(label), int(name[-6:-4])))
        assert len(set(labels[:6].tolist())) > 1  # mixed: the first few are of several classes
    # Elsewhere, under other names, at another time: the same images in the same order.
    for path in sorted(root.rglob("*.png")):
        target = tmp_path / "other" / path.parent.name / f"x{path.stem[::-1]}y.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        os.utime(target, (1, 1))
    again = load(tmp_path / "other")
    assert again.hash == found.hash and np.array_equal(again.test[0], found.test[0])
    (tmp_path / "other" / "cross").rename(tmp_path / "other" / "kreuz")
    assert load(tmp_path / "other").hash != found.hash  # a class has another name


def test_an_image_more_moves_hardly_any_other(root: Path) -> None:
    before = set(load(root).files["test"])
    save_picture(root / "cross" / "new.png", draw(1, 500))
    assert len(before - set(load(root).files["test"])) <= 1


def test_parts_of_ones_own_are_kept(root: Path, tmp_path: Path) -> None:
    for part, numbers in (("train", range(12)), ("val", range(12, 15)), ("test", range(15, 20))):
        for name in CLASSES:
            for k in numbers:
                target = tmp_path / "parts" / part / name / f"{k:02d}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name / f"{k:02d}.png", target)
    found = load(tmp_path / "parts")
    assert [len(found.part(p)[1]) for p in PARTS] == [36, 9, 15]
    assert {int(f[-6:-4]) for f in found.files["test"]} == set(range(15, 20))
    shutil.rmtree(tmp_path / "parts" / "val")
    less = load(tmp_path / "parts")
    assert [len(less.part(p)[1]) for p in PARTS] == [33, 3, 15]
    assert np.array_equal(less.test[0], found.test[0])
    (tmp_path / "parts" / "other").mkdir()
    refused(tmp_path / "parts", "part test/ beside the folder 'other'")


def test_labels_stand_in_a_file(root: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    rows = ["file,label"]
    for path in sorted(root.rglob("*.png")):
        name = f"{path.parent.name[:2]}{path.name}"
        save_picture(flat / name, np.asarray(Image.open(path)))
        rows.append(f"{name},{path.parent.name}")
    (flat / "labels.csv").write_text("\n".join(rows))
    found = load(flat)
    assert found.classes == CLASSES and np.array_equal(found.test[0], load(root).test[0])
    for line, sentence in (
        ("ci00.png,circle", "line 62: 'ci00.png' is there a second time"),
        ("gone.png,circle", "'gone.png' does not exist"),
        ("../x.png,circle", "leaves the folder"),
        ("/etc/passwd,circle", "leaves the folder"),
        ("ci00.txt,circle", "is none of .png"),
        ("ci00.png,", "has no file or no label"),
        ("a,b.png,circle", "line 62 has more fields than the first"),
        (f"{'a' * 300}.png,circle", "does not exist"),
        ('"ci', "is no CSV from line 62 on"),
    ):
        (flat / "labels.csv").write_text("\n".join([*rows, line]))
        refused(flat, sentence)
    (flat / "labels.csv").write_text("\n".join([rows[0], '"ci00.png,circle', *rows[2:]]))
    refused(flat, "is no CSV from line 2 on")
    (flat / "labels.csv").write_text("file,label,file\na.png,b,c.png")
    refused(flat, "names a column twice")
    (flat / "labels.csv").write_text("a,b\n1,2")
    refused(flat, "first line is not file,label")
    (flat / "labels.csv").write_bytes(b"file,label\n\xff,1")
    refused(flat, "is not UTF-8")


def test_what_labels_leave_out_is_told(root: Path) -> None:
    rows = [f"{p.relative_to(root)},{p.parent.name}" for p in sorted(root.rglob("*.png"))]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]))
    (root / ".hidden.png").write_bytes(b"")
    (root / "read.me").write_bytes(b"")
    assert not any("left out" in note for note in load(root).notes)
    (root / "labels.csv").write_text("\n".join(["file,label", *rows[2:], ""]))
    said = [note for note in load(root).notes if "left out" in note]
    assert len(said) == 1 and said[0].startswith("2 pictures or recordings were left out")
    assert "'circle/00.png'" in said[0]


def test_pictures_that_are_grey_or_opaque_in_other_words_are_told(root: Path) -> None:
    def change(mode: str) -> None:
        for path in root.rglob("*.png"):
            with Image.open(path) as opened:
                changed = opened.convert(mode)
            changed.save(path)

    change("RGBA")
    found = load(root)
    assert found.train[0].shape[1] == 3
    assert any("alpha channel, opaque everywhere" in note for note in found.notes)
    assert any("are grey but stored as colour" in note for note in found.notes)
    grey = load(root, wanted=Wanted((1, 12, 12)))
    assert grey.train[0].shape[1] == 1 and not any("are grey but" in n for n in grey.notes)
    change("LA")
    found = load(root)
    assert found.train[0].shape[1] == 1 and sum("alpha" in note for note in found.notes) == 1


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64])
def test_pixels_of_0_and_1_are_told(kind: type, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 2, (60, 1, 6, 6)).astype(kind)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(60) % 3)
    notes = datasets.load(str(tmp_path / "x.npz")).notes
    assert sum("multiply by 255 if 1 is white" in note for note in notes) == 1
    np.savez(tmp_path / "x.npz", images=images * np.uint8(255), labels=np.arange(60) % 3)
    assert not any("255" in note for note in datasets.load(str(tmp_path / "x.npz")).notes)


def test_options_that_there_are_not_are_refused(root: Path) -> None:
    for text in ("?sise=3x3", "?size=3x3&x=1", "?größe=3x3", "?=3"):
        with pytest.raises(
            UsageError, match="is not one of size, scale|no folder .*or the options behind"
        ):
            load(root, text)
    with pytest.raises(UsageError, match="or the options behind"):
        load(root, "?28x28")
    renamed = root.rename(root.parent / "what?")
    assert load(renamed).classes == CLASSES


def test_the_order_of_classes_is_said(root: Path) -> None:
    for old, new in zip(CLASSES, ("10", "9", "1")):
        (root / old).rename(root / new)
    assert load(root).classes == ("1", "9", "10")
    (root / "classes.txt").write_text("9\n10\n1\n\n")
    assert load(root).classes == ("9", "10", "1")
    (root / "classes.txt").write_text("9\n10\n")
    refused(root, "class '1' is not in it")


@pytest.mark.parametrize("end", ["png", "bmp", "pgm", "jpg"])
def test_every_kind_of_picture_is_read(tmp_path: Path, end: str) -> None:
    found = load(picture_folder(tmp_path / end, 4, end=end))
    assert found.train[0].shape[1:] == (1, 12, 12)
    for image, name in zip(found.test[0], found.files["test"]):
        want = draw(CLASSES.index(name.split("/")[0]), int(name[-6:-4]))
        close = np.abs(image[0].astype(int) - want).mean()
        assert close == 0 if end != "jpg" else close < 20


def test_channels_are_the_networks_and_said(root: Path) -> None:
    save_picture(root / "cross" / "00.png", np.repeat(draw(1, 0)[:, :, None], 3, 2))
    found = load(root)
    assert found.train[0].shape[1] == 3
    assert "59 of 60 pictures are greyscale, taken as colour" in found.notes
    one = load(root, "", Wanted((1, 12, 12), 2, False))
    assert one.train[0].shape[1] == 1
    assert "1 of 60 pictures were turned to greyscale" in one.notes
    refused(root, "1 or 3 channels, the network's input has 2", "", Wanted((2, 12, 12), 2, False))


def test_sizes_differ_only_where_resizing_is_asked_for(root: Path) -> None:
    save_picture(root / "square" / "07.png", draw(2, 7, 24))
    refused(root, "circle/00.png is 12x12 pixels and square/07.png 24x24; .*--size HxW")
    found = load(root, "?size=6x9")
    assert found.train[0].shape[1:] == (1, 6, 9) and "resized to 6 x 9" in " ".join(found.notes)


# --- hostile folders ------------------------------------------------------------------------------


def test_links_out_of_the_folder_are_refused(root: Path, tmp_path: Path) -> None:
    outside = save_picture(tmp_path / "secret.png", draw(0, 77))
    (root / "cross" / "link.png").symlink_to(outside)
    refused(root, "cross/link.png is a link out of the folder")
    (root / "cross" / "link.png").unlink()
    (root / "more").symlink_to(tmp_path)
    refused(root, "more is a link out of the folder")
    (root / "more").unlink()
    (root / "cross" / "inside.png").symlink_to(root / "cross" / "01.png")
    assert "1 images are there twice" in load(root).notes
    (root / "loop").symlink_to(root)
    refused(root, "loop is a link to a folder")


def test_classes_that_cannot_be_learnt_are_refused(root: Path) -> None:
    (root / "empty").mkdir()
    refused(root, "class 'empty' is empty")
    (root / "empty").rmdir()
    for name in CLASSES[1:]:
        shutil.rmtree(root / name)
    refused(root, "has one class, 'circle'")
    shutil.rmtree(root / "circle")
    refused(root, "holds no classes")
    refused(root / "gone", "there is no folder .*gone")
    save_picture(root / "x.png", draw(0, 0))
    refused(root, "x.png lies in no class")


def test_a_class_of_two_images_cannot_be_split(root: Path) -> None:
    for k in range(2, 20):
        (root / "cross" / f"{k:02d}.png").unlink()
    refused(root, r"class 'cross' has only 2 different images \(of [^)]*\); a split takes 3")


def test_the_same_image_twice_is_said_and_stays_in_one_part(root: Path) -> None:
    for k in range(20):
        shutil.copy(root / "cross" / f"{k:02d}.png", root / "cross" / f"again{k:02d}.png")
    found = load(root)
    assert "20 images are there twice" in found.notes
    own = [{split.digests(i[None])[0] for i in found.part(p)[0]} for p in PARTS]
    assert not own[0] & own[2] and not own[0] & own[1] and not own[1] & own[2]
    shutil.copy(root / "cross" / "00.png", root / "square" / "wrong.png")
    assert any(
        "are the same image in the classes 'cross' and 'square'" in n for n in load(root).notes
    )


def test_names_that_are_no_text_are_refused(root: Path) -> None:
    name = os.fsencode(root / "cross") + b"/\xff.png"
    try:
        shutil.copy(root / "cross" / "00.png", name)
    except OSError:
        pytest.skip("this file system takes no such name")
    refused(root, "is not UTF-8; rename it")


def _png(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "truncated, altered or no picture"),
        (b"GIF89a" + bytes(99), "truncated, altered or no picture"),
        (_png(60_000, 60_000, zlib.compress(bytes(9))), "has more than 16777216 pixels; cut"),
        (_png(6000, 6000, zlib.compress(bytes(9))), "has 6000 x 6000 pixels, more than"),
        (_png(4000, 4000, zlib.compress(bytes(99))), "truncated, altered or no picture"),
        (_png(12, 12, b"x"), "truncated, altered or no picture"),
        (b"P5\n99999999 99999999\n255\n", "has more than 16777216 pixels"),
        (b"BM" + bytes(50), "truncated, altered or no picture"),
    ],
)
def test_damaged_pictures_and_bombs_are_refused(root: Path, data: bytes, sentence: str) -> None:
    (root / "cross" / "05.png").write_bytes(data)
    refused(root, f"cross/05.png: .*({sentence})")


def test_no_cut_or_flipped_byte_ends_otherwise(root: Path) -> None:
    path = root / "cross" / "05.png"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[k] ^= 1 << int(rng.integers(8))
        for data in (whole[:k], bytes(flipped)):
            path.write_bytes(data)
            try:
                load(root)
            except (FileError, UsageError) as e:
                assert "\n" not in str(e)


def test_depth_transparency_and_animation_are_refused(root: Path) -> None:
    path = root / "cross" / "05.png"
    Image.fromarray(np.zeros((12, 12), np.uint16)).save(path)
    refused(root, "more than 8 bits a pixel")
    Image.fromarray(np.zeros((12, 12, 4), np.uint8)).save(path)
    refused(root, "has transparent pixels")
    solid = np.full((12, 12, 4), 255, np.uint8)
    Image.fromarray(solid).save(path)
    assert load(root).train[0].shape[1] == 3
    frames = [Image.fromarray(draw(0, k)) for k in (1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    refused(root, "is an animation")


# --- arrays ---------------------------------------------------------------------------------------


def arrays(path: Path, **given: np.ndarray) -> str:
    np.savez(path, **given)
    return str(path)


IMAGES = np.random.default_rng(0).integers(0, 256, (60, 1, 5, 7), np.uint8)
LABELS = np.arange(60) % 3


def test_arrays_are_kept_in_their_parts_or_split(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    name = arrays(
        path, x_train=IMAGES[:40], y_train=LABELS[:40], x_test=IMAGES[40:], y_test=LABELS[40:]
    )
    found = datasets.load(name)
    assert np.array_equal(found.test[0], IMAGES[40:]) and np.array_equal(found.test[1], LABELS[40:])
    assert len(found.train[1]) + len(found.validation[1]) == 40 and found.classes == ()
    rows = [int(f) for f in found.files["train"]]
    assert rows == sorted(rows) and np.array_equal(found.train[0], IMAGES[rows])
    whole = datasets.load(
        arrays(path, images=IMAGES[:, 0], labels=LABELS[:, None].astype(np.uint8))
    )
    assert [len(whole.part(p)[1]) for p in PARTS] == [42, 6, 12]
    order = np.random.default_rng(1).permutation(60)
    mixed = datasets.load(arrays(path, images=IMAGES[order], labels=LABELS[order]))
    assert mixed.hash == whole.hash


@pytest.mark.parametrize(
    ("shape", "wanted", "made"),
    [
        ((60, 3, 8, 3), (3, 8, 3), (3, 8, 3)),  # real NCHW that looks like the other
        ((60, 3, 8, 3), (3, 3, 8), (3, 3, 8)),
        ((60, 8, 9, 3), None, (3, 8, 9)),
        ((60, 3, 9, 3), None, (3, 9, 3)),
        ((60, 1, 9, 1), None, (1, 9, 1)),
        ((60, 3, 3, 3), (3, 3, 3), (3, 3, 3)),
        ((60, 16, 8, 1), (16, 8, 1), (16, 8, 1)),
        ((60, 16, 8, 1), (1, 16, 8), (1, 16, 8)),
    ],
)
def test_the_order_of_axes_is_the_networks(tmp_path, shape, wanted, made) -> None:
    given = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    name = arrays(tmp_path / "a.npz", images=given, labels=LABELS)
    found = datasets.load(name, None, Wanted(wanted, 1, False) if wanted else None)
    assert found.train[0].shape[1:] == made
    row = int(found.files["test"][0])
    same = given[row] if made == shape[1:] else given[row].transpose(2, 0, 1)
    assert np.array_equal(found.test[0][0], same)
    assert ("images were taken as [N,H,W,C]" in found.notes) == (made != shape[1:])


def test_real_numbers_need_a_stated_scale(tmp_path: Path) -> None:
    name = arrays(tmp_path / "a.npz", images=(IMAGES / 255).astype(np.float32), labels=LABELS)
    with pytest.raises(UsageError, match=r"float32 is not an integer type; .*\?scale=255"):
        datasets.load(name)
    found = datasets.load(f"{name}?scale=255")
    assert (
        found.hash == datasets.load(arrays(tmp_path / "b.npz", images=IMAGES, labels=LABELS)).hash
    )
    with pytest.raises(UsageError, match="value 510 is outside 0 .. 255"):
        datasets.load(f"{name}?scale=510")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"images": IMAGES}, "has no labels; add it"),
        ({"x_train": IMAGES, "y": LABELS}, "holds 'y', where x_train"),
        ({"images": IMAGES, "labels": LABELS - 1}, "label -1 is outside 0 .. 65534"),
        ({"images": IMAGES, "labels": LABELS * 2}, "class '1' has no images"),
        ({"images": IMAGES, "labels": LABELS * 0}, "has one class, '0'"),
        (
            {"images": np.zeros((4, 60, 1, 3, 3), np.uint8), "labels": LABELS},
            r"labels: are 60, .* transpose: frames are \[N,T,C,H,W\] here",
        ),
        ({"images": IMAGES, "labels": LABELS[:50]}, "is not one whole number for each of 60"),
        ({"images": IMAGES, "labels": np.eye(3)[LABELS]}, r"give the class's number, argmax\(1\)"),
        ({"images": IMAGES, "labels": LABELS / 2}, "is not one whole number"),
        ({"images": IMAGES.astype(int) - 9, "labels": LABELS}, "value -9 is outside 0 .. 255"),
        ({"images": IMAGES.astype(int) * 9, "labels": LABELS}, "value 2295 is outside 0 .. 255"),
        ({"images": IMAGES[:, 0, 0], "labels": LABELS}, "is none of images"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "is none of images"),
        ({"images": np.array([{}, {}], object), "labels": LABELS}, "its type is"),
        ({"images": IMAGES * np.nan, "labels": LABELS}, "holds NaN or infinity"),
    ],
)
def test_arrays_that_cannot_be_are_refused(tmp_path: Path, given, sentence: str) -> None:
    with pytest.raises(SternaError, match=sentence) as found:
        datasets.load(arrays(tmp_path / "a.npz", **given))
    assert str(tmp_path / "a.npz") in str(found.value) and "\n" not in str(found.value)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    whole = Path(arrays(path, images=IMAGES, labels=LABELS)).read_bytes()
    huge = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31)
    for data in (b"", b"PK", whole[: len(whole) // 2], huge):
        path.write_bytes(data)
        with pytest.raises(FileError, match="truncated or no .npz file"):
            datasets.load(str(path))
    with pytest.raises(UsageError, match="there is no file"):
        datasets.load(str(tmp_path / "b.npz"))
    with pytest.raises(UsageError, match="takes no size"):
        datasets.load(f"{path}?size=3x3")
