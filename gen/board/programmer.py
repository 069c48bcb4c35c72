"""Loading a bitstream into a board, by the program that is made for it."""

import shutil
import subprocess
from pathlib import Path

from sterna.gen.device.boards import Board
from sterna.gen.tools.programs import ToolFailed
from sterna.golden.errors import FileError, ToolMissing

__all__ = ["command", "program"]

_INSTALL = {
    "openFPGALoader": "apt install openfpgaloader (or https://trabucayre.github.io/openFPGALoader)",
    "iceprog": "apt install fpga-icestorm",
    "dfu-util": "apt install dfu-util",
    "icesprog": "icesprog of https://github.com/wuxx/icesugar (tools/)",
}
_FLASH = {"openFPGALoader": "-f"}


def command(board: Board, bitstream: Path, flash: bool = False) -> list[str]:
    """The words that load ``bitstream``. flash: so that it is there after power-up, where the
    program can also do without (the others always write the flash).

    ToolMissing, with what installs it, where the program is absent.
    """
    name, *words = board.program
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"{name} is not on PATH, it programs {board.name}; run: {_INSTALL[name]}")
    keep = [_FLASH[name]] if flash and name in _FLASH else []
    return [path, *keep, *(str(bitstream) if w == "FILE" else w for w in words)]


def program(board: Board, bitstream: Path, flash: bool = False) -> str:
    """Load ``bitstream`` into a board; returns what the program said.

    FileError where there is no such file, ToolMissing without the program, ToolFailed with the
    program's last line where it fails (no board, no rights on the USB device).
    """
    if not bitstream.is_file():
        raise FileError(f"{bitstream}: does not exist; run `sterna bitstream`")
    words = command(board, bitstream, flash)
    done = subprocess.run(
        words, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    text = done.stdout + done.stderr
    if done.returncode:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise ToolFailed(
            f"{board.program[0]} ended with code {done.returncode}: "
            f"{lines[-1] if lines else 'no output'}; is {board.name} connected, and may this user "
            "open it?"
        )
    return text
