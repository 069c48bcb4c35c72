"""A tiny top with the ports of a real one, small enough to verilate in seconds.

It holds 8-bit pixels against thresholds that a register sets, sends the spikes down a tapped
stream and returns how many each channel fired. `expected` is the same in numpy.
"""

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Array, Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib.memory import Memory

__all__ = ["ToyTop", "toy_verilog", "expected", "TAP", "HEIGHT", "WIDTH", "STEPS", "CHANNELS"]

HEIGHT, WIDTH, STEPS, CHANNELS = 4, 6, 2, 3
LANES, GROUPS = 2, 2
TAP = {
    "node": "toy__spikes",
    "channels": CHANNELS,
    "height": HEIGHT,
    "width": WIDTH,
    "lanes": LANES,
    "planes": STEPS,
    "pb": 1,
    "bits_per_step": 1,
}
STEP = 20  # a spike of channel c at step t needs pixel >= threshold + STEP * (c + t)


class ToyTop(Elaboratable):
    """Ports as Top-level ports of docs/streams; `width` bytes a word, names as in the Verilog."""

    def __init__(self, width: int = 2):
        self.n = width
        names = {
            "s_axis_tdata": 8 * width,
            "s_axis_tvalid": 1,
            "s_axis_tready": 1,
            "s_axis_tlast": 1,
            "m_axis_tdata": 32,
            "m_axis_tvalid": 1,
            "m_axis_tready": 1,
            "m_axis_tlast": 1,
            "s_axil_awaddr": 16,
            "s_axil_awvalid": 1,
            "s_axil_awready": 1,
            "s_axil_wdata": 32,
            "s_axil_wstrb": 4,
            "s_axil_wvalid": 1,
            "s_axil_wready": 1,
            "s_axil_bresp": 2,
            "s_axil_bvalid": 1,
            "s_axil_bready": 1,
            "s_axil_araddr": 16,
            "s_axil_arvalid": 1,
            "s_axil_arready": 1,
            "s_axil_rdata": 32,
            "s_axil_rresp": 2,
            "s_axil_rvalid": 1,
            "s_axil_rready": 1,
            "tap_toy__spikes_valid": 1,
            "tap_toy__spikes_ready": 1,
            "tap_toy__spikes_data": LANES,
        }
        for name, bits in names.items():
            setattr(self, name, Signal(bits, name=name))
        self.ports = [getattr(self, name) for name in names]

    def elaborate(self, platform: object):
        m = Module()
        threshold, jam = Signal(8, init=100), Signal()
        busy = Signal()
        self._registers(m, threshold, jam, busy)

        word, held = Signal(8 * self.n), Signal()  # one input word waits here
        sub = Signal(range(max(2, self.n)))  # which of its pixels
        beat = Signal(range(GROUPS * STEPS))
        pixels = Signal(range(HEIGHT * WIDTH))
        counts = [Signal(32, name=f"count{c}") for c in range(CHANNELS)]
        pixel = Array(word.word_select(i, 8) for i in range(self.n))[sub]
        group, step = beat[1], beat[0]

        spikes = Signal(LANES)
        for lane in range(LANES):
            fires = Cat(
                Cat(pixel >= threshold + STEP * (g * LANES + lane + t) for t in range(STEPS))
                if g * LANES + lane < CHANNELS
                else Const(0, STEPS)
                for g in range(GROUPS)
            )
            m.d.comb += spikes[lane].eq(fires.bit_select(Cat(step, group), 1))

        ready, sending, result = Signal(), Signal(), Signal(range(CHANNELS + 1))
        stall = Signal(4, init=1)  # the reader of the tap is not always ready
        m.d.sync += [stall.eq(Cat(stall[3] ^ stall[2], stall)), ready.eq(stall[0] & ~jam)]
        valid = held & ~sending
        m.d.comb += [
            self.s_axis_tready.eq(~held),
            self.tap_toy__spikes_valid.eq(valid),
            self.tap_toy__spikes_ready.eq(ready),
            self.tap_toy__spikes_data.eq(spikes),
            busy.eq(held | sending | (pixels != 0)),
        ]
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += [word.eq(self.s_axis_tdata), held.eq(1), sub.eq(0)]
        with m.If(valid & ready):
            m.d.sync += beat.eq(beat + 1)
            for c in range(CHANNELS):
                hit = (group == c // LANES) & spikes[c % LANES]
                m.d.sync += counts[c].eq(counts[c] + hit)
            with m.If(beat == GROUPS * STEPS - 1):
                m.d.sync += [sub.eq(sub + 1), pixels.eq(pixels + 1)]
                with m.If(sub == self.n - 1):
                    m.d.sync += [held.eq(0), sub.eq(0)]
                with m.If(pixels == HEIGHT * WIDTH - 1):
                    m.d.sync += [pixels.eq(0), sending.eq(1), result.eq(0)]

        best = [Const(0, 32), counts[0], Const(0, 2)]
        for c in range(1, CHANNELS):
            better = counts[c] > best[1]
            best = [None, Mux(better, counts[c], best[1]), Mux(better, c, best[2])]
        packet = Array([best[2], *counts])
        m.d.comb += [
            self.m_axis_tvalid.eq(sending),
            self.m_axis_tdata.eq(packet[result]),
            self.m_axis_tlast.eq(result == CHANNELS),
        ]
        with m.If(sending & self.m_axis_tready):
            m.d.sync += result.eq(result + 1)
            with m.If(self.m_axis_tlast):
                m.d.sync += sending.eq(0)
                m.d.sync += [count.eq(0) for count in counts]
        return m

    def _registers(self, m, threshold, jam, busy):
        """0 id, 4 threshold, 8 jam the tap, 0x100 .. 0x13c a memory nobody has written yet."""
        m.submodules.scratch = scratch = Memory(shape=32, depth=16, init=[])
        read, write = scratch.read_port(domain="comb"), scratch.write_port()
        aw, w = Signal(16), Signal(32)
        m.d.comb += [
            self.s_axil_awready.eq(self.s_axil_wvalid & ~self.s_axil_bvalid),
            self.s_axil_wready.eq(self.s_axil_awvalid & ~self.s_axil_bvalid),
            self.s_axil_arready.eq(~self.s_axil_rvalid),
            self.s_axil_rresp.eq(0),
            aw.eq(self.s_axil_awaddr),
            w.eq(self.s_axil_wdata),
            read.addr.eq(self.s_axil_araddr[2:6]),
            write.addr.eq(aw[2:6]),
            write.data.eq(w),
        ]
        with m.If(self.s_axil_bvalid & self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(Mux(busy, 2, 0))]
            with m.If(~busy):
                with m.If(aw == 4):
                    m.d.sync += threshold.eq(w)
                with m.If(aw == 8):
                    m.d.sync += jam.eq(w)
                m.d.comb += write.en.eq(aw[8])
        with m.If(self.s_axil_rvalid & self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            m.d.sync += [self.s_axil_rvalid.eq(1), self.s_axil_rdata.eq(0x70F)]
            with m.If(self.s_axil_araddr == 4):
                m.d.sync += self.s_axil_rdata.eq(threshold)
            with m.If(self.s_axil_araddr[8]):
                m.d.sync += self.s_axil_rdata.eq(read.data)


def toy_verilog(width: int = 2) -> str:
    top = ToyTop(width)
    return verilog.convert(top, name="toy", ports=top.ports, strip_internal_attrs=True)


def expected(images: np.ndarray, threshold: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """images uint8 [B,1,H,W] -> spikes uint8 [T,B,C,H,W], logits int32 [B,C]."""
    pixel = images[None, :, :].astype(np.int64)
    channel = np.arange(CHANNELS).reshape(1, 1, CHANNELS, 1, 1)
    step = np.arange(STEPS).reshape(STEPS, 1, 1, 1, 1)
    spikes = (pixel >= threshold + STEP * (channel + step)).astype(np.uint8)
    return spikes, spikes.sum(axis=(0, 3, 4)).astype(np.int32)
