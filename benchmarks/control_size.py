"""LUTs and flip-flops of the control plane alone, by cores with a stall counter and ring or none.

$ python benchmarks/control_size.py [--family ecp5]
"""

import argparse

from common import emit, table, work_dir, write_results

from sterna.gen.tools.yosys import synth
from sterna.hw.control.control import ControlPlane

CORES = (2, 4, 8)
REGIONS = (0, 5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="ecp5")
    family = parser.parse_args().family
    rows = []
    for cores in CORES:
        for regions in REGIONS:
            names = [f"core{k}" for k in range(cores)]
            plane = ControlPlane(
                0x0123456789ABCDEF, 0xFEDCBA9876543210, names, regions, rom_crc=0xDEADBEEF
            )
            folder = work_dir("control", family, f"{cores}_{regions}")
            used = synth([emit(plane, "control", folder)], "control", family, folder)
            rows.append([family, cores, regions, used["logic"], used["ff"]])
    head = ["family", "cores", "reloadable memories", "logic", "FF"]
    print(table([head, *rows]))
    found = [dict(zip(head, row, strict=True)) for row in rows]
    write_results(f"control_size_{family}", {"rows": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
