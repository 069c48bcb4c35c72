"""A network's top driven by cocotbext-axi: an independent idea of what AXI is.

``$STERNA_BENCH/job.json`` has the packets to send (hex, of any length), the packets that must come
back (words), and registers to read and to write while an image is in flight.
"""

import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamSink,
    AxiStreamSource,
)

from sterna.sim.benches.streams import start_clock

__all__ = ["packets_give_expected_results"]


class _Bench:
    """The three masters of the top's ports, in reset."""

    def __init__(self, dut: Any, job: dict[str, Any]):
        self.dut, self.job = dut, job
        dut.rst.value = 1
        start_clock(dut)
        args = dut.clk, dut.rst
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *args)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *args)
        self.registers: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *args)
        bus = self.registers
        for name, end in (
            ("source", self.source),
            ("sink", self.sink),
            ("aw", bus.write_if.aw_channel),
            ("w", bus.write_if.w_channel),
            ("b", bus.write_if.b_channel),
            ("ar", bus.read_if.ar_channel),
            ("r", bus.read_if.r_channel),
        ):
            end.set_pause_generator(self._pauses(job["stalls"].get(name, 0.0), name))

    def _pauses(self, chance: float, name: str) -> Iterator[bool]:
        rng = random.Random(f"{self.job['seed']} {name}")
        return (rng.random() < chance for _ in itertools.count())

    async def release(self) -> None:
        for _ in range(8):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def read(self, address: int) -> tuple[int, AxiResp]:
        answer = await self.registers.read(address, 4)
        return int.from_bytes(answer.data, "little"), AxiResp(answer.resp)

    async def write(self, address: int, word: int) -> AxiResp:
        answer = await self.registers.write(address, word.to_bytes(4, "little"))
        return AxiResp(answer.resp)


@cocotb.test()
async def packets_give_expected_results(dut: Any) -> None:
    """Packets of right and wrong lengths, with accesses that must be refused between them."""
    folder = Path(os.environ["STERNA_BENCH"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    bench = _Bench(dut, job)
    await bench.release()
    for address, word in job["idle_reads"]:
        got = await bench.read(address)
        assert got == (word, AxiResp.OKAY), f"register {address:#x} is {got}, expected {word:#x}"
    for packet in job["packets"]:
        bench.source.send_nowait(bytes.fromhex(packet))
    for _ in range(job["busy_after"]):
        await FallingEdge(dut.clk)
    for address, word in job["refused_writes"]:
        resp = await bench.write(address, word)
        assert resp == AxiResp.SLVERR, f"write of {address:#x} while busy"
    for address in job["refused_reads"]:
        resp = (await bench.read(address))[1]
        assert resp == AxiResp.SLVERR, f"read of {address:#x} while busy"
    for number, words in enumerate(job["expected"]):
        frame = await with_timeout(bench.sink.recv(), job["timeout_ns"], "ns")
        data = bytes(frame.tdata)
        got = [int.from_bytes(data[k : k + 4], "little") for k in range(0, len(data), 4)]
        assert got == words, f"packet {number} is {got}, expected {words}"
    for address, word in job["final_reads"]:
        got = await bench.read(address)
        assert got == (word, AxiResp.OKAY), f"register {address:#x} is {got}, expected {word:#x}"
    for _ in range(3000):
        await FallingEdge(dut.clk)
    assert bench.sink.empty(), "a packet too many"
