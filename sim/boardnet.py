"""The netlist of a board's pins in Verilator: the cells that place and route would get.

yosys ships models of most cells (see sim/netlist.py); those of block RAM on ECP5 and of the PLLs
are in sim/models. The PLL's clock is the harness's ``clk``, at any ratio: what a netlist computes
does not depend on it.
"""

from fractions import Fraction
from importlib.resources import files as package_files
from math import ceil

from sterna.gen.board.pins import LOCK_CLOCKS, TOP, wrapper
from sterna.gen.board.place import synthesise
from sterna.gen.build.generator import generator_id
from sterna.gen.build.stages import Build
from sterna.gen.device.boards import Board
from sterna.gen.device.family import TARGETS, family_of
from sterna.gen.device.pll import setting
from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.kept_runs import run_kept
from sterna.gen.tools.trust import keep, kept
from sterna.golden.errors import UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.disk import read_text, write_atomic
from sterna.sim.boardbuild import board_text
from sterna.sim.boardsim import SimulatedBoard, board_library
from sterna.sim.netlist import yosys_models

__all__ = ["cell_models", "netlist_board", "pins_netlist"]

DIVISOR = 4
_LIMIT = 1 << 30

_PLL_CLOCK = "`define STERNA_PLL_CLOCK SternaBoard.clk\n"  # the top of sim/boardsim.py
_INNER = "SternaPins"


def cell_models(target: str, text: str) -> tuple[tuple[str, str], ...]:
    """(file name, Verilog) of the cells that the netlist ``text`` uses, ours where yosys has none.

    Raises:
        UsageError: no such target. ToolMissing: yosys is not installed.
    """
    how = TARGETS[target]
    folder = package_files("sterna.sim.models")
    ours = {n: folder.joinpath(f"{n}.v").read_text(encoding="utf-8") for n in how.own_models}
    names = {name.upper() for name in ours}
    found = yosys_models(how.models, text, leave=names)
    return (*found, *((f"{n}.v", _PLL_CLOCK + t) for n, t in ours.items() if n.upper() in text))


def pins_netlist(build: Build, where: Board) -> str:
    """The netlist of everything between the pins of a board, as Verilog (module ``sterna_pins``).

    What `gen.board.bitstream` gives to place and route, but the fixed memories already hold their
    weights and a bit of the UART takes 4 clocks. yosys takes minutes: the text is kept in the build
    folder.

    Raises:
        UsageError: a board whose tools are the vendor's. ToolMissing, ToolFailed: yosys.
    """
    if family_of(where.family).nextpnr is None:
        raise UsageError(f"{where.name} needs Vivado; its netlist is not made here")
    name = f"{build.name}_board"
    weights = files.weights_id(build.network)
    key = key_of(generator_id(), build.design.to_json(), weights, where.name)
    place = f"synth/{where.name}"
    if (text := kept(build.folder / place / "netlist.v", key)) is not None:
        return text
    with build.held(place):
        folder = build.workshop(place)
        pll = setting(where.family, where.clock_hz, build.design.clock_mhz * 1e6)
        write_atomic(folder / "board.v", board_text(build, DIVISOR, where.family).encode())
        write_atomic(folder / "pins.v", wrapper(where, name, pll).encode())
        synthesise(folder, where, ["board.v", "pins.v"], free_ends=False)
        script = f"read_json netlist.json\nhierarchy -top {TOP}\nwrite_verilog -noattr cells.v\n"
        write_atomic(folder / "write.ys", script.encode())
        run_kept(
            "yosys",
            ["-Q", "-s", "write.ys"],
            folder,
            reads=["write.ys", "netlist.json"],
            makes=["cells.v"],
            log="write.log",
        )
        text = read_text(folder / "cells.v", _LIMIT)
        build.write(f"{place}/netlist.v", keep(key, text))
    return text


def netlist_board(
    build: Build,
    where: Board,
    *,
    ratio: Fraction | int = Fraction(1, 4),
    seed: int = 0,
    store: Cache | None = None,
) -> SimulatedBoard:
    """The simulated board of :func:`pins_netlist`; slow, for a few images.

    Its resets come from the PLL's lock alone: :meth:`SimulatedBoard.reset` does nothing to it.
    """
    text = pins_netlist(build, where)
    library = board_library(
        text + _board(where),
        _INNER,
        models=cell_models(where.family, text),
        optimize="none",
        store=store,
    )
    board = SimulatedBoard(library, DIVISOR, ratio=ratio, seed=seed)
    # A host comes long after power-on: what it said earlier would be lost, and said again late.
    board.exchange(b"", ceil(2 * LOCK_CLOCKS * ratio))
    return board


def _board(where: Board) -> str:
    """A module with the ports of a board top around the pins."""
    signs = {port: "~" if pin.invert else "" for port, pin in where.pins.items()}
    return f"""
module {_INNER}(clk, rst, uart_clk, uart_rst, rx, tx, led);
  input clk;
  input rst;
  input uart_clk;
  input uart_rst;
  input rx;
  output tx;
  output led;
  wire tx_pin, led_pin;
  {TOP} pins (.clk(uart_clk), .rx({signs["rx"]}rx), .tx(tx_pin), .led(led_pin));
  assign tx = {signs["tx"]}tx_pin;
  assign led = {signs.get("led", "")}led_pin;
endmodule
"""
