"""From a build to its simulated board, and the demonstration on one."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.elaborate import top_spec, verilog_text
from sterna.gen.pack import check_same_structure, weights_image
from sterna.gen.progress import Progress
from sterna.gen.stages import Build, generator_id
from sterna.golden import files
from sterna.golden.exact import run
from sterna.golden.result import compare
from sterna.sim.boardpty import PtyBoard
from sterna.sim.boardsim import SimulatedBoard
from sterna.sim.cache import Cache, key_of

__all__ = ["board_text", "demonstrate", "grace_of", "simulated_board"]


def board_text(build: Build, divisor: int = 4, family: str | None = None) -> str:
    """Verilog of the board top of a packed build (module ``<name>_board``).

    It is just configured: fixed memories hold their weights; with reloadable ones weights_id is 0.
    ``family``: of the device, default the design's. The text is kept in the build folder.
    """
    from sterna.hw.board import BoardTop, link_spec

    network, design = build.network, build.design
    family = family or ("ecp5" if design.family == "generic" else design.family)
    weights = files.weights_id(network)
    key = key_of(generator_id(), design.to_json(), weights, str(divisor), family)
    path = build.folder / "sim" / f"{build.name}_board_{divisor}.v"
    head = f"// {key}\n"
    if path.is_file() and (text := path.read_text()).startswith(head):
        return text
    spec = top_spec(network, design)
    if design.reloadable:
        spec = replace(spec, weights_id=0)
    board = BoardTop(spec, link_spec(spec, family, divisor))
    text = head + verilog_text(board, f"{build.name}_board")
    build.write(f"sim/{path.name}", text)
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
        board_text(build, divisor), f"{build.name}_board", divisor,
        ratio=ratio, seed=seed, store=store,
    )  # fmt: skip


def grace_of(build: Build) -> int:
    """Clocks for which a board of this build may be silent while it works, with a wide margin."""
    return (1 << 20) + 16 * build.design.interval


def demonstrate(
    build: Build,
    other: Path,
    images: np.ndarray,
    say: Callable[[str], None],
    progress: Progress,
) -> dict[str, Any]:
    """Load a build's weights into its simulated board, compute images, load those of a second
    network of the same structure, compute them again; compare all logits with golden.

    Args:
        build: packed, all memories reloadable.
        other: folder of the second network.
        images: uint8 [B, C, H, W].
        say: gets a line for each thing that happened.
        progress: of the steps.

    Returns:
        ``port``, ``images``, ``loads`` (a dict for each of the two networks) and ``mismatches``,
        logits that are not golden's.
    """
    from sterna.host.board import Board

    second = files.load(other)
    check_same_structure(second, build.network)
    retrained = weights_image(second, build.design)
    progress.total += 5
    with progress.step("Verilator: the board top, UART pins included"):
        board = simulated_board(build)
    loads = []
    with PtyBoard(board, grace_of(build)) as port:
        say(f"simulated board at {port.path}")
        with Board(port.path, build=build.folder, timeout=60.0) as host:
            found = host.identify()
            say(f"structure {found.structure_id}, weights {found.weights_id or 'none yet'}")
            for network, weights in ((build.network, None), (second, retrained)):
                with progress.step("load and verify weights"):
                    name = host.load(weights)
                with progress.step(f"{len(images)} images"):
                    start = board.clock
                    result = host.infer(images)
                    clocks = board.clock - start
                golden = run(network, images)
                wrong = int((result.logits != golden.logits).sum())
                difference = compare(golden, result)
                loads.append({
                    "weights_id": name[:16], "clocks": clocks, "logits": result.logits.size,
                    "mismatches": wrong, "first_difference": difference and str(difference),
                    "classes": result.classes.tolist(),
                })  # fmt: skip
                say(
                    f"weights {name[:16]}: {len(images)} images, "
                    + str(difference or f"all {result.logits.size} logits equal golden")
                )
    mismatches = sum(item["mismatches"] for item in loads)
    return {"port": port.path, "images": len(images), "mismatches": mismatches, "loads": loads}
