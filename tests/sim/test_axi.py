"""The top under cocotbext-axi's masters: stalls, packets of wrong lengths, SLVERR while busy."""

import json

import numpy as np
import pytest

from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.golden.coding import image_bits
from sterna.golden.device.csr import ADDRESS, FLAG_EARLY, FLAG_LATE, ID
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.sim.cocotb_runner import BenchFailed, build_bench, run_bench

BYTES = 18  # of an image in beats of two bytes


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(4)
    return Network(
        2,
        [
            Input("x", (1, 6, 6), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (4, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=np.array([3, 5, 4, 6]))),
            Linear("f", "n", rng.integers(-1, 2, (3, 64))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        "axi",
    )


@pytest.fixture(scope="module")
def program(network):
    folding = {
        "c": {"pe": 1, "simd": 3, "tp": 1, "memory": "ram"},
        "f": {"pe": 1, "simd": 4, "tp": 1, "memory": "ram"},
    }
    top = elaborate(network, fold(network, folding, axis_width=16))
    return build_bench(verilog_text(top, "axi"), "axi")


def result(network, image, flags=0):
    golden = run(network, image[None])
    return [int(golden.classes[0]) | flags << 16, *(int(v) & 0xFFFFFFFF for v in golden.logits[0])]


def job_of(network, count, seed, wrong=True):
    """Packets and what must come of them: of every third something is cut off or put on."""
    rng = np.random.default_rng(seed)
    packets, expected, early, late = [], [], 0, 0
    for n in range(count):
        image = rng.integers(0, 16, (1, 6, 6)).astype(np.uint8)
        data, flags = bytes(image_bits(network.input, image[None], 2)[0]), 0
        if wrong and n % 3 == 1:
            flags, early = FLAG_EARLY, early + 1
            data = data[: 2 * int(rng.integers(1, BYTES // 2))]
            pixels = np.frombuffer(data.ljust(BYTES, b"\0"), np.uint8)
            image = np.stack([pixels & 15, pixels >> 4], 1).reshape(1, 6, 6)
        elif wrong and n % 3 == 2:
            flags, late = FLAG_LATE, late + 1
            data += rng.bytes(2 * int(rng.integers(1, 30)))
        packets.append(data.hex())
        expected.append(result(network, image, flags))
    return {
        "packets": packets,
        "expected": expected,
        "seed": seed,
        "stalls": {},
        "busy_after": 40,
        "idle_reads": [[ADDRESS["id"], ID], [ADDRESS["repeat"], 0]],
        "refused_writes": [
            [ADDRESS["chain_data"], 0xFFFFFFFF],
            [ADDRESS["crc_words"], 1],
            [ADDRESS["id"], 1],
        ],
        "refused_reads": [ADDRESS["chain_data"], 0x0F00],
        "final_reads": [
            [ADDRESS["images"], count],
            [ADDRESS["dropped"], early | late << 16],
            [ADDRESS["status"], 1 | bool(early) << 2 | bool(late) << 3],
        ],
        "timeout_ns": 2_000_000,
    }


def bench(program, job, folder):
    (folder / "job.json").write_text(json.dumps(job))
    run_bench(program, "axi", "sterna.sim.benches.network_axi", folder)


STALLS = {
    "none": {},
    "all": dict.fromkeys(("source", "sink", "aw", "w", "b", "ar", "r"), 0.5),
    "source": {"source": 0.9, "w": 0.8},
    "sink": {"sink": 0.97, "aw": 0.8, "r": 0.9, "b": 0.9},
}


@pytest.mark.parametrize("stalls", STALLS)
def test_results_equal_golden(network, program, stalls, tmp_path):
    job = job_of(network, 24, seed=len(stalls)) | {"stalls": STALLS[stalls]}
    bench(program, job, tmp_path)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"expected": [[0, 1, 2, 3]]}, r"packet 0 is \[.*\], expected \[0, 1, 2, 3\]"),
        ({"expected": [], "final_reads": []}, "a packet too many"),
        ({"refused_reads": [ADDRESS["images"]]}, "read of 0x2c while busy"),
        ({"idle_reads": [[ADDRESS["id"], 0]]}, "register 0x0 is .*, expected 0x0"),
    ],
)
def test_bench_fails_where_it_should(network, program, wrong, message, tmp_path):
    job = job_of(network, 1, seed=3, wrong=False) | wrong
    with pytest.raises(BenchFailed, match=message):
        bench(program, job, tmp_path)
