"""The top of a network: AXI4-Stream in and out, the chain of cores, and the AXI4-Lite slave."""

from dataclasses import dataclass, field

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sterna.golden.errors import DesignError
from sterna.hw.axil import AxiLite
from sterna.hw.axis import AxisSignature, ImageInput, ResultOutput
from sterna.hw.control import ControlPlane
from sterna.hw.gearbox import Gearbox
from sterna.hw.pool import PoolSpec, SpikingPool
from sterna.hw.spiking_conv import ConvSpec, SpikingConv
from sterna.hw.stream import Edge

__all__ = ["CoreInstance", "NetworkTop", "TopSpec"]

AXIL_BITS = 16


@dataclass(frozen=True)
class CoreInstance:
    """A core in the chain. ``source``: the edge that reaches it, before a gearbox makes it its own
    (channels counted as the core counts them); ``target``: node name of its output stream."""

    name: str
    target: str
    source: Edge
    spec: ConvSpec | PoolSpec


@dataclass(frozen=True)
class TopSpec:
    """edge, height, width: the network's input as the first core sees it. classes: logits."""

    edge: Edge
    height: int
    width: int
    axis_width: int
    classes: int
    cores: list[CoreInstance] = field(default_factory=list)
    structure_id: int = 0
    weights_id: int = 0
    repeat: bool = True
    taps: bool = False


class NetworkTop(wiring.Component):
    """The whole accelerator.

    Ports, flat, named as Vivado and LiteX expect: ``s_axis_*`` images in (see ``ImageInput``),
    ``m_axis_*`` results out (see ``ResultOutput``), ``s_axil_*`` registers (see ``ControlPlane``).
    ``taps``: for simulation only, also ``tap_<node>_valid/ready/data`` of every spike stream.
    Images follow one another without a gap; the initiation interval is that of the slowest core.
    """

    def __init__(self, spec: TopSpec):
        self.spec = spec
        self.image = ImageInput(
            spec.edge, spec.height, spec.width, spec.axis_width, repeat=spec.repeat
        )
        convs = [c.spec for c in spec.cores if isinstance(c.spec, ConvSpec)]
        self.regions = 2 * sum(c.weight_region is not None for c in convs)
        self.control = ControlPlane(
            spec.structure_id,
            spec.weights_id,
            cores=[c.name for c in spec.cores],
            regions=self.regions,
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
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.image_input = self.image
        m.submodules.control = control = self.control
        m.submodules.result = result = ResultOutput(self.spec.classes)
        self._attach(m, "s_axis", self.image.axis, AxisSignature(self.spec.axis_width).flip())
        self._attach(m, "m_axis", result.axis, AxisSignature(32))
        self._attach(m, "s_axil", control.axil, AxiLite(AXIL_BITS).flip())
        wiring.connect(m, self.image.flags, result.flags)
        flying = Signal(range(64))
        m.d.sync += flying.eq(flying + self.image.begin - result.done)
        m.d.comb += [
            self.image.hold.eq(control.hold),
            control.idle.eq(flying == 0),
            control.image_start.eq(self.image.begin),
            control.image_done.eq(result.done),
            control.tlast_early.eq(self.image.early),
            control.tlast_late.eq(self.image.late),
        ]
        if self.spec.repeat:
            m.d.comb += [
                self.image.repeat.eq(control.repeat),
                control.repeat_ack.eq(self.image.repeat_ack),
            ]
        else:
            m.d.comb += control.repeat_ack.eq(control.repeat)  # a request is dropped, not kept
        last = self._cores(m)
        wiring.connect(m, last, result.i)
        return m

    def _attach(self, m: Module, prefix: str, inside, signature: wiring.Signature) -> None:
        for name, member in signature.members.items():
            port, pin = getattr(self, f"{prefix}_{name}"), getattr(inside, name)
            m.d.comb += pin.eq(port) if member.flow == In else port.eq(pin)

    def _cores(self, m: Module):
        """Cores and gearboxes in a row; returns the stream of logits."""
        at = self.image.o
        chain = self.control.chain_o if self.regions else None
        stalls = []
        for instance in self.spec.cores:
            spec = instance.spec
            edge = spec.geometry.edge
            if instance.source != edge:
                gear = Gearbox(instance.source, edge)
                m.submodules[f"gear_{instance.name}"] = gear
                wiring.connect(m, at, gear.i)
                at = gear.o
            core = SpikingConv(spec) if isinstance(spec, ConvSpec) else SpikingPool(spec)
            m.submodules[instance.name] = core
            wiring.connect(m, at, core.i)
            at = core.o
            stalls.append(core.stalled)
            if isinstance(core, SpikingConv) and core.spec.weight_region is not None:
                wiring.connect(m, chain, core.chain_i)
                chain = core.chain_o
            if self.spec.taps and _tap_width(instance):
                self._tap(m, instance.target, at)
        m.d.comb += self.control.stall.eq(Cat(stalls))
        if chain is not None:
            wiring.connect(m, chain, self.control.chain_i)
        return at

    def _tap(self, m: Module, node: str, at: stream.Interface) -> None:
        m.d.comb += [
            getattr(self, f"tap_{node}_valid").eq(at.valid),
            getattr(self, f"tap_{node}_ready").eq(at.ready),
            getattr(self, f"tap_{node}_data").eq(at.payload),
        ]


def _tap_width(core: CoreInstance) -> int:
    """Width of the core's spike stream, 0 where it makes logits."""
    if isinstance(core.spec, ConvSpec) and core.spec.readout:
        return 0
    width = core.spec.out_edge.width
    if width < 1:
        raise DesignError(f"node '{core.target}': has an empty stream")
    return width
