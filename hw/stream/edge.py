"""The description of a stream between two cores: what a beat holds, in which order beats come."""

from dataclasses import dataclass, replace

from amaranth.hdl import unsigned
from amaranth.lib import stream

from sterna.golden.errors import DesignError

__all__ = ["MAX_WIDTH", "Edge"]

MAX_WIDTH = 512
"""The widest beat, in bits: wider ones make routing, not logic, the limit."""


@dataclass(frozen=True)
class Edge:
    """A stream of the planes of a map: raster over (y, x), channel groups, plane beats low first.

    A pixel has ``channels`` channels of ``planes`` bits. A beat carries ``lanes`` channels and
    ``pb`` planes of each; its bit ``plane_in_beat * lanes + lane`` is plane
    ``plane_beat * pb + plane_in_beat`` of channel ``group * lanes + lane``. Neither division needs
    to be exact: lanes past the last channel and planes past the last plane are zero.

    Refused, with a :class:`DesignError` that names only values (the caller names the node):
    numbers below 1; ``pb > planes``, which would only widen every beat by zeros; a beat of more
    than :data:`MAX_WIDTH` bits; any ``code`` but ``'planes'`` (``'time'`` is reserved).
    """

    channels: int
    lanes: int
    planes: int
    pb: int
    code: str = "planes"

    def __post_init__(self) -> None:
        for name in ("channels", "lanes", "planes", "pb"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DesignError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.code != "planes":
            raise DesignError(f"stream code {self.code!r} has no hardware yet; use 'planes'")
        if self.pb > self.planes:
            raise DesignError(
                f"a beat of {self.pb} planes is more than the stream's {self.planes};"
                f" use pb = {self.planes}"
            )
        if self.width > MAX_WIDTH:
            raise DesignError(
                f"a beat of {self.lanes} lanes x {self.pb} planes is {self.width} bits, over"
                f" {MAX_WIDTH}; use fewer lanes or a smaller pb"
            )

    @property
    def width(self) -> int:
        """Bits of one beat."""
        return self.lanes * self.pb

    @property
    def groups(self) -> int:
        """Channel groups of a pixel; the last may have pad lanes."""
        return -(-self.channels // self.lanes)

    @property
    def plane_beats(self) -> int:
        """Beats of one channel group; the last may have pad planes."""
        return -(-self.planes // self.pb)

    @property
    def beats_per_pixel(self) -> int:
        """Beats of one pixel."""
        return self.groups * self.plane_beats

    @property
    def signature(self) -> stream.Signature:
        """The stream's interface: ``payload`` of :attr:`width` bits, ``valid``, ``ready``."""
        return stream.Signature(unsigned(self.width))

    def resized(self, *, lanes: int | None = None, pb: int | None = None) -> "Edge":
        """The same channels and planes in beats of another size."""
        return replace(self, lanes=lanes or self.lanes, pb=pb or self.pb)
