"""Altered copies of files, drawn by hypothesis."""

from hypothesis import strategies as st


def altered(draw, data):
    """A flipped, cut, extended or spliced copy of the bytes."""
    data = bytearray(data)
    way = draw(st.sampled_from(("flip", "cut", "extend", "drop", "repeat")))
    at = draw(st.integers(0, len(data) - 1))
    if way == "flip":
        data[at] ^= 1 << draw(st.integers(0, 7))
    elif way == "cut":
        del data[at:]
    elif way == "extend":
        data += draw(st.binary(min_size=1, max_size=9))
    elif way == "drop":
        del data[at]
    else:
        data[at:at] = data[at : at + 4]
    return bytes(data)
