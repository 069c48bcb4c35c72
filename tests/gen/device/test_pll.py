"""PLL settings: inside the data sheets' limits, best of all, and as the vendors' tools count."""

import re
from fractions import Fraction

import pytest

from sterna.gen.device.pll import highest, setting
from sterna.gen.tools.programs import run_tool
from sterna.golden.errors import DesignError

MHZ = 1_000_000
CASES = [
    (family, oscillator, limit)
    for family, oscillators, limits in (
        ("ecp5", (12, 25, 30, 48, 50, 100), (3.2, 61.7, 97.3, 138.2, 399.0)),
        ("ice40", (12, 16, 48, 100), (17.1, 21.3, 33.33, 61.9)),
        ("xilinx7", (12, 100), (50.0, 97.3, 133.4)),
    )
    for oscillator in oscillators
    for limit in limits
]


def output(family, oscillator_hz, p):
    """(detector, oscillator, output) in Hz by the data sheets' formulas, written out anew."""
    if family == "ecp5":
        detector = Fraction(oscillator_hz, p["CLKI_DIV"])
        loop = detector * p["CLKFB_DIV"]
        vco = loop * p["CLKOP_DIV"]
        return detector, vco, vco / p["CLKOS_DIV"]
    if family == "ice40":
        detector = Fraction(oscillator_hz, p["DIVR"] + 1)
        vco = detector * (p["DIVF"] + 1)
        return detector, vco, vco / 2 ** p["DIVQ"]
    detector = Fraction(oscillator_hz, p["DIVCLK_DIVIDE"])
    vco = detector * Fraction(p["CLKFBOUT_MULT_F"])
    return detector, vco, vco / Fraction(p["CLKOUT0_DIVIDE_F"])


LIMITS = {
    "ecp5": ((10, 400), (400, 800), (3.125, 400)),
    "ice40": ((10, 133), (533, 1066), (16, 275)),
    "xilinx7": ((10, 450), (600, 1200), (4.69, 800)),
}


@pytest.mark.parametrize(("family", "oscillator", "limit"), CASES)
def test_a_setting_is_legal_and_never_above_its_limit(family, oscillator, limit):
    found = highest(family, oscillator * MHZ, limit * MHZ)
    assert found is not None
    values = output(family, oscillator * MHZ, found.parameters)
    assert values[2] == found.hz <= limit * MHZ
    for value, (low, high) in zip(values, LIMITS[family], strict=True):
        assert low * MHZ <= value <= high * MHZ


@pytest.mark.parametrize("limit", [16.0, 17.3, 20.0, 24.99, 30.1])
def test_no_setting_of_an_up5k_lies_between_the_choice_and_the_limit(limit):
    found = highest("ice40", 12 * MHZ, limit * MHZ)
    every = [
        Fraction(12 * MHZ * (f + 1), (r + 1) * 2**q)
        for r in range(16)
        for f in range(128)
        for q in range(1, 7)
        if 10 <= 12 / (r + 1) and 533 <= 12 * (f + 1) / (r + 1) <= 1066
    ]
    below = [hz for hz in every if 16 * MHZ <= hz <= limit * MHZ]
    assert (found.hz if found else None) == (max(below) if below else None)


def test_below_the_slowest_output_there_is_none():
    assert highest("ice40", 12 * MHZ, 15.9 * MHZ) is None
    assert setting("ice40", 12 * MHZ, 10 * MHZ).hz == min(
        Fraction(12 * MHZ * (f + 1), 2**q)
        for f in range(44, 88)
        for q in range(1, 7)
        if 12 * MHZ * (f + 1) >= 16 * MHZ * 2**q
    )


@pytest.mark.parametrize("oscillator", [12, 25, 48, 100])
@pytest.mark.parametrize("limit", [61.7, 97.3, 138.2])
def test_ecppll_counts_the_same_and_finds_nothing_better(oscillator, limit, tmp_path):
    found = highest("ecp5", oscillator * MHZ, limit * MHZ)
    assert found is not None

    def ask(mhz):
        words = ["-i", str(oscillator), "-o", f"{mhz:.6f}", "--highres"]
        text = run_tool("ecppll", words, tmp_path).text
        numbers = dict(re.findall(r"^(Refclk divisor|clkout1 frequency): ([\d.]+)", text, re.M))
        return int(numbers["Refclk divisor"]), float(numbers["clkout1 frequency"])

    assert ask(found.mhz)[1] == pytest.approx(found.mhz, rel=1e-5)
    divisor, mhz = ask(limit)
    # It allows phase detectors below the data sheet's 10 MHz.
    if oscillator / divisor >= 10:
        assert mhz > limit or mhz <= found.mhz * (1 + 1e-5)


@pytest.mark.parametrize("oscillator", [12, 48])
@pytest.mark.parametrize("limit", [16.3, 21.3, 33.4])
def test_icepll_makes_the_same_setting(oscillator, limit, tmp_path):
    found = highest("ice40", oscillator * MHZ, limit * MHZ)
    assert found is not None
    words = ["-i", str(oscillator), "-o", f"{found.mhz:.6f}"]
    text = run_tool("icepll", words, tmp_path).text
    achieved = re.search(r"F_PLLOUT:\s*([\d.]+) MHz \(achieved\)", text)
    assert achieved is not None and float(achieved[1]) == pytest.approx(found.mhz, abs=1e-3)
    numbers = {name: int(value) for name, value in re.findall(r"(\w+):\s+(\d+) \(\d'b", text)}
    numbers["FILTER_RANGE"] = int(re.findall(r"FILTER_RANGE: (\d)", text)[0])
    if numbers["DIVR"] == found.parameters["DIVR"]:
        assert numbers == found.parameters


def test_an_oscillator_that_no_pll_takes_is_refused():
    with pytest.raises(DesignError, match="takes 8 .. 400 MHz and the board's oscillator has 3.3"):
        highest("ecp5", 3_300_000, 50e6)
