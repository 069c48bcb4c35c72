"""Verilator's lint over a generated design, every warning on and only explained ones waived."""

from pathlib import Path

from sterna.gen.build.stages import Build
from sterna.gen.tools.programs import run_tool
from sterna.golden.files.disk import write_atomic
from sterna.golden.files.locks import held

__all__ = ["WAIVERS", "lint"]

WAIVERS = "lint.vlt"


def lint(build: Build) -> float:
    """Check the Verilog of a build. ``lint.vlt``, left beside it for whoever runs Verilator on it,
    says what is waived, and why.

    Returns the seconds it took. ToolFailed names the first warning; all are in ``lint.log``.
    """
    waivers = Path(__file__).with_name("waivers.vlt").read_bytes()
    args = ["--lint-only", "-Wall", "--top-module", build.name, WAIVERS, build.verilog.name]
    with held(build.folder):
        write_atomic(build.folder / WAIVERS, waivers)
        (build.folder / "lint.log").unlink(missing_ok=True)  # a link there would be followed
        return run_tool("verilator", args, build.folder, log="lint.log").seconds
