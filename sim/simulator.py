"""Runs the Verilog of a build on images and gives what the golden model gives: a ``Result``."""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.gen.build.stages import Build, ensure
from sterna.gen.tools.cache import Cache
from sterna.gen.tools.progress import looking, waiting
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import WeightsImage, read_weights_image
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.network_files import structure_ids
from sterna.golden.result import Result
from sterna.golden.words import values
from sterna.golden.words.names import meant, show
from sterna.golden.words.shown import Shown
from sterna.hw.control.registers import register_map
from sterna.sim.batch import BatchModel, BatchResult, SimulationError
from sterna.sim.cocotb_runner import run_network
from sterna.sim.collisions import poison_collisions
from sterna.sim.netlist import netlist
from sterna.sim.taps import Tap
from sterna.sim.verilate import WRAPPER, batch_library, forget_memories
from sterna.sim.waves.layers import WAVES
from sterna.sim.waves.wave import LIMIT, Wave

__all__ = ["ENGINES", "Simulator", "weight_writes"]

ENGINES = ("batch", "cocotb", "netlist")
_SLICE = 8  # images a worker gets at least: its first two fill the pipeline


class Simulator(Shown):
    """The simulated design of a build.

    Engines: ``batch``, Verilator and a loop in C++, one model on each processor core; ``cocotb``,
    the same design under a cocotb bench, a hundred times slower; ``netlist``, the yosys netlist
    with the vendor's cell models, in the batch loop and without spikes.

    A reloadable design starts with random memories and gets its weights from ``weights.sterna``
    through AXI4-Lite, as on a board.

    Parameters
    ----------
    build : str, path or Build
        A build folder or an example's, whose missing stages are run.
    engine : str
        'batch', 'cocotb' or 'netlist'.
    workers : int, optional
        Batch models side by side; default one for each processor core.
    seed : int
        Of memories that start at random.
    target : str
        Family of the ``netlist`` engine.
    store : Cache, optional
        Where compiled models are kept; default the user's.
    wave : str or path, optional
        A .vcd or .fst of what every signal does in all runs, with a save file for GTKWave beside
        it; one worker then, and models of their own, which are slower. docs/waves.md.

    Attributes
    ----------
    stats : dict
        Of the last ``run``: ``intervals`` (clocks between the last output words of consecutive
        images, past those that fill the pipeline), ``latency`` (clocks from first input to last
        output word of each image), ``clocks`` (simulated in all), ``seconds`` (they took).

    Raises
    ------
    UsageError
        No such engine.
    ToolMissing, ToolFailed
        A tool.
    """

    def __init__(
        self,
        build: str | os.PathLike[str] | Build,
        engine: str = "batch",
        *,
        workers: int | None = None,
        seed: int = 1,
        target: str = "ice40",
        store: Cache | None = None,
        wave: str | os.PathLike[str] | None = None,
    ):
        if not isinstance(engine, str) or engine not in ENGINES:
            raise UsageError(f"no engine {show(engine)}; use one of {', '.join(ENGINES)}")
        seed = _count("seed", seed, 0)
        workers = os.cpu_count() or 1 if workers is None else _count("workers", workers, 1, 1024)
        source = build if isinstance(build, Build) else values.path("build", build)
        self.wave = None if wave is None else Wave(wave, engine)
        self.build = ensure(source, "sim")
        self.engine, self.seed, self.store = engine, seed, store
        self.top = self.build.name
        if self.wave is not None:
            self.top, workers = WAVES, 1
        network, design = self.build.network, self.build.design
        self.taps = tuple(Tap.from_json(tap) for tap in design.taps) if engine != "netlist" else ()
        readout = network.readout
        self.words_out = 1 + network.shape[readout.name][0]
        self.word_bytes = design.axis_width // 8
        self.watchdog = 20_000 + 8 * design.interval
        self.stats: dict[str, Any] = {}
        self.writes: list[tuple[int, int]] = []
        self._models: list[BatchModel] = []
        if design.reloadable:
            self.load(self.build.folder / "weights.sterna")
        if engine == "cocotb":
            return
        # A netlist and waves compile long and are run on few images.
        optimize = "none" if engine == "netlist" or self.wave is not None else "run"
        what = f"{self.build.name}: its {'netlist' if engine == 'netlist' else 'Verilog'} is"
        with waiting(f"{what} compiled by Verilator, once; on a busy machine minutes"):
            text, models = self._sources(target)
            library = batch_library(
                text,
                self.top,
                self.taps,
                models=models,
                optimize=optimize,
                wave=self.wave.kind if self.wave is not None else "",
                store=store,
            )
        for _ in range(workers):
            model = BatchModel(library, self.taps, self.word_bytes, self.words_out, seed)
            self._models.append(model)
        self._write_all()
        if self.wave is not None:
            self._models[0].open_wave(self.wave.path, LIMIT)
            self.wave.describe(f"top.{WRAPPER}.dut")

    def __str__(self) -> str:
        return f"{self.build}, engine {self.engine}"

    def _sources(self, target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        build = self.build
        if self.engine == "netlist":
            found = netlist(build, target)
            return found.text, found.models
        text = poison_collisions(self._tapped())
        return forget_memories(text) if build.design.reloadable else text, ()

    def _tapped(self) -> str:
        text = self.build.made("sim", f"sim/{self.build.name}_taps.v").decode()
        return text if self.wave is None else self.wave.around(text, self.build, self.taps)

    def load(self, weights: str | os.PathLike[str] | WeightsImage) -> None:
        """Write a weights image into the memories of a reloadable design, between images.

        Parameters
        ----------
        weights : str, path or WeightsImage
            A weights.sterna.

        Raises
        ------
        FileError
            The file is damaged or of another structure.
        UsageError
            The design has no reloadable memory.
        """
        if not self.build.design.reloadable:
            raise UsageError(
                f"'{self.build.name}' has its weights built in; fold it with memory 'ram'"
            )
        image = weights if isinstance(weights, WeightsImage) else read_weights_image(weights)
        built = read_weights_image(self.build.folder / "weights.sterna")
        same = structure_ids(self.build.network, self.build.design.to_json())
        if image.structure_id not in (built.structure_id, *same):
            raise FileError(
                f"the weights are for structure {image.structure_id[:16]}, this build is "
                f"{built.structure_id[:16]}; pack them from this build's design"
            )
        count = self.build.design.region_count
        if image.rom_crc(count) != built.rom_crc(count):
            raise FileError(
                "the weights differ in memories that this design has built in; fold it with "
                "memory 'ram' or build it anew"
            )
        self.writes = weight_writes(image, count)
        self._write_all()

    def _write_all(self) -> None:
        for model in self._models:
            for address, value in self.writes:
                model.write(address, value)

    def run(
        self,
        images: NDArray[np.uint8],
        trace: Iterable[str] | str | None = None,
        *,
        in_stall: float = 0.0,
        out_stall: float = 0.0,
        seed: int = 1,
    ) -> Result:
        """Run images back to back.

        Parameters
        ----------
        images : integers [B,C,H,W], or [T,B,C,H,W] for 'frames'
            As ``sterna.run`` takes them.
        trace : names, or 'all', optional
            Nodes whose spikes to return; None: all that the engine has, (): none.
        in_stall : float
            Probability that no input word is offered in a clock.
        out_stall : float
            Probability that no output word is taken in a clock.
        seed : int
            Of the stalls.

        Returns
        -------
        Result

        Raises
        ------
        SimulationError
            The design stopped, broke a rule of its streams, or flagged an image.
        UsageError, NetworkError
            Images or names do not fit.
        """
        network = self.build.network
        rows = image_bits(network.input, images, network.steps)
        names, seed = self._traced(trace), _count("seed", seed, 0)
        in_stall, out_stall = _share("in_stall", in_stall), _share("out_stall", out_stall)
        if self.engine == "cocotb":
            parts = [self._bench(rows, seed, in_stall, out_stall)]
            seconds = parts[0].seconds
        else:
            start = time.perf_counter()
            parts = self._batch(rows, names, seed, in_stall, out_stall)
            seconds = time.perf_counter() - start
        self.stats = self._measured(parts, seconds)
        words = np.concatenate([part.words for part in parts])
        if (words[:, 0] >> 16).any():
            k = int(np.argmax(words[:, 0] >> 16 != 0))
            raise SimulationError(f"image {k} came back with flags 0x{words[k, 0] >> 16:x}")
        spikes = {
            name: np.concatenate([part.spikes(name) for part in parts], axis=1) for name in names
        }
        return Result(words[:, 1:].view(np.int32), (words[:, 0] & 0xFFFF).astype(np.int64), spikes)

    def _measured(self, parts: list[BatchResult], seconds: float) -> dict[str, Any]:
        intervals = [self._steady(k, part.interval) for k, part in enumerate(parts)]
        return {
            "intervals": np.concatenate(intervals),
            "latency": np.concatenate([part.latency for part in parts]),
            "clocks": sum(part.clocks_run for part in parts),
            "seconds": seconds,
        }

    def _bench(
        self, rows: NDArray[np.uint8], seed: int, in_stall: float, out_stall: float
    ) -> BatchResult:
        text = self._tapped()
        if self.wave is not None:
            self.wave.describe(WAVES)
        return run_network(
            text,
            self.top,
            self.taps,
            rows,
            self.words_out,
            writes=self.writes,
            random_memory=self.build.design.reloadable,
            in_stall=in_stall,
            out_stall=out_stall,
            seed=seed,
            watchdog=self.watchdog,
            wave=self.wave,
            store=self.store,
        )

    def _traced(self, trace: Any) -> list[str]:
        """Nodes in network order, each once; UsageError where one has no tap."""
        known = [tap.node for tap in self.taps]
        if trace is None or (isinstance(trace, str) and trace == "all"):
            return known
        asked = values.names(
            trace, lambda given: f"trace {given} must be 'all' or names of nodes", UsageError, False
        )
        if unknown := [name for name in asked if name not in known]:
            raise UsageError(
                f"no spikes of {show(unknown[0])} can be traced; this build taps: "
                f"{', '.join(known) or 'none'}{meant(unknown[0], known)}"
            )
        return [name for name in known if name in asked]

    @property
    def _flying(self) -> int:
        """Images on their way at once."""
        design = self.build.design
        return -(-(design.latency or 0) // max(1, design.interval))

    def _steady(self, worker: int, intervals: NDArray[np.int64]) -> NDArray[np.int64]:
        """Without those of the filling pipeline: of every worker after the first one interval, of a
        network that holds many images as many, as long as half of them remain."""
        fill = min(worker, 1)
        if self._flying > 3:
            fill = max(fill, min(self._flying, len(intervals) // 2))
        return intervals[fill:]

    def _batch(
        self,
        rows: NDArray[np.uint8],
        names: list[str],
        seed: int,
        in_stall: float,
        out_stall: float,
    ) -> list[BatchResult]:
        least = max(_SLICE, 4 * self._flying)
        count = min(len(self._models), max(1, len(rows) // least))
        edges = np.linspace(0, len(rows), count + 1).astype(int)

        over = 0  # output words of workers that are done

        def work(k: int) -> BatchResult:
            nonlocal over
            result = self._models[k].run(
                rows[edges[k] : edges[k + 1]],
                names,
                in_stall=in_stall,
                out_stall=out_stall,
                seed=seed + k,
                watchdog=self.watchdog,
            )
            over += result.words.size
            return result

        def far() -> float:
            given = over + sum(model.given() for model in self._models[:count])
            return given / max(1, len(rows) * self.words_out)

        # The C++ loop runs without Python's lock: threads are enough.
        try:
            with ThreadPoolExecutor(count) as pool, looking(far):
                parts = list(pool.map(work, range(count)))
        finally:  # of a design that stops, the waves say why
            whole = self.wave is None or self._models[0].flush_wave()
        if self.wave is not None and not whole:
            raise SimulationError(
                f"{self.wave.path}: reached {LIMIT >> 30} GiB, the rest of the run is not in it; "
                "run fewer images"
            )
        return parts


def _count(what: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    refusal = f"{what} {show(value)} must be an integer, {least} to {most}"
    return values.integer(refusal, value, least, most, UsageError)


def _share(what: str, value: Any) -> float:
    refusal = f"{what} {show(value)} must be a number from 0 to below 1"
    found = values.number(refusal, value, error=UsageError)
    if not 0 <= found < 1:
        raise UsageError(refusal)
    return found


def weight_writes(image: WeightsImage, count: int) -> list[tuple[int, int]]:
    """The AXI4-Lite writes (address, value) that put a weights image into the ``count`` reloadable
    memories of a design."""
    at = {register.name: register.address for register in register_map(ram=True)}
    writes = []
    for region, words in sorted(image.reloadable(count).items()):
        writes.append((at["chain_address"], region << 24))
        writes += [(at["chain_data"], int(word)) for word in words]
    number = int(image.weights_id[:16], 16)
    writes.append((at["weights_id_lo"], number & 0xFFFFFFFF))
    writes.append((at["weights_id_hi"], number >> 32))
    return writes
