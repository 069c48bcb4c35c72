"""Boards: each is described wholly; what its description lacks is refused or given."""

import re

import pytest

from sterna.gen.board.pins import LOCK_CLOCKS, TOP, constraints, wrapper
from sterna.gen.device.boards import BOARDS, board, chip_of
from sterna.gen.device.pll import setting
from sterna.golden.errors import UsageError
from sterna.sim.pyverilator_lib import open_model

pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed")

NO_UART = {
    "orangecrab-25f": ("io_0:0", "io_0:1"),
    "orangecrab-85f": ("io_0:0", "io_0:1"),
    "butterstick": ("E12", "A13"),
}
WIRED = [name for name in BOARDS if not name.startswith(("pynq", "zybo"))]  # these have no pins


@pytest.mark.parametrize("name", WIRED)
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


@pytest.mark.parametrize("name", WIRED)
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
        "clk": "G2",
        "rx": "M1",
        "tx": "L4",
        "led": "B2",
    }
    icebreaker = board("icebreaker")
    assert {k: p.site for k, p in icebreaker.pins.items()} == {
        "clk": "35",
        "rx": "6",
        "tx": "9",
        "led": "11",
    }
    assert icebreaker.pins["led"].invert and not ulx3s.pins["led"].invert


def test_a_lit_led_is_low_where_the_board_wants_it_low():
    pll = setting("ice40", 12_000_000, 24e6)
    assert "assign led = ~led_on;" in wrapper(board("icebreaker"), "inner", pll)
    pll = setting("ecp5", 25_000_000, 24e6)
    assert "assign led = led_on;" in wrapper(board("ulx3s-25f"), "inner", pll)


# The wrapper around a PLL whose lock is the pin rx, and a board that shows its resets.
_LOCK = """
module inner(input clk, input rst, input uart_clk, input uart_rst, input rx, output tx, output led);
  assign tx = uart_rst;
  assign led = rst;
endmodule
module EHXPLLL(input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP,
  PHASELOADREG, PLLWAKESYNC, ENCLKOP, output CLKOP, CLKOS, CLKINTFB, LOCK);
  parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "";
  parameter OUTDIVIDER_MUXA = "", OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "";
  parameter FEEDBK_PATH = "", CLKOP_ENABLE = "", CLKOS_ENABLE = "";
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
  parameter CLKOS_DIV = 1, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0;
  assign CLKOP = CLKI, CLKOS = CLKI, CLKINTFB = CLKI, LOCK = 1'b0;
endmodule
module bench(clk, lock, rst, uart_rst);
  input clk;
  input lock;
  output rst;
  output uart_rst;
  pins pins (.clk(clk), .rx(lock), .tx(uart_rst), .led(rst));
endmodule
"""


def _lock_model():
    where = board("ulx3s-85f")
    text = wrapper(where, "inner", setting("ecp5", 25_000_000, 60e6))
    text = text.replace(".LOCK(locked)", ".LOCK()").replace(TOP, "pins")
    text = text.replace("wire loop, locked;", "wire loop, locked = rx;")
    return open_model(_LOCK + text, "bench")


def test_reset_ends_only_when_lock_has_lasted_and_any_glitch_begins_it_anew():
    model = _lock_model()

    def clocks(count: int, lock: int) -> set[tuple[int, int]]:
        seen = set()
        for _ in range(count):
            model.io.lock = lock
            model.clock.tick()
            seen.add((int(model.io.rst), int(model.io.uart_rst)))
        return seen

    assert clocks(20, 0) == {(1, 1)}
    assert clocks(LOCK_CLOCKS, 1) == {(1, 1)}
    assert clocks(3, 1) == {(1, 1), (0, 0)}
    assert clocks(50, 1) == {(0, 0)}
    assert clocks(1, 0) == {(1, 1)}
    for _ in range(3):  # a lock that comes and goes
        assert clocks(LOCK_CLOCKS - 1, 1) == {(1, 1)}
        assert clocks(1, 0) == {(1, 1)}
    assert clocks(LOCK_CLOCKS, 1) == {(1, 1)}
    clocks(3, 1)
    assert clocks(10, 1) == {(0, 0)}


def test_the_resets_of_every_wrapper_wait_and_are_marked():
    for name in ("ulx3s-25f", "icebreaker", "arty-a7-35"):
        found = board(name)
        for pll in (setting(found.family, found.clock_hz, 24e6), None):
            text = wrapper(found, "inner", pll)
            assert '(* ASYNC_REG = "TRUE" *) reg [1:0] reset_sync' in text
            assert f"reg [{LOCK_CLOCKS.bit_length() - 1}:0] lasted" in text
            assert text.count("negedge steady") == 2 and text.count("negedge locked") == 1


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


def test_a_chip_needs_no_uart() -> None:
    silent = [name for name in BOARDS if not _has_uart(name)]
    assert "orangecrab-25f" in silent and "icebreaker" not in silent
    for name in BOARDS:
        found = chip_of(name)
        sizes = found.sizes
        assert sizes["luts"] == found.lut and sizes["bram"] == found.bram
        assert sizes["ff"] == found.lut * (2 if found.family == "xilinx7" else 1)
    assert vars(chip_of("icebreaker")).items() <= vars(board("icebreaker")).items()


def _has_uart(name: str) -> bool:
    try:
        return bool(board(name))
    except UsageError:
        return False
