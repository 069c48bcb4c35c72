"""What the design counts about itself in flip-flops: images, clocks, stalls, dropped packets."""

__all__ = ["Counter", "ImageCounters", "counter_members"]

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

DROPPED_BITS = 16


class Counter(wiring.Component):
    """Counts clocks with ``event`` high and stays at its largest value when that is passed.

    ``value`` (``width`` bits) follows one clock after ``event``; ``clear`` (to ``first``) wins.
    """

    def __init__(self, width: int, first: int = 0):
        self.width, self.first = width, first
        super().__init__({"event": In(1), "clear": In(1), "value": Out(width)})

    def elaborate(self, platform: object):
        m = Module()
        # The carry out stops the count: no wide comparison in front of the adder.
        count = Signal(self.width + 1, init=self.first)
        over = count[self.width]
        with m.If(self.clear):
            m.d.sync += count.eq(self.first)
        with m.Elif(self.event & ~over):
            m.d.sync += count.eq(count + 1)
        m.d.comb += self.value.eq(count[: self.width] | over.replicate(self.width))
        return m


def counter_members(cores: int) -> dict[str, wiring.Member]:
    """What is counted; see `ImageCounters`."""
    names = ("clear", "image_start", "image_done", "older", "drop_early", "drop_late")
    return {name: In(1) for name in names} | ({"stall": In(cores)} if cores else {})


class ImageCounters(wiring.Component):
    """The counters of a design; all saturate, ``clear`` sets them to zero.

    For families without LUT RAM, where `Tally` is not the smaller one; it does not follow images.

    The clocks of an image are those from the one in which its first input beat is taken to the one
    in which its last output beat is taken, both included.

    Every ``image_start`` is followed by exactly one ``image_done``, in order, whatever the length
    of its packet was (``ImageInput`` completes a short one). All are high for one clock.

    Members
    -------
    clear : in, one clock
    image_start, image_done, drop_early, drop_late : in, see above
    older : in, what is done now, or next, began before the last ``clear`` or with it
    stall : in, one bit a core, high in clocks in which the core had to wait
    images : out, 32 bits, images done, of those that began after ``clear``
    total_clocks : out, 32 bits, from the first ``image_start`` after ``clear`` to the latest
        ``image_done`` that counts, both included
    dropped_early, dropped_late : out, 16 bits
    stalls : out, 32 bits a core
    """

    def __init__(self, cores: int, width: int = 32):
        self.cores, self.width = cores, width
        members = counter_members(cores) | {
            "images": Out(width),
            "total_clocks": Out(width),
            "dropped_early": Out(DROPPED_BITS),
            "dropped_late": Out(DROPPED_BITS),
        }
        if cores:
            members["stalls"] = Out(data.ArrayLayout(width, cores))
        super().__init__(members)

    def elaborate(self, platform: object):
        m = Module()

        def count(name: str, event: Value, value: Signal, first: int = 0) -> Counter:
            counter = m.submodules[name] = Counter(len(value), first)
            m.d.comb += [counter.event.eq(event), counter.clear.eq(self.clear)]
            m.d.comb += value.eq(counter.value)
            return counter

        done = self.image_done & ~self.older
        count("images", done, self.images)
        count("dropped_early", self.drop_early, self.dropped_early)
        count("dropped_late", self.drop_late, self.dropped_late)
        for k in range(self.cores):
            # The register keeps the counters out of the cores' timing.
            waits = Signal(name=f"stall_{k}")
            m.d.sync += waits.eq(self.stall[k])
            count(f"stall_{k}", waits, self.stalls[k])

        # Clocks since the first image: in the clock after its start already the second one.
        running = Signal()
        total = Signal(self.width)
        counter = count("total", running, total, first=2)
        m.d.comb += counter.clear.eq(~running)
        with m.If(self.clear):
            m.d.sync += [running.eq(0), self.total_clocks.eq(0)]
        with m.Else():
            with m.If(self.image_start):
                m.d.sync += running.eq(1)
            with m.If(done & running):
                m.d.sync += self.total_clocks.eq(total)
        return m
