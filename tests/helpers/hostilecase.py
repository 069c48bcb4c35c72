"""What hostile files are made of: changes of bytes, and of values where a format has values; a
recipe to change."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

from sterna.golden.errors import SternaError

RECIPE = """
name = "tiny"
data = "digits"
batch = 128
[network]
shape = [1, 8, 8]
steps = 2
layers = ["4C3p1", "P2sum", "FC10"]
neuron = { threshold = 1.0, leak = 0.5 }
[[stage]]
epochs = 2
steps = 1
lr = 6e-3
"""
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    99,
    10**9,
    2**31,
    -(2**31) - 1,
    2**63,
    10**39,
    0.5,
    -0.0,
    1e308,
    "",
    "x",
    "conv",
    "../x",
    "/etc/passwd",
    "a" * 5000,
    "\u00e4",
    "$system",
    "\n",
    [],
    {},
    [[]],
    [1, 2, 3],
    ["x"],
    {"x": 1},
    [None],
    [True, 1.5],
)
TEXTS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "[" * 5000,
    '{"a":' * 5000,
    '"\\ud800"',
    "nan",
    "inf",
    "0x" + "f" * 5000,
    "1_0",
    "'''",
    '"""',
    "#",
    "\ufeff",
    "\0",
    "\r",
    "= =",
    "[[x]]",
    "a.b.c.d = 1",
    "1979-05-27",
    "''",
    "[1, 'x']",
)
SECONDS = 2.0
"""No reading of a small file may take longer, by the process' own clock."""


def altered_bytes(data: bytes, rng: random.Random) -> bytes:
    """One change: cut, a bit, bytes more, less, twice, or from somewhere else."""
    at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    how = rng.randrange(8)
    if how == 0:
        return data[:at]
    if how == 1 and data:
        out = bytearray(data)
        out[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        return bytes(out)
    if how == 2:
        return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
    if how == 3:
        return data[:at] + data[to:]
    if how == 4:
        return data[:to] + data[at:]
    if how == 5:
        word = bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * 8
        return data[:at] + word + data[at + 8 :]
    if how == 6:
        return data[:at] + rng.choice(TEXTS).encode("utf-8", "surrogatepass") + data[at:]
    return rng.choice(
        (
            b"\xef\xbb\xbf" + data,
            data.decode("latin-1").encode("utf-16"),
            b"",
            b"\0" * len(data),
            data + data,
        )
    )


def altered_value(value: Any, rng: random.Random) -> Any:
    """The same JSON value with one entry, anywhere in it, changed, gone or added."""
    value = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        item = left.pop()
        inside = item.items() if isinstance(item, dict) else enumerate(item)
        for key, v in inside:
            places.append((item, key))
            if isinstance(v, dict | list):
                left.append(v)
    if not places:
        return rng.choice(VALUES)
    item, key = rng.choice(places)
    how = rng.randrange(6)
    if how == 0:
        del item[key]
    elif how == 1 and isinstance(item, dict):
        item[rng.choice(("x", "name", "", "seal", "op"))] = rng.choice(VALUES)
    elif how == 2 and isinstance(item, list):
        item.append(item[key])
    else:
        item[key] = rng.choice(VALUES)
    return value


def outcome(action: Callable[[], Any]) -> Any:
    """What ``action`` gives, or None where it is refused in one sentence; never later than it may
    be, and nothing else is raised."""
    start = time.process_time()
    try:
        found = action()
    except SternaError as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 12_000, text
        assert "internal error" not in text and "Traceback" not in text, text
        found = None
    assert time.process_time() - start < SECONDS, "it took too long"
    return found
