"""report.json and report.html of a build, and the frontier that they show on request."""

from pathlib import Path
from typing import Any

from sterna.gen.build.folder import Build
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.report import report
from sterna.gen.fold.frontier import frontier
from sterna.gen.report.page import page
from sterna.golden.files.disk import canonical_json

__all__ = ["keep_frontier", "write_report"]


def write_report(build: Build, board: str | None = None) -> tuple[dict[str, Any], Path]:
    """Write both; returns what report.json says and the path of report.html. ``board`` and errors
    as `gen.build.report.report` has them."""
    answer = {"build": str(build.folder), **report(build, board)}
    with build.held():
        build.write("report.json", canonical_json(answer))
        build.write("report.html", page(answer))
    return answer, build.folder / "report.html"


def keep_frontier(build: Build) -> None:
    """Weigh other foldings of the network on the design's family at its clock, for the report."""
    of = {"family": build.design.family, "clock_mhz": build.design.clock_mhz}
    points = frontier(build.network, of["family"], of["clock_mhz"])
    keep_measurement(build, "frontier", {**of, "points": points}, design=False)
