"""A recipe as TOML text, for recipes that are made by a program (Python itself only reads TOML)."""

import json
from dataclasses import MISSING, fields
from typing import Any

from sterna.train.recipe.recipe import Recipe, Stage

__all__ = ["recipe_text"]

_WIDTH = 100


def recipe_text(recipe: Recipe, comment: str = "") -> str:
    """``recipe`` as a file that ``read_recipe`` reads back; values that are defaults are left out.
    ``comment``: lines for its head."""
    out = [f"# {line}" for line in comment.splitlines()]
    tables = {}
    for f in fields(Recipe):
        value = getattr(recipe, f.name)
        plain = f.default is not MISSING and value == f.default
        if plain or f.name in ("text", "folder", "stages"):
            continue
        if isinstance(value, dict):
            tables[f.name] = value
        else:
            out.append(f"{f.name} = {_value(value)}")
    for name, table in tables.items():
        if table:
            out += ["", f"[{name}]"]
            out += [_line(key, value) for key, value in table.items()]
    for stage in recipe.stages:
        out += ["", "[[stage]]"]
        for f in fields(Stage):
            value = getattr(stage, f.name)
            if f.default is MISSING or value != f.default:
                out.append(f"{f.name} = {_value(value)}")
    return "\n".join(out) + "\n"


def _line(key: str, value: Any) -> str:
    """``key = value``; a list that is too long for a line has a line for each of its entries."""
    line = f"{_key(key)} = {_value(value)}"
    if len(line) <= _WIDTH or not isinstance(value, list):
        return line
    return "\n".join([f"{_key(key)} = [", *(f"  {_value(v)}," for v in value), "]"])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _key(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else json.dumps(key, ensure_ascii=False)
