"""GTKWave's save file of a wave: what to show of it, by layers."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from vcd.gtkw import GTKWSave

from sterna.golden.files.disk import sha256, write_atomic
from sterna.sim.waves.layers import Signal

__all__ = ["MARK", "save_text", "write_save"]

MARK = "[*] written by sterna sim --wave"
_FORMATS = {"stream": "hex", "place": "dec", "spikes": "bin", "membrane": "signed"}


def _name(path: str, signal: Signal) -> str:
    return f"{path}.{signal.name}" + (f"[{signal.width - 1}:0]" if signal.width > 1 else "")


def save_text(wave: Path, scope: str, shown: Mapping[str, Sequence[Signal]]) -> str:
    """The text of a save file.

    Args:
        wave: the file with the waves.
        scope: path of the module with the layers there, with dots.
        shown: signals of each layer.
    """
    out = io.StringIO()
    save = GTKWSave(out)
    save.dumpfile(str(wave))
    save.treeopen(scope)
    save.trace(f"{scope}.clk")
    for end in ("s_axis", "m_axis"):
        with save.group(f"{end} (images in)" if end == "s_axis" else f"{end} (classes out)"):
            for part in ("tvalid", "tready", "tlast"):
                save.trace(f"{scope}.{end}_{part}")
    for node, signals in shown.items():
        with save.group(node):
            for signal in signals:
                save.trace(
                    _name(f"{scope}.{node}", signal),
                    alias=f"{node} {signal.name}",
                    datafmt=_FORMATS[signal.kind],
                )
    return f"{_mark(out.getvalue())}\n{out.getvalue()}"


def _mark(rest: str) -> str:
    """The first line, by which it is known whether somebody changed the others."""
    return f"{MARK}, {sha256(rest.encode())}"


def write_save(path: Path, text: str) -> bool:
    """Write a save file, but not over one that somebody made or changed; whether it was written."""
    if path.exists():
        first, _, rest = path.read_bytes().decode("utf-8", "replace").partition("\n")
        if first != _mark(rest):
            return False
    write_atomic(path, text.encode())
    return True
