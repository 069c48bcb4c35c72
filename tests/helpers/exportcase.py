"""Exported blocks of two small networks, of which one's name is the other's with an ending."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import buildcase
import numpy as np

from sterna.gen.build.stages import Options, ensure
from sterna.gen.ip.exported import Exported, exported
from sterna.gen.ip.folder import export
from sterna.gen.tools.plain_paths import Plain
from sterna.gen.tools.programs import find
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule

NAMES = ("tiny", "tiny_axi")
"""Of the networks; the second's modules are called otherwise."""


def second() -> Network:
    """7 pixels of 1 bit in beats of 24 bits, and no memory that a host writes."""
    rng = np.random.default_rng(3)
    return Network(
        3,
        [
            Input("x", (1, 7, 5), "frames"),
            Linear("a", "x", rng.integers(-1, 2, (4, 35))),
            Neuron("n", ("a",), NeuronRule(threshold=np.array([1, 2, 2, 3]))),
            Linear("f", "n", rng.integers(-1, 2, (3, 4))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        name=NAMES[1],
    )


def made(folder: Path, which: int, memories: str = "inline"):
    """(build, folder of its block) of one of the two."""
    source = folder / f"source{which}"
    if which == 0:
        buildcase.save_example(source)
    else:
        files.save(second(), source)
    options = Options(axis_width=None if which == 0 else 24, memories=memories)
    build = ensure(source, output=folder / f"build{which}", options=options)
    export(build, folder / f"ip{which}")
    return build, folder / f"ip{which}"


@cache
def facts(which: int = 0) -> Exported:
    """What a block is written from."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return exported(made(Path(folder), which)[0])


def wide(width: int) -> Exported:
    """The same with images in beats of another width; its Verilog is not."""
    x = facts()
    return replace(x, design=replace(x.design, axis_width=width))


def top(folder: Path) -> Path:
    """Both wrappers in one module; their ports are its own, with a number in front."""
    lines, ports = [], []
    for n in (0, 1):
        x = facts(n)
        for port in x.ports:
            way = {"in": "input", "out": "output"}[port.way]
            ports.append(f"  {way} wire {port.range} n{n}_{port.name}")
        joined = ", ".join(f".{p.name}(n{n}_{p.name})" for p in x.ports)
        lines.append(f"  {x.wrapper} n{n} ({joined});")
    path = folder / "both.v"
    path.write_text(
        "module both (\n{}\n);\n{}\nendmodule\n".format(",\n".join(ports), "\n".join(lines))
    )
    return path


def verilator_env(plain: Plain) -> dict[str, str]:
    """An environment in which ``verilator`` is ours, as docs/integration.md says."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    tool = find("verilator")
    folder = Path(tool.argv[0]).parent
    if "VERILATOR_ROOT" in tool.env:
        root = plain(tool.env["VERILATOR_ROOT"])
        folder = root / "bin"
        kept |= {"VERILATOR_ROOT": str(root), "VERILATOR_BIN": str(folder / "verilator_bin")}
    return kept | {"PATH": f"{folder}:{kept['PATH']}"}
