"""The Verilog around a network's module: AXI's names and reset, and what Vivado reads of them."""

from sterna.gen.ip.exported import Exported
from sterna.gen.ip.ports import ALWAYS, Bus, Port
from sterna.gen.verilog.bench import failed_task

__all__ = [
    "bench",
    "bench_macro",
    "clock_driver",
    "interface_info",
    "interface_parameters",
    "vectors",
    "wrapper",
]

INFO = {
    "clock": "xilinx.com:signal:clock:1.0",
    "reset": "xilinx.com:signal:reset:1.0",
    "axis": "xilinx.com:interface:axis:1.0",
    "axilite": "xilinx.com:interface:aximm:1.0",
}
"""Vivado's definition of each kind of bus."""


def interface_info(port: Port, bus: Bus) -> str:
    """What a port is in its interface, as Vivado's attribute of that name has it."""
    return f"{INFO[bus.kind]} {bus.name} {port.logical}"


def interface_parameters(x: Exported, bus: Bus) -> dict[str, str]:
    """What Vivado is told of an interface, by its names."""
    data = [b for b in x.buses if b.kind in ("axis", "axilite")]
    if bus.kind == "clock":
        return {
            "ASSOCIATED_BUSIF": ":".join(b.name for b in data),
            "ASSOCIATED_RESET": next(b.name for b in x.buses if b.kind == "reset"),
            "FREQ_HZ": f"{x.clock_hz}",
            # Any other will do: the frequency is what estimates assume, no logic depends on it.
            "FREQ_TOLERANCE_HZ": "-1",
        }
    if bus.kind == "reset":
        return {"POLARITY": "ACTIVE_LOW"}
    if bus.kind == "axis":
        width = next(p.bits for p in bus.ports if p.logical == "TDATA")
        return {
            "TDATA_NUM_BYTES": f"{width // 8}",
            "TDEST_WIDTH": "0",
            "TID_WIDTH": "0",
            "TUSER_WIDTH": "0",
            "HAS_TREADY": "1",
            "HAS_TSTRB": "0",
            "HAS_TKEEP": "0",
            "HAS_TLAST": "1",
        }
    address = next(p.bits for p in bus.ports if p.logical == "AWADDR")
    return {
        "PROTOCOL": "AXI4LITE",
        "DATA_WIDTH": "32",
        "ADDR_WIDTH": f"{address}",
        "READ_WRITE_MODE": "READ_WRITE",
        "HAS_PROT": "0",
        "HAS_WSTRB": "1",
        "HAS_BRESP": "1",
        "HAS_RRESP": "1",
    }


def wrapper(x: Exported) -> str:
    """The module ``NAME_axi``: ANSI Verilog-2005."""
    heads = []
    for bus in x.buses:
        told = ", ".join(f"{k} {v}" for k, v in interface_parameters(x, bus).items())
        for n, port in enumerate(bus.ports):
            lines = [f'(* X_INTERFACE_INFO = "{interface_info(port, bus)}" *)']
            if n == 0:
                lines.append(
                    f'(* X_INTERFACE_PARAMETER = "XIL_INTERFACENAME {bus.name}, {told}" *)'
                )
            way = {"in": "input ", "out": "output"}[port.way]
            lines.append(f"{way} wire {port.range + ' ' if port.range else ''}{port.name}")
            heads.append("\n".join(f"  {line}" for line in lines))
    joined = [".clk(aclk)", ".rst(rst)"]
    kept, outs = [], []
    for port in x.ports:
        if port.name in ALWAYS:
            continue
        if port.way == "out" and port.logical.endswith(("VALID", "READY")):
            kept.append(f"  wire inner_{port.name};")
            outs.append(f"  assign {port.name} = inner_{port.name} & ~rst;")
            joined.append(f".{port.name}(inner_{port.name})")
        else:
            joined.append(f".{port.name}({port.name})")
    return _WRAPPER.format(
        x=x,
        made=x.made,
        heads=",\n".join(heads),
        wires="\n".join(kept),
        joined=",\n".join(f"    {j}" for j in joined),
        outs="\n".join(outs),
    )


