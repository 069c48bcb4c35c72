"""Which images a design takes: from a build folder, or from their shape alone."""

__all__ = ["Images", "build_beside", "build_weights", "design_of", "from_build", "from_shape"]

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sterna.golden.coding import image_bits, image_bytes
from sterna.golden.device.weights_image import WeightsImage, read_weights_image
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import decode
from sterna.golden.files.locks import reading
from sterna.golden.network import Input
from sterna.golden.words.names import show
from sterna.golden.words.values import path as path_of


@dataclass(frozen=True)
class Images:
    """The input of a design.

    node, steps: coding of its images. structure: first 16 digits of structure_id, None where only
    the shape is known; structures: also those of bitstreams made before (`structure_ids`).
    cores: names of the cores with a stall counter, where known. weights: the build's
    weights.sterna, None without a build. classes: of its results, where known. weights_id: of the
    build's network, all digits, None without a build.
    """

    node: Input
    steps: int
    structure: str | None = None
    cores: tuple[str, ...] = field(default=())
    weights: Path | None = None
    classes: int | None = None
    structures: tuple[str, ...] = ()
    weights_id: str | None = None

    def pack(self, images: Any, image_bytes: int) -> bytes:
        """The bytes of images as they go over the link, ``image_bytes`` each.

        ``images``: see ``golden.coding.check_images``. UsageError, NetworkError: they do not fit
        the network, or the network's images do not fit the board.
        """
        return self.rows(images, image_bytes).tobytes()

    def rows(self, images: Any, image_bytes: int) -> np.ndarray:
        """The same as an array, uint8 (B, image_bytes)."""
        rows = image_bits(self.node, images, self.steps)
        if not rows.shape[1] <= image_bytes < rows.shape[1] + 64:  # a beat has at most 64 bytes
            raise UsageError(
                f"an image of {self.node.shape} ({self.node.coding}) has {rows.shape[1]} bytes, "
                f"the board takes {image_bytes}; give the build or shape of the board's design"
            )
        padded = np.zeros((len(rows), image_bytes), np.uint8)
        padded[:, : rows.shape[1]] = rows
        return padded

    def packet_bytes(self, beat_bytes: int) -> int:
        """Of an image's packet, of whole beats."""
        return -(-image_bytes(self.node, self.steps) // beat_bytes) * beat_bytes


def _cores(path: Path) -> tuple[str, ...]:
    """Names of the cores with a stall counter, by csr.json."""
    again = "run 'sterna verilog'"
    found = files.parse_json(files.read_bytes(path, 1 << 26, again), path, again)
    registers = found.get("registers") if isinstance(found, dict) else None
    if not isinstance(registers, list) or not all(
        isinstance(r, dict) and isinstance(r.get("name"), str) for r in registers
    ):
        raise FileError(f"{path}: altered, it is no register map; {again}")
    names = [str(r["name"]) for r in registers]
    return tuple(n.removeprefix("stall_") for n in names if n.startswith("stall_"))


def from_build(folder: str | os.PathLike[str]) -> Images:
    """Of the network in a build folder. FileError where its files are missing or damaged."""
    path = path_of("build", folder)
    with reading(path):
        network = files.load(path)
        structures, cores = (), ()
        if (path / "design.json").is_file():
            data = files.read_bytes(path / "design.json", 1 << 26, "run 'sterna fold'")
            text = decode(data, path / "design.json")
            structures = tuple(name[:16] for name in files.structure_ids(network, text))
        if (path / "csr.json").is_file():
            cores = _cores(path / "csr.json")
    weights = path / "weights.sterna"
    return Images(
        network.input,
        network.steps,
        structures[0] if structures else None,
        cores,
        weights if weights.is_file() else None,
        network.shape[network.readout.name][0],
        structures,
        files.weights_id(network),
    )


def design_of(folder: str | os.PathLike[str]) -> tuple[Images, int]:
    """As `from_build`, of a folder that must have its design.json; and the bytes of a beat of its
    images."""
    images, path = from_build(folder), Path(folder) / "design.json"
    again = "run 'sterna fold'"
    found = files.parse_json(files.read_bytes(path, 1 << 26, again), path, again)
    width = found.get("axis_width") if isinstance(found, dict) else None
    if not isinstance(width, int) or not 0 < width <= 512 or width % 8:
        raise FileError(f"{path}: altered, its axis_width {show(width)} is no width; {again}")
    return images, width // 8


def build_weights(folder: str | os.PathLike[str]) -> WeightsImage:
    """The weights.sterna of a build folder. FileError unless it was packed from the very network
    and design that are there: a command that was stopped may have left those of before."""
    path = Path(folder)
    with reading(path):
        network = files.load(path)
        text = files.read_bytes(path / "design.json", 1 << 26, "run 'sterna fold'")
        image = read_weights_image(path / "weights.sterna")
    design = decode(text, path / "design.json")
    for what, found, wanted in (
        ("design", image.structure_id, files.structure_ids(network, design)),
        ("network", image.weights_id, (files.weights_id(network),)),
    ):
        if found not in wanted:
            raise FileError(
                f"{path / 'weights.sterna'}: was packed from another {what} than that of {path} "
                f"({found[:16]}, not {wanted[0][:16]}); run: sterna pack "
                f"{shlex.quote(str(path))}, or give the path of a weights.sterna itself"
            )
    return image


def build_beside(weights: str | os.PathLike[str]) -> Images | None:
    """Of the build that a weights.sterna lies in; None where there is none."""
    folder = Path(weights).parent
    whole = all((folder / name).is_file() for name in ("network.json", "design.json"))
    return from_build(folder) if whole else None


def from_shape(shape: tuple[int, int, int]) -> Images:
    """Of a network that reads 8-bit pixels of shape (C, H, W) ('direct')."""
    return Images(Input("image", shape), 1)
