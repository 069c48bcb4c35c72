"""Small networks as exported blocks, in folders as `sterna export` makes them."""

from pathlib import Path
from typing import Any

import numpy as np
from smallcores import trits

from sterna.gen.build.stages import Build, Options, ensure
from sterna.gen.ip.amaranth_core import amaranth_core
from sterna.gen.ip.exported import Exported, exported
from sterna.gen.ip.litex_core import litex_core
from sterna.gen.ip.wrapper import wrapper
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule
from sterna.sim.verilate import Port
from sterna.sim.waves.sampler import Sampler

__all__ = ["block_of", "lay_out", "small", "through", "whole"]


def small(name: str, coding: str = "direct", classes: int = 3) -> Network:
    """A readout alone, over a map of 2 x 3 x 4: what is compiled is mostly its ends."""
    nodes = [
        Input("x", (2, 3, 4), coding, **({"bits": 5} if coding == "direct" else {})),
        Linear("f", "x", trits(classes, 24)),
        Readout("r", ("f",), NeuronRule(np.zeros(classes, int), "none")),
    ]
    return Network(3, nodes, name)


def block_of(network: Network, folder: Path, **options: Any) -> tuple[Build, Exported]:
    """Its build in ``folder``, and what is exported of it."""
    network.save(folder)
    build = ensure(folder, "verilog", Options(**options), folder)
    return build, exported(build)


def whole(block: Exported) -> str:
    """The Verilog of the wrapper and all below it."""
    return block.verilog + wrapper(block)


def lay_out(block: Exported, folder: Path) -> Path:
    """The files that its modules of Python need, and these."""
    (folder / "mem").mkdir(parents=True, exist_ok=True)
    texts = {
        f"{block.module}.v": block.verilog,
        f"{block.wrapper}.v": wrapper(block),
        f"{block.module}_amaranth.py": amaranth_core(block),
        f"{block.module}_litex.py": litex_core(block),
        **{f"mem/{name}": text for name, text in block.memories.items()},
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def through(
    verilog: str, found: list[Port], blocks: dict[str, Exported], clock: str, reset: str
) -> dict[str, list[list[int]]]:
    """The first two images of each block's bench through a top that has, of each, the ports
    ``NAME_in_*`` and ``NAME_out_*`` of its streams; the packets that come out."""
    top = Sampler(verilog, "top", found, clock)
    top.values[reset] = 1
    for _ in range(4):
        top.step()
    top.values[reset] = 0
    words: dict[str, list[tuple[int, int]]] = {}
    for name, block in blocks.items():
        sent = block.vectors[0][:2].reshape(2 * block.image_beats, -1)
        values = [int.from_bytes(row.tobytes(), "little") for row in sent]
        last = [int(k % block.image_beats == block.image_beats - 1) for k in range(len(values))]
        words[name] = list(zip(values, last, strict=True))
        top.values[f"{name}_out_ready"] = 1
    out: dict[str, list[list[int]]] = {name: [[]] for name in blocks}
    for _ in range(20_000):
        for name in blocks:
            data, last = words[name][0] if words[name] else (0, 0)
            top.values[f"{name}_in_valid"] = int(bool(words[name]))
            top.values |= {f"{name}_in_data": data, f"{name}_in_last": last}
        seen = top.step()
        for name in blocks:
            if seen[f"{name}_in_valid"] and seen[f"{name}_in_ready"]:
                words[name].pop(0)
            if seen[f"{name}_out_valid"]:
                out[name][-1].append(seen[f"{name}_out_data"])
                if seen[f"{name}_out_last"]:
                    out[name].append([])
        if all(len(packets) == 3 for packets in out.values()):
            return {name: packets[:-1] for name, packets in out.items()}
    raise AssertionError(f"no results: {out}")
