"""N-MNIST: MNIST seen by an event camera (Orchard et al., 2015), as T frames of events.

A recording is 34 x 34 pixels, about 300 ms, 5 bytes an event (`events.read_bin`).
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sterna.golden.errors import FileError
from sterna.golden.files.disk import read_bytes, write_atomic
from sterna.train.data.events import Binning, read_bin, to_frames
from sterna.train.data.fetch import check_md5, fetch

__all__ = ["SIDE", "read_nmnist"]

SIDE = 34
_RECORDING = 1 << 24  # bytes of one; they have some 20,000
HELD_OUT = 10  # the last of so many train recordings of a class are for validation
_SITE = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_ARCHIVES = {  # file on that site, published MD5
    "Train": ("39c25547-014b-4137-a934-9d29fa53c7a0", "20959b8e626244a1b502305a9e6e2031"),
    "Test": ("05a4d654-7e03-4c15-bdfa-9bb2bcbea494", "69ca8762b2fe404d9b9bad1103e97832"),
}
_LARGEST = {"Train": 2 << 30, "Test": 1 << 29}  # bounds of their bytes

Part = tuple[np.ndarray, np.ndarray]


def read_nmnist(
    folders: Iterable[Path], cache: Path, steps: int, bits: int = 1
) -> tuple[Part, Part, Part]:
    """(train, validation, test), each (frames uint8 [T,B,2,34,34] of ``bits``, labels int64
    [B]).

    Recordings come in the order of their numbers, which are those of MNIST's images; of each
    class's train recordings the last tenth is for validation. The first of ``folders`` that has
    Train/ and Test/ or Train.zip and Test.zip is read, else both archives are downloaded into
    ``cache``. FileError where that fails or a recording is damaged.
    """
    for folder in folders:
        if all((folder / p).is_dir() or (folder / f"{p}.zip").is_file() for p in _ARCHIVES):
            break
    else:
        folder = cache
        for part in _ARCHIVES:
            _download(cache / f"{part}.zip", part)
    how = Binning((2, SIDE, SIDE), steps, bits)
    train, test = (_read_part(folder, part, how) for part in _ARCHIVES)
    labels = train[1]
    held = np.zeros(len(labels), bool)
    for digit in range(10):
        own = np.flatnonzero(labels == digit)
        held[own[len(own) - len(own) // HELD_OUT :]] = True
    fit, validation = ((train[0][:, k], labels[k]) for k in (~held, held))
    return fit, validation, test


def _read_part(folder: Path, part: str, how: Binning) -> Part:
    found = list(_recordings(folder, part))
    if not found:
        raise FileError(f"{folder / part}: holds no recordings <digit>/NNNNN.bin; copy it again")
    found.sort(key=lambda r: r[0])
    frames = np.empty((how.steps, len(found), *how.shape), np.uint8)
    for k, (_, _, data, where) in enumerate(found):
        frames[:, k] = to_frames(read_bin(data, where, SIDE, SIDE), how)
    return frames, np.array([digit for _, digit, _, _ in found], np.int64)


def _recordings(folder: Path, part: str) -> Iterator[tuple[str, int, bytes, str]]:
    """(file name, digit, bytes, where) of each recording of a part, in no order."""
    if (folder / part).is_dir():
        for digit in range(10):
            paths = list((folder / part / str(digit)).glob("*.bin"))
            if not paths:  # else a network would quietly learn nine digits
                raise FileError(
                    f"{folder / part / str(digit)}: holds no recordings NNNNN.bin; copy it again"
                )
            for path in paths:
                yield path.name, digit, read_bytes(path, _RECORDING, "copy it again"), str(path)
        return
    path = folder / f"{part}.zip"
    data = read_bytes(path, _LARGEST[part], "copy it again")
    check_md5(path, data, _ARCHIVES[part][1])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            digit, file = Path(name).parent.name, Path(name).name
            if file.endswith(".bin") and len(digit) == 1 and digit.isdecimal():
                yield file, int(digit), archive.read(name), f"{path}: {name}"


def _download(path: Path, part: str) -> None:
    name, md5 = _ARCHIVES[part]
    try:
        write_atomic(path, fetch(f"{_SITE}{name}/file_downloaded", md5, _LARGEST[part]))
    except FileError as e:
        raise FileError(
            f"nmnist: not in $STERNA_DATA/nmnist and the download failed ({e}); put Train.zip and "
            "Test.zip of N-MNIST there, or the folders in them"
        ) from e
