// PLL of ECP5 for simulation. Its clocks do not come from its dividers: CLKOS is `STERNA_PLL_CLOCK,
// which whoever simulates defines (a clock at the ratio he wants), and without it the input clock.
// Locked after 4 input clocks.

module EHXPLLL(
  input CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY, PLLWAKESYNC,
  input RST, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3,
  output CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
  parameter CLKI_DIV = 1, CLKFB_DIV = 1;
  parameter CLKOP_DIV = 8, CLKOS_DIV = 8, CLKOS2_DIV = 8, CLKOS3_DIV = 8;
  parameter CLKOP_ENABLE = "ENABLED", CLKOS_ENABLE = "DISABLED";
  parameter CLKOS2_ENABLE = "DISABLED", CLKOS3_ENABLE = "DISABLED";
  parameter CLKOP_CPHASE = 0, CLKOS_CPHASE = 0, CLKOS2_CPHASE = 0, CLKOS3_CPHASE = 0;
  parameter CLKOP_FPHASE = 0, CLKOS_FPHASE = 0, CLKOS2_FPHASE = 0, CLKOS3_FPHASE = 0;
  parameter FEEDBK_PATH = "CLKOP";
  parameter CLKOP_TRIM_POL = "RISING", CLKOS_TRIM_POL = "RISING";
  parameter CLKOP_TRIM_DELAY = 0, CLKOS_TRIM_DELAY = 0;
  parameter OUTDIVIDER_MUXA = "DIVA", OUTDIVIDER_MUXB = "DIVB";
  parameter OUTDIVIDER_MUXC = "DIVC", OUTDIVIDER_MUXD = "DIVD";
  parameter PLL_LOCK_MODE = 0, PLL_LOCK_DELAY = 200;
  parameter STDBY_ENABLE = "DISABLED", REFIN_RESET = "DISABLED", SYNC_ENABLE = "DISABLED";
  parameter INT_LOCK_STICKY = "ENABLED", DPHASE_SOURCE = "DISABLED", PLLRST_ENA = "DISABLED";
  parameter INTFB_WAKE = "DISABLED";

  reg [2:0] clocks = 0;
  always @(posedge CLKI) if (!clocks[2]) clocks <= clocks + 1;
  assign LOCK = clocks[2];
`ifdef STERNA_PLL_CLOCK
  assign CLKOS = `STERNA_PLL_CLOCK;
`else
  assign CLKOS = CLKI;
`endif
  assign CLKOP = CLKI, CLKOS2 = 0, CLKOS3 = 0, INTLOCK = LOCK, REFCLK = CLKI, CLKINTFB = CLKI;
endmodule
