"""What people see of an object: a line at a prompt, a text where it is printed, in a notebook that
text as it stands. Standard library only."""

from dataclasses import fields
from html import escape
from typing import Any, ClassVar

from sterna.golden.errors import SternaError

__all__ = ["Fields", "Shown", "preformatted"]


def preformatted(text: str) -> str:
    """HTML that shows a text as it is, whatever it contains."""
    return f"<pre>{escape(text)}</pre>"


class Shown:
    """Base of objects with a text for people, ``str``; ``line`` is it in short. A dataclass must
    not make a ``repr`` of its own."""

    def line(self) -> str:
        """What stands between the brackets of its repr."""
        return str(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_or_why(self.line)})"

    def _repr_html_(self) -> str:
        return preformatted(_or_why(self.__str__))


def _or_why(text: Any) -> str:
    """Looking at an object never fails, also where its folder is gone."""
    try:
        return text()
    except SternaError as error:
        return str(error)


class Fields:
    """Base of dataclasses that hold arrays: a repr with their type, shape and range in their place,
    and without what is as it would be by itself. As for `Shown`, the dataclass makes none."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={_brief(value)}"
            for f in fields(self)
            if f.repr and not _usual(value := getattr(self, f.name), f.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _usual(value: Any, default: Any) -> bool:
    words = isinstance(value, str)  # a mode, a reset: what it is shows
    return not words and type(value) is type(default) and value == default


def _brief(value: Any) -> str:
    if getattr(getattr(value, "dtype", None), "kind", "") not in tuple("iuf") or not value.ndim:
        return repr(value)
    low, high = (value.min(), value.max()) if value.size else (0, 0)
    between = f"{low:g}" if low == high else f"{low:g} .. {high:g}"
    return f"{value.dtype} {list(value.shape)} of {between}"
