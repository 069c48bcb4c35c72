"""The demonstration on a simulated board: two sets of weights, images, everything golden's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sterna.gen.build.stages import Build
from sterna.gen.tools.progress import Progress
from sterna.gen.verilog.memory_images import check_same_structure, weights_image
from sterna.golden.files import network_files as files
from sterna.golden.result import Result, compare
from sterna.host.board import Board
from sterna.sim.boardbuild import grace_of, simulated_board
from sterna.sim.boardpty import PtyBoard

__all__ = ["demonstrate"]


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
    from sterna.golden.exact import run  # torch

    second = files.load(other)
    check_same_structure(second, build.network)
    retrained = weights_image(second, build.design)
    progress.expect(5)
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
                loads.append(_compared(run(network, images), result, name[:16], clocks, say))
    mismatches = sum(item["mismatches"] for item in loads)
    return {"port": port.path, "images": len(images), "mismatches": mismatches, "loads": loads}


def _compared(
    golden: Result, result: Result, name: str, clocks: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """What one load of weights gave."""
    difference = compare(golden, result)
    equal = f"all {result.logits.size} logits equal golden"
    say(f"weights {name}: {len(result.classes)} images, {difference or equal}")
    return {
        "weights_id": name,
        "clocks": clocks,
        "logits": result.logits.size,
        "mismatches": int((result.logits != golden.logits).sum()),
        "first_difference": difference and str(difference),
        "classes": result.classes.tolist(),
    }
