"""What it takes to make the files of deep networks of random weights, stage by stage.

    python benchmarks/scale.py [NAME ...] [--profile] [--sim]      # vgg9 vgg16 resnet18 dense16

Each stage is the command that one would type, in a process of its own: processor seconds (user
mode, with those of the programs it starts) and its largest resident memory. Weights and images are
drawn with fixed seeds, so nothing is downloaded. ``--profile``: a cProfile file of each stage, in
the network's folder. ``--sim``: one image through the exact model and the simulated Verilog, too.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import table, work_dir, write_results


def conv(*channels: int) -> list[str]:
    return [f"{c}C3p1" for c in channels]


def residual(channels: int, stride: int) -> list[dict[str, Any]]:
    first = f"{channels}C3s{stride}p1" if stride > 1 else f"{channels}C3p1"
    last = f"{channels}C3p1"
    return [{"residual": [first, last]}, {"residual": [last, last]}]


def dense(layers: int, channels: int, how: str = "DSC") -> dict[str, Any]:
    """A block whose layers read all before them."""
    pairs = [[i, j, how] for j in range(3, layers + 1) for i in range(1, j - 1)]
    return {"block": conv(*[channels] * layers), "skips": pairs}


NETWORKS: dict[str, list[Any]] = {
    "vgg9": [
        *(*conv(64, 64), "P2or", *conv(128, 128), "P2or", *conv(256, 256), "P2or"),
        *("256FC", "FC10"),
    ],
    "vgg16": [
        *(*conv(64, 64), "P2or", *conv(128, 128), "P2or", *conv(256, 256, 256), "P2or"),
        *(*conv(512, 512, 512), "P2or", *conv(512, 512, 512), "P2or", "512FC", "512FC", "FC10"),
    ],
    "resnet18": [
        *(*conv(64), *residual(64, 1), *residual(128, 2), *residual(256, 2), *residual(512, 2)),
        *("P4sum", "FC10"),
    ],
    "dense16": [dense(16, 4), "FC10"],
    "dense16_small": [dense(16, 2), "FC10"],
    "dense16_add": [dense(16, 4, "ASC"), "FC10"],
}
"""Layers of a recipe, for T = 4."""
SIDES = {"dense16_small": 4}
"""Height and width of images, where they are not those of CIFAR-10."""


def shape(name: str) -> list[int]:
    return [3, *[SIDES.get(name, 32)] * 2]


def data(name: str) -> str:
    return "random_" + "x".join(map(str, shape(name)))


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def recipe(name: str) -> str:
    return (
        f'name = "{name}"\ndata = "{data(name)}"\nseed = 1\n\n[network]\nkind = "ternary"\n'
        f"shape = {toml(shape(name))}\nsteps = 4\nlayers = {toml(NETWORKS[name])}\n\n"
        "[[stage]]\nepochs = 1\nsteps = 4\n"
    )


TAPS = """
import sys
from sterna.gen.build.folder import Build
from sterna.gen.verilog.elaborate import elaborate, verilog_text
built = Build({folder!r})
verilog_text(elaborate(built.network, built.design, taps=True), built.network.name)
"""
SIZED = """
import sys
from sterna.gen.build.folder import Build
from sterna.gen.model.buffers import size_buffers
from sterna.gen.model.tokens import TokenModel
run, runs = TokenModel.run, []
TokenModel.run = lambda self, *a, **k: runs.append(1) or run(self, *a, **k)
built = Build({folder!r})
sized = size_buffers(built.network, built.design)
buffers = [b.buffer for b in sized.buffers if b.buffer]
print(len(runs), "runs,", len(buffers), "buffers of",
      sum(b.min_full_rate for b in buffers), "beats,", float(sized.modelled_interval), "clocks")
"""
PROFILED = """
import atexit, cProfile
profile = cProfile.Profile()
profile.enable()
atexit.register(lambda: (profile.disable(), profile.dump_stats("{stage}.prof")))
"""
CLI = "import sys; from sterna.cli import main; sys.exit(main(sys.argv[1:]))"


def stages(name: str, sim: bool) -> list[tuple[str, str, list[str]]]:
    """(name, Python, its arguments) of each stage, in the folder of the network."""
    given = ["--data", data(name)]
    out = [
        ("network", CLI, ["train", "recipe.toml", "-o", "run", "--untrained", *given]),
        ("quantize", CLI, ["quantize", "run", "-o", "built", "--images", "64", *given]),
        ("fold", CLI, ["fold", "built", "--family", "ecp5"]),
        ("sizes", SIZED.format(folder="built"), []),
        ("pack", CLI, ["pack", "built"]),
        ("verilog", CLI, ["verilog", "built"]),
        ("taps", TAPS.format(folder="built"), []),
    ]
    return out + [("sim", CLI, ["sim", "built", "--images", "1", *given])] * sim


def measure(
    command: list[str], folder: Path, log: Path, ended: Callable[[int], None]
) -> tuple[float, float]:
    """(processor seconds in user mode, MiB of memory at most) of a command and what it started."""
    with log.open("wb") as out:
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ | {"OMP_NUM_THREADS": "1", "PWD": str(folder)},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), n) for n in (1, 2)],
        )
        _, status, used = os.wait4(pid, 0)
    ended(os.waitstatus_to_exitcode(status))
    return used.ru_utime, used.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--profile", action="store_true", help="a cProfile file of each stage")
    parser.add_argument("--sim", action="store_true", help="one image, golden against the Verilog")
    parser.add_argument("--from", dest="since", default="network", help="begin with this stage")
    parser.add_argument("--upto", default="", help="end with this stage")
    options = parser.parse_args()
    names = options.names or ["vgg9", "vgg16", "resnet18", "dense16"]
    if unknown := [n for n in names if n not in NETWORKS]:
        parser.error(f"no network {unknown[0]!r}; use {', '.join(NETWORKS)}")
    rows: list[list[Any]] = [["network", "stage", "user s", "MiB", "said"]]
    results: dict[str, Any] = {}
    for name in names:
        folder = work_dir("scale", name)
        if options.since == "network":
            shutil.rmtree(folder)
            folder = work_dir("scale", name)
        (folder / "recipe.toml").write_text(recipe(name))
        os.chdir(folder)
        for stage, code, arguments in _chosen(stages(name, options.sim), options):
            script = folder / f"{stage}.py"
            script.write_text(PROFILED.format(stage=stage) * options.profile + code)
            log = folder / f"{stage}.log"

            def ended(code: int, stage: str = stage, log: Path = log) -> None:
                if code:
                    raise SystemExit(f"{stage} ended with {code}:\n{log.read_text()[-2000:]}")

            command = [sys.executable, str(script), *arguments]
            seconds, memory = measure(command, folder, log, ended)
            said = log.read_text().strip().splitlines()[-1:] if stage in ("sizes", "sim") else []
            rows.append([name, stage, f"{seconds:.1f}", f"{memory:.0f}", *(said or [""])])
            results.setdefault(name, {})[stage] = [round(seconds, 1), round(memory)]
            print(table([rows[0], rows[-1]]).splitlines()[-1], flush=True)
    print(table(rows))
    if not (options.profile or options.upto or options.since != "network" or options.names):
        write_results("scale", results)
    return 0


def _chosen(
    found: list[tuple[str, str, list[str]]], options: argparse.Namespace
) -> list[tuple[str, str, list[str]]]:
    order = [stage for stage, *_ in found]
    last = order.index(options.upto) + 1 if options.upto else len(order)
    return found[order.index(options.since) : last]


if __name__ == "__main__":
    raise SystemExit(main())
