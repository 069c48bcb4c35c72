"""Files of numbers: read as numpy and safetensors write them, and nothing else."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from sterna.golden.errors import FileError
from sterna.golden.files.arrays import parse_npy, parse_npz, parse_tensors


def npy(array, **how):
    data = io.BytesIO()
    np.save(data, array, **how)
    return data.getvalue()


def headed(text, body=b"", version=1):
    head = text.encode("latin-1")
    size = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + size + head + body


def refusal(action, *words):
    with pytest.raises(FileError) as error:
        action()
    text = str(error.value)
    assert "\n" not in text and all(w in text for w in words), text


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5, dtype=">i4"),
        np.array(7, np.int64),
        np.zeros((0, 3), np.float16),
        np.array([True, False]),
        np.arange(4, dtype="<u2"),
    ],
    ids=str,
)
def test_npy_of_numbers(array):
    found = parse_npy(npy(array), "f.npy")
    assert np.array_equal(found, array) and found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.c_contiguous and found.flags.writeable and found.shape == array.shape
    assert np.array_equal(
        parse_npy(
            headed("{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }\n", b"\1\0\2\0", 2),
            "f",
        ),
        [1, 2],
    )


SHAPE = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }\n"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "does not begin as one"),
        (b"\x93NUMPY\x01\x00\xff\xff", "does not begin as one"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", "its header is cut"),
        (b"\x93NUMPY\x09\x00\x00\x00\x00\x00", "version 9.0"),
        (npy(np.arange(9.0))[:-1], "71 bytes for the shape (9,), which takes 72"),
        (npy(np.arange(9.0)) + b"x", "73 bytes for the shape"),
        (headed(SHAPE % "1000000000000,"), "0 bytes for the shape (1000000000000,)"),
        (headed(SHAPE % "0, 999999999999999999, 999999999999999999"), "the shape (0, 99999"),
        (headed(SHAPE % ("1, " * 39 + "1")), "the shape (1, 1"),
        (headed(SHAPE % "-1,"), "its header is unreadable"),
        (headed("{'descr': __import__('os').abort()}\n"), "its header is unreadable"),
        (headed("(" * 4000), "its header is unreadable"),
        (npy(np.array([None]), allow_pickle=True), "its type is '|O'"),
        (npy(np.zeros(2, [("a", "i4")])), "its type is records"),
        (npy(np.zeros(2, complex)), "its type is '<c16'"),
        (npy(np.array(["a"])), "its type is '<U1'"),
        (headed(SHAPE.replace("u1", "f1") % "1,", b"x"), "its type is f1"),
    ],
)
def test_npy_of_anything_else_is_refused(data, cause):
    refusal(
        lambda: parse_npy(data, "f.npy"),
        "f.npy: is no .npy file of numbers",
        cause,
        "; write it with numpy.save",
    )


def test_npz_is_bounded_by_what_it_has_unpacked():
    data = io.BytesIO()
    np.savez_compressed(data, a=np.arange(4), b=np.zeros(1 << 20, np.uint8))
    found = parse_npz(data.getvalue(), "f.npz")
    assert np.array_equal(found["a"], range(4)) and found["b"].size == 1 << 20
    refusal(lambda: parse_npz(data.getvalue(), "f.npz", limit=1 << 19), "is larger unpacked")
    for cut in (0, 5, len(data.getvalue()) // 2, len(data.getvalue()) - 1):
        refusal(lambda cut=cut: parse_npz(data.getvalue()[:cut], "f.npz"), "f.npz: truncated or no")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../x", b"")
    refusal(lambda: parse_npz(data.getvalue(), "f.npz"), "'../x' is no array")


def tensors(head, body=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(kind="U8", shape=(2,), at=(0, 2), **more):
    return {"a": {"dtype": kind, "shape": list(shape), "data_offsets": list(at)} | more}


def test_safetensors_as_the_library_writes_them():
    arrays = {"a": np.arange(3, dtype=np.int32), "b": np.zeros((2, 0)), "c": np.ones((1, 2), bool)}
    found, meta = parse_tensors(save(arrays, {"m": "x"}), "t")
    assert meta == {"m": "x"} and found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
    assert parse_tensors(tensors({}), "t") == ({}, {})


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"1234", "4 bytes"),
        (b"\xff" * 16, "its header is cut"),
        (tensors(b"[" * 10_000), "deeper than 64 levels"),
        (tensors([]), "its header is no object"),
        (tensors({"__metadata__": {"a": 1}}), "its metadata are no texts"),
        (tensors({"a": 3}), "the entry of 'a'"),
        (tensors(entry(more=1), b"ab"), "the entry of 'a'"),
        (tensors(entry(shape=(-2,)), b"ab"), "shape or place of 'a'"),
        (tensors(entry(shape=(10**12,)), b"ab"), "the size of 'a'"),
        (tensors(entry(shape=(0, 10**30), at=(0, 0))), "shape or place of 'a'"),
        (tensors(entry(at=(0, 3)), b"abc"), "the size of 'a'"),
        (tensors(entry(), b"a"), "the size of 'a'"),
        (tensors(entry(), b"abc"), "bytes behind the last tensor"),
        (tensors(entry(at=(1, 3)), b"abc"), "gaps or overlaps"),
        (tensors(entry() | {"b": entry()["a"]}, b"ab"), "gaps or overlaps"),
        (tensors(entry("BOOL"), b"\0\2"), "values that are not 0 and 1"),
        (tensors(entry("BF16", (1,)), b"ab"), "tensor 'a' has the type 'BF16', none of BOOL"),
        (tensors(entry(7), b"ab"), "tensor 'a' has the type '7'"),
    ],
)
def test_safetensors_of_anything_else_are_refused(data, cause):
    refusal(lambda: parse_tensors(data, "t"), "t: ", cause)
