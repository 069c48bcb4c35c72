"""Between a board's pins and the board top: clock, resets and constraints, as text for the tools.

The wrapper is plain Verilog around ``BoardTop`` (ports clk rst uart_clk uart_rst rx tx led): a PLL
makes ``clk`` from the oscillator, which is ``uart_clk`` itself, so the baud rate does not depend on
the frequency that place and route reached. Both resets are held until the PLL has been locked for
`LOCK_CLOCKS` clocks of the oscillator on end (a PLL's lock comes and goes while it settles; without
a PLL: as long after power-on). Any loss of lock, however short, resets both at once and begins the
wait anew. They are released at an edge of their own clock.
"""

from sterna.gen.device.boards import Board
from sterna.gen.device.family import family_of
from sterna.gen.device.pll import PllSetting

__all__ = ["LOCK_CLOCKS", "TOP", "constraints", "wrapper"]

TOP = "sterna_pins"
"""Name of the wrapper's module."""

LOCK_CLOCKS = 1024
"""Clocks of the oscillator for which a PLL must have been locked: a power of two."""

_NO_PLL = """\
  wire locked = 1'b1;
  assign clk_sync = clk;
  assign clk_uart = clk;
"""
_WRAPPER = """\
// The pins of {board} ({part}): sync clock {mhz:.4f} MHz{pll_note}.
module {top}({ports});
  wire clk_sync, clk_uart;
{clocks}
  // Lock must have lasted. It may come in any phase: only the lowest bit can then be hit by it, and
  // has settled long before the highest one counts.
  reg [{lock_bits}:0] lasted = {lock_width}'d0;
  wire steady = lasted[{lock_bits}];
  always @(posedge clk_uart or negedge locked)
    if (!locked) lasted <= {lock_width}'d0; else if (!steady) lasted <= lasted + {lock_width}'d1;

  // Asserted at once without lock, released at an edge of the clock it is for.
  (* ASYNC_REG = "TRUE" *) reg [1:0] reset_sync = 2'b11, reset_uart = 2'b11;
  always @(posedge clk_sync or negedge steady)
    if (!steady) reset_sync <= 2'b11; else reset_sync <= {{reset_sync[0], 1'b0}};
  always @(posedge clk_uart or negedge steady)
    if (!steady) reset_uart <= 2'b11; else reset_uart <= {{reset_uart[0], 1'b0}};

  wire led_on, tx_out;
  {inner} board (
    .clk(clk_sync), .rst(reset_sync[1]), .uart_clk(clk_uart), .uart_rst(reset_uart[1]),
    .rx({rx}rx), .tx(tx_out), .led(led_on)
  );
{led}  assign tx = {tx}tx_out;
endmodule
"""


def wrapper(board: Board, inner: str, pll: PllSetting | None) -> str:
    """Verilog of module `TOP`, whose ports are the board's pins, around module ``inner``.

    pll: None runs both domains from the oscillator.
    """
    clocks, made_by = _NO_PLL, family_of(board.family).pll
    if pll is not None and made_by is not None:
        clocks = made_by.verilog.format(period=1e9 / board.clock_hz, **pll.parameters)
    sign = {port: "~" if pin.invert else "" for port, pin in board.pins.items()}
    led = f"  assign led = {sign['led']}led_on;\n" if "led" in sign else ""
    return _WRAPPER.format(
        board=board.name,
        part=board.part,
        top=TOP,
        inner=inner,
        clocks=clocks,
        rx=sign["rx"],
        tx=sign["tx"],
        led=led,
        lock_bits=LOCK_CLOCKS.bit_length() - 1,
        lock_width=LOCK_CLOCKS.bit_length(),
        ports="input clk, input rx, output tx" + (", output led" if led else ""),
        mhz=pll.mhz if pll else board.clock_mhz,
        pll_note=f" from {board.clock_mhz:g} MHz" if pll else ", the oscillator itself",
    )


def constraints(board: Board, target_mhz: float, pll: bool = True) -> tuple[str, str]:
    """(suffix, text) of the family's constraints: pins, I/O standards, clocks. ``target_mhz``: what
    place and route aims at for the sync clock (7-series tools derive it from the MMCM)."""
    return _CONSTRAINTS[family_of(board.family).constraints](board, target_mhz, pll)


def _lpf(board: Board, target_mhz: float, pll: bool) -> tuple[str, str]:
    lines = ["BLOCK RESETPATHS;", "BLOCK ASYNCPATHS;"]
    for port, pin in board.pins.items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
        if pin.attrs:
            attrs = " ".join(f"{k}={v}" for k, v in pin.attrs.items())
            lines.append(f'IOBUF PORT "{port}" {attrs};')
    lines.append(f'FREQUENCY PORT "clk" {board.clock_mhz:.6f} MHZ;')
    if pll:
        lines.append(f'FREQUENCY NET "clk_sync" {target_mhz:.6f} MHZ;')
    return ".lpf", "\n".join(lines) + "\n"


def _pcf(board: Board, target_mhz: float, pll: bool) -> tuple[str, str]:
    # The UP5K has 3.3 V banks; of the attributes only the pull-up means something to nextpnr.
    lines = [
        f"set_io{' -pullup yes' if pin.attrs.get('PULLUP') == '1' else ''} {port} {pin.site}"
        for port, pin in board.pins.items()
    ]
    # The clocks have no lasting names here: nextpnr is told one goal for all.
    return ".pcf", "\n".join(lines) + "\n"


def _xdc(board: Board, target_mhz: float, pll: bool) -> tuple[str, str]:
    lines = []
    for port, pin in board.pins.items():
        lines.append(f"set_property PACKAGE_PIN {pin.site} [get_ports {port}]")
        lines += [f"set_property {k} {v} [get_ports {port}]" for k, v in pin.attrs.items()]
    lines += [
        f"create_clock -name clk -period {1e9 / board.clock_hz:.3f} [get_ports clk]",
        "# The domains meet in synchronisers only; the pins are far slower than any clock.",
        "set_clock_groups -asynchronous -group [get_clocks clk] "
        "-group [get_clocks -of_objects [get_pins pll/CLKOUT0]]",
        "set_false_path -from [get_ports rx]",
        "set_false_path -to [all_outputs]",
    ]
    return ".xdc", "\n".join(lines) + "\n"


_CONSTRAINTS = {".lpf": _lpf, ".pcf": _pcf, ".xdc": _xdc}
