"""The commands that talk to a board over its serial port; each as those of networks.py."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.images as images
from sterna.commands.arguments import baud, out_file, repetitions, timeout, whole
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files.instead import instead

if TYPE_CHECKING:
    import numpy as np

    from sterna.host.board import Board

__all__ = ["add_line", "add_parsers", "counters", "identify", "infer", "load"]

Answer = tuple[dict[str, Any], str, int]
DEFAULT_IMAGES = 1000
"""Images of a data set unless --images says otherwise."""


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parsers of these commands; ``command(name, text)`` makes one. None of them runs
    stages of a build, so that they work without what stages need."""
    sub = command("identify", "say which design and weights are on a board")
    add_line(sub)

    sub = command("load", "write trained weights into a board, and verify them")
    sub.add_argument("weights", metavar="BUILD|WEIGHTS.sterna", help="build folder, or the file")
    add_line(sub)

    sub = command("infer", "compute images on a board")
    sub.add_argument("folder", metavar="BUILD", help="build folder of the board's design")
    images.add_options(sub)
    sub.add_argument("--compare", metavar="FOLDER", help="network whose golden result to compare")
    sub.add_argument(
        "--repeat",
        type=repetitions,
        metavar="N|SECONDSs",
        help="then compute the last image N times more, or as 30s for a time, without the link: "
        "for a meter (--images is 1 then)",
    )
    sub.add_argument(
        "-o",
        "--output",
        type=out_file("logits and classes"),
        metavar="FILE.npz",
        help="write logits and classes",
    )
    add_line(sub)

    sub = command("counters", "read a board's counters; or time repetitions without the link")
    sub.add_argument("folder", metavar="BUILD", nargs="?", help="build folder: names of the cores")
    sub.add_argument("--clear", action="store_true", help="set them to zero afterwards")
    sub.add_argument(
        "--repeat",
        type=whole("repetitions", 1, 2**32 - 1),
        metavar="N",
        help="compute the last image N times more",
    )
    add_line(sub)


def add_line(sub: argparse.ArgumentParser, required: bool = True) -> None:
    """The options that say how a board is reached."""
    group = sub.add_argument_group("line")
    group.add_argument("--port", required=required, help="serial port: /dev/ttyUSB0, COM3")
    group.add_argument("--baud", type=baud, default=1_000_000, help="as the bitstream has it")
    group.add_argument("--timeout", type=timeout, default=10.0, help="seconds without progress")
    group.add_argument("--reset", action="store_true", help="reset the network; weights stay")


def _open(options: argparse.Namespace, build: str | Path | None = None) -> "Board":
    from sterna.host.board import Board

    return Board(options.port, options.baud, build, timeout=options.timeout, reset=options.reset)


def identify(options: argparse.Namespace) -> Answer:
    """What a board is and what it holds."""
    with _open(options) as board:
        answer = board.identify().as_dict()
    rows = {
        "structure_id": answer["structure_id"],
        "weights_id": answer["weights_id"] or "none: no weights are loaded",
        "image": f"{answer['image_bytes']} bytes",
        "classes": answer["classes"],
        "link": f"{answer['buffer']} bytes of frames, {answer['slots']} results",
        "memories": f"{answer['regions']} reloadable",
        "state": "held: it starts no image" if answer["held"] else "ready",
    }
    return answer, "\n".join(f"{name:<13} {value}" for name, value in rows.items()), 0


def load(options: argparse.Namespace) -> Answer:
    """Load a weights image into a board."""
    path = Path(options.weights)
    if (refusal := instead(path, "packed")) is not None:
        raise FileError(refusal)
    image: Any = path
    if path.is_dir():
        path = path / "weights.sterna"
        if not path.is_file():
            raise FileError(
                f"{options.weights}: has no weights.sterna; give the board's build folder, after "
                "'sterna pack'"
            )
        image = _packed(Path(options.weights))
    with _open(options) as board:
        weights_id = board.load(image)
        structure_id = board.identify().structure_id
    answer = {"file": str(path), "structure_id": structure_id, "weights_id": weights_id}
    return answer, f"{path}: loaded and verified, weights_id {weights_id[:16]}", 0


