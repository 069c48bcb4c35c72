"""Clocks a second of the batch model against cocotb, on the same design and the same images.

    python benchmarks/sim_speed.py [--example examples/digits] [--images 500] [--cocotb-images 20]

Both engines run the same tapped Verilog under Verilator, trace every spike, and must return the
same results (checked). Seconds are processor seconds of one core, so that a busy machine does not
decide; building the models is not counted, nor is starting the cocotb simulator (a run of two
images is subtracted). Images are random pixels: clocks do not depend on them.
"""

import argparse
import resource
import time
from typing import Any

import numpy as np
from common import ROOT, table, work_dir, write_results

from sterna.gen.build.stages import Build, ensure, open_build
from sterna.golden.network import Network
from sterna.golden.result import Result, compare
from sterna.sim.simulator import Simulator

LIMIT = 30.0


def images(network: Network, count: int) -> np.ndarray:
    """``count`` random images of the network's input, uint8."""
    node = network.input
    rng = np.random.default_rng(1)
    if node.coding == "frames":
        return rng.integers(0, 2, (network.steps, count, *node.shape), dtype=np.uint8)
    return rng.integers(0, 1 << node.bits, (count, *node.shape), dtype=np.uint8)


def batch_speed(build: Build, many: np.ndarray) -> tuple[Simulator, float]:
    """Clocks a processor second of the batch model."""
    simulator = Simulator(build, "batch", workers=1)
    start = time.process_time()
    simulator.run(many)
    return simulator, simulator.stats["clocks"] / (time.process_time() - start)


def cocotb_speed(build: Build, few: np.ndarray) -> tuple[Result, float]:
    """Clocks a processor second of the cocotb bench, its start subtracted."""
    simulator = Simulator(build, "cocotb")
    axis = 1 if build.network.input.coding == "frames" else 0
    simulator.run(few)  # builds the model
    clocks: list[int] = []
    seconds: list[float] = []
    for part in (np.take(few, [0, 1], axis), few):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = simulator.run(part)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        clocks.append(simulator.stats["clocks"])
    return result, (clocks[1] - clocks[0]) / (seconds[1] - seconds[0])


def measure(example: str, count: int, cocotb_count: int) -> dict[str, Any]:
    """Speed of both engines on one core."""
    source = ROOT / example
    build = ensure(open_build(source, work_dir("sim_speed", source.name)))
    few, many = images(build.network, cocotb_count), images(build.network, count)
    reference, slow = cocotb_speed(build, few)
    simulator, fast = batch_speed(build, many)
    difference = compare(reference, simulator.run(few), names=("cocotb", "batch"))
    if difference is not None:
        raise SystemExit(f"the engines disagree: {difference}")
    convs = [core for core in build.design.cores if core.op == "conv"]
    return {
        "design": source.name,
        "lanes": sum(core.pe * core.simd * core.tp for core in convs),
        "images": {"cocotb": cocotb_count, "batch": count},
        "clocks_per_second": {"cocotb": round(slow), "batch": round(fast)},
        "times_cocotb": round(fast / slow, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", default="examples/digits")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--cocotb-images", type=int, default=20)
    parser.add_argument("--json", help="results file (default: benchmarks/results/sim_speed.json)")
    args = parser.parse_args()
    result = measure(args.example, args.images, args.cocotb_images)
    print(f"simulation of {result['design']}, every spike traced, results equal")
    print(
        table([["engine", "clocks/s of one core"], *map(list, result["clocks_per_second"].items())])
    )
    enough = result["times_cocotb"] >= LIMIT
    print(
        f"batch is {result['times_cocotb']} x cocotb, wanted >= {LIMIT:g}: "
        f"{'yes' if enough else 'NO'}"
    )
    write_results("sim_speed", result, args.json)
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
