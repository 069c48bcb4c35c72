"""`Build`, what ``sterna.build`` returns: the build folder, and what the commands do with it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sterna.datasheet import export_block
from sterna.gen.board.bitstream import BoardOptions
from sterna.gen.board.for_board import for_board
from sterna.gen.build.folder import Build as Folder
from sterna.gen.build.report import report
from sterna.gen.build.stages import ensure
from sterna.gen.build.synthesis import synthesise
from sterna.gen.build.tables import table
from sterna.gen.device.family import RESOURCES
from sterna.gen.ip.folder import check_folder
from sterna.gen.report.page import tiles_html
from sterna.gen.tools.progress import Progress
from sterna.golden.errors import SternaError, UsageError
from sterna.golden.files.disk import StrPath
from sterna.golden.words import values
from sterna.golden.words.names import show
from sterna.golden.words.shown import Shown, preformatted
from sterna.power import meter_of, power_of

__all__ = ["Build", "Figure", "Report"]

COUNTED, ESTIMATED = "counted", "estimated"
_HOW = {"sim": "simulated", "synth": "synthesised", "power": "measured"}
"""By the first word of a measurement's name; all else a command has counted."""
_COSTS = {k: RESOURCES[k] for k in ("luts", "logic", "lutram", "ff", "bram")}


class Figure(NamedTuple):
    """One number of a build, and where it comes from.

    ``how``: 'counted', it follows from network and folding, or is of the golden model; 'estimated',
    by a model; 'simulated', of the Verilog; 'synthesised', by yosys; 'measured', by a meter;
    ``by``: the law, the model, or the file of the measurement.
    """

    what: str
    value: float
    how: str
    by: str


