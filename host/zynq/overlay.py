"""The network and the DMA in a pynq overlay."""

__all__ = ["Found", "find", "opened"]

import functools
import importlib
import os
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from sterna.golden.errors import FileError, ToolMissing, UsageError
from sterna.golden.words.names import meant, show
from sterna.host.zynq.bus import Mmio

DMA = "xilinx.com:ip:axi_dma:"
OURS = ("sterna:", "xilinx.com:module_ref:")
"""How the types of networks begin: of an exported block, and of Verilog dragged into a design."""


_WIDTHS, _LENGTHS = (32, 64, 128, 256, 512, 1024), range(1, 27)
"""Bits of the DMA's ports to the memory, and of its length register."""


@dataclass(frozen=True)
class Found:
    """The registers of a network and of its DMA. most: bytes of one transfer. align: bytes that
    the address of a transfer must be a multiple of."""

    network: Mmio
    dma: Mmio
    most: int
    align: int


def pynq() -> Any:
    """The package, which is on the board. ToolMissing elsewhere."""
    try:
        return importlib.import_module("pynq")
    except ImportError as error:
        cause = " ".join(str(error).split())
        raise ToolMissing(
            f"pynq does not import ({cause}); PynqBoard runs on the board itself, whose PYNQ image "
            "has it: as root, in the image's own Python"
        ) from error


def opened(overlay: Any, download: bool) -> Any:
    """An overlay, from the path of its .bit where it is none yet. FileError where a file is
    missing."""
    if not isinstance(overlay, str | os.PathLike):
        if not hasattr(overlay, "ip_dict"):
            raise UsageError(f"overlay {show(overlay)} is none; give a pynq.Overlay, or its .bit")
        return overlay
    path = os.path.abspath(os.fspath(overlay))
    for name in (path, os.path.splitext(path)[0] + ".hwh"):
        if not os.path.isfile(name):
            raise FileError(
                f"{name}: is not there; copy the .bit and the .hwh of one Vivado run side by side"
            )
    return pynq().Overlay(path, download=download)


def find(overlay: Any, ip: str | None, dma: str | None) -> Found:
    """The network and the DMA of an overlay, by their names or as the only ones there are.

    UsageError where a name is none of the overlay's, or there are several.
    """
    kinds = {name: str(entry.get("type", "")) for name, entry in overlay.ip_dict.items()}
    network = _one(kinds, ip, "ip", "network", OURS)
    engine = _one(kinds, dma, "dma", "AXI DMA", (DMA,))
    words = overlay.ip_dict[engine].get("parameters") or {}
    words = {str(key).lower(): value for key, value in words.items()}
    sent = "c_include_mm2s", "c_include_s2mm"
    if lacks := [name for name in sent if name in words and not _number(words, name, 1)]:
        raise UsageError(f"the DMA {engine} has {lacks[0]} 0; the network needs both its channels")
    wide = [_number(words, f"c_m_axi_{way}_data_width", 32, _WIDTHS) for way in ("mm2s", "s2mm")]
    most = (1 << _number(words, "c_sg_length_width", 14, _LENGTHS)) - 1  # 14: unless it is asked
    return Found(_mmio(overlay, network), _mmio(overlay, engine), most, max(wide) // 8)


def _number(
    words: dict[str, Any], name: str, default: int, legal: Container[int] = range(2)
) -> int:
    """A parameter of the DMA, of those that PG021 allows."""
    try:
        found = int(str(words.get(name, default)), 0)
    except ValueError:
        raise UsageError(f"{name} {show(words[name])} of the overlay's DMA is no number") from None
    if found not in legal:
        raise UsageError(f"{name} {found} of the overlay's DMA is none that an AXI DMA can have")
    return found


def _one(
    kinds: dict[str, str], asked: str | None, option: str, what: str, begins: tuple[str, ...]
) -> str:
    if asked is not None:
        if not isinstance(asked, str) or asked not in kinds:
            raise UsageError(
                f"the overlay has no IP {show(asked)}{meant(str(asked), [*kinds])}; it has "
                f"{', '.join(kinds) or 'none'}"
            )
        if not kinds[asked].startswith(begins):  # what it does with a word is not known
            raise UsageError(
                f"{option} {show(asked)} is of type {kinds[asked] or 'none'}, which is no {what}; "
                f"the overlay has {', '.join(kinds)}"
            )
        return asked
    for begin in begins:
        found = [name for name, kind in kinds.items() if kind.startswith(begin)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"the overlay has {len(found)} of the kind {what}; choose one with {option}=: "
                f"{', '.join(found)}"
            )
    raise UsageError(
        f"the overlay has no {what}; it has {', '.join(kinds) or 'no IP'}: give the .bit of a "
        f"project of 'sterna bitstream', or {option}="
    )


def _mmio(overlay: Any, name: str) -> Mmio:
    """``hierarchy/name`` is an attribute of an attribute."""
    return functools.reduce(getattr, name.split("/"), overlay).mmio
