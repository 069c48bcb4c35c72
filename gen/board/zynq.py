"""A Vivado project for a board with a Zynq, whose own processor is the host, by pynq.

``vivado -mode batch -source build.tcl`` in it makes the bitstream of a block design: processor, AXI
DMA, and the network as an exported block (`gen.ip`). Its folder ``board/`` is then all that goes to
the board.
"""

from typing import Any

from sterna.gen.build.folder import Build
from sterna.gen.device.boards import Board
from sterna.gen.ip.exported import Exported, exported
from sterna.gen.ip.folder import block_files
from sterna.golden.files.disk import read_bytes

__all__ = ["write_zynq"]

_COPIED = ("network.json", "network.safetensors", "design.json", "csr.json", "weights.sterna")
"""Of the build, what PynqBoard reads."""
_LARGEST = 1 << 30

_TCL = """\
# Makes board/{name}.bit and .hwh for {board} ({part}):
#   vivado -mode batch -source build.tcl
# Those who wrote this have not run it: there was no Vivado.
set root [file dirname [file normalize [info script]]]
set found [lsort -dictionary [get_board_parts -quiet {{{zynq}:*}}]]
if {{![llength $found]}} {{
  error "Vivado has no board files of {board} ({zynq}): install them from its\\
    board store (Tools > Vivado Store > Boards, or xhub::install), then run this again"
}}
# Those of an earlier run, which must not pass for what this one makes.
foreach kind {{bit hwh}} {{ file delete -force [file join $root board {name}.$kind] }}
set argc 2
set argv [list {part} [lindex $found end]]
source [file join $root ip {name}_block_design.tcl]
foreach kind {{bit hwh}} {{
  file copy -force [file join $root {name}_system.$kind] [file join $root board {name}.$kind]
}}
puts "copy the folder board to the board: [file join $root board]"
"""

_PYTHON = '''\
"""Runs {name} on {board}; in the folder that has {name}.bit, {name}.hwh and the files of its build.

    sudo -E python3 {name}_pynq.py
"""

import time

import numpy as np
import sterna
from sterna.golden.numpyrun import run_arrays

SHAPE = {shape}  # {axes}


def main(count=32):
    with sterna.PynqBoard("{name}.bit", ".") as board:
        print(board.identify())
        {load}
        rng = np.random.default_rng(0)
        images = rng.integers(0, {top}, SHAPE[:{batch}] + (count,) + SHAPE[{batch}:], np.uint8)
        start = time.monotonic()
        result = board.infer(images)
        seconds = time.monotonic() - start
        wanted = run_arrays(sterna.load("."), images)  # the exact model, in numpy
        if (result.logits != wanted.logits).any():
            raise SystemExit(
                "DIFFERENT from the model: do the .bit and this folder belong together? Copy both "
                "from one board/; if they do, report this, please"
            )
        print("equal to the model")
        print(f"{{count / seconds:.0f}} images a second, Python and DMA included")
        print(board.counters())


if __name__ == "__main__":
    main()
'''

_README = """\
{name} on {board} ({part})

1. Here, with Vivado and its board files of {board}:
     vivado -mode batch -source build.tcl
   makes board/{name}.bit and board/{name}.hwh. Nobody of Sterna has run it: there was no Vivado.
2. Copy the folder board to the board, which runs a PYNQ image:
     scp -r board xilinx@pynq:{name}
   Sterna and safetensors are needed there, nothing else. Sterna is installed from a wheel, as
   it may be on no index: `python3 -m pip wheel --no-deps .` in a clone of it makes one, which is
   copied to the board, too. There, without the packages that Sterna asks for elsewhere:
     sudo -E python3 -m pip install safetensors
     sudo -E python3 -m pip install --no-deps --ignore-requires-python sterna-*.whl
3. There, in that folder, as root and in PYNQ's own Python:
     sudo -E python3 {name}_pynq.py

The clock is {mhz:g} MHz, or the nearest that the processor makes of its own; {interval} clocks an
image. One transfer of the DMA is one image: with small images Python, not the design, sets the
pace.
"""


def write_zynq(build: Build, where: Board) -> dict[str, Any]:
    """Write the project into the build's ``vivado_<board>/``; returns what is in it.

    DesignError where the design is folded for another family, or its packets are too long.
    """
    where.check_takes(build.design.family)
    x = exported(build)
    project = f"vivado_{where.name}"
    files: dict[str, bytes] = {f"ip/{name}": data for name, data in block_files(x).items()}
    files |= {f"board/{n}": read_bytes(build.folder / n, _LARGEST) for n in _COPIED}
    texts = {
        "build.tcl": _TCL.format(name=x.module, board=where.name, part=where.part, zynq=where.zynq),
        "README.txt": _README.format(
            name=x.module,
            board=where.name,
            part=where.part,
            mhz=x.clock_mhz,
            interval=x.interval,
        ),
        f"board/{x.module}_pynq.py": _example(x, where),
    }
    files |= {name: text.encode() for name, text in texts.items()}
    with build.held():
        build.workshop(project)
        for folder in ("ip", "board"):
            build.remove_folder(f"{project}/{folder}")
        for name, data in files.items():
            build.write(f"{project}/{name}", data)
    return {
        "board": where.name,
        "part": where.part,
        "family": where.family,
        "project": str(build.folder / project),
        "files": sorted(files),
        "clock_mhz": x.clock_mhz,
        "interval": x.interval,
        "images_per_second": x.clock_mhz * 1e6 / x.interval,
    }


def _example(x: Exported, where: Board) -> str:
    node, frames = x.network.input, x.network.input.coding == "frames"
    shape = (x.network.steps, *node.shape) if frames else node.shape
    loads = "board.load()  # a bitstream starts with the weights it was made of"
    return _PYTHON.format(
        name=x.module,
        board=where.name,
        shape=shape,
        axes="T, C, H, W; images have B behind T" if frames else "C, H, W; images have B before",
        batch=int(frames),
        top=node.top + 1,
        load=loads if x.design.reloadable else "# its weights are built in",
    )