_WRAPPER = """\
// {x.wrapper}: the network {x.module} with the names and the reset of AXI; made by {made}.
// structure_id {x.structure}
// weights_id   {x.weights}
//
// Everything is synchronous to aclk; folding and estimates assume {x.clock_mhz:g} MHz, on which no
// logic depends. aresetn may fall at any time and rises with aclk, as AXI has it: rst follows its
// fall at once and its rise two clocks later, so that the network is reset however short it was
// low. As long as rst is high no handshake is answered: nothing is taken that would be lost.
//
// s_axis: an image is {x.image_beats} beats of {x.axis_width} bits, the last with TLAST.
// m_axis: a result is {x.result_words} words of 32 bits, the last with TLAST.
`default_nettype none
module {x.wrapper} (
{heads}
);
  (* ASYNC_REG = "TRUE" *) reg [1:0] held;
  initial held = 2'b11;
  always @(posedge aclk or negedge aresetn)
    if (!aresetn) held <= 2'b11;
    else held <= {{held[0], 1'b0}};
  wire rst = held[1];
{wires}
{outs}
  {x.module} core (
{joined}
  );
endmodule
`default_nettype wire
"""


def bench(x: Exported) -> str:
    """A bench of the wrapper in plain Verilog, which runs the vectors of ``tb/`` through it."""
    sent, packets = x.vectors
    alone = x.interval + (x.design.latency or 0) + 1000
    return _BENCH.format(
        x=x,
        macro=bench_macro(x),
        beats=len(sent) * x.image_beats,
        words=packets.size,
        clocks=int(20 * alone * len(sent)) + 20000,
        structure=x.structure[8:16],
        end_failed=failed_task(f"{bench_macro(x)}_PORTS"),
    )


def bench_macro(x: Exported) -> str:
    """By which Verilog is told the folder of the bench's vectors."""
    return f"{x.module.upper()}_TB"


