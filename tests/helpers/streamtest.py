"""Drives a component's streams in Amaranth's simulator, with stalls, and checks their rules."""

import gc
import random
import warnings

from amaranth.hdl import Cat, Elaboratable, Value
from amaranth.sim import Simulator

from sterna.golden.errors import DesignError

__all__ = ["run_streams", "edge_beats", "edge_unpack", "refusal"]


class _Port:
    """A stream, or an AXI4-Stream whose payload is ``tdata | tlast << width``."""

    def __init__(self, port):
        axis = hasattr(port, "tvalid")
        self.valid = port.tvalid if axis else port.valid
        self.ready = port.tready if axis else port.ready
        self.payload = Cat(port.tdata, port.tlast) if axis else Value.cast(port.payload)


def run_streams(
    dut,
    inputs: dict,
    outputs: dict,
    *,
    stalls: float | dict[str, float] = 0.0,
    begin: dict[str, int] | None = None,
    seed: int = 0,
    deadline: int = 100_000,
    watch=None,
    after: int = 12,
) -> dict:
    """Send lists of payloads, collect as many as asked for.

    Args:
        dut: the component.
        inputs: port name -> list of payloads; of an AXI4-Stream ``tdata | tlast << width``.
        outputs: port name -> number of beats to wait for.
        stalls: chance that an end waits in a clock, of all or by port name; 0 never waits.
        begin: clock before which an input sends nothing, by port name.
        seed: of the stalls.
        deadline: clocks after which the test fails.
        watch: ``async def watch(ctx, cycle)``, called once a clock.
        after: clocks to go on when all is there, so that beats too many are seen.

    Returns:
        port name -> list of ``(clock, payload)`` of every beat taken on outputs and inputs.

    Fails if a payload changes, or valid falls, before a beat is taken.
    """
    random_ = random.Random(seed)
    equal = dict.fromkeys((*inputs, *outputs), stalls)
    chance: dict = stalls if isinstance(stalls, dict) else equal
    late = begin or {}
    taken: dict = {name: [] for name in (*inputs, *outputs)}
    done = []

    ports = {name: _Port(getattr(dut, name)) for name in taken}

    async def bench(ctx):
        sources = {name: list(beats) for name, beats in inputs.items()}
        held: dict = {}
        offered = dict.fromkeys(sources, False)
        await ctx.tick()
        for cycle in range(deadline):
            for name, beats in sources.items():
                port = ports[name]
                if not offered[name] and beats and random_.random() >= chance.get(name, 0):
                    offered[name] = cycle >= late.get(name, 0)
                ctx.set(port.valid, int(offered[name]))
                # Rubbish while not valid: nothing may look at it.
                ctx.set(
                    port.payload,
                    beats[0] if offered[name] else random_.getrandbits(len(port.payload)),
                )
            for name in outputs:
                ctx.set(ports[name].ready, int(random_.random() >= chance.get(name, 0)))
            if watch is not None:
                await watch(ctx, cycle)
            for name in sources:
                port = ports[name]
                if offered[name] and ctx.get(port.ready):
                    taken[name].append((cycle, sources[name].pop(0)))
                    offered[name] = False
            for name in outputs:
                port = ports[name]
                valid, payload = ctx.get(port.valid), ctx.get(port.payload)
                if name in held:
                    assert valid, f"{name}: valid fell at clock {cycle} before the beat was taken"
                    assert payload == held[name], f"{name}: payload changed at clock {cycle}"
                    del held[name]
                if valid:
                    if ctx.get(port.ready):
                        taken[name].append((cycle, payload))
                    else:
                        held[name] = payload
            await ctx.tick()
            if all(len(taken[name]) >= count for name, count in outputs.items()) and not any(
                sources.values()
            ):
                done.append(cycle)
                if len(done) > after:
                    return

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()
    got = {name: len(taken[name]) for name in outputs}
    assert done, f"after {deadline} clocks only {got} of {outputs} beats"
    return taken


def edge_beats(edge, pixels) -> list[int]:
    """The beats of an edge for ``pixels[pixel][channel]``, integers whose bits are the planes."""
    beats = []
    for pixel in pixels:
        for group in range(edge.groups):
            for plane_beat in range(edge.plane_beats):
                beat = 0
                for k in range(edge.pb):
                    for lane in range(edge.lanes):
                        channel, plane = group * edge.lanes + lane, plane_beat * edge.pb + k
                        if channel < edge.channels and plane < edge.planes:
                            beat |= (pixel[channel] >> plane & 1) << (k * edge.lanes + lane)
                beats.append(beat)
    return beats


def edge_unpack(edge, beats: list[int]) -> list[list[int]]:
    """The inverse of :func:`edge_beats`; fails on a pad bit that is not zero."""
    pixels = []
    for start in range(0, len(beats), edge.beats_per_pixel):
        pixel = [0] * edge.channels
        for index, beat in enumerate(beats[start : start + edge.beats_per_pixel]):
            group, plane_beat = divmod(index, edge.plane_beats)
            for bit in range(edge.width):
                if beat >> bit & 1:
                    channel = group * edge.lanes + bit % edge.lanes
                    plane = plane_beat * edge.pb + bit // edge.lanes
                    assert channel < edge.channels and plane < edge.planes, "pad bit is set"
                    pixel[channel] |= 1 << plane
        pixels.append(pixel)
    return pixels


def refusal(build) -> str:
    """The message of the DesignError with which ``build()`` refuses; fails if it does not."""
    # A component that refuses in __init__ is rightly never used: no warning about it.
    Elaboratable._MustUse__silence = True  # type: ignore[attr-defined]
    try:
        build()
    except DesignError as error:
        return str(error)
    finally:
        gc.collect()
        Elaboratable._MustUse__silence = False  # type: ignore[attr-defined]
    raise AssertionError("not refused")
