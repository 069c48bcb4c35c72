"""The clock: settings of a PLL, the highest frequency that is not above a limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from sterna.gen.device.family import family_of
from sterna.gen.device.plls import MHZ, Setting
from sterna.golden.errors import DesignError

__all__ = ["PllSetting", "highest", "setting"]


@dataclass(frozen=True)
class PllSetting:
    """parameters: of the vendor's primitive, as its Verilog names them. hz: of the output."""

    family: str
    parameters: dict[str, int | float]
    hz: Fraction
    vco_hz: Fraction

    @property
    def mhz(self) -> float:
        return float(self.hz / MHZ)


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


def _settings(family: str, input_hz: int) -> Iterator[Setting]:
    """All there are."""
    pll = family_of(family).pll
    assert pll is not None
    limits = pll.limits
    low, high = limits.input
    if not low <= input_hz <= high:
        raise DesignError(
            f"the PLL takes {low / MHZ:g} .. {high / MHZ:g} MHz and the board's oscillator has "
            f"{input_hz / MHZ:g} MHz; use another board"
        )
    for hz, detector, vco, parameters in pll.search(Fraction(input_hz), limits):
        if limits.output[0] <= hz <= limits.output[1]:
            yield hz, detector, vco, parameters
