"""Boards: each is described wholly; what its description lacks is refused or given."""

import re

import pytest

from sterna.gen.boards import BOARDS, board
from sterna.gen.boardtop import TOP, constraints, wrapper
from sterna.gen.pll import setting
from sterna.golden.errors import UsageError

pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed")

NO_UART = {
    "orangecrab-25f": ("io_0:0", "io_0:1"),
    "orangecrab-85f": ("io_0:0", "io_0:1"),
    "butterstick": ("E12", "A13"),
}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_described_wholly(name):
    found = board(name, NO_UART.get(name, ()))
    assert found.family in ("ecp5", "ice40", "xilinx7")
    assert {"clk", "rx", "tx"} <= set(found.pins) <= {"clk", "rx", "tx", "led"}
    sites = [pin.site for pin in found.pins.values()]
    assert len(set(sites)) == len(sites)
    assert all(re.fullmatch(r"[A-Z]{0,2}\d+", site) for site in sites)
    assert found.lut > 5000 and found.bram > 24
    assert 8e6 <= found.clock_hz <= 200e6
    assert found.program[-1] == "FILE"


@pytest.mark.parametrize("name", BOARDS)
def test_constraints_name_every_port_of_the_wrapper_and_no_other(name):
    found = board(name, NO_UART.get(name, ()))
    text = wrapper(found, "inner", setting(found.family, found.clock_hz, 24e6))
    head = re.search(rf"module {TOP}\((.*)\);", text)
    assert head is not None
    ports = {word.split()[1] for word in head[1].split(",")}
    assert ports == set(found.pins)
    _, rules = constraints(found, 24.0)
    for port, pin in found.pins.items():
        line = {
            "ecp5": f'LOCATE COMP "{port}" SITE "{pin.site}";',
            "ice40": f"{port} {pin.site}\n",
            "xilinx7": f"set_property PACKAGE_PIN {pin.site} [get_ports {port}]",
        }[found.family]
        assert line in rules
    assert len(re.findall(r"LOCATE|set_io|PACKAGE_PIN", rules)) == len(ports)


def test_pins_are_those_on_the_board_makers_pages():
    """Sites that the ULX3S constraints file and the iCEBreaker schematic give."""
    ulx3s = board("ulx3s-85f")
    assert {k: p.site for k, p in ulx3s.pins.items()} == {
        "clk": "G2", "rx": "M1", "tx": "L4", "led": "B2"}  # fmt: skip
    icebreaker = board("icebreaker")
    assert {k: p.site for k, p in icebreaker.pins.items()} == {
        "clk": "35", "rx": "6", "tx": "9", "led": "11"}  # fmt: skip
    assert icebreaker.pins["led"].invert and not ulx3s.pins["led"].invert


def test_a_lit_led_is_low_where_the_board_wants_it_low():
    pll = setting("ice40", 12_000_000, 24e6)
    assert "assign led = ~led_on;" in wrapper(board("icebreaker"), "inner", pll)
    pll = setting("ecp5", 25_000_000, 24e6)
    assert "assign led = led_on;" in wrapper(board("ulx3s-25f"), "inner", pll)


def test_connector_pins_are_resolved():
    pins = board("orangecrab-25f", ("io_0:0", "io_0:1")).pins
    assert (pins["rx"].site, pins["tx"].site) == ("N17", "M18")
    assert pins["rx"].attrs == {"IO_TYPE": "LVCMOS33"}


@pytest.mark.parametrize(
    ("name", "uart", "sentence"),
    [
        ("nonsense", (), "no board is called 'nonsense'; choose one of ulx3s-12f"),
        ("orangecrab-25f", (), "has no UART; give the pins of a serial adapter with --uart"),
        ("ulx3s-25f", ("M1",), "--uart takes two different pins"),
        ("ulx3s-25f", ("M1", "M1"), "--uart takes two different pins"),
        ("orangecrab-25f", ("io_0:0", "io_0:99"), "no connector has the pin 'io_0:99'"),
        ("butterstick", ("syzygy_0:S0", "A13"), "is a SYZYGY pin"),
    ],
)
def test_refusals_say_what_to_do(name, uart, sentence):
    with pytest.raises(UsageError) as refused:
        board(name, uart)
    assert sentence in str(refused.value)
