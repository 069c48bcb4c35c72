"""Fixed addresses of a design's registers, shared by the hardware and by hosts.

``hw.control.registers`` gives each register its fields and meaning. Standard library only.
"""

__all__ = ["ADDRESS", "ADDRESS_BITS", "ID", "VERSION", "FLAG_EARLY", "FLAG_LATE", "FLAG_UNLOADED"]

ADDRESS_BITS = 16
ID = int.from_bytes(b"STRN", "little")
VERSION = 0x0001_0002
"""Of the register map: major << 16 | minor. 1.2: a repeated image keeps its flags, repetitions of
no image are refused, images and their clocks are counted of those begun since the clear."""

ADDRESS = {
    "id": 0x00,
    "version": 0x04,
    "structure_id_lo": 0x08,
    "structure_id_hi": 0x0C,
    "weights_id_lo": 0x10,
    "weights_id_hi": 0x14,
    "config": 0x18,
    "control": 0x1C,
    "status": 0x20,
    "repeat": 0x24,
    "image_clocks": 0x28,
    "images": 0x2C,
    "total_clocks": 0x30,
    "dropped": 0x34,
    "rom_crc": 0x38,
    "chain_address": 0x40,
    "chain_data": 0x44,
    "crc_words": 0x48,
    "crc_result": 0x4C,
    "stalls": 0x100,
}
"""Byte addresses; ``stalls`` is the first core's counter, the others follow."""

FLAG_EARLY = 1
"""Of a result: the packet ended before the image was complete; the rest of the image is zero."""
FLAG_LATE = 2
"""Of a result: the packet went on after the image was complete; the rest was dropped."""
FLAG_UNLOADED = 4
"""Of a result: weights_id was zero when the image came in, so nobody vouches for the weights."""
