"""Programs that this process starts end with it, also where it is killed.

A small shell stands over each one, in a process group of its own, and reads a pipe whose other end
only this process holds: its end is the end of the group. Where there is no such shell (not POSIX),
programs are started as they are.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from typing import Any

from sterna.golden.words.telling import detail

__all__ = ["end_group", "guard_amaranth", "watched"]

# $0 is the number of the pipe. A pipe that cannot be opened ends the watch, not the program.
_SHELL = """( exec 3</dev/fd/$0; read -r x <&3; kill -KILL 0 ) </dev/null >/dev/null 2>&1 &
w=$!; "$@"; r=$?; kill $w 2>/dev/null; exit $r"""


@functools.cache
def _shell() -> str | None:
    return shutil.which("sh") if os.name == "posix" and os.path.isdir("/dev/fd") else None


@contextlib.contextmanager
def watched(argv: Sequence[str]) -> Generator[tuple[list[str], dict[str, Any]]]:
    """(words, arguments) for ``subprocess.Popen`` of a program that does not outlive this process;
    wait for it inside the block. FileNotFoundError: there is no such program."""
    shell = _shell()
    if shell is None:
        yield list(argv), {"start_new_session": True}
        return
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(2, "No such file or directory", argv[0])
    read, write = os.pipe()
    try:
        words = [shell, "-c", _SHELL, str(read), *argv]
        yield words, {"start_new_session": True, "pass_fds": (read,)}
    finally:
        os.close(read)
        os.close(write)


def guard_amaranth() -> None:
    """Have Amaranth start its yosys so; it has no other place for that."""
    from amaranth._toolchain import yosys
    from amaranth.back import verilog

    builtin = getattr(yosys, "_BuiltinYosys", None)
    if builtin is None or issubclass(getattr(verilog, "_sterna", object), builtin):
        return

    class Watched(builtin):
        @classmethod
        def run(
            cls,
            args: Sequence[str],
            stdin: str = "",
            *,
            ignore_warnings: bool = False,
            src_loc_at: int = 0,
        ) -> str:
            with tempfile.TemporaryFile() as text:  # no name: nothing is left
                text.write(stdin.encode())
                text.seek(0)
                start = time.monotonic()
                argv = [sys.executable, "-m", cls.YOSYS_PACKAGE, *args]
                with watched(argv) as (words, how):
                    done = subprocess.Popen(
                        words,
                        stdin=text,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        encoding="utf-8",
                        errors="replace",
                        **how,
                    )
                    try:
                        out, err = done.communicate()
                    except BaseException:
                        end_group(done)
                        raise
                detail(f"yosys of Amaranth: {time.monotonic() - start:.1f} s")
            return cls._process_result(done.returncode, out, err, ignore_warnings, src_loc_at)

    found = verilog.find_yosys

    def find_yosys(requirement: Any) -> Any:
        answer = found(requirement)
        return Watched if answer is builtin else answer

    verilog.find_yosys, verilog._sterna = find_yosys, Watched  # pyright: ignore


def end_group(process: "subprocess.Popen[str]") -> None:
    """Kill a program that was started so, and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
