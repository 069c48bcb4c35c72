"""A plain Verilog bench with vectors: checks the design in any simulator, without Python."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

from sterna.gen.design.design import Design
from sterna.gen.verilog.header import macro
from sterna.gen.verilog.memory_files import folder_lines
from sterna.golden.coding import image_bits
from sterna.golden.network import Network
from sterna.golden.numpyrun import run_arrays
from sterna.golden.words.names import module_name

__all__ = ["bench_files", "failed_task", "vector_images", "VECTORS"]

VECTORS = 4


def vector_images(network: Network, count: int = VECTORS) -> np.ndarray:
    """Reproducible test images over the whole input range, as the golden model takes them."""
    rng = np.random.default_rng(np.random.SeedSequence(network.steps))
    node = network.input
    shape = (network.steps, count) if node.coding == "frames" else (count,)
    return rng.integers(0, 1 << node.bits, (*shape, *node.shape)).astype(np.uint8)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz whose bytes depend on the arrays only (numpy's own carries the date)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, a in arrays.items():
            data = io.BytesIO()
            np.save(data, a, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue())
    return out.getvalue()


def bench_files(
    network: Network, design: Design, memories: Mapping[str, str] | None = None, folder: str = ""
) -> dict[str, bytes | str]:
    """vectors.npz (images, packets), their words as hex files, and NAME_tb.v (`module_name`), which
    streams the images in, compares every output word and prints PASS, or FAIL and each difference.
    ``memories``: the files that the Verilog reads, by name, which the bench looks at
    first; ``folder``: where they are."""
    images = vector_images(network)
    result = run_arrays(network, images)  # numpy: a build needs no torch
    size = design.axis_width // 8
    raw = image_bits(network.input, images, network.steps)
    words = np.zeros((len(raw), -(-raw.shape[1] // size) * size), np.uint8)
    words[:, : raw.shape[1]] = raw
    words = words.reshape(-1, size)[:, ::-1]
    logits = np.ascontiguousarray(result.logits, np.int32).view(np.uint32)
    packets = np.concatenate([result.classes[:, None].astype(np.uint32), logits], axis=1)
    text_in = "".join(row.tobytes().hex() + "\n" for row in words)
    text_out = "".join(f"{int(w):08x}\n" for w in packets.reshape(-1))
    arrays = {"images": images, "logits": result.logits, "classes": result.classes}
    name = module_name(network.name)
    return {
        "vectors.npz": _npz(arrays | {"packets": packets}),
        "vectors_in.hex": text_in,
        "vectors_out.hex": text_out,
        f"{name}_tb.v": _BENCH.format(
            name=name,
            width=design.axis_width,
            words_in=len(words),
            per_image=len(words) // VECTORS,
            words_out=packets.size,
            per_packet=packets.shape[1],
            failed=failed_task(),
            **_looked_at(name, memories or {}, folder),
            limit=20 * (design.interval + 1000) * VECTORS,
        ),
    }


def failed_task(outside: str = "") -> str:
    """Verilog of the task ``end_failed``, which ends a simulation with an exit status other than 0
    where Verilog-2005 can. ``outside``: a macro; with it, what clocks the bench returns that."""
    first = f"`ifdef {outside}\n    $finish;\n`elsif" if outside else "`ifdef"
    return _FAILED.format(first=first)


def _looked_at(name: str, memories: Mapping[str, str], where: str) -> dict[str, str]:
    """The bench's look at the files of memories: a missing one is FAIL, one that is not as it was
    written is named, since what is in it may still be right."""
    if not memories:
        return {"folder": "", "look": "", "looks": ""}
    folder = macro(name)
    looks = [
        f'    look({{`{folder}, "{file}"}}, 32\'d{_sum(text)});\n'
        for file, text in sorted(memories.items())
    ]
    return {
        "folder": folder_lines(folder, where),
        "look": _LOOK.format(folder=folder),
        "looks": "".join(looks),
    }


def _sum(text: str) -> int:
    """What `_LOOK` makes of a file's bytes."""
    found = 0
    for byte in text.encode():
        found = (31 * found + byte) % 2**32
    return found


