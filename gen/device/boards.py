"""The boards: what `amaranth-boards` says of their FPGA, clock, UART and LED, in our words.

Pins, I/O standards and clocks are read from the package's descriptions, never written here; what
those do not say (the size of the FPGA, how a board is programmed) is. Boards of a Zynq need none of
that: clock, memory and host are the processor's, which Vivado's own board files describe.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sterna.gen.device.family import family_of
from sterna.golden.errors import DesignError, UsageError
from sterna.golden.words.names import meant, show
from sterna.golden.words.packages import packages

__all__ = ["BOARDS", "Board", "Chip", "Pin", "board", "chip_of"]


@dataclass(frozen=True)
class Pin:
    """A pin of the FPGA. invert: the signal is active low. attrs: as the vendor's tools name them
    (IO_TYPE, IOSTANDARD, PULLUP ...)."""

    site: str
    invert: bool = False
    attrs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chip:
    """What needs no pin of a board. name: of the board, as on the command line. family: ecp5, ice40
    or xilinx7. part: as its maker writes it. device, package: as nextpnr is told; speed: grade, of
    ECP5 and 7-series. clock_hz: of the oscillator. lut, bram: what the device has (4-input or
    6-input LUTs; DP16KD, SB_RAM40_4K or RAMB36). zynq: where the host is the processor beside the
    logic, Vivado's name of the board without its version; there is no oscillator then (clock_hz 0).
    """

    name: str
    family: str
    part: str
    device: str
    package: str
    speed: str
    clock_hz: int
    lut: int
    bram: int
    zynq: str

    @property
    def clock_mhz(self) -> float:
        return self.clock_hz / 1e6

    @property
    def sizes(self) -> dict[str, int]:
        """The whole chip, by the keys of `RESOURCES`."""
        ff = self.lut * family_of(self.family).ff_per_lut
        return {"luts": self.lut, "ff": ff, "bram": self.bram}

    def check_takes(self, family: str) -> None:
        """DesignError where its FPGA does not take designs that are folded for a family."""
        if not family_of(self.family).takes(family):
            raise DesignError(
                f"the design is folded for {family} and {self.name} is {self.family}; fold it for "
                f"the board: sterna fold BUILD --board {self.name}"
            )


@dataclass(frozen=True)
class Board(Chip):
    """A board that a bitstream can be made for. pins: of clk, rx, tx and, where the board has a
    plain one, led; none of a Zynq. program: how its bitstream is loaded."""

    pins: dict[str, Pin]
    program: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """module and platform of amaranth_boards; program: how its bitstream is loaded, first word the
    program, ``FILE`` the bitstream."""

    module: str
    platform: str
    program: tuple[str, ...]


def _loader(*options: str) -> tuple[str, ...]:
    return ("openFPGALoader", *options, "FILE")


_DFU = ("dfu-util", "-a", "0", "-D", "FILE")
_ICEPROG = ("iceprog", "FILE")
_ENTRIES = {
    "ulx3s-12f": _Entry("ulx3s", "ULX3S_12F_Platform", _loader("-b", "ulx3s")),
    "ulx3s-25f": _Entry("ulx3s", "ULX3S_25F_Platform", _loader("-b", "ulx3s")),
    "ulx3s-45f": _Entry("ulx3s", "ULX3S_45F_Platform", _loader("-b", "ulx3s")),
    "ulx3s-85f": _Entry("ulx3s", "ULX3S_85F_Platform", _loader("-b", "ulx3s")),
    "icebreaker": _Entry("icebreaker", "ICEBreakerPlatform", _ICEPROG),
    "icesugar": _Entry("icesugar", "ICESugarPlatform", ("icesprog", "FILE")),
    "ice40-hx8k-evn": _Entry("ice40_hx8k_b_evn", "ICE40HX8KBEVNPlatform", _ICEPROG),
    "orangecrab-25f": _Entry("orangecrab_r0_2", "OrangeCrabR0_2_25FPlatform", _DFU),
    "orangecrab-85f": _Entry("orangecrab_r0_2", "OrangeCrabR0_2_85FPlatform", _DFU),
    "butterstick": _Entry("butterstick", "ButterStickPlatform", _DFU),
    "ecpix5-45": _Entry("ecpix5", "ECPIX545Platform", _loader("-b", "ecpix5")),
    "ecpix5-85": _Entry("ecpix5", "ECPIX585Platform", _loader("-b", "ecpix5")),
    "icepi-zero": _Entry("icepi_zero", "IcepiZero1_3Platform", _loader("-b", "icepi-zero")),
    "icesugar-pro": _Entry("icesugar_pro", "ICESugarProPlatform", _loader("-c", "cmsisdap")),
    "ecp5-5g-evn": _Entry("ecp5_5g_evn", "ECP55GEVNPlatform", _loader("-b", "ecp5_evn")),
    "arty-a7-35": _Entry("arty_a7", "ArtyA7_35Platform", _loader("-b", "arty_a7_35t")),
    "arty-a7-100": _Entry("arty_a7", "ArtyA7_100Platform", _loader("-b", "arty_a7_100t")),
    "arty-s7-25": _Entry("arty_s7", "ArtyS7_25Platform", _loader("-b", "arty_s7_25")),
    "arty-s7-50": _Entry("arty_s7", "ArtyS7_50Platform", _loader("-b", "arty_s7_50")),
    "cmod-a7-15": _Entry("cmod_a7", "CmodA7_15Platform", _loader("-b", "cmoda7_15t")),
    "cmod-a7-35": _Entry("cmod_a7", "CmodA7_35Platform", _loader("-b", "cmoda7_35t")),
    "cmod-s7": _Entry("cmod_s7", "CmodS7_Platform", _loader("-b", "cmod_s7")),
    "nexys-a7-100": _Entry("nexys4ddr", "Nexys4DDRPlatform", _loader("-b", "nexys_a7_100")),
    "alchitry-pt": _Entry("alchitry_ptv2", "AlchitryPtV2Platform", _loader("-c", "ft2232")),
}
# name -> part, Vivado's name of the board
_ZYNQ = {
    "pynq-z2": ("xc7z020clg400-1", "tul.com.tw:pynq-z2:part0"),
    "zybo-z7-10": ("xc7z010clg400-1", "digilentinc.com:zybo-z7-10:part0"),
    "zybo-z7-20": ("xc7z020clg400-1", "digilentinc.com:zybo-z7-20:part0"),
}
BOARDS = (*_ENTRIES, *_ZYNQ)

# device of amaranth-boards -> (nextpnr's name, LUTs, block RAMs)
_DEVICES = {
    "LFE5U-12F": ("12k", 24288, 56),  # the die of the 25F
    "LFE5U-25F": ("25k", 24288, 56),
    "LFE5U-45F": ("45k", 43848, 108),
    "LFE5U-85F": ("85k", 83640, 208),
    "LFE5UM5G-45F": ("um5g-45k", 43848, 108),
    "LFE5UM5G-85F": ("um5g-85k", 83640, 208),
    "iCE40UP5K": ("up5k", 5280, 30),
    "iCE40HX8K": ("hx8k", 7680, 32),
    "xc7a15t": ("xc7a15t", 10400, 25),
    "xc7a35t": ("xc7a35t", 20800, 50),
    "xc7a35ti": ("xc7a35ti", 20800, 50),
    "xc7a100t": ("xc7a100t", 63400, 135),
    "xc7a100ti": ("xc7a100ti", 63400, 135),
    "xc7s25": ("xc7s25", 14600, 45),
    "xc7s50": ("xc7s50", 32600, 75),
    "xc7z010": ("xc7z010", 17600, 60),
    "xc7z020": ("xc7z020", 53200, 140),
}
_LATTICE_PACKAGES = {
    "BG256": "CABGA256",
    "MG285": "CSFBGA285",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
}
_LEDS = (("led", None), ("rgb_led", "g"))


def board(name: str, uart: Sequence[str] = ()) -> Board:
    """The board ``name``. ``uart``: pins of rx and tx, for boards without a UART or to use other
    ones: a site of the FPGA (``M1``), or a pin of a connector (``pmod_0:1``, ``io_0:1``).

    UsageError for an unknown board, a pin it does not have, or a board without UART.
    ToolMissing where amaranth-boards is not installed.
    """
    if name in _ZYNQ:
        if uart:
            raise UsageError(
                f"{name}: its processor talks to the design, so there is no serial line; leave "
                "--uart out"
            )
        return Board(**vars(_zynq(name)), pins={}, program=())
    chip, platform = _described(name)
    pins = {"clk": _pin(platform, platform.default_clk)} | _uart(platform, name, uart)
    led = _led(platform)
    if led is not None:
        pins["led"] = led
    return Board(**vars(chip), pins=pins, program=_ENTRIES[name].program)


def chip_of(name: str) -> Chip:
    """What is on the board ``name``, which may have no UART. Errors as of `board`."""
    return _zynq(name) if name in _ZYNQ else _described(name)[0]


def _described(name: str) -> tuple[Chip, Any]:
    """The chip of a board, and its platform of amaranth-boards."""
    entry = _ENTRIES.get(name)
    if entry is None:
        raise UsageError(
            f"no board is called {show(name)}{meant(name, BOARDS)}; choose one of "
            f"{', '.join(BOARDS)}"
        )
    with packages():
        module = importlib.import_module(f"amaranth_boards.{entry.module}")
    platform = getattr(module, entry.platform)()
    if platform.device not in _DEVICES:
        raise UsageError(
            f"board {name} has a {platform.device}, which Sterna does not know; add its row to "
            "_DEVICES of gen/device/boards.py"
        )
    device, lut, bram = _DEVICES[platform.device]
    if platform.device.startswith("LFE5"):
        family, package = "ecp5", _LATTICE_PACKAGES[platform.package]
        part = f"{platform.device}-{platform.speed}{platform.package}C"
    elif platform.device.startswith("iCE40"):
        family, package = "ice40", platform.package.lower()
        part = f"{platform.device}-{platform.package}"
    else:
        family, package = "xilinx7", platform.package
        part = f"{platform.device}{platform.package}-{platform.speed}"
    chip = Chip(
        name=name,
        family=family,
        part=part,
        device=device,
        package=package,
        speed=getattr(platform, "speed", ""),
        clock_hz=round(platform.default_clk_frequency),
        lut=lut,
        bram=bram,
        zynq="",
    )
    return chip, platform


def _zynq(name: str) -> Chip:
    part, known = _ZYNQ[name]
    chip, package, speed = part[:7], part[7:-2], part[-1]
    device, lut, bram = _DEVICES[chip]
    return Chip(name, "xilinx7", part, device, package, speed, 0, lut, bram, known)


def _pin(platform: Any, resource: str, part: str | None = None) -> Pin:
    """The first pin of a resource, or of its subsignal ``part``."""
    wanted = platform.request(resource, 0, dir="-" if part is None else {part: "-"})
    port = wanted if part is None else getattr(wanted, part)
    meta = port.io.metadata[0]
    return Pin(meta.name, bool(port.invert[0]), _text(meta.attrs))


def _text(attrs: dict[str, Any]) -> dict[str, str]:
    # GLOBAL asks amaranth for a global buffer; ours are instantiated or inferred.
    return {k: str(v) for k, v in attrs.items() if k != "GLOBAL"}


def _uart(platform: Any, name: str, uart: Sequence[str]) -> dict[str, Pin]:
    from amaranth.build import Attrs, Pins, Resource  # heavy, and only a board needs it

    if not uart:
        if ("uart", 0) not in platform.resources:
            raise UsageError(
                f"{name}: the board has no UART; give the pins of a serial adapter with --uart "
                f"RX,TX{_connectors(platform)}"
            )
        port = platform.request("uart", 0, dir=dict.fromkeys(_subsignals(platform, "uart"), "-"))
        out = {}
        for part in ("rx", "tx"):
            meta = getattr(port, part).io.metadata[0]
            out[part] = Pin(meta.name, bool(getattr(port, part).invert[0]), _text(meta.attrs))
        return out
    if len(uart) != 2 or uart[0] == uart[1]:
        raise UsageError("--uart takes two different pins, RX,TX, as seen from the FPGA")
    standard = _text(platform.lookup(platform.default_clk).attrs)
    attrs = {k: v for k, v in standard.items() if k in ("IO_TYPE", "IOSTANDARD", "IO_STANDARD")}
    out = {}
    for part, text in zip(("rx", "tx"), uart, strict=True):
        if text.startswith("syzygy"):
            raise UsageError(
                f"{name}: {text} is a SYZYGY pin, whose voltage gateware must set first and Sterna "
                "has none for that; give other sites of the FPGA, with 3.3 V"
            )
        if ":" in text and text not in platform._conn_pins:
            raise UsageError(f"{name}: no connector has the pin {text!r}{_connectors(platform)}")
        wanted = Resource(f"link_{part}", 0, Pins(text, dir="i"), Attrs(**attrs))
        platform.add_resources([wanted])
        out[part] = _pin(platform, f"link_{part}")
    return out


def _subsignals(platform: Any, resource: str) -> list[str]:
    return [io.name for io in platform.lookup(resource).ios]


def _connectors(platform: Any) -> str:
    pins = sorted(p for p in platform._conn_pins if not p.startswith("syzygy"))
    return f" (connector pins such as {pins[0]} and {pins[1]})" if len(pins) > 1 else ""


def _led(platform: Any) -> Pin | None:
    for resource, part in _LEDS:
        if (resource, 0) not in platform.resources:
            continue
        if part is None:
            return _pin(platform, resource)
        port = platform.request(resource, 0, dir=dict.fromkeys("rgb", "-"))
        meta = getattr(port, part).io.metadata[0]
        return Pin(meta.name, bool(getattr(port, part).invert[0]), _text(meta.attrs))
    return None
