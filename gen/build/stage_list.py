"""The stages of a build, in their order: each makes files from those of the stages before it.

========  ==========================================================================================
fold      network, folding.json and what is asked for -> design.json: `gen.fold.fold` lists its
          steps, which a goal reaches by way of the solver (`gen.fold.solve`)
pack      design.json and the weights -> mem/ and weights.sterna: the rows of every memory
verilog   design.json and the weights -> Verilog, registers and a bench: the top is made of the
          specs that follow from the design, and elaborated
sim       the same -> the Verilog that is simulated
========  ==========================================================================================
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sterna.gen.build.folder import Build
from sterna.gen.build.folding_file import read_folding
from sterna.gen.design.folding import KEYS
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError
from sterna.golden.files.disk import canonical_json
from sterna.golden.words.names import params_name, weights_name

__all__ = ["CHOOSING", "MEMORIES", "MEMORY_FOLDER", "SOLUTION", "STAGES", "Stage"]

CHOOSING = ("folding", "fps", "latency", "luts", "board")
"""Options that say how the network is folded: one given now replaces all of the last time."""
SOLUTION = "solution.json"
MEMORIES = ("inline", "files")
"""Where the contents of memories are: in the Verilog, or in files that it reads."""
MEMORY_FOLDER = "mem/"
"""Of the .mem files, below the build folder."""


@dataclass(frozen=True)
class Stage:
    """``run`` makes of the files ``reads`` of a build, and of options, its files ``writes``."""

    reads: tuple[str, ...]
    run: Callable[[Build, dict[str, Any]], None]
    writes: Callable[[Build], list[str]]


# Each imports what it works with: a build that is fresh needs none of it, and a second to load it.


def _run_fold(build: Build, asked: dict[str, Any]) -> None:
    from sterna.gen.fold.fold import fold
    from sterna.gen.fold.solve import solve
    from sterna.gen.model.cost import fitted

    settings = dict(asked)
    if (build.folder / "folding.json").is_file():
        said = read_folding(build.folder / "folding.json")
        if set(CHOOSING) & set(settings):  # a goal replaces what was chosen, not what it is for
            said = {k: v for k, v in said.items() if k == "family"}
        settings = said | settings
    folding = settings.pop("folding", None)
    if folding is not None and not isinstance(folding, dict):
        raise DesignError(f"folding: give an object: core -> {', '.join(KEYS)}")
    goals = set(CHOOSING) - {"folding"}
    asked_for = {k for k in goals if settings.get(k) is not None}
    family = settings.get("family", "generic")
    # A family without a cost model still gets the fewest lanes for a rate; one that is none is
    # refused there.
    unfitted = family in tuple(FABRICS) and not fitted([family])
    if asked_for and not (asked_for == {"fps"} and unfitted):
        solution = solve(build.network, folding, **settings)
        design, answer = solution.design, canonical_json(solution.as_dict())
    else:
        design, answer = fold(build.network, folding, **settings), None
    build.make_stale("fold")  # only now: a refused fold leaves everything as it was
    build.write("design.json", design.to_json())
    if answer is not None:
        build.write(SOLUTION, answer)
    else:
        build.remove(SOLUTION)


def _run_pack(build: Build, asked: dict[str, Any]) -> None:
    from sterna.gen.verilog.memory_images import mem_texts, memory_images, weights_image

    network, design = build.network, build.design
    images = memory_images(network, design)
    for image in images:
        for suffix, text in mem_texts(image).items():
            build.write(f"{MEMORY_FOLDER}{image.name}{suffix}", text)
    build.write("weights.sterna", weights_image(network, design, images))


def _run_verilog(build: Build, asked: dict[str, Any]) -> None:
    from sterna.gen.verilog.bench import bench_files
    from sterna.gen.verilog.cocotb_bench import cocotb_files
    from sterna.gen.verilog.elaborate import elaborate, verilog_text
    from sterna.gen.verilog.header import header, macro
    from sterna.gen.verilog.memory_files import folder_lines, from_files
    from sterna.gen.verilog.memory_images import memory_images
    from sterna.hw.control.register_files import c_header, csr_json

    network, design, name = build.network, build.design, build.name
    files = asked.get("memories") == "files"
    fixed = [i for i in memory_images(network, design) if i.region is None] if files else []
    if files and not fixed:
        raise DesignError(
            "no memory can be read from a file: all of this design are reloadable, with contents "
            "that a host writes; say --memories inline, or fold with --memory rom"
        )
    top = elaborate(network, design)
    registers = top.control.registers
    head = header(network, design, files=files)
    head += folder_lines(macro(name), MEMORY_FOLDER) if files else ""
    text, read = verilog_text(top, name, head), {}
    if files:
        text, read = from_files(text, name, fixed, f"`{macro(name)}")
        if not read:
            raise DesignError(
                "no memory can be read from a file: each has one row only, which is logic in this "
                "folding; say --memories inline, or fold with fewer PEs"
            )
    texts = {f"{name}.v": text}
    texts["csr.json"] = json.dumps(csr_json(registers), indent=1, sort_keys=True) + "\n"
    texts[f"{name}_csr.h"] = c_header(registers, name)
    texts["filelist.f"] = f"{name}.v\n"
    texts |= cocotb_files(network, design, MEMORY_FOLDER if files else "")
    for path, data in (texts | bench_files(network, design, read, MEMORY_FOLDER)).items():
        build.write(path, data)


def _run_sim(build: Build, asked: dict[str, Any]) -> None:
    """The same design, with its spike streams at extra ports. Who only wants Verilog need not wait
    for it."""
    from sterna.gen.verilog.elaborate import elaborate, verilog_text
    from sterna.gen.verilog.header import header

    network, design = build.network, build.design
    tapped, head = elaborate(network, design, taps=True), header(network, design, taps=True)
    build.write(_taps(build), verilog_text(tapped, build.name, head))


def _taps(build: Build) -> str:
    return f"sim/{build.name}_taps.v"


def _pack_files(build: Build) -> list[str]:
    cores = [c for c in build.design.cores if c.op == "conv"]
    names = [weights_name(c.name) for c in cores if c.constants is None]
    names += [params_name(c.name) for c in cores if c.main]
    suffixes = ("mem", "hex", "coe", "mif")
    return ["weights.sterna", *(f"{MEMORY_FOLDER}{name}.{s}" for name in names for s in suffixes)]


def _verilog_files(build: Build) -> list[str]:
    name = build.name
    return [
        f"{name}.v",
        "csr.json",
        f"{name}_csr.h",
        "filelist.f",
        "vectors.npz",
        f"{name}_tb.v",
        "vectors_in.hex",
        "vectors_out.hex",
        "bench/Makefile",
        f"bench/test_{name}.py",
    ]


STAGES = {
    "fold": Stage(
        ("network.json", "network.safetensors", "folding.json"),
        _run_fold,
        lambda build: ["design.json", *[SOLUTION] * (build.folder / SOLUTION).is_file()],
    ),
    "pack": Stage(("network.json", "network.safetensors", "design.json"), _run_pack, _pack_files),
    "verilog": Stage(
        ("network.json", "network.safetensors", "design.json"), _run_verilog, _verilog_files
    ),
    "sim": Stage(
        ("network.json", "network.safetensors", "design.json"),
        _run_sim,
        lambda build: [_taps(build)],
    ),
}
