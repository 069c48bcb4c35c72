"""One command from its words to its exit code: whatever happens is one answer or one sentence."""

import argparse
import contextlib
import errno
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import sterna
import sterna.interrupts as interrupts
import sterna.streams as streams
from sterna.commands.arguments import OutFile, OutFolder
from sterna.commands.help import first_steps
from sterna.commands.parsers import Parser, parser
from sterna.golden.errors import SternaError, UsageError
from sterna.golden.words.packages import missing
from sterna.golden.words.telling import at_level, tell

__all__ = ["run"]

_INTERRUPTED = 130  # what shells give for Ctrl-C


def run(words: Sequence[str]) -> int:
    """Run the command that the words say; see ``cli.main``."""
    try:
        return _run(words)
    except streams.Lost as lost:
        if lost.sentence:
            streams.say(f"sterna: {lost.sentence}")
        return 1
    finally:
        interrupts.ended()


def _run(words: Sequence[str]) -> int:
    top = parser()
    try:
        options = top.read(words)
    except SystemExit as leave:  # argparse: 0 after --help, 2 after a wrong argument
        code = leave.code if isinstance(leave.code, int) else UsageError.exit_code
        if code and any(len(w) > 3 and "--json".startswith(w) for w in words):
            streams.out(json.dumps({"error": Parser.mistake or "wrong usage", "exit_code": code}))
        return code
    if options.version:
        streams.out(str(sterna.__version__))
        return 0
    if options.command is None:
        streams.out(first_steps(len(top.commands)))
        return 0
    interrupts.running(options.command)
    start = _now()
    with at_level(options.level):
        answer, text, code = _guarded(options)
        interrupts.ended()
        told = _files(answer, start)
        if answer or text:
            streams.out(json.dumps(answer, sort_keys=False) if options.json else text)
        for line in told:
            tell(line)
    interrupts.settled()
    return code


def _now() -> int:
    """Nanoseconds of the clock that files have their times from; it steps, so that the usual one
    may be ahead of it."""
    coarse = 5  # CLOCK_REALTIME_COARSE, which the module time has no name for
    return time.clock_gettime_ns(coarse) if sys.platform == "linux" else time.time_ns() - 10**7


def _files(answer: dict[str, Any], start: int) -> list[str]:
    """What is said of the files that a command is for, its ``wrote``; which keeps those that are
    new. The others were made before, and nothing changed."""
    there = [path for path in answer.get("wrote", ()) if os.path.exists(path)]
    new = [path for path in there if os.stat(path).st_mtime_ns >= start]
    if "wrote" in answer:
        answer["wrote"] = new
    old = [path for path in there if path not in new]
    rows = (("wrote", new), ("unchanged", old))
    return [f"{word} {', '.join(paths)}" for word, paths in rows if paths]


Answer = tuple[dict[str, Any], str, int]


def _guarded(options: argparse.Namespace) -> Answer:
    """The command's answer; where it failed the sentence is on stderr already."""
    try:
        # Libraries that print must not spoil the one JSON object.
        with contextlib.redirect_stdout(sys.stderr):
            for given in vars(options).values():
                if isinstance(given, OutFile | OutFolder):
                    given.check()
            commands = importlib.import_module(options.module)
            done = getattr(commands, options.command.replace("-", "_"))(options)
        # Somebody on the way may have swallowed it.
        return _interrupted(options) if interrupts.caught() else done
    except BaseException as error:
        if interrupts.caught() or isinstance(error, KeyboardInterrupt):
            return _interrupted(options)
        if not isinstance(error, Exception):
            raise
        return _failed(options, *_cause(options, error))


def _interrupted(options: argparse.Namespace) -> Answer:
    number = interrupts.caught() or _INTERRUPTED - 128
    again = getattr(options, "again", "to go on")
    return _failed(options, interrupts.sentence(number, again), 128 + number)


def _cause(options: argparse.Namespace, error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of a failure."""
    if isinstance(error, SternaError):
        return str(error), error.exit_code
    if isinstance(error, ImportError) and (refused := missing(error)) is not None:
        return str(refused), refused.exit_code
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return _less_memory(options), 1
    if isinstance(error, streams.Lost):
        return error.sentence, 1
    if isinstance(error, OSError):
        return _sentence(error), 1
    # A mistake of ours: say so, and keep the place for a report.
    if os.environ.get("STERNA_DEBUG"):
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"internal error, {type(error).__name__} ({error}) at {place.name}, line {place.lineno} of "
        f"{os.path.basename(place.filename)}; please report it with the trace that STERNA_DEBUG=1 "
        "gives"
    ), 1


def _is_out_of_memory(error: Exception) -> bool:
    """Whether torch, which has errors of its own, says that memory is at its end."""
    named = type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _less_memory(options: argparse.Namespace) -> str:
    way = "take fewer images at once with --images"
    if not hasattr(options, "images"):
        way = "make the recipe's batch, layers or steps smaller"
        way = way if hasattr(options, "recipe") else "run it where there is more"
    return f"out of memory; {way}"


def _sentence(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space and run the same command again"
    if error.filename and isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename}: is a file where a folder is needed; choose another folder"
    if error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return f"{error.strerror or error}".lower()


def _failed(options: argparse.Namespace, sentence: str, code: int) -> Answer:
    """Say the sentence; the answer of a command that failed."""
    # A name may hold anything: what is no letter is written as Python writes it.
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    streams.say(f"sterna {options.command}: {shown}")
    interrupts.settled()
    return ({"error": sentence, "exit_code": code} if options.json else {}), "", code
