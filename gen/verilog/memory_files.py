"""Verilog whose memories are read from files, by $readmemh, in place of contents in the text."""

import re
from collections.abc import Sequence

from sterna.gen.verilog.memory_images import MemoryImage, mem_texts
from sterna.golden.errors import DesignError

__all__ = ["folder_lines", "from_files"]


def from_files(
    text: str, inside: str, images: Sequence[MemoryImage], folder: str = ""
) -> tuple[str, dict[str, str]]:
    """The Verilog with the contents of ``images`` read from files; returns it and the files.

    ``inside``: path of the network's module. Modules are known by their path, which Amaranth makes
    of the names of sub-modules; where contents are not those of the image, the two have come apart,
    and DesignError says so. One row is no memory but wires, and stays in the text. ``folder``:
    Verilog that gives the folder of the files, a string; "" leaves it to the tool.
    """
    where = {f"{inside}.{image.place}": image for image in images}
    files: dict[str, str] = {}

    def module(match: re.Match[str]) -> str:
        image = where.get(match[1])
        if image is None:
            return match[0]
        found = _CONTENTS.findall(match[0])
        if not found and image.depth == 1:
            return match[0]  # wires, as `hw.memory.weight_memory` makes of one row
        if len(found) != 1 or _rows(found[0]) != _padded(image):
            raise DesignError(f"memory '{image.name}' is not what its module holds; report this")
        files[f"{image.name}.mem"] = mem_texts(image)[".mem"]
        return match[0].replace(found[0], _read(found[0], image, folder))

    text = re.sub(r"^module \\?(\S+?) ?\(.*?^endmodule", module, text, flags=re.M | re.S)
    missing = {image.name for image in images if image.depth > 1} - {
        name.removesuffix(".mem") for name in files
    }
    if missing:
        raise DesignError(f"memory '{min(missing)}' is not in the Verilog; report this")
    return text, files


def folder_lines(macro: str, default: str) -> str:
    """Verilog in front of modules by which ``macro`` is the folder of their files: ``default``
    where nobody says another."""
    return f'`ifndef {macro}\n`define {macro} "{default}"\n`endif\n\n'


_CONTENTS = re.compile(r"  initial begin\n(?:    memory\[\d+\] = [^;]+;\n)+  end\n")


def _read(contents: str, image: MemoryImage, folder: str) -> str:
    """What reads the file; rows that it has not stay 0."""
    name = f'"{image.name}.mem"'
    rest = contents.splitlines(keepends=True)[1 + len(image.rows) : -1]
    if not rest and not folder:
        return f"  initial $readmemh({name}, memory);\n"
    # With addresses: simulators warn of memories whose first row they have to guess.
    name = f"{{{folder}, {name}}}" if folder else name
    read = f"$readmemh({name}, memory, 0, {len(image.rows) - 1});\n"
    return "".join(["  initial begin\n", f"    {read}", *rest, "  end\n"])


def _rows(contents: str) -> list[int]:
    base = {"h": 16, "d": 10, "b": 2}
    rows = re.findall(r"\] = \d+'([hdb])([0-9a-f]+);", contents)
    return [int(digits, base[kind]) for kind, digits in rows]


def _padded(image: MemoryImage) -> list[int]:
    return [*image.rows, *[0] * (max(2, image.depth) - len(image.rows))]