def _packed(folder: Path) -> Any:
    """The weights of a build folder, by their content those of its network: packed by this
    installation, else packed again and compared, where what packs is installed."""
    from sterna.golden.device.weights_image import parse_weights_image
    from sterna.host.inputs import build_weights

    image = build_weights(folder)
    try:
        from sterna.gen.build.stages import Build
        from sterna.gen.verilog.memory_images import weights_image
    except ImportError:  # a host only: the ids and the CRCs of the file are what there is
        return image
    build = Build(folder)
    try:
        build.design  # noqa: B018  # of another design.json the board has no bitstream either
    except FileError:
        return image
    entry = build.sealed("pack")
    if entry is not None and entry["writes"].get("weights.sterna") == build.hash("weights.sterna"):
        return image
    wanted = parse_weights_image(weights_image(build.network, build.design)).regions
    same = wanted.keys() == image.regions.keys() and all(
        (words == image.regions[number]).all() for number, words in wanted.items()
    )
    if not same:
        raise FileError(
            f"{folder / 'weights.sterna'}: does not hold what its network packs to; run 'sterna "
            f"pack {folder}'"
        )
    return image


def infer(options: argparse.Namespace) -> Answer:
    """Compute images on a board."""
    import time

    from sterna.golden.files import network_files as files
    from sterna.golden.files.sources import data_of_folder

    if (refusal := instead(options.folder, "network")) is not None:
        raise UsageError(refusal)
    compare = _comparison(options.compare) if options.compare else None
    folder = Path(options.folder)
    network = files.load(folder)
    few = DEFAULT_IMAGES if options.repeat is None else 1
    found = images.choose(options, network, folder, data_of_folder(folder), few)
    busy = None
    with _open(options, options.folder) as board:
        start = time.perf_counter()
        result = board.infer(found.images)
        seconds = time.perf_counter() - start
        if options.repeat is not None:
            busy = _busy(board, *options.repeat)
    count = len(found)
    answer, text = images.outcome(options, found, result)
    answer = {"images": count, "images_per_second": count / seconds, **answer}
    text = f"{count} images, {count / seconds:.0f} a second over the link\n{text}"
    if busy is not None:
        answer["repeated"] = busy
        text += "\n" + _busy_text(busy)
    code = 0
    if compare:
        difference = compare(found.images, result)
        answer["first_difference"] = difference
        text += f"\n{difference or f'all {result.logits.size} logits equal golden'}"
        code = 1 if difference else 0
    if options.output:
        _save(options.output, result)
    answer["wrote"] = [path for path in (options.output, options.predictions) if path]
    return answer, text, code


def _busy(board: "Board", count: int | None, seconds: float) -> dict[str, Any]:
    """What a board did that was kept busy."""
    from sterna.host.busy import keep_busy

    told = f"{count} times" if count is not None else f"for {seconds:g} s"
    print(f"the last image is computed {told}: read the meter now", file=sys.stderr, flush=True)
    found = keep_busy(board, count, seconds)
    return {
        "images": found.images,
        "seconds": found.seconds,
        "images_per_second": found.images / found.seconds,
        "clocks": found.clocks,
        "clocks_per_image": found.clocks / found.images,
    }


def _busy_text(found: Mapping[str, Any]) -> str:
    return (
        f"busy for {found['seconds']:.2f} s without the link: {found['images']} images, "
        f"{found['images_per_second']:.6g} a second, {found['clocks_per_image']:.1f} clocks each"
    )


def counters(options: argparse.Namespace) -> Answer:
    """Counters of a board, or the clocks of repetitions."""
    with _open(options, options.folder) as board:
        if options.repeat is not None:
            clocks = board.repeat(options.repeat)
            answer: dict[str, Any] = {"images": options.repeat, "clocks": clocks}
            text = f"{options.repeat} images in {clocks} clocks: {clocks / options.repeat:.1f} each"
            return answer, text, 0
        answer = board.counters(clear=options.clear).as_dict()
    stalls = answer.pop("stalls")
    rows = [*answer.items(), *((f"stall {name}", clocks) for name, clocks in stalls.items())]
    return answer | {"stalls": stalls}, "\n".join(f"{n:<16} {v}" for n, v in rows), 0


def _comparison(folder: str) -> "Callable[[np.ndarray, Any], str | None]":
    """What gives the first difference to the golden model of the network in ``folder``, or None.
    The network is read, and what runs it imported, before any image is computed."""
    from sterna.golden.exact import run
    from sterna.golden.files import network_files as files
    from sterna.golden.result import compare

    network = files.load(folder)

    def first_difference(images: "np.ndarray", result: Any) -> str | None:
        difference = compare(run(network, images), result, (), ("golden", "board"))
        return None if difference is None else str(difference)

    return first_difference


def _save(path: str, result: Any) -> None:
    import io

    import numpy as np

    from sterna.golden.files.disk import write_atomic

    data = io.BytesIO()
    np.savez_compressed(data, logits=result.logits, classes=result.classes)
    write_atomic(path, data.getvalue())
