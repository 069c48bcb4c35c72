"""LUTs of a leak by its signed digits: what `rows_of_decay` of the cost model is fitted to.

    python benchmarks/decay_cost.py [ecp5 ice40 xilinx7]

A scan of four neurons with each leak, less the same scan without one, beside the bits of the rows
that its digits are added in.
"""

import argparse

import numpy as np
from common import emit, table, work_dir

from sterna.gen.device.family import TARGETS
from sterna.gen.tools.yosys import synth
from sterna.golden.bounds import rule_bounds
from sterna.golden.rule import Decay, NeuronRule
from sterna.hw.neuron.params import NeuronParams
from sterna.hw.neuron.scan import NeuronScan

PE = 4
LEAKS = {
    "3/4": Decay(2),
    "3/8": Decay(1, 3),
    "1/8": Decay(ratio=(1, 3)),
    "21/32": Decay(ratio=(21, 5)),
    "1843/2048": Decay(ratio=(1843, 11)),
    "2731/4096": Decay(ratio=(2731, 12)),
}


def luts(leak: Decay | None, target: str) -> tuple[int, int]:
    """(LUTs, bits of the rows of its digits) of a scan of four neurons."""
    rule = NeuronRule(
        threshold=np.full(8, 9000),
        leak=leak,
        fraction_bits=4,
        bias=np.arange(8) * 7 - 20,
        v_init=np.arange(8),
    )
    bounds = rule_bounds(rule, (np.full(8, -2000), np.full(8, 2000)), 8)
    params = NeuronParams(rule, bounds, 8)
    folder = work_dir("decay_cost", target)
    file = emit(NeuronScan(params, pe=PE, x_width=13), "scan", folder)
    width = bounds.width("u", "v", "current")
    digits = 0 if leak is None else len(leak.digits)
    rows = max(0, digits - 2) + 2 * (digits > 1)
    bits = PE * (width + (0 if leak is None else leak.shift)) * rows
    return int(synth([file], "scan", target, folder)["logic"]), bits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    rows: list = [["target", "leak", "digits", "LUTs more", "row bits", "LUTs a bit"]]
    for target in parser.parse_args().targets:
        bare, _ = luts(None, target)
        for name, leak in LEAKS.items():
            found, bits = luts(leak, target)
            each = f"{(found - bare) / bits:.2f}" if leak.ratio and bits else ""
            rows.append([target, name, len(leak.digits), found - bare, bits, each])
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
