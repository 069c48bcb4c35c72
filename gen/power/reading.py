"""What a user read from a meter, for an image."""

from typing import Any

from sterna.golden.errors import UsageError

__all__ = ["NO_RATE", "check_reading", "reading"]

NO_RATE = (
    "how many images a second were computed is not known; give --images-per-second, which `sterna "
    "infer --repeat` prints, or --board where its bitstream was made here"
)


def check_reading(mw: float, idle_mw: float | None) -> None:
    """UsageError: idle is more than busy."""
    if idle_mw is not None and idle_mw > mw:
        raise UsageError(
            f"{idle_mw:g} mW idle are more than {mw:g} mW busy; read both from the same rails"
        )


def reading(mw: float, idle_mw: float | None, rate: float, rate_from: str) -> dict[str, Any]:
    """Energy an image of a board that is busy.

    Args:
        mw: power of the rails that were measured, while it computes without a pause.
        idle_mw: of the same rails while it has nothing to compute.
        rate: images a second meanwhile, which ``rate_from`` says the origin of.

    Returns:
        ``mw``, ``idle_mw``, ``images_per_second``, ``rate_from``, ``mj_per_image``,
        ``above_idle_mj_per_image`` (or None), ``images_per_second_per_watt``.

    Raises:
        UsageError: idle is more than busy.
    """
    check_reading(mw, idle_mw)
    return {
        "mw": mw,
        "idle_mw": idle_mw,
        "images_per_second": rate,
        "rate_from": rate_from,
        "mj_per_image": mw / rate,
        "above_idle_mj_per_image": None if idle_mw is None else (mw - idle_mw) / rate,
        "images_per_second_per_watt": rate / (mw / 1e3),
    }
