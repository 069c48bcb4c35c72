"""The selftest of a board: its stages one after the other, and the report that they leave."""

import datetime
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sterna.golden.errors import FileError, SternaError, UsageError
from sterna.golden.words.names import show
from sterna.golden.words.telling import tell, told
from sterna.golden.words.values import integer
from sterna.golden.words.values import path as path_of
from sterna.host.board import Board
from sterna.host.selftest.board_stages import cable, identify, load, reload
from sterna.host.selftest.facts import (
    NO_BUILD,
    Facts,
    board_facts,
    facts_of,
    host_facts,
    line_facts,
    unidentified,
)
from sterna.host.selftest.image_stages import counters, images, robustness, speed
from sterna.host.selftest.judge import judged, why_skipped
from sterna.host.selftest.known import MOST_IMAGES, Wrong
from sterna.host.selftest.pictures import Pictures, random_pictures
from sterna.host.selftest.report import (
    FAILED,
    INTERRUPTED,
    PASSED,
    SIMULATED,
    SKIPPED,
    STAGES,
    Selftest,
    Unwritten,
    not_run,
    sealed,
)
from sterna.host.selftest.trial import Trial
from sterna.host.serialport import Transport

__all__ = ["RANDOM_IMAGES", "run_stages", "selftest"]

RANDOM_IMAGES = 32
"""Random images of every selftest."""
_STAGES: dict[str, Callable[[Trial], None]] = {
    "identify": identify,
    "cable": cable,
    "load": load,
    "images": images,
    "reload": reload,
    "counters": counters,
    "speed": speed,
    "robustness": robustness,
}
assert tuple(_STAGES) == tuple(STAGES)


def selftest(
    board: Board,
    build: str | os.PathLike[str] | None = None,
    *,
    images: Any = None,
    labels: Any = None,
    count: int = RANDOM_IMAGES,
    name: str | None = None,
    report: str | os.PathLike[str] | None = None,
) -> Selftest:
    """Prove a board: what it is, its cable, its memories, what it computes, its clocks.

    The weights of a reloadable design are loaded, several times; other designs keep what they have.

    Parameters
    ----------
    board : Board
        An open one.
    build : str or path, optional
        The build folder of its design. Without it nothing says what is right, and the verdict is
        at best 'incomplete'.
    images : uint8 [B,C,H,W], or [T,B,C,H,W] for 'frames', optional
        Further images, beside random ones.
    labels : integers [B], optional
        Their classes, which are counted and not judged.
    count : int
        How many random images, 1 .. 10,000.
    name : str, optional
        What the board is called; default what the build or the simulator says.
    report : str or path, optional
        Where the report is written, also where a stage fails or Ctrl-C ends it.

    Returns
    -------
    Selftest
        The report; ``passed`` tells in short. A board that fails is reported, not raised.

    Raises
    ------
    FileError
        The build is damaged, or the report cannot be written; that error has it as ``report``.
    UsageError
        An argument is none.
    """
    if not isinstance(board, Board):
        raise UsageError(f"selftest: {show(board)} is no Board; open one with sterna.Board(PORT)")
    if name is not None and (not isinstance(name, str) or not name or len(name) > 100):
        raise UsageError(f"selftest: name {show(name)} must be a text of at most 100 characters")
    refusal = f"selftest: count {show(count)} must be a whole number from 1 to 10,000"
    number = integer(refusal, count, 1, MOST_IMAGES, UsageError)
    if report is not None:  # before minutes have gone into it
        path_of("report", report)
    facts = None if build is None else facts_of(path_of("build", build))
    if facts is None and images is not None:
        raise UsageError("selftest: images need a build, which says what they must give")
    pictures = []
    if facts is not None:
        pictures = [random_pictures(facts.network, number)]
        if images is not None:
            pictures.append(Pictures("images of the caller", facts.network, images, labels))
    transport = board.link.transport
    return run_stages(transport, lambda: board, facts, pictures, name=name, report=report)


def run_stages(
    transport: Transport,
    open_board: Callable[[], Board],
    build: Facts | None,
    pictures: Sequence[Pictures],
    *,
    name: str | None = None,
    report: str | os.PathLike[str] | None = None,
    timeout: float = 10.0,
) -> Selftest:
    """All stages and their report, which is written in any case; Ctrl-C is raised again behind
    that. ``open_board`` connects, in the first stage. Unwritten where the place takes no file."""
    line = line_facts(transport, timeout)
    board = board_facts(transport, line, name, build.made if build else None)
    trial = Trial(open_board, build, pictures, board["kind"] == SIMULATED, line)
    trial.design = build.as_dict() if build else NO_BUILD
    stages, interrupted = _run(trial)
    if "structure_id" not in stages["identify"]["figures"]:
        board = unidentified(board, line)
    body = {
        "board": board,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "design": trial.design,
        "host": host_facts(),
        "line": line,
        "stages": stages,
    }
    found = Selftest(sealed(body))
    if report is not None:
        try:
            found.save(report)
        except FileError as error:
            raise Unwritten(str(error), found) from interrupted
    if interrupted is not None:
        for name in ("load", "reload"):
            if stages[name]["outcome"] == INTERRUPTED:  # what is to be done, last of all
                tell(f"stage {name}: {stages[name]['reason']}")
        raise interrupted
    return found


def _run(trial: Trial) -> tuple[dict[str, Any], KeyboardInterrupt | None]:
    """Every stage, and the Ctrl-C that ended them early."""
    stages: dict[str, Any] = {}
    ended, interrupted = "", None
    for number, (name, stage) in enumerate(_STAGES.items(), 1):
        if ended:
            stages[name] = _entry(SKIPPED, ended, "", 0.0, {})
            continue
        head = f"[{number}/{len(_STAGES)}] {name} ... "
        told.begin(head)
        trial.begin(name)
        start = time.perf_counter()
        outcome, said = PASSED, ""
        try:
            if (reason := why_skipped(name, trial.known)) is not None:
                outcome = SKIPPED
            else:
                stage(trial)
                trial.seconds[name] = _since(start)
                said = judged(name, trial.known)
        except Wrong as wrong:
            outcome, reason = FAILED, wrong.reason
            ended = not_run(name, FAILED) if wrong.ends else ""
        except SternaError as error:
            outcome, reason = FAILED, str(error)
            ended = not_run(name, FAILED)
        except KeyboardInterrupt as error:
            outcome, reason, interrupted = INTERRUPTED, _unfinished(name), error
            ended = not_run(name, INTERRUPTED)
        seconds = trial.seconds[name] = _since(start)
        stages[name] = _entry(outcome, reason, said, seconds, trial.figures)
        told.end(head, outcome if outcome != PASSED else f"{seconds:.1f} s")
    with suppress(KeyboardInterrupt):
        trial.settle()
    return stages, interrupted


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def _unfinished(name: str) -> str:
    """What an interruption leaves."""
    if name in ("load", "reload"):
        return "interrupted: the board may have no complete weights; load them with 'sterna load'"
    return "interrupted"


def _entry(
    outcome: str, reason: str | None, said: str, seconds: float, figures: dict[str, Any]
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reason": reason,
        "said": said,
        "seconds": seconds,
        "figures": figures,
    }
