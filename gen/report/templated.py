"""Templates, styles and scripts of pages, found in this room's folder and in those of others."""

from functools import cache
from pathlib import Path

import jinja2

from sterna.gen.report.figures import number

__all__ = ["template", "text"]

TEMPLATES = Path(__file__).with_name("templates")


@cache
def template(name: str, *folders: Path) -> jinja2.Template:
    """A template, of ``folders`` or of this room; it escapes whatever it is given."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    return made.get_template(name)


def text(name: str, folder: Path = TEMPLATES) -> str:
    """A style or a script."""
    return (folder / name).read_text(encoding="utf-8")
