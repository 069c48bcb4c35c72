"""Runs benchmarks: ``python -m benchmarks [NAME ...]``, names as in NAMES, default all.

Each prints a table and writes ``benchmarks/results/<name>.json``; `networks` writes
``benchmarks/results.json`` and docs/performance.md. Fails if one misses its limit.
"""

import subprocess
import sys
from pathlib import Path

NAMES = {
    "sim_speed": [],
    "core_fmax": [],
    "core_size": [],
    "control_size": [],
    "dotproduct": [],
    "constant": [],
    "tables": [],
    "sum_pool": [],
    "frame_bits": [],
    "networks": ["--write"],
    "frontier": ["--write"],
}


def main() -> int:
    names = sys.argv[1:] or [*NAMES]
    if unknown := [name for name in names if name not in NAMES]:
        print(f"no benchmark {unknown[0]!r}; use {', '.join(NAMES)}", file=sys.stderr)
        return 2
    folder = Path(__file__).resolve().parent
    # One after the other: yosys takes up to 4 GiB, and timings want a quiet machine.
    codes = [
        subprocess.run([sys.executable, folder / f"{n}.py", *NAMES[n]], check=False).returncode
        for n in names
    ]
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
