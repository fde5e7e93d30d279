"""Durations in words."""

from __future__ import annotations

_UNITS_S = (("days", 86_400.0), ("h", 3600.0), ("min", 60.0))


def in_words(seconds: float) -> str:
    """In the largest unit of which there are two: `90 s`, `15 min`, `3 h`, `12 days`."""
    left = max(0.0, seconds)
    for unit, size in _UNITS_S:
        if left >= 2 * size:
            return f"{left / size:.0f} {unit}"
    return f"{left:.0f} s"