# Verilator knows $fatal in SystemVerilog only, and no other simulator knows Icarus' task.
_FAILED = """\
  // Where there was a FAIL: Icarus and Verilator exit with a status other than 0.
  task end_failed;
{first} __ICARUS__
    $finish_and_return(1);
`elsif VERILATOR
    $stop;
`else
    $finish;
`endif
  endtask
"""

_LOOK = """\
  task look;
    input [8*512-1:0] path;
    input [31:0] wanted;
    reg [31:0] sum;
    integer file, letter;
    begin
      sum = 0;
      file = $fopen(path, "r");
      if (file == 0) begin
        $display("FAIL %0s: is not there; run in the folder above mem/, or define {folder}", path);
        end_failed;
      end else begin
        letter = $fgetc(file);
        while (letter >= 0) begin
          sum = 31 * sum + letter;
          letter = $fgetc(file);
        end
        $fclose(file);
        if (sum != wanted) $display("CHANGED %0s: is not what sterna verilog wrote", path);
      end
    end
  endtask
"""

_BENCH = """\
// Streams {name}'s vectors through the design and compares every word.
// Prints PASS, or FAIL and what differs.
// Icarus: iverilog -g2005 -o tb {name}_tb.v {name}.v && vvp tb
// with waves: vvp tb +wave=out.vcd
{folder}module {name}_tb;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  reg [{width}-1:0] images [0:{words_in}-1];
  reg [31:0] packets [0:{words_out}-1];
  reg [8*256-1:0] WAVE;
  integer at_in = 0, at_out = 0, clocks = 0, errors = 0;
  wire s_ready, m_valid, m_last;
  wire [31:0] m_data;
  wire s_valid = !rst && at_in < {words_in};
  {name} dut (
    .clk(clk), .rst(rst),
    .s_axis_tdata(images[at_in < {words_in} ? at_in : 0]), .s_axis_tvalid(s_valid),
    .s_axis_tready(s_ready), .s_axis_tlast(at_in % {per_image} == {per_image} - 1),
    .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(1'b1), .m_axis_tlast(m_last),
    .s_axil_awaddr(16'd0), .s_axil_awvalid(1'b0), .s_axil_awready(),
    .s_axil_wdata(32'd0), .s_axil_wstrb(4'd0), .s_axil_wvalid(1'b0), .s_axil_wready(),
    .s_axil_bresp(), .s_axil_bvalid(), .s_axil_bready(1'b1),
    .s_axil_araddr(16'd0), .s_axil_arvalid(1'b0), .s_axil_arready(),
    .s_axil_rdata(), .s_axil_rresp(), .s_axil_rvalid(), .s_axil_rready(1'b1)
  );
{failed}{look}  initial begin
{looks}    $readmemh("vectors_in.hex", images);
    $readmemh("vectors_out.hex", packets);
    if ($value$plusargs("wave=%s", WAVE)) begin
      $dumpfile(WAVE);
      $dumpvars(0, {name}_tb);
    end
  end
  always @(posedge clk) begin
    clocks <= clocks + 1;
    if (clocks == 8) rst <= 0;
    if (s_valid && s_ready) at_in <= at_in + 1;
    if (!rst && m_valid) begin
      if (m_data !== packets[at_out]
          || m_last !== (at_out % {per_packet} == {per_packet} - 1)) begin
        $display("FAIL word %0d: %h, expected %h", at_out, m_data, packets[at_out]);
        errors = errors + 1;
      end
      at_out <= at_out + 1;
      if (at_out == {words_out} - 1) begin
        if (errors == 0) begin
          $display("PASS {words_out} words, %0d clocks", clocks);
          $finish;
        end else end_failed;
      end
    end
    if (clocks > {limit}) begin
      $display("FAIL no output for too long, %0d of {words_out} words", at_out);
      end_failed;
    end
  end
endmodule
"""
