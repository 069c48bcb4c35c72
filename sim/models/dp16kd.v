// Block RAM of ECP5 for simulation: yosys has only its ports. All widths and write modes that yosys
// makes of memories, and the output register.
//
// 1024 words of 18 bits, each two bytes of 9. A port of 1, 2 or 4 bits does not reach the ninth bit
// of a byte. A port of 36 bits covers two words: as port A it writes DIA and DIB, as port B it reads
// to DOA and DOB. Not modelled: the global reset, chip selects, and reading a word while the other
// port writes it, which gives the old word here and is not defined in the device.

module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;
  localparam [20479:0] CONTENTS = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
      INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
      INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
      INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
      INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
      INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
      INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
      INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
      INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
      INITVAL_00
  };

  reg [17:0] memory [0:1023];
  integer k;
  initial for (k = 0; k < 1024; k = k + 1) memory[k] = CONTENTS[20 * k +: 18];

  wire [13:0] address_a =
    {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] address_b =
    {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [35:0] data_a = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
      DIB3, DIB2, DIB1, DIB0,
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
      DIA3, DIA2, DIA1, DIA0
  };
  wire [35:0] data_b = data_a >> 18;

  // Bits of the two words (or, of a narrower port, of the one word) that a write reaches.
  function [35:0] reached(input integer width, input [13:0] address);
    case (width)
      36: reached = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
      18: reached = {18'd0, {9{address[1]}}, {9{address[0]}}};
      9: reached = 36'h1ff << 9 * address[3];
      4: reached = 36'hf << 9 * address[3] + 4 * address[2];
      2: reached = 36'h3 << 9 * address[3] + 2 * address[2:1];
      default: reached = 36'h1 << 9 * address[3] + address[2:0];
    endcase
  endfunction

  // Where a narrow port's bits are in their word.
  function [5:0] place(input integer width, input [13:0] address);
    case (width)
      36, 18: place = 0;
      9: place = 9 * address[3];
      4: place = 9 * address[3] + 4 * address[2];
      2: place = 9 * address[3] + 2 * address[2:1];
      default: place = 9 * address[3] + address[2:0];
    endcase
  endfunction

  localparam [35:0] MASK_A = ~(36'hfffffffff << DATA_WIDTH_A);
  localparam [35:0] MASK_B = ~(36'hfffffffff << DATA_WIDTH_B);
  wire [9:0] word_a = DATA_WIDTH_A == 36 ? {address_a[13:5], 1'b0} : address_a[13:4];
  wire [9:0] word_b = DATA_WIDTH_B == 36 ? {address_b[13:5], 1'b0} : address_b[13:4];
  wire [35:0] old_a = {memory[word_a | 10'd1], memory[word_a]};
  wire [35:0] old_b = {memory[word_b | 10'd1], memory[word_b]};
  wire [35:0] reach_a = reached(DATA_WIDTH_A, address_a);
  wire [35:0] reach_b = reached(DATA_WIDTH_B, address_b);
  wire [35:0] new_a = old_a & ~reach_a
      | (data_a & MASK_A) << place(DATA_WIDTH_A, address_a) & reach_a;
  wire [35:0] new_b = old_b & ~reach_b
      | (data_b & MASK_B) << place(DATA_WIDTH_B, address_b) & reach_b;

  wire clock_a = CLKAMUX == "INV" ? ~CLKA : CLKA;
  wire clock_b = CLKBMUX == "INV" ? ~CLKB : CLKB;
  wire clear_a = RESETMODE == "ASYNC" && RSTA, clear_b = RESETMODE == "ASYNC" && RSTB;
  reg [35:0] read_a = 0, read_b = 0, kept_a = 0, kept_b = 0;

  always @(posedge clock_a)
    if (CEA && WEA && !RSTA) begin
      memory[word_a] <= new_a[17:0];
      if (DATA_WIDTH_A == 36) memory[word_a | 10'd1] <= new_a[35:18];
    end
  always @(posedge clock_b)
    if (CEB && WEB && !RSTB) memory[word_b] <= new_b[17:0];

  always @(posedge clock_a or posedge clear_a)
    if (clear_a || RSTA) read_a <= 0;
    else if (CEA && !(WEA && WRITEMODE_A == "NORMAL"))
      read_a <= (WEA && WRITEMODE_A == "WRITETHROUGH" ? new_a : old_a)
          >> place(DATA_WIDTH_A, address_a) & MASK_A;
  always @(posedge clock_b or posedge clear_b)
    if (clear_b || RSTB) read_b <= 0;
    else if (CEB && !(WEB && WRITEMODE_B == "NORMAL"))
      read_b <= (WEB && WRITEMODE_B == "WRITETHROUGH" ? new_b : old_b)
          >> place(DATA_WIDTH_B, address_b) & MASK_B;

  always @(posedge clock_a or posedge clear_a)
    if (clear_a || RSTA) kept_a <= 0;
    else if (OCEA) kept_a <= read_a;
  always @(posedge clock_b or posedge clear_b)
    if (clear_b || RSTB) kept_b <= 0;
    else if (OCEB) kept_b <= read_b;

  wire [35:0] out_a = REGMODE_A == "OUTREG" ? kept_a : read_a;
  wire [35:0] out_b = REGMODE_B == "OUTREG" ? kept_b : read_b;
  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
      DOA3, DOA2, DOA1, DOA0
  } = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
      DOB3, DOB2, DOB1, DOB0
  } = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
endmodule
