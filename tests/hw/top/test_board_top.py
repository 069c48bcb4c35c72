"""The board's top: what link_spec chooses, ports, and images in and out through the UART's pins."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator
from streamtest import refusal

from sterna.gen.fold.fold import fold
from sterna.gen.tools.yosys import module_ports
from sterna.gen.verilog.elaborate import filled_spec, verilog_text
from sterna.golden.coding import image_bits
from sterna.golden.device.csr import ADDRESS, ID
from sterna.golden.device.link import BoardFrame, HostFrame, Identity, ToBoard, ToHost, unwire
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.top.board_top import BoardTop, link_spec

DIVISOR = 4


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(1)
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d("c", "x", rng.integers(-1, 2, (2, 1, 3, 3))),
            Neuron("n", ("c",), NeuronRule(threshold=np.array([3, 5]))),
            Linear("f", "n", rng.integers(-1, 2, (3, 8))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(3, int), reset="none")),
        ],
        "tiny",
    )


@pytest.fixture(scope="module")
def spec(network):
    folding = {"c": {"pe": 1, "simd": 3, "tp": 1}, "f": {"pe": 1, "simd": 2, "tp": 1}}
    return filled_spec(network, fold(network, folding, axis_width=16))


def test_link_spec_fits_the_family(spec):
    small, large = link_spec(spec, "ice40", 12), link_spec(spec, "ecp5", 25)
    assert (small.image_bytes, small.classes, small.axis_width) == (8, 3, 16)
    assert (small.buffer, small.slots, small.divisor) == (2048, 32, 12)
    assert (large.buffer, large.slots, large.divisor) == (4096, 64, 25)
    ten, many = replace(spec, classes=10), replace(spec, classes=1000)
    assert [link_spec(ten, f, 4).slots for f in ("ice40", "ecp5", "xilinx7")] == [8, 16, 16]
    assert link_spec(many, "ice40", 4).slots == 2
    assert link_spec(spec, "ecp5", 4, buffer=512, slots=8).identity == Identity(
        spec.structure_id, 8, 3, 511, 8
    )
    odd = replace(spec, height=3, width=3, axis_width=32)  # 36 bits: two beats of four bytes
    assert link_spec(odd, "ecp5", 4).image_bytes == 8


def test_refusals(spec):
    assert refusal(lambda: link_spec(spec, "max10", 4)) == (
        "no link for family 'max10'; use one of ecp5, xilinx7, ice40"
    )
    link = link_spec(spec, "ecp5", 4)
    assert refusal(lambda: BoardTop(spec, replace(link, classes=4))) == (
        "the link is for classes 4 and the network has 3; use link_spec(top)"
    )
    assert "image_bytes 10 and the network has 8" in refusal(
        lambda: BoardTop(spec, replace(link, image_bytes=10))
    )


def test_ports(spec):
    text = verilog_text(BoardTop(spec, link_spec(spec, "ice40", 12)), "board")
    names = [name for _, name, _ in module_ports(text, "board")]
    assert names[:4] == ["clk", "rst", "uart_clk", "uart_rst"]
    assert sorted(names[4:]) == ["led", "rx", "tx"]


def test_every_synchroniser_is_marked_for_vivado(spec):
    text = verilog_text(BoardTop(spec, link_spec(spec, "ecp5", 25)), "board")
    found = re.findall(r"^ *(.*)\n *reg (\w+_stage[01]) = 1'h[01];", text, re.M)
    names = [f"{n}_stage{k}" for n in ("line", "seen", "asked", "taken") for k in (0, 1)]
    assert sorted(name for _, name in found) == sorted(names)
    assert {attributes for attributes, _ in found} == {'(* ASYNC_REG = "TRUE" *)'}
    assert len(re.findall(r"output \w+_stage", text)) == 0


def test_an_image_through_the_pins(network, spec):
    """The only test in Amaranth's own simulator; sim/ runs boards thousands of times faster."""
    board = BoardTop(spec, link_spec(spec, "ecp5", DIVISOR))
    images = np.random.default_rng(2).integers(0, 16, (2, 1, 4, 4)).astype(np.uint8)
    golden = run(network, images)
    rows = image_bits(network.input, images, 2)
    frames = []

    async def host(ctx):
        async def send(kind, seq=0, body=b""):
            for byte in HostFrame(kind, 5, seq, 0, body).pack():
                for bit in [0, *(byte >> k & 1 for k in range(8)), 1]:
                    ctx.set(board.rx, bit)
                    await ctx.tick("uart").repeat(DIVISOR)

        async def until(kind, count=1):
            for _ in range(400):
                if sum(f.kind == kind for f in frames) >= count:
                    return
                await ctx.tick("uart").repeat(100)
            raise AssertionError(f"no {kind!r} in {frames}")

        await ctx.tick("uart").repeat(50)
        await send(ToBoard.HELLO, body=b"\1")
        await until(ToHost.IDENTITY)
        await send(ToBoard.READ, 0, ADDRESS["id"].to_bytes(2, "little") + b"\1")
        for n, row in enumerate(rows):
            await send(ToBoard.IMAGE, n + 1, bytes(row))
        await until(ToHost.ANSWER)
        await until(ToHost.RESULT, 2)

    async def line(ctx):
        content = bytearray()
        while True:
            await ctx.tick("uart").until(~board.tx)
            await ctx.tick("uart").repeat(DIVISOR // 2 - 1)
            byte = 0
            for k in range(9):
                await ctx.tick("uart").repeat(DIVISOR)
                byte |= ctx.get(board.tx) << k
            assert byte >> 8, "no stop bit"
            if byte & 255:
                content.append(byte & 255)
            else:
                frames.append(BoardFrame.parse(unwire(bytes(content))))
                content.clear()

    simulator = Simulator(board)
    simulator.add_clock(1e-6, domain="uart")
    simulator.add_clock(0.7e-6, domain="sync")
    simulator.add_testbench(host)
    simulator.add_testbench(line, background=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()
    (identity,) = (f for f in frames if f.kind == ToHost.IDENTITY)
    assert Identity.parse(identity.body) == board.spec.identity
    (answer,) = (f for f in frames if f.kind == ToHost.ANSWER)
    assert answer.words == (ID,)
    results = [f.words for f in frames if f.kind == ToHost.RESULT]
    assert [w[0] & 0xFFFF for w in results] == golden.classes.tolist()
    assert (np.array([w[1:] for w in results], np.uint32).view(np.int32) == golden.logits).all()
