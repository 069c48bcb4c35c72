"""A run for `sterna power` without a simulator."""

from typing import Any

from sterna.golden.exact import run
from sterna.sim.power.activity import PATH, Recorded

__all__ = ["unsimulated"]


def unsimulated(build: Any, images: Any, of: str, target: str, clock_mhz: float) -> Recorded:
    """As `record`, without Verilator: a run in which nothing but the clock moves."""
    (build.folder / "power").mkdir(exist_ok=True)
    path = build.folder / "power" / f"{build.name}.saif"
    net = " (INSTANCE {}\n  (NET\n   ({} (T0 0) (T1 9) (TZ 0) (TX 0) (TB 0) (TC 1))\n  )\n"
    scopes = [*PATH, build.design.cores[0].name]
    body = "".join(net.format(name, "x") for name in scopes) + " )\n" * len(scopes)
    head = '(SAIFILE\n(SAIFVERSION "2.0")\n(DIRECTION "backward")\n(PROGRAM_NAME "none")\n'
    path.write_text(f"{head}(DIVIDER / )\n(TIMESCALE 1ps)\n(DURATION 9)\n{body})\n")
    result = run(build.network, images, ())
    return Recorded(path, "", (), len(images), 1000, None, result)
