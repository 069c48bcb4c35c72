"""A small board that sends back what it receives, with the ports of a real one."""

__all__ = ["DIVISOR", "ECHO", "echo"]

DIVISOR = 5

# Receives at `DIVISOR` clocks a bit, waits in 64 bytes of memory, and sends each byte ^ 0x20. The
# LED changes every 16 clocks of clk.
ECHO = """
module echo(clk, rst, uart_clk, uart_rst, rx, tx, led);
  input clk;
  input rst;
  input uart_clk;
  input uart_rst;
  input rx;
  output tx;
  output led;
  reg [4:0] slow;
  always @(posedge clk) slow <= rst ? 0 : slow + 1;
  assign led = slow[4];

  reg [7:0] room [63:0];
  reg [5:0] put, get;
  reg [1:0] line;
  reg [7:0] wait_in, wait_out;
  reg [3:0] bit_in, bit_out;
  reg [7:0] shift_in;
  reg [9:0] shift_out;
  assign tx = shift_out[0];
  always @(posedge uart_clk) begin
    line <= {line[0], rx};
    if (uart_rst) begin
      put <= 0; get <= 0; line <= 3; bit_in <= 0; bit_out <= 0; shift_out <= 1;
    end else begin
      if (bit_in == 0) begin
        if (!line[1]) begin bit_in <= 1; wait_in <= DIVISOR / 2 - 1; end
      end else if (wait_in != 0) wait_in <= wait_in - 1;
      else begin
        wait_in <= DIVISOR - 1;
        bit_in <= bit_in + 1;
        if (bit_in >= 2 && bit_in <= 9) shift_in <= {line[1], shift_in[7:1]};
        if (bit_in == 10) begin
          bit_in <= 0;
          if (line[1]) begin room[put] <= shift_in ^ 8'h20; put <= put + 1; end
          if (shift_in == 8'h7f) $finish;
        end
      end
      if (bit_out == 0) begin
        if (put != get) begin
          shift_out <= {1'b1, room[get], 1'b0};
          get <= get + 1; bit_out <= 10; wait_out <= DIVISOR - 1;
        end
      end else if (wait_out != 0) wait_out <= wait_out - 1;
      else begin
        // One clock less for the stop bit: the next byte is found in the clock after.
        wait_out <= bit_out == 2 ? DIVISOR - 2 : DIVISOR - 1;
        bit_out <= bit_out - 1;
        shift_out <= {1'b1, shift_out[9:1]};
      end
    end
  end
endmodule
""".replace("DIVISOR", str(DIVISOR))


def echo(data: bytes) -> bytes:
    """What comes back of ``data``."""
    return bytes(b ^ 0x20 for b in data)
