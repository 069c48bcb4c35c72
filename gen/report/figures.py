"""Figures on a page: each is looked up in the report by its place there, and says which it is.

So a page has no number of its own: a test reads ``data-figure`` (a JSON pointer, RFC 6901) of every
one and compares it with report.json.
"""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

__all__ = ["Figures", "number", "pointer"]

_FORMS = {
    "int": lambda v: f"{v:,.0f}",
    "percent": lambda v: f"{100 * v:.1f}%",
    "percent2": lambda v: f"{100 * v:.2f}%",
    "number": lambda v: number(v),
    "plain": lambda v: f"{v}",
}


def number(value: float) -> str:
    """Four digits of a number, more where it is whole and below a million; no exponent."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.3e}"
    digits = max(0, 3 - _magnitude(value))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _magnitude(value: float) -> int:
    from math import floor, log10

    return floor(log10(abs(value))) if value else 0


def pointer(*parts: object) -> str:
    """The JSON pointer of what a report has under these keys and numbers."""
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


class Figures:
    """Looks figures up in ``answer`` and shows them."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer

    def value(self, *parts: object) -> Any:
        """What stands there; None where a part of the way is missing."""
        found: Any = self.answer
        for part in parts:
            if isinstance(found, Mapping):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def __call__(self, *parts: object, form: str = "number", tag: str = "span") -> Markup:
        """Its text, in an element that says where it is from; a dash where there is none."""
        value = self.value(*parts)
        if not isinstance(value, str | int | float):
            return Markup("–")
        text = str(value) if isinstance(value, str | bool) else _FORMS[form](value)
        return Markup('<{tag} data-figure="{at}">{text}</{tag}>').format(
            tag=Markup(tag), at=pointer(*parts), text=text
        )
