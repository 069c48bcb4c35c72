"""A fake board that computes a small network, with faults to be put in, on a line of its own time.

Its reloadable memories are taken for what they hold: where one does not hold the words of its
file, one logit of every image is off by one.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from fakeboard import FakeBoard, FakeNetwork
from hostile import Line

from sterna.golden.device.weights_image import read_weights_image, write_weights_image
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.numpyrun import run_arrays
from sterna.golden.rule import NeuronRule

__all__ = [
    "CLOCKS",
    "bitstream_facts",
    "SHAPE",
    "SelfNetwork",
    "board_of",
    "line_of",
    "small_build",
    "small_network",
]

SHAPE = (1, 3, 4)
CLOCKS = 100
"""An image, by design.json of `small_build`."""
MHZ = 25.0
_ROM = 2


def small_network() -> Network:
    rng = np.random.default_rng(0)
    nodes = [
        Input("x", SHAPE),
        Linear("full", "x", rng.integers(-1, 2, (4, 12))),
        Readout("r", ("full",), NeuronRule(threshold=np.zeros(4, int), reset="none")),
    ]
    return Network(1, nodes, "little")


def small_build(folder: Path, reloadable: bool = True, **design: Any) -> Path:
    """A build folder as far as a host reads one; ``design``: keys of design.json."""
    net, rng = small_network(), np.random.default_rng(1)
    files.save(net, folder)
    core = {"name": "full", "regions": [0, 1] if reloadable else None}
    body = {"interval": CLOCKS, "modelled_interval": None, "clock_mhz": 99, "cores": [core]}
    text = json.dumps(body | design)
    (folder / "design.json").write_text(text)
    words = {k: rng.integers(0, 2**32, n, np.uint32) for k, n in enumerate((30, 5, 7))}
    ids = files.structure_id(net, text), files.weights_id(net)
    write_weights_image(folder / "weights.sterna", *ids, words)
    return folder


def bitstream_facts(folder: Path, **facts: Any) -> None:
    """bitstream.json and a bitstream, as far as a host reads them."""
    image = read_weights_image(folder / "weights.sterna")
    body = {"structure_id": image.structure_id, "clock_mhz": MHZ, "board": "ulx3s-85f"} | facts
    body = {"baud": 1_000_000} | body
    (folder / "bitstream.json").write_text(json.dumps(body))
    (folder / "little.bit").write_bytes(b"a bitstream")


class SelfNetwork(FakeNetwork):
    """What a board with `small_build` in it has: registers, memories, arithmetic.

    Attributes:
        broken: added to the first logit of every image, as a flipped weight in a ROM would.
        hz: clocks a second of repetitions, in the line's time. line: whose time goes on.
    """

    def __init__(self, folder: Path, **options: Any):
        image = read_weights_image(folder / "weights.sterna")
        cores = json.loads((folder / "design.json").read_text())["cores"]
        count = len(cores[0]["regions"] or ())
        self.image, self.broken, self.hz = image, 0, MHZ * 1e6
        self.line: Line | None = None
        self.net = small_network()
        given: dict[str, Any] = {
            "structure": int(image.structure_id[:16], 16),
            "classes": 4,
            "cores": 1,
            "regions": tuple(len(image.regions[k]) for k in range(count)),
            "weights": 0 if count else int(image.weights_id[:16], 16),
            "clocks": CLOCKS,
        }
        super().__init__(**(given | options))
        self.words["rom_crc"] = image.rom_crc(count)

    def compute(self, image: bytes, weights: int) -> list[int]:
        super().compute(image, weights)
        pixels = np.frombuffer(image[:12], np.uint8).reshape(1, *SHAPE)
        result = run_arrays(self.net, pixels)
        kept = all(m == self.image.regions[k].tolist() for k, m in enumerate(self.memories))
        logits = result.logits[0].astype(int)
        logits[0] += self.broken + (not kept)
        return [
            int(logits.argmax()) | (0 if weights else 4) << 16,
            *(int(v) % 2**32 for v in logits),
        ]

    def write(self, address: int, value: int) -> bool:
        before = self.words["total_clocks"]
        done = super().write(address, value)
        spent = self.words["total_clocks"] - before
        if spent > 0 and self.line is not None:
            self.line.now += spent / self.hz
        return done


def board_of(folder: Path, **options: Any) -> FakeBoard:
    return FakeBoard(SelfNetwork(folder, **options), image_bytes=12, image_time=0.0001)


def line_of(board: FakeBoard) -> Line:
    """The board's line, in virtual time."""
    line = Line(board)
    if isinstance(board.network, SelfNetwork):
        board.network.line = line
    return line
