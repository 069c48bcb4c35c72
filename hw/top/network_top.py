"""The top of a network: AXI4-Stream in and out, the graph of cores, and the AXI4-Lite slave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.golden.words.names import Scope
from sterna.hw.control.axil import AxiLite
from sterna.hw.control.control import ControlPlane
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.pool import PoolSpec, SpikingPool
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.stream.axis import (
    COMPACT_IN_FLIGHT,
    IN_FLIGHT,
    AxisSignature,
    ImageInput,
    ResultOutput,
)
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.fork import Fork
from sterna.hw.stream.gearbox import Gearbox
from sterna.hw.stream.merge import MergeSpec, SpikingMerge
from sterna.hw.stream.skip_fifo import SkipFifo

__all__ = ["CORES", "Branch", "CoreInstance", "CoreSpec", "NetworkTop", "TopSpec", "input_ports"]

AXIL_BITS = 16
FIXED = ("image_input", "control", "result")
"""Submodules of every top."""
CoreSpec = ConvSpec | PoolSpec | MergeSpec
CORES: dict[type[CoreSpec], Callable[..., Any]] = {
    ConvSpec: SpikingConv,
    PoolSpec: SpikingPool,
    MergeSpec: SpikingMerge,
}
"""The component of each core, by its specification, which has also: ``out_edge``, ``geometries``,
``stalls``, ``law``."""


@dataclass(frozen=True)
class Branch:
    """One reading of a stream. source: node that makes it; given: its beats, in channels as the
    reader counts them; taken: the reader's beats; buffer: (kind, depth) of the FIFO it waits in;
    ahead: of one behind the gearbox.
    """

    source: str
    given: Edge
    taken: Edge
    buffer: tuple[str, int] | None = None
    ahead: tuple[str, int] | None = None


@dataclass(frozen=True)
class CoreInstance:
    """A core in the graph. ``target``: node name of its output stream; ``branches`` in the order of
    its stream inputs (``input_ports``)."""

    name: str
    target: str
    spec: CoreSpec
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class TopSpec:
    """image: name of the input node; edge, height, width: its stream. classes: logits. cores:
    makers before readers. rom_crc, ident: see `ControlPlane`. compact: cells are dearer than
    clocks: no counters of the clocks of one image and of those in which each core had to wait,
    fewer images in flight; see also `WeightMemory`. in_flight: images that may be between the input
    and their result, None: as many as usual. brisk: results come so often that a compact top, too,
    sends them at the full rate."""

    image: str
    edge: Edge
    height: int
    width: int
    axis_width: int
    classes: int
    cores: list[CoreInstance] = field(default_factory=list)
    structure_id: int = 0
    weights_id: int = 0
    rom_crc: int = 0
    ident: tuple[int, ...] | None = None
    repeat: bool = True
    compact: bool = False
    taps: bool = False
    in_flight: int | None = None
    brisk: bool = False

    @property
    def flight(self) -> int:
        """Images that may be between the input and the start of their result packet."""
        usual = COMPACT_IN_FLIGHT if self.compact else IN_FLIGHT
        return usual if self.in_flight is None else self.in_flight

    @property
    def slow_result(self) -> bool:
        """Whether results leave at half rate, see ``compact`` of `ResultOutput`."""
        return self.compact and not self.brisk

    @property
    def buffers(self) -> list[Branch]:
        """Branches that wait in a FIFO, in order of readers: ``limit_<k>`` is the k-th."""
        return [b for c in self.cores for b in c.branches if b.buffer is not None]

    @property
    def logit_bits(self) -> int:
        """Signed bits of the logits, which the last core makes."""
        last = self.cores[-1].spec
        assert isinstance(last, ConvSpec) and last.readout
        return last.logit_bits

    def readings(self, node: str) -> int:
        """How often the stream of ``node`` is read: above one it is forked."""
        return sum(b.source == node for c in self.cores for b in c.branches)


def core_modules(cores: Sequence[CoreInstance]) -> list[str]:
    """The module of each core in that of its network."""
    return _names(Scope(FIXED), cores)


def _names(scope: Scope, cores: Sequence[CoreInstance]) -> list[str]:
    return [scope.name(core.name) for core in cores]


class NetworkTop(wiring.Component):
    """The whole accelerator.

    Ports, flat, named as Vivado and LiteX expect: ``s_axis_*`` images in (see ``ImageInput``),
    ``m_axis_*`` results out (see ``ResultOutput``), ``s_axil_*`` registers (see ``ControlPlane``).
    ``taps``: for simulation only, also ``tap_<node>_valid/ready/data`` of every spike stream, and
    ``limit_<k>``: the k-th buffer behaves as one of this depth (0: as built).
    Images follow one another without a gap; the initiation interval is that of the slowest core.
    """

    def __init__(self, spec: TopSpec):
        self.spec = spec
        convs = [c.spec for c in spec.cores if isinstance(c.spec, ConvSpec)]
        self.image = ImageInput(
            spec.edge,
            spec.height,
            spec.width,
            spec.axis_width,
            repeat=spec.repeat,
            waits=any(f.dot_engine.written for c in convs for f in c.fronts),
            in_flight=spec.flight,
        )
        self.regions = sum(1 + len(c.fronts) for c in convs if c.param_region is not None)
        counted = [c for c in spec.cores if c.spec.stalls and not spec.compact]
        self.control = ControlPlane(
            spec.structure_id,
            spec.weights_id,
            cores=[c.name for c in counted],
            regions=self.regions,
            rom_crc=spec.rom_crc,
            ident=spec.ident,
            compact=spec.compact,
            in_flight=spec.flight,
        )
        members = {}
        for prefix, signature in (
            ("s_axis", AxisSignature(spec.axis_width).flip()),
            ("m_axis", AxisSignature(32)),
            ("s_axil", AxiLite(AXIL_BITS).flip()),
        ):
            for name, member in signature.members.items():
                members[f"{prefix}_{name}"] = member
        if spec.taps:
            for core in spec.cores:
                if width := _tap_width(core):
                    members[f"tap_{core.target}_valid"] = Out(1)
                    members[f"tap_{core.target}_ready"] = Out(1)
                    members[f"tap_{core.target}_data"] = Out(width)
            for n, branch in enumerate(spec.buffers):
                assert branch.buffer is not None
                members[f"limit_{n}"] = In(range(branch.buffer[1] + 1))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.image_input = self.image
        m.submodules.control = control = self.control
        m.submodules.result = result = ResultOutput(
            self.spec.classes, self.spec.slow_result, self.spec.logit_bits
        )
        # One namespace: what is fixed, then the cores, then what stands between them.
        self._scope = Scope(FIXED)
        self._core_names = _names(self._scope, self.spec.cores)
        self._attach(m, "s_axis", self.image.axis, AxisSignature(self.spec.axis_width).flip())
        self._attach(m, "m_axis", result.axis, AxisSignature(32))
        self._attach(m, "s_axil", control.axil, AxiLite(AXIL_BITS).flip())
        wiring.connect(m, self.image.flags, result.flags)
        flying = Signal.like(control.flying)
        m.d.sync += flying.eq(flying + self.image.begin - result.done)
        last, ready = self._cores(m)
        m.d.comb += [
            self.image.hold.eq(control.hold | ~ready),
            control.ready.eq(ready),
            self.image.unloaded.eq(control.unloaded),
            control.flying.eq(flying),
            control.image_start.eq(self.image.begin),
            control.image_done.eq(result.done),
            control.tlast_early.eq(self.image.early),
            control.tlast_late.eq(self.image.late),
        ]
        if self.spec.repeat:
            m.d.comb += [
                self.image.repeat.eq(control.repeat),
                control.repeat_ack.eq(self.image.repeat_ack),
                control.repeatable.eq(self.image.stored),
            ]
        wiring.connect(m, last, result.i)
        return m

    def _attach(self, m: Module, prefix: str, inside: Any, signature: Any) -> None:
        for name, member in signature.members.items():
            port, pin = getattr(self, f"{prefix}_{name}"), getattr(inside, name)
            m.d.comb += pin.eq(port) if member.flow == In else port.eq(pin)

    def _cores(self, m: Module) -> tuple[stream.Interface, Value]:
        """Cores, and the forks, FIFOs and gearboxes between them; returns the stream of logits, and
        whether all tables of weights are written."""
        spec = self.spec
        waiting = {spec.image: self._spread(m, spec.image, self.image.o)}
        chain = self.control.chain_o if self.regions else None
        stalls, ready, buffers = [], [], 0
        at = self.image.o
        for instance, called in zip(spec.cores, self._core_names, strict=True):
            core = CORES[type(instance.spec)](instance.spec)
            m.submodules[called] = core
            for n, (branch, port) in enumerate(
                zip(instance.branches, input_ports(core), strict=True)
            ):
                name = f"{instance.name}_{n}" if n else instance.name
                at = waiting[branch.source].pop(0)
                if branch.buffer is not None:
                    at = self._buffer(m, name, branch, buffers, at)
                    buffers += 1
                if branch.given != branch.taken:
                    gear = Gearbox(branch.given, branch.taken)
                    m.submodules[self._scope.name(f"gear_{name}")] = gear
                    wiring.connect(m, at, gear.i)
                    at = gear.o
                if branch.ahead is not None:
                    kind, depth = branch.ahead
                    m.submodules[self._scope.name(f"ahead_{name}")] = fifo = SkipFifo(
                        branch.taken.width, depth, kind
                    )
                    wiring.connect(m, at, fifo.i)
                    at = fifo.o
                wiring.connect(m, at, port)
            at = core.o
            waiting[instance.target] = self._spread(m, instance.target, at)
            if instance.spec.stalls:
                stalls.append(core.stalled)
            if isinstance(core, SpikingConv) and core.expanded:
                ready.append(core.ready)
            if isinstance(core, SpikingConv) and core.spec.param_region is not None:
                wiring.connect(m, chain, core.chain_i)  # pyright: ignore[reportArgumentType]
                chain = core.chain_o
            if spec.taps and _tap_width(instance):
                self._tap(m, instance.target, at)
        if not spec.compact:
            m.d.comb += self.control.stall.eq(Cat(stalls))
        if chain is not None:
            wiring.connect(m, chain, self.control.chain_i)
        return at, Cat(Const(1), *ready).all()

    def _spread(self, m: Module, node: str, at: stream.Interface) -> list[stream.Interface]:
        """One stream for each reading of a node's stream: itself, or the branches of a fork."""
        count = self.spec.readings(node)
        if count < 2:
            return [at]
        fork = Fork(len(at.payload), count)
        m.submodules[self._scope.name(f"fork_{node}")] = fork
        wiring.connect(m, at, fork.i)
        return [getattr(fork, f"o_{n}") for n in range(count)]

    def _buffer(
        self, m: Module, name: str, branch: Branch, number: int, at: stream.Interface
    ) -> stream.Interface:
        assert branch.buffer is not None
        kind, depth = branch.buffer
        fifo = SkipFifo(branch.given.width, depth, kind, limited=self.spec.taps)
        m.submodules[self._scope.name(f"wait_{name}")] = fifo
        wiring.connect(m, at, fifo.i)
        if self.spec.taps:
            m.d.comb += fifo.limit.eq(getattr(self, f"limit_{number}"))
        return fifo.o

    def _tap(self, m: Module, node: str, at: stream.Interface) -> None:
        m.d.comb += [
            getattr(self, f"tap_{node}_valid").eq(at.valid),
            getattr(self, f"tap_{node}_ready").eq(at.ready),
            getattr(self, f"tap_{node}_data").eq(at.payload),
        ]


def input_ports(core: wiring.Component) -> list[stream.Interface]:
    """Stream inputs of a core: of a neuron the weighted ones (``i``, ``i_1`` ...), then the
    shortcuts (``s_0`` ...); of a merge ``i_0``, ``i_1`` ..."""
    names = [n for n in core.signature.members if n == "i" or n[:2] in ("i_", "s_")]
    order = sorted(names, key=lambda n: (n[0], int(n[2:] or 0)))
    return [getattr(core, n) for n in order]


def _tap_width(core: CoreInstance) -> int:
    """Width of the core's spike stream, 0 where it makes logits."""
    if isinstance(core.spec, ConvSpec) and core.spec.readout:
        return 0
    width = core.spec.out_edge.width
    if width < 1:
        raise DesignError(f"node '{core.target}': has an empty stream")
    return width
