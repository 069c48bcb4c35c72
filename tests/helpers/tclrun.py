"""Tcl scripts for Vivado, run where Vivado's commands only write down how they are called."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["vivado_calls"]

_STUBS = """\
set calls_ [open calls.txt w]
proc noted_ {name args} { puts $::calls_ [concat $name $args] }
proc unknown {name args} {
  noted_ $name {*}$args
  switch $name {
    get_property { return [expr {[lindex $args 0] eq "PROGRESS" ? "100%" : "0.125"}] }
    default { return [expr {[string match get_* $name] ? [lindex $args end] : ""}] }
  }
}
proc open_run {args} { noted_ open_run {*}$args }
proc current_project {} { return project }
proc current_fileset {} { return sources }
"""
_PYTHON = "import sys, tkinter; tkinter.Tcl().evalfile(sys.argv[1])"


def vivado_calls(script: Path, *argv: str, before: str = "") -> list[str]:
    """The calls of Vivado's commands, a line each. The script is sourced in its own folder, by
    tclsh or by the Tcl that comes with Python; skips where there is neither. ``before``: Tcl that
    says what commands answer."""
    folder = script.parent
    words = " ".join(f"{{{word}}}" for word in argv)
    run = f"{_STUBS}{before}\nset argv [list {words}]\nsource {{{script.name}}}\nclose $calls_\n"
    (folder / "run_.tcl").write_text(run)
    if shutil.which("tclsh") is not None:
        command = ["tclsh", "run_.tcl"]
    elif importlib.util.find_spec("_tkinter") is not None:
        command = [sys.executable, "-c", _PYTHON, "run_.tcl"]
    else:
        pytest.skip("there is no Tcl: no tclsh, and a Python without tkinter")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return (folder / "calls.txt").read_text().splitlines()
