"""Files of numbers: .npy, .npz and safetensors, read by their own rules and nothing else.

No text of a file is evaluated, nothing is unpickled, and memory is taken only for bytes that are
there. FileError with one sentence for everything that is not exactly such a file.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from sterna.golden.errors import FileError
from sterna.golden.files.disk import StrPath, parse_json

__all__ = ["parse_npy", "parse_npz", "parse_tensors"]

_HEADER = re.compile(
    r"\{'descr': '([<>|=])([biuf])([1248])', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, )*\d{1,18},?|)\),? ?\} *\n"
)
_MOST_AXES = 16
_NPY_HEADER = 1 << 12
_TENSORS = {
    "BOOL": "?",
    "I8": "i1",
    "U8": "u1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
_TENSORS_HEADER = 1 << 26


def parse_npy(data: bytes, path: StrPath, again: str = "write it with numpy.save") -> np.ndarray:
    """The array of a .npy file (versions 1 to 3) of plain numbers, in C order and this machine's
    byte order; writable."""

    def need(right: bool, cause: str) -> None:
        if not right:
            raise FileError(f"{path}: is no .npy file of numbers ({cause}); {again}")

    need(data[:6] == b"\x93NUMPY" and len(data) >= 12, "it does not begin as one")
    wide = data[6] > 1
    need(data[6] in (1, 2, 3) and data[7] == 0, f"version {data[6]}.{data[7]}")
    start = 12 if wide else 10
    size = struct.unpack_from("<I" if wide else "<H", data, 8)[0]
    need(size <= _NPY_HEADER and len(data) >= start + size, "its header is cut or too long")
    header = data[start : start + size].decode("latin-1")
    found = _HEADER.fullmatch(header)
    if found is None:
        named = re.search(r"'descr': ('[^']{0,40}'|\[)", header)
        what = "records" if named and named[1] == "[" else named[1] if named else "unreadable"
        plain = named and re.fullmatch(r"'[<>|=][biuf][1248]'", named[1])
        need(False, "its header is unreadable" if not named or plain else f"its type is {what}")
        raise AssertionError
    order, kind, width, fortran, text = found.groups()
    right = (kind in "iu") or (kind == "b" and width == "1") or (kind == "f" and width != "1")
    need(right, f"its type is {kind}{width}")
    shape = tuple(int(n) for n in text.replace(",", " ").split())
    need(_is_shape(shape), f"the shape {shape}")
    wanted, there = math.prod(shape) * int(width), len(data) - start - size
    need(wanted == there, f"{there} bytes for the shape {shape}, which takes {wanted}")
    mark = ">" if order == ">" else "<"
    flat = np.frombuffer(data, f"{mark}{kind}{width}" if kind != "b" else "?", offset=start + size)
    array = flat.reshape(shape, order="F" if fortran == "True" else "C")
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _is_shape(shape: Sequence[int]) -> bool:
    """Whether numpy can have it: an empty array may still have axes that are too long."""
    return len(shape) <= _MOST_AXES and math.prod(n for n in shape if n) < 1 << 48


def parse_npz(
    data: bytes, path: StrPath, limit: int = 1 << 30, again: str = "write it with numpy.savez"
) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name; unpacked they may have ``limit`` bytes together."""
    out: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as member:  # what a header claims is not believed
                    body = member.read(limit + 1)
                limit -= len(body)
                if limit < 0:
                    raise FileError(f"{path}: is larger unpacked than it can be; {again}")
                name = entry.filename.removesuffix(".npy")
                if name in out or name == entry.filename:
                    raise FileError(f"{path}: '{entry.filename[:40]}' is no array; {again}")
                out[name] = parse_npy(body, f"{path}: '{name[:40]}'", again)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        struct.error,
    ) as e:
        raise FileError(f"{path}: truncated or no .npz file ({e}); {again}") from e
    return out


def parse_tensors(
    data: bytes, path: StrPath, again: str = "make it again"
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors by name, metadata) of a safetensors file: no gaps, no overlaps, nothing behind."""

    def need(right: bool, cause: str) -> None:
        if not right:
            what = f"truncated or altered, not a safetensors file ({cause})"
            raise FileError(f"{path}: {what}; {again}")

    need(len(data) >= 8, f"{len(data)} bytes")
    size = int.from_bytes(data[:8], "little")
    need(size <= min(_TENSORS_HEADER, len(data) - 8), "its header is cut")
    head: Any = parse_json(data[8 : 8 + size], path, again)
    need(isinstance(head, dict), "its header is no object")
    meta = head.pop("__metadata__", {})
    plain = isinstance(meta, dict) and all(isinstance(v, str) for v in meta.values())
    need(plain, "its metadata are no texts")
    out: dict[str, np.ndarray] = {}
    places: list[tuple[int, int]] = []
    for name, entry in head.items():
        need(
            isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"},
            f"the entry of '{name[:80]}'",
        )
        shape, at = entry["shape"], entry["data_offsets"]
        need(
            isinstance(shape, list)
            and isinstance(at, list)
            and len(at) == 2
            and all(type(n) is int and n >= 0 for n in (*shape, *at))
            and _is_shape(shape),
            f"shape or place of '{name[:80]}'",
        )
        kind = _TENSORS.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if kind is None:
            raise FileError(
                f"{path}: truncated or altered, or tensor '{name[:80]}' has the type "
                f"{str(entry['dtype'])[:20]!r}, none of {', '.join(_TENSORS)}; {again}"
            )
        count = math.prod(shape)
        need(
            at[0] + count * np.dtype(kind).itemsize == at[1] <= len(data) - 8 - size,
            f"the size of '{name[:80]}'",
        )
        places.append((at[0], at[1]))
        flat = np.frombuffer(data, kind, count, 8 + size + at[0]) if count else np.empty(0, kind)
        if kind == "?":
            need(
                not flat.view(np.uint8).size or int(flat.view(np.uint8).max()) <= 1,
                f"'{name[:80]}' has values that are not 0 and 1",
            )
        out[name] = flat.reshape(shape).astype(flat.dtype.newbyteorder("="))
    end = 0
    for first, last in sorted(places):
        need(first == end, "gaps or overlaps")
        end = last
    need(end == len(data) - 8 - size, "bytes behind the last tensor")
    return out, meta
