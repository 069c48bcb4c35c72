"""A core with streams in and out against expected beats: `sterna.sim.cocotb_runner.run_core`."""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sterna.sim.benches.streams import (
    Scoreboard,
    StreamDriver,
    StreamMonitor,
    clocked,
    start_clock,
)

__all__ = ["beats_as_expected"]


@cocotb.test()
async def beats_as_expected(dut: Any) -> None:
    """Every output stream gives exactly the expected beats, and keeps the rules of streams."""
    folder = Path(os.environ["STERNA_BENCH"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    rng = random.Random(job["seed"])
    board = Scoreboard()
    drivers = [
        StreamDriver(dut, _ports(name), _beats(beats), job["in_stall"], rng)
        for name, beats in job["inputs"].items()
    ]
    monitors = [
        StreamMonitor(dut, _ports(name), board.expect(name, _beats(beats)), job["out_stall"], rng)
        for name, beats in job["outputs"].items()
    ]
    for name, value in job["constants"].items():
        getattr(dut, name).value = int(value, 16)
    dut.rst.value = 1
    start_clock(dut)
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0

    def missing() -> str:
        stuck = [
            f"input {name} took {len(driver.taken)} of {len(driver.beats)} beats"
            for name, driver in zip(job["inputs"], drivers, strict=True)
            if not driver.done
        ]
        return "; ".join([*stuck, board.missing()])

    clocks = await clocked(
        dut,
        drivers,
        monitors,
        lambda: board.done and all(d.done for d in drivers),
        missing,
        job["watchdog"],
        job["drain"],
    )
    report = {
        "clocks": clocks,
        "taken": {n: d.taken for n, d in zip(job["inputs"], drivers, strict=True)},
        "given": {n: m.given for n, m in zip(job["outputs"], monitors, strict=True)},
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def _ports(stream: str) -> list[str]:
    return [f"{stream}_{part}" for part in ("_valid", "_ready", "_payload")]


def _beats(values: list[str]) -> list[tuple[int, ...]]:
    return [(int(value, 16),) for value in values]
