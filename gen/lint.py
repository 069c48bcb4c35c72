"""Verilator's lint over a generated design, every warning on and only explained ones waived."""

from pathlib import Path

from sterna.gen.stages import Build
from sterna.gen.tools import run_tool

__all__ = ["lint"]


def lint(build: Build) -> float:
    """Check the Verilog of a build (``waivers.vlt`` beside this file says what is waived, and why).

    Returns the seconds it took. ToolFailed names the first warning; all are in ``lint.log``.
    """
    waivers = Path(__file__).with_name("waivers.vlt")
    args = ["--lint-only", "-Wall", "--top-module", build.name, str(waivers), build.verilog.name]
    with build.held():
        build.remove("lint.log")  # a link in its place would be followed
        return run_tool("verilator", args, build.folder, log="lint.log").seconds
