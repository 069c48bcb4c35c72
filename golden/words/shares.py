"""A share that was counted, and how sure it is: accuracy on few images says little about others."""

from math import sqrt

__all__ = ["accuracy_text", "wilson"]


def wilson(right: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share ``right`` of ``count``."""
    z = 1.959964
    middle = (right + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(right * (1 - right) / count + (z / 2 / count) ** 2)
    return middle - half, middle + half


def accuracy_text(share: float, count: int) -> str:
    """An accuracy on ``count`` images for people, with its interval."""
    low, high = wilson(share, count)
    return f"{share:.2%} (95% interval {low:.1%} to {high:.1%})"