def vectors(x: Exported) -> dict[str, str]:
    """The bench's images and results, a beat a line in hexadecimal digits."""
    sent, packets = x.vectors
    beats = sent.reshape(-1, x.axis_width // 8)[:, ::-1]
    return {
        f"{x.module}_in.hex": "".join(row.tobytes().hex() + "\n" for row in beats),
        f"{x.module}_out.hex": "".join(f"{int(w):08x}\n" for w in packets.reshape(-1)),
    }


def clock_driver(x: Exported) -> str:
    """What clocks the bench where it has no clock of its own: C++ for Verilator."""
    return _DRIVER.format(x=x, macro=bench_macro(x))


_BENCH = """\
// Resets {x.wrapper}, reads its identity over AXI4-Lite, streams vectors through it with pauses at
// both ends, resets it in the middle of an image, and streams them again. Prints PASS, or FAIL and
// what differs first. The vectors are read from tb/, or from the folder {macro} (a string that
// ends in a slash). With {macro}_PORTS the clock comes from outside, as {x.module}_main.cpp has it.
`ifndef {macro}
`define {macro} "tb/"
`endif
`default_nettype none
`ifdef {macro}_PORTS
module {x.wrapper}_tb (input wire aclk, output reg failed);
`else
module {x.wrapper}_tb;
  reg aclk = 0, failed;
  always #5 aclk = ~aclk;
`endif
  reg aresetn = 0;
  reg [{x.axis_width}-1:0] images [0:{beats}-1];
  reg [31:0] packets [0:{words}-1];
  integer sent = 0, got = 0, clocks = 0, round = 0, step = 0;
  reg [15:0] noise = 16'hACE1, ar_addr = 0;
  reg s_valid = 0, m_ready = 0, ar_valid = 0, asked = 0, r_done = 0, over = 0;
  reg [8*256-1:0] wave;
  wire s_ready, m_valid, m_last, aw_ready, w_ready, b_valid, ar_ready, r_valid;
  wire [31:0] m_data, r_data;
  wire [1:0] r_resp, b_resp;
  {x.wrapper} dut (
    .aclk(aclk), .aresetn(aresetn),
    .s_axis_tdata(images[sent < {beats} ? sent : 0]), .s_axis_tvalid(s_valid),
    .s_axis_tready(s_ready), .s_axis_tlast(sent % {x.image_beats} == {x.image_beats} - 1),
    .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready),
    .m_axis_tlast(m_last),
    .s_axil_awaddr(16'd0), .s_axil_awvalid(1'b0), .s_axil_awready(aw_ready),
    .s_axil_wdata(32'd0), .s_axil_wstrb(4'd0), .s_axil_wvalid(1'b0), .s_axil_wready(w_ready),
    .s_axil_bresp(b_resp), .s_axil_bvalid(b_valid), .s_axil_bready(1'b1),
    .s_axil_araddr(ar_addr), .s_axil_arvalid(ar_valid), .s_axil_arready(ar_ready),
    .s_axil_rdata(r_data), .s_axil_rresp(r_resp), .s_axil_rvalid(r_valid), .s_axil_rready(1'b1)
  );
{end_failed}  initial begin
    failed = 0;
    $readmemh({{`{macro}, "{x.module}_in.hex"}}, images);
    $readmemh({{`{macro}, "{x.module}_out.hex"}}, packets);
    if ($value$plusargs("wave=%s", wave)) begin
      $dumpfile(wave);
      $dumpvars(0, {x.wrapper}_tb);
    end
  end
  // The reset falls between edges of the clock, in the second round in mid-image.
  always @(negedge aclk) begin
    step <= step + 1;
    aresetn <= step > 2;
    if (round == 0 && r_done && got == {x.result_words}) begin
      round <= 1;
      step <= 0;
      aresetn <= 0;
    end
    if (round == 1 && r_done && got == {words} && !over) begin
      over <= 1;
      if (failed) begin
        $display("FAIL");
        end_failed;
      end else begin
        $display("PASS {words} words, %0d clocks", clocks);
        $finish;
      end
    end
    if (clocks > {clocks} && !over) begin
      over <= 1;
      $display("FAIL no output for too long, %0d of {words} words", got);
      end_failed;
    end
  end
  // Valid rises with the first edge after the reset, as early as AXI allows.
  always @(posedge aclk) begin
    clocks <= clocks + 1;
    if (clocks >= {clocks}) failed <= 1;
    noise <= {{noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]}};
    if (!aresetn) begin
      sent <= 0;
      got <= 0;
      s_valid <= 0;
      m_ready <= 0;
      ar_valid <= 0;
      ar_addr <= 0;
      asked <= 0;
      r_done <= 0;
      if ({{s_ready, m_valid, aw_ready, w_ready, b_valid, ar_ready, r_valid}} !== 7'd0) begin
        $display("FAIL a handshake is answered in reset");
        failed <= 1;
      end
    end else begin
      if (s_valid && s_ready) begin
        sent <= sent + 1;
        s_valid <= sent + 1 < {beats} && noise[1:0] != 0;
      end else if (!s_valid) s_valid <= sent < {beats} && (sent == 0 || noise[0]);
      m_ready <= noise[3:2] != 0;
      if (m_valid && m_ready) begin
        if (m_data !== packets[got]
            || m_last !== (got % {x.result_words} == {x.result_words} - 1)) begin
          if (!failed) $display("FAIL word %0d: %h, expected %h", got, m_data, packets[got]);
          failed <= 1;
        end
        got <= got + 1;
      end
      // id, then structure_id_lo
      asked <= 1;
      if (!asked) ar_valid <= 1;
      else if (ar_ready) ar_valid <= 0;
      if (r_valid) begin
        if (r_resp !== 2'b00 || r_data !== (ar_addr == 0 ? 32'h4e525453 : 32'h{structure})) begin
          $display("FAIL register %h: %h", ar_addr, r_data);
          failed <= 1;
        end
        r_done <= ar_addr == 16'h0008;
        ar_valid <= ar_addr == 0;
        ar_addr <= 16'h0008;
      end
    end
  end
endmodule
`default_nettype wire
"""

_DRIVER = """\
// Clocks {x.wrapper}_tb in Verilator, whose --timing not every compiler is set up for. Returns 0
// after PASS.
//   verilator --cc --exe --build -D{macro}_PORTS --top-module {x.wrapper}_tb ...
#include <memory>

#include "V{x.wrapper}_tb.h"
#include "verilated.h"

int main(int argc, char **argv) {{
    const auto context = std::make_unique<VerilatedContext>();
    context->commandArgs(argc, argv);
    const auto bench = std::make_unique<V{x.wrapper}_tb>(context.get());
    while (!context->gotFinish()) {{
        bench->aclk = !bench->aclk;
        bench->eval();
        context->timeInc(5);
    }}
    bench->final();
    return bench->failed ? 1 : 0;
}}
"""
