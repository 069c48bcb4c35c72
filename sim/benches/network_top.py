"""A whole network's top: images in, packets out, taps recorded; registers written before.

Started by :func:`sterna.sim.cocotb_runner.run_network`. Where expected beats and packets are given
they are checked as they come, so a failure names the clock it happened in.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from sterna.sim.benches.streams import StreamDriver, StreamMonitor, clocked, start_clock

__all__ = ["images_give_expected_packets"]


class _Recorder:
    """Keeps the beats of one stream, and checks them where they are known beforehand."""

    def __init__(self, name: str, total: int, size: int, expected: np.ndarray | None):
        self.name, self.total, self.expected = name, total, expected
        self.data = np.zeros((total, size), np.uint8)
        self.count = 0

    def beat(self, index: int, payload: tuple[int, ...]) -> None:
        assert index < self.total, f"{self.name} has more than {self.total} beats"
        raw = payload[0].to_bytes(self.data.shape[1], "little")
        self.data[index] = np.frombuffer(raw, np.uint8)
        if self.expected is not None:
            known = self.expected[index].tobytes()
            assert raw == known, (
                f"beat {index} of {self.name} is 0x{raw[::-1].hex()}, "
                f"expected 0x{known[::-1].hex()}"
            )
        self.count += 1


class _Packets(_Recorder):
    """Output words, with TLAST on the last of each packet."""

    def __init__(self, words: int, packets: int, expected: np.ndarray | None):
        super().__init__("m_axis", words * packets, 4, expected)
        self.words = words

    def beat(self, index: int, payload: tuple[int, ...]) -> None:
        last = (index + 1) % self.words == 0
        assert bool(payload[1]) == last, (
            f"TLAST of output word {index % self.words} of image {index // self.words} "
            f"is {payload[1]}"
        )
        super().beat(index, payload[:1])


@cocotb.test()
async def images_give_expected_packets(dut: Any) -> None:
    """Every image gives one packet, every tap its beats; all equal what is expected, if given."""
    folder = Path(os.environ["STERNA_BENCH"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    data = np.load(folder / "data.npz", allow_pickle=False)
    images = data["images"]  # [B, words, word_bytes]
    rng = random.Random(job["seed"])
    count, words = images.shape[:2]

    beats = [
        (int.from_bytes(image[k].tobytes(), "little"), int(k == words - 1))
        for image in images
        for k in range(words)
    ]
    axis = ("tvalid", "tready", "tdata", "tlast")
    driver = StreamDriver(dut, [f"s_axis_{p}" for p in axis], beats, job["in_stall"], rng)
    packets = _Packets(job["words_out"], count, _known(data, "packets"))
    recorders: list[_Recorder] = [packets]
    monitors = [
        StreamMonitor(dut, [f"m_axis_{p}" for p in axis], packets.beat, job["out_stall"], rng)
    ]
    for tap in job["taps"]:
        node = tap["node"]
        recorder = _Recorder(
            f"tap '{node}'", count * tap["beats"], tap["beat_bytes"], _known(data, f"tap_{node}")
        )
        names = [f"tap_{node}_{part}" for part in ("valid", "ready", "data")]
        recorders.append(recorder)
        monitors.append(StreamMonitor(dut, names, recorder.beat, None, rng))

    await _reset(dut)
    for address, value in job["writes"]:
        await _axil_write(dut, address, value)

    def missing() -> str:
        parts = [f"{r.name} has {r.count} of {r.total} beats" for r in recorders]
        return "; ".join([f"input took {len(driver.taken)} of {len(beats)} words", *parts])

    start = time.perf_counter()
    clocks = await clocked(
        dut,
        [driver],
        monitors,
        lambda: all(r.count == r.total for r in recorders),
        missing,
        job["watchdog"],
        job["drain"],
    )
    taken = np.array(driver.taken, np.int64).reshape(count, words)
    given = np.array(monitors[0].given, np.int64).reshape(count, job["words_out"])
    out = {f"tap_{tap['node']}": r.data for tap, r in zip(job["taps"], recorders[1:], strict=True)}
    np.savez(
        folder / "out.npz",
        packets=packets.data,
        clocks=np.stack([taken[:, 0], taken[:, -1], given[:, 0], given[:, -1]], axis=1),
        clocks_run=np.int64(clocks),
        seconds=np.float64(time.perf_counter() - start),
        **out,  # type: ignore[arg-type]
    )


def _known(data: Any, name: str) -> np.ndarray | None:
    return data[name] if name in data.files else None


async def _reset(dut: Any) -> None:
    dut.rst.value = 1
    if hasattr(dut, "s_axil_awvalid"):
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
    start_clock(dut)
    for _ in range(8):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def _axil_write(dut: Any, address: int, value: int) -> None:
    """One AXI4-Lite write; fails unless it is answered with OKAY."""
    left = {"aw": True, "w": True}
    await FallingEdge(dut.clk)
    dut.s_axil_awaddr.value = address
    dut.s_axil_wdata.value = value
    dut.s_axil_wstrb.value = 15
    dut.s_axil_bready.value = 1
    for _ in range(10_000):
        for channel, wanted in left.items():
            getattr(dut, f"s_axil_{channel}valid").value = int(wanted)
        await ReadOnly()
        taken = [c for c in left if left[c] and getattr(dut, f"s_axil_{c}ready").value]
        answered, answer = bool(dut.s_axil_bvalid.value), int(dut.s_axil_bresp.value)
        await FallingEdge(dut.clk)
        left |= dict.fromkeys(taken, False)
        if answered:
            dut.s_axil_bready.value = 0
            assert answer == 0, f"write of 0x{address:x} was answered with {answer}"
            return
    raise AssertionError(f"write of 0x{address:x} was not answered")