class Report(Shown, dict[str, Any]):
    """All that is known about a build: a dict, as ``sterna report --json`` prints it."""

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The numbers of the whole design, each with where it comes from."""
        at = f"at {self['clock_mhz']:g} MHz, assumed"
        out = [
            Figure("weights", self["weights"], COUNTED, "the network"),
            Figure("lanes", self["lanes"], COUNTED, "the folding"),
            Figure("clocks an image", self["clocks_per_image"], COUNTED, "the law"),
            Figure("images a second", self["fps"], COUNTED, at),
        ]
        modelled = {
            "clocks an image": self["modelled_clocks_per_image"],
            "latency in clocks": self["latency_clocks"],
        }
        found: list[tuple[str, Any, str]]
        found = [(k, v, "the model of streams") for k, v in modelled.items()]
        cost = self["estimate"] or {}
        by = f"the model of {self['family']}"
        found += [(name, cost.get(k), by) for k, name in _COSTS.items()]
        out += [Figure(what, v, ESTIMATED, by) for what, v, by in found if v is not None]
        for name, numbers in self["measured"].items():
            how = _HOW.get(name.partition("_")[0], COUNTED)
            for key, value in numbers.items():
                what = RESOURCES[key] if key in RESOURCES else str(key).replace("_", " ")
                out += [Figure(what, value, how, name)] if _is_number(value) else []
        return tuple(out)

    def line(self) -> str:
        """It in short."""
        measured = ", ".join(self["measured"]) or "nothing"
        return (
            f"{self['network']}: {self['clocks_per_image']:,} clocks an image, "
            f"{len(self['layers'])} cores, measured: {measured}"
        )

    def __str__(self) -> str:
        return table(self)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Build(Folder):
    """A build folder, as every command reads and writes it.

    Parameters
    ----------
    folder : Path
    example : Path, optional
        The folder that its network is copied from; None where it is its own.
    variants : tuple of str
        A board and its family, whose folding of the example is preferred.

    Attributes
    ----------
    network : Network
    design : Design
        How it is folded.
    report : Report
        All that is known, with what commands measured so far.
    """

    @classmethod
    def of(cls, folder: Folder) -> "Build":
        """The same folder in the same state."""
        if isinstance(folder, cls):
            return folder
        made = cls(folder.folder, folder.example, folder.variants)
        made.cache |= folder.cache
        return made

    @property
    def report(self) -> Report:
        return Report(report(self))

    def synth(
        self, target: str | None = None, *, progress: Progress | None = None
    ) -> dict[str, Any]:
        """What yosys counts, as ``sterna synth``: minutes, or at once where this very Verilog was
        synthesised before.

        Parameters
        ----------
        target : str, optional
            A family, as ``sterna synth --target`` lists them; default the design's.
        progress : Progress, optional
            What is told of the stages; default nothing.

        Returns
        -------
        dict
            'luts' (all of them), their parts 'logic' and 'lutram', 'carry', 'ff', 'bram', 'dsp',
            'cells' ..., 'estimate' (of the cost model); the report has it from now on.

        Raises
        ------
        UsageError
            No such target.
        ToolMissing, ToolFailed
            yosys.
        """
        return synthesise(self, target, None, progress)

    def bitstream(
        self,
        board: str | None = None,
        *,
        baud: int = 1_000_000,
        uart: Iterable[str] = (),
        seeds: int = 1,
        output_registers: bool = True,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The bitstream of a board, or a Vivado project for it, as ``sterna bitstream``: minutes.

        Parameters
        ----------
        board : str, optional
            'ulx3s-85f', 'icebreaker' ...; default the one that the design was made for.
        baud : int
            Of the serial port.
        uart : (str, str), optional
            Pins of rx and tx, of the FPGA or of connectors, in place of the board's own.
        seeds : int
            Placements, 1 .. 100, of which the fastest is kept.
        output_registers : bool
            ECP5: flip-flops may move into block RAMs.
        progress : Progress, optional
            What is told of the steps; default nothing.

        Returns
        -------
        dict
            'bitstream' (its path) or 'project', 'clock_mhz', 'images_per_second', 'used' ...

        Raises
        ------
        UsageError
            No board is known, or an argument is none.
        DesignError
            It is folded for another family, does not fit, or is too slow.
        ToolMissing, ToolFailed
            A tool.
        """
        if board is None:
            board = self.record().get("fold", {}).get("options", {}).get("board", "")
        if not isinstance(board, str):
            raise UsageError(f"bitstream: board {show(board)} must be a name")
        whole = f"bitstream: baud {show(baud)} must be a whole number from 1"
        places = f"bitstream: seeds {show(seeds)} must be a whole number from 1 to 100"
        flag = f"bitstream: output_registers {show(output_registers)} must be True or False"
        told = lambda given: f"bitstream: uart {given} must be the names of two pins"  # noqa: E731
        chosen = BoardOptions(
            board,
            values.integer(whole, baud, 1, 100_000_000, UsageError),
            values.names(uart, told, UsageError),
            seeds=values.integer(places, seeds, 1, 100, UsageError),
            output_registers=values.flag(flag, output_registers, UsageError),
        )
        return for_board(self, chosen, None, progress)

    def power(
        self,
        images: Any,
        *,
        board: str | None = None,
        of: str = "rtl",
        target: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What every net does on images, and bounds of the energy of an image, as ``sterna power``.

        Parameters
        ----------
        images : array
            As ``sterna.run`` takes them: a few, for a clock of simulation each.
        board : str, optional
            Whose device the power is of: 'icebreaker' ...
        of : str
            What is simulated: 'rtl', or 'netlist', which takes minutes.
        target : str, optional
            Family of the netlist and of the size; default the board's, else the design's.
        progress : Progress, optional
            What is told of the steps; default nothing.

        Returns
        -------
        dict
            'run', 'activity', 'operations', 'rate', 'resources', 'energy' ..., as docs/power.md
            tells; the report has it from now on.

        Raises
        ------
        UsageError
            No such board, target or kind of simulation, or the images do not fit.
        DesignError
            It is folded for another family than the board's.
        SimulationError
            A logit is not golden's.
        ToolMissing, ToolFailed
            A tool.
        """
        return power_of(self, images, board, of, target, progress)

    def read_meter(
        self,
        mw: float,
        *,
        idle_mw: float | None = None,
        images_per_second: float | None = None,
        board: str | None = None,
    ) -> dict[str, Any]:
        """What you read from a meter as energy an image, as ``sterna power --measured-mw``.

        Parameters
        ----------
        mw : float
            Power of the rails that were read while the board was busy.
        idle_mw : float, optional
            Of the same rails with nothing to compute; 0 where the meter subtracts it.
        images_per_second : float, optional
            Meanwhile; default what the design placed for ``board`` makes.
        board : str, optional
            Which board it is.

        Returns
        -------
        dict
            'measured': 'mj_per_image' ..., as docs/power.md tells; the report has it from now on.

        Raises
        ------
        UsageError
            A number is none, idle is more than busy, or no rate is known.
        """
        return meter_of(self, mw, idle_mw, images_per_second, board)

    def export(
        self, folder: StrPath, *, timing: bool = True, progress: Progress | None = None
    ) -> tuple[str, ...]:
        """A folder that other tools take the network from, as ``sterna export``: Vivado, FuseSoC,
        LiteX, Amaranth, any simulator, C; with a datasheet.

        Parameters
        ----------
        folder : str or path
            Where it is written: a new or empty folder, or that of an earlier export of this
            network, which is replaced.
        timing : bool
            Whether the datasheet has timing diagrams, which a simulation makes.
        progress : Progress, optional
            What is told of the stages; default nothing.

        Returns
        -------
        tuple of str
            The files' names below the folder.

        Raises
        ------
        UsageError
            An argument is none.
        FileError
            The folder holds something else, or cannot be written.
        DesignError
            The network cannot be built.
        """
        timing = values.flag(f"timing {show(timing)} must be True or False", timing, UsageError)
        check_folder(values.path("folder", folder), self.name)
        ensure(self, "verilog", progress=progress)
        return tuple(sorted(export_block(self, folder, timing)))

    def _repr_html_(self) -> str:
        """For notebooks: the tiles of report.html, and the network."""
        try:
            known = self.report
            summary = self.network.summary()
        except SternaError as error:  # the folder is gone, or was never folded
            return preformatted(f"{self}\n{error}")
        return tiles_html(known, str(self.folder)) + preformatted(summary)
