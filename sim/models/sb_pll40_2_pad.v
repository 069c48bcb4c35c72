// PLL of iCE40 for simulation. Port A passes the pad on; port B does not come from its dividers but
// is `STERNA_PLL_CLOCK, which whoever simulates defines (a clock at the ratio he wants), and without
// it the pad's clock. Locked after 4 input clocks.

module SB_PLL40_2_PAD(
  input PACKAGEPIN,
  output PLLOUTCOREA, PLLOUTGLOBALA, PLLOUTCOREB, PLLOUTGLOBALB,
  input EXTFEEDBACK,
  input [7:0] DYNAMICDELAY,
  output LOCK,
  input BYPASS, RESETB, LATCHINPUTVALUE,
  output SDO,
  input SDI, SCLK
);
  parameter FEEDBACK_PATH = "SIMPLE";
  parameter DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED", DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED";
  parameter SHIFTREG_DIV_MODE = 1'b0, FDA_FEEDBACK = 4'b0000, FDA_RELATIVE = 4'b0000;
  parameter PLLOUT_SELECT_PORTB = "GENCLK";
  parameter DIVR = 4'b0000, DIVF = 7'b0000000, DIVQ = 3'b000, FILTER_RANGE = 3'b000;
  parameter ENABLE_ICEGATE_PORTA = 1'b0, ENABLE_ICEGATE_PORTB = 1'b0;
  parameter TEST_MODE = 1'b0, EXTERNAL_DIVIDE_FACTOR = 1;

  reg [2:0] clocks = 0;
  always @(posedge PACKAGEPIN) if (!clocks[2]) clocks <= clocks + 1;
  assign LOCK = clocks[2] & RESETB;
`ifdef STERNA_PLL_CLOCK
  assign PLLOUTGLOBALB = `STERNA_PLL_CLOCK;
`else
  assign PLLOUTGLOBALB = PACKAGEPIN;
`endif
  assign PLLOUTCOREB = PLLOUTGLOBALB;
  assign PLLOUTGLOBALA = PACKAGEPIN, PLLOUTCOREA = PACKAGEPIN, SDO = 0;
endmodule
