"""The table of whole designs: what it counts, and what follows from a count."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
from repo import EXAMPLES

from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.memory.shape import MemoryShape


def test_synapses_count_at_every_pixel_and_step():
    ones = lambda n, **more: NeuronRule(np.ones(n, np.int32), **more)  # noqa: E731
    network = Network(
        steps=3,
        nodes=[
            Input("image", shape=(2, 6, 5), coding="frames"),
            Conv2d(
                "conv",
                "image",
                np.ones((4, 1, 3, 3), np.int8),
                (1, 2),
                (1, 1, 1, 1),
                groups=2,
                kind="binary",
            ),
            Neuron("spikes", ["conv"], ones(4)),
            Linear("fc", "spikes", np.ones((10, 4 * 6 * 3), np.int8), kind="binary"),
            Readout("out", ["fc"], ones(10, reset="none"), "membrane", scale=1.0),
        ],
    )
    # 4 channels of 9 weights at 6 x 3 pixels, then 10 classes of 72 inputs, three times each
    assert networks.synapses(network) == 3 * (4 * 9 * 18 + 10 * 72)


def test_figures_follow_from_the_counts():
    row = {
        "logic": 1800,
        "lutram": 200,
        "lanes": 500,
        "clocks": 10_000,
        "synapses": 3_000_000,
        "target": "xilinx7",
        "bram": 2.5,
        "bram_bits": 61_440,
        "bram_least": 2.0,
    }
    found = networks.derived(row)
    assert (found["luts"], found["lut_per_lane"]) == (2000, 4.0)
    assert found["images"] == 10_000 and found["images_per_klut"] == 5_000
    assert found["bram_ratio"] == pytest.approx(1.5) and found["bram_fill"] == 1.25
    assert found["gsop_per_klut"] == pytest.approx(15.0)  # 30 GSOP/s on two thousand LUTs


def test_a_memory_needs_blocks_for_its_bits_or_for_those_it_reads_at_once(monkeypatch):
    class Part:
        memories = (
            MemoryShape(144, 64, "rom", "block"),
            MemoryShape(9, 8192, "rom", "block"),
            MemoryShape(8, 4, "comb"),
        )

    monkeypatch.setattr("sterna.gen.model.features.top_parts", lambda top, family: [Part])
    monkeypatch.setattr("sterna.gen.design.top_spec.top_spec", lambda *_, **__: None)
    design = SimpleNamespace(family="ecp5")
    assert networks.least_blocks(None, design) == 144 / 36 + 9 * 8192 / (18 * 1024)


def test_a_point_of_a_board_is_routed_for_that_board():
    board = networks.Point("mnist", "ecp5", {"board": "ulx3s-85f"})
    assert networks.device_of(board, 20_000) == "85k"
    free = networks.Point("mnist", "ecp5")
    sizes = [networks.device_of(free, n) for n in (20_000, 40_000, 99_999)]
    assert sizes == ["25k", "45k", "85k"]


def test_every_point_is_an_example_and_every_result_a_line():
    for name, point in networks.POINTS.items():
        assert (EXAMPLES / point.example / "network.json").is_file(), name
    row = {
        "example": "mnist",
        "target": "ecp5",
        "steps": 4,
        "clocks": 10_000,
        "lanes": 500,
        "ff": 9,
        "bram": 1.5,
        "bram_bits": 18_432,
        "bram_least": 1.2,
        "weights": "logic, ram",
        "logic": 1800,
        "lutram": 200,
        "luts_estimate": 1950,
        "synapses": 3_000_000,
        "mhz": 101.0,
        "mhz_by_seed": [99.0, 101.0, 102.0],
        "device": "ECP5 25k, speed grade 6",
        "router": "router2",
    }
    row |= networks.derived(row)
    lines = networks.main_table({"mnist": row, "peer_mlp": row | {"lut_packed_estimate": 1234}})
    assert len(lines) == 4
    start = "| `mnist` | ecp5 | 4 | logic, ram | 10,000 | 500 | 2,000 | -2.5% | 200 | 9 | "
    assert lines[2].startswith(start + "1.5 (1.50; 1.25)")
    assert "101.0 (99.0, 101.0, 102.0; 8% of 25k, router2)" in lines[2]
    assert "(1,234 packed)" in lines[3]
    assert "**Sterna `peer_mlp`**" in networks.peer_table({"peer_mlp": row})[-1]
    assert networks.conv8_lines({}) == []
    product = (30_749 + 4 * 704) * 12_623
    assert f"{product / 2e7:.1f} times less" in networks.conv8_lines({"peer_conv8": row})[0]
