"""Docstrings of what `sterna` exports have numpydoc's form and name every parameter."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import sterna
from sterna.data import ImageSet

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises")
OTHER_FORMS = re.compile(r"^(Args|Arguments|Returns|Raises|Yields):|^Raises[ ,]|:param ", re.M)


def sections(value: Any) -> dict[str, str]:
    """The text below each underlined title of a docstring; what comes before under ''."""
    parts = re.split(r"^(\w+)\n-+$\n", inspect.getdoc(value) or "", flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def named(text: str) -> list[str]:
    """Names at the left of a section: 'a, b : type', or 'name' alone."""
    lines = [line for line in text.splitlines() if line[:1].strip()]
    return [name.strip() for line in lines for name in line.split(" : ")[0].split(",")]


def taken(value: Callable[..., Any]) -> list[str]:
    """Names of the parameters that a caller gives; a method's own object is none."""
    found = inspect.signature(value).parameters.values()
    return [p.name for p in found if p.name != "self" and p.kind is not p.VAR_POSITIONAL]


def check(value: Any) -> None:
    told = sections(value)
    assert told[""].strip(), "no summary"
    assert set(told) - {""} <= set(SECTIONS)
    assert not OTHER_FORMS.search(inspect.getdoc(value) or "")
    assert named(told.get("Parameters", "")) == taken(value)
    for title in ("Returns", "Raises"):
        assert title not in told or named(told[title])


@pytest.mark.parametrize("name", sterna.__all__)
def test_what_is_exported_names_its_parameters(name: str) -> None:
    value = getattr(sterna, name)
    check(value)
    if not inspect.isclass(value):
        assert {"Returns", "Raises"} <= set(sections(value))
        return
    for method, function in vars(value).items():
        if method.startswith("_") or not inspect.isfunction(function):
            continue
        assert inspect.getdoc(function), f"{name}.{method} has no docstring"
        assert not OTHER_FORMS.search(inspect.getdoc(function) or ""), f"{name}.{method}"
        if "Parameters" in sections(function):
            check(function)


def test_a_set_of_images_names_its_parameters() -> None:
    check(ImageSet)
    check(ImageSet.parts)


def test_a_parameter_that_is_not_named_is_noticed() -> None:
    def scale(a: int, b: int) -> int:
        """Scale.

        Parameters
        ----------
        a : int
        """
        return a * b

    with pytest.raises(AssertionError):
        check(scale)
