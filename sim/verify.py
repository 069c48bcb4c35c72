"""Golden against the Verilog on real images: every spike, logit and class, accuracy and clocks."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sterna.gen.build.stages import Build
from sterna.gen.model.counted import SPIKES_AT_ONCE, sites
from sterna.gen.tools.progress import Progress, stretch
from sterna.golden.errors import UsageError
from sterna.golden.exact import run
from sterna.golden.result import Result, compare
from sterna.golden.words import values
from sterna.golden.words.given import images_of
from sterna.golden.words.names import show
from sterna.golden.words.shares import accuracy_text
from sterna.sim.simulator import ENGINES, Simulator

__all__ = ["simulate", "verify", "verify_text"]

GOLDEN = 0.1
"""About the share of the golden model in the time of both."""


def simulate(
    build: str | os.PathLike[str] | Build,
    images: Any,
    *,
    engine: str = "batch",
    trace: str | Iterable[str] = (),
    wave: str | os.PathLike[str] | None = None,
) -> Result:
    """Run the Verilog of a build on images; ``compare`` it with what ``run`` gives.

    Parameters
    ----------
    build : str, path or Build
        A build folder or an example's, whose missing stages are run.
    images : integers [B,C,H,W], or [T,B,C,H,W] for 'frames'
        As ``run`` takes them, also (images, labels) or an `ImageSet`.
    engine : str
        As `Simulator` takes it.
    trace : 'all' or names
        Nodes whose spikes are kept.
    wave : str or path, optional
        As `Simulator` takes it.

    Returns
    -------
    Result

    Raises
    ------
    UsageError, NetworkError
        No such engine, or images that do not fit.
    SimulationError
        The design stopped, broke a rule of its streams, or flagged an image.
    """
    if not isinstance(engine, str) or engine not in ENGINES:
        raise UsageError(f"no engine {show(engine)}; use one of {', '.join(ENGINES)}")
    source = build if isinstance(build, Build) else values.path("build", build)
    return Simulator(source, engine, wave=wave).run(images_of(images)[0], trace=trace)


def verify(
    build: Build,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    engine: str = "batch",
    progress: Progress | None = None,
    results: Callable[[Result], object] | None = None,
    wave: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Run both models on the images and count what differs.

    Args:
        build: a build with its Verilog.
        images: as ``golden.coding.check_images`` takes them.
        labels: int64 [B]; without them there is no accuracy.
        engine: of :class:`sterna.sim.simulator.Simulator`.
        results: gets what the Verilog computed, without spikes, batch by batch.
        wave: of :class:`sterna.sim.simulator.Simulator`; then there are ``wave``, the file, and
            ``save_file``, GTKWave's.

    Returns:
        ``images``, ``spikes_compared`` (sites of all layers and steps; 0 for the netlist, which has
        no taps), ``logits_compared``, ``mismatches`` (spikes, logits and classes that differ),
        ``first_difference`` (a sentence, or None), ``accuracy``
        (of the Verilog), ``clocks_per_image`` (mean interval, third image on; None below 4
        images), ``clocks_min``, ``clocks_max``, ``bound_clocks_per_image`` (the law),
        ``latency_clocks`` (of the first image), ``sim_clocks_per_second``, ``engine``.
    """
    progress = progress or Progress(quiet=True)
    network = build.network
    axis = 1 if network.input.coding == "frames" else 0
    count = np.shape(images)[axis]
    progress.expect(2)
    with progress.step(f"{engine} model of the Verilog"):
        simulator = Simulator(build, engine, wave=wave)
    chunk = max(4, SPIKES_AT_ONCE // max(1, sites(network)))
    tally = _Tally()
    told = f"{count} images, golden and Verilog"
    if simulator.wave is not None:
        run_clocks = build.design.interval * count + (build.design.latency or 0)
        told += f", about {run_clocks:,} clocks into {simulator.wave.path}"
    with progress.step(told):
        for start in range(0, count, chunk):
            part = np.take(images, range(start, min(start + chunk, count)), axis)
            with stretch(start / count, min(start + chunk, count) / count):
                # A netlist has no taps: its logits and classes are compared.
                golden = run(network, part, trace=() if engine == "netlist" else "all")
                with stretch(GOLDEN, 1.0):
                    rtl = simulator.run(part, trace=tuple(golden.spikes))
                tally.compare(golden, rtl, start)
            tally.clock(simulator.stats)
            if results is not None:
                results(Result(rtl.logits, rtl.classes))
            if labels is not None:
                tally.right += int((rtl.classes == labels[start : start + len(rtl.classes)]).sum())
    return {
        "images": count,
        **tally.as_dict(),
        "accuracy": tally.right / count if labels is not None else None,
        "bound_clocks_per_image": build.design.interval,
        "engine": engine,
        **(simulator.wave.files if simulator.wave is not None else {}),
    }


@dataclass
class _Tally:
    """What `verify` counts, batch by batch."""

    spikes: int = 0
    logits: int = 0
    mismatches: int = 0
    first: str | None = None
    right: int = 0
    intervals: list[np.ndarray] = field(default_factory=list)
    clocks: int = 0
    seconds: float = 0.0
    latency: int | None = None

    def compare(self, golden: Result, rtl: Result, start: int) -> None:
        """Of a batch whose first image is ``start``."""
        difference = compare(golden, rtl, names=("golden", "the Verilog"))
        self.spikes += sum(spikes.size for spikes in golden.spikes.values())
        self.logits += golden.logits.size
        if difference is not None:
            self.mismatches += difference.total
            place = f" (images from {start} on)" if start else ""
            self.first = self.first or f"{difference}{place}"

    def clock(self, stats: Mapping[str, Any]) -> None:
        """Take in `Simulator.stats`."""
        self.intervals.append(np.asarray(stats["intervals"])[1:])  # third image on
        self.clocks += stats["clocks"]
        self.seconds += stats["seconds"]
        self.latency = self.latency or int(stats["latency"][0])

    def as_dict(self) -> dict[str, Any]:
        """The answer's keys that are counted."""
        steady = np.concatenate(self.intervals)
        return {
            "spikes_compared": self.spikes,
            "logits_compared": self.logits,
            "mismatches": self.mismatches,
            "first_difference": self.first,
            "clocks_per_image": float(steady.mean()) if steady.size else None,
            "clocks_min": int(steady.min()) if steady.size else None,
            "clocks_max": int(steady.max()) if steady.size else None,
            "latency_clocks": self.latency,
            "sim_clocks_per_second": self.clocks / self.seconds if self.seconds else None,
        }


def verify_text(answer: Mapping[str, Any]) -> str:
    """The answer of :func:`verify` in a few lines; says "bit-exact" only where nothing differs."""
    right = answer["accuracy"]
    accuracy = "" if right is None else f"accuracy {accuracy_text(right, answer['images'])}, "
    lines = [
        f"{answer['images']} images, {accuracy}engine {answer['engine']}: "
        f"{answer['spikes_compared']} spikes, all logits and classes compared with golden"
    ]
    clocks = answer["clocks_per_image"]
    if clocks is not None:
        speed = answer["sim_clocks_per_second"]
        lines.append(
            f"{clocks:.1f} clocks an image counted, {answer['bound_clocks_per_image']} by the "
            f"law, latency {answer['latency_clocks']} clocks"
            + (f"; simulated at {speed / 1e6:.2f} M clocks a second" if speed else "")
        )
    if answer["mismatches"]:
        lines.append(f"DIFFERENT: {answer['first_difference']}")
    else:
        lines.append("bit-exact: 0 mismatches")
    if "wave" in answer:
        lines.append(f"waves: {answer['wave']}, to look at with: gtkwave {answer['save_file']}")
    return "\n".join(lines)
