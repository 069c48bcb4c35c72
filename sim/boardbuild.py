"""From a build to its simulated board."""

from dataclasses import replace
from fractions import Fraction

from sterna.gen.build.generator import generator_id
from sterna.gen.build.stages import Build
from sterna.gen.device.family import family_of
from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.trust import keep, kept
from sterna.gen.verilog.elaborate import filled_spec, verilog_text
from sterna.golden.files import network_files as files
from sterna.hw.top.board_top import BoardTop, link_spec
from sterna.sim.boardsim import SimulatedBoard

__all__ = ["board_text", "grace_of", "simulated_board"]


def board_text(build: Build, divisor: int = 4, family: str | None = None) -> str:
    """Verilog of the board top of a packed build (module ``<name>_board``).

    It is just configured: fixed memories hold their weights; with reloadable ones weights_id is 0.
    ``family``: of the device, default the design's. The text is kept in the build folder.
    """
    network, design = build.network, build.design
    family = family or family_of(design.family).target
    weights = files.weights_id(network)
    key = key_of(generator_id(), design.to_json(), weights, str(divisor), family)
    name = f"sim/{build.name}_board_{divisor}.v"
    if (text := kept(build.folder / name, key)) is not None:
        return text
    spec = filled_spec(network, design)
    if design.reloadable:
        spec = replace(spec, weights_id=0)
    board = BoardTop(spec, link_spec(spec, family, divisor))
    text = verilog_text(board, f"{build.name}_board")
    with build.held():
        build.write(name, keep(key, text))
    return text


def simulated_board(
    build: Build,
    divisor: int = 4,
    *,
    ratio: Fraction | int = Fraction(1, 4),
    seed: int = 1,
    store: Cache | None = None,
) -> SimulatedBoard:
    """The simulated board of a packed build, just configured: reloadable memories are random.

    Arguments and errors as :class:`SimulatedBoard` and :func:`board_library` have them.
    """
    return SimulatedBoard.build(
        board_text(build, divisor),
        f"{build.name}_board",
        divisor,
        ratio=ratio,
        seed=seed,
        store=store,
    )


def grace_of(build: Build) -> int:
    """Clocks for which a board of this build may be silent while it works, with a wide margin."""
    return (1 << 20) + 16 * build.design.interval
