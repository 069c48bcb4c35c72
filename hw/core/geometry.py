"""What a window buffer must know: the map, the window, and how words of it lie in memory."""

from dataclasses import dataclass, replace

from sterna.golden.errors import DesignError
from sterna.hw.stream.edge import Edge

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """A sliding window over a map that arrives as a stream.

    edge: the stream; one beat is one memory word. height, width: the map. kernel, stride: (y, x).
    padding: zeros at (top, bottom, left, right), made at the read. A read takes ``rows`` x
    ``columns`` pixels at once; rows divides kernel[0], columns divides kernel[1]. spare: rows kept
    beyond what is needed, for a core whose input takes as long as its computing. pool, pool_stride:
    (y, x) of a pool of what the window makes: an output is then made at ``pool`` positions of it,
    ``stride`` apart, and the next output's lie ``pool_stride`` positions further; ``pool_padding``
    positions beyond the first and last ones of the map are walked, too. dilation: rows and columns
    from a pixel of the window to the next; such a window is read one pixel at a time.
    """

    edge: Edge
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    rows: int = 1
    columns: int = 1
    spare: int = 0
    pool: tuple[int, int] = (1, 1)
    pool_stride: tuple[int, int] = (1, 1)
    pool_padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.dilation != (1, 1) and (self.rows, self.columns) != (1, 1):
            raise DesignError("a dilated window is read one pixel at a time")
        if self.kernel[0] % self.rows or self.kernel[1] % self.columns:
            raise DesignError(
                f"a read of {self.rows} x {self.columns} pixels does not divide the window "
                f"{self.kernel}"
            )
        if self.out_height < 1 or self.out_width < 1:
            raise DesignError(f"the window {self.extent} is larger than the padded map")

    @classmethod
    def arriving(cls, edge: Edge, spare: int = 0) -> "Geometry":
        """Of a flattened map whose words are used as they arrive: they lie below each other, and
        the window is one of them. edge: the map's, all its channels in one pixel."""
        if edge.channels % edge.lanes:
            raise DesignError(
                f"beats of {edge.lanes} lanes do not divide the {edge.channels} channels of a map "
                "that is used as it arrives; run `sterna fold`"
            )
        word, words = replace(edge, channels=edge.lanes), edge.channels // edge.lanes
        return cls(word, words, 1, (1, 1), (1, 1), spare=spare)

    @property
    def positions(self) -> int:
        """Of the window, for an output."""
        return self.pool[0] * self.pool[1]

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns under the window."""
        (kh, kw), (dy, dx) = self.kernel, self.dilation
        return dy * (kh - 1) + 1, dx * (kw - 1) + 1

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns under an output: the window at all its positions."""
        (qy, qx), (sy, sx), (ky, kx) = self.pool, self.stride, self.reach
        return (qy - 1) * sy + ky, (qx - 1) * sx + kx

    @property
    def advance(self) -> tuple[int, int]:
        """Rows and columns from an output to the next."""
        return self.stride[0] * self.pool_stride[0], self.stride[1] * self.pool_stride[1]

    @property
    def border(self) -> tuple[int, int, int, int]:
        """Rows and columns walked beyond the map: of the padding, and of a pool's."""
        (sy, sx), (t, b, left, right) = self.stride, self.padding
        above, below, before, after = self.pool_padding
        return t + above * sy, b + below * sy, left + before * sx, right + after * sx

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of positions that a window has on the padded map."""
        (t, b, left, right), (kh, kw), (sy, sx) = self.padding, self.reach, self.stride
        return (self.height + t + b - kh) // sy + 1, (self.width + left + right - kw) // sx + 1

    @property
    def out_height(self) -> int:
        t, b = self.border[:2]
        return (self.height + t + b - self.extent[0]) // self.advance[0] + 1

    @property
    def out_width(self) -> int:
        left, right = self.border[2:]
        return (self.width + left + right - self.extent[1]) // self.advance[1] + 1

    @property
    def next_image(self) -> int:
        """Rows from the first window row of the last output row to that of the next image."""
        return self.height - (self.out_height - 1) * self.advance[0]

    @property
    def slots(self) -> int:
        """Row slots: the window, and what the next output row needs while this one is computed.

        extent + advance inside an image; at its end the next image's first window must fit beside
        the last one, or the core would wait for input there. Rounded up to the row banks.
        Input that takes exactly as long as computing loses the clocks, about two a row, in which a
        freed slot gets known: one more advance of slots gives them back.
        """
        need = self.extent[0] + max(self.advance[0], self.next_image) + self.spare
        return -(-need // self.rows) * self.rows

    @property
    def words_per_pixel(self) -> int:
        return self.edge.beats_per_pixel

    @property
    def row_words(self) -> int:
        """Words of one row in one column bank."""
        return -(-self.width // self.columns) * self.words_per_pixel

    @property
    def bank_depth(self) -> int:
        return self.slots // self.rows * self.row_words

    @property
    def input_beats(self) -> int:
        """Beats of an image: the input bound of the initiation interval."""
        return self.height * self.width * self.words_per_pixel

    @property
    def bits(self) -> int:
        """Bits of all banks."""
        return self.rows * self.columns * self.bank_depth * self.edge.width
