"""The PLLs of the families: limits, the settings they can have, and their Verilog.

Limits are the data sheets': ECP5 FPGA-DS-02012 table 3.27, iCE40 FPGA-DS-02008 table 4.16 (UP5K)
and FPGA-DS-02029 (HX), 7-series DS181 (MMCM, the slowest speed grade).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["ECP5_PLL", "ICE40_PLL", "MHZ", "MMCM", "Pll", "Setting"]

MHZ = 1_000_000
Setting = tuple[Fraction, Fraction, Fraction, dict[str, int | float]]
"""Output, phase detector and oscillator in Hz, parameters of the primitive."""


@dataclass(frozen=True)
class Limits:
    """Frequencies in Hz: of the input, behind its divider, of the oscillator, of the output."""

    input: tuple[int, int]
    detector: tuple[int, int]
    vco: tuple[int, int]
    output: tuple[int, int]


def _limits(*mhz: tuple[float, float]) -> Limits:
    return Limits(*((round(low * MHZ), round(high * MHZ)) for low, high in mhz))


@dataclass(frozen=True)
class Pll:
    """search: all settings for an input in Hz, but for the limits of the output. verilog: of the
    primitive and its wires, with its parameters to be filled in and ``{period}`` of the input in
    ns. words: a configuration's text has the dividers by name."""

    limits: Limits
    search: Callable[[Fraction, Limits], Iterator[Setting]]
    verilog: str
    words: bool = False


def _inside(value: Fraction, limits: tuple[int, int]) -> bool:
    return limits[0] <= value <= limits[1]


def _ecp5(input_hz: Fraction, limits: Limits) -> Iterator[Setting]:
    # CLKOP only closes the loop; the clock comes from CLKOS, whose own divider has finer steps.
    for reference in range(1, 129):
        detector = input_hz / reference
        if not _inside(detector, limits.detector):
            continue
        seen = set()
        for feedback in range(1, 81):
            for loop in range(2, 129):
                vco = detector * feedback * loop
                if vco in seen or not _inside(vco, limits.vco):
                    continue
                if not _inside(vco / loop, limits.output):
                    continue
                seen.add(vco)
                for out in range(1, 129):
                    yield (
                        vco / out,
                        detector,
                        vco,
                        {
                            "CLKI_DIV": reference,
                            "CLKFB_DIV": feedback,
                            "CLKOP_DIV": loop,
                            "CLKOS_DIV": out,
                        },
                    )


def _ice40(input_hz: Fraction, limits: Limits) -> Iterator[Setting]:
    for divr in range(16):
        detector = input_hz / (divr + 1)
        if not _inside(detector, limits.detector):
            continue
        ranges = (17, 26, 44, 66, 101)
        filter_range = 1 + sum(detector >= r * MHZ for r in ranges)
        for divf in range(128):
            vco = detector * (divf + 1)
            if _inside(vco, limits.vco):
                for divq in range(1, 7):
                    yield (
                        vco / 2**divq,
                        detector,
                        vco,
                        {
                            "DIVR": divr,
                            "DIVF": divf,
                            "DIVQ": divq,
                            "FILTER_RANGE": filter_range,
                        },
                    )


def _xilinx7(input_hz: Fraction, limits: Limits) -> Iterator[Setting]:
    for divide in range(1, 107):
        detector = input_hz / divide
        if not _inside(detector, limits.detector):
            continue
        for eighths in range(16, 513):
            vco = detector * eighths / 8
            if _inside(vco, limits.vco):
                for out in range(1, 129):
                    yield (
                        vco / out,
                        detector,
                        vco,
                        {
                            "DIVCLK_DIVIDE": divide,
                            "CLKFBOUT_MULT_F": eighths / 8,
                            "CLKOUT0_DIVIDE_F": float(out),
                        },
                    )


_EHXPLLL = """\
  wire loop, locked;
  (* ICP_CURRENT="12", LPF_RESISTOR="8", MFG_ENABLE_FILTEROPAMP="1", MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"),
    .DPHASE_SOURCE("DISABLED"), .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"),
    .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"), .FEEDBK_PATH("CLKOP"),
    .CLKI_DIV({CLKI_DIV}), .CLKFB_DIV({CLKFB_DIV}),
    .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({CLKOP_DIV}), .CLKOP_CPHASE(0), .CLKOP_FPHASE(0),
    .CLKOS_ENABLE("ENABLED"), .CLKOS_DIV({CLKOS_DIV}), .CLKOS_CPHASE(0), .CLKOS_FPHASE(0)
  ) pll (
    .RST(1'b0), .STDBY(1'b0), .CLKI(clk), .CLKOP(loop), .CLKFB(loop), .CLKOS(clk_sync),
    .CLKINTFB(), .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1),
    .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0), .LOCK(locked)
  );
  assign clk_uart = clk;
"""
_SB_PLL40 = """\
  wire locked;
  SB_PLL40_2_PAD #(
    .FEEDBACK_PATH("SIMPLE"), .PLLOUT_SELECT_PORTB("GENCLK"),
    .DIVR(4'd{DIVR}), .DIVF(7'd{DIVF}), .DIVQ(3'd{DIVQ}), .FILTER_RANGE(3'd{FILTER_RANGE})
  ) pll (
    .PACKAGEPIN(clk), .PLLOUTGLOBALA(clk_uart), .PLLOUTGLOBALB(clk_sync), .LOCK(locked),
    .RESETB(1'b1), .BYPASS(1'b0)
  );
"""
_MMCME2 = """\
  wire loop, made, input_clock, locked;
  IBUF clk_pin (.I(clk), .O(input_clock));
  MMCME2_BASE #(
    .CLKIN1_PERIOD({period:.3f}), .DIVCLK_DIVIDE({DIVCLK_DIVIDE}),
    .CLKFBOUT_MULT_F({CLKFBOUT_MULT_F:.3f}), .CLKOUT0_DIVIDE_F({CLKOUT0_DIVIDE_F:.3f})
  ) pll (
    .CLKIN1(input_clock), .CLKFBIN(loop), .CLKFBOUT(loop), .CLKOUT0(made), .LOCKED(locked),
    .RST(1'b0), .PWRDWN(1'b0)
  );
  BUFG sync_buffer (.I(made), .O(clk_sync));
  BUFG uart_buffer (.I(input_clock), .O(clk_uart));
"""

ECP5_PLL = Pll(_limits((8, 400), (10, 400), (400, 800), (3.125, 400)), _ecp5, _EHXPLLL, words=True)
ICE40_PLL = Pll(_limits((10, 133), (10, 133), (533, 1066), (16, 275)), _ice40, _SB_PLL40)
MMCM = Pll(_limits((10, 800), (10, 450), (600, 1200), (4.69, 800)), _xilinx7, _MMCME2)
