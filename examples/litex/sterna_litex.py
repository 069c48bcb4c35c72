"""A Sterna design as a LiteX module: AXI4-Lite registers on the SoC's bus, images and results as
LiteX streams.

    core = SternaCore(platform, "build/mnist")
    soc.submodules.sterna = core
    region = SoCRegion(origin=0x9000_0000, size=0x1_0000, cached=False)
    soc.bus.add_slave("sterna", core.bus, region)
    # core.sink takes images (one packet each), core.source gives results (one packet each):
    # connect them to LiteDRAM's DMA, Etherbone, a UART ...

Needs a build folder (`sterna verilog`) and `pip install litex migen`. Registers: csr.json and the C
header of the build; packets: docs/streams.md.
"""

import json
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import axi, stream
from migen import ClockSignal, Instance, ResetSignal


class SternaCore(LiteXModule):
    """The network in ``build``, in clock domain ``sys``.

    bus: AXI4-Lite slave, 32 bits data, 16 bits address. sink: images, the design's AXI4-Stream
    width; last ends each. source: results, 32 bits; the first word holds class and flags.
    """

    def __init__(self, platform, build):
        folder = Path(build)
        # Not the network's name: one that Verilog reserves has another as a module.
        sources = (folder / "filelist.f").read_text(encoding="utf-8").split()
        self.name = sources[0].removesuffix(".v")
        width = json.loads((folder / "design.json").read_text(encoding="utf-8"))["axis_width"]
        self.bus = bus = axi.AXILiteInterface(data_width=32, address_width=16)
        self.sink = sink = stream.Endpoint([("data", width)])
        self.source = source = stream.Endpoint([("data", 32)])
        ports = {"i_clk": ClockSignal("sys"), "i_rst": ResetSignal("sys")}
        for prefix, end, (given, taken) in (("s_axis", sink, "io"), ("m_axis", source, "oi")):
            ports |= {
                f"{given}_{prefix}_tdata": end.data,
                f"{given}_{prefix}_tvalid": end.valid,
                f"{given}_{prefix}_tlast": end.last,
                f"{taken}_{prefix}_tready": end.ready,
            }
        fields = {"aw": ["addr"], "w": ["data", "strb"], "ar": ["addr"]}
        answers = {"b": ["resp"], "r": ["data", "resp"]}
        for channel, names in (fields | answers).items():
            given, taken = "io" if channel in fields else "oi"
            end = getattr(bus, channel)
            for name in ["valid", *names]:
                ports[f"{given}_s_axil_{channel}{name}"] = getattr(end, name)
            ports[f"{taken}_s_axil_{channel}ready"] = end.ready
        self.specials += Instance(self.name, name="sterna", **ports)
        if platform is not None:
            platform.add_source(str(folder / f"{self.name}.v"))
