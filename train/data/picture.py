"""Pictures in files (PNG, JPEG, BMP, PGM and PPM) as uint8 arrays, by Pillow.

Greyscale or colour is the network's choice: for one channel colours become luma (ITU-R 601, as
Pillow's "L"), for three a grey value stands in all of them. Of another size only where asked,
bilinear with Pillow's antialiasing, sides independent of each other. EXIF is not looked at.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.disk import hash_file, read_bytes, sha256
from sterna.golden.words.packages import packages
from sterna.train.data.decoded import kept_or_decoded
from sterna.train.data.sets import Wanted

__all__ = ["MOST_BYTES", "SUFFIXES", "read_picture", "read_pictures"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "PPM")
MOST_BYTES = 1 << 33
"""Of a data set in memory."""
_FILE = 1 << 26
_MOST_PIXELS = 1 << 24  # a stream of the hardware has no more: 4096 x 4096
_DEEP = ("I", "F")  # and I;16 and its kind


class Picture(NamedTuple):
    """uint8 [C,H,W]; whether it was stored as greyscale; whether it had an alpha channel."""

    pixels: np.ndarray
    grey: bool
    alpha: bool


def read_picture(
    data: bytes, where: str, channels: int | None, size: tuple[int, int] | None
) -> Picture:
    """The picture of some bytes. channels: 1, 3 or None, which keeps what it has; size: (H, W) to
    resize to. FileError where it is damaged, too large, deep or transparent."""
    with packages():
        from PIL import Image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused below
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                _check_head(opened, where)
                opened.load()
                alpha = _has_alpha(opened)
                image = _flat(opened, where)
                grey = image.mode == "L"
                if channels is not None:
                    image = image.convert("L" if channels == 1 else "RGB")
                if size is not None and image.size != size[::-1]:
                    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
                pixels = np.array(image, np.uint8)
    except (FileError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise FileError(
            f"{where}: has more than {_MOST_PIXELS} pixels; cut it or make it smaller"
        ) from None
    except Exception as e:  # decoders of damaged files raise what they like
        text = " ".join(str(e).split())[:120] or type(e).__name__
        cause = "" if "cannot identify" in text else f" ({text})"  # of an object in memory
        raise FileError(
            f"{where}: truncated, altered or no picture of {', '.join(FORMATS)}{cause}; copy it "
            "again, or take it out"
        ) from None
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return Picture(np.ascontiguousarray(planes), grey, alpha)


def _check_head(image: Any, where: str) -> None:
    """What can be refused before a pixel is decoded."""
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise FileError(
            f"{where}: has {width} x {height} pixels, more than {_MOST_PIXELS}; cut it or make it "
            "smaller"
        )
    if image.mode in _DEEP or image.mode.startswith("I;"):
        raise FileError(f"{where}: has more than 8 bits a pixel; convert it to 8")
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise FileError(f"{where}: is an animation; give a picture for each frame")


def _has_alpha(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _flat(image: Any, where: str) -> Any:
    """A picture of mode L or RGB, without transparency."""
    if _has_alpha(image):
        if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            raise FileError(f"{where}: has transparent pixels; flatten it onto a background")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image.convert("RGB")


def read_pictures(
    files: Sequence[tuple[str, Path]], where: str, wanted: Wanted, size: tuple[int, int] | None
) -> tuple[np.ndarray, list[str]]:
    """(uint8 [N,C,H,W], notes) of pictures, each (name, path). UsageError where their sizes differ
    and none is asked for, or the network has neither one channel nor three."""
    channels = wanted.channels
    if channels not in (None, 1, 3):
        raise UsageError(
            f"{where}: pictures have 1 or 3 channels, the network's input has {channels}; give "
            "arrays in a .npz"
        )
    with packages():
        import PIL.features
    hashes = [hash_file(path) for _, path in files]
    decoders = (PIL.__version__, PIL.features.version("jpg"))
    return kept_or_decoded(
        hashes,
        (channels, size, *decoders),
        lambda read: _decoded(files, where, channels, size, read),
    )


def _decoded(
    files: Sequence[tuple[str, Path]],
    where: str,
    channels: int | None,
    size: tuple[int, int] | None,
    read: list[str],
) -> tuple[np.ndarray, list[str]]:
    """As `read_pictures`; the hashes of the files' bytes go into ``read``."""
    found: list[np.ndarray] = []
    total = grey = opaque = 0
    for name, path in files:
        data = read_bytes(path, _FILE, "copy it again, or take it out")
        read.append(sha256(data))
        picture, was_grey, had_alpha = read_picture(data, f"{where}: {name}", channels, size)
        grey += was_grey
        opaque += had_alpha
        if size is None and found and picture.shape[1:] != found[0].shape[1:]:
            a, b = ("x".join(map(str, p.shape[1:])) for p in (found[0], picture))
            raise UsageError(
                f"{where}: {files[0][0]} is {a} pixels and {name} {b}; ask for resizing with "
                f'--size HxW, or size = "{a}" in the recipe'
            )
        total += picture.size
        if total > MOST_BYTES:
            raise UsageError(f"{where}: has more than {MOST_BYTES} bytes of pixels; give fewer")
        found.append(picture)
    notes = []
    if channels is None and 0 < grey < len(found):
        found = [p if len(p) == 3 else np.repeat(p, 3, 0) for p in found]
    made = 1 if channels == 1 or (channels is None and grey == len(found)) else 3
    of = f"of {len(found)} pictures"
    if made == 1 and grey < len(found):
        notes.append(f"{len(found) - grey} {of} were turned to greyscale")
    if made == 3 and grey:
        notes.append(f"{grey} {of} are greyscale, taken as colour")
    elif made == 3 and all((p == p[:1]).all() for p in found):
        notes.append(
            f"all {len(found)} pictures are grey but stored as colour, and taken as three channels "
            "of the same; store them as greyscale for one"
        )
    if opaque:
        notes.append(f"{opaque} {of} have an alpha channel, opaque everywhere; it was dropped")
    if size is not None:
        notes.append(f"pictures were resized to {size[0]} x {size[1]}")
    return np.stack(found), notes
