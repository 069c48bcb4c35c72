"""A stand-in for pynq, in front of a simulated Zynq: what PynqBoard uses of pynq 4.0.0.

Written from its sources' behaviour (pynq/buffer.py, mmio.py, overlay.py, lib/dma.py, which are the
same in 2.7 and 3.0.1 in what matters here). Memory is not coherent: the DMA sees what was flushed,
the processor what it last invalidated; and a cache that is full writes dirty lines back when it
likes, over whatever the DMA has written there.
"""

import types
from pathlib import Path

import numpy as np
from zynqsim import MEMORY, SIZE, Zynq

__all__ = ["Buffer", "Memory", "Overlay", "stand_in"]

LINE = 32
NETWORK, DMA = 0x43C0_0000, 0x4040_0000


class Buffer(np.ndarray):
    """A buffer as pynq.allocate gives it: this array is what the caches hold of it."""

    home: "Memory | None" = None
    physical_address: int | None = None
    freed = False

    def __array_finalize__(self, other):
        if isinstance(other, Buffer) and other.physical_address is not None:
            start = self.__array_interface__["data"][0] - other.__array_interface__["data"][0]
            self.physical_address, self.home = other.physical_address + start, other.home

    def flush(self) -> None:
        assert self.home is not None
        self.home.sync(self, to_device=True)

    def invalidate(self) -> None:
        assert self.home is not None
        self.home.sync(self, to_device=False)

    def freebuffer(self) -> None:
        assert self.home is not None and not self.freed
        self.home.free(self)
        self.freed = True


class Memory:
    """What pynq.allocate takes from; room: bytes of it that there are."""

    def __init__(self, zynq: Zynq, room: int = SIZE):
        self.zynq, self.room, self.next = zynq, room, 0
        self.live: list[Buffer] = []
        self.known: dict[int, np.ndarray] = {}  # address of a buffer: it and memory were the same

    def allocate(self, shape, dtype="u4", target=None, **kwargs) -> Buffer:
        assert target is None and not kwargs
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self.next + size > self.room:
            raise RuntimeError("Failed to allocate Memory!")
        buffer = np.empty(shape, dtype).view(Buffer)
        buffer.physical_address, buffer.home = MEMORY + self.next, self
        self.next += -(-size // 4096) * 4096
        cached = self._bytes(buffer)
        cached[:] = np.random.default_rng(self.next).integers(0, 256, size, np.uint8)
        self.known[buffer.physical_address] = cached.copy()
        self.live.append(buffer)
        return buffer

    @staticmethod
    def _bytes(buffer: Buffer) -> np.ndarray:
        return np.asarray(buffer).reshape(-1).view(np.uint8)

    def _place(self, buffer: Buffer) -> slice:
        start = buffer.physical_address - MEMORY
        return slice(start, start + buffer.nbytes)

    def sync(self, buffer: Buffer, to_device: bool) -> None:
        assert buffer.physical_address in self.known, "of a whole buffer, as XRT does it"
        cached, there = self._bytes(buffer), self.zynq.memory[self._place(buffer)]
        (there if to_device else cached)[:] = cached if to_device else there
        self.known[buffer.physical_address] = cached.copy()

    def evict(self) -> None:
        """Write dirty lines back, as a cache may at any moment; the worst is behind the DMA."""
        for buffer in self.live:
            cached, known = self._bytes(buffer), self.known[buffer.physical_address]
            there = self.zynq.memory[self._place(buffer)]
            for line in np.unique(np.flatnonzero(cached != known) // LINE):
                part = slice(line * LINE, (line + 1) * LINE)
                there[part] = known[part] = cached[part]

    def free(self, buffer: Buffer) -> None:
        assert not self.zynq.active, "freed while the DMA may write to it"
        self.live = [other for other in self.live if other is not buffer]


class Mmio:
    """pynq.MMIO."""

    def __init__(self, memory: Memory, base_addr: int, length: int):
        self._memory, self.length = memory, length
        self._part = "dma" if base_addr == DMA else "network"

    def read(self, offset=0, length=4, word_order="little") -> int:
        self._check(offset)
        before = self._memory.zynq.active
        word = getattr(self._memory.zynq, f"read_{self._part}")(offset)
        if before and not self._memory.zynq.active:
            self._memory.evict()
        return word

    def write(self, offset, data) -> None:
        self._check(offset)
        if type(data) is not int:
            raise ValueError("Data type must be int or bytes.")
        assert 0 <= data < 1 << 32
        getattr(self._memory.zynq, f"write_{self._part}")(offset, data)

    def _check(self, offset: int) -> None:
        if offset < 0:
            raise ValueError("Offset cannot be negative.")
        if offset % 4:
            raise MemoryError("Unaligned read: offset must be multiple of 4.")
        assert offset < self.length


class DefaultIP:
    """pynq.DefaultIP."""

    def __init__(self, memory: Memory, description: dict):
        self.description = description
        self.mmio = Mmio(memory, description["phys_addr"], description["addr_range"])


class DMA_(DefaultIP):
    """pynq.lib.dma.DMA without scatter and gather: made, it starts both channels."""

    def __init__(self, memory: Memory, description: dict):
        super().__init__(memory, description)
        width = int(description["parameters"]["c_sg_length_width"])
        self.buffer_max_size = (1 << width) - 1
        for base in (0x00, 0x30):
            self.mmio.write(base, 1)
            while self.mmio.read(base + 4) & 1:
                pass


class Overlay:
    """pynq.Overlay; ``network``: the name of the network's IP."""

    def __init__(self, memory: Memory, network: str = "net_0", kind: str = "sterna:networks:net"):
        self._memory, self._made, zynq = memory, {}, memory.zynq
        parameters = {
            "c_sg_length_width": str(zynq.length_bits),
            "c_include_sg": "0",
            "c_include_mm2s": "1",
            "c_include_s2mm": "1",
            "c_include_mm2s_dre": "0",
            "c_m_axi_mm2s_data_width": str(8 * zynq.align),
            "c_m_axi_s2mm_data_width": "32",
        }
        self.ip_dict = {
            "axi_dma_0": {
                "type": "xilinx.com:ip:axi_dma:7.1",
                "phys_addr": DMA,
                "addr_range": 0x10000,
                "parameters": parameters,
            },
            network: {
                "type": f"{kind}:1.0",
                "phys_addr": NETWORK,
                "addr_range": 0x10000,
                "parameters": {},
            },
            "processing_system7_0": {"type": "xilinx.com:ip:processing_system7:5.5"},
        }

    def __getattr__(self, name):
        if name.startswith("_") or name not in self.ip_dict:
            raise AttributeError(name)
        if name not in self._made:
            kind = DMA_ if name == "axi_dma_0" else DefaultIP
            self._made[name] = kind(self._memory, self.ip_dict[name])
        return self._made[name]

    def download(self) -> None:
        self._memory.zynq.download()


def stand_in(zynq: Zynq, room: int = SIZE) -> types.ModuleType:
    """A module to put into sys.modules as pynq."""
    memory = Memory(zynq, room)
    module = types.ModuleType("pynq")

    def overlay(bitfile_name, download=True) -> Overlay:
        assert Path(bitfile_name).is_file() and Path(bitfile_name).with_suffix(".hwh").is_file()
        if download:
            zynq.download()
        return Overlay(memory)

    found = {"Overlay": overlay, "allocate": memory.allocate, "memory": memory}
    for name, value in found.items():
        setattr(module, name, value)
    return module
