"""Weights images: their layout, and every altered byte refused with one sentence."""

import zlib

import numpy as np
import pytest
from altered import altered
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.golden.device.weights_image import (
    pack_weights_image,
    parse_weights_image,
    read_weights_image,
    write_weights_image,
)
from sterna.golden.errors import FileError

IDS = ("ab" * 32, "0" * 64)


def regions():
    rng = np.random.default_rng(3)
    return {r: rng.integers(0, 2**32, n, np.uint32) for r, n in ((9, 5), (0, 1), (255, 17))}


def same(a, b):
    return list(a) == list(b) and all((a[k] == b[k]).all() for k in a)


def test_weights_image_comes_back_with_the_documented_layout(tmp_path):
    path = tmp_path / "weights.sterna"
    write_weights_image(path, *IDS, regions())
    image = read_weights_image(path)
    assert (image.structure_id, image.weights_id) == IDS
    assert same(image.regions, dict(sorted(regions().items())))
    data = path.read_bytes()
    assert pack_weights_image(*IDS, regions()) == data
    # read by hand, as a C host would
    u32 = lambda at: int.from_bytes(data[at : at + 4], "little")  # noqa: E731
    assert data[:8] == b"STERNAW\0" and u32(8) == 1 and u32(12) == len(data) and u32(80) == 3
    assert data[16:48] == bytes.fromhex(IDS[0]) and data[48:80] == bytes(32)
    assert [u32(84 + 16 * k) for k in range(3)] == [0, 9, 255]
    offset, words = u32(84 + 16 + 4), u32(84 + 16 + 8)
    assert [u32(offset + 4 * k) for k in range(words)] == regions()[9].tolist()
    assert parse_weights_image(pack_weights_image(*IDS, {})).regions == {}


@settings(max_examples=200)
@given(st.data())
def test_fuzzed_weights_images_are_refused(data):
    good = pack_weights_image(*IDS, regions())
    bad = altered(data.draw, good)
    if bad == good:
        return
    with pytest.raises(FileError, match="^some/file: "):
        parse_weights_image(bad, "some/file")


@settings(max_examples=100)
@given(st.data())
def test_weights_images_with_a_right_header_crc_but_wrong_content_are_refused(data):
    good = bytearray(pack_weights_image(*IDS, regions()))
    numbers = {84 + 16 * k + j for k in range(3) for j in range(4)}  # any number is a region
    sites = sorted({8, *range(12, 16), *range(80, 132)} - numbers)
    at = data.draw(st.sampled_from(sites))
    good[at] ^= 1 << data.draw(st.integers(0, 7))
    good[132:136] = zlib.crc32(bytes(good[:132])).to_bytes(4, "little")
    with pytest.raises(FileError):
        parse_weights_image(bytes(good))


def test_weights_image_refuses_newer_foreign_and_wrong_content():
    good = pack_weights_image(*IDS, regions())
    with pytest.raises(FileError, match="is version 2, this Sterna reads version 1; update Sterna"):
        parse_weights_image(good[:8] + b"\2" + good[9:])
    with pytest.raises(FileError, match="is not a Sterna weights image; copy it again"):
        parse_weights_image(b"\x7fELF" + good[4:])
    with pytest.raises(FileError, match="only 3 bytes"):
        parse_weights_image(b"abc")
    with pytest.raises(FileError, match="CRC of region 9 differs"):
        parse_weights_image(good[:142] + bytes([good[142] ^ 1]) + good[143:])
    words = np.zeros(1, np.uint32)
    for ids, content, message in (
        (("xy", "0" * 64), {}, "structure_id 'xy' is not 64 hexadecimal digits"),
        (("0" * 64, "A" * 64), {}, "weights_id .* is not 64 hexadecimal digits"),
        (IDS, {256: words}, "region 256 is not"),
        (IDS, {1: np.zeros(1, np.int64)}, "region 1 is not uint32"),
        (IDS, {1: words[:0]}, "region 1 has 0 words"),
    ):
        with pytest.raises(FileError, match=message):
            pack_weights_image(*ids, content)
