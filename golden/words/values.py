"""Arguments as they are meant: numpy's numbers, tensors, lists and single values, converted once.

Every node, rule and float node takes its arguments through here, so that ``np.int64(1)`` is 1
everywhere and True is a number nowhere. What is not meant is refused with the name of its owner.
numpy only: a tensor is known by its ``detach``.
"""

import math
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.errors import NetworkError, SternaError, UsageError
from sterna.golden.words.names import NAME, show

__all__ = [
    "MAX_SIDE",
    "MAX_SIZE",
    "array",
    "check_size",
    "choice",
    "flag",
    "integer",
    "items",
    "names",
    "node_names",
    "number",
    "padding",
    "path",
    "plain",
    "real",
    "tuple_of",
    "whole",
]

MAX_SIDE = 65535
"""Of a map's height and width, its channels, a kernel, a stride: counters of 16 bits."""
MAX_SIZE = 1 << 24
"""Values C*H*W of one stream in one step: 4096 x 4096 pixels. Larger images are cut into tiles."""


def plain(value: Any) -> Any:
    """A tensor (torch's, a Parameter too) as the numpy array it holds; all else as it is."""
    if not hasattr(value, "detach"):
        return value
    try:
        value = value.detach().cpu()
        # numpy has no bfloat16, of which float32 holds every value
        value = value.float() if str(value.dtype).endswith("bfloat16") else value
        return value.numpy()
    except Exception as error:  # sparse, quantized, meta: each with an error of its own
        raise TypeError(f"{type(value).__name__} is no plain tensor: {error}") from None


def whole(value: Any) -> int | None:
    """A whole number as Python's int, whoever's type it is; None for anything else, True too."""
    if isinstance(value, bool | np.bool_) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except Exception:  # a foreign type's __index__ may raise what it likes
        return None


def real(value: Any) -> float | None:
    """A finite real number as Python's float, None for anything else, True too."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    try:
        a = np.asarray(plain(value))
    except Exception:
        return None
    if a.dtype.kind not in "iuf" or a.size != 1 or not np.isfinite(a).all():
        return None
    return float(a.reshape(())[()])


def integer(
    refusal: str, value: Any, least: int, most: int, error: type[SternaError] = NetworkError
) -> int:
    """A whole number from ``least`` to ``most``, else ``error`` with the sentence ``refusal``."""
    found = whole(value)
    if found is None or not least <= found <= most:
        raise error(refusal)
    return found


def number(
    refusal: str, value: Any, positive: bool = False, error: type[SternaError] = NetworkError
) -> float:
    """A finite real number, above zero where ``positive``; else ``error`` with ``refusal``."""
    found = real(value)
    if found is None or (positive and not found > 0):
        raise error(refusal)
    return found


def flag(refusal: str, value: Any, error: type[SternaError] = NetworkError) -> bool:
    """True or False, numpy's too; 0 and 1 are numbers."""
    if not isinstance(value, bool | np.bool_):
        raise error(refusal)
    return bool(value)


def choice(refusal: str, value: Any, words: Iterable[str]) -> str:
    """One of ``words``, as a plain str; else NetworkError with the sentence ``refusal``."""
    if not isinstance(value, str) or value not in words:
        raise NetworkError(refusal)
    return str(value)


def items(value: Any) -> list[Any] | None:
    """What a sequence holds, an array or a tensor too; None for text, sets and single values."""
    try:
        value = plain(value)
        if isinstance(value, str | bytes | dict | set | frozenset):
            return None
        return list(value) if isinstance(value, Sequence) or np.ndim(value) == 1 else None
    except Exception:
        return None


def tuple_of(
    node: str, what: str, value: Any, least: int, count: int = 2, most: float = MAX_SIDE
) -> tuple[int, ...]:
    """``count`` whole numbers; one number stands for all of them."""
    one = whole(value)
    given = [value] * count if one is not None else items(value)
    found = [whole(v) for v in given] if given is not None else []
    if len(found) != count or any(v is None or not least <= v <= most for v in found):
        if one is not None or given is not None:
            value = tuple(v if (w := whole(v)) is None else w for v in given or ())
        limit = f" and at most {most}" if any(v is not None and v > most for v in found) else ""
        raise NetworkError(
            f"node '{node}': {what} {show(value)} must be {count} integers of at least "
            f"{least}{limit}"
        )
    return tuple(v for v in found if v is not None)


def padding(node: str, value: Any) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), from these four, from torch's (y, x), or from one number."""
    given = items(value)
    if given is not None and len(given) == 2:
        value = [given[0], given[0], given[1], given[1]]
    top, bottom, left, right = tuple_of(node, "padding", value, 0, 4)
    return top, bottom, left, right


def names(
    value: Any,
    refusal: Callable[[str], str],
    error: type[SternaError] = NetworkError,
    ordered: bool = True,
) -> tuple[str, ...]:
    """Names of nodes: a string is that one name. ``refusal`` makes a sentence of what was given.
    ``ordered``: a set, which has no order, is refused."""
    if isinstance(value, str):
        return (str(value),)
    try:
        loose = isinstance(value, set | frozenset)  # a generator is meant as well
        found = None if loose and ordered else sorted(value) if loose else list(value)
    except Exception:
        found = None
    if found is None or not all(isinstance(v, str) for v in found):
        raise error(refusal(show(value)))
    return tuple(str(v) for v in found)


def node_names(node: str, what: str, value: Any) -> tuple[str, ...]:
    """Names of the nodes that ``node`` reads, at least one."""

    def refusal(given: str) -> str:
        return f"node '{node}': {what} {given} must be the names of nodes"

    found = names(value, refusal)
    if not found:
        raise NetworkError(f"node '{node}': has no inputs; connect it")
    if wrong := [n for n in found if not NAME.match(n)]:
        raise NetworkError(refusal(show(wrong[0])))
    return found


def path(what: str, value: Any) -> Path:
    """A path that some file could have; UsageError, beginning with ``what``, for anything else."""
    refusal = f"{what}: {show(value)} is no path; give the name of a file or folder"
    if not isinstance(value, str | os.PathLike):
        raise UsageError(refusal)
    try:
        text = os.fspath(value)
        longest = max(len(os.fsencode(part)) for part in text.split(os.sep))
    except Exception:  # a path-like that is none, half a character, bytes
        raise UsageError(refusal) from None
    if not text or "\0" in text or longest > 255 or len(text) > 4095:
        raise UsageError(refusal)
    return Path(text)


def array(refusal: str, value: Any, wanted: str = "numbers") -> np.ndarray:
    """Real numbers as an array, tensors too; NetworkError: not numbers, ragged, NaN or infinity.

    ``refusal`` names owner and what: "node 'x': bias". Whole numbers keep their type.
    """
    try:
        a = np.asarray(plain(value))
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        raise NetworkError(f"{refusal} {show(value)} is no array ({text})") from None
    if a.dtype.kind not in "iuf":
        raise NetworkError(f"{refusal} must be {wanted}, not {a.dtype}")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise NetworkError(
            f"{refusal} holds NaN or infinity; training diverged: lower its rate, or repair the "
            "file"
        )
    return a


def check_size(node: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """``shape`` (C, H, W) unless it is larger than a stream may be; NetworkError then."""
    c, h, w = shape
    if max(shape) > MAX_SIDE or math.prod(shape) > MAX_SIZE:
        raise NetworkError(
            f"node '{node}': a map of {show(c)} x {show(h)} x {show(w)} is larger than {MAX_SIZE} "
            f"values or {MAX_SIDE} a side; cut the images into tiles, or use fewer channels"
        )
    return c, h, w
