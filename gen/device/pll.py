"""The clock: settings of a PLL, the highest frequency that is not above a limit.

Limits are the data sheets': ECP5 FPGA-DS-02012 table 3.27, iCE40 FPGA-DS-02008 table 4.16 (UP5K)
and FPGA-DS-02029 (HX), 7-series DS181 (MMCM, the slowest speed grade).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from sterna.golden.errors import DesignError

__all__ = ["PllSetting", "highest", "setting"]

_MHZ = 1_000_000


@dataclass(frozen=True)
class _Limits:
    """Frequencies in Hz: of the input, behind its divider, of the oscillator, of the output."""

    input: tuple[int, int]
    detector: tuple[int, int]
    vco: tuple[int, int]
    output: tuple[int, int]


def _limits(*mhz: tuple[float, float]) -> _Limits:
    return _Limits(*((round(low * _MHZ), round(high * _MHZ)) for low, high in mhz))


_LIMITS = {
    "ecp5": _limits((8, 400), (10, 400), (400, 800), (3.125, 400)),
    "ice40": _limits((10, 133), (10, 133), (533, 1066), (16, 275)),
    "xilinx7": _limits((10, 800), (10, 450), (600, 1200), (4.69, 800)),
}


@dataclass(frozen=True)
class PllSetting:
    """parameters: of the vendor's primitive, as its Verilog names them. hz: of the output."""

    family: str
    parameters: dict[str, int | float]
    hz: Fraction
    vco_hz: Fraction

    @property
    def mhz(self) -> float:
        return float(self.hz / _MHZ)


def highest(family: str, input_hz: int, limit_hz: float) -> PllSetting | None:
    """The setting with the highest output that is not above ``limit_hz``; None where even the
    lowest is. Of equals the one with the fastest phase detector, then the fastest oscillator (both
    mean less jitter). DesignError where the input is outside what the family's PLL takes."""
    found = [s for s in _settings(family, input_hz) if s[0] <= limit_hz]
    if not found:
        return None
    hz, _, vco, parameters = max(found, key=lambda s: s[:3])
    return PllSetting(family, parameters, hz, vco)


def setting(family: str, input_hz: int, wanted_hz: float) -> PllSetting:
    """The highest setting not above ``wanted_hz``, or the lowest there is."""
    found = highest(family, input_hz, wanted_hz)
    if found is None:
        lowest = min(hz for hz, *_ in _settings(family, input_hz))
        found = highest(family, input_hz, float(lowest) + 0.5)
    assert found is not None
    return found


def _settings(
    family: str, input_hz: int
) -> Iterator[tuple[Fraction, Fraction, Fraction, dict[str, int | float]]]:
    """All (output, detector, oscillator, parameters)."""
    limits = _LIMITS[family]
    low, high = limits.input
    if not low <= input_hz <= high:
        raise DesignError(
            f"the PLL takes {low / _MHZ:g} .. {high / _MHZ:g} MHz and the board's oscillator has "
            f"{input_hz / _MHZ:g} MHz; use another board"
        )
    for hz, detector, vco, parameters in _SEARCH[family](Fraction(input_hz), limits):
        if limits.output[0] <= hz <= limits.output[1]:
            yield hz, detector, vco, parameters


def _inside(value: Fraction, limits: tuple[int, int]) -> bool:
    return limits[0] <= value <= limits[1]


def _ecp5(input_hz: Fraction, limits: _Limits) -> Iterator[tuple]:
    # CLKOP only closes the loop; the clock comes from CLKOS, whose own divider has finer steps.
    for reference in range(1, 129):
        detector = input_hz / reference
        if not _inside(detector, limits.detector):
            continue
        seen = set()
        for feedback in range(1, 81):
            for loop in range(2, 129):
                vco = detector * feedback * loop
                if vco in seen or not _inside(vco, limits.vco):
                    continue
                if not _inside(vco / loop, limits.output):
                    continue
                seen.add(vco)
                for out in range(1, 129):
                    yield (
                        vco / out,
                        detector,
                        vco,
                        {
                            "CLKI_DIV": reference,
                            "CLKFB_DIV": feedback,
                            "CLKOP_DIV": loop,
                            "CLKOS_DIV": out,
                        },
                    )


def _ice40(input_hz: Fraction, limits: _Limits) -> Iterator[tuple]:
    for divr in range(16):
        detector = input_hz / (divr + 1)
        if not _inside(detector, limits.detector):
            continue
        ranges = (17, 26, 44, 66, 101)
        filter_range = 1 + sum(detector >= r * _MHZ for r in ranges)
        for divf in range(128):
            vco = detector * (divf + 1)
            if _inside(vco, limits.vco):
                for divq in range(1, 7):
                    yield (
                        vco / 2**divq,
                        detector,
                        vco,
                        {
                            "DIVR": divr,
                            "DIVF": divf,
                            "DIVQ": divq,
                            "FILTER_RANGE": filter_range,
                        },
                    )


def _xilinx7(input_hz: Fraction, limits: _Limits) -> Iterator[tuple]:
    for divide in range(1, 107):
        detector = input_hz / divide
        if not _inside(detector, limits.detector):
            continue
        for eighths in range(16, 513):
            vco = detector * eighths / 8
            if _inside(vco, limits.vco):
                for out in range(1, 129):
                    yield (
                        vco / out,
                        detector,
                        vco,
                        {
                            "DIVCLK_DIVIDE": divide,
                            "CLKFBOUT_MULT_F": eighths / 8,
                            "CLKOUT0_DIVIDE_F": float(out),
                        },
                    )


_SEARCH = {"ecp5": _ecp5, "ice40": _ice40, "xilinx7": _xilinx7}
