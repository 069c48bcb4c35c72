"""The spike streams a simulation build exports, and the way from their beats to spike arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.golden.errors import DesignError

__all__ = ["Tap", "decode"]


@dataclass(frozen=True)
class Tap:
    """One tapped edge, as design.json lists it.

    A beat is ``lanes * pb`` bits, bit ``plane * lanes + lane``; beats come in raster order, then
    channel groups, then groups of ``pb`` planes. Plane ``t * bits_per_step + k`` is bit ``k`` of
    the spikes of step ``t``.
    """

    node: str
    channels: int
    height: int
    width: int
    lanes: int
    planes: int
    pb: int
    bits_per_step: int

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> "Tap":
        """From an item of ``"taps"`` in design.json."""
        try:
            return cls(**{field.name: item[field.name] for field in fields(cls)})
        except KeyError as error:
            raise DesignError(
                f"a tap of design.json lacks {error}; fold the network again"
            ) from None

    @property
    def port(self) -> str:
        """What the names of its ports begin with."""
        return f"tap_{self.node}"

    @property
    def beat_bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.pb

    @property
    def beat_bytes(self) -> int:
        """Bytes a recorded beat takes."""
        return -(-self.beat_bits // 8)

    @property
    def groups(self) -> int:
        """Beats of one pixel for each group of planes."""
        return -(-self.channels // self.lanes)

    @property
    def plane_beats(self) -> int:
        """Beats that carry the planes of one channel group."""
        return -(-self.planes // self.pb)

    @property
    def beats(self) -> int:
        """Beats of an image."""
        return self.height * self.width * self.groups * self.plane_beats

    @property
    def image_bytes(self) -> int:
        """Bytes an image's recorded beats take."""
        return self.beats * self.beat_bytes


def decode(tap: Tap, beats: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Recorded beats uint8 [B, beats, beat_bytes] -> spikes [T, B, C, H, W].

    uint8, or uint16 where a step has more than 8 bits.

    Raises:
        DesignError: a pad lane or pad plane is not zero.
    """
    count = len(beats)
    kind: Any = np.uint8 if tap.bits_per_step <= 8 else np.uint16
    bits = np.unpackbits(beats.reshape(count, tap.beats, -1), axis=2, bitorder="little")
    shape = (count, tap.height, tap.width, tap.groups, tap.plane_beats, tap.pb, tap.lanes)
    if bits.shape[2] != tap.beat_bits:
        if bits[..., tap.beat_bits :].any():
            raise DesignError(f"node '{tap.node}': the tap port has bits above its width")
        bits = bits[..., : tap.beat_bits]
    # -> B, planes, groups, lanes, H, W
    bits = bits.reshape(shape).transpose(0, 4, 5, 3, 6, 1, 2)
    bits = bits.reshape(count, tap.plane_beats * tap.pb, tap.groups * tap.lanes, *bits.shape[5:])
    if bits[:, tap.planes :].any() or bits[:, :, tap.channels :].any():
        raise DesignError(
            f"node '{tap.node}': a pad lane or pad plane of its stream is not zero; "
            "this is a fault of the core that drives it"
        )
    bits = bits[:, : tap.planes, : tap.channels]
    steps = tap.planes // tap.bits_per_step
    bits = bits.reshape(count, steps, tap.bits_per_step, *bits.shape[2:])
    spikes = bits[:, :, 0].astype(kind)
    for k in range(1, tap.bits_per_step):
        spikes |= bits[:, :, k].astype(kind) << kind(k)
    return np.moveaxis(spikes, 0, 1)
